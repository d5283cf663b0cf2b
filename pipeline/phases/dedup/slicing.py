"""Candidates in the order in which they are resolved, and the slices that a worker can hold.

Shape suffixes: R rows of a partition, N rows of a batch.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.phases.dedup.spilled_leaders import SPILLED
from sluice.pipeline.units import exchange
from sluice.schemas.arrays import Array

Read = Callable[[], Iterator[pa.RecordBatch]]

ROW_BYTES = 1000
TEXT_BYTES = 12
"""What a slice holds for a row and for a byte of its text, about: measured with distinct texts."""
THIS_RUN = -1
"""The `segment` of a post of this run; others are numbers of the history's segments."""

CANDIDATE = pa.schema(
    [
        ("component", pa.uint32()),
        ("post", pa.uint32()),
        ("segment", pa.int16()),
        ("rank", pa.int64()),
        ("time", pa.int64()),
        ("id_high", pa.uint64()),
        ("id_low", pa.uint64()),
        ("post_id", pa.string()),
        ("text", pa.string()),
    ]
)
"""`post` is a dense number, `rank` is low for the one to keep, `time` tells the newest delivery of an
id, `id_high` and `id_low` are two hashes of it, and `text` is what duplicates are compared by."""


class SortedRows(NamedTuple):
    """The rows of a partition in the order in which they are resolved; a row's place is its number."""

    row_R: Array  # the row, as it is read, at each place
    component_R: Array
    post_R: Array
    segment_R: Array
    speaker_R: Array  # the place of the row that represents the same post id
    cost_R: Array  # bytes that a slice holds for it


def in_order(batches: Iterator[pa.RecordBatch]) -> SortedRows:
    """Returns the order of CANDIDATE rows: by component, the most preferred first.

    Redelivered rows follow the row that represents their id, and posts of the history
    before all others.
    """
    names = [n for n in CANDIDATE.names if n not in ("post_id", "text")]
    parts: dict[str, list[Array]] = {n: [] for n in [*names, "cost"]}
    for batch in batches:
        for name in names:
            parts[name].append(np.array(batch.column(name)))
        length_N = np.asarray(pc.binary_length(batch.column("text")), np.int64)
        parts["cost"].append(ROW_BYTES + TEXT_BYTES * length_N)
    table = {name: np.concatenate(found) for name, found in parts.items()}
    speaker_R = _speakers(table)
    post_R, self_R = table["post"], np.arange(len(table["post"]))
    keys = (post_R, speaker_R != self_R, post_R[speaker_R], table["rank"][speaker_R])
    row_R = np.lexsort((*keys, table["component"]))
    place_R = np.empty(len(row_R), np.int64)
    place_R[row_R] = self_R
    component_R, post_R, segment_R = (table[n][row_R] for n in ("component", "post", "segment"))
    speaker_R = place_R[speaker_R[row_R]]
    return SortedRows(row_R, component_R, post_R, segment_R, speaker_R, table["cost"][row_R])


def _speakers(table: dict[str, Array]) -> Array:
    """Returns (R,) the row that represents each row's post id: history first, else the newest.

    Newest is the latest `time`, then the last in input order. Ids are told by 128 bits of hash.
    """
    same = [table[n] for n in ("component", "id_high", "id_low")]
    order_R = np.lexsort((table["post"], table["time"], table["segment"] >= 0, *same))
    last_R = np.ones(len(order_R), np.bool_)
    for column_R in same:
        equal_R = column_R[order_R][1:] == column_R[order_R][:-1]
        last_R[:-1] = ~equal_R if column_R is same[0] else last_R[:-1] | ~equal_R
    group_R: Array = np.cumsum(last_R) - last_R
    speaker_R = np.empty(len(order_R), np.int64)
    speaker_R[order_R] = order_R[np.flatnonzero(last_R)][group_R]
    return speaker_R


def cuts_of(order: SortedRows, memory_bytes: int) -> list[int]:
    """Returns the places where slices start, and the end."""
    cost_R1 = np.concatenate(([0], np.cumsum(order.cost_R)))
    num_rows = len(order.row_R)
    starts = np.flatnonzero(np.diff(order.component_R, prepend=-1)) if num_rows else np.empty(0)
    speaks = np.flatnonzero(order.speaker_R == np.arange(num_rows))
    cuts = [0]
    while cost_R1[-1] - cost_R1[cuts[-1]] > memory_bytes:
        limit = int(np.searchsorted(cost_R1, cost_R1[cuts[-1]] + memory_bytes, "right")) - 1
        cut = _before(starts, limit)
        if cut <= cuts[-1]:
            cut = _before(speaks, limit)
        if cut <= cuts[-1]:  # one id, delivered more often than a slice holds, is not cut
            later = np.searchsorted(speaks, cuts[-1], "right")
            cut = int(speaks[later]) if later < len(speaks) else num_rows
        cuts.append(cut)
        if cut == num_rows:
            return cuts
    return [*cuts, num_rows]


def _before(place_P: Array, limit: int) -> int:
    """Returns the last of ascending places that is at most `limit`; -1 if there is none."""
    at = int(np.searchsorted(place_P, limit, "right")) - 1
    return int(place_P[at]) if at >= 0 else -1


def slices_of(
    read: Read, order: SortedRows, cuts: list[int], scratch: str
) -> Iterator[pa.RecordBatch]:
    """Yields the rows of each slice in their order, (post_id, text)."""
    columns = ["post_id", "text"]
    if len(cuts) == 2:
        rows = pa.concat_batches([batch.select(columns) for batch in read()])
        yield rows.take(pa.array(order.row_R))
        return
    path = f"{scratch}.rows"
    ranges = _spill(read, order, cuts, path)
    try:
        for number in range(len(cuts) - 1):
            found = exchange.read_ranges(path, [r for r in ranges if r.partition == number])
            rows = pa.concat_batches(list(found))
            yield rows.take(pc.sort_indices(rows.column("place"))).select(columns)
    finally:
        os.unlink(path)


def _spill(read: Read, order: SortedRows, cuts: list[int], path: str) -> list[Any]:
    place_R = np.empty(len(order.row_R), np.int64)
    place_R[order.row_R] = np.arange(len(order.row_R))
    start = 0
    with exchange.Writer(
        path, schema=SPILLED, num_partitions=len(cuts) - 1, compression="lz4"
    ) as writer:
        for batch in read():
            place_N = place_R[start : start + batch.num_rows]
            start += batch.num_rows
            columns = [pa.array(place_N), batch.column("post_id"), batch.column("text")]
            rows = pa.RecordBatch.from_arrays(columns, schema=SPILLED)
            writer.write(rows, np.searchsorted(cuts, place_N, "right") - 1)
    return writer.ranges
