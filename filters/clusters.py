"""Leader clustering: who stays, who goes, and for whom, among rows in the order of preference.

Rows are looked at once, the most preferred first:

1. Rows of one post id are one post. The first speaks for it; the others are `redelivered`.
2. A post whose text is an earlier post's, byte for byte, shares its fate: `exact` if that one was
   kept, else `near`, with its leader and its similarity.
3. A post is compared with the kept posts that share a band key with it, the most preferred first
   and `max_checks` of them at most. The first whose Jaccard index reaches the threshold is its
   leader, and the post is `near`.
4. Any other post is kept, and leads from here on.

So a leader is always a kept row, never a link of a chain, and every similarity is exact: no post
goes because a sketch said so. An empty text says nothing and is no duplicate of any post, save as a
redelivery. A redelivered row, whose text may have been edited since, stands for nobody.

The work is at most `max_checks` comparisons a row, however large a bucket is; the memory, beside
that of the arguments, 8 bytes a shingle of the kept posts and 16 bytes a band key.

Shape suffixes: N rows, K bands, S shingles, M pairs, U buckets, R entries of all buckets, F rows
left for rule 3, V distinct values.

Source: Hartigan 1975, "Clustering Algorithms", chapter 3 (leader algorithm); the rules are ours.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numba import types

from filters.minhash import NO_KEY, ShingleSets, shingle_sets
from schemas.kernel import BYTES, OFFSETS, kernel, utf8_view
from schemas.reject import EXACT, NEAR, REDELIVERED

U8 = np.ndarray[Any, np.dtype[np.uint8]]
I32 = np.ndarray[Any, np.dtype[np.int32]]
I64 = np.ndarray[Any, np.dtype[np.int64]]
U64 = np.ndarray[Any, np.dtype[np.uint64]]
F32 = np.ndarray[Any, np.dtype[np.float32]]
Rows = np.ndarray[Any, np.dtype[np.integer[Any]]]

KEPT_CODE: Final = 0
REDELIVERED_CODE: Final = 1
EXACT_CODE: Final = 2
NEAR_CODE: Final = 3
REASONS: Final = ("kept", REDELIVERED, EXACT, NEAR)
"""What the codes say; the last three are reasons of REJECT."""

_BLOCK_ROWS = 8192
"""Rows whose shingles are held at a time beside those of the leaders."""


class Clusters(NamedTuple):
    """What became of every row.

    Attributes:
        leader_N: int32, the kept row that this one is a duplicate of; a kept row names itself.
        similarity_N: float32, the exact Jaccard index of the row's text and its leader's.
        reason_N: uint8, KEPT_CODE, REDELIVERED_CODE, EXACT_CODE or NEAR_CODE.
        num_unverified: rows that were kept with candidates left when their checks ran out.
        num_checks: comparisons of shingle sets under rule 3.
    """

    leader_N: I32
    similarity_N: F32
    reason_N: U8
    num_unverified: int
    num_checks: int


def cluster(
    texts: pa.StringArray,
    *,
    id_code_N: I64,
    content_hash_N: U64,
    band_keys_NK: U64,
    threshold: float,
    ngram: int,
    max_checks: int,
) -> Clusters:
    """Settles rows that hold whole components of candidates; deterministic.

    Args:
        texts: (N,) string, the text that duplicates are compared by; the most preferred row first.
        id_code_N: (N,) int64, equal for rows of one post id and only for them.
        content_hash_N: (N,) uint64, equal for equal texts; the texts are compared as well.
        band_keys_NK: (N, K) uint64, of `filters.minhash`.
        threshold: the least Jaccard index of a near duplicate, in (0, 1]; compared as float32.
        ngram: code points in a shingle.
        max_checks: comparisons a row may cost, at least 1.

    Source: the rules at the head of this module.
    """
    speaker_N = _first_of(id_code_N)
    twin_N = np.empty(len(texts), np.int32)
    _twins(*utf8_view(texts), _first_of(content_hash_N), speaker_N, twin_N)
    lead_N = np.arange(len(texts), dtype=np.int32)
    fresh_F = np.flatnonzero((speaker_N == lead_N) & (twin_N == lead_N)).astype(np.int32)
    run = _Run(texts.take(pa.array(fresh_F)), band_keys_NK[fresh_F])
    leader_F, similarity_F = run.settle(threshold=threshold, ngram=ngram, max_checks=max_checks)

    similarity_N = np.ones(len(texts), np.float32)
    lead_N[fresh_F], similarity_N[fresh_F] = fresh_F[leader_F], similarity_F
    lead_N, similarity_N = lead_N[twin_N], similarity_N[twin_N]
    again_R = np.flatnonzero(speaker_N != np.arange(len(texts)))
    lead_N[again_R] = lead_N[speaker_N[again_R]]
    similarity_N[again_R] = pair_jaccard(texts, again_R, lead_N[again_R], ngram=ngram)
    reason_N = _reasons(lead_N, twin_N, speaker_N)
    return Clusters(lead_N, similarity_N, reason_N, int(run.tally_2[1]), int(run.tally_2[0]))


def pair_jaccard(texts: pa.StringArray, left_M: Rows, right_M: Rows, *, ngram: int) -> F32:
    """Returns (M,) float32 in [0, 1], the Jaccard index of the shingle sets of pairs of texts.

    Equal texts give exactly 1, two empty ones too; an empty text and another give 0. Shingles are
    compared by 64-bit hash: see `filters.minhash.shingle_sets` for the odds of a collision.

    Args:
        texts: (N,) string.
        left_M: (M,) row of one text of each pair.
        right_M: (M,) row of the other.
        ngram: code points in a shingle.
    """
    row_U, place_2M = np.unique(np.concatenate((left_M, right_M)), return_inverse=True)
    sets = shingle_sets(texts.take(pa.array(row_U)), ngram=ngram)
    jaccard_M = np.empty(len(left_M), np.float32)
    _pair_jaccard(sets, place_2M[: len(left_M)], place_2M[len(left_M) :], jaccard_M)
    return jaccard_M


def _first_of(value_N: Any) -> I32:
    """Returns (N,) int32, the first row that has the value of each row."""
    _, first_V, code_N = np.unique(value_N, return_index=True, return_inverse=True)
    return np.asarray(first_V.astype(np.int32)[code_N])


def _reasons(leader_N: I32, twin_N: I32, speaker_N: I32) -> U8:
    row_N = np.arange(len(leader_N))
    reason_N = np.full(len(leader_N), NEAR_CODE, np.uint8)
    reason_N[leader_N == row_N] = KEPT_CODE
    reason_N[(twin_N != row_N) & (leader_N == twin_N)] = EXACT_CODE
    reason_N[speaker_N != row_N] = REDELIVERED_CODE
    return reason_N


class _Buckets(NamedTuple):
    """The leaders that have each band key, in the order in which they came."""

    bucket_NK: I32  # the bucket of each band key, -1 where no other row has it
    start_U: I64  # where each bucket starts in row_R
    size_U: I32  # leaders in it so far
    row_R: I32  # rows, a bucket after the other


class _Leaders(NamedTuple):
    """The shingles of the leaders."""

    shingles_S: U64
    bounds_N2: I64  # where those of a leader start and stop


def _group(band_keys_NK: U64) -> _Buckets:
    bucket_NK = np.full(band_keys_NK.shape, -1, np.int32)
    sizes = [np.empty(0, np.int64)]
    num_buckets = 0
    for k in range(band_keys_NK.shape[1]):
        key_V, code_N, count_V = np.unique(
            band_keys_NK[:, k], return_inverse=True, return_counts=True
        )
        shared_V = (count_V > 1) & (key_V != NO_KEY)
        bucket_V = np.where(shared_V, np.cumsum(shared_V) - 1 + num_buckets, -1)
        bucket_NK[:, k] = bucket_V[code_N]
        sizes.append(count_V[shared_V])
        num_buckets += int(shared_V.sum())
    size_U = np.concatenate(sizes)
    start_U = np.cumsum(size_U) - size_U
    row_R = np.empty(int(size_U.sum()), np.int32)
    return _Buckets(bucket_NK, start_U, np.zeros(num_buckets, np.int32), row_R)


class _Run:
    """Rules 3 and 4 over rows of distinct posts with distinct texts.

    Attributes:
        tally_2: int64, checks made, and rows that ran out of them.
    """

    def __init__(self, texts: pa.StringArray, band_keys_FK: U64):
        self.tally_2 = np.zeros(2, np.int64)
        self._texts = texts
        self._buckets = _group(band_keys_FK)
        bounds_F2 = np.zeros((len(texts), 2), np.int64)
        self._leaders = _Leaders(np.empty(0, np.uint64), bounds_F2)
        self._num_shingles = 0

    def settle(self, *, threshold: float, ngram: int, max_checks: int) -> tuple[I32, F32]:
        """Returns (leader_F, similarity_F)."""
        leader_F = np.arange(len(self._texts), dtype=np.int32)
        similarity_F = np.ones(len(self._texts), np.float32)
        for first in range(0, len(self._texts), _BLOCK_ROWS):
            block = shingle_sets(self._texts.slice(first, _BLOCK_ROWS), ngram=ngram)
            self._reserve(len(block.shingles_S))
            self._num_shingles = _lead(
                block,
                first,
                self._buckets,
                self._leaders,
                self._num_shingles,
                np.float32(threshold),
                max_checks,
                leader_F,
                similarity_F,
                self.tally_2,
            )
        return leader_F, similarity_F

    def _reserve(self, num_shingles: int) -> None:
        """Makes room for the shingles of one more block, doubling so that copies stay linear."""
        needed = self._num_shingles + num_shingles
        if needed > len(self._leaders.shingles_S):
            shingles_S = np.empty(max(needed, 2 * len(self._leaders.shingles_S)), np.uint64)
            shingles_S[: self._num_shingles] = self._leaders.shingles_S[: self._num_shingles]
            self._leaders = self._leaders._replace(shingles_S=shingles_S)


_I32 = types.Array(types.int32, 1, "C")
_I64 = types.Array(types.int64, 1, "C")
_U64 = types.Array(types.uint64, 1, "C")
_F32 = types.Array(types.float32, 1, "C")
_SETS = types.NamedTuple((_U64, _I64), ShingleSets)
_BUCKETS = types.NamedTuple((types.Array(types.int32, 2, "C"), _I64, _I32, _I32), _Buckets)
_LEADERS = types.NamedTuple((_U64, types.Array(types.int64, 2, "C")), _Leaders)


@kernel()
def _equal(data_B, start, end, other, other_end):  # type: ignore[no-untyped-def]
    if end - start != other_end - other:
        return False
    b = 0
    while start + b < end and data_B[start + b] == data_B[other + b]:
        b += 1
    return start + b == end


@kernel(types.void(BYTES, OFFSETS, _I32, _I32, _I32))
def _twins(data_B, offsets_N1, same_hash_N, speaker_N, twin_N):  # type: ignore[no-untyped-def]
    """Writes the first speaker of the same text, for speakers with a text; else the row itself.

    Speakers of one hash but different texts are chained from the first row of that hash.
    """
    chain_N = np.full(len(twin_N), -1, np.int32)
    for i in range(len(twin_N)):
        twin_N[i] = i
        start, end = offsets_N1[i], offsets_N1[i + 1]
        if speaker_N[i] != i or start == end:
            continue
        j = same_hash_N[i]
        while j != i and not (
            speaker_N[j] == j and _equal(data_B, start, end, offsets_N1[j], offsets_N1[j + 1])
        ):
            if chain_N[j] < 0:
                chain_N[j] = i
            j = chain_N[j]
        twin_N[i] = j


@kernel()
def _jaccard(a_S, b_S):  # type: ignore[no-untyped-def]
    """Returns the Jaccard index of two ascending sets, float32; 1 for two empty ones."""
    i, j, shared = 0, 0, 0
    while i < len(a_S) and j < len(b_S):
        a, b = a_S[i], b_S[j]
        shared += a == b
        i += a <= b
        j += b <= a
    union = len(a_S) + len(b_S) - shared
    return np.float32(1.0) if union == 0 else np.float32(shared / union)


@kernel(types.void(_SETS, _I64, _I64, _F32))
def _pair_jaccard(sets, left_M, right_M, jaccard_M):  # type: ignore[no-untyped-def]
    for m in range(len(left_M)):
        i, j = left_M[m], right_M[m]
        a_S = sets.shingles_S[sets.starts_N1[i] : sets.starts_N1[i + 1]]
        b_S = sets.shingles_S[sets.starts_N1[j] : sets.starts_N1[j + 1]]
        jaccard_M[m] = _jaccard(a_S, b_S)


@kernel()
def _next_candidate(buckets, row, cursor_K):  # type: ignore[no-untyped-def]
    """Returns the next leader in any bucket of the row, each once and in order; -1 at the end."""
    found = -1
    for k in range(len(cursor_K)):
        u = buckets.bucket_NK[row, k]
        if u >= 0 and cursor_K[k] < buckets.size_U[u]:
            leader = buckets.row_R[buckets.start_U[u] + cursor_K[k]]
            if found < 0 or leader < found:
                found = leader
    for k in range(len(cursor_K)):
        u = buckets.bucket_NK[row, k]
        if u >= 0 and cursor_K[k] < buckets.size_U[u]:
            cursor_K[k] += buckets.row_R[buckets.start_U[u] + cursor_K[k]] == found
    return found


@kernel()
def _add_leader(buckets, leaders, row, set_S, num_shingles):  # type: ignore[no-untyped-def]
    """Enters a kept row in its buckets and its shingles after the others; returns their number."""
    for k in range(buckets.bucket_NK.shape[1]):
        u = buckets.bucket_NK[row, k]
        if u >= 0:
            buckets.row_R[buckets.start_U[u] + buckets.size_U[u]] = row
            buckets.size_U[u] += 1
    stop = num_shingles + len(set_S)
    leaders.shingles_S[num_shingles:stop] = set_S
    leaders.bounds_N2[row, 0], leaders.bounds_N2[row, 1] = num_shingles, stop
    return stop


@kernel(
    types.int64(
        _SETS,
        types.int64,
        _BUCKETS,
        _LEADERS,
        types.int64,
        types.float32,
        types.int64,
        _I32,
        _F32,
        _I64,
    )
)
def _lead(  # type: ignore[no-untyped-def]
    block,
    first_row,
    buckets,
    leaders,
    num_shingles,
    threshold,
    max_checks,
    leader_N,
    similarity_N,
    tally_2,
):
    """Settles the rows of a block in order; returns how many shingles the leaders have so far."""
    cursor_K = np.empty(buckets.bucket_NK.shape[1], np.int32)
    for b in range(len(block.starts_N1) - 1):
        row = first_row + b
        set_S = block.shingles_S[block.starts_N1[b] : block.starts_N1[b + 1]]
        cursor_K[:] = 0
        num_checks, settled = 0, False
        candidate = _next_candidate(buckets, row, cursor_K)
        while candidate >= 0 and num_checks < max_checks and not settled:
            start, stop = leaders.bounds_N2[candidate, 0], leaders.bounds_N2[candidate, 1]
            jaccard = _jaccard(set_S, leaders.shingles_S[start:stop])
            num_checks += 1
            if jaccard >= threshold:
                leader_N[row], similarity_N[row] = candidate, jaccard
                settled = True
            else:
                candidate = _next_candidate(buckets, row, cursor_K)
        tally_2[0] += num_checks
        if not settled:
            tally_2[1] += candidate >= 0
            num_shingles = _add_leader(buckets, leaders, row, set_S, num_shingles)
    return num_shingles
