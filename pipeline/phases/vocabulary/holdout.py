"""Posts that the vocabulary is not trained on, and what it then makes of them: an honest measure."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.text.hashing import hash_texts
from sluice.pipeline.ledger.tally import Counts, tally
from sluice.schemas.arrays import Array, Bools

_SEED = 0x68656C64
"""Tells this draw from others with the seed of the recipe."""


def held_back_mask(batch: pa.RecordBatch, *, share: float, seed: int) -> Bools:
    """Returns (N,) bool: a post is held back when the seeded hash of its id falls below the share."""
    hash_N = hash_texts(batch.column("post_id"), seed=seed ^ _SEED) >> np.uint64(11)
    return np.asarray(hash_N * 2.0**-53 < share)


def count_held_back(batch: pa.RecordBatch, lengths_N: Array, held_N: Bools) -> Counts:
    """Returns posts, tokens, text bytes and words of the posts that were held back.

    Args:
        batch: N posts.
        lengths_N: (N,) integers, tokens of each.
        held_N: (N,) bool, which were held back.

    Returns:
        As `ledger.tally`; `words` are what stands between white space.
    """
    held = batch.filter(pa.array(held_N))
    text = held.column("text")
    words = pc.count_substring_regex(text, r"\S+")
    return tally(
        language=held.column("language"),
        created_at=held.column("created_at"),
        source=held.column("source"),
        amounts={
            "tokens": pa.array(np.asarray(lengths_N, np.int64)[held_N]),
            "text_bytes": pc.binary_length(text).cast(pa.int64()),
            "words": words.cast(pa.int64()),
        },
    )
