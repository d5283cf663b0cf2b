"""Connected components of posts that share a key: star edges, and union-find over them alone.

Posts are dense 32-bit numbers. Source: Knuth, "The Art of Computer Programming", volume 3, section
6.4 (Fibonacci hashing, linear probing); Tarjan and van Leeuwen 1984, "Worst-case analysis of set union
algorithms" (path halving); the smaller number becomes the root, so that a component's label is its
smallest post whatever the order of the edges.

Shape suffixes: M rows (a key and a post), E edges, V distinct keys, H slots, N posts.
"""

from typing import Final

import numpy as np

from sluice.filters.dedup import kernels
from sluice.filters.dedup.kernels import FREE
from sluice.schemas.arrays import Bools, Uint32s, Uint64s

_MIN_BITS: Final = 4


class StarEdges:
    """Star edges over a stream of rows: from the first post of every key to the others that have it.

    Memory grows with the distinct keys alone, however often one comes: 24 to 48 bytes each, 72 while
    the table doubles, and 8 bytes per row of the piece that is added. Every key is one, 0 too.

    Args:
        expected_keys: distinct keys that there is room for from the start.
    """

    def __init__(self, *, expected_keys: int = 1 << 15):
        self._make_table(max(_MIN_BITS, (2 * expected_keys - 1).bit_length()))
        # Keys in the table, edges of this piece, the two ends of the last edge.
        self._state_4 = np.array([0, 0, FREE, FREE], np.int64)

    def _make_table(self, bits: int) -> None:
        self._table = np.empty(1 << bits, np.uint64), np.full(1 << bits, FREE), 64 - bits

    def add(self, key_M: Uint64s, row_M: Uint32s) -> tuple[Uint32s, Uint32s]:
        """Returns (left_E, right_E), the edges that the next rows of the stream add.

        However the stream is cut into pieces, the edges are the same. An edge of a post to itself is
        left out, and one that repeats the edge before it: two posts that share many keys often share
        them in a row, which is over two fifths of the edges of 8 partitions and a tenth of those of 64.

        Args:
            key_M: (M,) uint64.
            row_M: (M,) uint32 post numbers below 2**32 - 1.
        """
        left_M, right_M = np.empty((2, len(key_M)), np.uint32)
        self._state_4[1] = 0
        at = 0
        while at < len(key_M):
            at = kernels.join(key_M, row_M, at, *self._table, self._state_4, left_M, right_M)
            if at < len(key_M):
                self._double()
        n = int(self._state_4[1])
        return left_M[:n].copy(), right_M[:n].copy()

    def _double(self) -> None:
        key_H, row_H, shift = self._table
        self._make_table(64 - shift + 1)
        kernels.move(key_H, row_H, *self._table)

    def distinct(self) -> tuple[Uint64s, Uint32s]:
        """Returns (key_V, row_V): every key that came, and its first post.

        The order is none in particular, but the same however the stream is cut into pieces.
        """
        key_H, row_H, _ = self._table
        return key_H[row_H != FREE], row_H[row_H != FREE]


class Components:
    """Union-find over N posts; memory 4 bytes per post while edges come in, 5 at the end.

    Args:
        num_posts: N, below 2**32 - 1.
    """

    def __init__(self, num_posts: int):
        if num_posts >= 0xFFFFFFFF:
            raise ValueError(f"{num_posts:,} posts are more than 32-bit numbers hold")
        self._parent_N = np.arange(num_posts, dtype=np.uint32)

    def add(self, left_E: Uint32s, right_E: Uint32s) -> None:
        """Joins the two ends of every edge."""
        kernels.union(self._parent_N, left_E, right_E)

    def labels(self) -> tuple[Uint32s, Bools]:
        """Returns (label_N, shared_N): the smallest post of each component, and whether it has others."""
        shared_N = np.zeros(len(self._parent_N), np.bool_)
        kernels.flatten(self._parent_N, shared_N)
        return self._parent_N, shared_N
