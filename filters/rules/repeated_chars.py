"""Repeated characters: drops posts where a key was held down."""

from typing import ClassVar

from sluice.filters.base import Filter, Scorer, on_grid
from sluice.filters.rules.bounds import Count, Ratio


class RepeatedChars(Filter, frozen=True, kw_only=True, tag="repeated_chars"):
    """Drops a post with a long run of one character. Score: the longest run in own text.

    Attributes:
        max_run: the longest run that is kept; people write "sooooo" and "!!!!!!".
        min_share: a run that is less of the visible characters of own text scores 0: a divider in a story is
            no key held down.

    Source: ours.
    """

    version: ClassVar[int] = 2
    reason: ClassVar[str] = "repeated_characters"
    bound: ClassVar[str] = "max_run"

    max_run: Count = 20
    min_share: Ratio = 0.1

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, the longest run or 0."""
        return lambda batch: on_grid(
            batch.features.longest_run
            * (batch.features.longest_run >= self.min_share * batch.features.num_visible)
        )
