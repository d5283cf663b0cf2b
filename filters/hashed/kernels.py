"""Which rows of a hashed table a text has, and their sums: words, pairs of words and n-grams of characters.

A word is what stands between blanks. It has a row for itself, one with the word before it, and one for each
n-gram of 3 to 5 characters, a mark at its begin and at its end among them; n-grams of 2 have one where both
characters take three bytes or more, since two of them are a word in Chinese and anything at all in Latin
script. A row holds the numbers of all heads, so that a head more costs no look-up.

Four words in five of a batch have stood before: their sums are kept by word in a table of SLOTS places,
which belongs to one call, and the word that comes last takes the place. What a text sums to depends on
the text alone.
"""

from typing import Any

import numpy as np

from sluice.schemas.hashing import GOLDEN_RATIO
from sluice.schemas.kernel import BYTES, OFFSETS, kernel, read_only, types

SHORTEST, LONGEST = 3, 5
"""Characters of an n-gram, the marks of a word's begin and end among them."""
COLUMNS = 4
"""Numbers of a row; a constant, so that they are added in one step."""
SLOTS = 1 << 15
"""Words whose sums are kept; a power of two."""
_SLOT_BITS = np.uint64(15)
_WORD, _PAIR = np.uint64(0x9E3779B185EBCA87), np.uint64(0xC2B2AE3D27D4EB4F)
_PRIME = np.uint64(0x100000001B3)
_SEED = np.uint64(0xCBF29CE484222325)
_BEGIN, _END = np.uint64(1), np.uint64(2)
_64 = np.uint64(64)

_RECORD = types.Array(types.int64, 2, "C")
_SUMS = types.Array(types.int32, 2, "C")


@kernel()
def _is_blank(c: Any) -> Any:
    return c == 32 or (9 <= c <= 13) or c == 0


@kernel()
def _next(data_B: Any, at: Any, end: Any) -> Any:
    """Returns where the character that starts at `at` ends."""
    at += 1
    while at < end and (data_B[at] & 0xC0) == 0x80:
        at += 1
    return at


@kernel()
def _place(h: Any, bits: Any) -> Any:
    """Returns the upper bits of a hash after a multiplication that all of its bits reach."""
    h ^= h >> np.uint64(29)
    return np.int64((h * GOLDEN_RATIO) >> (_64 - bits))


@kernel()
def _hash_word(data_B: Any, word: Any, end: Any) -> Any:
    h = _SEED
    for k in range(word, end):
        h = (h ^ np.uint64(data_B[k])) * _PRIME
    return h


@kernel()
def _pair_row(before: Any, h: Any, bits: Any) -> Any:
    """Returns the row of a word after another one; `before` is 0 for the first of a text."""
    return _place((before * _PAIR) ^ h, bits)


@kernel()
def _word_rows(data_B: Any, word: Any, end: Any, h: Any, bits: Any, rows_K: Any, num: Any) -> Any:
    """Writes the rows of a word, but that of the pair, from `num` on; returns where they end."""
    rows_K[num] = _place(h * _WORD, bits)
    num += 1
    first = word - 1  # the place of the mark before the word
    while first < end:
        h, size, at, wide = _SEED, 0, first, True
        while size < LONGEST and at <= end:
            if at < word or at == end:
                h = (h ^ (_BEGIN if at < word else _END)) * _PRIME
                at, wide = at + 1, False
            else:
                after = _next(data_B, at, end)
                wide = wide and after - at >= 3
                for k in range(at, after):
                    h = (h ^ np.uint64(data_B[k])) * _PRIME
                at = after
            size += 1
            if size >= SHORTEST or (size == SHORTEST - 1 and wide):
                rows_K[num] = _place(h, bits)
                num += 1
        first = word if first < word else _next(data_B, first, end)
    return num


@kernel(types.int64(BYTES, OFFSETS, types.uint64, types.int32[::1], types.int64[::1]))
def list_rows(data_B: Any, offsets_N1: Any, bits: Any, rows_K: Any, starts_N1: Any) -> Any:
    """Writes the rows of each text, one text after the other, and where each begins; returns how many."""
    num = np.int64(0)
    for i in range(offsets_N1.shape[0] - 1):
        at, stop = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        before = np.uint64(0)
        while at < stop:
            while at < stop and _is_blank(data_B[at]):
                at += 1
            word = at
            while at < stop and not _is_blank(data_B[at]):
                at += 1
            if word < at:
                h = _hash_word(data_B, word, at)
                rows_K[num] = _pair_row(before, h, bits)
                num = _word_rows(data_B, word, at, h, bits, rows_K, num + 1)
                before = h
        starts_N1[i + 1] = num
    return num


@kernel()
def _is_kept(data_B: Any, known_S3: Any, slot: Any, word: Any, size: Any) -> Any:
    """Returns whether the word at a place of the table is this one, byte for byte."""
    same = known_S3[slot, 1] == size
    start, k = known_S3[slot, 0], np.int64(0)
    while same and k < size:
        same = data_B[start + k] == data_B[word + k]
        k += 1
    return same


@kernel(
    types.void(
        BYTES,
        OFFSETS,
        read_only(types.int8, 2),
        types.uint64,
        types.int32[::1],
        _RECORD,
        _SUMS,
        _SUMS,
        types.int32[::1],
    )
)
def sum_rows(
    data_B: Any,
    offsets_N1: Any,
    table_RC: Any,
    bits: Any,
    rows_K: Any,
    known_S3: Any,
    kept_SC: Any,
    sums_NC: Any,
    num_N: Any,
) -> Any:
    """Adds up the rows of each text, and counts them.

    Args:
        data_B: UTF-8 bytes of all texts.
        offsets_N1: where each text begins.
        table_RC: 2**bits rows.
        bits: see above.
        rows_K: room for the rows of the longest text.
        known_S3: zeros; becomes (start, bytes, rows) of the words that are kept.
        kept_SC: room for their sums.
        sums_NC: zeros; becomes the sums.
        num_N: becomes the numbers of rows.
    """
    for i in range(offsets_N1.shape[0] - 1):
        at, stop = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        before, total = np.uint64(0), np.int64(0)
        while at < stop:
            while at < stop and _is_blank(data_B[at]):
                at += 1
            word, h = at, _SEED
            while at < stop and not _is_blank(data_B[at]):
                h = (h ^ np.uint64(data_B[at])) * _PRIME
                at += 1
            if word == at:
                continue
            slot = _place(h, _SLOT_BITS)
            if not _is_kept(data_B, known_S3, slot, word, at - word):
                num = _word_rows(data_B, word, at, h, bits, rows_K, 0)
                known_S3[slot, 0], known_S3[slot, 1], known_S3[slot, 2] = word, at - word, num
                for c in range(COLUMNS):
                    kept_SC[slot, c] = 0
                for k in range(num):
                    row = np.uint64(np.uint32(rows_K[k]))
                    for c in range(COLUMNS):
                        kept_SC[slot, c] += np.int32(table_RC[row, c])
            pair = _pair_row(before, h, bits)
            for c in range(COLUMNS):
                sums_NC[i, c] += kept_SC[slot, c] + np.int32(table_RC[pair, c])
            total += known_S3[slot, 2] + 1
            before = h
        num_N[i] = total
