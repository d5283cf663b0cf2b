"""Spam: drops posts that a small model, shipped or your own, takes for advertising, scams and giveaways."""

from typing import ClassVar

from sluice.filters.screens.screen import ScreenFilter, default_max


class Spam(ScreenFilter, frozen=True, kw_only=True, tag="spam"):
    """Drops advertising, scams and giveaways. Score: a calibrated probability in [0, 1], higher is worse.

    The shipped model reads the words, and counts of links, digits, capitals and the like; of a long post,
    those that 280 characters of it have on average.

    Attributes:
        max_spam: the default drops clear cases only; `filters/models/spam.md` says what it costs.
        model: path of a supervised fastText model with a label `spam`, or None for the shipped one. Only
            the shipped one is calibrated: the score of another is its own probability.

    Source: ours, trained as `filters/models/spam.md` says; hashed n-grams as in fastText (Bojanowski et
    al. 2017, arXiv:1607.04606), distilled from an encoder (Hinton et al. 2015, arXiv:1503.02531).
    """

    version: ClassVar[int] = 4
    reason: ClassVar[str] = "spam"
    bound: ClassVar[str] = "max_spam"

    max_spam: float = default_max("spam")
