"""Repeated phrases: drops posts in which one run of words takes up much of the text."""

from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
from msgspec import Meta

from sluice.filters.base import Filter, Scorer, on_grid
from sluice.filters.rules.bounds import Ratio
from sluice.filters.text.kernels import phrase_ratios
from sluice.schemas.arrays import Float64s
from sluice.schemas.kernel import utf8_view


class TopNgramRatio(Filter, frozen=True, kw_only=True, tag="top_ngram_ratio"):
    """Drops a post that repeats one phrase. Score: code points of the commonest n-gram / all, at most 1.

    The commonest of the n-grams that occur at least twice, and the longest of equally common ones,
    times how often it occurs; a text in which none occurs twice scores 0. Words are the pieces of the
    classifier text between blanks, and the blanks inside an n-gram count with it.

    A recipe may have several: `n` is part of the name (`top_2gram_ratio`).

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
        return lambda batch: on_grid(top_ngram_ratio(batch.classifier_text, n=self.n))


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
    phrase_ratios(data_B, offsets_N1, n, words_W, lengths_W, keys_S, stamps_S, counts_S, ratios_N)
    return ratios_N
