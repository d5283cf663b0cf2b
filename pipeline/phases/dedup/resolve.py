"""Resolves components of candidates into clusters: keeps one leader of each, drops the rest.

The rows of a partition are put in order: by component, then the most preferred first, every redelivered row
behind the one that represents its post. They are resolved in slices that a worker can hold. Slices end
between components where they can. A component that does not fit is cut: its leaders are spilled to files, one
piece per slice, and the rows of a later slice are compared with those that share a key with them, piece by
piece, before they are compared with each other. So the result is that of one slice, but the memory is that of
a slice and a piece, and some 80 bytes per row, however large a component is.

Shape suffixes: R rows of the partition, N rows of a slice, L leaders, M members of clusters or rows that
found a leader, D posts that are dropped, G redeliveries, C conflicts of ids, K keys.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.dedup.clusters import (
    EXACT_CODE,
    ID_CONFLICT_CODE,
    KEPT_CODE,
    NEAR_CODE,
    REDELIVERED_CODE,
    Checks,
    cluster,
    follow,
    pair_jaccard,
)
from sluice.filters.dedup.exact_hash import content_hash
from sluice.filters.dedup.kernels import NO_KEY
from sluice.filters.dedup.minhash import MinHashSpec, text_band_keys
from sluice.pipeline.phases.dedup.candidates import DedupStage
from sluice.pipeline.phases.dedup.slicing import (
    THIS_RUN,
    Read,
    SortedRows,
    cuts_of,
    in_order,
    slices_of,
)
from sluice.pipeline.phases.dedup.spilled_leaders import LeaderRows, SpilledLeaders
from sluice.pipeline.phases.edges import exchanged_edge, rows_of, written_edge
from sluice.pipeline.recipes.schema import DedupSection
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.schemas.arrays import Array
from sluice.schemas.counts import ResolveCounts

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
"""The outcome of a post: a duplicate of a post, in which `segment` of the history if not of this run, or
(reason KEPT_CODE) one that is kept, with `copies` posts in its cluster, itself included."""

CONFLICT = pa.schema([("post", pa.uint32()), ("of", pa.uint32()), ("segment", pa.int16())])
"""A post with the id, but not the text, of the post `of`; in which `segment` of the history, if there."""


@dataclass(frozen=True)
class Rules:
    """What counts as a duplicate, and how much is held at a time.

    Attributes:
        minhash: of the band keys that candidates share.
        dedup: the recipe's table.
    """

    minhash: MinHashSpec
    dedup: DedupSection


class Resolved(NamedTuple):
    """The outcome of a partition.

    Attributes:
        found: FOUND batches.
        conflict: the first conflict of ids in input order, a CONFLICT row; none where there is none.
        counts: clusters include the post that leads them; sizes are by `size_bins`.
    """

    found: list[pa.RecordBatch]
    conflict: pa.RecordBatch
    counts: ResolveCounts


def resolve(read: Read, rules: Rules, *, scratch: str) -> Resolved:
    """Resolves a partition; deterministic, and the same whatever `memory_bytes` is.

    Args:
        read: yields the partition's CANDIDATE rows, in the same order each time it is called.
        rules: what counts as a duplicate.
        scratch: path that temporary files may begin with; none is left behind.
    """
    order = in_order(read(), one_of_id=rules.dedup.id_conflicts == "drop")
    cuts = cuts_of(order, rules.dedup.memory_bytes)
    with _Partition(order, rules, scratch) as partition:
        for start, rows in zip(cuts, slices_of(read, order, cuts, scratch), strict=False):
            partition.resolve(start, rows)
        return partition.conclude(num_slices=len(cuts) - 1)


class _Partition:
    """The state of a partition while its slices are resolved."""

    def __init__(self, order: SortedRows, rules: Rules, scratch: str):
        self._order, self._rules = order, rules
        self._spilled = SpilledLeaders(f"{scratch}.leaders")
        num_rows = len(order.row_R)
        self._leader_R = np.arange(num_rows, dtype=np.int64)
        self._reason_R = np.zeros(num_rows, np.uint8)
        self._extra_R = np.zeros(num_rows if rules.dedup.max_copies > 1 else 0, np.int32)
        self._stays_R = np.zeros(num_rows, np.bool_)
        self._found: list[pa.RecordBatch] = []
        self._num_unverified = 0

    def __enter__(self) -> "_Partition":
        return self

    def __exit__(self, *_: object) -> None:
        self._spilled.clear()

    def resolve(self, start: int, rows: pa.RecordBatch) -> None:
        """Resolves a slice, `rows` (post_id, text) at the places from `start` on."""
        if not rows.num_rows:
            return
        component_R = self._order.component_R
        if start == 0 or component_R[start] != component_R[start - 1]:
            self._spilled.clear()
        part = _Slice(start, rows, self._rules.minhash, max_checks=self._rules.dedup.max_checks)
        self._follow_spilled(part)
        self._cluster(part)
        self._keep_copies(part)
        self._report(part)
        self._spill(part)

    def _follow_spilled(self, part: "_Slice") -> None:
        """Resolves the rows that have a spilled leader: first the equal texts, then the similar ones."""
        of = part.places
        self._leader_R[of], self._reason_R[of] = np.arange(of.start, of.stop), KEPT_CODE
        speaks_N = self._order.speaker_R[of] == np.arange(of.start, of.stop)
        open_N = speaks_N & (self._order.segment_R[of] == THIS_RUN) & (part.key_NK1[:, -1] != 0)
        for code, columns in ((EXACT_CODE, slice(-1, None)), (NEAR_CODE, slice(None, -1))):
            limit = 1 if code == EXACT_CODE else self._rules.dedup.max_checks + 1
            for older in self._spilled.pieces():
                # For a row that ran out of comparisons, similar leaders change nothing.
                row_N = np.flatnonzero(open_N & ~part.checks.ran_out_N)
                found = older.sharing(part.key_NK1[row_N][:, columns], columns, limit=limit)
                if len(row_N) and len(found.place_L):
                    self._follow_leaders(part, row_N, found, code)
                    open_N &= self._reason_R[of] == KEPT_CODE

    def _follow_leaders(self, part: "_Slice", row_N: Array, older: "LeaderRows", code: int) -> None:
        """Resolves those of some rows that find a leader among these."""
        first = len(older.place_L)
        text = pa.concat_arrays([older.text, part.text.take(pa.array(row_N))])
        if code == EXACT_CODE:
            lead_N = _equal_texts(text, first)
            similarity_N = np.ones(len(text), np.float32)
        else:
            none = Checks.of(first, max_checks=0)
            mine = part.checks.take(row_N)
            checks = Checks(*(np.concatenate(pair) for pair in zip(none, mine, strict=True)))
            keys = np.concatenate([older.key_LK1[:, :-1], part.key_NK1[row_N, :-1]])
            lead_N, similarity_N = follow(
                text,
                band_keys_NK=keys,
                num_leaders=first,
                checks=checks,
                threshold=self._rules.dedup.threshold,
                ngram=self._rules.minhash.ngram,
                max_checks=self._rules.dedup.max_checks,
            )
            part.checks.left_N[row_N] = checks.left_N[first:]
            part.checks.ran_out_N[row_N] = checks.ran_out_N[first:]
        lead_N, similarity_N = lead_N[first:], similarity_N[first:]
        at_M = np.flatnonzero(lead_N < first)
        part.name(row_N[at_M], older.post_id.take(pa.array(lead_N[at_M])), similarity_N[at_M])
        places_M = part.start + row_N[at_M]
        self._leader_R[places_M], self._reason_R[places_M] = older.place_L[lead_N[at_M]], code
        self._redeliver(part, places_M, older, lead_N[at_M])

    def _redeliver(
        self, part: "_Slice", place_M: Array, older: "LeaderRows", lead_M: Array
    ) -> None:
        """Resolves the other deliveries of rows that found a spilled leader."""
        start, stop = part.start, part.stop
        lead_N = np.full(stop - start, -1, np.int64)
        lead_N[place_M - start] = lead_M
        speaker_N = self._order.speaker_R[start:stop] - start
        again_G = np.flatnonzero((speaker_N != np.arange(stop - start)) & (lead_N[speaker_N] >= 0))
        lead_G, first = lead_N[speaker_N[again_G]], len(older.place_L)
        text = pa.concat_arrays([older.text, part.text.take(pa.array(again_G))])
        similarity_G = pair_jaccard(
            text, np.arange(len(again_G)) + first, lead_G, ngram=self._rules.minhash.ngram
        )
        part.name(again_G, older.post_id.take(pa.array(lead_G)), similarity_G)
        self._leader_R[start + again_G] = older.place_L[lead_G]
        self._reason_R[start + again_G] = REDELIVERED_CODE

    def _cluster(self, part: "_Slice") -> None:
        """Resolves the rows of the slice that no spilled leader was found for."""
        own_N = np.flatnonzero(self._reason_R[part.places] == KEPT_CODE)
        place_N = part.start + own_N
        found = cluster(
            part.text.take(pa.array(own_N)),
            post_code_N=self._order.speaker_R[place_N],
            content_hash_N=part.key_NK1[own_N, -1],
            band_keys_NK=part.key_NK1[own_N, :-1],
            threshold=self._rules.dedup.threshold,
            ngram=self._rules.minhash.ngram,
            max_checks=self._rules.dedup.max_checks,
            fixed_N=self._order.segment_R[place_N] != THIS_RUN,
            checks=part.checks.take(own_N),
        )
        self._num_unverified += found.num_unverified
        self._leader_R[place_N] = place_N[found.leader_N]
        self._reason_R[place_N] = found.reason_N
        names = part.post_id.take(pa.array(own_N[found.leader_N]))
        part.name(own_N, names, found.similarity_N)

    def _keep_copies(self, part: "_Slice") -> None:
        """Sets which rows are kept: leaders, and members of clusters up to `max_copies`.

        A redelivery of such a member names it, not the leader.
        """
        reason_N, leader_N = self._reason_R[part.places], self._leader_R[part.places]
        stays_N = self._stays_R[part.places]
        stays_N[:] = reason_N == KEPT_CODE
        if self._rules.dedup.max_copies == 1:
            return
        member_M = np.flatnonzero((reason_N == EXACT_CODE) | (reason_N == NEAR_CODE))
        member_M = member_M[self._order.segment_R[leader_N[member_M]] == THIS_RUN]
        member_M = member_M[np.argsort(leader_N[member_M], kind="stable")]
        of_M = leader_N[member_M]
        first_M = np.searchsorted(of_M, of_M, "left")
        earlier_M = self._extra_R[of_M] + np.arange(len(of_M)) - first_M
        stays_M = earlier_M < self._rules.dedup.max_copies - 1
        stays_N[member_M[stays_M]] = True
        np.add.at(self._extra_R, of_M[stays_M], 1)
        # The row that represents an id is in the slice of its other deliveries.
        speaker_N = self._order.speaker_R[part.places] - part.start
        again_G = np.flatnonzero(reason_N == REDELIVERED_CODE)
        again_G = again_G[stays_N[speaker_N[again_G]]]
        speaker_G = speaker_N[again_G]
        similarity_G = pair_jaccard(part.text, again_G, speaker_G, ngram=self._rules.minhash.ngram)
        part.name(again_G, part.post_id.take(pa.array(speaker_G)), similarity_G)

    def _report(self, part: "_Slice") -> None:
        """Adds the posts of this run that are dropped, each with the post that is kept instead."""
        own_N = self._order.segment_R[part.places] == THIS_RUN
        gone_D = np.flatnonzero(own_N & ~self._stays_R[part.places])
        place_D = part.start + gone_D
        reason_D = self._reason_R[place_D]
        reason_D[(reason_D == REDELIVERED_CODE) & self._order.unlike_R[place_D]] = ID_CONFLICT_CODE
        rows = rows_of(
            FOUND,
            self._order.post_R[place_D],
            reason_D,
            part.similarity_N[gone_D],
            part.names(gone_D),
            self._order.segment_R[self._leader_R[place_D]],
            pa.nulls(len(gone_D), pa.int32()),
        )
        self._found.append(rows)

    def _spill(self, part: "_Slice") -> None:
        """Spills the leaders of the last component, if the next slice continues it."""
        stop, component_R = part.stop, self._order.component_R
        if stop == len(component_R) or component_R[stop] != component_R[stop - 1]:
            return
        leads_N = self._reason_R[part.places] == KEPT_CODE
        leads_N &= component_R[part.places] == component_R[stop - 1]
        at_L = np.flatnonzero(leads_N)
        if len(at_L):
            rows = pa.array(at_L)
            self._spilled.add(
                LeaderRows(
                    at_L + part.start,
                    part.key_NK1[at_L],
                    part.post_id.take(rows),
                    part.text.take(rows),
                )
            )

    def conclude(self, *, num_slices: int) -> Resolved:
        """Returns the outcome, with the kept posts counted by cluster."""
        order = self._order
        counted_R = (self._reason_R != REDELIVERED_CODE) & (order.segment_R == THIS_RUN)
        size_R = np.bincount(self._leader_R[counted_R], minlength=len(counted_R))
        size_R += (order.segment_R != THIS_RUN) & (size_R > 0)
        if self._rules.dedup.count_copies:
            self._count_copies(size_R)
        starts = np.flatnonzero(np.diff(order.component_R, prepend=-1))
        component_sizes = np.diff(starts, append=len(order.component_R))
        clusters, components = size_bins(size_R[size_R > 1]), size_bins(component_sizes)
        place_C, of_C = self._conflicts()
        again_C = order.segment_R[of_C] == THIS_RUN
        counts = ResolveCounts(
            *(self._num_unverified, num_slices, clusters, components),
            id_conflicts=len(place_C),
            shared_ids=int((again_C & self._stays_R[place_C]).sum()),
        )
        return Resolved(self._found, self._first_conflict(place_C, of_C), counts)

    def _conflicts(self) -> tuple[Array, Array]:
        """Returns (place_C, of_C): posts of this run that have the id, but not the text, of another one.

        They are all but the first of the posts of one id that stay; or, where one of an id stays, the
        dropped ones.
        """
        order, own_R = self._order, self._order.segment_R == THIS_RUN
        if self._rules.dedup.id_conflicts == "drop":
            place_C = np.flatnonzero(own_R & order.unlike_R)
            return place_C, order.speaker_R[place_C]
        place_C = np.flatnonzero(self._stays_R)
        _, first_V, id_C = np.unique(order.id_R[place_C], return_index=True, return_inverse=True)
        of_C = place_C[first_V][id_C]
        again_C = own_R[place_C] & (of_C != place_C)
        return place_C[again_C], of_C[again_C]

    def _first_conflict(self, place_C: Array, of_C: Array) -> pa.RecordBatch:
        post_C = self._order.post_R[place_C]
        first = np.argsort(post_C)[:1]
        of = of_C[first]
        columns = post_C[first], self._order.post_R[of], self._order.segment_R[of]
        return rows_of(CONFLICT, *columns)

    def _count_copies(self, size_R: Array) -> None:
        own_R = self._order.segment_R == THIS_RUN
        copies_R = size_R[self._leader_R]
        kept_S = np.flatnonzero(own_R & self._stays_R & (copies_R > 1))
        rows = rows_of(
            FOUND,
            self._order.post_R[kept_S],
            np.full(len(kept_S), KEPT_CODE, np.uint8),
            *(pa.nulls(len(kept_S), FOUND.field(n).type) for n in ("similarity", "duplicate_of")),
            np.full(len(kept_S), THIS_RUN, np.int16),
            copies_R[kept_S].astype(np.int32),
        )
        self._found.append(rows)


class _Slice:
    """A slice while it is resolved.

    Attributes:
        key_NK1: the band keys of each row, and the hash of its text; NO_KEY where there is no text.
        similarity_N: to the post that each row names.
    """

    def __init__(self, start: int, rows: pa.RecordBatch, minhash: MinHashSpec, *, max_checks: int):
        self.start, self.stop = start, start + rows.num_rows
        self.places = slice(self.start, self.stop)
        self.post_id, self.text = rows.column("post_id"), rows.column("text")
        content_N = content_hash(self.text)
        content_N[np.asarray(pc.binary_length(self.text)) == 0] = NO_KEY
        self.key_NK1 = np.column_stack((text_band_keys(self.text, minhash), content_N))
        self.checks = Checks.of(rows.num_rows, max_checks=max_checks)
        self.similarity_N = np.ones(rows.num_rows, np.float32)
        self._named = [self.post_id]
        self._num_named = rows.num_rows
        self._name_N = np.arange(rows.num_rows)

    def name(self, row_M: Array, post_id: pa.StringArray, similarity_M: Array) -> None:
        """Sets the post that rows name, and the similarity to it."""
        self._name_N[row_M] = self._num_named + np.arange(len(row_M))
        self.similarity_N[row_M] = similarity_M
        self._named.append(post_id)
        self._num_named += len(row_M)

    def names(self, row_M: Array) -> pa.StringArray:
        """Returns the ids of the posts that rows name."""
        found = pa.chunked_array(self._named, pa.string()).take(pa.array(self._name_N[row_M]))
        return pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], pa.string())


def _equal_texts(text: pa.StringArray, num_leaders: int) -> Array:
    """Returns (N,) the first row that has the text of each, where that is a leader's; else the row."""
    code_N = np.asarray(text.dictionary_encode().indices)
    _, first_V = np.unique(code_N, return_index=True)
    lead_N = first_V[code_N]
    return np.where(lead_N < num_leaders, lead_N, np.arange(len(text)))


def size_bins(size_G: Array) -> dict[str, int]:
    """Returns how many groups have 1, 2, 3, 4, 5-8, 9-16 ... members."""
    bins: dict[str, int] = {}
    for size, count in zip(*np.unique(size_G, return_counts=True), strict=True):
        power = 1 << (int(size) - 1).bit_length()
        name = str(size) if size <= 4 else f"{power // 2 + 1}-{power}"
        bins[name] = bins.get(name, 0) + int(count)
    return bins


@dataclass(frozen=True)
class ResolveComponents(DedupStage):
    """Whole components with their texts -> verified duplicates, by clean unit."""

    rules: Rules
    counts: ClassVar = ResolveCounts

    def do(self, unit: Unit, attempt: Attempt) -> ResolveCounts:
        """Resolves a partition of components."""

        def read() -> Iterator[pa.RecordBatch]:
            return (batch for _, batch in exchange.read(unit))

        resolved = resolve(read, self.rules, scratch=attempt.path("scratch", suffix=""))
        first_U = np.asarray(self.posts.first, np.int64)
        num_units = len(self.posts.units)
        with exchanged_edge(attempt, "found", FOUND, num_units, compressed=True) as writer:
            for found in resolved.found:
                post_D = np.asarray(found.column("post"))
                writer.write(found, np.searchsorted(first_U, post_D, side="right") - 1)
        with written_edge(attempt, "conflict", CONFLICT) as file:
            file.write_batch(resolved.conflict)
        return resolved.counts
