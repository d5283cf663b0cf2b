"""Measures the main job: the pipeline, its kernels without Beam, and a peer, side by side in one run.

    SLUICE_DATA=FOLDER python -m benchmarks.main_job [--peer] [--results benchmarks/RESULTS.md]

(a) `sluice run` in processes of its own, (b) the same kernels composed in one thread without Beam, (c)
datatrove with --peer. (a) and (b) take turns `--repeats` times on the posts as they are, so that both
see the same neighbours on the machine, then once on a multiple of them, with a frozen tokenizer and
each number of workers. Needs about 25 GB of disk in the temporary folder for ten times 583,187 posts.
"""

import argparse
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks import results
from benchmarks.command import add_data, add_page, parser_of, say
from benchmarks.composed import ComposedRun
from benchmarks.multiple import write_multiple
from benchmarks.page import publish
from benchmarks.peer import run_peer
from benchmarks.process import run_measured
from benchmarks.real_posts import posts_of, size_of
from benchmarks.results import Comparison, MainJob
from benchmarks.whole import WholeRun, run_whole
from sluice.pipeline.recipes.loader import load

RECIPE, WORKERS = "default", (1, 2)


class Bench(NamedTuple):
    """Where things are while a benchmark runs.

    Attributes:
        recipe: a shipped name or a path.
        folder: for everything that is written.
    """

    recipe: str
    folder: Path

    @property
    def tokenizer(self) -> Path:
        """The tokenizer.json that the first run trains and the others take."""
        return self.folder / "tokenizer.json"


def whole(bench: Bench, files: Sequence[Path], *, workers: int, frozen: bool) -> WholeRun:
    """Runs (a); keeps the tokenizer of the first run that trains one."""
    output = bench.folder / "out"
    run = run_whole(
        bench.recipe,
        files=files,
        output=output,
        workers=workers,
        tokenizer=bench.tokenizer if frozen else None,
    )
    if not bench.tokenizer.exists():
        shutil.copyfile(output / "tokenizer" / "tokenizer.json", bench.tokenizer)
    shutil.rmtree(output)
    say(f"(a) {run.outcome.read:,} posts, {workers} workers: {run.cpu_seconds:.1f} CPU seconds")
    return run


def composed(bench: Bench, files: Sequence[Path]) -> ComposedRun:
    """Runs (b), in a process of its own."""
    out = bench.folder / "composed.json"
    command = [sys.executable, "-m", "benchmarks.composed", bench.recipe, *map(str, files)]
    command += ["--tokenizer", str(bench.tokenizer), "--json", str(out)]
    run_measured(command, log=bench.folder / "composed.log")
    run = msgspec.json.decode(out.read_bytes(), type=ComposedRun)
    say(f"(b) {run.outcome.read:,} posts: {run.cpu_seconds:.1f} CPU seconds")
    return run


def compare(
    bench: Bench, files: Sequence[Path], *, workers: Sequence[int], repeats: int, frozen: bool
) -> Comparison:
    """Runs (a) with each number of workers and (b), in turns, `repeats` times."""
    wholes, composeds = [], []
    for _ in range(repeats):
        wholes += [whole(bench, files, workers=n, frozen=frozen) for n in workers]
        composeds.append(composed(bench, files))
    compared = Comparison(size_of(files), tuple(wholes), tuple(composeds))
    results.check_outcomes(compared)
    return compared


def measure(arguments: argparse.Namespace, folder: Path) -> MainJob:
    """Measures everything that the arguments ask for."""
    bench = Bench(RECIPE, folder)
    files = posts_of(arguments.data)
    once = compare(bench, files, workers=WORKERS[-1:], repeats=arguments.repeats, frozen=False)
    say(f"writing {results.MULTIPLE} times the posts")
    more = write_multiple(files, folder / "posts", times=results.MULTIPLE)
    many = compare(bench, more, workers=WORKERS, repeats=1, frozen=True)
    peer = None
    if arguments.peer:
        peer = run_peer(
            load(RECIPE),
            files=files,
            tokenizer=bench.tokenizer,
            work=folder / "peer",
            num_posts=arguments.peer_posts,
            total=once.size.posts,
        )
        say(f"(c) {peer.posts:,} posts: {peer.cpu_seconds:.1f} CPU seconds")
    command = shlex.join(["python", "-m", "benchmarks.main_job", *sys.argv[1:]])
    about = f"`{command}`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, recipe `{RECIPE}`."
    return MainJob(about, once, many, peer)


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command."""
    made = parser_of("main_job", __doc__)
    add_data(made)
    made.add_argument("--repeats", type=int, default=3, help="of (a) and (b) on the posts")
    made.add_argument("--peer", action="store_true", help="measure datatrove too, in .venv-peer")
    made.add_argument("--peer-posts", type=int, default=60_000, help="posts that the peer gets")
    add_page(made)
    return made


def main() -> None:
    """Measures, prints the figures, and writes them where they are wanted."""
    arguments = parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        job = measure(arguments, Path(folder))
    publish(results.markdown(job), arguments.page, name="main_job")


if __name__ == "__main__":
    main()
