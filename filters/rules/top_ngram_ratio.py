"""Repeated phrases: drops posts in which one run of words takes up much of the text."""

from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
from msgspec import Meta
from numba import types

from sluice.filters.base import Filter, Scorer, on_grid
from sluice.filters.batch import Batch, Scores
from sluice.filters.rules.bounds import Ratio
from sluice.schemas.arrays import Float64s
from sluice.schemas.kernel import BYTES, OFFSETS, kernel, utf8_view

_SEED, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


class TopNgramRatio(Filter, frozen=True, kw_only=True, tag="top_ngram_ratio"):
    """Drops a post that repeats one phrase. Score: code points of the commonest n-gram / all, at most 1.

    The commonest of the n-grams that occur at least twice, and the longest of equally common ones,
    times how often it occurs; a text in which none occurs twice scores 0. Words are the pieces of the
    classifier text between blanks, and the blanks inside an n-gram count with it.

    Several may stand in a recipe: `n` is part of the name (`top_2gram_ratio`).

    Attributes:
        n: words in the phrase.
        max_ratio: in [0, 1]; Gopher has 0.20, 0.18, 0.16 for n = 2, 3, 4.

    Source: Gopher (Rae et al. 2021, arXiv:2112.11446, table A1).
    """

    reason: ClassVar[str] = "repeated_phrase"
    bound: ClassVar[str] = "max_ratio"

    n: Annotated[int, Meta(ge=1, le=16)] = 2
    max_ratio: Ratio = 0.5

    @property
    def name(self) -> str:
        """The filter's name, `n` included."""
        return f"top_{self.n}gram_ratio"

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32 in [0, 1]."""

        def score(batch: Batch) -> Scores:
            return on_grid(top_ngram_ratio(batch.classifier_text, n=self.n))

        return score


def top_ngram_ratio(texts: pa.StringArray, *, n: int) -> Float64s:
    """Returns (N,) float64 in [0, 1], as the class says, of texts with single blanks."""
    ratios_N = np.zeros(len(texts), np.float64)
    data_B, offsets_N1 = utf8_view(texts)
    longest = int(np.diff(offsets_N1).max(initial=0))
    slots = 1 << max(6, (longest + 2).bit_length())
    words_W = np.empty(longest + 1, np.uint64)
    lengths_W = np.empty(longest + 1, np.int32)
    keys_S, stamps_S = np.empty(slots, np.uint64), np.full(slots, -1, np.int32)
    counts_S = np.empty(slots, np.int32)
    _score_rows(data_B, offsets_N1, n, words_W, lengths_W, keys_S, stamps_S, counts_S, ratios_N)
    return ratios_N


@kernel()
def _split(data_B, j, end, words_W, lengths_W):  # type: ignore[no-untyped-def]  # numba types it
    """Writes the hash and the code points of each word; returns how many words there are."""
    num_words = 0
    while j < end:
        h, length = _SEED, 0
        while j < end and data_B[j] != 32:
            h = (h ^ np.uint64(data_B[j])) * _PRIME
            length += (data_B[j] & 0xC0) != 0x80
            j += 1
        words_W[num_words], lengths_W[num_words] = h, length
        num_words += 1
        j += 1
    return num_words


@kernel()
def _occurrence(keys_S, stamps_S, counts_S, last_slot, stamp, h):  # type: ignore[no-untyped-def]  # numba types it
    """Returns how often the row has had this hash, this time included. Old stamps are empty slots."""
    s = np.int64(h >> np.uint64(33)) & last_slot
    while stamps_S[s] == stamp and keys_S[s] != h:
        s = (s + 1) & last_slot
    if stamps_S[s] != stamp:
        stamps_S[s], keys_S[s], counts_S[s] = stamp, h, 0
    counts_S[s] += 1
    return counts_S[s]


@kernel(
    types.void(
        BYTES, OFFSETS, types.int64, types.uint64[::1], types.int32[::1],
        types.uint64[::1], types.int32[::1], types.int32[::1], types.float64[::1],
    )
)  # fmt: skip
def _score_rows(data_B, offsets_N1, n, words_W, lengths_W, keys_S, stamps_S, counts_S, ratios_N):  # type: ignore[no-untyped-def]  # numba types it
    for i in range(len(ratios_N)):
        start, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        num_words = _split(data_B, start, end, words_W, lengths_W)
        last_slot, total = 63, max(0, num_words - 1)
        for w in range(num_words):
            total += lengths_W[w]
        while last_slot < num_words + 2:
            last_slot = 2 * last_slot + 1
        best_count, best_length = 1, 0
        for w in range(num_words - n + 1):
            h, length = _SEED, n - 1
            for k in range(w, w + n):
                h = (h ^ words_W[k]) * _PRIME
                h ^= h >> np.uint64(29)
                length += lengths_W[k]
            count = _occurrence(keys_S, stamps_S, counts_S, last_slot, np.int32(i), h)
            if count > best_count or (count == best_count and count > 1 and length > best_length):
                best_count, best_length = count, length
        if total > 0 and best_count > 1:
            ratios_N[i] = min(1.0, best_count * best_length / total)
