"""The exchange by files and ranges beside Beam's own shuffle of the rows, on this machine and on Spark.

    python -m benchmarks.exchange OUTPUT --software .venv-spark --page benchmarks/EXCHANGE.md

OUTPUT is a finished run with its `work/`. Its clean units' keys are partitioned again and every
partition is folded to a count and a sum: by `sluice.pipeline.units.exchange` (a unit writes a file,
ranges of it are grouped), and by a GroupByKey of the rows themselves, as Arrow bytes by partition. Both
must find the same. Seconds of CPU are those of the whole machine: leave it alone while this runs.
"""

import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa

from benchmarks.command import add_output, add_page, parser_of
from benchmarks.kept_posts import clean_units
from benchmarks.page import publish, table
from benchmarks.process import ROOT
from sluice.pipeline.engine.beam.graph import Regroup
from sluice.pipeline.engine.beam.options import beam_options
from sluice.pipeline.phases.edges import KEYS
from sluice.pipeline.processes.cost import Meter
from sluice.pipeline.storage.sealed import write_sealed
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Done, Unit
from sluice.schemas import hashing
from sluice.schemas.arrays import Int64s
from sluice.schemas.counts import NoCounts
from tests.cluster.__main__ import busy_seconds
from tests.cluster.spark import Software, running

NUM_PARTITIONS, ROUNDS = 64, 3
"""Partitions of the keys; rounds of all four, whose medians are shown."""

Folded = tuple[int, int, int]
"""(partition, rows, the sum of their keys modulo 2^63)."""


def keys_of(done: Done) -> Iterator[pa.RecordBatch]:
    """Yields the keys that a clean unit wrote."""
    entry = done.manifest().files["keys"]
    yield from exchange.read_ranges(os.path.join(done.folder, entry.name), entry.ranges)


def partition_of(rows: pa.RecordBatch) -> Int64s:
    """Returns (N,) int64, the partition of each row, as the clean phase assigns them."""
    return hashing.partition_of(np.asarray(rows.column("key")), NUM_PARTITIONS).astype(np.int64)


def write_file(done: Done, folder: str) -> Done:
    """Does a map unit as the pipeline does it: one file, sorted by partition, with its index."""
    attempt = Attempt(folder, done.unit)
    path = attempt.path("keys")
    with exchange.Writer(path, schema=KEYS, num_partitions=NUM_PARTITIONS) as writer:
        for rows in keys_of(done):
            writer.write(rows, partition_of(rows))
    attempt.add("keys", path, ranges=writer.ranges)
    attempt.commit(NoCounts())
    return Done(folder, done.unit)


def send_rows(done: Done) -> Iterator[tuple[int, bytes]]:
    """Yields (partition, its rows of a unit as an Arrow stream), in runs of the same size as files have."""
    held: list[pa.RecordBatch] = []
    for rows in keys_of(done):
        held.append(rows)
        if sum(r.nbytes for r in held) >= exchange.run_bytes(NUM_PARTITIONS):
            yield from _streams(pa.concat_batches(held))
            held = []
    if held:
        yield from _streams(pa.concat_batches(held))


def _streams(rows: pa.RecordBatch) -> Iterator[tuple[int, bytes]]:
    partition_N = partition_of(rows)
    order_N = np.argsort(partition_N, kind="stable")
    starts_P1 = np.searchsorted(partition_N[order_N], np.arange(NUM_PARTITIONS + 1))
    rows = rows.take(pa.array(order_N))
    for number in range(NUM_PARTITIONS):
        start, stop = int(starts_P1[number]), int(starts_P1[number + 1])
        if stop > start:
            made = pa.BufferOutputStream()
            with pa.ipc.new_stream(made, KEYS) as stream:
                stream.write_batch(rows.slice(start, stop - start))
            yield number, made.getvalue().to_pybytes()


def fold_unit(unit: Unit) -> Folded:
    """Returns what the ranges of a partition hold."""
    return _folded(unit.payload["partition"], (rows for _, rows in exchange.read(unit)))


def fold_group(group: tuple[int, Iterable[bytes]]) -> Folded:
    """Returns what the streams of a partition hold."""
    number, streams = group
    return _folded(number, (rows for data in streams for rows in pa.ipc.open_stream(data)))


def _folded(number: int, batches: Iterable[pa.RecordBatch]) -> Folded:
    count, total = 0, 0
    for rows in batches:
        count += rows.num_rows
        total += int(np.asarray(rows.column("key")).sum(dtype=np.uint64))
    return number, count, total % 2**63


def record(folded: Folded, folder: str) -> None:
    """Writes what was found in a partition."""
    write_sealed(f"{folder}/{folded[0]:05d}.json", {"rows": folded[1], "keys": folded[2]})


def by_files(units: Any, folder: str) -> Any:
    """Adds the exchange that the pipeline has."""
    written = units | beam.Map(write_file, f"{folder}/files").with_output_types(Done)
    return written | Regroup(exchange.Exchange("keys", name="fold")) | beam.Map(fold_unit)


def by_rows(units: Any, folder: str) -> Any:
    """Adds a GroupByKey of the rows."""
    sent = units | beam.FlatMap(send_rows).with_output_types(tuple[int, bytes])
    return sent | beam.GroupByKey() | beam.Map(fold_group)


WAYS: dict[str, Callable[[Any, str], Any]] = {
    "files and ranges": by_files,
    "GroupByKey of rows": by_rows,
}


class Took(NamedTuple):
    """What a way cost once."""

    wall: float
    cpu: float
    peak: int


def run(way: str, units: Sequence[Done], folder: Path, flags: Sequence[str]) -> Took:
    """Runs one way on an engine; what it finds is in `folder`/found."""
    shutil.rmtree(folder, ignore_errors=True)
    with Meter() as meter:
        begun, busy = time.monotonic(), busy_seconds()
        pipeline = beam.Pipeline(options=beam_options(flags))
        folded = WAYS[way](pipeline | beam.Create(list(units)), str(folder))
        _ = folded | beam.Map(partial(record, folder=f"{folder}/found"))
        pipeline.run().wait_until_finish()
        wall, cpu = time.monotonic() - begun, busy_seconds() - busy
        return Took(wall, cpu, meter.lap().peak_rss_bytes)


def found(folder: Path) -> dict[str, bytes]:
    """Returns what a way found, by partition."""
    return {path.name: path.read_bytes() for path in (folder / "found").iterdir()}


def shuffled(way: str, units: Sequence[Done], folder: Path) -> int:
    """Returns the bytes of the values that a way hands to the GroupByKey."""
    if way == "files and ranges":
        done = [Done(f"{folder}/files", unit.unit) for unit in units]
        return sum(
            len(msgspec.json.encode(source))
            for d in done
            for _, source in exchange.sources(d, "keys")
        )
    return sum(len(data) for unit in units for _, data in send_rows(unit))


def main() -> None:
    """Times both ways on both engines by turns, and writes the table."""
    parser = parser_of("exchange", __doc__)
    add_output(parser)
    parser.add_argument("--software", default=".venv-spark", help="what make install made")
    add_page(parser, "--page")
    parsed = parser.parse_args()
    units = clean_units(parsed.output)
    took: dict[tuple[str, str], list[Took]] = {}
    through: dict[str, int] = {}
    software = dataclasses.replace(Software.at(Path(parsed.software).resolve()), modules=str(ROOT))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with running(software, logs=folder / "logs") as cluster:
            expected: dict[str, bytes] = {}
            for engine, flags in [("this machine", ()), ("Spark", cluster.flags)] * ROUNDS:
                for way in WAYS:
                    at = folder / "way"
                    took.setdefault((engine, way), []).append(run(way, units, at, flags))
                    expected = expected or found(at)
                    assert found(at) == expected, f"{engine}, {way}: other rows"
                    through[way] = shuffled(way, units, at)
    rows = [_row(engine, way, costs, through[way]) for (engine, way), costs in took.items()]
    head = ("engine", "way", "wall s", "CPU s", "peak MB, all processes", "MB through the shuffle")
    publish("\n".join(table(head, rows)), parsed.page, name="exchange", title="Keys of a run")


def _row(engine: str, way: str, costs: Sequence[Took], through: int) -> list[str]:
    wall, cpu, peak = (float(np.median([c[i] for c in costs])) for i in range(3))
    return [engine, way, f"{wall:.1f}", f"{cpu:.1f}", f"{peak / 1e6:,.0f}", f"{through / 1e6:.2f}"]


if __name__ == "__main__":
    main()
