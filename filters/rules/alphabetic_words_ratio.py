"""Alphabetic words: drops posts of figures and punctuation."""

from typing import ClassVar

from sluice.filters.rules.bounds import Ratio, ShareFilter


class AlphabeticWordsRatio(ShareFilter, frozen=True, kw_only=True, tag="alphabetic_words_ratio"):
    """Drops a post of few real words. Score: pieces with a letter / pieces between white space.

    Attributes:
        min_ratio: in [0, 1]; Gopher has 0.8.

    Source: Gopher (Rae et al. 2021, arXiv:2112.11446, A1.1).
    """

    reason: ClassVar[str] = "too_few_alphabetic_words"
    bound: ClassVar[str] = "min_ratio"
    counted: ClassVar = ("num_alphabetic_tokens", "num_tokens")

    min_ratio: Ratio = 0.5
