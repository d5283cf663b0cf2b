"""Most words: drops posts of more words than a post has."""

from typing import ClassVar

from sluice.filters.rules.bounds import Count, CountFilter


class MaxWords(CountFilter, frozen=True, kw_only=True, tag="max_words"):
    """Drops a post of too many words. Score: words of own text, as `TextFeatures` counts them.

    Attributes:
        max_words: the greatest number of words.

    Source: ours; Gopher (Rae et al. 2021, arXiv:2112.11446, A1.1) allows 100,000.
    """

    reason: ClassVar[str] = "too_many_words"
    bound: ClassVar[str] = "max_words"
    counted: ClassVar[str] = "num_words"

    max_words: Count = 20_000
