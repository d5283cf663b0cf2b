"""Sorted keys: a stable sort by key, the first place of every key, and what two sorted lists share.

Shape suffixes: M keys in any order, U distinct keys ascending, H keys of a sorted stream with
repeats, E entries that were found.

Source: Knuth, "The Art of Computer Programming", volume 3, section 5.2.5 (sorting by distribution)
and section 5.2.4 (merging).
"""

from typing import NamedTuple

import numpy as np

from sluice.filters.dedup import kernels
from sluice.filters.dedup.kernels import DIGIT_BITS
from sluice.schemas.arrays import Uint32s, Uint64s


class Places(NamedTuple):
    """The distinct keys of a list, and the first place of each.

    Attributes:
        key_U: uint64, ascending and distinct.
        at_U: uint32, the first place of each in the list.
    """

    key_U: Uint64s
    at_U: Uint32s


def sort_by_key(key_M: Uint64s, value_M: Uint32s) -> tuple[Uint64s, Uint32s]:
    """Returns (key_M, value_M) in ascending order of key; equal keys keep their order.

    Sorts by digits from the lowest, up to the highest bit in which keys differ: the keys of one
    partition share their first bits. Holds 24 bytes per key beside the arguments.
    """
    bits = int(np.bitwise_or.reduce(key_M ^ key_M[:1])).bit_length() if len(key_M) else 0
    key, value = key_M, value_M
    buffers = [(np.empty_like(key_M), np.empty_like(value_M)) for _ in range(2)]
    for step, shift in enumerate(range(0, bits, DIGIT_BITS)):
        to_key, to_value = buffers[step % 2]
        kernels.scatter(key, value, shift, to_key, to_value)
        key, value = to_key, to_value
    return (key, value) if bits else (key_M.copy(), value_M.copy())


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
    bounds = np.uint64(base), np.uint32(limit)
    num = kernels.shared(key_U, found_U, key_H, row_H, *bounds, place_E, entry_E)
    return place_E[:num].copy(), entry_E[:num].copy()
