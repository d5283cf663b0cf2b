"""(c) Gives datatrove its venv, posts and settings, runs it there, and reads what it cost."""

import subprocess
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import msgspec
from isal import igzip

from benchmarks.process import ROOT, Usage, run_measured
from benchmarks.real_posts import lines_of
from sluice.filters.language.identify import shipped_identifier_path
from sluice.pipeline.recipes.schema import Recipe
from sluice.tokenizer.vocabulary.special import EOD

VENV = ROOT / ".venv-peer"
REQUIREMENTS = ("datatrove[io,processing]==0.10.*", "spacy>=3.8,<4")


class PeerRun(msgspec.Struct, frozen=True):
    """One run of datatrove.

    Attributes:
        posts: that it was given.
        signed: of them, those long enough for a shingle.
        steps: CPU seconds of each stage, imports left out.
        usage: what the operating system counted for the whole, imports too.
    """

    datatrove: str
    posts: int
    kept: int
    tokens: int
    signed: int
    steps: dict[str, float]
    usage: Usage

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of all stages."""
        return sum(self.steps.values())


def make_venv() -> Path:
    """Makes the peer's venv unless it is there; returns its Python."""
    python = VENV / "bin" / "python"
    made = VENV / ".installed"
    if not made.exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *REQUIREMENTS], check=True)
        made.touch()
    return python


def write_sample(files: Sequence[Path], path: Path, *, num_posts: int, total: int) -> int:
    """Writes every k-th line of `.jsonl.gz` files, `num_posts` at most; returns how many.

    Args:
        files: the posts.
        path: a `.jsonl.gz` file.
        num_posts: lines to take.
        total: lines of all files, by which k is chosen.
    """
    step = max(1, total // num_posts)
    taken = list(islice(lines_of(files), 0, step * num_posts, step))
    with igzip.open(path, "wb", compresslevel=1) as out:
        out.writelines(taken)
    return len(taken)


def run_datatrove(work: Path, *, posts: int, **settings: object) -> PeerRun:
    """Runs `peer_datatrove.py` over the files in `work`/posts; its arguments are the settings."""
    command = [str(make_venv()), str(ROOT / "benchmarks" / "peer_datatrove.py"), f"--work={work}"]
    command += [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    usage = run_measured(command, log=work / "log.txt")
    found = msgspec.json.decode((work / "run.json").read_bytes())
    return msgspec.convert({**found, "posts": posts, "usage": usage}, PeerRun)


def run_peer(
    recipe: Recipe,
    *,
    files: Sequence[Path],
    tokenizer: Path,
    work: Path,
    num_posts: int,
    total: int,
) -> PeerRun:
    """Runs the main job with datatrove over a sample of the posts with the recipe's thresholds.

    Args:
        recipe: whose confidence, least words and MinHash settings are taken.
        files: the posts.
        tokenizer: tokenizer.json.
        work: a folder for its files.
        num_posts: size of the sample.
        total: posts in the files.

    Raises:
        CommandError: datatrove failed.
    """
    sample = work / "posts" / "posts.jsonl.gz"
    sample.parent.mkdir(parents=True)
    taken = write_sample(files, sample, num_posts=num_posts, total=total)
    bounds = {f.name: f.threshold for f in recipe.filters}
    return run_datatrove(
        work,
        posts=taken,
        tokenizer=tokenizer,
        language_model=shipped_identifier_path(),
        end_of_document=EOD,
        min_confidence=bounds.get("language_confidence", 0.25),
        min_words=int(bounds.get("min_words", 3)),
        bands=recipe.dedup.bands,
        rows=recipe.dedup.rows,
        ngram=recipe.dedup.ngram,
    )
