"""Settling: whole components of candidates, with their texts -> who stays, who goes, and for whom.

The rows of a partition are put in order: by component, then the most preferred first, every
redelivered row behind the one that speaks for its post id. They are settled in slices that a worker
can hold. Slices end between components where they can. A component that does not fit is cut: its
leaders wait in files, and a later slice is joined by those that share a key with it. So the result is
that of one slice, but the memory is that of a slice and some 60 bytes a row, however large a
component is; a cut component costs one pass over the keys of its waiting leaders a slice.

Shape suffixes: R rows of the partition, N rows of a slice, L leaders, M members of clusters, K keys.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.clusters import (
    EXACT_CODE,
    KEPT_CODE,
    NEAR_CODE,
    REDELIVERED_CODE,
    cluster,
    pair_jaccard,
)
from filters.exact_hash import content_hash
from filters.minhash import MinHashSpec, text_band_keys
from filters.sharing import KeySharing
from pipeline import exchange

Array = np.ndarray[Any, Any]
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
FOUND = pa.schema(
    [
        ("post", pa.uint32()),
        ("reason", pa.uint8()),
        ("similarity", pa.float32()),
        ("duplicate_of", pa.string()),
        ("segment", pa.int16()),
        ("copies", pa.int32()),
    ]
)
"""What became of a post: a duplicate of a post, in which `segment` of the history if not of this run,
or (reason KEPT_CODE) one that stays with `copies` posts in its cluster, itself included."""
SPILLED = pa.schema([("place", pa.int64()), ("post_id", pa.string()), ("text", pa.string())])


@dataclass(frozen=True)
class Rules:
    """How duplicates are told, and how much of them is held at a time.

    Attributes:
        minhash: of the band keys that candidates share.
        threshold: the least Jaccard index of near duplicates.
        max_checks: comparisons that a post may cost.
        max_copies: posts of a cluster that stay.
        count_copies: whether posts that stay are reported with the size of their cluster.
        memory_bytes: what a slice may hold, about.
    """

    minhash: MinHashSpec
    threshold: float
    max_checks: int
    max_copies: int
    count_copies: bool
    memory_bytes: int


class Settled(NamedTuple):
    """What became of a partition.

    Attributes:
        found: FOUND batches.
        cluster_sizes: posts in a cluster, by `size_bins`, the one that leads it included.
        component_sizes: posts in a component, by `size_bins`.
        num_unverified: posts that ran out of comparisons.
        num_slices: in which the partition was settled.
    """

    found: list[pa.RecordBatch]
    cluster_sizes: dict[str, int]
    component_sizes: dict[str, int]
    num_unverified: int
    num_slices: int


class _Order(NamedTuple):
    """The rows of a partition in the order in which they are settled; a row's place is its number."""

    row_R: Array  # the row, as it is read, at each place
    component_R: Array
    post_R: Array
    segment_R: Array
    speaker_R: Array  # the place of the row that speaks for the same post id
    cost_R: Array  # bytes that a slice holds for it


def settle(read: Read, rules: Rules, *, scratch: str) -> Settled:
    """Settles a partition; deterministic, and the same whatever `memory_bytes` is.

    Args:
        read: yields the partition's CANDIDATE rows, in the same order each time it is called.
        rules: what counts as a duplicate.
        scratch: path that temporary files may begin with; none is left behind.
    """
    order = _in_order(read())
    cuts = _cuts(order, rules.memory_bytes)
    with _Partition(order, rules, scratch) as partition:
        for start, rows in zip(cuts, _slices(read, order, cuts, scratch), strict=False):
            partition.settle(start, rows)
        return partition.conclude(num_slices=len(cuts) - 1)


def _in_order(batches: Iterator[pa.RecordBatch]) -> _Order:
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
    return _Order(row_R, component_R, post_R, segment_R, speaker_R, table["cost"][row_R])


def _speakers(table: dict[str, Array]) -> Array:
    """Returns (R,) the row that speaks for each row's post id: history first, else the newest.

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


def _cuts(order: _Order, memory_bytes: int) -> list[int]:
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


def _slices(read: Read, order: _Order, cuts: list[int], scratch: str) -> Iterator[pa.RecordBatch]:
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


def _spill(read: Read, order: _Order, cuts: list[int], path: str) -> list[Any]:
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


class _Partition:
    """The state of a partition while its slices are settled."""

    def __init__(self, order: _Order, rules: Rules, scratch: str):
        self._order, self._rules = order, rules
        self._waiting = _Waiting(f"{scratch}.leaders")
        num_rows = len(order.row_R)
        self._leader_R = np.arange(num_rows, dtype=np.int64)
        self._reason_R = np.zeros(num_rows, np.uint8)
        self._extra_R = np.zeros(num_rows if rules.max_copies > 1 else 0, np.int32)
        self._stays_R = np.zeros(num_rows, np.bool_)
        self._found: list[pa.RecordBatch] = []
        self._num_unverified = 0

    def __enter__(self) -> "_Partition":
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.clear()

    def settle(self, start: int, rows: pa.RecordBatch) -> None:
        """Settles a slice, `rows` (post_id, text) at the places from `start` on."""
        stop, component_R = start + rows.num_rows, self._order.component_R
        if not rows.num_rows:
            return
        key_NK = text_band_keys(rows.column("text"), self._rules.minhash)
        content_N = content_hash(rows.column("text"))
        key_NK1 = np.column_stack((key_NK, content_N))
        if start == 0 or component_R[start] != component_R[start - 1]:
            self._waiting.clear()
        older = self._waiting.sharing(key_NK1, limit=self._rules.max_checks + 1)
        place_N = np.concatenate([older.place_L, np.arange(start, stop)])
        own = self._order.segment_R[start:stop] == THIS_RUN
        post_id = pa.concat_arrays([older.post_id, rows.column("post_id")])
        texts = pa.concat_arrays([older.text, rows.column("text")])
        found = cluster(
            texts,
            id_code_N=self._order.speaker_R[place_N],
            content_hash_N=np.concatenate([older.key_LK1[:, -1], content_N]),
            band_keys_NK=np.concatenate([older.key_LK1[:, :-1], key_NK]),
            threshold=self._rules.threshold,
            ngram=self._rules.minhash.ngram,
            max_checks=self._rules.max_checks,
            fixed_N=np.concatenate([np.ones(len(older.place_L), np.bool_), ~own]),
        )
        self._num_unverified += found.num_unverified
        # Arrays over the slice's own rows from here on; leaders are numbered as in `place_N`.
        lead_N, similarity_N = found.leader_N[len(older.place_L) :], found.similarity_N
        similarity_N = similarity_N[len(older.place_L) :].copy()
        self._leader_R[start:stop] = place_N[lead_N]
        self._reason_R[start:stop] = found.reason_N[len(older.place_L) :]
        lead_N = self._keep_copies(start, stop, lead_N, len(older.place_L), texts, similarity_N)
        self._report(start, stop, post_id.take(pa.array(lead_N)), similarity_N, place_N[lead_N])
        if stop < len(component_R) and component_R[stop] == component_R[stop - 1]:
            last_N = (component_R[start:stop] == component_R[stop - 1]) & (
                self._reason_R[start:stop] == KEPT_CODE
            )
            at_L = np.flatnonzero(last_N)
            if len(at_L):
                self._waiting.add(at_L + start, key_NK1[at_L], rows.take(pa.array(at_L)))

    def _keep_copies(
        self,
        start: int,
        stop: int,
        lead_N: Array,
        first: int,
        texts: pa.StringArray,
        similarity_N: Array,
    ) -> Array:
        """Marks the rows that stay, members of clusters up to `max_copies` among them.

        A redelivery of such a member names it, not the leader. Returns the leaders, so changed.
        """
        reason_N, leader_N = self._reason_R[start:stop], self._leader_R[start:stop]
        stays_N = self._stays_R[start:stop]
        stays_N[:] = reason_N == KEPT_CODE
        if self._rules.max_copies == 1:
            return lead_N
        member_M = np.flatnonzero((reason_N == EXACT_CODE) | (reason_N == NEAR_CODE))
        member_M = member_M[self._order.segment_R[leader_N[member_M]] == THIS_RUN]
        member_M = member_M[np.argsort(leader_N[member_M], kind="stable")]
        of_M = leader_N[member_M]
        first_M = np.searchsorted(of_M, of_M, "left")
        earlier_M = self._extra_R[of_M] + np.arange(len(of_M)) - first_M
        stays_M = earlier_M < self._rules.max_copies - 1
        stays_N[member_M[stays_M]] = True
        np.add.at(self._extra_R, of_M[stays_M], 1)
        speaker_N = self._order.speaker_R[start:stop] - start
        again_G = np.flatnonzero(reason_N == REDELIVERED_CODE)
        again_G = again_G[stays_N[speaker_N[again_G]]]
        lead_N = lead_N.copy()
        lead_N[again_G] = speaker_N[again_G] + first
        similarity_N[again_G] = pair_jaccard(
            texts, again_G + first, lead_N[again_G], ngram=self._rules.minhash.ngram
        )
        return lead_N

    def _report(
        self,
        start: int,
        stop: int,
        duplicate_of: pa.StringArray,
        similarity_N: Array,
        place_N: Array,
    ) -> None:
        """Reports the slice's posts of this run that go; `place_N` are the places of those who stay."""
        own_N = self._order.segment_R[start:stop] == THIS_RUN
        gone_D = np.flatnonzero(own_N & ~self._stays_R[start:stop])
        columns = [
            pa.array(self._order.post_R[start + gone_D]),
            pa.array(self._reason_R[start + gone_D]),
            pa.array(similarity_N[gone_D]),
            duplicate_of.take(pa.array(gone_D)),
            pa.array(self._order.segment_R[place_N[gone_D]]),
            pa.nulls(len(gone_D), pa.int32()),
        ]
        self._found.append(pa.RecordBatch.from_arrays(columns, schema=FOUND))

    def conclude(self, *, num_slices: int) -> Settled:
        """Returns what was found, with the posts that stay counted by cluster."""
        order = self._order
        counted_R = (self._reason_R != REDELIVERED_CODE) & (order.segment_R == THIS_RUN)
        size_R = np.bincount(self._leader_R[counted_R], minlength=len(counted_R))
        size_R += (order.segment_R != THIS_RUN) & (size_R > 0)
        if self._rules.count_copies:
            self._count_copies(size_R)
        _, component_sizes = np.unique(order.component_R, return_counts=True)
        return Settled(
            self._found,
            size_bins(size_R[size_R > 1]),
            size_bins(component_sizes),
            self._num_unverified,
            num_slices,
        )

    def _count_copies(self, size_R: Array) -> None:
        own_R = self._order.segment_R == THIS_RUN
        copies_R = size_R[self._leader_R]
        kept_S = np.flatnonzero(own_R & self._stays_R & (copies_R > 1))
        columns = [
            pa.array(self._order.post_R[kept_S]),
            pa.array(np.full(len(kept_S), KEPT_CODE, np.uint8)),
            *(pa.nulls(len(kept_S), FOUND.field(n).type) for n in ("similarity", "duplicate_of")),
            pa.array(np.full(len(kept_S), THIS_RUN, np.int16)),
            pa.array(copies_R[kept_S].astype(np.int32)),
        ]
        self._found.append(pa.RecordBatch.from_arrays(columns, schema=FOUND))


class _Older(NamedTuple):
    """Waiting leaders that share a key with a slice, the most preferred first."""

    place_L: Array
    key_LK1: Array
    post_id: pa.StringArray
    text: pa.StringArray


class _Waiting:
    """Leaders of a component that was cut: their keys and texts wait in files, a pair a slice."""

    def __init__(self, path: str):
        self._path = path
        self._shapes: list[tuple[int, int]] = []

    def _name(self, number: int, what: str) -> str:
        return f"{self._path}-{number}.{what}"

    def add(self, place_L: Array, key_LK1: Array, rows: pa.RecordBatch) -> None:
        """Takes the leaders of a slice: their places, keys, and (post_id, text)."""
        number = len(self._shapes)
        self._shapes.append(key_LK1.shape)
        key_LK1.tofile(self._name(number, "keys"))
        columns = [pa.array(place_L), rows.column("post_id"), rows.column("text")]
        with pa.ipc.new_file(self._name(number, "texts"), SPILLED) as file:
            file.write_batch(pa.RecordBatch.from_arrays(columns, schema=SPILLED))

    def sharing(self, key_NK1: Array, *, limit: int) -> _Older:
        """Returns the leaders that are among the first `limit` of any of the keys."""
        keys = [np.empty((0, key_NK1.shape[1]), np.uint64)]
        rows = [_no_rows()]
        shared = KeySharing(key_NK1, limit=limit) if self._shapes else None
        for number, shape in enumerate(self._shapes):
            key_LK1: Array = np.memmap(self._name(number, "keys"), np.uint64, "r", shape=shape)
            mask_L = shared.take(key_LK1) if shared else np.empty(0, np.bool_)
            if mask_L.any():
                keys.append(np.asarray(key_LK1[mask_L]))
                with pa.memory_map(self._name(number, "texts")) as file:
                    rows.append(pa.ipc.open_file(file).get_batch(0).filter(pa.array(mask_L)))
        found = pa.concat_batches(rows)
        place_L = np.asarray(found.column("place"))
        return _Older(place_L, np.concatenate(keys), found.column("post_id"), found.column("text"))

    def clear(self) -> None:
        """Removes the files."""
        for number in range(len(self._shapes)):
            for what in ("keys", "texts"):
                os.unlink(self._name(number, what))
        self._shapes = []


def _no_rows() -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in SPILLED], schema=SPILLED)


def size_bins(size_G: Array) -> dict[str, int]:
    """Returns how many groups have 1, 2, 3, 4, 5-8, 9-16 ... members."""
    bins: dict[str, int] = {}
    for size, count in zip(*np.unique(size_G, return_counts=True), strict=True):
        power = 1 << (int(size) - 1).bit_length()
        name = str(size) if size <= 4 else f"{power // 2 + 1}-{power}"
        bins[name] = bins.get(name, 0) + int(count)
    return bins
