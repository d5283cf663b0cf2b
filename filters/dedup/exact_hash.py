"""Hashes that bring the rows of one post, or of one text, together.

Both are XXH64 under seeds of their own, so that an id and a text of the same bytes have different
hashes. They find candidates and decide nothing: among M distinct values about M^2 / 2^65 pairs
share a hash by chance, 0.007 pairs in a day of 500 million posts, so `sluice.filters.dedup.clusters` compares
the ids and the texts themselves.
"""

from typing import Final

import numpy as np
import pyarrow as pa

from sluice.filters.dedup import kernels
from sluice.filters.text.hashing import hash_texts
from sluice.schemas.arrays import Int32s, Uint64s
from sluice.schemas.kernel import utf8_view

CONTENT_SEED: Final = 1
ID_SEED: Final = 2


def content_hash(dedup_texts: pa.StringArray) -> Uint64s:
    """Returns (N,) uint64, the hash of each text that duplicates are compared by."""
    return hash_texts(dedup_texts, seed=CONTENT_SEED)


def id_hash(post_ids: pa.StringArray) -> Uint64s:
    """Returns (N,) uint64, the hash of each post id."""
    return hash_texts(post_ids, seed=ID_SEED)


def first_of_text(texts: pa.StringArray, same_hash_N: Int32s, first_of_id_N: Int32s) -> Int32s:
    """Returns (N,) int32, for first rows of an id that have a text the first such row with the same text.

    Args:
        texts: (N,) string; compared byte for byte.
        same_hash_N: (N,) int32, the first row with the hash of each row's text.
        first_of_id_N: (N,) int32, the first row of each row's id, but of a fixed row itself. Other rows
            get themselves.
    """
    first_N = np.empty(len(texts), np.int32)
    kernels.first_of_text(*utf8_view(texts), same_hash_N, first_of_id_N, first_N)
    return first_N
