"""Sorted keys: a stable sort by key, the first place of every key, and what two sorted lists share.

Shape suffixes: M keys in any order, U distinct keys ascending, H keys of a sorted stream with
repeats, E entries that were found.

Source: Knuth, "The Art of Computer Programming", volume 3, section 5.2.5 (sorting by distribution)
and section 5.2.4 (merging).
"""

from typing import Final, NamedTuple

import numpy as np
from numba import types

from sluice.schemas.arrays import Uint32s, Uint64s
from sluice.schemas.kernel import kernel

DIGIT_BITS: Final = 11
"""Bits that a pass of the sort settles: 2,048 counters stay in the first-level cache."""

_READ_64 = types.Array(types.uint64, 1, "C", readonly=True)
_READ_32 = types.Array(types.uint32, 1, "C", readonly=True)
_WRITE_64 = types.Array(types.uint64, 1, "C")
_WRITE_32 = types.Array(types.uint32, 1, "C")


class Places(NamedTuple):
    """The distinct keys of a list, and where each stands first.

    Attributes:
        key_U: uint64, ascending and distinct.
        at_U: uint32, the first place of each in the list.
    """

    key_U: Uint64s
    at_U: Uint32s


def sort_by_key(key_M: Uint64s, value_M: Uint32s) -> tuple[Uint64s, Uint32s]:
    """Returns (key_M, value_M) in ascending order of key; equal keys keep their order.

    Sorts by digits from the lowest, up to the highest bit in which keys differ: the keys of one
    partition share their first bits. Holds 24 bytes a key beside the arguments.
    """
    bits = int(np.bitwise_or.reduce(key_M ^ key_M[:1])).bit_length() if len(key_M) else 0
    key, value = key_M, value_M
    buffers = [(np.empty_like(key_M), np.empty_like(value_M)) for _ in range(2)]
    for step, shift in enumerate(range(0, bits, DIGIT_BITS)):
        to_key, to_value = buffers[step % 2]
        _scatter(key, value, shift, to_key, to_value)
        key, value = to_key, to_value
    return (key, value) if bits else (key_M.copy(), value_M.copy())


@kernel(types.void(_READ_64, _READ_32, types.int64, _WRITE_64, _WRITE_32))
def _scatter(key_M, value_M, shift, to_key_M, to_value_M):  # type: ignore[no-untyped-def]  # numba types it
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


def first_places(key_M: Uint64s) -> Places:
    """Returns the distinct keys, ascending, and the first place of each; fewer than 2^32 keys."""
    key_M, at_M = sort_by_key(key_M, np.arange(len(key_M), dtype=np.uint32))
    is_first_M = np.ones(len(key_M), np.bool_)
    np.not_equal(key_M[1:], key_M[:-1], out=is_first_M[1:])
    return Places(key_M[is_first_M], at_M[is_first_M])


def shared_entries(
    key_U: Uint64s, found_U: Uint32s, *, key_H: Uint64s, row_H: Uint32s, base: int, limit: int
) -> tuple[Uint32s, Uint64s]:
    """Returns (place_E, entry_E): for each h whose key is in `key_U`, its place there and its entry.

    In the order of h. A key takes part while it was found fewer than `limit` times; `found_U` is
    counted on, so that the keys of one stream may come in several calls.

    Args:
        key_U: (U,) uint64, ascending and distinct.
        found_U: (U,) uint32, how often each was found before; changed in place.
        key_H: (H,) uint64, ascending; keys may repeat.
        row_H: (H,) uint32.
        base: the entry of h is `base | row_H[h]`.
        limit: entries of a key, at most.
    """
    place_E, entry_E = np.empty(len(key_H), np.uint32), np.empty(len(key_H), np.uint64)
    n = int(
        _shared(key_U, found_U, key_H, row_H, np.uint64(base), np.uint32(limit), place_E, entry_E)
    )
    return place_E[:n].copy(), entry_E[:n].copy()


@kernel(
    types.int64(
        _READ_64, _WRITE_32, _READ_64, _READ_32, types.uint64, types.uint32, _WRITE_32, _WRITE_64
    )
)
def _shared(key_U, found_U, key_H, row_H, base, limit, place_E, entry_E):  # type: ignore[no-untyped-def]  # numba types it
    num_found = 0
    u, h = 0, 0
    while u < len(key_U) and h < len(key_H):
        mine, other = key_U[u], key_H[h]
        if mine == other and found_U[u] < limit:
            found_U[u] += np.uint32(1)
            place_E[num_found] = u
            entry_E[num_found] = base | np.uint64(row_H[h])
            num_found += 1
        # Which list goes on is as good as random: two additions are cheaper than a branch.
        u += mine < other
        h += other <= mine
    return num_found
