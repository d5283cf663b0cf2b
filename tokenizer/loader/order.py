"""The order in which sequences are read: computed from (seed, epoch), never stored.

Positions count what all ranks read together, from 0 and over all epochs: position p is the p % N-th
sequence of epoch p // N. A permutation is a Feistel network whose keys are a SplitMix64 stream, so that
the sequence at any position costs 0.1 to 0.2 us and no memory, for 1,000 sequences or 3 billion. The
network permutes a power of two below twice the size; a value outside the size is sent through it again
until it falls inside, which keeps it a permutation (cycle walking).

Sources: M. Luby, C. Rackoff, How to construct pseudorandom permutations from pseudorandom functions,
SIAM J. Comput. 17(2), 1988 (the network); J. Black, P. Rogaway, Ciphers with arbitrary finite domains,
CT-RSA 2002, section 3 (cycle walking) and section 5 (halves of unequal length); G. Steele, D. Lea,
C. Flood, Fast splittable pseudorandom number generators, OOPSLA 2014, figure 17 (the mixing, by
D. Stafford); R. Mitchell et al., Bandwidth-optimal random shuffling for GPUs, ACM TOPC 9(1), 2022 (the
same construction as a shuffle).
"""

from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from numba import types

from sluice.schemas.arrays import Int64s
from sluice.schemas.kernel import kernel
from sluice.schemas.token_shard import ROWS_PER_BATCH

Shuffle = Literal["sequences", "blocks", "none"]

ROUNDS: Final = 16
"""Passes of the network; even. With 8, pairs of neighbours among 7 sequences are visibly uneven over 60,000
seeds (chi-square 54 standard deviations off), with 12 among 5 sequences (11); with 16 none are."""
MAX_SEQUENCES: Final = 2**40
"""More would be 10^16 tokens; positions of 8 million epochs still fit an int64."""

_KINDS = get_args(Shuffle)
_ROWS = np.uint64(ROWS_PER_BATCH)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_0, _1, _2 = np.uint64(0), np.uint64(1), np.uint64(2)
_27, _30, _31 = np.uint64(27), np.uint64(30), np.uint64(31)
_ROUNDS = np.uint64(ROUNDS)
_OF_ALL, _OF_BLOCKS, _OF_WINDOWS = np.uint64(1), np.uint64(2), np.uint64(3)


class Order(NamedTuple):
    """Which sequence stands at which position.

    Sequences are numbered through the shards: number n is row n % S of shard n // S.

    `sequences` permutes all of an epoch's sequences. `blocks` is for storage that dislikes random
    access: it permutes blocks of 256 sequences, cuts them into windows of `window_blocks`, and permutes
    the sequences of each window, so that a reader needs one window at a time. A block is a record batch
    of a shard; the short batches at the ends of shards are joined to further blocks. `none` is the order
    of the files.

    Attributes:
        num_shards: at least 1.
        sequences_per_shard: S, at least 1.
        shuffle: `sequences`, `blocks` or `none`.
        seed: in [0, 2^64).
        window_blocks: blocks that are mixed with each other; at least 1.
    """

    num_shards: int
    sequences_per_shard: int
    shuffle: Shuffle
    seed: int
    window_blocks: int

    @property
    def num_sequences(self) -> int:
        """N, the sequences of an epoch."""
        return self.num_shards * self.sequences_per_shard

    def check(self) -> "Order":
        """Returns itself.

        Raises:
            ValueError: a number is outside its range, or the shuffle is unknown.
        """
        if self.shuffle not in _KINDS:
            raise ValueError(f"shuffle must be one of {', '.join(_KINDS)}, got {self.shuffle!r}")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed must be in [0, 2^64), got {self.seed}")
        if self.window_blocks < 1:
            raise ValueError(f"window_blocks must be at least 1, got {self.window_blocks}")
        if not 1 <= self.num_sequences <= MAX_SEQUENCES:
            raise ValueError(f"must have 1 to 2^40 sequences, got {self.num_sequences}")
        return self

    def sequences(self, positions_P: Int64s) -> Int64s:
        """Returns the numbers of the sequences at (P,) int64 positions of at least 0: (P,) int64."""
        numbers_P = np.empty(len(positions_P), np.int64)
        _order(
            np.ascontiguousarray(positions_P, np.int64).view(np.uint64),
            np.uint64(self.num_shards),
            np.uint64(self.sequences_per_shard),
            np.uint64(_KINDS.index(self.shuffle)),
            np.uint64(self.seed),
            np.uint64(self.window_blocks),
            numbers_P.view(np.uint64),
        )
        return numbers_P


# Signed and unsigned integers mix to floats, so that everything below is uint64.


@kernel()
def _mix(x):  # type: ignore[no-untyped-def]  # numba types it
    """Returns a bijective mix of 64 bits."""
    x = (x ^ (x >> _30)) * _MIX_1
    x = (x ^ (x >> _27)) * _MIX_2
    return x ^ (x >> _31)


@kernel()
def _key(seed, epoch, purpose, number):  # type: ignore[no-untyped-def]  # numba types it
    """Returns the key of one permutation of one epoch."""
    key = _mix(seed + _GOLDEN)
    key = _mix((key ^ epoch) + _GOLDEN)
    key = _mix((key ^ purpose) + _GOLDEN)
    return _mix((key ^ number) + _GOLDEN)


@kernel()
def _permute(x, size, key):  # type: ignore[no-untyped-def]  # numba types it
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
            round_key += _GOLDEN
            left ^= _mix(right + round_key) & high_mask
            round_key += _GOLDEN
            right ^= _mix(left + round_key) & low_mask
        x = (left << low) | right
        if x < size:
            return x


@kernel()
def _slot(x, num_blocks, window, seed, epoch):  # type: ignore[no-untyped-def]  # numba types it
    """Returns the slot, of [0, 256 * blocks), at a place of an epoch whose blocks are all full."""
    number = x // (window * _ROWS)
    first = number * window
    size = min(window, num_blocks - first) * _ROWS
    inside = _permute(x - first * _ROWS, size, _key(seed, epoch, _OF_WINDOWS, number))
    block = _permute(first + inside // _ROWS, num_blocks, _key(seed, epoch, _OF_BLOCKS, _0))
    return block * _ROWS + inside % _ROWS


@kernel()
def _number(slot, num_shards, each):  # type: ignore[no-untyped-def]  # numba types it
    """Returns the sequence of a slot: first the full record batches, then the rows of the short ones."""
    full = each // _ROWS * _ROWS
    if slot < num_shards * full:
        return slot // full * each + slot % full
    short = slot - num_shards * full
    return short // (each - full) * each + full + short % (each - full)


_UINTS = types.Array(types.uint64, 1, "C", readonly=True)
_U = types.uint64


@kernel(types.void(_UINTS, _U, _U, _U, _U, _U, types.uint64[::1]))
def _order(  # type: ignore[no-untyped-def]  # numba types it
    positions_P, num_shards, each, kind, seed, window, numbers_P
):
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
