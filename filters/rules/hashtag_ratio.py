"""Hashtags: drops posts that are strings of tags."""

from typing import ClassVar

from sluice.filters.base import Filter, Scorer
from sluice.filters.rules.bounds import Ratio, ratio


class HashtagRatio(Filter, frozen=True, kw_only=True, tag="hashtag_ratio"):
    """Drops a post that is mostly hashtags. Score: hashtags / words; each hashtag is one word.

    Attributes:
        max_ratio: in [0, 1].

    Source: ours.
    """

    reason: ClassVar[str] = "too_many_hashtags"
    bound: ClassVar[str] = "max_ratio"

    max_ratio: Ratio = 0.5

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, in [0, 1]."""
        return lambda batch: ratio(batch.features.num_hashtags, batch.features.num_words)
