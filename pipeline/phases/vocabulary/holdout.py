"""Posts that the vocabulary is not trained on, and what it then makes of them: an honest measure."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.text.hashing import hash_texts
from sluice.pipeline.ledger.tally import tally
from sluice.schemas.arrays import Array, Bools
from sluice.schemas.counts import HoldoutTally

_SEED = 0x68656C64
"""Tells this draw from others with the seed of the recipe."""


def holdout_mask(batch: pa.RecordBatch, *, share: float, seed: int) -> Bools:
    """Returns (N,) bool: a post is of the holdout when the seeded hash of its id is below the share."""
    hash_N = hash_texts(batch.column("post_id"), seed=seed ^ _SEED) >> np.uint64(11)
    return np.asarray(hash_N * 2.0**-53 < share)


def count_holdout(batch: pa.RecordBatch, lengths_N: Array, held_N: Bools) -> HoldoutTally:
    """Returns posts, tokens, text bytes and words of the holdout.

    Args:
        batch: N posts.
        lengths_N: (N,) integers, tokens of each.
        held_N: (N,) bool, which are of the holdout.
    """
    held = batch.filter(pa.array(held_N))
    words = pc.count_substring_regex(held.column("text"), r"\S+")
    return tally(held, HoldoutTally, tokens=lengths_N[held_N], words=words)
