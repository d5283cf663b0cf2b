"""The normalised words of texts: what items and posts are compared by."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sluice.filters.decontamination import kernels as k
from sluice.filters.decontamination.folds import folds
from sluice.schemas.arrays import Int32s, Int64s, Uint8s, Uint32s, Uint64s
from sluice.schemas.hashing import GOLDEN_RATIO
from sluice.schemas.kernel import utf8_view

WORDS_VERSION = 1
"""Raised whenever the same text gives other words or n-grams."""


class Words(NamedTuple):
    """The words of N texts, one text after the other.

    Attributes:
        word_T: (T,) uint32, a hash of each word.
        weight_T: (T,) uint8, what it weighs: 4; a Han or kana character 2; a Thai one 1.
        letters_T: (T,) uint8, its letters; a Han or kana character has 2.
        start_N1: (N + 1,) int32, where the words of each text begin.
    """

    word_T: Uint32s
    weight_T: Uint8s
    letters_T: Uint8s
    start_N1: Int32s

    def sums(self, of_T: Uint8s) -> Int64s:
        """Returns (N,) int64: the sum of an amount of each text's words."""
        total_T1 = np.concatenate([[0], np.cumsum(of_T, dtype=np.int64)])
        return np.asarray(np.diff(total_T1[self.start_N1]))


class Ngrams(NamedTuple):
    """The n-gram that ends with each of T words.

    Attributes:
        key_T: (T,) uint64, its hash.
        begin_T: (T,) int32, its first word; -1 where the words up to there are too few.
    """

    key_T: Uint64s
    begin_T: Int32s


def words_of(texts: pa.StringArray) -> Words:
    """Returns the words of each text, a pure function of that text.

    Runs of letters and digits: NFKC, without case, accents and apostrophes, digits of all scripts as ASCII
    ones. Han, kana, Thai and other characters that are written without spaces are words of their own.

    Args:
        texts: (N,) string, normalised; a null reads as the empty text.

    >>> one, other = (words_of(pa.array([text])).word_T for text in ("Don't STOP—now!", "dont stop now"))
    >>> one.tolist() == other.tolist(), len(one)
    (True, 3)
    """
    data_B, offsets_N1 = utf8_view(texts)
    room = 2 * int(offsets_N1[-1] - offsets_N1[0]) + 8
    word_T = np.empty(room, np.uint32)
    weight_T, letters_T = np.empty(room, np.uint8), np.empty(room, np.uint8)
    start_N1 = np.empty(len(offsets_N1), np.int32)
    num = k.split_all(data_B, offsets_N1, folds(), word_T, weight_T, letters_T, start_N1)
    return Words(word_T[:num].copy(), weight_T[:num].copy(), letters_T[:num].copy(), start_N1)


def ngrams_of(words: Words) -> Ngrams:
    """Returns the n-gram that ends with each word: the fewest words that weigh `kernels.NGRAM`."""
    key_T = np.empty(len(words.word_T), np.uint64)
    begin_T = np.empty(len(words.word_T), np.int32)
    k.ngrams(words.word_T, words.weight_T, words.start_N1, key_T, begin_T)
    return Ngrams(key_T, begin_T)


def contexts_of(words: Words, ngrams: Ngrams) -> Uint64s:
    """Returns (T,) uint64: a hash of two words before each n-gram and two behind it, in its text."""
    numbers_T = np.arange(len(words.word_T))
    counts = np.diff(words.start_N1)
    first_T, last_T = (
        np.repeat(edges, counts) for edges in (words.start_N1[:-1], words.start_N1[1:])
    )
    around_T = np.zeros(len(numbers_T), np.uint64)
    begin_T = np.maximum(ngrams.begin_T, 0)
    for at_T in (begin_T - 2, begin_T - 1, numbers_T + 1, numbers_T + 2):
        inside_T = (at_T >= first_T) & (at_T < last_T)
        word_T = np.where(inside_T, words.word_T[np.where(inside_T, at_T, 0)], 0)
        around_T = around_T * GOLDEN_RATIO + word_T.astype(np.uint64)
    return around_T
