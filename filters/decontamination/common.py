"""What is a common phrase, learned from posts: n-grams and short items that stand in many different posts.

A leaked item is copied: its n-grams stand between the same words wherever it is. A phrase of the language
stands between different ones. So what is counted is not posts but the different surroundings of an n-gram,
and of an item that is matched whole the different posts that hold it.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sluice.filters.decontamination.layout import TableArrays
from sluice.filters.decontamination.match import FoundNgrams, found_ngrams, judged
from sluice.filters.decontamination.table import Common, Table, table_of
from sluice.filters.decontamination.words import contexts_of, ngrams_of, words_of
from sluice.filters.text.hashing import hash_texts
from sluice.schemas.arrays import Bools, Uint64s

MIN_SURROUNDINGS = 8
"""Fewer make no phrase common, however few posts there are."""
SURROUNDINGS = pa.schema(
    [
        pa.field("what", pa.uint64(), nullable=False),
        pa.field("around", pa.uint64(), nullable=False),
        pa.field("is_part", pa.bool_(), nullable=False),
    ]
)
"""An n-gram or, where `is_part`, the number of a part, and a hash of what it stands in; each pair once."""


class Surroundings(NamedTuple):
    """Columns of SURROUNDINGS; M rows, all different, ascending."""

    what_M: Uint64s
    around_M: Uint64s
    is_part_M: Bools


def surroundings(texts: pa.StringArray, table: TableArrays) -> Surroundings:
    """Returns what of the table is in texts, and in which surroundings."""
    found = found_ngrams(texts, table, every=True)
    rows_H, number_M = np.unique(found.row_M, return_inverse=True)
    words = words_of(texts.take(pa.array(rows_H)))
    around_T = contexts_of(words, ngrams_of(words))
    around_M = around_T[words.start_N1[number_M] + found.end_M - 1]
    part_H = judged(texts, table, _of_whole_parts(found, table)).part_N[rows_H]
    some_H = part_H >= 0
    posts_H = hash_texts(texts.take(pa.array(rows_H[some_H])))
    return distinct(
        [
            Surroundings(table.key_K[found.key_M], around_M, np.zeros(len(around_M), np.bool_)),
            Surroundings(
                part_H[some_H].astype(np.uint64), posts_H, np.ones(len(posts_H), np.bool_)
            ),
        ]
    )


def distinct(parts: Iterable[Surroundings]) -> Surroundings:
    """Returns the rows of all parts, each once; the order of the parts does not matter."""
    what_M, around_M, is_part_M = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((around_M, what_M, is_part_M))
    all_M = Surroundings(what_M[order], around_M[order], is_part_M[order])
    new_M = np.ones(len(order), np.bool_)
    new_M[1:] = np.any([column[1:] != column[:-1] for column in all_M], axis=0)
    return Surroundings(what_M[order][new_M], around_M[order][new_M], is_part_M[order][new_M])


def common_of(found: Surroundings, table: Table, *, most: int) -> Common:
    """Returns what stands in more surroundings than `most`."""
    ngram_K, part_P = (_many(found.what_M[mask_M], most) for mask_M in _kinds(found))
    return Common(ngram_K, table.items.texts.take(pa.array(part_P.astype(np.int64))))


def without_common(table: Table, common: Common) -> Table:
    """Returns the table without common phrases; its figures say of how many texts nothing is left."""
    if not (len(common.key_K) or len(common.texts)):
        return table
    left = table_of(table.items, common)
    figures = tuple(
        before._replace(parts=now.parts, ngrams=now.ngrams, common=before.common + now.common)
        for before, now in zip(table.figures, left.figures, strict=True)
    )
    return left._replace(figures=figures)


def _kinds(found: Surroundings) -> tuple[Bools, Bools]:
    return ~found.is_part_M, found.is_part_M


def _many(what_M: Uint64s, most: int) -> Uint64s:
    what_U, number_U = np.unique(what_M, return_counts=True)
    return np.asarray(what_U[number_U > most])


def _of_whole_parts(found: FoundNgrams, table: TableArrays) -> FoundNgrams:
    """Returns the n-grams by which a part is matched whole."""
    whole_M = table.whole_K[found.key_M] > 0
    return FoundNgrams(*(column[whole_M] for column in found))
