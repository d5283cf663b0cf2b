"""Made-up items of evaluation sets, and posts that hold them changed: whoever finds them should find these.

Items are drawn words of a language, as many as an item of the length has; no evaluation set is needed, and
none is here.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np

from sluice.pipeline.sample.words import lexicon

LENGTHS: Final = ((5, 8), (9, 12), (13, 16), (17, 24), (25, 50), (51, 100))
"""Words of an item, at least and at most; of a character script so many weights of a word."""
LANGUAGES: Final = ("en", "de", "ru", "ar", "ja", "zh")
UNSPACED: Final = ("ja", "zh")
_MARKS: Final = np.array([",", ";", " -", "...", "!"])


class Planted(NamedTuple):
    """A post that holds an item.

    Attributes:
        item: number of the item among those of its length.
        change: what was done to the item.
        texts: of the posts that hold it together; more than one where it is split over a thread.
    """

    item: int
    change: str
    texts: tuple[str, ...]


class Words:
    """Draws words of a language as often as they are used."""

    def __init__(self, language: str, random: np.random.Generator):
        known = lexicon(language)
        self._words = np.array(known.forms.slice(0, len(known.cumulative_V)).to_pylist())
        counts = np.diff(known.cumulative_V, prepend=0)
        self._shares = counts / counts.sum()
        self._random = random
        self.joiner = "" if language in UNSPACED else " "

    def draw(self, number: int) -> list[str]:
        """Returns so many words."""
        return list(self._random.choice(self._words, number, p=self._shares))


def made_items(
    language: str, length: tuple[int, int], number: int, *, seed: int
) -> tuple[Words, list[list[str]]]:
    """Returns items of a length in words, and what drew them."""
    random = np.random.default_rng([seed, *language.encode(), *length])
    words = Words(language, random)
    return words, [words.draw(int(n)) for n in random.integers(length[0], length[1] + 1, number)]


def text_of(item: list[str], words: Words) -> str:
    """Returns the text of an item."""
    return words.joiner.join(item) + "?"


def planted(items: list[list[str]], words: Words, random: np.random.Generator) -> Iterator[Planted]:
    """Yields each item under each change."""
    for number, item in enumerate(items):
        for change, of in CHANGES.items():
            yield Planted(number, change, tuple(of(item, words, random)))


def _verbatim(item: list[str], words: Words, random: np.random.Generator) -> Iterator[str]:
    yield text_of(item, words)


def _case(item: list[str], words: Words, random: np.random.Generator) -> Iterator[str]:
    yield text_of(item, words).upper()


def _punctuation(item: list[str], words: Words, random: np.random.Generator) -> Iterator[str]:
    marks = np.where(random.random(len(item)) < 0.3, random.choice(_MARKS, len(item)), "")
    joiner = words.joiner or " "
    yield joiner.join(f"{word}{mark}" for word, mark in zip(item, marks, strict=True))


def _around(item: list[str], words: Words, random: np.random.Generator) -> Iterator[str]:
    before, after = words.draw(int(random.integers(1, 20))), words.draw(int(random.integers(1, 20)))
    yield words.joiner.join([*before, text_of(item, words), *after])


def _one_word(item: list[str], words: Words, random: np.random.Generator) -> Iterator[str]:
    place = int(random.integers(len(item)))
    yield text_of([*item[:place], "zyzzyva", *item[place + 1 :]], words)


def _first_half(item: list[str], words: Words, random: np.random.Generator) -> Iterator[str]:
    yield text_of(item[: (len(item) + 1) // 2], words)


def _thread(item: list[str], words: Words, random: np.random.Generator) -> Iterator[str]:
    place = int(random.integers(1, len(item)))
    yield from (text_of(part, words) for part in (item[:place], item[place:]))


Change = Callable[[list[str], Words, np.random.Generator], Iterator[str]]
CHANGES: Final[dict[str, Change]] = {
    "verbatim": _verbatim,
    "upper case": _case,
    "punctuation": _punctuation,
    "text around": _around,
    "one word changed": _one_word,
    "first half alone": _first_half,
    "split over a thread": _thread,
}
"""What is done to an item; of a thread one post that holds it is enough to find it."""
