"""Links: drops posts that are little but URLs."""

from typing import ClassVar

from sluice.filters.rules.bounds import Ratio, ShareFilter


class UrlRatio(ShareFilter, frozen=True, kw_only=True, tag="url_ratio"):
    """Drops a post that is mostly URLs. Score: code points inside URLs / all code points.

    Attributes:
        max_ratio: in [0, 1].

    Source: ours.
    """

    reason: ClassVar[str] = "too_many_urls"
    counted: ClassVar = ("num_url_chars", "num_chars")

    max_ratio: Ratio = 0.7
