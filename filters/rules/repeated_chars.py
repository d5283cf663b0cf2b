"""Repeated characters: drops posts where a key was held down."""

from typing import ClassVar

from sluice.filters.base import Filter, Scorer, on_grid
from sluice.filters.rules.bounds import Count


class RepeatedChars(Filter, frozen=True, kw_only=True, tag="repeated_chars"):
    """Drops a post with a long run of one character. Score: the longest run in own text.

    Attributes:
        max_run: the longest run that is kept; people write "sooooo" and "!!!!!!".

    Source: ours.
    """

    reason: ClassVar[str] = "repeated_characters"
    bound: ClassVar[str] = "max_run"

    max_run: Count = 20

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, characters."""
        return lambda batch: on_grid(batch.features.longest_run)
