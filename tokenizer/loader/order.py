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

from sluice.schemas.arrays import Int64s
from sluice.tokenizer.loader.kernels import fill_order

Shuffle = Literal["sequences", "blocks", "none"]

MAX_SEQUENCES: Final = 2**40
"""More would be 10^16 tokens; positions of 8 million epochs still fit an int64."""

_KINDS = get_args(Shuffle)


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

    def sequences(self, positions_P: Int64s) -> Int64s:
        """Returns the numbers of the sequences at (P,) int64 positions of at least 0: (P,) int64."""
        numbers_P = np.empty(len(positions_P), np.int64)
        kind = _KINDS.index(self.shuffle)
        numbers = (self.num_shards, self.sequences_per_shard, kind, self.seed, self.window_blocks)
        positions_P = np.ascontiguousarray(positions_P, np.int64)
        fill_order(positions_P.view(np.uint64), *map(np.uint64, numbers), numbers_P.view(np.uint64))
        return numbers_P
