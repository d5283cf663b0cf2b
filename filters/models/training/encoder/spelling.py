"""Posts with respelled words, so that a classifier trained on them knows a word in its disguises.

Source: ours. Posts of every label are respelled alike: a trick says nothing of what a post means.
"""

import re
from collections.abc import Collection, Sequence
from random import Random

import numpy as np

from sluice.filters.models.training.encoder.romanize import FOREIGN, romanize
from sluice.filters.models.training.encoder.spelling_tricks import MARKS, TRICKS

ROMANIZED = 0.25
"""Share of the respelled posts of five scripts that are written in Latin letters as a whole."""
SURE_WORDS = (
    0.7  # share of posts with listed words in which one of these is respelled, not any word
)
MOST_WORDS = 3  # words respelled in a post
PART = (2, 5)  # letters respelled of a text without blanks, the second one excluded
WORD = re.compile(rf"(?:\w+://|www\.|[@#<\[&])\S*|((?:[^\W\d_][{MARKS}]*){{2,}})")
"""A word is group 1; addresses, mentions, hashtags, and marks such as <url> are matched without it."""
UNSPACED = (("\u0e00", "\u0eff"), ("\u3040", "\u9fff"))
"""First and last letter of Thai and Lao, and of kana and Chinese, which have no blanks between words."""

Span = tuple[int, int]


def respell(
    texts: Sequence[str],
    rng: np.random.Generator,
    share: float,
    listed: Collection[str] = frozenset(),
) -> list[str]:
    """Returns the texts, a share of them with words respelled or in Latin letters; pure but for `rng`.

    Args:
        texts: posts; one without words stays as it is.
        rng: draws which posts and what is done to them.
        share: of the posts that are respelled, 0 to 1.
        listed: words in small letters that are respelled by preference, such as insults.
    """
    random, words = Random(int(rng.integers(2**63))), frozenset(listed)
    chosen = (rng.random(len(texts)) < share).tolist()
    pairs = zip(texts, chosen, strict=True)
    return [_respelled(text, random, words) if one else text for text, one in pairs]


def _respelled(text: str, random: Random, listed: frozenset[str]) -> str:
    if random.random() < ROMANIZED and FOREIGN.search(text):
        return romanize(text, random)
    spans = [match.span(1) for match in WORD.finditer(text) if match[1]]
    chosen = _chosen(text, spans, random, listed) if spans else []
    for start, end in sorted(chosen, reverse=True):
        text = text[:start] + _trick(text[start:end], random) + text[end:]
    return text


def _chosen(text: str, spans: list[Span], random: Random, listed: frozenset[str]) -> list[Span]:
    """Returns where the words stand that are respelled: a listed one, or some of any kind."""
    sure = [part for span in spans for part in _listed(text, span, listed)] if listed else []
    if sure and random.random() < SURE_WORDS:
        return [random.choice(sure)]
    some = random.sample(spans, min(len(spans), random.randint(1, MOST_WORDS)))
    return [_part(text, span, random) for span in some]


def _listed(text: str, span: Span, listed: frozenset[str]) -> list[Span]:
    """Returns where listed words stand in a word: it itself, or parts of it in text without blanks."""
    start, end = span
    if text[start:end].lower() in listed:
        return [span]
    if not _unspaced(text[start]):
        return []
    parts = [(i, i + size) for size in range(*PART) for i in range(start, end - size + 1)]
    return [(i, j) for i, j in parts if text[i:j] in listed]


def _part(text: str, span: Span, random: Random) -> Span:
    """Returns the word, or a part of it in text without blanks."""
    start, end = span
    size = random.randrange(*PART)
    if not _unspaced(text[start]) or end - start <= size:
        return span
    start = random.randrange(start, end - size + 1)
    return start, start + size


def _unspaced(letter: str) -> bool:
    return any(first <= letter <= last for first, last in UNSPACED)


def _trick(word: str, random: Random) -> str:
    """Returns the word after a trick that changes it, or as it is if none does."""
    for trick in random.sample(TRICKS, len(TRICKS)):
        if (respelled := trick(word, random)) != word:
            return respelled
    return word
