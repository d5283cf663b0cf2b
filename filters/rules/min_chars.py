"""Least length: drops posts of very few characters."""

from typing import ClassVar

from sluice.filters.base import Filter, Scorer, on_grid
from sluice.filters.rules.bounds import Count


class MinChars(Filter, frozen=True, kw_only=True, tag="min_chars"):
    """Drops a post that is too short. Score: its code points, URLs and handles included.

    Attributes:
        min_chars: the least number of code points; two Chinese characters can be a sentence.

    Source: ours.
    """

    reason: ClassVar[str] = "too_short"
    bound: ClassVar[str] = "min_chars"

    min_chars: Count = 3

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, code points."""
        return lambda batch: on_grid(batch.features.num_chars)
