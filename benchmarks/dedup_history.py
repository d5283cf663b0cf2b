"""Runs days of real posts one after the other with a history, and all of them at once.

    SLUICE_DATA=FOLDER python -m benchmarks.dedup_history --days 7 --work NEW_FOLDER --results PAGE

The days are the consecutive ones with the most posts. What day-by-day runs keep and the run over all days
does not, or the other way round, is counted: a day's clusters cannot know what later days hold.
"""

import gzip
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from benchmarks.command import parser_of
from benchmarks.page import publish, table
from benchmarks.process import this_machine

TITLE = "Days with a history"


class Day(NamedTuple):
    """What a run did.

    Attributes:
        seconds: of wall time.
        cpu_seconds: of phase dedup, and of phase history.
    """

    name: str
    read: int
    kept: int
    duplicates: dict[str, int]
    earlier: dict[str, int]
    seconds: float
    cpu_seconds: tuple[float, float]
    bytes_per_post: float


def posts_by_day(folder: Path) -> dict[date, list[str]]:
    """Returns the lines of the firehose that have a time, by day."""
    days: dict[date, list[str]] = {}
    for path in sorted((folder / "firehose").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                created_at = json.loads(line).get("created_at")
                if created_at and created_at[:4].isdigit() and int(created_at[:4]) > 1:
                    days.setdefault(date.fromisoformat(created_at[:10]), []).append(line)
    return days


def busiest(sizes: dict[date, int], num_days: int) -> list[date]:
    """Returns the consecutive days that have the most posts together, all with some."""

    def span(first: date) -> list[date]:
        return [first + timedelta(days=i) for i in range(num_days)]

    whole = [first for first in sizes if all(day in sizes for day in span(first))]
    return span(max(whole, key=lambda first: (sum(sizes[day] for day in span(first)), first)))


def run(files: Sequence[Path], output: Path, *sets: str) -> dict[str, Any]:
    """Runs the default recipe; returns report.json with `seconds`."""
    command = [
        sys.executable,
        "-m",
        "sluice.pipeline.cli",
        "run",
        "default",
        "--output",
        str(output),
    ]
    for file in files:
        command += ["--input", str(file)]
    for setting in sets:
        command += ["--set", setting]
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    report: dict[str, Any] = json.loads((output / "report" / "report.json").read_text())
    return report | {"seconds": time.monotonic() - start}


def kept_ids(output: Path) -> set[str]:
    """Returns the ids of the posts that an output kept."""
    files = [*output.glob("provenance/*.parquet"), *output.glob("leftover/*.parquet")]
    return {i for f in files for i in pq.read_table(f, columns=["post_id"])["post_id"].to_pylist()}


def about(name: str, report: dict[str, Any]) -> Day:
    """Returns the figures of a report."""
    history = report["dedup"]["history"] or {}
    cpu = {p["name"]: p["cpu_seconds"] for p in report["phases"]}
    return Day(
        name,
        report["posts"]["read"],
        report["posts"]["kept"],
        report["posts"]["duplicates"],
        history.get("duplicates", {}),
        report["seconds"],
        (cpu["dedup"], cpu.get("history", 0.0)),
        history.get("bytes_per_post", 0.0),
    )


HEAD = (
    *("run", "read", "kept", "duplicates", "of these of earlier days", "seconds", "dedup CPU s"),
    *("history CPU s", "bytes per post"),
)


def row(day: Day) -> list[object]:
    """Returns the cells of a run."""
    counts = [day.read, day.kept, sum(day.duplicates.values()), sum(day.earlier.values())]
    costs = [f"{day.seconds:.1f}", *(f"{s:.2f}" for s in day.cpu_seconds)]
    return [day.name, *counts, *costs, f"{day.bytes_per_post:.1f}"]


def main() -> None:
    """Runs the days, compares, and prints or writes the section."""
    parser = parser_of("dedup_history", __doc__)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    figures = "\n".join(measure(arguments.work, arguments.days))
    publish(figures, arguments.results, name="dedup_history", title=TITLE)


def measure(work: Path, num_days: int) -> Iterator[str]:
    """Runs the days one by one and together; yields the section's lines."""
    by_day = posts_by_day(Path(os.environ["SLUICE_DATA"]))
    days = busiest({day: len(lines) for day, lines in by_day.items()}, num_days)
    work.mkdir(parents=True)
    files = []
    for day in days:
        files.append(work / f"{day}.jsonl")
        files[-1].write_text("".join(by_day[day]), "utf-8")
    together = run(files, work / "together")
    frozen = f"vocabulary.tokenizer={work / 'together' / 'tokenizer' / 'tokenizer.json'}"
    rows, kept = [], Counter[str]()
    for day, file in zip(days, files, strict=True):
        report = run([file], work / f"out-{day}", frozen, f"dedup.history={work / 'history'}")
        rows.append(about(str(day), report))
        kept.update(kept_ids(work / f"out-{day}"))
    before = {p: p.read_bytes() for p in (work / "history").rglob("*") if p.is_file()}
    again = run([files[0]], work / "again", frozen, f"dedup.history={work / 'history'}")
    unchanged = before == {p: p.read_bytes() for p in (work / "history").rglob("*") if p.is_file()}
    rows.append(about(f"{days[0]} again", again))
    rows.append(about("all at once", together))
    whole = kept_ids(work / "together")
    size = sum(p.stat().st_size for p in (work / "history").rglob("*") if p.is_file())
    yield f"`python -m benchmarks.dedup_history --days {num_days}`, {this_machine()}."
    yield ""
    yield from table(HEAD, [row(day) for day in rows])
    yield ""
    yield (
        f"Day by day {len(kept):,} posts were kept, {sum(n - 1 for n in kept.values()):,} of them "
        f"twice; all at once {len(whole):,}. {len(whole & set(kept)):,} are the same. The history "
        f"holds {size:,} bytes, {size / max(len(kept), 1):.1f} a post, and the first day run again "
        f"{'changed no byte of it' if unchanged else 'CHANGED it'}."
    )


if __name__ == "__main__":
    main()
