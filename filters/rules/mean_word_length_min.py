"""Short words: drops strings of single letters and fragments."""

from typing import ClassVar

from sluice.filters.rules.bounds import Length, ShareFilter


class MeanWordLengthMin(ShareFilter, frozen=True, kw_only=True, tag="mean_word_length_min"):
    """Drops a post whose words are short on average. Score: letters, digits and emoji / words.

    By the rule for scripts without spaces (`TextFeatures`), Chinese has 2 characters a word and Thai 4.

    Attributes:
        min_length: characters; Gopher has 3, which drops every Chinese post.

    Source: Gopher (Rae et al. 2021, arXiv:2112.11446, A1.1).
    """

    reason: ClassVar[str] = "words_too_short"
    bound: ClassVar[str] = "min_length"
    counted: ClassVar = ("num_said", "num_words")

    min_length: Length = 1.5
