"""Cut reposts: drops "RT @user: ..." that the platform cut off, of which the whole post exists elsewhere."""

from typing import ClassVar

from sluice.filters.base import Filter, Scorer, on_grid


class TruncatedRetweet(Filter, frozen=True, kw_only=True, tag="truncated_retweet"):
    """Drops a repost that was cut off. Score: 1 for RT, a handle and text that ends with an ellipsis.

    The ellipsis, "…" or "...", is the last thing but for URLs and handles.

    Source: ours; Twitter's API v1.1 cut reposts to 140 characters.
    """

    reason: ClassVar[str] = "truncated_retweet"
    bound: ClassVar[str] = "max_truncated"
    max_truncated: ClassVar[float] = 0.0  # it is cut or it is not: nothing to choose

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, 0 or 1."""
        return lambda batch: on_grid(batch.features.num_retweets * batch.features.num_truncated)
