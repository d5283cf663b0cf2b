"""Permutations of any size, computed element by element from a key: nothing is stored, nothing compiled.

Plain NumPy, so that a training image needs no compiler. All is uint64, whose products wrap around. Shape
suffix: P elements.
"""

from typing import Final

import numpy as np

from sluice.schemas.arrays import Int64s, Uint64s
from sluice.schemas.hashing import GOLDEN_RATIO

Words = Uint64s | np.uint64
"""(P,) uint64, or one for all."""
ROUNDS: Final = 16
"""Passes of the network; even. With 8, pairs of neighbours among 7 sequences are visibly uneven over 60,000
seeds (chi-square 54 standard deviations off), with 12 among 5 sequences (11); with 16 none are."""

_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_1, _2 = np.uint64(1), np.uint64(2)
_27, _30, _31 = np.uint64(27), np.uint64(30), np.uint64(31)


def key(seed: int, *numbers_P: Words) -> Uint64s:
    """Returns (P,) uint64, the keys of permutations that a seed and some numbers name."""
    key_P = mix(np.array([seed], np.uint64) + GOLDEN_RATIO)
    for number_P in numbers_P:
        key_P = mix((key_P ^ number_P) + GOLDEN_RATIO)
    return key_P


def mix(x_P: Uint64s) -> Uint64s:
    """Returns a bijective mix of 64 bits."""
    x_P = (x_P ^ (x_P >> _30)) * _MIX_1
    x_P = (x_P ^ (x_P >> _27)) * _MIX_2
    return x_P ^ (x_P >> _31)


def permute(x_P: Uint64s, size_P: Words, key_P: Uint64s) -> Uint64s:
    """Returns (P,) uint64: where each `x` of [0, size) goes under the permutation of its key."""
    size_P, key_P = np.broadcast_to(size_P, x_P.shape), np.broadcast_to(key_P, x_P.shape)
    bits_P = np.frexp((size_P - _1).astype(np.float64))[1].astype(np.uint64)
    found_P = _network(x_P, bits_P, key_P)
    outside_Q = np.flatnonzero(found_P >= size_P)
    while len(outside_Q):
        found_P[outside_Q] = _network(found_P[outside_Q], bits_P[outside_Q], key_P[outside_Q])
        outside_Q = outside_Q[found_P[outside_Q] >= size_P[outside_Q]]
    return found_P


def _network(x_P: Uint64s, bits_P: Uint64s, key_P: Uint64s) -> Uint64s:
    """Returns (P,) uint64, the Feistel network over numbers of so many bits."""
    low_P = (bits_P + _1) // _2
    low_mask_P, high_mask_P = (_1 << low_P) - _1, (_1 << (bits_P - low_P)) - _1
    right_P, left_P = x_P & low_mask_P, x_P >> low_P
    for _ in range(0, ROUNDS, 2):
        key_P = key_P + GOLDEN_RATIO
        left_P = left_P ^ (mix(right_P + key_P) & high_mask_P)
        key_P = key_P + GOLDEN_RATIO
        right_P = right_P ^ (mix(left_P + key_P) & low_mask_P)
    return np.asarray((left_P << low_P) | right_P, np.uint64)


def unsigned(positions_P: Int64s) -> Uint64s:
    """Returns (P,) uint64 of numbers that are at least 0."""
    return np.ascontiguousarray(positions_P, np.int64).view(np.uint64)
