"""Hidden layers of several fastText models over the same texts.

Texts are split into words, and words hashed and cut into subwords, once for all models; each model then
looks its own rows up and adds them. What a model gets is, bit for bit, what it gets alone.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from filters.fasttext_kernel import Buckets, Table, Words, fill_hidden, rows_of_words
from filters.fasttext_model import Array
from filters.fasttext_output import Hidden
from filters.fasttext_words import Distinct, hash_subwords, number_words, take_modulus
from schemas.kernel import utf8_view

BLOCK_BYTES = 2 << 20
"""Text that is worked on at a time: it bounds memory, and words are numbered within it."""
MOST_SLOTS = 1 << 17
"""Of the table of distinct words: 1.5 MB. Twice as many are slower, half as many not faster."""


class Input(NamedTuple):
    """What a model knows of texts: its dictionary, its buckets and its input matrix."""

    words: Words
    buckets: Buckets
    table: Table


def hidden_layers(texts: pa.StringArray, inputs: Sequence[Input]) -> tuple[Hidden, ...]:
    """Returns the hidden layers of some models, in the order of the models.

    Args:
        texts: (N,) string; a null reads as an empty text.
        inputs: of M models. Those of as many buckets (`bucket` in training) share a pass more.
    """
    data_B, offsets_N1 = utf8_view(texts)
    mean_M = [np.empty((len(texts), i.table.stride), np.float32) for i in inputs]
    num_rows_M = [np.empty(len(texts), np.int64) for _ in inputs]
    for first, end in _blocks(offsets_N1):
        word_W, first_N1, distinct = _split(data_B, offsets_N1[first : end + 1])
        hash_Q, length_Q = _subwords(data_B, distinct, *_range_of(inputs))
        buckets = {m: _modulo(hash_Q, m) for m in {i.buckets.modulus for i in inputs}}
        for one, mean_NS, num_rows_N in zip(inputs, mean_M, num_rows_M, strict=True):
            bucket_Q = buckets[one.buckets.modulus]
            rows = _rows(data_B, distinct, bucket_Q, length_Q, one)
            part_NS, part_N = mean_NS[first:end], num_rows_N[first:end]
            hash_D = distinct.hash_D
            fill_hidden(word_W, first_N1, hash_D, *rows, one.buckets, one.table, part_NS, part_N)
    return tuple(map(Hidden, mean_M, num_rows_M))


def _blocks(offsets_N1: Array) -> Iterator[tuple[int, int]]:
    """Yields the first text and the end of each block, of BLOCK_BYTES or of one longer text."""
    first, num_texts = 0, len(offsets_N1) - 1
    while first < num_texts:
        limit = int(offsets_N1[first]) + BLOCK_BYTES
        end = max(first + 1, int(np.searchsorted(offsets_N1, limit, side="right")) - 1)
        yield first, end
        first = end


def _split(data_B: Array, offsets_N1: Array) -> tuple[Array, Array, Distinct]:
    """Returns the words of each text as numbers of distinct words, where each text's begin, and those."""
    num_texts = len(offsets_N1) - 1
    most = (int(offsets_N1[-1] - offsets_N1[0]) + num_texts) // 2  # a word and its blank or end
    slots = min(MOST_SLOTS, 1 << (2 * most + 4).bit_length())
    keys_S, numbers_S = np.zeros(slots, np.uint64), np.empty(slots, np.uint32)
    word_W, start_D, size_D = (np.empty(most, np.uint32) for _ in range(3))
    first_N1 = np.empty(num_texts + 1, np.int64)
    num = number_words(data_B, offsets_N1, keys_S, numbers_S, word_W, first_N1, start_D, size_D)
    distinct = Distinct(
        start_D[:num],
        size_D[:num],
        hash_D=np.empty(num, np.uint32),
        has_prefix_D=np.empty(num, np.bool_),
        first_D1=np.empty(num + 1, np.int64),
    )
    return word_W, first_N1, distinct


def _range_of(inputs: Sequence[Input]) -> tuple[int, int]:
    """Returns the fewest and the most characters of any model's subwords; (1, 0) where there are none."""
    ranges = [i.buckets for i in inputs if i.buckets.longest > 0]
    shortest = min((max(b.shortest, 1) for b in ranges), default=1)
    return shortest, max((b.longest for b in ranges), default=0)


def _subwords(
    data_B: Array, distinct: Distinct, shortest: int, longest: int
) -> tuple[Array, Array]:
    """Fills `distinct` in; returns the hash and the characters of each subword of its words."""
    size_D = distinct.size_D.astype(np.int64)
    lengths_D = np.maximum(np.minimum(longest, size_D + 2) - shortest + 1, 0)
    most = int(((size_D + 1) * lengths_D).sum()) + 1  # `<` is a start too, and one is written ahead
    hash_Q, length_Q = np.empty(most, np.uint32), np.empty(most, np.int32)
    hash_subwords(data_B, distinct, shortest, longest, hash_Q, length_Q)
    num = int(distinct.first_D1[-1])
    return hash_Q[:num], length_Q[:num]


def _modulo(hash_Q: Array, modulus: int) -> Array:
    bucket_Q = np.empty(len(hash_Q), np.uint32)
    if modulus > 0:
        take_modulus(hash_Q, modulus, bucket_Q)
    return bucket_Q


def _rows(
    data_B: Array, distinct: Distinct, bucket_Q: Array, length_Q: Array, one: Input
) -> tuple[Array, Array, Array]:
    """Returns where the rows of each distinct word begin, whether it is a word, and all the rows."""
    num = len(distinct.size_D)
    begin_D1, is_word_D = np.empty(num + 1, np.int64), np.empty(num, np.bool_)
    rows_R = np.empty(num + len(bucket_Q) + 1, np.uint32)
    known = data_B, distinct, bucket_Q, length_Q, one.words, one.buckets
    rows_of_words(*known, begin_D1, is_word_D, rows_R)
    return begin_D1, is_word_D, rows_R
