"""Toxicity: drops posts that a small model, shipped or your own, takes for insults, threats and hate."""

from typing import ClassVar

from sluice.filters.base import Filter, Scorer
from sluice.filters.screens.screen import build_screen, calibration, model_sha256


class Toxicity(Filter, frozen=True, kw_only=True, tag="toxicity"):
    """Drops insults, threats and hate. Score: a calibrated probability in [0, 1], higher is worse.

    Attributes:
        max_toxicity: the default drops clear cases only; `filters/models/toxicity.md` says what it costs.
        model: path of a supervised fastText model with a label `toxic`, or None for the shipped one. Only
            the shipped one is calibrated: the score of another is its own probability.

    Source: ours, trained as `filters/models/toxicity.md` says; n-grams as in fastText (Bojanowski et al.
    2017, arXiv:1607.04606).
    """

    version: ClassVar[int] = 2
    reason: ClassVar[str] = "toxic"
    bound: ClassVar[str] = "max_toxicity"
    costly: ClassVar[bool] = True
    screen: ClassVar[bool] = True

    max_toxicity: float = calibration("toxicity").max_score
    model: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.max_toxicity <= 1:
            raise ValueError(f"max_toxicity must be in [0, 1], got {self.max_toxicity}")

    @property
    def model_sha256(self) -> str:
        """The sha256 of the model's file, for the fingerprint of a run."""
        return model_sha256(self.name, self.model)

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32 in [0, 1].

        Raises:
            InputError: the model cannot be read, or has no label `toxic`.
        """
        return build_screen(self.name, model=self.model)
