"""Toxicity: drops posts that a small model, shipped or your own, takes for insults, threats and hate."""

from typing import ClassVar

from sluice.filters.screens.screen import ScreenFilter, default_max


class Toxicity(ScreenFilter, frozen=True, kw_only=True, tag="toxicity"):
    """Drops insults, threats and hate. Score: a calibrated probability in [0, 1], higher is worse.

    Attributes:
        max_toxicity: the default drops clear cases only; `filters/models/toxicity.md` says what it costs.
        model: path of a supervised fastText model with a label `toxic`, or None for the shipped one. Only
            the shipped one is calibrated: the score of another is its own probability.

    Source: ours, trained as `filters/models/toxicity.md` says; hashed n-grams as in fastText (Bojanowski et
    al. 2017, arXiv:1607.04606), distilled from an encoder (Hinton et al. 2015, arXiv:1503.02531).
    """

    reason: ClassVar[str] = "toxic"
    bound: ClassVar[str] = "max_toxicity"

    max_toxicity: float = default_max("toxicity")
