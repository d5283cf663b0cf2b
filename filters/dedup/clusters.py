"""Leader clustering: of rows in the order of preference, keeps one leader and drops the rest.

Rows are looked at once, the most preferred first:

1. Rows of one `post_code` are deliveries of one post. The first represents it; the others are `redelivered`.
2. A post whose text is an earlier post's, byte for byte, shares its fate: `exact` if that one was
   kept, else `near`, with its leader and its similarity.
3. A post is compared with the kept posts that share a band key with it, the most preferred first
   and `max_checks` of them at most. The first whose Jaccard index reaches the threshold is its
   leader, and the post is `near`.
4. Any other post is kept, and leads from here on.

A fixed row is a post that an earlier run kept. It stays whatever it resembles, even another fixed row
of the same post or text: it is never compared, names itself, and leads from its place. If it is
the first row of its post, it represents it; a later post that has its text is `exact`, with the first
such row for leader. The caller gives the fixed rows of a component before its other rows.

So a leader is always a kept row, never a link of a chain, and every similarity is exact: no post
is dropped on the estimate of a sketch. An empty text is no duplicate of any post, save as a redelivery. A
redelivered row, whose text may have been edited since, represents no other.

The work is at most `max_checks` comparisons a row, however large a bucket is. The memory, beside that
of the arguments, is about 50 bytes per row, 4 bytes per band key, at most 10 more for one that rows share,
and 8 bytes per shingle of the leaders that a later row may still be compared with, twice that while room
for more is made. Where rows come component by component, those are few; where one component is all,
they may be all that are kept.

Shape suffixes: N rows, K bands, S words of shingles, M pairs, U buckets, R entries of all buckets, F
rows left for rule 3, B rows of a block.

Source: Hartigan 1975, "Clustering Algorithms", chapter 3 (leader algorithm); the rules are ours.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from sluice.filters.dedup import kernels
from sluice.filters.dedup.exact_hash import first_of_text
from sluice.filters.dedup.kernels import LeaderBuckets, LeaderShingles, Outcome
from sluice.filters.dedup.minhash import shingle_sets
from sluice.filters.dedup.sharing import first_of, shared_keys
from sluice.schemas.arrays import Bools, Float32s, Int32s, Int64s, Uint8s, Uint64s
from sluice.schemas.reject import EXACT, ID_CONFLICT, NEAR, REDELIVERED

Rows = np.ndarray[Any, np.dtype[np.integer[Any]]]

KEPT_CODE: Final = 0
REDELIVERED_CODE: Final = 1
EXACT_CODE: Final = 2
NEAR_CODE: Final = 3
ID_CONFLICT_CODE: Final = 4
REASONS: Final = ("kept", REDELIVERED, EXACT, NEAR, ID_CONFLICT)
"""What the codes say; all but the first are reasons of REJECT. The last is for those who know ids: no
row here has it."""

_BLOCK_ROWS = 8192
"""Rows, or pairs, whose shingles are held at a time beside those of the leaders."""


class Checks(NamedTuple):
    """What is left of the comparisons that rows may cost, where they meet leaders in several calls.

    Attributes:
        left_N: int32, comparisons that a row may still cost.
        ran_out_N: bool, whether a row had something left to be compared with when it had none.
    """

    left_N: Int32s
    ran_out_N: Bools

    @classmethod
    def of(cls, num_rows: int, *, max_checks: int) -> "Checks":
        """Returns those of rows that were not compared yet."""
        return cls(np.full(num_rows, max_checks, np.int32), np.zeros(num_rows, np.bool_))

    def take(self, row_N: Rows) -> "Checks":
        """Returns those of some rows."""
        return Checks(self.left_N[row_N], self.ran_out_N[row_N])


class Clusters(NamedTuple):
    """What became of every row.

    Attributes:
        leader_N: int32, the kept row that this one is a duplicate of; a kept row names itself.
        similarity_N: float32, the exact Jaccard index of the row's text and its leader's.
        reason_N: uint8, KEPT_CODE, REDELIVERED_CODE, EXACT_CODE or NEAR_CODE.
        num_unverified: rows that were kept with candidates left when their checks ran out.
        num_checks: comparisons of shingle sets under rule 3.
    """

    leader_N: Int32s
    similarity_N: Float32s
    reason_N: Uint8s
    num_unverified: int
    num_checks: int


def cluster(
    texts: pa.StringArray,
    *,
    post_code_N: Int64s,
    content_hash_N: Uint64s,
    band_keys_NK: Uint64s,
    threshold: float,
    ngram: int,
    max_checks: int,
    fixed_N: Bools | None = None,
    checks: Checks | None = None,
) -> Clusters:
    """Resolves rows that hold whole components of candidates; deterministic.

    Args:
        texts: (N,) string, the text that duplicates are compared by; the most preferred row first.
        post_code_N: (N,) int64, equal for deliveries of one post and only for them.
        content_hash_N: (N,) uint64, equal for equal texts; the texts are compared as well.
        band_keys_NK: (N, K) uint64, of `sluice.filters.dedup.minhash`.
        threshold: the least Jaccard index of a near duplicate, in (0, 1]; compared as float32.
        ngram: code points in a shingle.
        max_checks: comparisons a row may cost, at least 1.
        fixed_N: (N,) bool, true for rows that stay whatever they resemble; None for no such row.
        checks: what rows may still cost, after `follow`; None for `max_checks` each.

    Source: the rules at the head of this module.
    """
    row_N = np.arange(len(texts), dtype=np.int32)
    fixed_N = np.zeros(len(texts), np.bool_) if fixed_N is None else fixed_N
    first_of_id_N = np.where(fixed_N, row_N, first_of(post_code_N))
    twin_N = np.where(fixed_N, row_N, first_of_text(texts, first_of(content_hash_N), first_of_id_N))
    fresh_F = np.flatnonzero((first_of_id_N == row_N) & (twin_N == row_N)).astype(np.int32)
    checks = Checks.of(len(texts), max_checks=max_checks) if checks is None else checks
    left_F, ran_out_F = checks.take(fresh_F)
    before = int(left_F.sum())
    run = _Resolver(texts, fresh_F, fixed_N[fresh_F], Checks(left_F, ran_out_F))
    buckets = _group(band_keys_NK, fresh_F, max_checks=max_checks)
    leader_F, similarity_F = run.resolve(
        buckets, threshold=threshold, ngram=ngram, max_checks=max_checks, all_lead=True
    )
    num_unverified = int((ran_out_F & (leader_F == np.arange(len(fresh_F)))).sum())

    similarity_N = np.ones(len(texts), np.float32)
    lead_N = row_N.copy()
    lead_N[fresh_F], similarity_N[fresh_F] = fresh_F[leader_F], similarity_F
    lead_N, similarity_N = lead_N[twin_N], similarity_N[twin_N]
    again_M = np.flatnonzero(first_of_id_N != row_N)
    lead_N[again_M] = lead_N[first_of_id_N[again_M]]
    similarity_N[again_M] = pair_jaccard(texts, again_M, lead_N[again_M], ngram=ngram)
    reason_N = _reasons(lead_N, twin_N, first_of_id_N)
    num_checks = before - int(left_F.sum())
    return Clusters(lead_N, similarity_N, reason_N, num_unverified, num_checks)


def follow(
    texts: pa.StringArray,
    *,
    band_keys_NK: Uint64s,
    num_leaders: int,
    checks: Checks,
    threshold: float,
    ngram: int,
    max_checks: int,
) -> tuple[Int32s, Float32s]:
    """Returns (leader_N, similarity_N): rule 3 for rows that are compared with given leaders alone.

    Leaders that do not fit into memory come in several calls, in their order; afterwards `cluster`
    resolves the rows without a leader. Such a row names itself.

    Args:
        texts: (N,) string, first those of the leaders.
        band_keys_NK: (N, K) uint64.
        num_leaders: how many leaders there are.
        checks: of the N rows, changed in place.
        threshold: as for `cluster`.
        ngram: as for `cluster`.
        max_checks: as for `cluster`.
    """
    all_N = np.arange(len(texts), dtype=np.int32)
    run = _Resolver(texts, all_N, all_N < num_leaders, checks)
    buckets = _group(band_keys_NK, all_N, max_checks=max_checks)
    return run.resolve(
        buckets, threshold=threshold, ngram=ngram, max_checks=max_checks, all_lead=False
    )


def pair_jaccard(texts: pa.StringArray, left_M: Rows, right_M: Rows, *, ngram: int) -> Float32s:
    """Returns (M,) float32 in [0, 1], the Jaccard index of the shingle sets of pairs of texts.

    Equal texts give exactly 1, two empty ones too; an empty text and another give 0. Shingles are
    compared by 64-bit hash: see `sluice.filters.dedup.minhash.shingle_sets` for the odds of a collision.

    Args:
        texts: (N,) string.
        left_M: (M,) row of one text of each pair.
        right_M: (M,) row of the other.
        ngram: code points in a shingle.
    """
    jaccard_M = np.empty(len(left_M), np.float32)
    for first in range(0, len(left_M), _BLOCK_ROWS):
        block = slice(first, first + _BLOCK_ROWS)
        ends_2B = np.concatenate((left_M[block], right_M[block]))
        row_V, place_2B = np.unique(ends_2B, return_inverse=True)
        sets = shingle_sets(texts.take(pa.array(row_V)), ngram=ngram)
        place_2B = place_2B.reshape(2, -1)
        kernels.pair_jaccard(sets, place_2B[0], place_2B[1], jaccard_M[block])
    return jaccard_M


def _reasons(leader_N: Int32s, twin_N: Int32s, first_of_id_N: Int32s) -> Uint8s:
    row_N = np.arange(len(leader_N), dtype=np.int32)
    reason_N = np.full(len(leader_N), NEAR_CODE, np.uint8)
    reason_N[leader_N == row_N] = KEPT_CODE
    reason_N[(twin_N != row_N) & (leader_N == twin_N)] = EXACT_CODE
    reason_N[first_of_id_N != row_N] = REDELIVERED_CODE
    return reason_N


def _group(band_keys_NK: Uint64s, fresh_F: Int32s, *, max_checks: int) -> LeaderBuckets:
    """Returns the buckets of some of the rows, empty as yet."""
    shared = shared_keys(band_keys_NK, fresh_F)
    room_U = np.minimum(shared.size_U - 1, min(max_checks + 1, len(fresh_F)))
    start_U1 = np.zeros(len(room_U) + 1, np.int64)
    np.cumsum(room_U, out=start_U1[1:])
    row_R = np.empty(int(start_U1[-1]), np.int32)
    return LeaderBuckets(
        shared.bucket_FK, shared.last_U, start_U1, np.zeros(len(room_U), np.int32), row_R
    )


class _Resolver:
    """Rules 3 and 4 over rows of distinct posts with distinct texts, and fixed rows."""

    def __init__(self, texts: pa.StringArray, fresh_F: Int32s, fixed_F: Bools, checks: Checks):
        self._texts, self._fresh_F, self._fixed_F = texts, fresh_F, fixed_F
        self._checks = checks
        self._leaders = LeaderShingles(np.empty(0, np.uint64), np.empty(len(fresh_F), np.int64))
        self._used = 0

    def resolve(
        self,
        buckets: LeaderBuckets,
        *,
        threshold: float,
        ngram: int,
        max_checks: int,
        all_lead: bool,
    ) -> tuple[Int32s, Float32s]:
        """Returns (leader_F, similarity_F); fixed rows lead, others if they find no leader and all may."""
        leader_F = np.arange(len(self._fresh_F), dtype=np.int32)
        similarity_F = np.ones(len(self._fresh_F), np.float32)
        outcome = Outcome(leader_F, similarity_F, *self._checks)
        rule = np.float32(threshold), max_checks, all_lead
        # A row that shares no key is kept: its shingles are never asked for.
        met_M = np.flatnonzero((buckets.bucket_FK >= 0).any(axis=1)).astype(np.int32)
        for first in range(0, len(met_M), _BLOCK_ROWS):
            row_B = met_M[first : first + _BLOCK_ROWS]
            block = shingle_sets(self._texts.take(pa.array(self._fresh_F[row_B])), ngram=ngram)
            self._reserve(buckets, int(row_B[0]), len(block.shingles_S) + len(row_B))
            self._used = kernels.lead(
                block, row_B, self._fixed_F, buckets, self._leaders, self._used, *rule, outcome
            )
        return leader_F, similarity_F

    def _reserve(self, buckets: LeaderBuckets, next_row: int, num_words: int) -> None:
        """Makes room for the words of one more block.

        Leaders that no row from `next_row` on can meet are dropped first. Twice what is needed is reserved,
        so that the copies stay linear.
        """
        if self._used + num_words <= len(self._leaders.words_S):
            return
        self._used = kernels.drop_leaders(buckets, self._leaders, self._used, next_row)
        needed = 2 * (self._used + num_words)
        if needed > len(self._leaders.words_S):
            words_S = np.empty(needed, np.uint64)
            words_S[: self._used] = self._leaders.words_S[: self._used]
            self._leaders = self._leaders._replace(words_S=words_S)
