"""Emoji: drops posts that are strings of emoji."""

from typing import ClassVar

from sluice.filters.base import Filter, Scorer
from sluice.filters.rules.bounds import Ratio, ratio


class EmojiRatio(Filter, frozen=True, kw_only=True, tag="emoji_ratio"):
    """Drops a post that is mostly emoji. Score: emoji / (letters, digits and emoji) of own text.

    Attributes:
        max_ratio: in [0, 1].

    Source: ours.
    """

    reason: ClassVar[str] = "too_many_emoji"
    bound: ClassVar[str] = "max_ratio"

    max_ratio: Ratio = 0.5

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, in [0, 1]."""
        return lambda batch: ratio(batch.features.num_emoji, batch.features.num_said)
