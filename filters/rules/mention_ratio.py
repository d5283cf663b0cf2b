"""Mentions: drops posts that only call other users."""

from typing import ClassVar

from sluice.filters.base import Filter, Scorer
from sluice.filters.rules.bounds import Ratio, ratio


class MentionRatio(Filter, frozen=True, kw_only=True, tag="mention_ratio"):
    """Drops a post that is mostly @handles. Score: handles / (handles + words of own text).

    Attributes:
        max_ratio: in [0, 1].

    Source: ours.
    """

    reason: ClassVar[str] = "too_many_mentions"
    bound: ClassVar[str] = "max_ratio"

    max_ratio: Ratio = 0.7

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, in [0, 1]."""
        return lambda batch: ratio(
            batch.features.num_mentions, batch.features.num_mentions + batch.features.num_words
        )
