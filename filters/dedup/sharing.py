"""Which rows share a key: hash tables over the keys of a batch, at most half full.

Slots are found by Fibonacci hashing (Knuth, "The Art of Computer Programming", volume 3, section
6.4), so that keys need not be random; a taken slot sends a key to the next one.

Shape suffixes: N rows, K keys of a row, L leaders, F chosen rows, U buckets, M keys, H slots.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from sluice.filters.dedup.minhash import NO_KEY
from sluice.schemas.arrays import Bools, Int32s, Int64s, Uint64s
from sluice.schemas.kernel import kernel

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class KeySharing:
    """Which of many leaders, read piece by piece, share a key with the rows of a slice.

    The table is 24 bytes a distinct key; 8 bytes a key are held beside it while it is filled.

    Args:
        key_NK: (N, K) uint64 of the slice; NO_KEY is no key.
        limit: leaders that are taken for a key, at least 1: later ones that have it are passed over,
            unless another key takes them.
    """

    def __init__(self, key_NK: Uint64s, *, limit: int):
        if limit < 1:
            raise ValueError(f"limit must be at least 1, got {limit}")
        self._limit = min(limit, 2**32 - 1)
        key_M = np.sort(key_NK, axis=None)
        num_keys = int(np.count_nonzero(key_M[1:] != key_M[:-1])) + 1
        self._key_H = np.zeros(2 * num_keys + 1, np.uint64)
        self._count_H = np.zeros(len(self._key_H), np.uint32)
        _fill(key_M, self._key_H)

    def take(self, leader_key_LK: Uint64s) -> Bools:
        """Returns (L,) bool, true for leaders among the first `limit` of a key of the slice.

        They are counted from call to call, so however the leaders are cut into pieces, the same
        ones are taken.

        Args:
            leader_key_LK: (L, K) uint64, the next leaders in order; a memory map is read once.
        """
        key_LK = np.require(leader_key_LK, np.uint64, ("C", "A"))
        taken_L = np.empty(len(key_LK), np.bool_)
        _take(key_LK, self._key_H, self._count_H, np.uint32(self._limit), taken_L)
        return taken_L


def first_of(value_N: Int64s | Uint64s) -> Int32s:
    """Returns (N,) int32, the first row that has the value of each row."""
    first_N = np.empty(len(value_N), np.int32)
    slot_row_H = np.empty(2 * len(value_N) + 1, np.int32)
    _first_rows(np.ascontiguousarray(value_N).view(np.uint64), slot_row_H, first_N)
    return first_N


class Shared(NamedTuple):
    """The buckets of F rows: those of one key of a column, two at least.

    Attributes:
        bucket_FK: int32, the bucket of each key, -1 where no other row has it in its column.
        size_U: int32, rows of each bucket.
        last_U: int32, the last of them.
    """

    bucket_FK: Int32s
    size_U: Int32s
    last_U: Int32s


def shared_keys(key_NK: Uint64s, row_F: Int32s) -> Shared:
    """Returns the buckets of the rows `row_F` of (N, K) keys, numbered by column; NO_KEY has none."""
    bucket_FK = np.empty((len(row_F), key_NK.shape[1]), np.int32)
    slot_row_H = np.empty(2 * len(row_F) + 1, np.int32)
    buckets_2U = [np.empty((2, 0), np.int32)]
    num_buckets = 0
    for k in range(key_NK.shape[1]):
        column_2U = np.empty((2, len(row_F) // 2), np.int32)
        num = _share(key_NK[row_F, k], slot_row_H, k, num_buckets, bucket_FK, *column_2U)
        buckets_2U.append(column_2U[:, :num].copy())
        num_buckets += num
    return Shared(bucket_FK, *np.concatenate(buckets_2U, axis=1))


_I32 = types.Array(types.int32, 1, "C")
_U32 = types.Array(types.uint32, 1, "C")
_U64 = types.Array(types.uint64, 1, "C")
_READ = types.Array(types.uint64, 1, "C", readonly=True)
_READ_2 = types.Array(types.uint64, 2, "C", readonly=True)
_MASK = types.Array(types.boolean, 1, "C")


@kernel()
def _home(key, num_slots):  # type: ignore[no-untyped-def]  # numba types it
    return (((key * _GOLDEN) >> np.uint64(32)) * np.uint64(num_slots)) >> np.uint64(32)


@kernel()
def _row_slot(key, key_N, slot_row_H):  # type: ignore[no-untyped-def]  # numba types it
    """Returns the slot of the first row with a key, or the free one where it belongs."""
    slot = _home(key, len(slot_row_H))
    while slot_row_H[slot] >= 0 and key_N[slot_row_H[slot]] != key:
        slot += np.uint64(1)
        if slot == np.uint64(len(slot_row_H)):
            slot = np.uint64(0)
    return slot


@kernel(types.void(_READ, _I32, _I32))
def _first_rows(key_N, slot_row_H, first_N):  # type: ignore[no-untyped-def]  # numba types it
    slot_row_H[:] = -1
    for i in range(len(key_N)):
        slot = _row_slot(key_N[i], key_N, slot_row_H)
        if slot_row_H[slot] < 0:
            slot_row_H[slot] = i
        first_N[i] = slot_row_H[slot]


@kernel(
    types.int64(_READ, _I32, types.int64, types.int64, types.Array(types.int32, 2, "C"), _I32, _I32)
)
def _share(key_F, slot_row_H, k, num_before, bucket_FK, size_U, last_U):  # type: ignore[no-untyped-def]  # numba types it
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
def _key_slot(key, key_H):  # type: ignore[no-untyped-def]  # numba types it
    """Returns the slot of a key, or the free one where it belongs."""
    slot = _home(key, len(key_H))
    while key_H[slot] != NO_KEY and key_H[slot] != key:
        slot += np.uint64(1)
        if slot == np.uint64(len(key_H)):
            slot = np.uint64(0)
    return slot


@kernel(types.void(_READ, _U64))
def _fill(key_M, key_H):  # type: ignore[no-untyped-def]  # numba types it
    for i in range(len(key_M)):
        if key_M[i] != NO_KEY:
            key_H[_key_slot(key_M[i], key_H)] = key_M[i]


@kernel(types.void(_READ_2, _READ, _U32, types.uint32, _MASK))
def _take(key_LK, key_H, count_H, limit, taken_L):  # type: ignore[no-untyped-def]  # numba types it
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
