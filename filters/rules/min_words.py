"""Fewest words: drops posts that say next to nothing."""

from typing import ClassVar

from sluice.filters.rules.bounds import Count, CountFilter


class MinWords(CountFilter, frozen=True, kw_only=True, tag="min_words"):
    """Drops a post of too few words. Score: words of own text, as `TextFeatures` counts them in every script.

    Attributes:
        min_words: the least number of words.

    Source: ours; Gopher (Rae et al. 2021, arXiv:2112.11446, A1.1) asks for 50, which no post has.
    """

    reason: ClassVar[str] = "too_few_words"
    bound: ClassVar[str] = "min_words"
    counted: ClassVar[str] = "num_words"

    min_words: Count = 2
