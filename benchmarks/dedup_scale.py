"""Measures how deduplication scales: time per post, memory and disk, from small to large.

    SLUICE_DATA=FOLDER python -m benchmarks.dedup_scale --kind sample real template --work FOLDER
        [--posts 1000000,3000000,10000000] [--results benchmarks/DEDUP.md] [--limit 2147483648]

Each size is a whole run of the main job in a process of its own, with two workers and a frozen
tokenizer; `benchmarks.scale_corpora` says what the posts are. Posts stay in FOLDER, and are taken from there
by the next command; the output of a run is deleted when its figures are read.
"""

import argparse
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from benchmarks import scale_tables
from benchmarks.command import add_page, parser_of, say
from benchmarks.page import publish
from benchmarks.process import run_measured
from benchmarks.scale_corpora import KINDS, Corpus, Prefix, make
from benchmarks.scale_run import ScaleRun, run_watched
from benchmarks.whole import SLUICE, run_recipe

SIZES = {
    "sample": (1_000_000, 3_000_000, 10_000_000),
    "real": (1_000_000, 3_000_000, 10_000_000),
    "template": (100_000, 300_000, 1_000_000),
}
TOKENIZER_POSTS = 20_000


class Bench(NamedTuple):
    """How the sizes are measured.

    Attributes:
        work: folder for posts and what runs write.
        workers: processes that do units.
        limit_bytes: anonymous memory at which a run is killed; 0 for no limit.
    """

    work: Path
    workers: int = 2
    limit_bytes: int = 0

    @property
    def tokenizer(self) -> Path:
        """The frozen tokenizer.json of all runs."""
        return self.work / "tokenizer.json"


def prepare(bench: Bench, *, num_posts: int = TOKENIZER_POSTS) -> None:
    """Compiles the kernels, so that no run that is measured does; makes the frozen tokenizer."""
    log = bench.work / "prepare.log"
    run_measured([sys.executable, "-m", "sluice.schemas.compile_ahead"], log=log)
    if bench.tokenizer.exists():
        return
    say("making the tokenizer")
    posts, out = bench.work / "tokenizer-posts", bench.work / "tokenizer-out"
    shutil.rmtree(out, ignore_errors=True)
    command = [*SLUICE, "sample", str(posts), "--posts", str(num_posts), "--seed", "0"]
    run_measured(command, log=log)
    run_recipe("sample", files=sorted(posts.glob("*.jsonl.gz")), output=out, sets=())
    os.replace(out / "tokenizer" / "tokenizer.json", bench.tokenizer)
    shutil.rmtree(out)
    shutil.rmtree(posts)


def measure(bench: Bench, corpus: Corpus, prefix: Prefix) -> ScaleRun:
    """Returns the figures of a size.

    Raises:
        CommandError: the run failed, or went over the limit.
    """
    say(f"{corpus.name}, {prefix.posts:,} posts: runs")
    output = bench.work / "out"
    shutil.rmtree(output, ignore_errors=True)
    run = run_watched(
        corpus.name,
        corpus.recipe,
        asked=prefix.posts,
        files=prefix.files,
        output=output,
        tokenizer=bench.tokenizer,
        workers=bench.workers,
        limit_bytes=bench.limit_bytes,
    )
    shutil.rmtree(output)
    return run


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command."""
    made = parser_of("dedup_scale", __doc__)
    made.add_argument("--kind", nargs="+", choices=KINDS, default=["sample"])
    made.add_argument("--posts", type=sizes_of, help="sizes, with commas between; by the kind")
    made.add_argument("--work", type=Path, required=True, help="a folder that keeps posts")
    made.add_argument("--data", type=Path, default=os.environ.get("SLUICE_DATA"))
    made.add_argument("--workers", type=int, default=2)
    made.add_argument("--limit", type=int, default=0, help="bytes of memory that kill a run")
    add_page(made)
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
    words += ["--limit", str(bench.limit_bytes)] if bench.limit_bytes else []
    return shlex.join(words)


def main() -> None:
    """Measures every kind, prints its figures and puts them into the page."""
    arguments = parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the run under way ends too
    arguments.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(arguments.work.resolve(), arguments.workers, arguments.limit)
    prepare(bench)
    for kind in arguments.kind:
        sizes = arguments.posts or SIZES[kind]
        say(f"{kind}: posts are made, or found in {bench.work}")
        corpora = make(kind, sizes=sizes, work=bench.work, data=arguments.data)
        runs = [measure(bench, corpus, prefix) for corpus in corpora for prefix in corpus.prefixes]
        about = f"`{command_of(kind, sizes, bench)}`, {datetime.now(UTC):%Y-%m-%d}."
        text, title = scale_tables.markdown(runs, about=about), scale_tables.TITLES[kind]
        publish(text, arguments.page, name=f"dedup_scale, {kind}", title=title)


if __name__ == "__main__":
    main()
