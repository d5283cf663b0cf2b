"""Hashtags: drops posts that are strings of tags."""

from typing import ClassVar

from sluice.filters.rules.bounds import Ratio, ShareFilter


class HashtagRatio(ShareFilter, frozen=True, kw_only=True, tag="hashtag_ratio"):
    """Drops a post that is mostly hashtags. Score: hashtags / words; each hashtag is one word.

    Attributes:
        max_ratio: in [0, 1].

    Source: ours.
    """

    reason: ClassVar[str] = "too_many_hashtags"
    counted: ClassVar = ("num_hashtags", "num_words")

    max_ratio: Ratio = 0.5
