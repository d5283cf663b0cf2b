"""Long words: drops encoded data and text without blanks."""

from typing import ClassVar

from sluice.filters.base import Filter, Scorer
from sluice.filters.rules.bounds import Length, ratio


class MeanWordLengthMax(Filter, frozen=True, kw_only=True, tag="mean_word_length_max"):
    """Drops a post whose words are long on average. Score: letters, digits and emoji / words.

    Attributes:
        max_length: characters.

    Source: Gopher (Rae et al. 2021, arXiv:2112.11446, A1.1), which has 10.
    """

    reason: ClassVar[str] = "words_too_long"
    bound: ClassVar[str] = "max_length"

    max_length: Length = 12.0

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, characters."""
        return lambda batch: ratio(batch.features.num_said, batch.features.num_words)
