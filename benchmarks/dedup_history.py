"""Runs days of real posts one after the other with a history, and all of them at once.

    SLUICE_DATA=FOLDER python -m benchmarks.dedup_history --days 7 --work NEW_FOLDER --results PAGE

The days are the consecutive ones with the most posts. What day-by-day runs keep and the run over all days
does not, or the other way round, is counted: a day's clusters cannot know what later days hold.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

from benchmarks.command import add_data, add_page, parser_of
from benchmarks.page import publish, table
from benchmarks.process import this_machine
from benchmarks.real_posts import lines_of, posts_of
from benchmarks.whole import frozen, run_recipe

TITLE = "Days with a history"
HEAD = ("run", "read", "kept", "duplicates", "of these of earlier days", "seconds", "dedup CPU s")


def posts_by_day(data: Path) -> dict[date, list[bytes]]:
    """Returns the lines of the firehose that have a time, by day."""
    days: dict[date, list[bytes]] = {}
    for line in lines_of(posts_of(data)):
        created_at = msgspec.json.decode(line).get("created_at")
        if created_at and created_at[:4].isdigit() and int(created_at[:4]) > 1:
            days.setdefault(date.fromisoformat(created_at[:10]), []).append(line)
    return days


def busiest(sizes: dict[date, int], num_days: int) -> list[date]:
    """Returns the consecutive days that have the most posts together, all with some."""

    def span(first: date) -> list[date]:
        return [first + timedelta(days=i) for i in range(num_days)]

    whole = [first for first in sizes if all(day in sizes for day in span(first))]
    return span(max(whole, key=lambda first: (sum(sizes[day] for day in span(first)), first)))


def run(name: str, files: Sequence[Path], output: Path, *sets: str) -> list[object]:
    """Runs the default recipe; returns the row of its figures."""
    report, usage = run_recipe("default", files=files, output=output, sets=sets)
    posts: dict[str, Any] = report["posts"]
    history = report["dedup"]["history"] or {}
    cpu = {phase["name"]: phase["cpu_seconds"] for phase in report["phases"]}
    counts = [sum(of.values()) for of in (posts["duplicates"], history.get("duplicates", {}))]
    costs = (f"{usage.seconds:.1f}", f"{cpu['dedup']:.2f}", f"{cpu.get('history', 0.0):.2f}")
    per_post = f"{history.get('bytes_per_post', 0.0):.1f}"
    return [name, posts["read"], posts["kept"], *counts, *costs, per_post]


def kept_ids(output: Path) -> set[str]:
    """Returns the ids of the posts that an output kept."""
    files = [*output.glob("provenance/*.parquet"), *output.glob("leftover/*.parquet")]
    return {i for f in files for i in pq.read_table(f, columns=["post_id"])["post_id"].to_pylist()}


def files_of(folder: Path) -> dict[Path, bytes]:
    """Returns what a folder holds."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def measure(data: Path, work: Path, num_days: int) -> Iterator[str]:
    """Runs the days one by one and together; yields the section's lines."""
    by_day = posts_by_day(data)
    days = busiest({day: len(lines) for day, lines in by_day.items()}, num_days)
    history = work / "history"
    work.mkdir(parents=True)
    files = {str(day): work / f"{day}.jsonl" for day in days}
    for day, file in zip(days, files.values(), strict=True):
        file.write_bytes(b"".join(by_day[day]))
    together = run("all at once", list(files.values()), work / "together")
    sets = [frozen(work / "together" / "tokenizer" / "tokenizer.json"), f"dedup.history={history}"]
    rows = [run(name, [file], work / f"out-{name}", *sets) for name, file in files.items()]
    kept = Counter(i for name in files for i in kept_ids(work / f"out-{name}"))
    before, (name, file) = files_of(history), next(iter(files.items()))
    rows += [run(f"{name} again", [file], work / "again", *sets), together]
    whole, held = kept_ids(work / "together"), files_of(history)
    size = sum(map(len, held.values()))
    yield f"`python -m benchmarks.dedup_history --days {num_days}`, {this_machine()}."
    yield from ("", *table((*HEAD, "history CPU s", "bytes per post"), rows), "")
    yield (
        f"Day by day {len(kept):,} posts were kept, {sum(n - 1 for n in kept.values()):,} of them "
        f"twice; all at once {len(whole):,}. {len(whole & set(kept)):,} are the same. The history "
        f"holds {size:,} bytes, {size / max(len(kept), 1):.1f} a post, and the first day run again "
        f"{'changed no byte of it' if held == before else 'CHANGED it'}."
    )


def main() -> None:
    """Runs the days, compares, and prints or writes the section."""
    parser = parser_of("dedup_history", __doc__)
    add_data(parser)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--work", type=Path, required=True, help="a new folder")
    add_page(parser)
    options = parser.parse_args()
    figures = "\n".join(measure(options.data, options.work.resolve(), options.days))
    publish(figures, options.page, name="dedup_history", title=TITLE)


if __name__ == "__main__":
    main()
