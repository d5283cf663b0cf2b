"""Repeated words: drops posts that say one word over and over."""

from typing import ClassVar

from sluice.filters.rules.bounds import Ratio, ShareFilter


class RepeatedWords(ShareFilter, frozen=True, kw_only=True, tag="repeated_words"):
    """Drops a post that repeats itself. Score: words that repeat / words.

    Words are pieces between white space; case (ASCII) and punctuation do not tell them apart. One repeats if
    it stood among the words before it of the same hundred, or ends eight words that stood in the post before.
    So the score does not grow with length: over the whole text the common words of any
    language make half of a story of a thousand words.

    Attributes:
        max_ratio: in [0, 1].

    Source: ours.
    """

    version: ClassVar[int] = 2

    reason: ClassVar[str] = "repeated_words"
    counted: ClassVar = ("num_repeated_tokens", "num_known_tokens")

    max_ratio: Ratio = 0.5
