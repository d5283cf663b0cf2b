"""Connected components of posts that share a key: union-find over the edges alone.

Posts are dense 32-bit numbers. Source: Tarjan and van Leeuwen 1984, "Worst-case analysis of set union
algorithms" (path halving); the smaller number becomes the root, so that a component's label is its
smallest post whatever the order of the edges.
"""

from typing import Any

import numpy as np
from numba import types

from schemas.kernel import kernel

U32 = np.ndarray[Any, np.dtype[np.uint32]]
_READ = types.Array(types.uint32, 1, "C", readonly=True)
_WRITE = types.Array(types.uint32, 1, "C")
_KEYS = types.Array(types.uint64, 1, "C", readonly=True)


@kernel(types.int64(_KEYS, _READ, types.uint64[::1], _WRITE, _WRITE, _WRITE))
def _bucket_edges(key_M, row_M, slot_key_H, slot_row_H, left_M, right_M):  # type: ignore[no-untyped-def]
    mask = np.uint64(slot_key_H.shape[0] - 1)
    num_edges = 0
    for i in range(key_M.shape[0]):
        key, row = key_M[i], row_M[i]
        slot = (key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20) & mask
        while slot_row_H[slot] != np.uint32(0xFFFFFFFF) and slot_key_H[slot] != key:
            slot = (slot + np.uint64(1)) & mask
        first = slot_row_H[slot]
        if first == np.uint32(0xFFFFFFFF):
            slot_key_H[slot] = key
            slot_row_H[slot] = row
        elif first != row:
            left_M[num_edges] = first
            right_M[num_edges] = row
            num_edges += 1
    return num_edges


def bucket_edges(key_M: np.ndarray[Any, np.dtype[np.uint64]], row_M: U32) -> tuple[U32, U32]:
    """Returns star edges (left_E, right_E): the first post of every key to the others that have it.

    Args:
        key_M: (M,) uint64, all rows of a key in one call.
        row_M: (M,) uint32 post numbers below 2**32 - 1.
    """
    size = 1 << max(4, int(2 * max(len(key_M), 1) - 1).bit_length())
    slot_key_H = np.empty(size, np.uint64)
    slot_row_H = np.full(size, 0xFFFFFFFF, np.uint32)
    left_M, right_M = np.empty(len(key_M), np.uint32), np.empty(len(key_M), np.uint32)
    n = int(_bucket_edges(key_M, row_M, slot_key_H, slot_row_H, left_M, right_M))
    return left_M[:n].copy(), right_M[:n].copy()


@kernel(types.void(_WRITE, _READ, _READ))
def _union(parent_N, left_E, right_E):  # type: ignore[no-untyped-def]
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


@kernel(types.void(_WRITE, types.boolean[::1]))
def _flatten(parent_N, shared_N):  # type: ignore[no-untyped-def]
    for i in range(parent_N.shape[0]):
        root = parent_N[parent_N[i]]
        parent_N[i] = root
        if root != i:
            shared_N[i] = True
            shared_N[root] = True


class Components:
    """Union-find over N posts; memory 4 bytes a post while edges come in, 5 at the end.

    Args:
        num_posts: N, below 2**32 - 1.
    """

    def __init__(self, num_posts: int):
        if num_posts >= 0xFFFFFFFF:
            raise ValueError(f"{num_posts:,} posts are more than 32-bit numbers hold")
        self._parent_N = np.arange(num_posts, dtype=np.uint32)

    def add(self, left_E: U32, right_E: U32) -> None:
        """Joins the two ends of every edge."""
        _union(self._parent_N, left_E, right_E)

    def labels(self) -> tuple[U32, np.ndarray[Any, np.dtype[np.bool_]]]:
        """Returns (label_N, shared_N): the smallest post of each component, and whether it has others."""
        shared_N = np.zeros(len(self._parent_N), np.bool_)
        _flatten(self._parent_N, shared_N)
        return self._parent_N, shared_N
