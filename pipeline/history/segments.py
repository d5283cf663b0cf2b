"""The files of a segment of the history: how they are written, and what a run looks up in them.

    posts-00012.arrow      post_id and the text that duplicates are compared by, of one clean unit's
                           posts that were kept: Arrow IPC, zstd, batches of BATCH_ROWS rows, the last
                           one shorter, so that a row's batch is known without reading
    keys-00003.parquet     (key, row) of one partition of the keys, sorted by both: the first 48 bits
                           of a key that posts meet by, and the number of the post in the segment

The posts of a segment are numbered 0 .. rows - 1: those of a unit in the order of its rows, units in
the order of their names. Shared keys are candidates: a cut key costs comparisons that find nothing,
about one in 2^48 for each pair of a key here and a key there.

Shape suffixes: M keys of today's posts, H keys of the history, E entries found, R rows.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sluice.filters.dedup.kernels import NO_KEY
from sluice.filters.dedup.sorted_keys import first_places, shared_entries
from sluice.pipeline.history.versions import CONTENTS, segment_folder
from sluice.pipeline.units.manifest import whole_file
from sluice.schemas.arrays import Int64s, Uint32s, Uint64s
from sluice.schemas.errors import OutputError
from sluice.schemas.names import inside

BATCH_ROWS: Final = 16_384
ROW_GROUP_ROWS: Final = 65_536
CUT_BITS: Final = 16
"""Bits that a 64-bit key loses in the history."""
ROW_BITS: Final = 40
"""An entry is (ordinal of the segment in the view) << ROW_BITS | row."""
ZSTD_LEVEL: Final = 3

POSTS = pa.schema([("post_id", pa.string()), ("text", pa.string())])
KEYS = pa.schema(
    [pa.field("key", pa.uint64(), nullable=False), pa.field("row", pa.uint32(), nullable=False)]
)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    rows: int
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        inside(self.name)


class PostsFile(_File, frozen=True):
    """The posts of one unit: `first` is the number of the first one in the segment."""

    first: int


class KeysFile(_File, frozen=True):
    """The keys of one partition; `low` and `high` are the least and the greatest, of 48 bits."""

    low: int
    high: int


class Contents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is in a segment: `rows` posts, files of posts by `first`, files of keys by `low`."""

    rows: int
    posts: tuple[PostsFile, ...]
    keys: tuple[KeysFile, ...]

    @property
    def files(self) -> tuple[PostsFile | KeysFile, ...]:
        """All files."""
        return (*self.posts, *self.keys)


@dataclass(frozen=True)
class View:
    """What a run reads: a history folder and the names of segments, in their order."""

    folder: str
    segments: tuple[str, ...]


def contents(view: View) -> tuple[Contents, ...]:
    """Returns what is in each segment of a view; raises OutputError where one cannot be read."""
    return tuple(read_contents(segment_folder(view.folder, name)) for name in view.segments)


def read_contents(segment: str) -> Contents:
    """Returns what is in the segment of a folder; raises OutputError if that cannot be read."""
    path = os.path.join(segment, CONTENTS)
    try:
        return _decoded(path, os.stat(path).st_mtime_ns)
    except (msgspec.DecodeError, OSError) as error:
        raise OutputError(f"{path}: not the contents of a segment ({error}); {_REMEDY}") from None


@lru_cache(maxsize=128)
def _decoded(path: str, _: int) -> Contents:
    """Returns the contents; a worker asks for those of every segment at every partition of keys."""
    return msgspec.json.decode(Path(path).read_bytes(), type=Contents)


_REMEDY = (
    "restore it from a copy, or run the inputs of this segment again, which writes its files again"
)


def checked_path(segment: str, file: PostsFile | KeysFile) -> str:
    """Returns the path of a segment's file; raises OutputError where it is missing or was cut."""
    return whole_file(
        os.path.join(segment, file.name), file.bytes, writer="the history", remedy=_REMEDY
    )


def is_whole(segment: str) -> bool:
    """Returns whether the segment of a folder is complete, all files with their sizes."""
    try:
        for file in read_contents(segment).files:
            checked_path(segment, file)
    except OutputError:
        return False
    return True


class PostsWriter:
    """Writes posts in batches of BATCH_ROWS rows, whatever the sizes they come in."""

    def __init__(self, path: str):
        codec = pa.Codec("zstd", compression_level=ZSTD_LEVEL)
        options = pa.ipc.IpcWriteOptions(compression=codec, use_threads=False)
        self._file = pa.ipc.new_file(path, POSTS, options=options)
        self._held = POSTS.empty_table()

    def __enter__(self) -> "PostsWriter":
        return self

    def __exit__(self, *_: object) -> None:
        if self._held.num_rows:
            self._file.write_batch(_one_batch(self._held))
        self._file.close()

    def write(self, post_id: pa.StringArray, text: pa.StringArray) -> None:
        """Takes posts, neither column with nulls."""
        rows = pa.Table.from_arrays([post_id, text], schema=POSTS)
        held = pa.concat_tables([self._held, rows])
        start = 0
        while held.num_rows - start >= BATCH_ROWS:
            self._file.write_batch(_one_batch(held.slice(start, BATCH_ROWS)))
            start += BATCH_ROWS
        self._held = held.slice(start)


def _one_batch(rows: pa.Table) -> pa.RecordBatch:
    return rows.combine_chunks().to_batches()[0]


def take(folder: str, segment: str, file: PostsFile, row_R: Int64s) -> pa.RecordBatch:
    """Returns (post_id, text) of posts of one file; only the batches that hold some are read.

    Args:
        folder: of the history.
        segment: its name.
        file: of the segment, which holds all of these posts.
        row_R: (R,) numbers of posts in the segment, ascending.
    """
    path = checked_path(segment_folder(folder, segment), file)
    at_R = np.asarray(row_R, np.int64) - file.first
    parts = [pa.RecordBatch.from_pylist([], schema=POSTS)]
    with pa.memory_map(path) as source:
        options = pa.ipc.IpcReadOptions(use_threads=False)
        reader = pa.ipc.open_file(source, options=options)
        for number in np.unique(at_R // BATCH_ROWS).tolist():
            start = number * BATCH_ROWS
            lo, hi = np.searchsorted(at_R, [start, start + BATCH_ROWS])
            parts.append(reader.get_batch(number).take(pa.array(at_R[lo:hi] - start)))
    return pa.concat_batches(parts)


def cut(key_M: Any) -> Any:
    """Returns 64-bit keys, or a key, as the history has them: the first 48 bits, uint64."""
    return key_M >> np.uint64(CUT_BITS)


def write_keys(path: str, key_H: Uint64s, row_H: Uint32s) -> None:
    """Writes the keys of a partition, (H,) of 48 bits and ascending, and the row of each.

    The bits of gaps between sorted keys, and of rows, are as good as random: packed to their width
    they do not compress further.
    """
    columns = [pa.array(key_H), pa.array(row_H)]
    pq.write_table(
        pa.Table.from_arrays(columns, schema=KEYS),
        path,
        row_group_size=ROW_GROUP_ROWS,
        use_dictionary=False,
        column_encoding=dict.fromkeys(KEYS.names, "DELTA_BINARY_PACKED"),
        compression="none",
        write_statistics=["key"],
        store_schema=False,
    )


def shared(
    key_M: Uint64s, view: View, *, low: int, high: int, limit: int
) -> tuple[Int64s, Uint64s]:
    """Returns (at_E, entry_E): keys that today's posts and the history share, and who has them there.

    A key is its first 48 bits; of today's posts only the first that has it is named, by its place in
    `key_M`. A key has at most `limit` entries, the first in the order of (segment, row); they come by
    (segment, key, row). NO_KEY, and any key of 48 zero bits, is no key. Beside `key_M` it holds 36
    bytes a key while it sorts, 16 afterwards, and one row group of the history.

    Args:
        key_M: (M,) uint64, all of one partition of the keys, in any order; fewer than 2^32.
        view: what is looked up.
        low: the least 64-bit key of the partition.
        high: the first 64-bit key beyond it, at most 2^64.
        limit: entries of a key, at least 1.

    Raises:
        OutputError: a file of the history is missing or was cut.
    """
    key_U, at_U = first_places(cut(key_M))
    first = int(np.searchsorted(key_U, cut(NO_KEY), side="right"))
    key_U, at_U = key_U[first:], at_U[first:]
    found_U = np.zeros(len(key_U), np.uint32)
    at_parts, entry_parts = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for ordinal, name in enumerate(view.segments):
        base = ordinal << ROW_BITS
        segment = segment_folder(view.folder, name)
        for lo, hi, key_H, row_H in _overlapping(segment, key_U, low=low, high=high):
            place_E, entry_E = shared_entries(
                key_U[lo:hi], found_U[lo:hi], key_H=key_H, row_H=row_H, base=base, limit=limit
            )
            at_parts.append(at_U[lo:hi][place_E].astype(np.int64))
            entry_parts.append(entry_E)
    return np.concatenate(at_parts), np.concatenate(entry_parts)


def _overlapping(
    segment: str, key_U: Uint64s, *, low: int, high: int
) -> Iterator[tuple[int, int, Uint64s, Uint32s]]:
    """Yields (lo, hi, key_H, row_H): row groups in [low, high) and the keys of today that they span."""
    low_cut, high_cut = low >> CUT_BITS, (high - 1) >> CUT_BITS
    for file in read_contents(segment).keys:
        if file.low > high_cut or file.high < low_cut:
            continue
        with pq.ParquetFile(checked_path(segment, file)) as source:
            for group in range(source.num_row_groups):
                least, most = _span(source, group)
                lo = int(np.searchsorted(key_U, np.uint64(max(least, low_cut))))
                hi = int(np.searchsorted(key_U, np.uint64(min(most, high_cut)), side="right"))
                if lo < hi:
                    rows = source.read_row_group(group, use_threads=False)
                    key_H, row_H = (np.asarray(rows[name].combine_chunks()) for name in KEYS.names)
                    yield lo, hi, key_H, row_H


def _span(source: pq.ParquetFile, group: int) -> tuple[int, int]:
    """Returns the least and the greatest key of a row group."""
    statistics = source.metadata.row_group(group).column(0).statistics
    return statistics.min, statistics.max


def key_span(path: str) -> tuple[int, int]:
    """Returns the least and the greatest key of a file of keys that is not empty."""
    with pq.ParquetFile(path) as source:
        return _span(source, 0)[0], _span(source, source.num_row_groups - 1)[1]
