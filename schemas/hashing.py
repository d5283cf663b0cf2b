"""How hashes are spread: over slots of a table by multiplication, over partitions by their upper bits."""

import numpy as np

from sluice.schemas.arrays import Uint64s

GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio: the multiplier of Fibonacci hashing, for keys that need not be random.

Source: Knuth, "The Art of Computer Programming", volume 3, section 6.4.
"""


def partition_of(hash_N: Uint64s, num_partitions: int) -> Uint64s:
    """Returns (N,) uint64 in [0, num_partitions): the range of the 64-bit space that each hash is in.

    >>> partition_of(np.array([0, 2**63, 2**64 - 1], np.uint64), 8).tolist()
    [0, 4, 7]
    """
    return ((hash_N >> np.uint64(32)) * np.uint64(num_partitions)) >> np.uint64(32)
