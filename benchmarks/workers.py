"""What processes that share the work gain: wall time by phase on K times the firehose, and memory of each.

    python -m benchmarks.workers --data DATA --folder FOLDER --times 10 --results docs/operations.md

Runs of one and of several processes take turns, so that both see the same machine; nothing else should run.
"""

import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.command import add_data, add_page, parser_of, say
from benchmarks.multiple import write_multiple
from benchmarks.page import mib, publish, table
from benchmarks.process import this_machine
from benchmarks.real_posts import posts_of, size_of
from benchmarks.whole import run_recipe

Walls = dict[str, float]
"""Part of a run -> seconds of wall time."""


def walls(files: Sequence[Path], *, output: Path, workers: int) -> tuple[Walls, int]:
    """Runs `default` into a folder and removes it; returns the wall times and the peak memory in bytes."""
    report, usage = run_recipe("default", files=files, output=output, sets=(), workers=workers)
    shutil.rmtree(output)
    seconds = {phase["name"]: phase["seconds"] for phase in report["phases"]}
    steps = report["vocabulary"]["steps"]
    merges = sum(steps[step]["seconds"] for step in ("train", "save"))
    found = {
        "clean": seconds["clean"],
        "dedup": seconds["dedup"],
        "word counting": seconds["vocabulary"] - merges,
        "tokens": seconds["tokens"],
        "whole command, without the merges": usage.seconds - merges,
    }
    peak = max(
        phase["peak_rss_bytes"] for phase in report["phases"] if phase["name"] != "vocabulary"
    )
    return found, peak


def figures(measured: Mapping[int, Sequence[tuple[Walls, int]]], *, posts: int, times: int) -> str:
    """Returns the table of medians, and what was measured on."""
    one, several = sorted(measured)
    middle = {
        workers: {part: statistics.median(walls[part] for walls, _ in runs) for part in runs[0][0]}
        for workers, runs in measured.items()
    }
    rows = [
        (part, f"{middle[one][part]:.1f}", f"{middle[several][part]:.1f}",
         f"{middle[one][part] / middle[several][part]:.2f}")
        for part in middle[one]
    ]  # fmt: skip
    peaks = {workers: max(peak for _, peak in runs) for workers, runs in measured.items()}
    what = f"{posts:,} posts, {times} times the firehose; medians of {len(measured[one])} runs"
    memory = f"{mib(peaks[one])} MiB and {mib(peaks[several])} MiB"
    head = ("", f"{one} process, s", f"{several} processes, s", "times as fast")
    lines = [f"{what}; {this_machine()}.", "", *table(head, rows), ""]
    return "\n".join([*lines, f"Peak memory of all processes, training apart: {memory}."])


def main() -> int:
    """Measures, and prints or writes the table."""
    parser = parser_of("workers", __doc__)
    add_data(parser)
    add_page(parser)
    parser.add_argument("--folder", type=Path, required=True, help="for the posts and the outputs")
    parser.add_argument("--times", type=int, default=10, help="of the firehose (10)")
    parser.add_argument("--workers", type=int, default=2, help="processes, beside one (2)")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each (1)")
    arguments = parser.parse_args()
    posts = arguments.folder / f"posts-{arguments.times}"
    files = write_multiple(posts_of(arguments.data), posts, times=arguments.times)
    measured: dict[int, list[tuple[Walls, int]]] = {1: [], arguments.workers: []}
    for _ in range(arguments.repeat):
        for workers, runs in measured.items():
            output = arguments.folder / f"out-{workers}"
            runs.append(walls(files, output=output, workers=workers))
            say(f"{workers} process(es): {runs[-1][0]}")
    publish(
        figures(measured, posts=size_of(files).posts, times=arguments.times),
        arguments.page,
        name="workers",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
