"""Bullets: drops bare lists."""

from typing import ClassVar

from sluice.filters.base import Filter, Scorer
from sluice.filters.rules.bounds import Ratio, ratio


class BulletLineRatio(Filter, frozen=True, kw_only=True, tag="bullet_line_ratio"):
    """Drops a post that is a list. Score: lines that begin with a bullet / lines, none blank.

    Attributes:
        max_ratio: in [0, 1].

    Source: Gopher (Rae et al. 2021, arXiv:2112.11446, A1.1).
    """

    reason: ClassVar[str] = "too_many_bullet_lines"
    bound: ClassVar[str] = "max_ratio"

    max_ratio: Ratio = 0.9

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, in [0, 1]."""
        return lambda batch: ratio(batch.features.num_bullet_lines, batch.features.num_lines)
