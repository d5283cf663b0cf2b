"""Greatest length: drops posts too long to be posts."""

from typing import ClassVar

from sluice.filters.rules.bounds import Count, CountFilter


class MaxChars(CountFilter, frozen=True, kw_only=True, tag="max_chars"):
    """Drops a post that is too long. Score: its code points, URLs and handles included.

    Attributes:
        max_chars: the greatest number of code points.

    Source: ours.
    """

    reason: ClassVar[str] = "too_long"
    bound: ClassVar[str] = "max_chars"
    counted: ClassVar[str] = "num_chars"

    max_chars: Count = 100_000
