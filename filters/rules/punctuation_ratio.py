"""Punctuation: drops drawings and strings of signs."""

from typing import ClassVar

from sluice.filters.base import Filter, Scorer
from sluice.filters.rules.bounds import Ratio, ratio


class PunctuationRatio(Filter, frozen=True, kw_only=True, tag="punctuation_ratio"):
    """Drops a post that is mostly punctuation. Score: punctuation and symbols / visible own characters.

    Attributes:
        max_ratio: in [0, 1].

    Source: ours.
    """

    reason: ClassVar[str] = "too_much_punctuation"
    bound: ClassVar[str] = "max_ratio"

    max_ratio: Ratio = 0.5

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, in [0, 1]."""
        return lambda batch: ratio(batch.features.num_punctuation, batch.features.num_visible)
