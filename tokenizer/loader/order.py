"""The order in which sequences are read: computed from (seed, epoch), never stored.

Positions count what all ranks read together, from 0 and over all epochs: position p is the p % N-th
sequence of epoch p // N. A permutation is a Feistel network whose keys are a SplitMix64 stream, so that
the sequence at any position costs about 1 us and no memory, for 1,000 sequences or 3 billion. The
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

from sluice.schemas.arrays import Int64s, Uint64s
from sluice.schemas.token_shard import ROWS_PER_BATCH
from sluice.tokenizer.loader.permutation import key, permute, unsigned

Shuffle = Literal["sequences", "blocks", "none"]

MAX_SEQUENCES: Final = 2**40
"""More would be 10^16 tokens; positions of 8 million epochs still fit an int64."""

_KINDS = get_args(Shuffle)
_OF_ALL, _OF_BLOCKS, _OF_WINDOWS = np.uint64(1), np.uint64(2), np.uint64(3)
"""What a permutation is of: a part of its key."""
_0, _1, _ROWS = np.uint64(0), np.uint64(1), np.uint64(ROWS_PER_BATCH)


class Order(NamedTuple):
    """Which sequence is at which position.

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

    def end(self, epochs: int) -> int:
        """Returns the position where an epoch begins after so many."""
        return epochs * self.num_sequences

    def outputs(self, numbers_P: Int64s) -> Int64s:
        """Returns (P,) int64: which output sequences are of, where there is one."""
        return np.zeros(len(numbers_P), np.int64)

    def sequences(self, positions_P: Int64s) -> Int64s:
        """Returns the numbers of the sequences at (P,) int64 positions of at least 0: (P,) int64."""
        epoch_P, x_P = np.divmod(unsigned(positions_P), np.uint64(self.num_sequences))
        if self.shuffle == "sequences":
            size_P = np.uint64(self.num_sequences)
            x_P = permute(x_P, size_P, key(self.seed, epoch_P, _OF_ALL, _0))
        elif self.shuffle == "blocks":
            x_P = self._of_slot(self._slots(x_P, epoch_P))
        return x_P.view(np.int64)

    def _slots(self, x_P: Uint64s, epoch_P: Uint64s) -> Uint64s:
        """Returns the slots of [0, N) at places of epochs. The last block may be short: walk on."""
        slot_P = self._slots_of_full(x_P, epoch_P)
        outside_Q = np.flatnonzero(slot_P >= self.num_sequences)
        while len(outside_Q):
            slot_P[outside_Q] = self._slots_of_full(slot_P[outside_Q], epoch_P[outside_Q])
            outside_Q = outside_Q[slot_P[outside_Q] >= self.num_sequences]
        return slot_P

    def _slots_of_full(self, x_P: Uint64s, epoch_P: Uint64s) -> Uint64s:
        """Returns the slots, of [0, 256 * blocks), at places of epochs whose blocks are all full."""
        num_blocks = np.uint64(-(-self.num_sequences // ROWS_PER_BATCH))
        window = np.uint64(min(self.window_blocks, int(num_blocks)))
        number_P = x_P // (window * _ROWS)
        first_P = number_P * window
        size_P = np.minimum(window, num_blocks - first_P) * _ROWS
        of_window_P = key(self.seed, epoch_P, _OF_WINDOWS, number_P)
        inside_P = permute(x_P - first_P * _ROWS, size_P, of_window_P)
        of_blocks_P = key(self.seed, epoch_P, _OF_BLOCKS, _0)
        block_P = permute(first_P + inside_P // _ROWS, num_blocks, of_blocks_P)
        return block_P * _ROWS + inside_P % _ROWS

    def _of_slot(self, slot_P: Uint64s) -> Uint64s:
        """Returns the sequences of slots: first the full record batches, then the rows of the short ones."""
        each = np.uint64(self.sequences_per_shard)
        full = each // _ROWS * _ROWS
        is_full_P = slot_P < np.uint64(self.num_shards) * full
        short_P = np.where(is_full_P, _0, slot_P - np.uint64(self.num_shards) * full)
        of_full_P = slot_P // max(full, _1) * each + slot_P % max(full, _1)
        rest = max(each - full, _1)
        return np.where(is_full_P, of_full_P, short_P // rest * each + full + short_P % rest)
