"""Counts the character n-grams of texts in the hash buckets that a fastText model keeps its rows by.

What a linear model is trained on here is, row for row, what `sluice.filters.fasttext.classifier` adds up
when it serves the model, so the fitted weights are the rows of the file.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from sluice.filters.fasttext.kernels.words import FNV_OFFSET, fnv, is_blank, is_continuation
from sluice.schemas.arrays import Array
from sluice.schemas.kernel import BYTES, OFFSETS, kernel, types, utf8_view

NUM_BUCKETS = 2_000_000
SHORTEST, LONGEST = 2, 5
"""Characters of an n-gram, the brackets around a word among them."""
WORDY = 3
"""From so many characters on any n-gram may have a weight. Shorter ones may only where all their characters
take three bytes or more: two of them are a word in Chinese, and anything at all in Latin script."""


@kernel()
def _char_end(data_B: Any, at: Any, end: Any) -> Any:
    """Returns where the character that starts at `at` ends."""
    at += 1
    while at < end and is_continuation(data_B[at]):
        at += 1
    return at


@kernel(types.int64(BYTES, OFFSETS, types.int32[::1], types.int64[::1], types.boolean[::1]))
def _list_ngrams(
    data_B: Any, offsets_N1: Any, columns_K: Any, starts_N1: Any, usable_F: Any
) -> Any:
    """Writes the buckets of the n-grams of each text, one text after the other, and which may have a weight.

    Returns how many there are.
    """
    num = np.int64(0)
    for i in range(offsets_N1.shape[0] - 1):
        at, stop = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        while at < stop:
            while at < stop and is_blank(data_B[at]):
                at += 1
            word = at
            while at < stop and not is_blank(data_B[at]):
                at += 1
            first = word - 1  # the place of the bracket before the word
            while word < at and first < at:
                h, size, here, wide = FNV_OFFSET, 0, first, True
                while size < LONGEST and here <= at:
                    if here < word or here == at:
                        h = fnv(h, np.uint8(60) if here < word else np.uint8(62))
                        here, wide = here + 1, False
                    else:
                        after = _char_end(data_B, here, at)
                        wide = wide and after - here >= 3
                        for k in range(here, after):
                            h = fnv(h, data_B[k])
                        here = after
                    size += 1
                    if size >= SHORTEST:
                        columns_K[num] = np.int32(h % np.uint32(NUM_BUCKETS))
                        if wide or size >= WORDY:
                            usable_F[columns_K[num]] = True
                        num += 1
                first = word if first < word else _char_end(data_B, first, at)
        starts_N1[i + 1] = num
    return num


def count_ngrams(texts: pa.StringArray) -> tuple[sparse.csr_matrix, Array]:
    """Returns how often each n-gram is in each text, and which buckets may have a weight.

    Args:
        texts: (N,) string, classifier text, never null.

    Returns:
        (N, NUM_BUCKETS) float32, and (NUM_BUCKETS,) bool, true where an n-gram of the texts may have a weight
        (see WORDY). Such a bucket counts all n-grams that share it, as it does when a text is scored.

    Source: fastText 0.9.3, `dictionary.cc`, `computeSubwords`.
    """
    data_B, offsets_N1 = utf8_view(texts)
    size = int(offsets_N1[-1] - offsets_N1[0])
    columns_K = np.empty((size + 2 * len(texts)) * 2 * (LONGEST - SHORTEST + 1), np.int32)
    starts_N1 = np.zeros(len(texts) + 1, np.int64)
    usable_F = np.zeros(NUM_BUCKETS, np.bool_)
    num = _list_ngrams(data_B, offsets_N1, columns_K, starts_N1, usable_F)
    ones_K = np.ones(num, np.float32)
    counts = sparse.csr_matrix(
        (ones_K, columns_K[:num].copy(), starts_N1), shape=(len(texts), NUM_BUCKETS)
    )
    counts.sum_duplicates()
    return counts, usable_F


def mean_ngrams(counts: sparse.csr_matrix, buckets_B: Array) -> sparse.csr_matrix:
    """Returns (N, B + 1) float32: a product with weights of the buckets is their mean over a text's n-grams.

    The last column is the end of the text, which counts as one more n-gram: the less of a text is known,
    the more it decides.
    """
    known = sparse.csr_matrix(counts[:, buckets_B])
    ends = sparse.csr_matrix(np.ones((counts.shape[0], 1), np.float32))
    known = sparse.csr_matrix(sparse.hstack([known, ends]))
    sums_N = np.asarray(known.sum(axis=1)).ravel()
    return sparse.csr_matrix(sparse.diags((1 / sums_N).astype(np.float32)) @ known)
