"""Long words: drops encoded data and text without blanks."""

from typing import ClassVar

from sluice.filters.rules.bounds import Length, ShareFilter


class MeanWordLengthMax(ShareFilter, frozen=True, kw_only=True, tag="mean_word_length_max"):
    """Drops a post whose words are long on average. Score: letters, digits and emoji / words.

    Attributes:
        max_length: characters.

    Source: Gopher (Rae et al. 2021, arXiv:2112.11446, A1.1), which has 10.
    """

    reason: ClassVar[str] = "words_too_long"
    bound: ClassVar[str] = "max_length"
    counted: ClassVar = ("num_said", "num_words")

    max_length: Length = 12.0
