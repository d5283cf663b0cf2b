"""Word lists with real frequencies, and sentences of them in the manner of each language.

Every word comes from the lists of the `wordfreq` package, so no sentence is a real post. Words are
drawn one by one: the sentences mean nothing, but their words, letters, lengths and punctuation are
those of the language, which is what language identification, hashing and a BPE see.
"""

import importlib
import importlib.metadata
import tomllib
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.sample.draws import Draws, cumulative
from sluice.schemas.arrays import Bools, Float64s, Int64s
from sluice.schemas.errors import SluiceError

MAX_WORDS = 20_000
"""Words taken from the top of each list."""

MIN_LENGTH, MAX_LENGTH, MEDIAN_LENGTH, LENGTH_SIGMA = 5, 60, 12.0, 0.6
"""Words in a sentence: lognormal, cut at both ends. Under five words, posts repeat by chance."""

UNSPACED_STRETCH = 1.5
"""The lists of ja and zh cut words finer than blanks do, so their sentences have more of them."""


class Style(msgspec.Struct, frozen=True):
    """How a script writes a sentence.

    Attributes:
        languages: that are written so; "other" is any that no style has.
        joiner: between words.
        comma: after a word inside the sentence.
        ends: after the last word; repeated entries are more frequent.
    """

    languages: tuple[str, ...]
    joiner: str
    comma: str
    ends: tuple[str, ...]


_TABLES = tomllib.loads(Path(__file__).with_name("languages.toml").read_text("utf-8"))
LANGUAGE_WEIGHTS: dict[str, float] = _TABLES["weights"]
_STYLES = {
    language: style
    for style in msgspec.convert(_TABLES["styles"], list[Style])
    for language in style.languages
}


class Lexicon(NamedTuple):
    """The words of a language, in four forms one after the other.

    Attributes:
        forms: (4 V,) string: V words as listed, with a capital, in capitals, drawn out.
        cumulative_V: (V,) int64, running frequencies.
        style: how the language joins and ends.
    """

    forms: pa.StringArray
    cumulative_V: Int64s
    style: Style


@cache
def lexicon(language: str) -> Lexicon:
    """Returns the words of a language of LANGUAGE_WEIGHTS; raises SluiceError without wordfreq."""
    words, frequencies_V = _listed_words(language)
    dotted = language == "tr"
    capital = pc.replace_substring_regex(words, "^i", "İ") if dotted else words
    upper = pc.replace_substring(words, "i", "İ") if dotted else words
    last = pc.utf8_slice_codeunits(words, -1)
    tail = pc.if_else(pc.utf8_is_alpha(last), pc.binary_repeat(last, 4), "")
    forms = [
        words,
        pc.utf8_capitalize(capital),
        pc.utf8_upper(upper),
        together(words, tail),
    ]
    return Lexicon(
        pa.concat_arrays(forms), cumulative(frequencies_V), _STYLES.get(language, _STYLES["other"])
    )


def wordfreq_version() -> str:
    """Returns the version of the word lists; raises SluiceError without them."""
    _wordfreq()
    return importlib.metadata.version("wordfreq")


def _wordfreq() -> Any:
    try:
        return importlib.import_module("wordfreq")
    except ImportError as failure:
        raise SluiceError(
            "sluice sample: must have the package wordfreq for its word lists, got none; "
            "pip install 'sluice[sample]'"
        ) from failure


def _listed_words(language: str) -> tuple[pa.StringArray, Float64s]:
    """Returns the top words and their frequencies; list k holds the words of 10**(-k/100)."""
    wordfreq = _wordfreq()
    path = wordfreq.available_languages("best")[_TABLES["lists"].get(language, language)]
    words: list[str] = []
    frequencies: list[float] = []
    for k, bucket in enumerate(wordfreq.read_cBpack(path)):
        usable = [word for word in bucket if _is_usable(word)][: MAX_WORDS - len(words)]
        words += usable
        frequencies += [10.0 ** (-k / 100)] * len(usable)
        if len(words) == MAX_WORDS:
            break
    return pa.array(words, pa.string()), np.array(frequencies)


def _is_usable(word: str) -> bool:
    """No digits and no signs that posts use, and equal to its own lower case and NFC."""
    return (
        word.isprintable()
        and not any(c.isdigit() or c in '@#&<>:/\\"\u0307' for c in word)
        and word == word.lower()
        and unicodedata.is_normalized("NFC", word)
    )


def sentence_list(words: Lexicon, *, size: int, draws: Draws) -> pa.ListArray:
    """Returns (size,) list<string>: the pieces of each sentence, which joined by "" are its text.

    A piece is a word with the blank and punctuation before it and the punctuation after it.
    """
    offsets_N1 = np.zeros(size + 1, np.int64)
    np.cumsum(_lengths(words.style, size=size, draws=draws), out=offsets_N1[1:])
    num_words = len(words.cumulative_V)
    word_T = draws.index(words.cumulative_V, size=int(offsets_N1[-1]))
    again_T = np.flatnonzero(word_T[1:] == word_T[:-1]) + 1
    word_T[again_T] = (word_T[again_T] + 1) % num_words
    first_T, last_T = np.zeros((2, len(word_T)), np.bool_)
    first_T[offsets_N1[:-1]] = True
    last_T[offsets_N1[1:] - 1] = True
    end_T = last_T | draws.chance(1 / 14, size=len(word_T))
    start_T = first_T | np.concatenate([[False], end_T[:-1]])[: len(word_T)]
    form_T = _forms(start_T, draws)
    before = _before(words.style, first_T, start_T, draws)
    forms = words.forms.take(pa.array(word_T + form_T * num_words))
    pieces = together(before, forms, _after(words.style, end_T, draws))
    return pa.ListArray.from_arrays(pa.array(offsets_N1, pa.int32()), pieces)


def _lengths(style: Style, *, size: int, draws: Draws) -> Int64s:
    """Returns (size,) int64, the words of each sentence."""
    lengths = np.arange(MIN_LENGTH, MAX_LENGTH + 1)
    deviation = np.log(lengths / MEDIAN_LENGTH) / LENGTH_SIGMA
    density = np.exp(-(deviation**2) / 2) / lengths
    drawn_N = draws.index(cumulative(density), size=size) + MIN_LENGTH
    return drawn_N if style.joiner else np.floor(drawn_N * UNSPACED_STRETCH).astype(np.int64)


def _forms(start_T: Bools, draws: Draws) -> Int64s:
    """Returns (T,) int64: 0 as listed, 1 with a capital, 2 in capitals, 3 drawn out."""
    form_T = (start_T & draws.chance(0.75, size=len(start_T))).astype(np.int64)
    form_T[draws.chance(0.006, size=len(start_T))] = 2
    form_T[draws.chance(0.004, size=len(start_T))] = 3
    return form_T


def _before(style: Style, first_T: Bools, start_T: Bools, draws: Draws) -> pa.StringArray:
    """Returns (T,) string: the joiner, or now and then a line feed, an entity, a hash sign."""
    size = len(first_T)
    before = pa.array([style.joiner, "\n", " &amp; ", " &lt;3 ", ' "', " #", " ", ""])
    kind_T = draws.index(cumulative([970, 0.5, 5, 1, 1, 12]), size=size)
    kind_T[start_T & draws.chance(0.02, size=size)] = 1
    if not style.joiner:
        kind_T[np.flatnonzero(kind_T[:-1] == 5) + 1] = 6
    kind_T[first_T] = 7
    return before.take(pa.array(kind_T))


def _after(style: Style, end_T: Bools, draws: Draws) -> pa.StringArray:
    """Returns (T,) string: the end of a sentence, a comma, or nothing."""
    comma_T = draws.chance(0.06, size=len(end_T)).astype(np.int64)
    kind_T = np.where(end_T, draws.below(len(style.ends), size=len(end_T)) + 2, comma_T)
    return pa.array(["", style.comma, *style.ends], pa.string()).take(pa.array(kind_T))


def joined(pieces: pa.ListArray) -> pa.StringArray:
    """Returns (N,) string, the pieces of each list written together."""
    return pc.binary_join(pieces, "")


def together(*parts: str | pa.StringArray) -> pa.StringArray:
    """Returns (N,) string, the parts, (N,) string or one for all, written together."""
    return pc.binary_join_element_wise(*parts, "")
