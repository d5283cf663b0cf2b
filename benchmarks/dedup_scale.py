"""Measures how deduplication scales: time per post, memory and disk, from small to large.

    SLUICE_DATA=FOLDER python -m benchmarks.dedup_scale --kind sample real template --work FOLDER
        [--posts 1000000,3000000,10000000] [--results benchmarks/DEDUP.md] [--limit 2147483648]

Each size is a whole run of the main job in a process of its own, with two workers and a frozen
tokenizer; `benchmarks.scale_corpora` says what the posts are. Sizes that were measured stay in
FOLDER/figures: after a kill, rerun the same command to resume with the next one; a change of the code or of
a setting measures all of them again (--reuse takes them as they are). Posts stay in FOLDER too, the
output of a run is deleted when its figures are read. Without --work a temporary folder is used.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from benchmarks import scale_tables
from benchmarks.command import parser_of, say
from benchmarks.process import ROOT, CommandError, run_measured, this_machine
from benchmarks.scale_corpora import KINDS, Corpus, Prefix, make
from benchmarks.scale_run import Measured, RunSpec, ScaleRun, read_dedup, run_watched
from sluice.pipeline.storage import output_folder

SIZES = {
    "sample": (1_000_000, 3_000_000, 10_000_000),
    "real": (1_000_000, 3_000_000, 10_000_000),
    "template": (100_000, 300_000, 1_000_000),
}
PACKAGES = ("schemas", "filters", "tokenizer", "pipeline")
TOKENIZER_POSTS = 20_000

T = TypeVar("T", bound=msgspec.Struct)


class Bench(NamedTuple):
    """How the sizes are measured.

    Attributes:
        work: folder for posts, figures and what runs write.
        workers: threads of Beam's local runner.
        sets: settings of the recipe, KEY=VALUE.
        limit_bytes: anonymous memory at which a run is killed; 0 for no limit.
        reuse: figures of other code or settings count too.
        tokenizer_posts: synthetic posts that the frozen tokenizer is trained on.
    """

    work: Path
    workers: int = 2
    sets: Sequence[str] = ()
    limit_bytes: int = 0
    reuse: bool = False
    tokenizer_posts: int = TOKENIZER_POSTS

    @property
    def tokenizer(self) -> Path:
        """The frozen tokenizer.json of all runs."""
        return self.work / "tokenizer.json"

    @property
    def output(self) -> Path:
        """Where a run writes."""
        return self.work / "out"

    def mark(self, prefix: Prefix) -> str:
        """Returns a hash of what is measured: the code, the files' names and sizes, the settings."""
        files = [(str(f.relative_to(self.work)), f.stat().st_size) for f in prefix.files]
        about = [code_mark(), files, self.workers, list(self.sets), self.limit_bytes]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]


@cache
def code_mark() -> str:
    """Returns a hash of the product's code as it was when first asked for."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def prepare(bench: Bench) -> None:
    """Compiles the kernels, so that no run that is measured does; makes the frozen tokenizer."""
    log = bench.work / "prepare.log"
    run_measured([sys.executable, "-c", "import sluice.pipeline.phases.run_order"], log=log)
    if bench.tokenizer.exists():
        return
    say("making the tokenizer")
    posts, out = bench.work / "tokenizer-posts", bench.work / "tokenizer-out"
    shutil.rmtree(out, ignore_errors=True)
    sluice = [sys.executable, "-m", "sluice.pipeline.cli"]
    size = ["--posts", str(bench.tokenizer_posts), "--seed", "0"]
    run_measured([*sluice, "sample", str(posts), *size], log=log)
    files = map(str, sorted(posts.glob("*.jsonl.gz")))
    run_measured([*sluice, "run", "sample", "--output", str(out), "--input", *files], log=log)
    os.replace(out / "tokenizer" / "tokenizer.json", bench.tokenizer)
    shutil.rmtree(out)
    shutil.rmtree(posts)


def measure(bench: Bench, corpus: Corpus, prefix: Prefix) -> ScaleRun:
    """Returns the figures of a size: those of an earlier call, or of a run that is done now.

    Raises:
        CommandError: the run failed, or went over the limit.
    """
    path = bench.work / "figures" / f"{corpus.name}-{prefix.posts}.json"
    path.parent.mkdir(exist_ok=True)
    mark, found = bench.mark(prefix), _read(path, ScaleRun)
    if found is not None and (bench.reuse or found.measured.mark == mark):
        say(f"{corpus.name}, {prefix.posts:,} posts: measured before")
        return found
    measured = _measured(bench, corpus, prefix, mark)
    posts = measured.whole.phase("dedup").posts
    run = ScaleRun(
        corpus=corpus.name,
        asked=prefix.posts,
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        measured=measured,
        dedup=read_dedup(bench.output, posts=posts),
    )
    _write(path, run)
    shutil.rmtree(bench.output)
    return run


def _measured(bench: Bench, corpus: Corpus, prefix: Prefix, mark: str) -> Measured:
    """Runs the main job; one that ended, but whose files could not be read, is not run again."""
    path = bench.work / "figures" / "last-run.json"
    found = _read(path, Measured)
    if found is not None and found.mark == mark and (bench.output / "COMPLETED").exists():
        return found
    if bench.output.exists():
        with output_folder.locked(
            str(bench.output)
        ):  # refused while a run that lost its benchmark continues
            shutil.rmtree(bench.output)
    say(f"{corpus.name}, {prefix.posts:,} posts: runs")
    spec = RunSpec(
        corpus.recipe,
        prefix.files,
        bench.output,
        bench.tokenizer,
        bench.workers,
        bench.sets,
        bench.limit_bytes,
    )
    measured = run_watched(spec, mark=mark)
    _write(path, measured)
    dedup = measured.whole.phase("dedup")
    mib = max(p.anonymous_bytes for p in measured.peaks) >> 20
    say(
        f"dedup {dedup.cpu_seconds:.1f} of {measured.whole.cpu_seconds:.1f} CPU s, peak {mib:,} MiB"
    )
    return measured


def _read(path: Path, kind: type[T]) -> T | None:
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(path.read_bytes(), type=kind)
    return None


def _write(path: Path, value: msgspec.Struct) -> None:
    unfinished = path.with_suffix(".tmp")
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(value)))
    os.replace(unfinished, path)


def measure_kind(
    bench: Bench, kind: str, *, sizes: Sequence[int], data: Path | None
) -> tuple[list[ScaleRun], list[str]]:
    """Returns the figures of a kind, and a sentence for each corpus of which a size failed.

    After a failure the larger sizes of the corpus are left out.
    """
    runs, failed = [], []
    say(f"{kind}: posts are made, or found in {bench.work}")
    for corpus in make(kind, sizes=sizes, work=bench.work, data=data):
        for prefix in corpus.prefixes:
            try:
                runs.append(measure(bench, corpus, prefix))
            except CommandError as failure:
                say(f"{corpus.name}, {prefix.posts:,} posts: {failure}")
                last = str(failure).strip().splitlines()[-1].replace(str(bench.work), "FOLDER")
                failed.append(f"{corpus.name}, {prefix.posts:,} posts: **failed**: {last}")
                break
    return runs, failed


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command."""
    made = parser_of("dedup_scale", __doc__)
    made.add_argument("--kind", nargs="+", choices=KINDS, default=["sample"])
    made.add_argument("--posts", type=sizes_of, help="sizes, with commas between; by the kind")
    made.add_argument("--work", type=Path, help="a folder that keeps posts and figures")
    made.add_argument("--data", type=Path, default=os.environ.get("SLUICE_DATA"))
    made.add_argument("--workers", type=int, default=2)
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="recipe")
    made.add_argument("--limit", type=int, default=0, help="bytes of memory that kill a run")
    made.add_argument("--reuse", action="store_true", help="figures of other code count too")
    made.add_argument("--results", type=Path, help="the page whose sections are replaced")
    return made


def sizes_of(text: str) -> tuple[int, ...]:
    """Returns the sizes of an argument, 1000000,3000000; underscores are allowed."""
    sizes = tuple(sorted({int(word) for word in text.split(",")}))
    if sizes[0] < 1:
        raise argparse.ArgumentTypeError(f"sizes must be 1 or more, got {text}")
    return sizes


def command_of(kind: str, sizes: Sequence[int], bench: Bench) -> str:
    """Returns the command that measures a kind again, without the folders of this machine."""
    words = ["python", "-m", "benchmarks.dedup_scale", "--kind", kind]
    words += ["--posts", ",".join(map(str, sizes)), "--workers", str(bench.workers)]
    words += [word for setting in bench.sets for word in ("--set", setting)]
    words += ["--limit", str(bench.limit_bytes)] if bench.limit_bytes else []
    return shlex.join(words)


def run(arguments: Any, work: Path) -> bool:
    """Measures every kind, prints its figures and puts them into the page; returns whether all ended."""
    bench = Bench(work, arguments.workers, arguments.set, arguments.limit, arguments.reuse)
    data = Path(arguments.data).resolve() if arguments.data else None
    prepare(bench)
    all_ended = True
    for kind in arguments.kind:
        sizes = arguments.posts or SIZES[kind]
        runs, failed = measure_kind(bench, kind, sizes=sizes, data=data)
        all_ended &= not failed
        if not runs:
            continue
        command = command_of(kind, sizes, bench)
        text = scale_tables.markdown(runs, command=command, machine=this_machine(), failed=failed)
        print(text, flush=True)
        if arguments.results:
            scale_tables.update(arguments.results, kind, text)
    return all_ended


def main() -> int:
    """Runs the command; 1 if a size failed."""
    arguments = parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the run under way ends too
    if arguments.work:
        with locked(arguments.work.resolve()) as work:
            return int(not run(arguments, work))
    with tempfile.TemporaryDirectory(prefix="sluice-scale-") as folder:
        return int(not run(arguments, Path(folder)))


@contextlib.contextmanager
def locked(work: Path) -> Iterator[Path]:
    """Holds the folder for one command: it deletes the output of the run before.

    Raises:
        SystemExit: another command holds it.
    """
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit(
                f"{work}: another benchmarks.dedup_scale is at work there; name another --work"
            )
        yield work


if __name__ == "__main__":
    sys.exit(main())
