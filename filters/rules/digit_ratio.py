"""Digits: drops tables of figures, phone numbers and codes."""

from typing import ClassVar

from sluice.filters.rules.bounds import Ratio, ShareFilter


class DigitRatio(ShareFilter, frozen=True, kw_only=True, tag="digit_ratio"):
    """Drops a post that is mostly digits. Score: digits / visible characters of own text.

    Attributes:
        max_ratio: in [0, 1].

    Source: ours.
    """

    reason: ClassVar[str] = "too_many_digits"
    counted: ClassVar = ("num_digits", "num_visible")

    max_ratio: Ratio = 0.4
