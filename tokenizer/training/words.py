"""Cuts texts into words as `pattern.SPLIT` does, and counts them: compiled, on Arrow's own buffers.

The beginnings of links that have tokens of their own (`special.LINK_TOKENS`) are taken out before: what
is between them is cut on its own, and they are no words.

Shape suffixes: N texts, B bytes, C characters of a text, W words, H slots of the hash table, F code points.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sluice.schemas.arrays import Int64s, Uint64s
from sluice.schemas.kernel import utf8_array, utf8_view
from sluice.tokenizer.training import kernels
from sluice.tokenizer.training.kernels import ROW, SIZE_MASK, WordTable
from sluice.tokenizer.vocabulary import pattern

MAX_CHUNK_BYTES = 1 << 30
"""Bytes of distinct words in one `WordCounts`, so that Arrow's 32-bit offsets reach them."""


class WordCounts(NamedTuple):
    """Distinct words and how often they occur.

    Attributes:
        words: (W,) string.
        count_W: (W,) int64, occurrences.
        weight_W: (W,) int64, the sum of what each occurrence weighs.
    """

    words: pa.StringArray
    count_W: Int64s
    weight_W: Int64s


def draws(words: pa.StringArray) -> Uint64s:
    """Returns (N,) uint64, a number for each word that is as if drawn, and the same in every run.

    Source: Austin Appleby, MurmurHash3, `fmix64`, of the word's key.
    """
    draw_N = np.empty(len(words), np.uint64)
    kernels.draw_words(*utf8_view(words), draw_N)
    return draw_N


class WordCounter:
    """Counts words, in the order in which they are first seen.

    Memory: 64 to 128 bytes per distinct word, and up to twice its own bytes.
    """

    def __init__(self) -> None:
        self._sizes = np.zeros(4, np.int64)
        self._table = WordTable(np.zeros((1 << 12, 4), np.uint64), np.empty(1 << 16, np.uint8))

    @property
    def num_words(self) -> int:
        """Distinct words so far."""
        return int(self._sizes[kernels.NUM_WORDS])

    @property
    def num_bytes(self) -> int:
        """Bytes of all distinct words so far."""
        return int(self._sizes[kernels.NUM_BYTES])

    def add_texts(self, texts: pa.StringArray, weight_N: Int64s | None = None) -> None:
        """Cuts texts and counts their words.

        Args:
            texts: (N,) string; a null has no words.
            weight_N: (N,) int64, what each occurrence in the text weighs; 1 by default.
        """
        data_B, offsets_N1 = utf8_view(texts)
        if weight_N is None:
            weight_N = np.ones(len(texts), np.int64)
        longest = int(np.diff(offsets_N1).max(initial=0))
        _check_size(longest)
        flags_C, key_C = np.empty(longest + 1, np.uint8), np.empty(longest, np.uint64)
        at_C, end_C = np.empty(longest + 1, np.int64), np.empty(longest, np.int64)
        rows = (data_B, offsets_N1, weight_N, pattern.char_flags(), flags_C, at_C, end_C, key_C)
        self._sizes[ROW] = 0
        while not kernels.add_texts(*rows, self._table, self._sizes):
            self._make_room(int(self._sizes[kernels.NEED]))

    def add(self, counts: WordCounts) -> None:
        """Adds words that are counted already."""
        self._sizes[ROW] = 0
        rows = (*utf8_view(counts.words), counts.count_W, counts.weight_W)
        while not kernels.add_words(*rows, self._table, self._sizes):
            self._make_room(int(self._sizes[kernels.NEED]))

    def counts(self) -> WordCounts:
        """Returns the words so far; raises ValueError above `MAX_CHUNK_BYTES` of words."""
        if self.num_bytes > MAX_CHUNK_BYTES:
            raise ValueError(
                f"distinct words must have at most {MAX_CHUNK_BYTES} bytes, got {self.num_bytes}"
            )
        slot_H4, data_B = self._table
        slot_W = np.flatnonzero(slot_H4[:, kernels.KEY])
        slot_W = slot_W[np.argsort(slot_H4[slot_W, kernels.PLACE])]
        offsets_W1 = np.zeros(self.num_words + 1, np.int32)
        np.cumsum(slot_H4[slot_W, kernels.PLACE] & SIZE_MASK, out=offsets_W1[1:])
        words = utf8_array(data_B[: self.num_bytes].copy(), offsets_W1)
        count_W, weight_W = (
            slot_H4[slot_W, k].astype(np.int64) for k in (kernels.COUNT, kernels.WEIGHT)
        )
        return WordCounts(words, count_W, weight_W)

    def _make_room(self, size: int) -> None:
        """Makes room for `size` more words and bytes, twice as much as there was at least."""
        old = self._table
        slots = _grown(len(old.slot_H4), 2 * (self.num_words + size))
        num_bytes = _grown(len(old.data_B), self.num_bytes + size)
        slot_H4, data_B = old
        if slots > len(slot_H4):
            slot_H4 = np.zeros((slots, 4), np.uint64)
            kernels.move_words(old.slot_H4, slot_H4)
        if num_bytes > len(data_B):
            data_B = np.empty(num_bytes, np.uint8)
            data_B[: self.num_bytes] = old.data_B[: self.num_bytes]
        self._table = WordTable(slot_H4, data_B)


def _check_size(size: int) -> None:
    if size > SIZE_MASK:
        raise ValueError(f"a text must have at most {SIZE_MASK} bytes, got {size}")


def _grown(size: int, needed: int) -> int:
    """Returns a size doubled until it is enough."""
    while size < needed:
        size *= 2
    return size
