"""Language confidence: drops posts whose language the model cannot tell."""

from typing import ClassVar

import pyarrow as pa

from filters.base import Batch, Filter, Scorer, Scores, on_grid


class LanguageConfidence(Filter, tag="language_confidence"):
    """Drops a post whose language is uncertain. Score: the probability of the predicted language.

    Attributes:
        min_confidence: in [0, 1]. Short posts are uncertain by nature: see docs of the default below.
    """

    reason: ClassVar[str] = "language_uncertain"
    bound: ClassVar[str] = "min_confidence"

    min_confidence: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence must be in [0, 1], got {self.min_confidence}")

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32 in [0, 1]."""

        def score(batch: Batch) -> Scores:
            return on_grid(batch.languages.confidence_N)  # type: ignore[no-any-return]

        return score

    def detail(self, batch: Batch) -> pa.StringArray | None:
        """Returns (N,) string, the predicted language."""
        return batch.languages.language
