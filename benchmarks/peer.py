"""(c) Gives the peer its venv, the same posts, model and tokenizer, and reads what it cost."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec
from isal import igzip

from benchmarks.process import ROOT, Usage, run_measured
from sluice.filters.language.identify import shipped_identifier_path
from sluice.pipeline.recipes.schema import Recipe
from sluice.tokenizer.vocabulary.special import EOD

VENV = ROOT / ".venv-peer"
REQUIREMENTS = ("datatrove[io,processing]==0.10.*", "spacy>=3.8,<4")


class PeerRun(msgspec.Struct, frozen=True):
    """One run of datatrove.

    Attributes:
        posts: of the sample that it was given.
        steps: CPU seconds of each stage, imports left out.
        usage: what the operating system counted for the whole, imports too.
    """

    datatrove: str
    posts: int
    kept: int
    tokens: int
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
    taken = 0
    with igzip.open(path, "wb", compresslevel=1) as out:
        for line in islice(_lines(files), 0, step * num_posts, step):
            out.write(line)
            taken += 1
    return taken


def _lines(files: Sequence[Path]) -> Iterator[bytes]:
    for path in files:
        with igzip.open(path, "rb") as lines:
            yield from lines


def run_peer(
    recipe: Recipe,
    *,
    files: Sequence[Path],
    tokenizer: Path,
    work: Path,
    num_posts: int,
    total: int,
) -> PeerRun:
    """Runs datatrove over a sample of the posts with the recipe's thresholds.

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
    posts, out = work / "posts", work / "peer.json"
    posts.mkdir(parents=True)
    taken = write_sample(files, posts / "posts.jsonl.gz", num_posts=num_posts, total=total)
    bounds = {f.name: f.threshold for f in recipe.filters}
    settings = {
        "input": posts,
        "tokenizer": tokenizer,
        "work": work,
        "json": out,
        "language-model": shipped_identifier_path(),
        "end-of-document": EOD,
        "min-confidence": bounds.get("language_confidence", 0.25),
        "min-words": int(bounds.get("min_words", 3)),
        "bands": recipe.dedup.bands,
        "rows": recipe.dedup.rows,
        "ngram": recipe.dedup.ngram,
    }
    command = [str(make_venv()), str(ROOT / "benchmarks" / "peer_datatrove.py")]
    command += [f"--{name}={value}" for name, value in settings.items()]
    usage = run_measured(command, log=work / "peer.log")
    found = msgspec.json.decode(out.read_bytes())
    return msgspec.convert({**found, "posts": taken, "usage": usage}, PeerRun)
