"""Emoji: drops posts that are strings of emoji."""

from typing import ClassVar

from sluice.filters.rules.bounds import Ratio, ShareFilter


class EmojiRatio(ShareFilter, frozen=True, kw_only=True, tag="emoji_ratio"):
    """Drops a post that is mostly emoji. Score: emoji / (letters, digits and emoji) of own text.

    Attributes:
        max_ratio: in [0, 1].

    Source: ours.
    """

    reason: ClassVar[str] = "too_many_emoji"
    counted: ClassVar = ("num_emoji", "num_said")

    max_ratio: Ratio = 0.5
