r"""Splits texts into words, numbers them, and hashes words and subwords as fastText does: for all models.

Four words in five of 16,000 posts have stood before, so all work but the sums is done for distinct words.
Subwords are hashed in the text's buffer, each from the one before it.

A text is one line: `\n` parts words like any blank, and the end of the text is the library's
`</s>`. The library reads a literal `</s>` as the end of the line, and so does this.

Indices are unsigned where they come out of arrays: numba checks signed ones for a place from the end,
which costs more than the look-up itself.

Source: fastText 0.9.3, `Dictionary::readWord`, `hash`, `computeSubwords` (MIT).
"""

from typing import NamedTuple

import numpy as np

from sluice.filters.fasttext.model import LABEL_PREFIX
from sluice.schemas.arrays import Array
from sluice.schemas.hashing import GOLDEN_RATIO
from sluice.schemas.kernel import BYTES, OFFSETS, kernel, load8, read_only, types

END_OF_LINE = np.frombuffer(b"</s>", np.uint8)
PREFIX = np.frombuffer(LABEL_PREFIX, np.uint8)
FNV_OFFSET = np.uint32(2166136261)
FNV_PRIME = np.uint32(16777619)
LONG = np.uint64(1 << 63)
MOST_PROBES = 16

_u64 = np.uint64
_int64 = read_only(types.int64)
_uint32 = read_only(types.uint32)
_U32 = types.uint32[::1]


class Distinct(NamedTuple):
    """D distinct words."""

    start_D: Array  # uint32 into the text
    size_D: Array  # uint32, bytes
    hash_D: Array  # uint32, the library's
    has_prefix_D: Array  # bool, whether it begins with a label's prefix
    first_D1: Array  # int64, where its subwords begin


DISTINCT = types.NamedTuple((_U32, _U32, _U32, types.boolean[::1], types.int64[::1]), Distinct)


@kernel()
def is_blank(c):
    """Returns whether a byte parts words."""
    return c == 32 or (9 <= c <= 13) or c == 0


@kernel()
def _starts(data_B, start, end, prefix):
    """Returns whether data_B[start:end] begins with the prefix."""
    size = prefix.shape[0]
    same = end - start >= size
    k = 0
    while same and k < size:
        same = data_B[start + k] == prefix[k]
        k += 1
    return same


@kernel()
def fnv(h, c):
    """Returns the hash one byte on; the library's bytes are signed, so those above 127 sign-extend."""
    wide = np.uint32(c) if c < 128 else np.uint32(c) | np.uint32(0xFFFFFF00)
    return np.uint32(np.uint32(h ^ wide) * FNV_PRIME)


@kernel()
def is_continuation(c):
    """Returns whether a byte of UTF-8 continues a character."""
    return (c & 0xC0) == 0x80


@kernel()
def _chunk(data_B, at, left):
    """Returns the 8 bytes at `at` as a number, those from `left` on as zero."""
    if at + 8 <= data_B.shape[0]:
        chunk = load8(data_B, at)
        if left < 8:
            chunk &= (_u64(1) << _u64(8 * left)) - _u64(1)
    else:
        chunk = _u64(0)
        for k in range(min(left, 8)):
            chunk |= _u64(data_B[at + k]) << _u64(8 * k)
    return chunk


@kernel()
def _key(data_B, at, size):
    """Returns a number by which a word is looked up: never 0, and below LONG the word's bytes themselves.

    A word of 7 bytes or fewer is its key (it holds no zero byte). Of longer ones it is a hash, so that
    equal keys say nothing certain.
    """
    key = _chunk(data_B, at, size)
    if size > 7:
        while size > 8:
            at += 8
            size -= 8
            key *= GOLDEN_RATIO
            key ^= key >> _u64(29)
            key ^= _chunk(data_B, at, size)
        key = key * GOLDEN_RATIO | LONG
    return key


@kernel()
def _are_equal(data_B, a, b, size):
    """Returns whether the bytes at `a` and at `b` are the same."""
    same = True
    while size > 0 and same:
        same = _chunk(data_B, a, size) == _chunk(data_B, b, size)
        a += 8
        b += 8
        size -= 8
    return same


@kernel()
def _number_of(data_B, word, size, keys_S, numbers_S, start_D, size_D, distinct):
    """Returns the number of a word, which is `distinct` if it is new; a new one is entered."""
    key = _key(data_B, word, size)
    mask = _u64(keys_S.shape[0] - 1)
    slot = (key * GOLDEN_RATIO) >> _u64(40) & mask
    start_D[distinct], size_D[distinct] = word, size
    number = distinct
    for _ in range(MOST_PROBES):
        if keys_S[slot] == 0:
            keys_S[slot], numbers_S[slot] = key, distinct
            break
        known = _u64(numbers_S[slot])
        if keys_S[slot] == key and (
            key < LONG
            or (size_D[known] == size and _are_equal(data_B, np.int64(start_D[known]), word, size))
        ):
            number = known
            break
        slot = slot + _u64(1) & mask
    return number


@kernel(types.int64(BYTES, OFFSETS, types.uint64[::1], _U32, _U32, types.int64[::1], _U32, _U32))
def number_words(data_B, offsets_N1, keys_S, numbers_S, word_W, first_N1, start_D, size_D):
    """Splits texts into words and numbers the distinct ones; returns D, how many there are.

    Writes the numbers, text after text, into word_W, where each text's begin into first_N1, and where
    each distinct word is into start_D and size_D. `keys_S` holds zeros, S is a power of two up to
    2^24. A word that finds no free slot in MOST_PROBES counts as a new one each time: that costs time
    and changes nothing, and it bounds what words made to collide can cost.
    """
    num, distinct = _u64(0), _u64(0)
    for i in range(offsets_N1.shape[0] - 1):
        first_N1[i] = num
        at, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        ended = False
        while at < end and not ended:
            while at < end and is_blank(data_B[at]):
                at += 1
            word = at
            while at < end and not is_blank(data_B[at]):
                at += 1
            size = at - word
            if size == 0:
                continue
            if size == END_OF_LINE.shape[0] and _starts(data_B, word, at, END_OF_LINE):
                ended = True
                continue
            number = _number_of(data_B, word, size, keys_S, numbers_S, start_D, size_D, distinct)
            distinct += _u64(number == distinct)
            word_W[num] = number
            num += _u64(1)
    first_N1[offsets_N1.shape[0] - 1] = num
    return distinct


@kernel(types.void(BYTES, DISTINCT, types.int64, types.int64, types.uint32[::1], types.int32[::1]))
def hash_subwords(data_B, distinct, shortest, longest, hash_Q, length_Q):
    """Fills in what `distinct` says of each word, and writes the hash and characters of its subwords.

    The brackets are not in the buffer: a subword that starts at `start - 1` begins with `<`, and one
    that reaches past `end` ends with `>`. A character is a byte and the continuation bytes after it,
    valid UTF-8 or not; a bracket alone is no subword.
    """
    num = _u64(0)
    for d in range(distinct.size_D.shape[0]):
        start = np.int64(distinct.start_D[d])
        end = start + np.int64(distinct.size_D[d])
        h = FNV_OFFSET
        for k in range(start, end):
            h = fnv(h, data_B[k])
        distinct.hash_D[d] = h
        distinct.has_prefix_D[d] = _starts(data_B, start, end, PREFIX)
        distinct.first_D1[d] = num
        for first in range(start - 1, end):
            if first >= start and is_continuation(data_B[first]):
                continue
            h = FNV_OFFSET
            length = 0
            at = np.int64(first)
            if first < start:
                h = fnv(h, np.uint8(60))
                length = 1
                at = start
                while at < end and is_continuation(data_B[at]):
                    h = fnv(h, data_B[at])
                    at += 1
            while length < longest and at <= end:
                if at == end:
                    h = fnv(h, np.uint8(62))
                    at += 1
                else:
                    h = fnv(h, data_B[at])
                    at += 1
                    while at < end and is_continuation(data_B[at]):
                        h = fnv(h, data_B[at])
                        at += 1
                length += 1
                hash_Q[num], length_Q[num] = h, length
                num += _u64(length >= shortest)
    distinct.first_D1[distinct.size_D.shape[0]] = num


@kernel(types.void(_uint32, types.int64, types.uint32[::1]))
def take_modulus(hash_Q, modulus, bucket_Q):
    """Writes the bucket of each hash."""
    divisor = np.uint32(modulus)
    for q in range(hash_Q.shape[0]):
        bucket_Q[q] = hash_Q[q] % divisor


@kernel(types.void(BYTES, _int64, types.uint32[::1], types.uint32[::1]))
def fill_slots(spelling, starts_V1, hashes_V, slots_S):
    """Writes the hash of every dictionary entry, and the entry into the first free slot from there."""
    mask = _u64(slots_S.shape[0] - 1)
    for entry in range(hashes_V.shape[0]):
        h = FNV_OFFSET
        for k in range(starts_V1[entry], starts_V1[entry + 1]):
            h = fnv(h, spelling[k])
        hashes_V[entry] = h
        slot = _u64(h) & mask
        while slots_S[slot] != 0:
            slot = slot + _u64(1) & mask
        slots_S[slot] = entry + 1
