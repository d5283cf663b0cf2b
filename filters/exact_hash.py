"""Hashes that bring the rows of one post, or of one text, together.

Both are XXH64 under seeds of their own, so that an id and a text of the same bytes have different
hashes. They find candidates and decide nothing: among M distinct values about M^2 / 2^65 pairs
share a hash by chance, 0.007 pairs in a day of 500 million posts, so `filters.clusters` compares
the ids and the texts themselves.
"""

from typing import Final

import pyarrow as pa

from filters.hashing import Hashes, hash_texts

CONTENT_SEED: Final = 1
ID_SEED: Final = 2


def content_hash(dedup_texts: pa.StringArray) -> Hashes:
    """Returns (N,) uint64, the hash of each text that duplicates are compared by."""
    return hash_texts(dedup_texts, seed=CONTENT_SEED)


def id_hash(post_ids: pa.StringArray) -> Hashes:
    """Returns (N,) uint64, the hash of each post id."""
    return hash_texts(post_ids, seed=ID_SEED)
