"""The compiled parts of the loader: the order of sequences, rows from record batches, columns beside tokens.

Shape suffixes: P positions, B sequences of a batch, S sequences of a record batch, L tokens of a sequence,
K ends of documents, R runs of sequences that are in one record batch.
"""

from typing import Final

import numpy as np
from numba import types

from sluice.schemas.hashing import GOLDEN_RATIO
from sluice.schemas.kernel import kernel, read_only
from sluice.schemas.token_shard import ROWS_PER_BATCH

ROUNDS: Final = 16
"""Passes of the network; even. With 8, pairs of neighbours among 7 sequences are visibly uneven over 60,000
seeds (chi-square 54 standard deviations off), with 12 among 5 sequences (11); with 16 none are."""
IGNORE_INDEX: Final = -100
"""The label of a token that has none; what torch's cross entropy leaves out."""
PADDING: Final = -1
"""The document of padding."""

_ROWS = np.uint64(ROWS_PER_BATCH)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_0, _1, _2 = np.uint64(0), np.uint64(1), np.uint64(2)
_27, _30, _31 = np.uint64(27), np.uint64(30), np.uint64(31)
_ROUNDS = np.uint64(ROUNDS)
_OF_ALL, _OF_BLOCKS, _OF_WINDOWS = np.uint64(1), np.uint64(2), np.uint64(3)

_U = types.uint64
_INT64, _INT64S = types.int64, types.int64[::1]
_INT32S, _INT32_TABLE = types.int32[::1], types.int32[:, ::1]
_READ_32 = read_only(types.int32)
_READ_64 = read_only(types.int64)
_READ_U64 = read_only(_U)
_TOKENS = read_only(types.int32, 2)
_FILLS = types.void(_READ_32, _READ_32, _INT32_TABLE)


# The order of sequences. Signed and unsigned integers mix to floats, so that all of it is uint64.


@kernel()
def _mix(x):
    """Returns a bijective mix of 64 bits."""
    x = (x ^ (x >> _30)) * _MIX_1
    x = (x ^ (x >> _27)) * _MIX_2
    return x ^ (x >> _31)


@kernel()
def _key(seed, epoch, purpose, number):
    """Returns the key of one permutation of one epoch."""
    key = _mix(seed + GOLDEN_RATIO)
    key = _mix((key ^ epoch) + GOLDEN_RATIO)
    key = _mix((key ^ purpose) + GOLDEN_RATIO)
    return _mix((key ^ number) + GOLDEN_RATIO)


@kernel()
def _permute(x, size, key):
    """Returns where `x` of [0, size) goes under the permutation of a key."""
    bits = _0
    while (size - _1) >> bits > _0:
        bits += _1
    low = (bits + _1) // _2
    low_mask, high_mask = (_1 << low) - _1, (_1 << (bits - low)) - _1
    while True:
        right, left = x & low_mask, x >> low
        round_key = key
        for _ in range(_0, _ROUNDS, _2):
            round_key += GOLDEN_RATIO
            left ^= _mix(right + round_key) & high_mask
            round_key += GOLDEN_RATIO
            right ^= _mix(left + round_key) & low_mask
        x = (left << low) | right
        if x < size:
            return x


@kernel()
def _slot(x, num_blocks, window, seed, epoch):
    """Returns the slot, of [0, 256 * blocks), at a place of an epoch whose blocks are all full."""
    number = x // (window * _ROWS)
    first = number * window
    size = min(window, num_blocks - first) * _ROWS
    inside = _permute(x - first * _ROWS, size, _key(seed, epoch, _OF_WINDOWS, number))
    block = _permute(first + inside // _ROWS, num_blocks, _key(seed, epoch, _OF_BLOCKS, _0))
    return block * _ROWS + inside % _ROWS


@kernel()
def _number(slot, num_shards, each):
    """Returns the sequence of a slot: first the full record batches, then the rows of the short ones."""
    full = each // _ROWS * _ROWS
    if slot < num_shards * full:
        return slot // full * each + slot % full
    short = slot - num_shards * full
    return short // (each - full) * each + full + short % (each - full)


@kernel(types.void(_READ_U64, _U, _U, _U, _U, _U, types.uint64[::1]))
def fill_order(positions_P, num_shards, each, kind, seed, window, numbers_P):
    """Writes the number of the sequence at each position; `kind` counts the values of Shuffle."""
    size = num_shards * each
    num_blocks = (size + _ROWS - _1) // _ROWS
    for p in range(len(positions_P)):
        epoch, x = positions_P[p] // size, positions_P[p] % size
        if kind == _0:
            x = _permute(x, size, _key(seed, epoch, _OF_ALL, _0))
        elif kind == _1:
            x = _slot(x, num_blocks, window, seed, epoch)
            while x >= size:  # the last block may be short: walk on
                x = _slot(x, num_blocks, window, seed, epoch)
            x = _number(x, num_shards, each)
        numbers_P[p] = x


@kernel(types.Tuple((_INT64, types.boolean))(_READ_64, _INT64, _INT64S, _INT64S, _INT64S))
def find_runs(numbers_B, each, batch_B, row_B, starts_R):
    """Finds where sequences are, and which are in one record batch.

    Writes the record batch of each, counted through all shards, its row there, and where runs of one
    record batch begin, with B at the end. Returns (number of runs, whether all are neighbours).
    """
    num_runs, adjacent = 0, True
    per_shard = (each + ROWS_PER_BATCH - 1) // ROWS_PER_BATCH
    for b in range(len(numbers_B)):
        shard, row = numbers_B[b] // each, numbers_B[b] % each
        batch_B[b] = shard * per_shard + row // ROWS_PER_BATCH
        row_B[b] = row % ROWS_PER_BATCH
        if b == 0 or batch_B[b] != batch_B[b - 1]:
            starts_R[num_runs] = b
            num_runs += 1
        elif row_B[b] != row_B[b - 1] + 1:
            adjacent = False
    starts_R[num_runs] = len(numbers_B)
    return num_runs, adjacent and num_runs == 1


@kernel(types.boolean(_READ_32, _READ_32, _INT64))
def are_ends(offsets_S1, ends_K, length):
    """Returns whether every sequence has ends that increase inside it: what the kernels rely on."""
    if offsets_S1[0] < 0 or offsets_S1[-1] > len(ends_K):
        return False
    for s in range(len(offsets_S1) - 1):
        if offsets_S1[s + 1] <= offsets_S1[s] or offsets_S1[s + 1] > len(ends_K):
            return False
        last = 0
        for k in range(offsets_S1[s], offsets_S1[s + 1]):
            if ends_K[k] <= last or ends_K[k] > length:
                return False
            last = ends_K[k]
    return True


@kernel(types.void(_TOKENS, _READ_32, _READ_32, _READ_64, _INT64, _INT32_TABLE, _INT32S, _INT32S))
def gather_rows(tokens_SL, offsets_S1, ends_K, rows_Q, first, tokens_BL, offsets_B1, ends_out_K):
    """Copies rows of a record batch behind the `first` rows that are there, with their ends."""
    for q in range(len(rows_Q)):
        row, b = rows_Q[q], first + q
        tokens_BL[b] = tokens_SL[row]
        at = offsets_B1[b]
        for k in range(offsets_S1[row], offsets_S1[row + 1]):
            ends_out_K[at] = ends_K[k]
            at += 1
        offsets_B1[b + 1] = at


@kernel(types.UniTuple(_INT64, 2)(_READ_32, _READ_32, _INT64, _INT32S))
def fill_cu_seqlens(offsets_B1, ends_K, length, starts_C1):
    """Writes where segments end in the flattened batch; returns (segments, tokens of the longest)."""
    c, longest = 0, 0
    for b in range(len(offsets_B1) - 1):
        start = 0
        for k in range(offsets_B1[b], offsets_B1[b + 1] + 1):
            end = length if k == offsets_B1[b + 1] else ends_K[k]
            if end > start:  # no padding: nothing behind the last document
                c += 1
                starts_C1[c] = b * length + end
                longest = max(longest, end - start)
                start = end
    return c, longest


@kernel(_FILLS)
def fill_position_ids(offsets_B1, ends_K, ids_BL):
    """Writes each token's place in its segment."""
    length = ids_BL.shape[1]
    for b in range(len(ids_BL)):  # one pass of tokens: segments are too short for wide loops
        k, stop, position = offsets_B1[b], offsets_B1[b + 1], 0
        end = ends_K[k]
        for j in range(length):
            if j == end:
                k, position = k + 1, 0
                end = ends_K[k] if k < stop else length
            ids_BL[b, j] = position
            position += 1


@kernel(_FILLS)
def fill_document_ids(offsets_B1, ends_K, ids_BL):
    """Writes which document of its sequence a token belongs to."""
    for b in range(len(ids_BL)):
        start = 0
        for k in range(offsets_B1[b], offsets_B1[b + 1]):
            ids_BL[b, start : ends_K[k]] = k - offsets_B1[b]
            start = ends_K[k]
        ids_BL[b, start:] = PADDING


@kernel(types.void(_TOKENS, _READ_32, _READ_32, types.int64[:, ::1]))
def fill_labels(tokens_BL, offsets_B1, ends_K, labels_BL):
    """Writes the next token of the same segment, IGNORE_INDEX where there is none."""
    length = labels_BL.shape[1]
    for b in range(len(labels_BL)):
        for j in range(length - 1):  # as if there were one document: this loop is wide
            labels_BL[b, j] = tokens_BL[b, j + 1]
        for k in range(offsets_B1[b], offsets_B1[b + 1]):
            labels_BL[b, ends_K[k] - 1] = IGNORE_INDEX
        labels_BL[b, ends_K[offsets_B1[b + 1] - 1] :] = IGNORE_INDEX
