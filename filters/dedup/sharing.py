"""Which rows share a key: hash tables over the keys of a batch, at most half full.

Slots are found by Fibonacci hashing (Knuth, "The Art of Computer Programming", volume 3, section
6.4), so that keys need not be random; a taken slot sends a key to the next one.

Shape suffixes: N rows, K keys of a row, L leaders, F chosen rows, U buckets, M keys, H slots.
"""

from typing import NamedTuple

import numpy as np

from sluice.filters.dedup import kernels
from sluice.schemas.arrays import Bools, Int32s, Int64s, Uint64s


class KeySharing:
    """Which of many leaders, read piece by piece, share a key with the rows of a slice.

    The table is 24 bytes per distinct key; 8 bytes per key are held beside it while it is filled.

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
        kernels.fill(key_M, self._key_H)

    def take(self, leader_key_LK: Uint64s) -> Bools:
        """Returns (L,) bool, true for leaders among the first `limit` of a key of the slice.

        They are counted from call to call, so however the leaders are cut into pieces, the same
        ones are taken.

        Args:
            leader_key_LK: (L, K) uint64, the next leaders in order; a memory map is read once.
        """
        key_LK = np.require(leader_key_LK, np.uint64, ("C", "A"))
        taken_L = np.empty(len(key_LK), np.bool_)
        kernels.take(key_LK, self._key_H, self._count_H, np.uint32(self._limit), taken_L)
        return taken_L


def first_of(value_N: Int64s | Uint64s) -> Int32s:
    """Returns (N,) int32, the first row that has the value of each row."""
    first_N = np.empty(len(value_N), np.int32)
    slot_row_H = np.empty(2 * len(value_N) + 1, np.int32)
    kernels.first_rows(np.ascontiguousarray(value_N).view(np.uint64), slot_row_H, first_N)
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
        num = kernels.share(key_NK[row_F, k], slot_row_H, k, num_buckets, bucket_FK, *column_2U)
        buckets_2U.append(column_2U[:, :num].copy())
        num_buckets += num
    return Shared(bucket_FK, *np.concatenate(buckets_2U, axis=1))
