"""Hidden layers of several fastText models over the same texts.

Texts are split into words, and words hashed and cut into subwords, once for all models; each model, or
group of small models joined, then looks its own rows up and adds them. What a model gets is, bit for bit,
what it gets alone.
"""

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from sluice.filters.fasttext.join import MOST_COUNTED, ModelInput, Reading, ReadingPlan, most_rows
from sluice.filters.fasttext.kernels.output import Hidden
from sluice.filters.fasttext.kernels.rows import fill_mean, fill_sums, rows_of_words
from sluice.filters.fasttext.kernels.words import (
    Distinct,
    hash_subwords,
    number_words,
    take_modulus,
)
from sluice.schemas.arrays import Array
from sluice.schemas.kernel import utf8_view

BLOCK_BYTES = 2 << 20
"""Text that is worked on at a time: it bounds memory, and words are numbered within it."""
MOST_SLOTS = 1 << 17
"""Of the table of distinct words: 1.5 MB. Twice as many are slower, half as many not faster."""
MOST_KEPT = 1 << 22
"""Numbers of a scratch array that stays with its thread: enough for all but blocks of one odd text."""


class _Scratch(threading.local):
    """Arrays that the calls of a thread use one after the other.

    Fresh memory comes from the operating system page by page, which costs 1 us per post. What is never
    written to, as the end of a bound that is not reached, is never there.
    """

    def __init__(self) -> None:
        self._arrays: dict[str, Array] = {}

    def array(self, name: str, count: int, dtype: type[np.generic]) -> Array:
        """Returns (count,) numbers, not set; the next call with the name may return the same."""
        known = self._arrays.get(name)
        if known is not None and len(known) >= count:
            return known[:count]
        array = np.empty(1 << max(count - 1, 0).bit_length(), dtype)
        if len(array) <= MOST_KEPT:
            self._arrays[name] = array
        return array[:count]


_scratch = _Scratch()


def hidden_layers(texts: pa.StringArray, plan: ReadingPlan) -> tuple[Hidden, ...]:
    """Returns the hidden layers of some models, in the order of the models.

    Args:
        texts: (N,) string; a null reads as an empty text.
        plan: how M models are read. Those of as many buckets (`bucket` in training) share a pass more.
    """
    data_B, offsets_N1 = utf8_view(texts)
    readings = _readings(plan, offsets_N1)
    strides = [reading.input.table.stride for reading in plan.alone]
    mean_M = [np.empty((len(texts), stride), np.float32) for stride in strides]
    num_rows_M = [np.empty(len(texts), np.int64) for _ in strides]
    hidden = tuple(map(Hidden, mean_M, num_rows_M))
    for first, end in _blocks(offsets_N1):
        part = [Hidden(mean[first:end], num_rows[first:end]) for mean, num_rows in hidden]
        _read_block(data_B, offsets_N1[first : end + 1], readings, part)
    return hidden


def _readings(plan: ReadingPlan, offsets_N1: Array) -> tuple[Reading, ...]:
    """Returns the joined readings, or each model alone where a text could have too many rows to count."""
    longest = int(np.diff(offsets_N1).max(initial=0))
    most = max((most_rows(longest, r.input.buckets) for r in plan.joined), default=0)
    return plan.joined if most <= MOST_COUNTED else plan.alone


def _read_block(
    data_B: Array, offsets_N1: Array, readings: Sequence[Reading], hidden: Sequence[Hidden]
) -> None:
    """Writes the hidden layers of a block of texts."""
    word_W, first_N1, distinct = _split(data_B, offsets_N1)
    inputs = [reading.input for reading in readings]
    hash_Q, length_Q = _subwords(data_B, distinct, *_range_of(inputs))
    moduli = sorted({one.buckets.modulus for one in inputs})
    buckets = {m: _modulo(hash_Q, m, f"buckets {k}") for k, m in enumerate(moduli)}
    for reading in readings:
        one = reading.input
        rows = _rows(data_B, distinct, buckets[one.buckets.modulus], length_Q, one)
        sums_NS, num_rows_N = _sums_of(reading, hidden)
        known = word_W, first_N1, distinct.hash_D, *rows
        fill_sums(*known, one.buckets, one.table, sums_NS, num_rows_N)
        _write_means(reading, sums_NS, num_rows_N, hidden)


def _sums_of(reading: Reading, hidden: Sequence[Hidden]) -> tuple[Array, Array]:
    """Returns where sums and numbers of rows go: of a model alone, where its means will be."""
    if len(reading.members) == 1:
        return hidden[reading.members[0].place]
    num_texts, stride = len(hidden[0].num_rows_N), reading.input.table.stride
    sums = _scratch.array("sums", num_texts * stride, np.float32)
    return sums.reshape(num_texts, stride), _scratch.array("sum rows", num_texts, np.int64)


def _write_means(
    reading: Reading, sums_NS: Array, num_rows_N: Array, hidden: Sequence[Hidden]
) -> None:
    """Writes the means of each member of a reading, and its numbers of rows where they are in the sums."""
    for member in reading.members:
        mean_NS, own_rows_N = hidden[member.place]
        if member.count_column >= 0:
            own_rows_N[:] = sums_NS[:, member.count_column]
        fill_mean(sums_NS, member.column, member.dim, own_rows_N, mean_NS)


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
    keys_S = _scratch.array("keys", slots, np.uint64)
    keys_S[:] = 0
    numbers_S = _scratch.array("numbers", slots, np.uint32)
    word_W, start_D, size_D = (
        _scratch.array(name, most, np.uint32) for name in ("words", "starts", "sizes")
    )
    first_N1 = _scratch.array("first words", num_texts + 1, np.int64)
    num = number_words(data_B, offsets_N1, keys_S, numbers_S, word_W, first_N1, start_D, size_D)
    distinct = Distinct(
        start_D[:num],
        size_D[:num],
        hash_D=_scratch.array("word hashes", num, np.uint32),
        has_prefix_D=_scratch.array("have prefix", num, np.bool_),
        first_D1=_scratch.array("first subwords", num + 1, np.int64),
    )
    return word_W, first_N1, distinct


def _range_of(inputs: Sequence[ModelInput]) -> tuple[int, int]:
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
    hash_Q = _scratch.array("hashes", most, np.uint32)
    length_Q = _scratch.array("lengths", most, np.int32)
    hash_subwords(data_B, distinct, shortest, longest, hash_Q, length_Q)
    num = int(distinct.first_D1[-1])
    return hash_Q[:num], length_Q[:num]


def _modulo(hash_Q: Array, modulus: int, name: str) -> Array:
    bucket_Q = _scratch.array(name, len(hash_Q), np.uint32)
    if modulus > 0:
        take_modulus(hash_Q, modulus, bucket_Q)
    return bucket_Q


def _rows(
    data_B: Array, distinct: Distinct, bucket_Q: Array, length_Q: Array, one: ModelInput
) -> tuple[Array, Array, Array]:
    """Returns where the rows of each distinct word begin, whether it is a word, and all the rows."""
    num = len(distinct.size_D)
    begin_D1 = _scratch.array("first rows", num + 1, np.int64)
    is_word_D = _scratch.array("are words", num, np.bool_)
    rows_R = _scratch.array("rows", num + len(bucket_Q) + 1, np.uint32)
    known = data_B, distinct, bucket_Q, length_Q, one.words, one.buckets
    rows_of_words(*known, begin_D1, is_word_D, rows_R)
    return begin_D1, is_word_D, rows_R
