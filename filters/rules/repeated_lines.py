"""Repeated lines: drops posts that say one line over and over."""

from typing import ClassVar

from sluice.filters.rules.bounds import Ratio, ShareFilter


class RepeatedLines(ShareFilter, frozen=True, kw_only=True, tag="repeated_lines"):
    """Drops a post that repeats its lines. Score: lines that stood in the post before / lines, none blank.

    Attributes:
        max_ratio: in [0, 1].

    Source: Gopher (Rae et al. 2021, arXiv:2112.11446, table A1), duplicate line fraction.
    """

    reason: ClassVar[str] = "repeated_lines"
    counted: ClassVar = ("num_duplicate_lines", "num_lines")

    max_ratio: Ratio = 0.3
