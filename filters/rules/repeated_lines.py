"""Repeated lines: drops posts that say one line over and over."""

from typing import ClassVar

from sluice.filters.rules.bounds import Ratio, ShareFilter


class RepeatedLines(ShareFilter, frozen=True, kw_only=True, tag="repeated_lines"):
    """Drops a post that repeats its lines. Score: code points of lines that stood there before / of all.

    White space at both ends of a line does not count. A divider, a bracket or a "yes" that comes again weighs
    as little as it is long.

    Attributes:
        max_ratio: in [0, 1]; Gopher has 0.20.

    Source: Gopher (Rae et al. 2021, arXiv:2112.11446, table A1), duplicate line character fraction.
    """

    version: ClassVar[int] = 2

    reason: ClassVar[str] = "repeated_lines"
    counted: ClassVar = ("num_duplicate_line_chars", "num_line_chars")

    max_ratio: Ratio = 0.3
