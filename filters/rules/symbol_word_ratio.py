"""Symbols: drops posts with many # and ellipses, as Gopher counts them."""

from typing import ClassVar

import numpy as np

from sluice.filters.base import Filter, Scorer
from sluice.filters.rules.bounds import Ratio, ratio


class SymbolWordRatio(Filter, frozen=True, kw_only=True, tag="symbol_word_ratio"):
    """Drops a post with many symbols. Score: "#", "…" and "..." / words of own text, at most 1.

    Attributes:
        max_ratio: in [0, 1]; at Gopher's 0.1 a hashtag costs a post of nine words its place.

    Source: Gopher (Rae et al. 2021, arXiv:2112.11446, A1.1).
    """

    reason: ClassVar[str] = "too_many_symbols"
    bound: ClassVar[str] = "max_ratio"

    max_ratio: Ratio = 0.1

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, in [0, 1]."""
        return lambda batch: ratio(
            batch.features.num_symbols,
            np.maximum(batch.features.num_words, batch.features.num_symbols),
        )
