"""Ellipses: drops posts of cut lines."""

from typing import ClassVar

from sluice.filters.rules.bounds import Ratio, ShareFilter


class EllipsisLineRatio(ShareFilter, frozen=True, kw_only=True, tag="ellipsis_line_ratio"):
    """Drops a post of cut lines. Score: lines that end with "…" or "..." / lines, none blank.

    Attributes:
        max_ratio: in [0, 1]; Gopher's 0.3 drops every post of one line that trails off.

    Source: Gopher (Rae et al. 2021, arXiv:2112.11446, A1.1).
    """

    reason: ClassVar[str] = "too_many_ellipsis_lines"
    counted: ClassVar = ("num_ellipsis_lines", "num_lines")

    max_ratio: Ratio = 0.3
