"""Links: drops posts that are little but URLs."""

from typing import ClassVar

from sluice.filters.base import Filter, Scorer
from sluice.filters.rules.bounds import Ratio, ratio


class UrlRatio(Filter, frozen=True, kw_only=True, tag="url_ratio"):
    """Drops a post that is mostly URLs. Score: code points inside URLs / all code points.

    Attributes:
        max_ratio: in [0, 1].

    Source: ours.
    """

    reason: ClassVar[str] = "too_many_urls"
    bound: ClassVar[str] = "max_ratio"

    max_ratio: Ratio = 0.7

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, in [0, 1]."""
        return lambda batch: ratio(batch.features.num_url_chars, batch.features.num_chars)
