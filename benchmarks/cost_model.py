"""What a day of 500 million posts costs, and a corpus of 20 trillion tokens, from what one run cost.

    python -m benchmarks.cost_model OUTPUT --files POSTS.jsonl.gz ...
    python -m benchmarks.cost_model OUTPUT --check OTHER --page docs/scale.md

OUTPUT is a finished run with its `work/`; any run of yours will do. With `--files` the main job is run over
them first, in one thread, and its units are timed. `--check` compares what the model says of a run of
another size with what that run wrote. `--set NAME=NUMBER` changes an assumption: prices, latencies, sizes.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from benchmarks.command import add_output, add_page, parser_of
from benchmarks.cost_measure import Measured, measure, run_timed
from benchmarks.cost_scale import (
    KEPT_READERS,
    RESOLVE,
    Assumptions,
    Layout,
    StageEstimate,
    distinct_words,
    driver_seconds,
    edge_bytes,
    layout,
    requests,
    stage_cpu,
)
from benchmarks.makespan import Steps, makespan, spread
from benchmarks.page import publish, table
from sluice.pipeline.phases.job import MAX_UNITS
from sluice.pipeline.units.exchange import RUN_BYTES

DAY: Final = 500_000_000
CORPUS_TOKENS: Final = 20e12
WORKERS: Final = (16, 64, 256, 1024)
SHOWN_WORKERS: Final = 64
SEED: Final = 1
SERIAL: Final = ("join", "train", "deal")
"""Stages of one unit."""


class Estimate(NamedTuple):
    """A run at scale.

    Attributes:
        driver: what the driver does alone -> seconds.
        bytes: of every edge.
    """

    posts: float
    cut: Layout
    stages: list[StageEstimate]
    driver: dict[str, float]
    bytes: dict[str, float]
    puts: float
    gets: float

    @property
    def cpu(self) -> float:
        """CPU seconds of all stages."""
        return sum(s.cpu for s in self.stages)

    @property
    def written(self) -> float:
        """Bytes of all files."""
        return sum(self.bytes.values())

    @property
    def work(self) -> float:
        """Bytes of the files between phases."""
        return self.written - self.kept

    @property
    def kept(self) -> float:
        """Bytes of the output itself: shards and their provenance, rejects."""
        return sum(self.bytes[n] for n in self.bytes if n.partition(".")[2] in _OUTPUT)

    def read(self, stored: float) -> float:
        """Returns the bytes that workers read: the input, and each edge as often as it is read."""
        work = {n: size for n, size in self.bytes.items() if n.partition(".")[2] not in _OUTPUT}
        again = self.bytes["clean.kept"] * (len(KEPT_READERS) - 1)
        return stored + sum(work.values()) + again


_OUTPUT: Final = ("shard", "provenance", "rejects", "tokenizer.json")


def estimate(run: Measured, posts: float, assumed: Assumptions) -> Estimate:
    """Returns what a run over so many posts costs."""
    cut = layout(run, posts, assumed)
    stages = stage_cpu(run, posts, cut, assumed)
    driver = driver_seconds(run, posts, cut, assumed)
    return Estimate(
        posts, cut, stages, driver, edge_bytes(run, posts, cut, assumed), *requests(run, cut)
    )


# --- how long, on how many workers ---------------------------------------------------------------


def jobs(run: Measured, made: Estimate, assumed: Assumptions) -> list[Steps]:
    """Returns what a run does, a job a phase; what opening a stage costs is added to a job's start."""
    found = []
    for phase in run.phase_cpu:
        stages, opening = [], 0.0
        for stage in (s for s in made.stages if s.phase == phase):
            opening += run.stage(stage.stage).opening
            stages.append((stage.stage, _units(run, stage, assumed)))
        driver = sum(made.driver.values()) if phase == "clean" else 0.0
        found.append(Steps(stages, driver, assumed.worker_start + opening))
    return found


def _units(run: Measured, stage: StageEstimate, assumed: Assumptions) -> np.ndarray:
    sample = np.array(run.stage(stage.stage).cpu[1:])
    slow = (assumed.slow_share, assumed.slow_factor) if stage.units > 1 else (0.0, 1.0)
    mean = (stage.cpu + stage.wait) / stage.units
    return spread(sample, stage.units, mean, seed=SEED, straggler=slow)


class Bill(NamedTuple):
    """What a run on Dataflow costs with so many workers of one core, in dollars."""

    workers: int
    hours: float
    cores: float
    memory: float
    shuffle: float
    requests: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.cores + self.memory + self.shuffle + self.requests


def bill(run: Measured, made: Estimate, assumed: Assumptions, workers: int) -> Bill:
    """Returns the bill: workers are paid from the first to the last second of the run."""
    hours = makespan(jobs(run, made, assumed), workers) / 3600
    return Bill(
        workers,
        hours,
        workers * hours * assumed.vcpu_hour,
        workers * hours * assumed.memory_gb * assumed.gb_hour,
        shuffled(run, made) / 1e9 * assumed.shuffle_gb,
        made.puts / 1000 * assumed.put_1000 + made.gets / 1000 * assumed.get_1000,
    )


def shuffled(run: Measured, made: Estimate) -> float:
    """Returns the bytes that GroupByKeys carry: names and places of ranges, no rows."""
    return sum(made.cut.ranges().values()) * run.source_bytes


# --- the page --------------------------------------------------------------------------------------


def page(run: Measured, assumed: Assumptions, larger: Measured | None) -> Iterator[str]:
    """Yields the tables."""
    made = estimate(run, DAY, assumed)
    sections = {
        "A day of 500 million posts: how it is cut": cut_table(made),
        "CPU seconds": cpu_table(run, made),
        "What does not get faster with workers": serial_table(run, made, assumed),
        "Bytes, requests and what crosses a shuffle": data_table(run, made, assumed.gets_second),
        "Hours and dollars by the number of workers": bill_table(run, made, assumed),
        "What moves the first bottleneck": variants_table(run, assumed),
        "Memory": memory_table(run, assumed),
        "With a history": history_table(run, assumed),
        "A corpus of 20 trillion tokens": corpus_table(run, made, assumed),
    }
    if larger is not None:
        sections["What the model says of another run"] = check_table(run, larger, assumed)
    values = msgspec.structs.asdict(assumed).items()
    rows = [(f"`{name}`", f"{value:g}") for name, value in values]
    sections["Assumed"] = table(("assumption", "value"), rows)
    for title, lines in sections.items():
        yield from (f"### {title}", "", *lines, "")


def cut_table(made: Estimate) -> list[str]:
    """Returns the pieces of a day, and the ranges of its exchanges."""
    cut, ranges = made.cut, made.cut.ranges()
    rows: list[tuple[str, object]] = [
        ("input units", cut.units),
        ("key partitions, with so many ranges of each unit", f"{cut.keys:,} x {cut.runs}"),
        ("component, word and pack partitions", f"{cut.resolve:,}, {cut.words:,} and {cut.pack:,}"),
        ("shards", cut.shards),
        *((f"ranges of {name}", n) for name, n in ranges.items()),
    ]
    return table(("", "a day"), rows)


def cpu_table(run: Measured, made: Estimate) -> list[str]:
    """Returns CPU seconds by stage: measured, for a post, and for a day."""
    usec = {s.stage: run.stage(s.stage).working / run.posts * 1e6 for s in made.stages}
    rows: list[tuple[object, ...]] = [
        (s.phase, s.stage, f"{usec[s.stage]:.2f}", s.units, f"{s.cpu:,.0f}", f"{s.wait:,.0f}")
        for s in made.stages
    ]
    wait = sum(s.wait for s in made.stages)
    rows.append(("all", "", f"{sum(usec.values()):.2f}", "", f"{made.cpu:,.0f}", f"{wait:,.0f}"))
    rows.append(("in hours", "", "", "", f"{made.cpu / 3600:,.1f}", f"{wait / 3600:,.1f}"))
    head = ("phase", "stage", "CPU us per post, measured", "units")
    return table((*head, "CPU s per day", "waiting, s per day"), rows)


def serial_table(run: Measured, made: Estimate, assumed: Assumptions) -> list[str]:
    """Returns the steps of one unit and the driver's own, and the bound that they set."""
    alone = [s for s in made.stages if s.stage in SERIAL]
    starts = len(run.phase_cpu) * assumed.worker_start + sum(s.opening for s in run.stages)
    together = sum(s.cpu + s.wait for s in alone) + sum(made.driver.values()) + starts
    rows = [
        *((f"{s.phase} {s.stage}", f"{s.cpu:,.0f} and {s.wait:,.0f} of waiting") for s in alone),
        *((f"driver: {name}", f"{seconds:,.0f}") for name, seconds in made.driver.items()),
        ("workers of four jobs begin, models and tables are opened", f"{starts:,.0f}"),
        ("together", f"{together:,.0f}"),
    ]
    return table(("step", "seconds a day"), rows)


def data_table(run: Measured, made: Estimate, rate: float) -> list[str]:
    """Returns bytes and requests of a day."""
    stored = run.stored_bytes * made.posts / run.posts
    most = made.cut.units * made.cut.runs * run.source_bytes
    largest = sorted(made.bytes, key=lambda n: -made.bytes[n])[:9]
    rows = [
        ("input as it is stored", f"{stored / 1e9:,.1f} GB"),
        *((name, f"{made.bytes[name] / 1e9:,.1f} GB") for name in largest),
        ("all files written", f"{made.written / 1e9:,.1f} GB"),
        ("of them the output", f"{made.kept / 1e9:,.1f} GB"),
        ("read from storage", f"{made.read(stored) / 1e9:,.1f} GB"),
        ("puts and gets", f"{made.puts:,.0f} and {made.gets / 1e6:,.1f} M"),
        (f"gets, at {rate:,.0f} a second", f"{made.gets / rate / 3600:.1f} hours"),
        ("through GroupByKeys: ranges, no rows", f"{shuffled(run, made) / 1e9:,.2f} GB"),
        ("largest element: the ranges of a key partition", f"{most / 1e6:,.2f} MB"),
    ]
    return table(("", "a day"), rows)


def bill_table(run: Measured, made: Estimate, assumed: Assumptions) -> list[str]:
    """Returns hours and dollars of a day for each number of workers."""
    rows = []
    for workers in WORKERS:
        b = bill(run, made, assumed, workers)
        busy = made.cpu / 3600 / (workers * b.hours)
        parts = (b.cores, b.memory, b.shuffle, b.requests, b.total)
        rows.append((workers, f"{b.hours:.2f}", f"{busy:.0%}", *(f"{p:.2f}" for p in parts)))
    head = ("workers of one core", "hours", "busy", "cores", "memory", "shuffle", "requests")
    return table((*head, "dollars"), rows)


LARGE: Final = 256 << 20
FAST: Final = {"request_seconds": 0.0005, "put_1000": 0.0, "get_1000": 0.0}
VARIANTS: Final = (
    ("as it is built, on an object store", {}),
    ("one request after the other", {"requests_at_once": 1}),
    ("runs of 16 MiB, whatever the partitions", {"max_run_bytes": RUN_BYTES}),
    ("units of 256 MiB", {"unit_bytes": LARGE}),
    ("key partitions of 256 MiB of input", {"key_partition_bytes": LARGE}),
    ("units and key partitions of 256 MiB", {"unit_bytes": LARGE, "key_partition_bytes": LARGE}),
    ("as it is built, on a file system that answers in 0.5 ms", FAST),
)


def variants_table(run: Measured, assumed: Assumptions) -> list[str]:
    """Returns what a day takes where one thing is changed."""
    rows = []
    for name, changed in VARIANTS:
        these = msgspec.structs.replace(assumed, **changed)
        made = estimate(run, DAY, these)
        b = bill(run, made, these, SHOWN_WORKERS)
        wait = sum(s.wait for s in made.stages) / 3600
        ranges = sum(made.cut.ranges().values())
        at_rate = made.gets / these.gets_second / 3600 if these.get_1000 else 0.0
        hours = (f"{wait:,.0f}", f"{b.hours:.2f}", f"{at_rate:.2f}")
        rows.append((name, f"{ranges / 1e6:,.1f} M", *hours, f"{b.requests:.2f}", f"{b.total:.2f}"))
    head = (
        *("", "ranges", "hours of waiting", f"hours, {SHOWN_WORKERS} workers"),
        *("hours at the store's rate", "requests, dollars", "all, dollars"),
    )
    return table(head, rows)


def memory_table(run: Measured, assumed: Assumptions) -> list[str]:
    """Returns what workers hold, as measured, and the steps whose memory grows with the day."""
    kept = run.kept * DAY / run.posts
    words = distinct_words(run, DAY, assumed)
    join = f"join, a day: 5 bytes each of {kept / 1e6:,.0f} million posts"
    train = f"train, a day: 210 bytes each of {words / 1e6:,.1f} million words"
    held = {f"{name}, all processes of the run": n for name, n in run.peak_bytes.items()}
    held |= {join: kept * 5, train: words * 210}
    return table(("", "most"), [(name, f"{n / 1e9:.2f} GB") for name, n in held.items()])


def history_table(run: Measured, assumed: Assumptions) -> list[str]:
    """Returns what comparing with earlier days adds to a day."""
    left = run.survivors / run.posts * DAY
    posts = left * assumed.history_days
    held, keys = posts * assumed.history_bytes, posts * assumed.history_keys
    rows = [
        ("posts remembered", f"{posts / 1e9:.1f} billion"),
        ("held", f"{held / 1e12:.1f} TB"),
        ("reading their keys, CPU s per day", f"{keys * assumed.history_key_cpu:,.0f}"),
        ("remembering the day, CPU s", f"{left * assumed.record_cpu:,.0f}"),
        ("a month of storage, dollars", f"{held / 1e9 * assumed.gb_month:,.0f}"),
    ]
    return table((f"{assumed.history_days} days", ""), rows)


def corpus_table(run: Measured, made: Estimate, assumed: Assumptions) -> list[str]:
    """Returns what 20 trillion tokens take, as days and as one run."""
    tokens = run.tokens / run.posts * DAY
    days = CORPUS_TOKENS / tokens
    posts = days * DAY
    one, of_day = estimate(run, posts, assumed), bill(run, made, assumed, SHOWN_WORKERS)
    shards = made.bytes["shard.shard"] * days
    rows = [
        ("tokens a day", f"{tokens / 1e9:,.1f} billion", ""),
        ("posts to read", f"{posts / 1e9:,.0f} billion", "the same"),
        ("runs", f"{days:,.0f} days", "1"),
        ("core hours", f"{made.cpu * days / 3600:,.0f}", f"{one.cpu / 3600:,.0f}"),
        ("shards", f"{shards / 1e12:,.1f} TB", f"{one.bytes['shard.shard'] / 1e12:,.1f} TB"),
        ("shards for a month", f"{shards / 1e9 * assumed.gb_month:,.0f} dollars", "the same"),
        ("between phases", f"{made.work / 1e12:,.2f} TB a day", f"{one.work / 1e12:,.0f} TB"),
        (f"bills, {SHOWN_WORKERS} workers", f"{of_day.total * days:,.0f} dollars", "does not run:"),
        ("input units", f"{made.cut.units:,}", f"{one.cut.units:,}; the limit is {MAX_UNITS:,}"),
        (
            "numbers of union-find",
            *(f"{run.kept * p / run.posts:.2g} of {2**32:.2g}" for p in (DAY, posts)),
        ),
        ("ranges of keys", *(f"{e.cut.ranges()['clean.keys']:.2g}" for e in (made, one))),
        ("key rows in a partition", *(f"{_key_rows(run, e):.2g}" for e in (made, one))),
    ]
    return table(("", "as days", "as one run"), rows)


def _key_rows(run: Measured, made: Estimate) -> float:
    return run.bytes_of("clean.keys") / 12 * made.posts / run.posts / made.cut.keys


def check_table(run: Measured, larger: Measured, assumed: Assumptions) -> list[str]:
    """Returns the bytes and CPU seconds of another run beside what the model says of it."""
    rows: list[tuple[object, ...]] = [
        (name, round(said), found, f"{said / found - 1:+.0%}")
        for name, (said, found) in predicted(run, larger, assumed).items()
    ]
    if seconds := sum(s.working for s in larger.stages):  # it was timed
        said = sum(s.cpu for s in stage_cpu(run, larger.posts, _cut_of(larger), assumed))
        more = f"{said / seconds - 1:+.0%}"
        rows.append(("CPU s of all stages", f"{said:.1f}", f"{seconds:.1f}", more))
    head = ("bytes of", f"said from {run.posts:,} posts", f"a run of {larger.posts:,}", "")
    return table(head, rows)


def predicted(
    run: Measured, larger: Measured, assumed: Assumptions, *, least: float = 0.01
) -> dict[str, tuple[float, int]]:
    """Returns what the model says of another run, and what that run wrote: all, and its larger edges.

    Args:
        run: what the model is fed with.
        larger: the other run; only its posts and partitions are used to say what it wrote.
        assumed: as for a page.
        least: an edge has at least this share of all bytes.
    """
    said = edge_bytes(run, larger.posts, _cut_of(larger), assumed)
    found = {f"{e.stage}.{e.name}": e.bytes for e in larger.edges}
    both = {n: (said[n], size) for n, size in found.items() if n in said}
    whole = sum(size for _, size in both.values())
    every = {"all files": (sum(size for size, _ in both.values()), whole)}
    return every | {n: pair for n, pair in both.items() if pair[1] >= least * whole}


def _cut_of(run: Measured) -> Layout:
    """Returns how a run was cut, from its own units."""
    by = {s.stage: s.units for s in run.stages}
    return Layout(
        units=by["clean"],
        keys=by["buckets"],
        resolve=by[RESOLVE],
        words=by.get("words", 1),
        pack=by["pack"],
        shards=by["shard"],
        runs=1,
        sequences=run.sequences,
    )


def main() -> int:
    """Prints the tables, and writes them into a page."""
    parser = parser_of("cost_model", __doc__)
    add_output(parser)
    parser.add_argument("--files", nargs="+", default=[], help="run the main job over these first")
    parser.add_argument("--recipe", default="default", help="of that run")
    parser.add_argument("--check", type=Path, metavar="OUTPUT", help="a run of another size")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=NUMBER")
    add_page(parser, "--page")
    parsed = parser.parse_args()
    if parsed.files:
        code = run_timed([parsed.recipe, "--input", *parsed.files], output=parsed.output)
        if code:
            return code
    values = dict(setting.split("=", 1) for setting in parsed.set)
    assumed = msgspec.convert(values, Assumptions, strict=False)
    larger = measure(parsed.check) if parsed.check else None
    text = "\n".join(page(measure(parsed.output), assumed, larger)).rstrip()
    publish(text, parsed.page, name="cost_model")
    return 0


if __name__ == "__main__":
    sys.exit(main())
