"""Bullets: drops bare lists."""

from typing import ClassVar

from sluice.filters.rules.bounds import Ratio, ShareFilter


class BulletLineRatio(ShareFilter, frozen=True, kw_only=True, tag="bullet_line_ratio"):
    """Drops a post that is a list. Score: lines that begin with a bullet / lines, none blank.

    Attributes:
        max_ratio: in [0, 1].

    Source: Gopher (Rae et al. 2021, arXiv:2112.11446, A1.1).
    """

    reason: ClassVar[str] = "too_many_bullet_lines"
    counted: ClassVar = ("num_bullet_lines", "num_lines")

    max_ratio: Ratio = 0.9
