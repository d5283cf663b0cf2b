"""Punctuation: drops drawings and strings of signs."""

from typing import ClassVar

from sluice.filters.rules.bounds import Ratio, ShareFilter


class PunctuationRatio(ShareFilter, frozen=True, kw_only=True, tag="punctuation_ratio"):
    """Drops a post that is mostly punctuation. Score: punctuation and symbols / visible own characters.

    Attributes:
        max_ratio: in [0, 1].

    Source: ours.
    """

    reason: ClassVar[str] = "too_much_punctuation"
    counted: ClassVar = ("num_punctuation", "num_visible")

    max_ratio: Ratio = 0.5
