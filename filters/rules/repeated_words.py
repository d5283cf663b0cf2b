"""Repeated words: drops posts that say one word over and over."""

from typing import ClassVar

from sluice.filters.base import Filter, Scorer
from sluice.filters.rules.bounds import Ratio, ratio


class RepeatedWords(Filter, frozen=True, kw_only=True, tag="repeated_words"):
    """Drops a post that repeats itself. Score: words that stood in the post before / words.

    Words are pieces between white space; case (ASCII) and punctuation do not tell them apart.

    Attributes:
        max_ratio: in [0, 1].

    Source: ours.
    """

    reason: ClassVar[str] = "repeated_words"
    bound: ClassVar[str] = "max_ratio"

    max_ratio: Ratio = 0.5

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, in [0, 1]."""
        return lambda batch: ratio(
            batch.features.num_repeated_tokens, batch.features.num_known_tokens
        )
