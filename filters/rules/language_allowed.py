"""Language allowed: keeps posts in the languages that a list names."""

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.base import Filter, Scorer
from sluice.filters.batch import Batch, Scores
from sluice.filters.language.codes import check_code


class LanguageAllowed(Filter, frozen=True, kw_only=True, tag="language_allowed"):
    """Keeps a post in certain languages. Score: 1 if its language or the group is in the list, else 0.

    Attributes:
        languages: ISO 639-1 codes, or 639-3 where there is none; a group (`ar`, `no`, `zh`) admits its
            members too. Empty admits every language.

    Source: ours; the model is lid.176 (Joulin et al. 2016, arXiv:1607.01759), CC BY-SA 3.0.
    """

    reason: ClassVar[str] = "language_not_allowed"
    bound: ClassVar[str] = "min_allowed"
    costly: ClassVar[bool] = True
    min_allowed: ClassVar[float] = 1.0  # a list has no threshold to choose: in it, or not

    languages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for code in self.languages:
            check_code(code, "languages")

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, 1 where the language is admitted and 0 elsewhere."""
        admitted = pa.array(self.languages, pa.string())

        def score(batch: Batch) -> Scores:
            if not self.languages:
                return np.ones(len(batch), np.float32)
            languages = batch.languages
            is_in = pc.or_(
                pc.is_in(languages.language, admitted), pc.is_in(languages.language_group, admitted)
            )
            return np.asarray(is_in.to_numpy(zero_copy_only=False), np.float32)

        return score

    def detail(self, batch: Batch) -> pa.StringArray | None:
        """Returns (N,) string, the predicted language."""
        return batch.languages.language
