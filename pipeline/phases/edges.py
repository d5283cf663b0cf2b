"""The posts that are left: what clean kept, less what later phases dropped."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sluice.filters.base import Filter
from sluice.filters.privacy.keyed_ids import AUTHOR_KEY
from sluice.pipeline.phases.names import SCORE
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Done
from sluice.schemas.arrays import Array, Int32s, Uint32s
from sluice.schemas.counts import CleanCounts
from sluice.schemas.post import POST

DROPS = pa.schema([("row", pa.uint32())])
"""The `drops` edge: places in the unit's `kept` file that were dropped, ascending."""
COPIES = pa.schema([("row", pa.uint32()), ("copies", pa.int32())])
"""The `copies` edge: posts in the cluster of a row that stayed; rows that are not there have 1."""


@dataclass(frozen=True)
class Survivors:
    """Where the posts that are left are.

    Attributes:
        clean: folder of the clean units.
        drops: folders of phases that dropped posts; a unit without a manifest there lost none.
        copies: folder of the phase that counted copies, or "" where none did.
    """

    clean: str
    drops: tuple[str, ...]
    copies: str = ""

    def dropped(self, unit: str) -> Uint32s:
        """Returns the places in the unit's `kept` file that were dropped, ascending."""
        rows = [np.empty(0, np.uint32)]
        for folder in self.drops:
            if Done(folder, unit).is_done():
                rows.append(_column(Done(folder, unit).path("drops"), "row"))
        return np.unique(np.concatenate(rows))

    def places(self, unit: str) -> Uint32s:
        """Returns the places in the unit's `kept` file that are left, ascending."""
        return np.delete(np.arange(self._num_kept(unit), dtype=np.uint32), self.dropped(unit))

    def _num_kept(self, unit: str) -> int:
        return Done(self.clean, unit).manifest().counted(CleanCounts).kept.posts

    def read(self, unit: str, *, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yields the unit's posts that are left, in order.

        Args:
            unit: name of a clean unit.
            columns: of the `kept` edge; or "copies", int32, last: posts in the post's cluster.
        """
        left_L, start = self.places(unit), 0
        copies_L = self._copies(unit)[left_L] if columns[-1] == "copies" else None
        of_kept = [c for c in columns if c != "copies"]
        for batch in take_kept(Done(self.clean, unit), left_L, columns=of_kept):
            stop = start + batch.num_rows
            if copies_L is not None:
                batch = batch.append_column("copies", pa.array(copies_L[start:stop]))
            start = stop
            if batch.num_rows:
                yield batch

    def _copies(self, unit: str) -> Int32s:
        """Returns how many posts are in the cluster of each post of the unit's `kept` file."""
        copies_K = np.ones(self._num_kept(unit), np.int32)
        if self.copies and Done(self.copies, unit).is_done():
            path = Done(self.copies, unit).path("copies")
            copies_K[_column(path, "row")] = _column(path, "copies")
        return copies_K


def _column(path: str, name: str) -> Array:
    with pa.memory_map(path) as file:
        table = pa.ipc.open_file(file).read_all()
        return np.array(table[name].combine_chunks())


def rows_of(schema: pa.Schema, *columns: Array | pa.Array) -> pa.RecordBatch:
    """Returns the columns as rows of a schema."""
    return pa.RecordBatch.from_arrays(list(columns), schema=schema)


@contextmanager
def written_edge(
    attempt: Attempt, edge: str, schema: pa.Schema, *, compressed: bool = False
) -> Iterator[pa.RecordBatchFileWriter]:
    """Opens the file of an edge for its rows, and records it when the block ends."""
    path, codec = attempt.path(edge), "lz4" if compressed else None
    options = pa.ipc.IpcWriteOptions(compression=codec, use_threads=False)
    with pa.ipc.new_file(path, schema, options=options) as file:
        yield file
    attempt.add(edge, path)


@contextmanager
def exchanged_edge(
    attempt: Attempt, edge: str, schema: pa.Schema, num_partitions: int, *, compressed: bool = False
) -> Iterator[exchange.Writer]:
    """Opens the file of an edge for rows that go to partitions, and records it when the block ends."""
    path, codec = attempt.path(edge), "lz4" if compressed else None
    with exchange.Writer(
        path, schema=schema, num_partitions=num_partitions, compression=codec
    ) as writer:
        yield writer
    attempt.add(edge, path, ranges=writer.ranges)


def write_rows(attempt: Attempt, edge: str, schema: pa.Schema, *columns: Array | pa.Array) -> None:
    """Writes the columns of an edge that fits in memory, and records its file."""
    with written_edge(attempt, edge, schema) as file:
        file.write_batch(rows_of(schema, *columns))


def read_edge(
    done: Done, edge: str, *, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yields the batches of a unit's file, all columns, or only `columns`, in that order."""
    with pa.memory_map(done.path(edge)) as file:
        names = pa.ipc.open_file(file).schema.names
        columns = names if columns is None else list(columns)
        options = pa.ipc.IpcReadOptions(
            included_fields=[names.index(c) for c in columns], use_threads=False
        )
        reader = pa.ipc.open_file(file, options=options)
        for i in range(reader.num_record_batches):
            yield reader.get_batch(i).select(columns)


def take_kept(done: Done, row_M: Array, *, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yields the rows at places of a clean unit's `kept` file, each larger than the last, by batch."""
    start = 0
    for batch in read_edge(done, "kept", columns=columns):
        lo, hi = np.searchsorted(row_M, [start, start + batch.num_rows])
        places = pa.array(row_M[lo:hi].astype(np.int64) - start)
        yield batch if len(places) == batch.num_rows else batch.take(places)
        start += batch.num_rows


LANGUAGE_COLUMNS = pa.schema(
    [
        ("language", pa.string()),
        ("language_group", pa.string()),
        ("language_confidence", pa.float32()),
    ]
)
"""What a clean post has besides."""


KEYS = pa.schema([("key", pa.uint64()), ("row", pa.uint32())])
"""The `keys` edge: one row per key of a kept post; `row` is its place in the unit's `kept` file."""
VERSIONS = pa.schema([POST.field(n) for n in ("post_id", "alias_id", "platform", "edited_at")])
"""The `versions` edge: posts of payloads that clean rejected, and that are later versions of others."""
SCREENED = pa.schema([pa.field(name, pa.string()) for name in ("screen", "post_id", "text")])
"""The `screened` edge: a sample of what a screen rejected, for the classify phase to check it by."""


def kept_schema(columns: Sequence[str], filters: Sequence[Filter]) -> pa.Schema:
    """Returns the schema of the `kept` edge: columns of posts, the language, a float32 column a filter."""
    posts = pa.schema([*POST, AUTHOR_KEY])
    fields = [*(posts.field(n) for n in columns), *LANGUAGE_COLUMNS]
    return pa.schema(fields + [pa.field(f"{SCORE}{f.name}", pa.float32()) for f in filters])


def carried_fields(columns: Sequence[str]) -> list[pa.Field]:
    """Returns the fields of columns of the `kept` edge that provenance gets, all nullable."""
    known = pa.schema([*POST, AUTHOR_KEY, *LANGUAGE_COLUMNS])
    return [known.field(name).with_nullable(True) for name in columns]
