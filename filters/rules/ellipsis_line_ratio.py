"""Ellipses: drops posts of cut lines."""

from typing import ClassVar

from sluice.filters.base import Filter, Scorer
from sluice.filters.rules.bounds import Ratio, ratio


class EllipsisLineRatio(Filter, frozen=True, kw_only=True, tag="ellipsis_line_ratio"):
    """Drops a post of cut lines. Score: lines that end with "…" or "..." / lines, none blank.

    Attributes:
        max_ratio: in [0, 1]; Gopher's 0.3 drops every post of one line that trails off.

    Source: Gopher (Rae et al. 2021, arXiv:2112.11446, A1.1).
    """

    reason: ClassVar[str] = "too_many_ellipsis_lines"
    bound: ClassVar[str] = "max_ratio"

    max_ratio: Ratio = 0.3

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, in [0, 1]."""
        return lambda batch: ratio(batch.features.num_ellipsis_lines, batch.features.num_lines)
