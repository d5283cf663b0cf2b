"""The compiled kernels of the dedup room, in the order of the modules that call them.

Shape suffixes: N texts or rows, P permutations, K band keys of a row, S shingles or words of shingles, C code
points, H slots, M keys, E edges or entries, U buckets or distinct keys, R entries of all buckets, F rows left
for rule 3 of `clusters`, B rows of a block, D values of a digit.
"""

from typing import NamedTuple

import numpy as np

from sluice.schemas.arrays import Bools, Float32s, Int32s, Int64s, Uint64s
from sluice.schemas.hashing import GOLDEN_RATIO
from sluice.schemas.kernel import BYTES, OFFSETS, decode_at, kernel, read_only, types

SPREAD = np.uint64(0xD6E8FEB86659FD93)

EMPTY = np.uint32(0xFFFFFFFF)
"""Every entry of an empty text's signature, as in datasketch."""

NO_KEY = np.uint64(0)
"""Every band key of an empty text: no bucket, so that empty texts are never near duplicates."""

FREE = np.uint32(0xFFFFFFFF)
"""The row of a slot without a key; no post has this number."""

DIGIT_BITS = 11
"""Bits that a pass of the sort orders by: 2,048 counters stay in the first-level cache."""

_HEAD_BITS = 32
"""Of the word before a leader's shingles: their number is below, the leader's row above."""


class ShingleSets(NamedTuple):
    """The shingles of N texts.

    Attributes:
        shingles_S: uint64, the x of each shingle; within a text ascending and distinct.
        starts_N1: int64, text i has `shingles_S[starts_N1[i]:starts_N1[i + 1]]`.
    """

    shingles_S: Uint64s
    starts_N1: Int64s


class LeaderBuckets(NamedTuple):
    """The leaders that have each band key, in the order in which they came.

    A bucket has room for one leader more than a row may be compared with: the last one only tells
    that there was something left to compare with.
    """

    bucket_FK: Int32s  # the bucket of each band key, -1 where no other row has it
    last_U: Int32s  # the last row of each bucket, leader or not
    start_U1: Int64s  # where each bucket starts in row_R
    size_U: Int32s  # leaders in it so far
    row_R: Int32s  # rows, a bucket after the other


class LeaderShingles(NamedTuple):
    """The shingles of the leaders that a later row may be compared with."""

    words_S: Uint64s  # leader after leader, a head before its shingles; see _HEAD_BITS
    start_F: Int64s  # where the head of each leader is


class Outcome(NamedTuple):
    """What is written about F rows; the last two are what is left of `clusters.Checks`."""

    leader_F: Int32s
    similarity_F: Float32s
    left_F: Int32s
    ran_out_F: Bools


_BOOL, _F32 = types.boolean[::1], types.float32[::1]
_I32, _I64 = types.int32[::1], types.int64[::1]
_U32, _U64 = types.uint32[::1], types.uint64[::1]
_I32_2, _U32_2, _U64_2 = types.int32[:, ::1], types.uint32[:, ::1], types.uint64[:, ::1]
_INT, _FLOAT, _FLAG = types.int64, types.float32, types.boolean
_READ_BOOL, _READ_U32, _READ_U64 = map(read_only, (types.boolean, types.uint32, types.uint64))
_SETS = types.NamedTuple((_U64, _I64), ShingleSets)
_BUCKETS = types.NamedTuple((_I32_2, _I32, _I64, _I32, _I32), LeaderBuckets)
_LEADERS = types.NamedTuple((_U64, _I64), LeaderShingles)
_OUTCOME = types.NamedTuple((_I32, _F32, _I32, _BOOL), Outcome)


# --- MinHash and shingle sets (`minhash.py`) -----------------------------------------------------


@kernel()
def _longest(offsets_N1):
    longest = 0
    for i in range(len(offsets_N1) - 1):
        longest = max(longest, offsets_N1[i + 1] - offsets_N1[i])
    return longest


@kernel()
def _roll(data_B, start, end, ngram, leaving, code_C, x_S):
    """Writes the x of every n-gram to x_S, in order and with repetitions; returns how many."""
    num_codes = 0
    j = start
    while j < end:
        code, width = decode_at(data_B, j, end)
        code_C[num_codes] = np.uint64(code) + np.uint64(1)
        num_codes += 1
        j += width
    if num_codes == 0:
        return 0
    first = min(ngram, num_codes)
    x = np.uint64(0)
    for c in range(first):
        x = x * GOLDEN_RATIO + code_C[c]
    x_S[0] = x
    for c in range(first, num_codes):
        x = x * GOLDEN_RATIO + code_C[c] - leaving * code_C[c - first]
        x_S[c - first + 1] = x
    return num_codes - first + 1


@kernel()
def _premix(x_S, num_shingles, mixed_S):
    """Writes fmix32(h32) of each shingle, padded to a multiple of four by repeating the first."""
    for s in range(num_shingles):
        h = np.uint32(((x_S[s] ^ (x_S[s] >> np.uint64(32))) * SPREAD) >> np.uint64(32))
        h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
        h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
        mixed_S[s] = h ^ (h >> np.uint32(16))
    padded = (num_shingles + 3) // 4 * 4
    for s in range(num_shingles, padded):
        mixed_S[s] = mixed_S[0]
    return padded


@kernel()
def _least(mixed_S, padded, a_P, b_P, least_P):
    """Writes the minimum of a * h + b over the shingles, for every permutation.

    Four shingles a pass, so that a, b and the minimum are loaded once for four multiplications; the
    loop over permutations is the one that LLVM turns into vector instructions (uint32 throughout).
    """
    for p in range(len(a_P)):
        least_P[p] = EMPTY
    for s in range(0, padded, 4):
        h0, h1, h2, h3 = mixed_S[s], mixed_S[s + 1], mixed_S[s + 2], mixed_S[s + 3]
        for p in range(len(a_P)):
            a, b = a_P[p], b_P[p]
            low = min(np.uint32(h0 * a + b), np.uint32(h1 * a + b))
            high = min(np.uint32(h2 * a + b), np.uint32(h3 * a + b))
            least_P[p] = min(least_P[p], min(low, high))


@kernel()
def _write_keys(signature_P, rows, key_K):
    for k in range(len(key_K)):
        h = np.uint64(k + 1) * GOLDEN_RATIO
        all_empty = True
        for p in range(k * rows, (k + 1) * rows):
            all_empty &= signature_P[p] == EMPTY
            h = (h ^ np.uint64(signature_P[p])) * SPREAD
            h ^= h >> np.uint64(32)
        key_K[k] = NO_KEY if all_empty else max(h, np.uint64(1))


@kernel(types.void(BYTES, OFFSETS, types.int64, types.uint64, _READ_U32, _READ_U32, _U32_2))
def signatures(data_B, offsets_N1, ngram, leaving, a_P, b_P, signature_NP):
    """Writes the signature of each text."""
    longest = _longest(offsets_N1)
    code_C = np.empty(longest, np.uint64)
    x_S = np.empty(longest, np.uint64)
    mixed_S = np.empty(longest + 3, np.uint32)
    for i in range(len(offsets_N1) - 1):
        num = _roll(data_B, offsets_N1[i], offsets_N1[i + 1], ngram, leaving, code_C, x_S)
        _least(mixed_S, _premix(x_S, num, mixed_S), a_P, b_P, signature_NP[i])


@kernel(types.void(read_only(types.uint32, 2), types.int64, _U64_2))
def band_keys(signature_NP, rows, key_NK):
    """Writes the keys of each signature, `rows` entries in a key."""
    for i in range(len(signature_NP)):
        _write_keys(signature_NP[i], rows, key_NK[i])


@kernel(types.void(BYTES, OFFSETS, types.int64, types.uint64, _U64, _I64))
def shingle_sets(data_B, offsets_N1, ngram, leaving, shingles_S, starts_N1):
    """Writes the distinct shingles of each text, ascending, and where the next text's begin."""
    longest = _longest(offsets_N1)
    code_C = np.empty(longest, np.uint64)
    x_S = np.empty(longest, np.uint64)
    used = 0
    for i in range(len(offsets_N1) - 1):
        num = _roll(data_B, offsets_N1[i], offsets_N1[i + 1], ngram, leaving, code_C, x_S)
        x_S[:num].sort()
        for s in range(num):
            if s == 0 or x_S[s] != x_S[s - 1]:
                shingles_S[used] = x_S[s]
                used += 1
        starts_N1[i + 1] = used


# --- equal texts (`exact_hash.py`) ---------------------------------------------------------------


@kernel()
def _equal(data_B, start, end, other, other_end):
    if end - start != other_end - other:
        return False
    b = 0
    while start + b < end and data_B[start + b] == data_B[other + b]:
        b += 1
    return start + b == end


@kernel(types.void(BYTES, OFFSETS, _I32, _I32, _I32))
def first_of_text(data_B, offsets_N1, same_hash_N, first_of_id_N, first_N):
    """Writes the first row of the same text, among first rows of an id that have a text; else the row itself.

    Texts of one hash that differ are chained from the first row of that hash.
    """
    chain_N = np.full(len(first_N), -1, np.int32)
    for i in range(len(first_N)):
        first_N[i] = i
        start, end = offsets_N1[i], offsets_N1[i + 1]
        if first_of_id_N[i] != i or start == end:
            continue
        j = same_hash_N[i]
        while j != i and not (
            first_of_id_N[j] == j and _equal(data_B, start, end, offsets_N1[j], offsets_N1[j + 1])
        ):
            if chain_N[j] < 0:
                chain_N[j] = i
            j = chain_N[j]
        first_N[i] = j


# --- rows that share a key (`sharing.py`) --------------------------------------------------------


@kernel()
def _home(key, num_slots):
    return (((key * GOLDEN_RATIO) >> np.uint64(32)) * np.uint64(num_slots)) >> np.uint64(32)


@kernel()
def _row_slot(key, key_N, slot_row_H):
    """Returns the slot of the first row with a key, or the free one where it belongs."""
    slot = _home(key, len(slot_row_H))
    while slot_row_H[slot] >= 0 and key_N[slot_row_H[slot]] != key:
        slot += np.uint64(1)
        if slot == np.uint64(len(slot_row_H)):
            slot = np.uint64(0)
    return slot


@kernel(types.void(_READ_U64, _I32, _I32))
def first_rows(key_N, slot_row_H, first_N):
    """Writes the first row that has the key of each row."""
    slot_row_H[:] = -1
    for i in range(len(key_N)):
        slot = _row_slot(key_N[i], key_N, slot_row_H)
        if slot_row_H[slot] < 0:
            slot_row_H[slot] = i
        first_N[i] = slot_row_H[slot]


@kernel(types.int64(_READ_U64, _I32, types.int64, types.int64, _I32_2, _I32, _I32))
def share(key_F, slot_row_H, k, num_before, bucket_FK, size_U, last_U):
    """Writes the buckets of column k, numbered from `num_before` on; returns how many."""
    slot_row_H[:] = -1
    num = 0
    for i in range(len(key_F)):
        bucket_FK[i, k] = -1
        if key_F[i] == NO_KEY:
            continue
        slot = _row_slot(key_F[i], key_F, slot_row_H)
        first = slot_row_H[slot]
        if first < 0:
            slot_row_H[slot] = i
            continue
        if bucket_FK[first, k] < 0:
            bucket_FK[first, k] = num_before + num
            size_U[num] = 1
            num += 1
        u = bucket_FK[first, k] - num_before
        bucket_FK[i, k] = num_before + u
        size_U[u] += 1
        last_U[u] = i
    return num


@kernel()
def _key_slot(key, key_H):
    """Returns the slot of a key, or the free one where it belongs."""
    slot = _home(key, len(key_H))
    while key_H[slot] != NO_KEY and key_H[slot] != key:
        slot += np.uint64(1)
        if slot == np.uint64(len(key_H)):
            slot = np.uint64(0)
    return slot


@kernel(types.void(_READ_U64, _U64))
def fill(key_M, key_H):
    """Enters keys into an empty table."""
    for i in range(len(key_M)):
        if key_M[i] != NO_KEY:
            key_H[_key_slot(key_M[i], key_H)] = key_M[i]


@kernel(types.void(read_only(types.uint64, 2), _READ_U64, _U32, types.uint32, _BOOL))
def take(key_LK, key_H, count_H, limit, taken_L):
    """Writes which leaders are among the first `limit` of a key of the table, counting them."""
    for i in range(len(key_LK)):
        taken_L[i] = False
        for k in range(key_LK.shape[1]):
            key = key_LK[i, k]
            slot = _key_slot(key, key_H)
            if key == NO_KEY or key_H[slot] != key or count_H[slot] >= limit:
                continue
            again = False  # a leader that has the key twice counts once
            for j in range(k):
                again |= key_LK[i, j] == key
            if not again:
                count_H[slot] += np.uint32(1)
                taken_L[i] = True


# --- leader clustering (`clusters.py`) -----------------------------------------------------------


@kernel()
def _jaccard(a_S, b_S):
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
def pair_jaccard(sets, left_M, right_M, jaccard_M):
    """Writes the Jaccard index of each pair of sets."""
    for m in range(len(left_M)):
        i, j = left_M[m], right_M[m]
        a_S = sets.shingles_S[sets.starts_N1[i] : sets.starts_N1[i + 1]]
        b_S = sets.shingles_S[sets.starts_N1[j] : sets.starts_N1[j + 1]]
        jaccard_M[m] = _jaccard(a_S, b_S)


@kernel()
def _next_candidate(buckets, row, cursor_K):
    """Returns the next leader in any bucket of the row, each once and in order; -1 at the end."""
    candidate = -1
    for k in range(len(cursor_K)):
        u = buckets.bucket_FK[row, k]
        if u >= 0 and cursor_K[k] < buckets.size_U[u]:
            leader = buckets.row_R[buckets.start_U1[u] + cursor_K[k]]
            if candidate < 0 or leader < candidate:
                candidate = leader
    for k in range(len(cursor_K)):
        u = buckets.bucket_FK[row, k]
        if u >= 0 and cursor_K[k] < buckets.size_U[u]:
            cursor_K[k] += buckets.row_R[buckets.start_U1[u] + cursor_K[k]] == candidate
    return candidate


@kernel()
def _add_leader(buckets, leaders, row, set_S, used, max_checks):
    """Enters a kept row in its buckets, and its shingles if a later row may be compared with it.

    A leader that has `max_checks` others before it in each of its buckets never is. Returns how many
    words are used.
    """
    compared = False
    for k in range(buckets.bucket_FK.shape[1]):
        u = buckets.bucket_FK[row, k]
        if u >= 0 and buckets.start_U1[u] + buckets.size_U[u] < buckets.start_U1[u + 1]:
            compared |= buckets.size_U[u] < max_checks
            buckets.row_R[buckets.start_U1[u] + buckets.size_U[u]] = row
            buckets.size_U[u] += 1
    if not compared:
        return used
    leaders.start_F[row] = used
    leaders.words_S[used] = (np.uint64(row) << np.uint64(_HEAD_BITS)) | np.uint64(len(set_S))
    leaders.words_S[used + 1 : used + 1 + len(set_S)] = set_S
    return used + 1 + len(set_S)


@kernel()
def _shingles_at(words_S, start):
    size = np.int64(words_S[start] & np.uint64((1 << _HEAD_BITS) - 1))
    return words_S[start + 1 : start + 1 + size]


@kernel(types.int64(_BUCKETS, _LEADERS, types.int64, types.int64))
def drop_leaders(buckets, leaders, used, next_row):
    """Keeps the leaders that a row from `next_row` on may be compared with; returns the words used."""
    words_S, start, stop = leaders.words_S, 0, 0
    while start < used:
        row = np.int64(words_S[start] >> np.uint64(_HEAD_BITS))
        end = start + 1 + len(_shingles_at(words_S, start))
        last = -1
        for k in range(buckets.bucket_FK.shape[1]):
            u = buckets.bucket_FK[row, k]
            if u >= 0:
                last = max(last, buckets.last_U[u])
        if last >= next_row:
            leaders.start_F[row] = stop
            for s in range(start, end):
                words_S[stop] = words_S[s]
                stop += 1
        start = end
    return stop


@kernel(
    types.int64(_SETS, _I32, _READ_BOOL, _BUCKETS, _LEADERS, _INT, _FLOAT, _INT, _FLAG, _OUTCOME)
)
def lead(block, row_B, fixed_F, buckets, leaders, used, threshold, max_checks, all_lead, outcome):
    """Resolves the rows of a block in order; returns how many words of the leaders are used so far."""
    leader_F, similarity_F, left_F, ran_out_F = outcome
    cursor_K = np.empty(buckets.bucket_FK.shape[1], np.int32)
    for b in range(len(row_B)):
        row = row_B[b]
        set_S = block.shingles_S[block.starts_N1[b] : block.starts_N1[b + 1]]
        cursor_K[:] = 0
        resolved = False
        candidate = -1 if fixed_F[row] else _next_candidate(buckets, row, cursor_K)
        while candidate >= 0 and left_F[row] > 0 and not resolved:
            other_S = _shingles_at(leaders.words_S, leaders.start_F[candidate])
            jaccard = _jaccard(set_S, other_S)
            left_F[row] -= np.int32(1)
            if jaccard >= threshold:
                leader_F[row], similarity_F[row] = candidate, jaccard
                resolved = True
            else:
                candidate = _next_candidate(buckets, row, cursor_K)
        if not resolved:
            ran_out_F[row] |= candidate >= 0
        if not resolved and (all_lead or fixed_F[row]):
            used = _add_leader(buckets, leaders, row, set_S, used, max_checks)
    return used


# --- star edges and union-find (`components.py`) -------------------------------------------------


@kernel()
def _slot_of(key, key_H, row_H, shift):
    """Returns the slot of a key, or the free one where it belongs."""
    slot = (key * GOLDEN_RATIO) >> shift
    while row_H[slot] != FREE and key_H[slot] != key:
        slot = (slot + np.uint64(1)) & np.uint64(len(key_H) - 1)
    return slot


@kernel(types.void(_READ_U64, _READ_U32, _U64, _U32, types.uint64))
def move(old_key_H, old_row_H, key_H, row_H, shift):
    """Enters the keys of a table, and their rows, into a larger one."""
    for h in range(len(old_key_H)):
        if old_row_H[h] != FREE:
            slot = _slot_of(old_key_H[h], key_H, row_H, shift)
            key_H[slot], row_H[slot] = old_key_H[h], old_row_H[h]


@kernel(types.int64(_READ_U64, _READ_U32, types.int64, _U64, _U32, types.uint64, _I64, _U32, _U32))
def join(key_M, row_M, start, key_H, row_H, shift, state_4, left_M, right_M):
    """Takes rows from `start` on; returns the first that the half full table has no room for."""
    num_edges, room = state_4[1], len(key_H) // 2 - state_4[0]
    last_left, last_right = np.uint32(state_4[2]), np.uint32(state_4[3])
    i = start
    while i < len(key_M):
        key, row = key_M[i], row_M[i]
        slot = _slot_of(key, key_H, row_H, shift)
        first = row_H[slot]
        if first == FREE:
            if room == 0:
                break
            key_H[slot], row_H[slot] = key, row
            room -= 1
        elif first != row and (first != last_left or row != last_right):
            left_M[num_edges], right_M[num_edges] = first, row
            last_left, last_right = first, row
            num_edges += 1
        i += 1
    state_4[0], state_4[1] = len(key_H) // 2 - room, num_edges
    state_4[2], state_4[3] = last_left, last_right
    return i


@kernel(types.void(_U32, _READ_U32, _READ_U32))
def union(parent_N, left_E, right_E):
    """Joins the two ends of every edge; the smaller root becomes the parent."""
    for e in range(left_E.shape[0]):
        a, b = left_E[e], right_E[e]
        while parent_N[a] != a:
            parent_N[a] = parent_N[parent_N[a]]
            a = parent_N[a]
        while parent_N[b] != b:
            parent_N[b] = parent_N[parent_N[b]]
            b = parent_N[b]
        if a < b:
            parent_N[b] = a
        elif b < a:
            parent_N[a] = b


@kernel(types.void(_U32, _BOOL))
def flatten(parent_N, shared_N):
    """Makes every post's parent its root, and flags what shares a root."""
    for i in range(parent_N.shape[0]):
        root = parent_N[parent_N[i]]
        parent_N[i] = root
        if root != i:
            shared_N[i] = True
            shared_N[root] = True


# --- sorted keys (`sorted_keys.py`) --------------------------------------------------------------


@kernel(types.void(_READ_U64, _READ_U32, types.int64, _U64, _U32))
def scatter(key_M, value_M, shift, to_key_M, to_value_M):
    """Writes keys and values in the order of one digit."""
    mask = np.uint64((1 << DIGIT_BITS) - 1)
    next_D = np.zeros(1 << DIGIT_BITS, np.int64)
    for i in range(len(key_M)):
        next_D[(key_M[i] >> np.uint64(shift)) & mask] += 1
    start = 0
    for d in range(len(next_D)):
        count = next_D[d]
        next_D[d] = start
        start += count
    for i in range(len(key_M)):
        digit = (key_M[i] >> np.uint64(shift)) & mask
        to = next_D[digit]
        next_D[digit] = to + 1
        to_key_M[to] = key_M[i]
        to_value_M[to] = value_M[i]


@kernel(types.int64(_READ_U64, _U32, _READ_U64, _READ_U32, types.uint64, types.uint32, _U32, _U64))
def shared(key_U, found_U, key_H, row_H, base, limit, place_E, entry_E):
    """Writes the entries of keys that both lists have; returns how many."""
    num_found = 0
    u, h = 0, 0
    while u < len(key_U) and h < len(key_H):
        mine, other = key_U[u], key_H[h]
        if mine == other and found_U[u] < limit:
            found_U[u] += np.uint32(1)
            place_E[num_found] = u
            entry_E[num_found] = base | np.uint64(row_H[h])
            num_found += 1
        # Which list advances is as good as random: two additions are cheaper than a branch.
        u += mine < other
        h += other <= mine
    return num_found
