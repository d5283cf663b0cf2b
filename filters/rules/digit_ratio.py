"""Digits: drops tables of figures, phone numbers and codes."""

from typing import ClassVar

from sluice.filters.base import Filter, Scorer
from sluice.filters.rules.bounds import Ratio, ratio


class DigitRatio(Filter, frozen=True, kw_only=True, tag="digit_ratio"):
    """Drops a post that is mostly digits. Score: digits / visible characters of own text.

    Attributes:
        max_ratio: in [0, 1].

    Source: ours.
    """

    reason: ClassVar[str] = "too_many_digits"
    bound: ClassVar[str] = "max_ratio"

    max_ratio: Ratio = 0.4

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, in [0, 1]."""
        return lambda batch: ratio(batch.features.num_digits, batch.features.num_visible)
