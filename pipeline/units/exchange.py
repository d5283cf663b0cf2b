"""The one place where rows change machines.

A map unit writes one file, sorted by partition in runs of bounded size, and its manifest holds the
index of byte ranges. A GroupByKey carries `(partition, ranges)`, never rows; a reduce unit reads its
ranges in the order of (unit, offset). Grouping the rows themselves holds 4 to 5 times their bytes in
memory on Beam's local runner, and all rows of a key at once on Spark.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.checksums import crc32
from sluice.pipeline.units.manifest import (
    Done,
    Range,
    Unit,
    done_units,
    found_manifests,
    manifests,
    numbered_unit,
)
from sluice.schemas.arrays import Array

RUN_BYTES = 16 << 20
"""A map unit holds about this much before it writes a run, and more where there are many partitions."""
RANGE_BYTES = 64 << 10
"""A partition's share of a run: less is not worth a request to an object store."""
MAX_RUN_BYTES = 256 << 20


class SourceRange(msgspec.Struct, frozen=True, array_like=True):
    """One byte range of a partition, with the unit that wrote it and its file.

    The file's name and the range's checksum travel along, so that a reader opens no manifest: a unit's has a
    range for every partition, and every partition would read that of every unit.
    """

    folder: str
    unit: str
    offset: int
    length: int
    rows: int
    file: str
    crc32: int

    @property
    def place(self) -> tuple[str, int, int]:
        """Path, offset and length."""
        return storage.join(self.folder, self.file), self.offset, self.length


def run_bytes(num_partitions: int) -> int:
    """Returns what a map unit holds, at most, before it writes a run: a range for each partition."""
    return min(MAX_RUN_BYTES, max(RUN_BYTES, num_partitions * RANGE_BYTES))


class Writer:
    """Writes rows sorted by partition.

    Args:
        path: the file.
        schema: of the rows.
        num_partitions: P.
        compression: of the IPC streams, or None for data that does not compress.
    """

    def __init__(
        self, path: str, *, schema: pa.Schema, num_partitions: int, compression: str | None = None
    ):
        self._file = pa.OSFile(path, "wb")
        self._schema, self._num_partitions = schema, num_partitions
        self._run_bytes = run_bytes(num_partitions)
        self._options = pa.ipc.IpcWriteOptions(compression=compression, use_threads=False)
        # NumPy sorts 16-bit integers by radix, six times faster than wider ones.
        self._number = np.int16 if num_partitions <= 1 << 15 else np.int32
        self._held: list[tuple[Array, pa.RecordBatch]] = []
        self._held_bytes = 0
        self.ranges: list[Range] = []

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._file.close()

    def write(self, rows: pa.RecordBatch, partition_N: Array) -> None:
        """Takes rows and the partition of each, (N,) integers in [0, P)."""
        if rows.num_rows:
            self._held.append((partition_N.astype(self._number), rows))
            self._held_bytes += rows.nbytes
        if self._held_bytes >= self._run_bytes:
            self._flush()

    def _flush(self) -> None:
        if not self._held:
            return
        partition_N = np.concatenate([p for p, _ in self._held])
        rows = pa.concat_batches([r for _, r in self._held])
        self._held, self._held_bytes = [], 0
        order_N = np.argsort(partition_N, kind="stable")
        starts_P = np.searchsorted(partition_N[order_N], np.arange(self._num_partitions + 1))
        rows = rows.take(pa.array(order_N))
        for partition in range(self._num_partitions):
            start, stop = int(starts_P[partition]), int(starts_P[partition + 1])
            if stop > start:
                self._write_range(partition, rows.slice(start, stop - start))

    def _write_range(self, partition: int, rows: pa.RecordBatch) -> None:
        offset, buffer = self._file.tell(), pa.BufferOutputStream()
        with pa.ipc.new_stream(buffer, self._schema, options=self._options) as stream:
            stream.write_batch(rows)
        data = buffer.getvalue()
        self._file.write(data)
        self.ranges.append(Range(partition, offset, data.size, rows.num_rows, crc32(data)))


class Exchange(NamedTuple):
    """Finished units in; one unit for each partition of their file out, or one that knows them all.

    Names of units and byte ranges cross it, and no rows.

    Attributes:
        edge: the finished units' file that is exchanged; None for the one unit, for the few global steps.
        name: of the one unit; those of partitions are called `<name>-<partition>`.
    """

    edge: str | None
    name: str

    def given(self, done: Done) -> Iterator[tuple[int, list[Any]]]:
        """Yields (partition, a SourceRange as a list) for every range of a finished unit's file."""
        yield from sources(done, self.edge)

    def unit(self, partition: int, given: Iterable[list[Any]]) -> Unit:
        """Returns the unit of a partition, or the one unit, by what it is given in any order."""
        if self.edge is None:
            return Unit(self.name, {"done": sorted(map(list, given), key=lambda d: d[1])})
        return reduce_unit(partition, given, name=self.name)


def sources(done: Done, edge: str | None) -> Iterator[tuple[int, list[Any]]]:
    """Yields (partition, a SourceRange as a list) for every range of a unit's file, or (0, the unit)."""
    if edge is None:
        yield 0, [done.folder, done.unit]
    elif (entry := done.manifest().files.get(edge)) is not None:
        for r in entry.ranges:
            place = [r.offset, r.length, r.rows]
            yield r.partition, [done.folder, done.unit, *place, entry.name, r.crc32]


def reduce_unit(partition: int, sources: Iterable[list[Any]], *, name: str) -> Unit:
    """Returns the unit of a partition, its ranges in the order of (unit, offset)."""
    ranges = sorted(map(list, sources), key=lambda s: (s[1], s[2]))
    return numbered_unit(name, partition, {"sources": ranges})


def unit_sources(unit: Unit) -> list[SourceRange]:
    """Returns the byte ranges that a reduce unit reads, in order."""
    return [msgspec.convert(s, SourceRange) for s in unit.payload["sources"]]


def read(unit: Unit) -> Iterator[tuple[SourceRange, pa.RecordBatch]]:
    """Yields the rows of a reduce unit with where each batch came from, in the order of (unit, offset)."""
    sources = unit_sources(unit)
    # One read per range: mapping it costs three times as much, in faults of its pages.
    held = storage.read_ranges(source.place for source in sources)
    for source in sources:
        for batch in _checked(source, held):
            yield source, batch


def _checked(source: SourceRange, held: Iterator[bytes]) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a range; raises DamagedError where they are not those that its unit wrote."""
    done, path = Done(source.folder, source.unit), source.place[0]
    where = f"bytes {source.offset} to {source.offset + source.length}"
    try:
        data = next(held)
    except FileNotFoundError:
        raise done.damaged(path, "is missing") from None
    if len(data) != source.length:
        raise done.damaged(path, f"was cut: it ends before its {where}")
    if crc32(data) != source.crc32:
        raise done.damaged(path, f"is not what its unit wrote: the checksum of its {where} differs")
    yield from _rows(data)


def read_ranges(path: str, ranges: Iterable[Range]) -> Iterator[pa.RecordBatch]:
    """Yields the rows of ranges of a local file that a `Writer` wrote, in their order."""
    for r in ranges:
        yield from _rows(storage.read_range(path, r.offset, r.length))


def _rows(data: bytes) -> Iterator[pa.RecordBatch]:
    with pa.ipc.open_stream(data) as stream:
        yield from stream


def gathered(unit: Unit) -> list[Done]:
    """Returns the finished units that a gathering unit knows, by name."""
    return [Done(folder, name) for folder, name in unit.payload["done"]]


class Crossing(NamedTuple):
    """What the units of a stage are given by finished units of others, through the engine.

    Attributes:
        sources: folders of the stages that give.
        edge: their file whose ranges go to the unit of their partition; None where one unit is given all
            finished units.
        target: folder of the stage that is given.
    """

    sources: tuple[str, ...]
    edge: str | None
    target: str


def lost(crossing: Crossing) -> tuple[list[Done], int]:
    """Compares what units were given with what was written for them.

    An engine that loses an element raises no error: the unit of a partition is done without some of its
    rows, or is never asked for.

    Returns:
        The units that were given less, or more, than was written, and how many were never asked for.
    """
    written: Counter[int] = Counter()
    for manifest in manifests([d for folder in crossing.sources for d in done_units(folder)]):
        if crossing.edge is None:
            written[0] += 1
        elif crossing.edge in manifest.files:
            written.update(r.partition for r in manifest.files[crossing.edge].ranges)
    units = done_units(crossing.target)
    given = {m.index: (done, m.arrived) for done, m in zip(units, manifests(units), strict=True)}
    wrong = [done for index, (done, arrived) in given.items() if arrived != written[index]]
    return wrong, len(written.keys() - given.keys())


def num_units(crossing: Crossing) -> int:
    """Returns how many units a stage has, by what was written for it so far."""
    if crossing.edge is None:
        return 1
    done = [d for folder in crossing.sources for d in done_units(folder)]
    entries = (m.files.get(crossing.edge) for m in found_manifests(done) if m is not None)
    return len({r.partition for entry in entries if entry is not None for r in entry.ranges})


def units_of(way: Exchange | None, given: Iterable[Unit | Done]) -> list[Unit]:
    """Returns the units of a step, by what it is given, in the order of their partitions: on one machine."""
    if way is None:
        return [same_unit(each) if isinstance(each, Done) else each for each in given]
    groups: dict[int, list[list[Any]]] = {}
    for each in given:
        assert isinstance(each, Done)  # what is exchanged has been done
        for key, value in way.given(each):
            groups.setdefault(key, []).append(value)
    return [way.unit(key, values) for key, values in sorted(groups.items())]


def same_unit(done: Done) -> Unit:
    """Returns the unit of a later stage that a finished unit is where nothing regroups them."""
    return Unit(done.unit, index=done.manifest().index)
