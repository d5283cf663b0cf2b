"""Connected components of posts that share a key: star edges, and union-find over them alone.

Posts are dense 32-bit numbers. Source: Knuth, "The Art of Computer Programming", volume 3, section
6.4 (Fibonacci hashing, linear probing); Tarjan and van Leeuwen 1984, "Worst-case analysis of set union
algorithms" (path halving); the smaller number becomes the root, so that a component's label is its
smallest post whatever the order of the edges.

Shape suffixes: M rows (a key and a post), E edges, V distinct keys, H slots, N posts.
"""

from typing import Final

import numpy as np
from numba import types

from sluice.schemas.arrays import Bools, Uint32s, Uint64s
from sluice.schemas.kernel import kernel

_READ = types.Array(types.uint32, 1, "C", readonly=True)
_WRITE = types.Array(types.uint32, 1, "C")
_KEYS = types.Array(types.uint64, 1, "C", readonly=True)
_SLOT_KEYS = types.Array(types.uint64, 1, "C")
_STATE = types.Array(types.int64, 1, "C")

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_FREE: Final = np.uint32(0xFFFFFFFF)
"""The row of a slot without a key; no post has this number."""
_MIN_BITS: Final = 4


class Buckets:
    """Star edges over a stream of rows: from the first post of every key to the others that have it.

    Memory grows with the distinct keys alone, however often one comes: 24 to 48 bytes each, 72 while
    the table doubles, and 8 bytes a row of the piece that is added. Every key is one, 0 too.

    Args:
        expected_keys: distinct keys that there is room for from the start.
    """

    def __init__(self, *, expected_keys: int = 1 << 15):
        self._make_table(max(_MIN_BITS, (2 * expected_keys - 1).bit_length()))
        # Keys in the table, edges of this piece, the two ends of the last edge.
        self._state_4 = np.array([0, 0, _FREE, _FREE], np.int64)

    def _make_table(self, bits: int) -> None:
        self._bits = bits
        self._key_H, self._row_H = np.empty(1 << bits, np.uint64), np.full(1 << bits, _FREE)

    def add(self, key_M: Uint64s, row_M: Uint32s) -> tuple[Uint32s, Uint32s]:
        """Returns (left_E, right_E), the edges that the next rows of the stream add.

        However the stream is cut into pieces, the edges are the same. An edge of a post to itself is
        left out, and one that repeats the edge before it: two posts that share many keys often share
        them in a row, which is over two fifths of the edges of 8 partitions and a tenth of those of 64.

        Args:
            key_M: (M,) uint64.
            row_M: (M,) uint32 post numbers below 2**32 - 1.
        """
        left_M, right_M = np.empty(len(key_M), np.uint32), np.empty(len(key_M), np.uint32)
        self._state_4[1] = 0
        at = 0
        while at < len(key_M):
            at = _join(
                key_M, row_M, at, self._key_H, self._row_H, 64 - self._bits, self._state_4,
                left_M, right_M,
            )  # fmt: skip
            if at < len(key_M):
                self._double()
        n = int(self._state_4[1])
        return left_M[:n].copy(), right_M[:n].copy()

    def _double(self) -> None:
        key_H, row_H = self._key_H, self._row_H
        self._make_table(self._bits + 1)
        _move(key_H, row_H, self._key_H, self._row_H, 64 - self._bits)

    def distinct(self) -> tuple[Uint64s, Uint32s]:
        """Returns (key_V, row_V): every key that came, and its first post.

        The order is none in particular, but the same however the stream is cut into pieces.
        """
        used_H = self._row_H != _FREE
        return self._key_H[used_H], self._row_H[used_H]


def bucket_edges(key_M: Uint64s, row_M: Uint32s) -> tuple[Uint32s, Uint32s]:
    """Returns the edges (left_E, right_E) of `Buckets` over rows that are all at hand.

    Args:
        key_M: (M,) uint64, all rows of a key in one call.
        row_M: (M,) uint32 post numbers below 2**32 - 1.
    """
    return Buckets(expected_keys=len(key_M)).add(key_M, row_M)


@kernel()
def _slot_of(key, key_H, row_H, shift):  # type: ignore[no-untyped-def]  # numba types it
    """Returns the slot of a key, or the free one where it belongs."""
    slot = (key * _GOLDEN) >> shift
    while row_H[slot] != _FREE and key_H[slot] != key:
        slot = (slot + np.uint64(1)) & np.uint64(len(key_H) - 1)
    return slot


@kernel(types.void(_KEYS, _READ, _SLOT_KEYS, _WRITE, types.uint64))
def _move(old_key_H, old_row_H, key_H, row_H, shift):  # type: ignore[no-untyped-def]  # numba types it
    for h in range(len(old_key_H)):
        if old_row_H[h] != _FREE:
            slot = _slot_of(old_key_H[h], key_H, row_H, shift)
            key_H[slot], row_H[slot] = old_key_H[h], old_row_H[h]


@kernel(
    types.int64(_KEYS, _READ, types.int64, _SLOT_KEYS, _WRITE, types.uint64, _STATE, _WRITE, _WRITE)
)
def _join(key_M, row_M, start, key_H, row_H, shift, state_4, left_M, right_M):  # type: ignore[no-untyped-def]  # numba types it
    """Takes rows from `start` on; returns the first that the half full table has no room for."""
    num_edges, room = state_4[1], len(key_H) // 2 - state_4[0]
    last_left, last_right = np.uint32(state_4[2]), np.uint32(state_4[3])
    i = start
    while i < len(key_M):
        key, row = key_M[i], row_M[i]
        slot = _slot_of(key, key_H, row_H, shift)
        first = row_H[slot]
        if first == _FREE:
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


@kernel(types.void(_WRITE, _READ, _READ))
def _union(parent_N, left_E, right_E):  # type: ignore[no-untyped-def]  # numba types it
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
def _flatten(parent_N, shared_N):  # type: ignore[no-untyped-def]  # numba types it
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

    def add(self, left_E: Uint32s, right_E: Uint32s) -> None:
        """Joins the two ends of every edge."""
        _union(self._parent_N, left_E, right_E)

    def labels(self) -> tuple[Uint32s, Bools]:
        """Returns (label_N, shared_N): the smallest post of each component, and whether it has others."""
        shared_N = np.zeros(len(self._parent_N), np.bool_)
        _flatten(self._parent_N, shared_N)
        return self._parent_N, shared_N
