"""Trees of posts: from the post that each answers to its root, its depth, and its place in time.

Posts are numbered from 0; `parent_K[k] == k` says that post k answers none. Chains are followed by doubling:
a round takes each post twice as far, so that a chain of a million posts takes 20.

Shape suffixes: K posts, C posts on cycles, Q quoted posts.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sluice.schemas.arrays import Array, Int32s, Int64s

NO_TIME = int(np.iinfo(np.int64).max)
"""The time of a post without one: it comes after those that have one."""

Rank = Callable[[Int64s], Int64s]
"""Takes (C,) posts, returns (C,) int64: a number for each, all different, the lowest for the earliest."""


class Trees(NamedTuple):
    """The trees of K posts.

    Attributes:
        root_K: (K,) the post that each one's chain ends at.
        depth_K: (K,) int32, how many steps away that is.
        time_K: (K,) int64, the latest time of the post and of those before it in its chain.
    """

    root_K: Array
    depth_K: Int32s
    time_K: Int64s


def trees(parent_K: Array, time_K: Int64s) -> Trees:
    """Returns the trees of posts whose chains all end.

    >>> grown = trees(np.array([0, 0, 1, 3]), np.array([5, 4, 9, 1]))
    >>> grown.root_K.tolist(), grown.depth_K.tolist(), grown.time_K.tolist()
    ([0, 0, 0, 3], [0, 1, 2, 0], [5, 5, 9, 1])

    Args:
        parent_K: (K,) integers, the post that each answers, or itself.
        time_K: (K,) int64, when each was written.
    """
    up_K = parent_K
    depth_K = (up_K != np.arange(len(up_K), dtype=up_K.dtype)).astype(np.int32)
    while not np.array_equal(twice_K := up_K[up_K], up_K):
        time_K = np.maximum(time_K, time_K[up_K])
        depth_K = depth_K + depth_K[up_K]
        up_K = twice_K
    return Trees(up_K, depth_K, np.maximum(time_K, time_K[up_K]))


def without_cycles(parent_K: Array, rank: Rank) -> tuple[Array, int]:
    """Returns parents of which every chain ends, and how many cycles were cut: each at its earliest post.

    >>> cut, cycles = without_cycles(np.array([1, 2, 1, 0]), rank=lambda posts: -posts)
    >>> cut.tolist(), cycles
    ([1, 2, 2, 0], 1)

    Args:
        parent_K: (K,) integers, the post that each answers, or itself.
        rank: of posts on cycles; called once, or not at all where there is none.
    """
    on_C = _on_cycles(parent_K)
    if not len(on_C):
        return parent_K, 0
    rank_C, next_C = rank(on_C), np.searchsorted(on_C, parent_K[on_C])
    lowest_C = rank_C
    for _ in range(len(on_C).bit_length()):
        lowest_C = np.minimum(lowest_C, lowest_C[next_C])
        next_C = next_C[next_C]
    first_C = on_C[lowest_C == rank_C]
    parent_K = parent_K.copy()
    parent_K[first_C] = first_C
    return parent_K, len(first_C)


def _on_cycles(parent_K: Array) -> Int64s:
    """Returns the posts whose chains come back to them, ascending; a post that answers itself is none."""
    up_K = parent_K
    for _ in range(len(parent_K).bit_length()):
        twice_K = up_K[up_K]
        if np.array_equal(twice_K, up_K):
            break
        up_K = twice_K
    # So many steps from anywhere lead to a root, or to a cycle: all of it, each post from itself or another.
    reached_K = np.zeros(len(parent_K), np.bool_)
    reached_K[up_K] = True
    return np.flatnonzero(reached_K & (parent_K != np.arange(len(parent_K))))


class QuotedTrees(NamedTuple):
    """What trees become where a quoted post stands with the post that quotes it.

    Attributes:
        root_K: (K,) the root of the tree that names the document of each post.
        quoted: trees that stand with another.
        cycles: of trees that quote each other, cut at the earliest root.
    """

    root_K: Array
    quoted: int
    cycles: int


def join_quoted(root_K: Array, quoted_Q: Int64s, quoting_Q: Int64s, rank: Rank) -> QuotedTrees:
    """Returns documents of trees: the tree of a quoted root stands with the tree of the post that quotes it.

    >>> quoted, quoting = np.array([2]), np.array([1])
    >>> joined = join_quoted(np.array([0, 0, 2]), quoted, quoting, rank=lambda posts: posts)
    >>> joined.root_K.tolist(), joined.quoted
    ([0, 0, 0], 1)

    Args:
        root_K: (K,) the root of each post.
        quoted_Q: (Q,) int64, posts that are quoted, all different; of them roots matter.
        quoting_Q: (Q,) int64, the post that quotes each; one of its own tree does not matter.
        rank: as `without_cycles` takes it.
    """
    self_K = np.arange(len(root_K), dtype=root_K.dtype)
    is_root_Q = root_K[quoted_Q] == quoted_Q
    to_K = self_K.copy()
    to_K[quoted_Q[is_root_Q]] = root_K[quoting_Q[is_root_Q]]
    to_K, cycles = without_cycles(to_K, rank)
    quoted = int((to_K != self_K).sum())
    while not np.array_equal(twice_K := to_K[to_K], to_K):
        to_K = twice_K
    return QuotedTrees(to_K[root_K], quoted, cycles)
