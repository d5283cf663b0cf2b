"""Hashes that bring the rows of one post, or of one text, together.

Both are XXH64 under seeds of their own, so that an id and a text of the same bytes have different
hashes. They find candidates and decide nothing: among M distinct values about M^2 / 2^65 pairs
share a hash by chance, 0.007 pairs in a day of 500 million posts, so `sluice.filters.dedup.clusters` compares
the ids and the texts themselves.
"""

from typing import Final

import numpy as np
import pyarrow as pa
from numba import types

from sluice.filters.text.hashing import hash_texts
from sluice.schemas.arrays import Int32s, Uint64s
from sluice.schemas.kernel import BYTES, OFFSETS, kernel, utf8_view

_I32 = types.Array(types.int32, 1, "C")

CONTENT_SEED: Final = 1
ID_SEED: Final = 2


def content_hash(dedup_texts: pa.StringArray) -> Uint64s:
    """Returns (N,) uint64, the hash of each text that duplicates are compared by."""
    return hash_texts(dedup_texts, seed=CONTENT_SEED)


def id_hash(post_ids: pa.StringArray) -> Uint64s:
    """Returns (N,) uint64, the hash of each post id."""
    return hash_texts(post_ids, seed=ID_SEED)


def first_of_text(texts: pa.StringArray, same_hash_N: Int32s, speaker_N: Int32s) -> Int32s:
    """Returns (N,) int32, for rows that speak and have a text the first such row of the same text.

    Args:
        texts: (N,) string; compared byte for byte.
        same_hash_N: (N,) int32, the first row with the hash of each row's text.
        speaker_N: (N,) int32, the row that speaks for each; others than itself name themselves.
    """
    first_N = np.empty(len(texts), np.int32)
    _first_rows(*utf8_view(texts), same_hash_N, speaker_N, first_N)
    return first_N


@kernel()
def _equal(data_B, start, end, other, other_end):  # type: ignore[no-untyped-def]  # numba types it
    if end - start != other_end - other:
        return False
    b = 0
    while start + b < end and data_B[start + b] == data_B[other + b]:
        b += 1
    return start + b == end


@kernel(types.void(BYTES, OFFSETS, _I32, _I32, _I32))
def _first_rows(data_B, offsets_N1, same_hash_N, speaker_N, first_N):  # type: ignore[no-untyped-def]  # numba types it
    """Writes the first speaker of the same text, for speakers with a text; else the row itself.

    Speakers of one hash but different texts are chained from the first row of that hash.
    """
    chain_N = np.full(len(first_N), -1, np.int32)
    for i in range(len(first_N)):
        first_N[i] = i
        start, end = offsets_N1[i], offsets_N1[i + 1]
        if speaker_N[i] != i or start == end:
            continue
        j = same_hash_N[i]
        while j != i and not (
            speaker_N[j] == j and _equal(data_B, start, end, offsets_N1[j], offsets_N1[j + 1])
        ):
            if chain_N[j] < 0:
                chain_N[j] = i
            j = chain_N[j]
        first_N[i] = j
