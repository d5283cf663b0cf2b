"""Language confidence: drops posts whose language the model cannot tell."""

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.base import Filter, Scorer, on_grid
from sluice.filters.batch import Batch, Scores
from sluice.filters.language.codes import check_code


class LanguageConfidence(Filter, frozen=True, kw_only=True, tag="language_confidence"):
    """Drops a post whose language is uncertain. Score: the probability of the language and its relatives.

    Attributes:
        min_confidence: in [0, 1]. Short posts are uncertain by nature, so the default is lenient. It was
            chosen on posts of six words and more that a platform has labelled, of which it leaves out
            about one in 700 (`filters/models/language.md` has the curves, by language). For lid.176
            alone 0.25 does about what 0.5 did for lid.176 and the shipped model without priors.
        by_language: language -> its own threshold, in place of `min_confidence`. `sluice score` prints those
            that the language's own scores give.
    """

    reason: ClassVar[str] = "language_uncertain"
    bound: ClassVar[str] = "min_confidence"
    costly: ClassVar[bool] = True

    min_confidence: float = 0.4
    by_language: dict[str, float] = {}

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence must be in [0, 1], got {self.min_confidence}")
        for code, least in self.by_language.items():
            check_code(code, "by_language")
            if not 0 <= least <= 1:
                raise ValueError(f"by_language.{code} must be in [0, 1], got {least}")

    def __hash__(self) -> int:
        """Returns a hash; a dict has none, and machines are kept by their specs."""
        return hash((self.min_confidence, *sorted(self.by_language.items())))

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32 in [0, 1]."""
        return lambda batch: on_grid(batch.languages.confidence_N)

    def thresholds(self, batch: Batch) -> Scores | None:
        """Returns (N,) float32, the threshold of each post's language; None where all have one."""
        return self.thresholds_of(batch.languages.language) if self.by_language else None

    def thresholds_of(self, languages: pa.StringArray) -> Scores:
        """Returns (N,) float32 on the grid, the threshold of each language."""
        codes = pa.array(self.by_language, pa.string())
        own_C = on_grid([*self.by_language.values(), self.min_confidence])
        place_N = pc.fill_null(pc.index_in(languages, codes), len(codes)).to_numpy()
        return np.asarray(own_C[place_N], np.float32)

    def detail(self, batch: Batch) -> pa.StringArray | None:
        """Returns (N,) string, the predicted language."""
        return batch.languages.language
