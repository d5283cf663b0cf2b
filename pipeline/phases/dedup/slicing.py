"""Candidates in the order in which they are resolved, and the slices that a worker can hold.

Shape suffixes: R rows of a partition, N rows of a batch, M rows whose id another row has.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.dedup.exact_hash import content_hash
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
        ("edited", pa.int64()),
        ("id_high", pa.uint64()),
        ("id_low", pa.uint64()),
        ("post_id", pa.string()),
        ("text", pa.string()),
    ]
)
"""`post` is a dense number, `rank` is low for the one to keep, `time` tells the newest delivery of a post,
`edited` when its platform says that it was edited (NEVER where it does not), `id_high` and `id_low` are two
hashes of the id, and `text` is what duplicates are compared by."""
NEVER = int(np.iinfo(np.int64).min)
"""The `time` of a post without one, and of all posts of the history; the `edited` of most posts."""


class SortedRows(NamedTuple):
    """The rows of a partition in the order in which they are resolved; a row's place is its number."""

    row_R: Array  # the row, as it is read, at each place
    component_R: Array
    post_R: Array
    segment_R: Array
    speaker_R: Array  # the place of the row that represents the same post
    cost_R: Array  # bytes that a slice holds for it
    id_R: Array  # equal for rows of one id and only for them
    unlike_R: Array  # whether the row that represents it has another text, and no edit explains it


def in_order(batches: Iterator[pa.RecordBatch], *, one_of_id: bool = False) -> SortedRows:
    """Returns the order of CANDIDATE rows: by component, the most preferred first.

    Redelivered rows follow the row that represents their post, and posts of the history
    before all others.

    Args:
        batches: the rows.
        one_of_id: rows of one id are one post whatever their texts are.
    """
    names = [n for n in CANDIDATE.names if n not in ("post_id", "text")]
    parts: dict[str, list[Array]] = {n: [] for n in [*names, "content", "cost"]}
    for batch in batches:
        for name in names:
            parts[name].append(np.array(batch.column(name)))
        length_N = np.asarray(pc.binary_length(batch.column("text")), np.int64)
        parts["cost"].append(ROW_BYTES + TEXT_BYTES * length_N)
        parts["content"].append(content_hash(batch.column("text")))
    table = {name: np.concatenate(found) for name, found in parts.items()}
    id_R, speaker_R, unlike_R = _deliveries(table, one_of_id=one_of_id)
    post_R, self_R = table["post"], np.arange(len(table["post"]))
    keys = (post_R, speaker_R != self_R, post_R[speaker_R], table["rank"][speaker_R])
    row_R = np.lexsort((*keys, table["component"]))
    place_R = np.empty(len(row_R), np.int64)
    place_R[row_R] = self_R
    component_R, post_R, segment_R = (table[n][row_R] for n in ("component", "post", "segment"))
    speaker_R = place_R[speaker_R[row_R]]
    of_rows = table["cost"][row_R], id_R[row_R], unlike_R[row_R]
    return SortedRows(row_R, component_R, post_R, segment_R, speaker_R, *of_rows)


def _deliveries(table: dict[str, Array], *, one_of_id: bool) -> tuple[Array, Array, Array]:
    """Returns (id_R, speaker_R, unlike_R): see `SortedRows`, but by row. Ids are told by 128 bits of hash.

    A row represents itself unless another with its id delivers its post again; with `one_of_id` all do.
    """
    id_R = _numbered([table[n] for n in ("component", "id_high", "id_low")])
    speaker_R, unlike_R = np.arange(len(id_R)), np.zeros(len(id_R), np.bool_)
    again_M = np.flatnonzero(np.bincount(id_R)[id_R] > 1)
    rows = {n: table[n][again_M] for n in ("post", "time", "edited", "segment", "content")}
    version_M = _versions(rows, id_R[again_M])
    same = [id_R[again_M]] if one_of_id else [id_R[again_M], version_M]
    earlier_M = rows["segment"] >= 0
    order_M = np.lexsort((rows["post"], rows["time"], rows["edited"], earlier_M, *same[::-1]))
    at_M = _last_of_each(order_M, same)
    speaker_R[again_M] = again_M[at_M]
    unlike_R[again_M] = version_M != version_M[at_M]
    return id_R, speaker_R, unlike_R


def _versions(rows: dict[str, Array], id_M: Array) -> Array:
    """Returns (M,) uint64, equal for the deliveries of one post among rows of one id.

    It is the hash of the text; but where one of the rows of an id and a time says that it was edited, that of
    the last edit, or of what the history has of the id: texts that are unlike are one post then.
    """
    content_M, earlier_M = rows["content"], rows["segment"] >= 0
    if not (rows["edited"] != NEVER).any():
        return content_M
    by_time = [id_M, earlier_M, rows["time"]]
    order_M = np.lexsort((rows["post"], rows["edited"], *by_time[::-1]))
    last_M = _last_of_each(order_M, by_time)
    edited_M = rows["edited"][last_M] != NEVER
    version_M = np.where(edited_M, content_M[last_M], content_M)
    order_M = np.lexsort((rows["post"], earlier_M, id_M))
    known_M = _last_of_each(order_M, [id_M])
    return np.where(edited_M & earlier_M[known_M], content_M[known_M], version_M)


def _numbered(columns: list[Array]) -> Array:
    """Returns (R,) int64, a number that rows of equal columns have, and no others."""
    order_R = np.lexsort(columns)
    number_R = np.empty(len(order_R), np.int64)
    number_R[order_R] = np.cumsum(_begins(order_R, columns)) - 1
    return number_R


def _last_of_each(order_M: Array, columns: list[Array]) -> Array:
    """Returns (M,) the last row, in an order by these columns first, of those with equal columns."""
    begins_M = _begins(order_M, columns)
    last_M = order_M[np.append(begins_M[1:], np.True_)[: len(order_M)]]
    found_M = np.empty(len(order_M), np.int64)
    found_M[order_M] = last_M[np.cumsum(begins_M) - 1]
    return found_M


def _begins(order_M: Array, columns: list[Array]) -> Array:
    """Returns (M,) bool: whether a row differs in a column from the one before it in an order."""
    begins_M = np.ones(len(order_M), np.bool_)
    begins_M[1:] = False
    for column_M in columns:
        begins_M[1:] |= column_M[order_M][1:] != column_M[order_M][:-1]
    return begins_M


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
