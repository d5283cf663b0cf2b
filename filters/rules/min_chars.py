"""Least length: drops posts of very few characters."""

from typing import ClassVar

from sluice.filters.rules.bounds import Count, CountFilter


class MinChars(CountFilter, frozen=True, kw_only=True, tag="min_chars"):
    """Drops a post that is too short. Score: its code points, URLs and handles included.

    Attributes:
        min_chars: the least number of code points; two Chinese characters can be a sentence.

    Source: ours.
    """

    reason: ClassVar[str] = "too_short"
    bound: ClassVar[str] = "min_chars"
    counted: ClassVar[str] = "num_chars"

    min_chars: Count = 3
