"""Language confidence: drops posts whose language the model cannot tell."""

from typing import ClassVar

import pyarrow as pa

from sluice.filters.base import Filter, Scorer, on_grid
from sluice.filters.batch import Batch


class LanguageConfidence(Filter, frozen=True, kw_only=True, tag="language_confidence"):
    """Drops a post whose language is uncertain. Score: the probability of the language and its relatives.

    Attributes:
        min_confidence: in [0, 1]. Short posts are uncertain by nature, so the default is lenient. It was
            chosen on posts of six words and more that a platform has labelled, of which it leaves out
            about one in 700 (`filters/models/language.md` has the curves, by language). For lid.176
            alone 0.25 does about what 0.5 did for lid.176 and the shipped model without priors.
    """

    reason: ClassVar[str] = "language_uncertain"
    bound: ClassVar[str] = "min_confidence"
    costly: ClassVar[bool] = True

    min_confidence: float = 0.4

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence must be in [0, 1], got {self.min_confidence}")

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32 in [0, 1]."""
        return lambda batch: on_grid(batch.languages.confidence_N)

    def detail(self, batch: Batch) -> pa.StringArray | None:
        """Returns (N,) string, the predicted language."""
        return batch.languages.language
