"""Repeated characters: drops posts where a key was held down."""

from typing import ClassVar

from sluice.filters.rules.bounds import Count, CountFilter


class RepeatedChars(CountFilter, frozen=True, kw_only=True, tag="repeated_chars"):
    """Drops a post with a long run of one character. Score: the longest run in own text.

    Attributes:
        max_run: the longest run that is kept; people write "sooooo" and "!!!!!!".

    Source: ours.
    """

    reason: ClassVar[str] = "repeated_characters"
    bound: ClassVar[str] = "max_run"
    counted: ClassVar[str] = "longest_run"

    max_run: Count = 20
