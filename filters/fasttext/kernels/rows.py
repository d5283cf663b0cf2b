"""The hidden layer of a fastText model: from words and subwords to input rows and their mean.

Every addition is the library's, in its order and precision, so that labels are the library's by
construction. Two things buy the speed: the hash buckets, 2 million of which a pruned model keeps some ten
thousand, are a bitmap with running counts (500 KB) in place of a hash map; and rows are added in vector
registers.

Source: fastText 0.9.3, `Dictionary::getLine`, `addWordNgrams`, `Model::computeHidden` (MIT).
"""

from typing import Any, NamedTuple

import numpy as np

from sluice.filters.fasttext.kernels.words import DISTINCT
from sluice.schemas.arrays import Array
from sluice.schemas.kernel import BYTES, intrinsic, kernel, read_only, types

NGRAM_PRIME = np.uint64(116049371)
END_HASH = np.uint32(3617362777)
"""The hash of `</s>`, which ends every line as far as word n-grams go."""
LANES = 4
"""Rows of an input table are padded to a multiple of it."""

_u64 = np.uint64
_int32 = read_only(types.int32)
_int64 = read_only(types.int64)
_uint32 = read_only(types.uint32)
_uint64 = read_only(types.uint64)
_float32 = read_only(types.float32)
_bool = read_only(types.boolean)


class WordIndex(NamedTuple):
    """The dictionary, words then labels, as a hash table of S slots (a power of two) over V entries."""

    slots_S: Array  # uint32, entry + 1, or 0
    hashes_V: Array  # uint32
    spelling: Array  # uint8, the entries one after the other
    starts_V1: Array  # int64 into `spelling`
    num_words: int  # entries from here on are labels


class HashBuckets(NamedTuple):
    """Which hash buckets have a row, and which n-grams are looked up.

    `records` has two numbers for 64 buckets: a bit each, set if it has a row, and the row of the first
    that has one; the others follow.
    """

    records: Array  # uint64
    modulus: int
    shortest: int  # characters of subwords
    longest: int  # 0: no subwords
    word_ngrams: int  # 1: none


class InputMatrix(NamedTuple):
    """The input matrix, a row after the other, each of `stride` numbers, aligned to a cache line."""

    rows: Array  # float32
    stride: int  # a multiple of LANES
    dim: int  # numbers of a row that mean something; zeros follow
    end_of_line: int  # the row of `</s>`, or -1


_BOOL, _I64, _U32 = types.boolean[::1], types.int64[::1], types.uint32[::1]
_F32_2 = types.float32[:, ::1]
_WORDS = types.NamedTuple((_uint32, _uint32, BYTES, _int64, types.int64), WordIndex)
_BUCKETS = types.NamedTuple(
    (_uint64, types.int64, types.int64, types.int64, types.int64), HashBuckets
)
_TABLE = types.NamedTuple((_float32, types.int64, types.int64, types.int64), InputMatrix)


def _adder(lanes: int) -> Any:
    """Returns add(table, rows, first, count, stride, sums, at, column).

    It adds `lanes` columns of table rows, from `column` on, to sums[at : at + lanes]. The sums stay in a
    vector register; a loop in Python would store and load them at each row (1 ns per row against 10).
    """

    @intrinsic
    def add(typingctx, table, rows, first, count, stride, sums, at, column):
        from llvmlite import ir
        from numba import types
        from numba.core import cgutils

        def codegen(context, builder, signature, args):
            vector, i64 = ir.VectorType(ir.FloatType(), lanes), ir.IntType(64)

            def data(k: int) -> Any:
                return context.make_array(signature.args[k])(context, builder, args[k]).data

            def place(base: Any, index: Any) -> Any:
                return builder.bitcast(builder.gep(base, [index]), vector.as_pointer())

            table, sums = data(0), place(data(5), args[6])
            rows = builder.gep(data(1), [args[2]])
            total = cgutils.alloca_once_value(builder, builder.load(sums, align=4))
            with cgutils.for_range(builder, args[3]) as loop:
                row = builder.zext(builder.load(builder.gep(rows, [loop.index])), i64)
                start = builder.add(builder.mul(row, args[4]), args[7])
                numbers = builder.load(place(table, start), align=4)
                builder.store(builder.fadd(builder.load(total), numbers), total)
            builder.store(builder.load(total), sums, align=4)
            return context.get_dummy_value()

        i = types.int64
        return types.void(table, rows, i, i, i, sums, i, i), codegen

    return add


_add4, _add8, _add16 = _adder(4), _adder(8), _adder(16)


@kernel()
def _popcount(x):
    x = x - ((x >> _u64(1)) & _u64(0x5555555555555555))
    x = (x & _u64(0x3333333333333333)) + ((x >> _u64(2)) & _u64(0x3333333333333333))
    x = (x + (x >> _u64(4))) & _u64(0x0F0F0F0F0F0F0F0F)
    return (x * _u64(0x0101010101010101)) >> _u64(56)


@kernel()
def _entry(words, data_B, start, size, h):
    """Returns the dictionary entry spelt data_B[start : start + size], whose hash is `h`, or -1."""
    mask = _u64(words.slots_S.shape[0] - 1)
    slot = _u64(h) & mask
    match = np.int64(-1)
    while words.slots_S[slot] != 0:
        entry = _u64(words.slots_S[slot]) - _u64(1)
        if words.hashes_V[entry] == h:
            first = words.starts_V1[entry]
            same = words.starts_V1[entry + _u64(1)] - first == size
            k = 0
            while same and k < size:
                same = words.spelling[first + k] == data_B[start + k]
                k += 1
            if same:
                match = np.int64(entry)
                break
        slot = slot + _u64(1) & mask
    return match


@kernel()
def _push_bucket(buckets, bucket, counts, rows_R, num_rows):
    """Writes the row of a bucket behind the rows so far; returns how many there are now.

    The row is written either way and counted only if the bucket has one: which buckets were pruned no
    branch predictor can learn.
    """
    record = (bucket >> _u64(6)) * _u64(2)
    bits = buckets.records[record]
    bit = bucket & _u64(63)
    below = bits & ((_u64(1) << bit) - _u64(1))
    rows_R[num_rows] = buckets.records[record + _u64(1)] + _popcount(below)
    return num_rows + (bits >> bit & _u64(1) & _u64(counts))


@kernel(types.void(BYTES, DISTINCT, _uint32, _int32, _WORDS, _BUCKETS, _I64, _BOOL, _U32))
def rows_of_words(
    data_B, distinct, bucket_Q, length_Q, words, buckets, begin_D1, is_word_D, rows_R
):
    """Writes the input rows of each distinct word: its own, then those of its subwords.

    They go into rows_R, where each word's begin into begin_D1, and which words are no labels into
    is_word_D: a label of the model has no rows, and so has a word with a label's prefix that the model
    has not seen. `rows_R` has room for one row more than there can be.
    """
    num_rows = _u64(0)
    shortest, longest = np.int32(buckets.shortest), np.int32(buckets.longest)
    for d in range(distinct.size_D.shape[0]):
        begin_D1[d] = num_rows
        start, size = np.int64(distinct.start_D[d]), np.int64(distinct.size_D[d])
        entry = _entry(words, data_B, start, size, distinct.hash_D[d])
        is_label = entry >= words.num_words or (entry < 0 and distinct.has_prefix_D[d])
        is_word_D[d] = not is_label
        if is_label:
            continue
        if entry >= 0:
            rows_R[num_rows] = entry
            num_rows += _u64(1)
        if buckets.longest > 0:
            for q in range(_u64(distinct.first_D1[d]), _u64(distinct.first_D1[d + 1])):
                counts = shortest <= length_Q[q] <= longest
                num_rows = _push_bucket(buckets, _u64(bucket_Q[q]), counts, rows_R, num_rows)
    begin_D1[distinct.size_D.shape[0]] = num_rows


@kernel()
def _push_ngrams(hashes_W, num_hashes, buckets, rows_R, num_rows):
    """Writes the rows of the word n-grams (2 words or more); returns how many rows there are now."""
    size = _u64(buckets.modulus)
    for i in range(num_hashes):
        h = _u64(np.int64(np.int32(hashes_W[i])))
        for j in range(i + 1, min(i + buckets.word_ngrams, num_hashes)):
            h = h * NGRAM_PRIME + _u64(np.int64(np.int32(hashes_W[j])))
            num_rows = _push_bucket(buckets, h % size, True, rows_R, num_rows)
    return num_rows


@kernel()
def _fill_last(words, hash_D, is_word_D, buckets, table, hashes_W, rows_R):
    """Writes the rows that follow those of the words: `</s>`, word n-grams; returns how many there are."""
    num_rows = _u64(0)
    if table.end_of_line >= 0:
        rows_R[0] = table.end_of_line
        num_rows = _u64(1)
    if buckets.word_ngrams > 1:
        num_hashes = _u64(0)
        for word in words:
            hashes_W[num_hashes] = hash_D[word]
            num_hashes += _u64(is_word_D[word])
        hashes_W[num_hashes] = END_HASH
        num_rows = _push_ngrams(hashes_W, np.int64(num_hashes) + 1, buckets, rows_R, num_rows)
    return num_rows


@kernel()
def _add_rows(table, rows_R, first, count, sums_NS, at, column):
    """Adds up to 16 columns, from `column` on, of some rows to the sums; returns how many columns."""
    left = table.stride - column
    if left >= 16:
        width = 16
        _add16(table.rows, rows_R, first, count, table.stride, sums_NS, at, column)
    elif left >= 8:
        width = 8
        _add8(table.rows, rows_R, first, count, table.stride, sums_NS, at, column)
    else:
        width = 4
        _add4(table.rows, rows_R, first, count, table.stride, sums_NS, at, column)
    return width


@kernel(
    types.void(_uint32, _int64, _uint32, _int64, _bool, _uint32, _BUCKETS, _TABLE, _F32_2, _I64)
)
def fill_sums(
    word_W, first_N1, hash_D, begin_D1, is_word_D, rows_R, buckets, table, sums_NS, num_rows_N
):
    """Writes the sum of the rows of each text, and how many rows it has.

    Rows are added as the library orders them: of the words, of `</s>`, of the word n-grams.
    """
    most = np.int64(0)
    for i in range(num_rows_N.shape[0]):
        most = max(most, first_N1[i + 1] - first_N1[i])
    last_R = np.empty((most + 1) * min(buckets.word_ngrams, most + 1) + 2, np.uint32)
    hashes_W = np.empty(most + 1, np.uint32)
    for i in range(num_rows_N.shape[0]):
        words = word_W[first_N1[i] : first_N1[i + 1]]
        num_last = np.int64(_fill_last(words, hash_D, is_word_D, buckets, table, hashes_W, last_R))
        num_rows = num_last
        for word in words:
            num_rows += begin_D1[_u64(word) + _u64(1)] - begin_D1[word]
        num_rows_N[i] = num_rows
        for column in range(table.stride):
            sums_NS[i, column] = np.float32(0)
        column = 0
        while column < table.stride:
            at = i * table.stride + column
            for word in words:
                begin = begin_D1[word]
                count = begin_D1[_u64(word) + _u64(1)] - begin
                _add_rows(table, rows_R, begin, count, sums_NS, at, column)
            column += _add_rows(table, last_R, 0, num_last, sums_NS, at, column)


@kernel(types.void(_F32_2, types.int64, types.int64, _I64, _F32_2))
def fill_mean(sums_NS, first, dim, num_rows_N, mean_NS):
    """Writes the mean of the rows of each text: `dim` numbers, then zeros; of no rows, all zeros.

    The sums are those from the column `first` on, and `mean_NS` may be `sums_NS`.
    """
    for i in range(num_rows_N.shape[0]):
        share = np.float32(1.0 / max(num_rows_N[i], 1))
        for column in range(dim):
            mean_NS[i, column] = sums_NS[i, first + column] * share
        for column in range(dim, mean_NS.shape[1]):
            mean_NS[i, column] = np.float32(0)
