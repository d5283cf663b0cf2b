"""A table of items, made of the texts of evaluation sets: which n-grams stand for which items."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.decontamination import kernels as k
from sluice.filters.decontamination.layout import TableArrays
from sluice.filters.decontamination.words import Ngrams, Words, contexts_of, ngrams_of, words_of
from sluice.filters.text.hashing import hash_texts
from sluice.schemas.arrays import Bools, Int32s, Int64s, Uint64s
from sluice.schemas.hashing import partition_of
from sluice.schemas.kernel import utf8_array

TABLE_VERSION = 1
"""Raised whenever the same items give another table."""
MIN_LETTERS = 20
"""A part with fewer letters is not looked for."""
NGRAM_LETTERS = 10
"""An n-gram with fewer letters, such as one of numbers, is in no table."""
MOST_CONTEXTS = 8
"""An n-gram that stands among different words in more places of the sets is a common phrase."""
STRIDE = 2
"""Of a part that weighs more than DENSE every second n-gram is in the table, of others every one."""
DENSE = 2 * k.LONG
"""24 words."""
_BITS_OF_NGRAM = 16
_LEAST_BITS = 1 << 12


class Items(NamedTuple):
    """The texts of evaluation sets, by part: a question is one, and an answer is another.

    Attributes:
        sets: names of the sets.
        ids: (I,) string, of each item: what reject rows name it by.
        set_I: (I,) int32, its set.
        texts: (P,) string, the parts, normalised, those of an item together.
        item_P: (P,) int32, the item of each part.
        is_answer_P: (P,) bool: such a part is looked for only where it is long.
    """

    sets: tuple[str, ...]
    ids: pa.StringArray
    set_I: Int32s
    texts: pa.StringArray
    item_P: Int32s
    is_answer_P: Bools


class Common(NamedTuple):
    """What posts say of themselves, and so tells no item.

    Attributes:
        key_K: (K,) uint64, n-grams that stand for no long part.
        texts: (P,) string, texts of parts that are not looked for.
    """

    key_K: Uint64s
    texts: pa.StringArray


NOTHING_COMMON = Common(np.empty(0, np.uint64), pa.array([], pa.string()))


class SetFigures(NamedTuple):
    """What became of a set.

    Attributes:
        items: of the set.
        parts: texts of them that are looked for.
        ngrams: of these parts, by which they are found.
        too_short: texts that are too short to tell, answers of a few words among them.
        common: texts that are a common phrase, or nothing else.
        repeated: texts that an earlier part has, too.
    """

    items: int
    parts: int
    ngrams: int
    too_short: int
    common: int
    repeated: int


class Table(NamedTuple):
    """What is looked for in posts.

    Attributes:
        arrays: what kernels read.
        items: the parts that are looked for, with all items.
        figures: of each set.
    """

    arrays: TableArrays
    items: Items
    figures: tuple[SetFigures, ...]

    @property
    def num_ngrams(self) -> int:
        """The n-grams in it."""
        return len(self.arrays.key_K)


def table_of(items: Items, common: Common = NOTHING_COMMON) -> Table:
    """Returns the table of some items; a pure function of both.

    >>> texts = pa.array(["Which of the boats in the harbour leaves at six in the morning?"])
    >>> items = Items(("boats",), pa.array(["b1"]), np.zeros(1, np.int32), texts, np.zeros(1, np.int32),
    ...               np.zeros(1, np.bool_))
    >>> table_of(items).figures
    (SetFigures(items=1, parts=1, ngrams=9, too_short=0, common=0, repeated=0),)
    """
    words = words_of(items.texts)
    short_P = _is_too_short(words, items.is_answer_P)
    repeated_P = ~short_P & ~_is_first(words, short_P)
    common_P = np.asarray(pc.is_in(items.texts, common.texts)) & ~short_P & ~repeated_P
    kept_P = ~(short_P | repeated_P | common_P)
    parts, words = _only(items, kept_P), words_of(items.texts.filter(pa.array(kept_P)))
    ngrams = ngrams_of(words)
    chosen_T = _chosen(words, ngrams, common.key_K)
    ngrams_P = words.sums(chosen_T.view(np.uint8))
    common_P[np.flatnonzero(kept_P)[ngrams_P == 0]] = True
    figures = _figures(
        items,
        ngrams_P,
        kept_P=kept_P,
        short_P=short_P,
        common_P=common_P,
        repeated_P=repeated_P,
    )
    return Table(_arrays(words, ngrams, chosen_T), parts, figures)


def _only(items: Items, mask_P: Bools) -> Items:
    mask = pa.array(mask_P)
    return items._replace(
        texts=items.texts.filter(mask),
        item_P=items.item_P[mask_P],
        is_answer_P=items.is_answer_P[mask_P],
    )


def _is_too_short(words: Words, is_answer_P: Bools) -> Bools:
    weight_P = words.sums(words.weight_T)
    few_P = (weight_P < k.NGRAM) | (words.sums(words.letters_T) < MIN_LETTERS)
    return np.asarray(few_P | (is_answer_P & (weight_P <= k.LONG)))


def _is_first(words: Words, skipped_P: Bools) -> Bools:
    """Returns (P,) bool: whether no earlier part has the same words; `skipped_P` are not looked at."""
    hashes_P = hash_texts(_as_texts(words))
    hashes_P[skipped_P] = np.arange(int(skipped_P.sum()), dtype=np.uint64)
    first_P = np.zeros(len(hashes_P), np.bool_)
    first_P[np.unique(hashes_P, return_index=True)[1]] = True
    return first_P


def _as_texts(words: Words) -> pa.StringArray:
    """Returns the hashes of each text's words as a text, so that equal words are equal texts."""
    offsets_N1 = (words.start_N1 * 4).astype(np.int32)
    return utf8_array(words.word_T.view(np.uint8), offsets_N1)


def _chosen(words: Words, ngrams: Ngrams, common_K: Uint64s) -> Bools:
    """Returns (T,) bool: the n-grams, by their last words, that stand for parts.

    Of a part that is matched whole it is that in the fewest contexts, of a long one every second; every one
    of those that are not much longer, in which a changed word leaves few.
    """
    key_T, begin_T = ngrams
    contexts_T = _contexts(words, ngrams)
    rare_T = (begin_T >= 0) & (contexts_T <= MOST_CONTEXTS)
    part_T = np.repeat(np.arange(len(words.start_N1) - 1), np.diff(words.start_N1))
    weight_P = words.sums(words.weight_T)
    long_T, dense_T = (weight_P > k.LONG)[part_T], (weight_P <= DENSE)[part_T]
    place_T = np.arange(len(key_T)) - words.start_N1[part_T]
    told_T = rare_T & _has_letters(words, begin_T) & ~np.isin(key_T, common_K)
    chosen_T: Bools = long_T & told_T & (dense_T | (place_T % STRIDE == 0))
    whole_T = np.flatnonzero(rare_T & ~long_T)
    order = np.lexsort((contexts_T[whole_T], part_T[whole_T]))
    _, first = np.unique(part_T[whole_T][order], return_index=True)
    chosen_T[whole_T[order][first]] = True
    return chosen_T


def _has_letters(words: Words, begin_T: Int32s) -> Bools:
    total_T1 = np.concatenate([[0], np.cumsum(words.letters_T, dtype=np.int64)])
    return np.asarray(total_T1[1:] - total_T1[np.maximum(begin_T, 0)] >= NGRAM_LETTERS)


def _contexts(words: Words, ngrams: Ngrams) -> Int64s:
    """Returns (T,) int64: among how many different words the n-gram stands in all parts."""
    around_T = contexts_of(words, ngrams)
    some_T = np.flatnonzero(ngrams.begin_T >= 0)
    order = np.lexsort((around_T[some_T], ngrams.key_T[some_T]))
    key_S, around_S = ngrams.key_T[some_T][order], around_T[some_T][order]
    new_S = np.ones(len(order), np.bool_)
    new_S[1:] = (key_S[1:] != key_S[:-1]) | (around_S[1:] != around_S[:-1])
    key_U, number_U = np.unique(key_S[new_S], return_counts=True)
    contexts_T = np.zeros(len(ngrams.key_T), np.int64)
    contexts_T[some_T] = number_U[np.searchsorted(key_U, ngrams.key_T[some_T])]
    return contexts_T


def _arrays(words: Words, ngrams: Ngrams, chosen_T: Bools) -> TableArrays:
    place_G, whole_G, part_G = _places(words, ngrams, chosen_T)
    key_G = ngrams.key_T[place_G]
    key_K, first_K = np.unique(key_G, return_index=True)
    place_K1 = np.append(first_K, len(key_G)).astype(np.int32)
    whole_K = np.zeros(len(key_K), np.uint8)
    whole_K[np.searchsorted(key_K, key_G[whole_G])] = 1
    bits_W = np.zeros(_power_of_two(_LEAST_BITS + _BITS_OF_NGRAM * len(key_K)) // 64, np.uint64)
    k.set_bits(key_K, bits_W)
    num_buckets = _power_of_two(max(16, len(key_K)))
    edges = np.arange(num_buckets + 1)
    arrays = TableArrays(
        bits_W=bits_W,
        key_K=key_K,
        bucket_B1=np.searchsorted(partition_of(key_K, num_buckets), edges).astype(np.int32),
        place_K1=place_K1,
        whole_K=whole_K,
        part_G=part_G.astype(np.int32),
        end_G=(place_G + 1).astype(np.int32),
        word_T=words.word_T,
        weight_T=words.weight_T,
        start_P1=words.start_N1,
    )
    for array in arrays:
        array.flags.writeable = False
    return arrays


def _places(words: Words, ngrams: Ngrams, chosen_T: Bools) -> tuple[Int64s, Bools, Int64s]:
    """Returns the last word of each chosen n-gram, whether its part is matched whole, and the part.

    They are in the order of the n-grams. Of the places of an n-gram in long parts that stand among the same
    words, as in a passage with several questions, the first is there.
    """
    part_T = np.repeat(np.arange(len(words.start_N1) - 1), np.diff(words.start_N1))
    whole_P = words.sums(words.weight_T) <= k.LONG
    place_G = np.flatnonzero(chosen_T)
    whole_G = whole_P[part_T[place_G]]
    context_G = np.where(whole_G, place_G.astype(np.uint64), contexts_of(words, ngrams)[place_G])
    order = np.lexsort((place_G, context_G, whole_G, ngrams.key_T[place_G]))
    place_G, whole_G, context_G = place_G[order], whole_G[order], context_G[order]
    key_G = ngrams.key_T[place_G]
    same_G = np.zeros(len(place_G), np.bool_)
    same_G[1:] = (
        (key_G[1:] == key_G[:-1])
        & (whole_G[1:] == whole_G[:-1])
        & (context_G[1:] == context_G[:-1])
    )
    return place_G[~same_G], whole_G[~same_G], part_T[place_G[~same_G]]


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()


def _figures(
    items: Items,
    ngrams_P: Int64s,
    *,
    kept_P: Bools,
    short_P: Bools,
    common_P: Bools,
    repeated_P: Bools,
) -> tuple[SetFigures, ...]:
    set_P, num_sets = items.set_I[items.item_P], len(items.sets)
    counts = [
        np.bincount(items.set_I, minlength=num_sets),
        np.bincount(set_P[kept_P & ~common_P], minlength=num_sets),
        np.bincount(set_P[kept_P], ngrams_P, minlength=num_sets),
        *(np.bincount(set_P[m], minlength=num_sets) for m in (short_P, common_P, repeated_P)),
    ]
    return tuple(SetFigures(*map(int, row)) for row in zip(*counts, strict=True))
