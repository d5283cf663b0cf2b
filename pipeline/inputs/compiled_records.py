"""The records of a block by a compiled reader; what that refuses is read again, one by one.

A compiled reader takes every record that is one object in valid JSON. What it refuses is damaged (and the
standard library says how), or has keys that are repeated or written with escapes: such a record is written
again with plain keys, and read by the same reader, so that a value is converted in one way only.

Shape suffixes: R records.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sluice.pipeline.inputs import json_row
from sluice.pipeline.inputs.json_row import BadLineError
from sluice.pipeline.inputs.jsonl_scan import Lines
from sluice.pipeline.inputs.record_shapes import OBJECT as ONE_OBJECT
from sluice.pipeline.inputs.record_shapes import ODD
from sluice.schemas.arrays import Int64s
from sluice.schemas.counts import ReadTally
from sluice.schemas.payloads.columns import Fault, RawPosts


class RecordSpans(NamedTuple):
    """Where records stand in some bytes.

    Attributes:
        data: the bytes.
        starts_R: (R,) int64, the first byte of each.
        stops_R: (R,) int64, the end of each.
        record_R: (R,) int64, the number of each in its block, ascending.
    """

    data: bytes
    starts_R: Int64s
    stops_R: Int64s
    record_R: Int64s


class Read(NamedTuple):
    """What a compiled reader gave: posts, dead letters, and the records that it refuses, by their numbers."""

    posts: RawPosts
    faults: list[Fault]
    refused_R: Int64s


class CompiledReader(NamedTuple):
    """How the records of a block are read.

    Attributes:
        read: reads records by their places.
        write: writes a decoded record as `read` takes it, or raises BadLineError.
        id_names: where the id of a record stands, for its dead letter.
    """

    read: Callable[[RecordSpans], Read]
    write: Callable[[dict[str, Any]], bytes]
    id_names: tuple[str, ...]


def read_records(
    reader: CompiledReader, lines: Lines, *, first: int, stop: int, first_row: int
) -> tuple[RawPosts, list[Fault]]:
    """Reads records `first` to `stop` of a block; every one that is not blank comes out once.

    Args:
        reader: how they are read.
        lines: a scanned block.
        first: index of the first record.
        stop: index after the last.
        first_row: `source_row` of record 0 of the block.
    """
    shapes_L = lines.shapes_L[first:stop]
    whole_R = np.flatnonzero((shapes_L == ONE_OBJECT) | (shapes_L == ODD)) + first
    spans = RecordSpans(lines.data, lines.starts_L[whole_R], lines.stops_L[whole_R], whole_R)
    raw, faults, refused_R = reader.read(spans)
    refused_R = np.union1d(np.flatnonzero(shapes_L > ODD) + first, refused_R)
    if len(refused_R):
        written, unreadable = _written_again(reader, lines, refused_R)
        again, more, refused_R = reader.read(written)
        unread = [Fault(int(index), "not_json") for index in refused_R]
        raw, faults = joined_rows([raw, again]), faults + unreadable + more + unread
    faults = [fault._replace(source_row=fault.source_row + first_row) for fault in faults]
    return raw.moved(first_row), faults


def _written_again(
    reader: CompiledReader, lines: Lines, records_R: Int64s
) -> tuple[RecordSpans, list[Fault]]:
    """Returns those of some records that are sound, written again; and why the others are not."""
    written, kept, faults = [], [], []
    for index in records_R.tolist():
        row: dict[str, Any] = {}
        try:
            json_row.check_shape(lines.shape(index))
            row = json_row.decode(lines.line(index))
            written.append(reader.write(row))
            kept.append(index)
        except BadLineError as bad:
            post_id = json_row.id_of(row, reader.id_names)
            faults.append(Fault(index, bad.reason, bad.detail, post_id))
    ends_R = np.cumsum([len(line) + 1 for line in written], dtype=np.int64)
    data = b"".join(line + b"\n" for line in written) or b"\n"
    starts_R = np.concatenate([[0], ends_R])[:-1].astype(np.int64)
    return RecordSpans(data, starts_R, ends_R - 1, np.array(kept, np.int64)), faults


def joined_rows(pieces: Sequence[RawPosts]) -> RawPosts:
    """Returns the rows of all pieces in the order of their lines."""
    lines_N = np.concatenate([piece.source_row_N for piece in pieces])
    order_N = np.argsort(lines_N, kind="stable")
    columns = {
        name: pa.concat_arrays([piece.columns[name] for piece in pieces]).take(pa.array(order_N))
        for name in pieces[0].columns
    }
    counts = ReadTally()
    for piece in pieces:
        counts += piece.counts or ReadTally()
    notices = [piece.notices for piece in pieces if piece.notices is not None]
    raw = RawPosts(columns, lines_N[order_N], counts)
    if notices:
        rows = pa.Table.from_batches(notices).combine_chunks().sort_by("source_row")
        raw = raw._replace(notices=rows.to_batches()[0] if rows.num_rows else None)
    items = [piece.source_item_N for piece in pieces if piece.source_item_N is not None]
    return raw._replace(source_item_N=np.concatenate(items)[order_N]) if items else raw
