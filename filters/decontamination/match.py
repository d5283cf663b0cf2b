"""Which texts hold an item of a table."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sluice.filters.decontamination import kernels as k
from sluice.filters.decontamination.folds import folds
from sluice.filters.decontamination.layout import TableArrays
from sluice.schemas.arrays import Bools, Float32s, Int32s
from sluice.schemas.kernel import utf8_view

MATCH_VERSION = 1
"""Raised whenever the same text and table give another result."""


class Held(NamedTuple):
    """What N texts hold.

    Attributes:
        part_N: (N,) int32, the first part of the table that the text holds, or -1.
        share_N: (N,) float32 in [0, 1], how much of that part it holds, by the weight of its words.
    """

    part_N: Int32s
    share_N: Float32s

    def filter(self, mask_N: Bools) -> "Held":
        """Returns the rows where the mask is true."""
        return Held(self.part_N[mask_N], self.share_N[mask_N])


class FoundNgrams(NamedTuple):
    """N-grams of a table in texts, in the order of the texts.

    Attributes:
        row_M: (M,) int32, the text.
        end_M: (M,) int32, the word behind the n-gram.
        key_M: (M,) int32, its number.
    """

    row_M: Int32s
    end_M: Int32s
    key_M: Int32s


def held_parts(texts: pa.StringArray, table: TableArrays) -> Held:
    """Returns the part that each text holds; a pure function of the text and the table.

    A part of up to twelve words is held where all its words follow one another. A longer one is held where
    two n-grams of it that do not overlap, neither there nor in the part, are in the text, and with what
    stands around them the same twelve words of it, or three quarters of one with fewer than sixteen.

    Args:
        texts: (N,) string, normalised; a null reads as the empty text.
        table: of `table.table_of`.

    Source: ours; the words and n-grams are told of each text in one pass.
    """
    return judged(texts, table, found_ngrams(texts, table))


def found_ngrams(texts: pa.StringArray, table: TableArrays, *, every: bool = False) -> FoundNgrams:
    """Returns where n-grams of the table are; without `every`, of texts that may hold a part."""
    view, room = utf8_view(texts), len(texts) // 4 + 64
    while True:
        found = FoundNgrams(*(np.empty(room, np.int32) for _ in range(3)))
        number = k.find(*view, folds(), table, every, tuple(found))
        if number <= room:
            return FoundNgrams(*(column[:number] for column in found))
        room = number


def judged(texts: pa.StringArray, table: TableArrays, found: FoundNgrams) -> Held:
    """Returns what texts hold, by the n-grams that were found in them."""
    held = Held(np.full(len(texts), -1, np.int32), np.zeros(len(texts), np.float32))
    if len(found.row_M):
        k.judge(*utf8_view(texts), folds(), table, tuple(found), *held)
    return held
