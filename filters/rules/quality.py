"""Quality: drops posts of which a small model, shipped or your own, finds little to learn from."""

from typing import ClassVar

from sluice.filters.screens.screen import ScreenFilter


class Quality(ScreenFilter, frozen=True, kw_only=True, tag="quality"):
    """Drops vacuous posts, bait and templates. Score: a calibrated probability in [0, 1], higher is better.

    No shipped recipe uses it: on sources that it never saw it is near chance, as `filters/models/quality.md`
    says. Look at its scores on your posts, and at a training run, before you drop by it.

    Attributes:
        min_quality: by default no post is dropped.
        model: path of a supervised fastText model with a label `quality`, or None for the shipped one.
            Only the shipped one is calibrated: the score of another is its own probability.

    Source: ours, trained as `filters/models/quality.md` says; what it is to tell apart as in Penedo et al.
    2024 (FineWeb-Edu, arXiv:2406.17557, section 4), for posts.
    """

    version: ClassVar[int] = 1
    reason: ClassVar[str] = "low_quality"
    bound: ClassVar[str] = "min_quality"
    screen: ClassVar[bool] = False

    min_quality: float = 0.0
