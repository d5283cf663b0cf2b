"""The arrays that kernels read: what characters are, and a table of items, as its file holds it."""

from typing import NamedTuple

from sluice.schemas.arrays import Int32s, Uint8s, Uint32s, Uint64s


class Folds(NamedTuple):
    """What each character is in a word; all read-only.

    Attributes:
        folds_U: (U,) uint32: of each code point its fold, see `kernels`.
        expansions_E: (E,) uint32: where a fold is several: how many, then these.
    """

    folds_U: Uint32s
    expansions_E: Uint32s


class TableArrays(NamedTuple):
    """N-grams of parts, and the words of the parts; all read-only, so that workers share one file.

    A part is one text of an item: a question, or an answer. K n-grams at G places, P parts of T words.

    Attributes:
        bits_W: (W,) uint64, two bits of one word for each n-gram; W is a power of two.
        key_K: (K,) uint64, the n-grams, ascending.
        bucket_B1: (B + 1,) int32, where the keys that begin with each bit pattern are; B is a power of two.
        place_K1: (K + 1,) int32, where the places of each n-gram are.
        whole_K: (K,) uint8, 1 where a part that is matched whole has its only n-gram here.
        part_G: (G,) int32, the part.
        end_G: (G,) int32, the word behind the n-gram, among the words of all parts.
        word_T: (T,) uint32, the words of all parts.
        weight_T: (T,) uint8, what they weigh.
        start_P1: (P + 1,) int32, where the words of each part begin.
    """

    bits_W: Uint64s
    key_K: Uint64s
    bucket_B1: Int32s
    place_K1: Int32s
    whole_K: Uint8s
    part_G: Int32s
    end_G: Int32s
    word_T: Uint32s
    weight_T: Uint8s
    start_P1: Int32s
