"""The compiled part of `words`: where words end, and the hash table that counts them.

A word of 7 bytes or fewer is its own key in the hash table; longer ones have a hash for a key, and equal
keys are compared byte by byte. So a count is never that of two words.

Shape suffixes are those of `words.py`.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sluice.schemas.arrays import Array
from sluice.schemas.kernel import BYTES, OFFSETS, decode_at, kernel, load8
from sluice.tokenizer.vocabulary import pattern

_CAPITAL, _SMALL, _LETTER = pattern.CAPITAL, pattern.SMALL, pattern.CAPITAL | pattern.SMALL
_FRONT, _DIGIT, _OTHER = pattern.FRONT, pattern.DIGIT, pattern.OTHER
_BLANK, _NEWLINE, _BEHIND = pattern.BLANK, pattern.NEWLINE, pattern.BEHIND

_MIX = np.uint64(0x9E3779B97F4A7C15)
_LONG = np.uint64(1 << 63)
_MOST_IN_KEY = 7
_SIZE_BITS = np.uint64(28)
SIZE_MASK = np.uint64((1 << 28) - 1)

_HTTP, _HTTPS = np.frombuffer(b"http", np.uint8), np.frombuffer(b"https", np.uint8)
_SLASHES = np.frombuffer(b"://", np.uint8)
_WWW, _T_CO = np.frombuffer(b"www.", np.uint8), np.frombuffer(b"t.co/", np.uint8)

KEY, PLACE, COUNT, WEIGHT = range(4)
NUM_WORDS, NUM_BYTES, ROW, NEED = range(4)


class Table(NamedTuple):
    """The words so far.

    Attributes:
        slot_H4: (H, 4), 32 bytes a word, so that a word costs one line of the cache: its key, 0 where the
            slot is free; where its bytes begin << 28 | how many they are; occurrences; their weight.
        data_B: the words one behind the other, as they were first seen.
    """

    slot_H4: Array  # uint64
    data_B: Array  # uint8


_I64 = types.int64[::1]
_LONGS = types.Array(types.int64, 1, "C", readonly=True)
_TABLE = types.NamedTuple((types.uint64[:, ::1], types.uint8[::1]), Table)
_FLAGS = types.Array(types.uint8, 1, "C", readonly=True)


@kernel()
def _cased_end(flags_C, i):  # type: ignore[no-untyped-def]  # numba types it
    """Returns where capitals and then at least one small letter end, or -1; of the first alternative.

    Letters without case may be either: where no small letter follows, the last of them is the small one.
    """
    last = -1
    end = i
    while flags_C[end] & _CAPITAL:
        if flags_C[end] & _SMALL:
            last = end
        end += 1
    if flags_C[end] & _SMALL:
        while flags_C[end] & _SMALL:
            end += 1
    else:
        end = last + 1 if last >= 0 else -1
    return end


@kernel()
def _capitals_end(flags_C, i):  # type: ignore[no-untyped-def]  # numba types it
    """Returns where at least one capital and then small letters end, or -1; of the second alternative."""
    end = i
    while flags_C[end] & _CAPITAL:
        end += 1
    if end == i:
        end = -1
    else:
        while flags_C[end] & _SMALL:
            end += 1
    return end


@kernel()
def _letters_end(flags_C, i):  # type: ignore[no-untyped-def]  # numba types it
    """Returns where a word of letters that begins at i ends, or -1 where none does."""
    flags = flags_C[i]
    end = -1
    if flags & _FRONT:
        end = _cased_end(flags_C, i + 1)
    if end < 0 and flags & _LETTER:
        end = _cased_end(flags_C, i)
    if end < 0 and flags & _FRONT:
        end = _capitals_end(flags_C, i + 1)
    if end < 0 and flags & _CAPITAL:
        end = _capitals_end(flags_C, i)
    return end


@kernel()
def _ending_size(data_B, j, end):  # type: ignore[no-untyped-def]  # numba types it
    """Returns how many characters an English ending at byte j has, or 0; its s may be U+017F."""
    size = 0
    if j + 1 < end and data_B[j] == 39:  # '
        c = data_B[j + 1] | 32
        after = data_B[j + 2] | 32 if j + 2 < end else 0
        if c == 115 or c == 116 or c == 109 or c == 100:  # s t m d
            size = 2
        elif ((c == 114 or c == 118) and after == 101) or (c == 108 and after == 108):  # re ve ll
            size = 3
        elif j + 2 < end and data_B[j + 1] == 0xC5 and data_B[j + 2] == 0xBF:
            size = 2
    return size


@kernel()
def _others_end(flags_C, i):  # type: ignore[no-untyped-def]  # numba types it
    end = i
    while flags_C[end] & _OTHER:
        end += 1
    while flags_C[end] & _BEHIND:
        end += 1
    return end


@kernel()
def _blanks_end(flags_C, i):  # type: ignore[no-untyped-def]  # numba types it
    end, last = i, -1
    while flags_C[end] & _BLANK:
        if flags_C[end] & _NEWLINE:
            last = end
        end += 1
    if last >= 0:
        end = last + 1
    elif flags_C[end] != 0 and end > i + 1:
        end -= 1
    return end


@kernel()
def _digits_end(flags_C, i):  # type: ignore[no-untyped-def]  # numba types it
    end = i + 1
    while end < i + 3 and flags_C[end] & _DIGIT:
        end += 1
    return end


@kernel()
def _word_end(data_B, flags_C, at_C, i, num_chars):  # type: ignore[no-untyped-def]  # numba types it
    """Returns the character behind the word that begins at character i."""
    end = _letters_end(flags_C, i)
    if end >= 0:
        end += _ending_size(data_B, at_C[end], at_C[num_chars])
    elif flags_C[i] & _DIGIT:
        end = _digits_end(flags_C, i)
    elif flags_C[i] & _OTHER:
        end = _others_end(flags_C, i)
    elif data_B[at_C[i]] == 32 and flags_C[i + 1] & _OTHER:
        end = _others_end(flags_C, i + 1)
    else:
        end = _blanks_end(flags_C, i)
    return end


@kernel()
def _starts(data_B, j, end, text_T):  # type: ignore[no-untyped-def]  # numba types it
    """Returns whether the bytes from j are those of a text."""
    same = j + len(text_T) <= end
    k = 0
    while same and k < len(text_T):
        same = data_B[j + k] == text_T[k]
        k += 1
    return same


@kernel()
def _link_start(data_B, start, colon, end):  # type: ignore[no-untyped-def]  # numba types it
    """Returns where the link token begins that has its colon at a byte, or -1; not before `start`."""
    at = -1
    if _starts(data_B, colon, end, _SLASHES):
        if colon - 4 >= start and _starts(data_B, colon - 4, end, _HTTP):
            at = colon - 4
        elif colon - 5 >= start and _starts(data_B, colon - 5, end, _HTTPS):
            at = colon - 5
        if at > start and data_B[at - 1] == 32:
            at -= 1
    return at


@kernel()
def _link_end(data_B, colon, end):  # type: ignore[no-untyped-def]  # numba types it
    """Returns the byte behind the link token that has its colon at a byte: the longest one."""
    j = colon + len(_SLASHES)
    if _starts(data_B, j, end, _WWW):
        j += len(_WWW)
    elif _starts(data_B, j, end, _T_CO):
        j += len(_T_CO)
    return j


@kernel()
def _read_chars(data_B, start, end, flags_F, flags_C, at_C):  # type: ignore[no-untyped-def]  # numba types it
    """Writes flags and places of the characters up to the next link token, and a 0 behind them.

    Returns (characters, the byte behind the link token or `end`).
    """
    n = 0
    j = behind = start
    while j < end:
        c = data_B[j]
        if c == 58:  # :
            link = _link_start(data_B, start, j, end)
            if link >= 0:
                behind = _link_end(data_B, j, end)
                n -= j - link  # its letters are one byte each
                break
        at_C[n] = j
        if c < 0x80:
            flags_C[n] = flags_F[c]
            j += 1
        else:
            cp, size = decode_at(data_B, j, end)
            flags_C[n] = flags_F[cp]
            j += size
        n += 1
    if behind == start:
        behind = at_end = end
    else:
        at_end = at_C[n]
    flags_C[n], at_C[n] = 0, at_end
    return n, behind


@kernel(types.int64(BYTES, types.int64, types.int64, _FLAGS, types.uint8[::1], _I64, _I64, _I64))
def cut_words(data_B, start, end, flags_F, flags_C, at_C, starts_W, ends_W):  # type: ignore[no-untyped-def]  # numba types it
    """Fills where the words of a text begin and end; returns how many they are."""
    num_words = 0
    while start < end:
        num_chars, start = _read_chars(data_B, start, end, flags_F, flags_C, at_C)
        i = 0
        while i < num_chars:
            starts_W[num_words] = at_C[i]
            i = _word_end(data_B, flags_C, at_C, i, num_chars)
            ends_W[num_words] = at_C[i]
            num_words += 1
    return num_words


@kernel()
def _few(data_B, j, size):  # type: ignore[no-untyped-def]  # numba types it
    """Returns fewer than 8 bytes from j as a little-endian number."""
    if j + 8 <= len(data_B):
        few = load8(data_B, j) & ((np.uint64(1) << np.uint64(8 * size)) - np.uint64(1))
    else:
        few = np.uint64(0)
        for k in range(size):
            few |= np.uint64(data_B[j + k]) << np.uint64(8 * k)
    return few


@kernel()
def _key_of(data_B, start, size):  # type: ignore[no-untyped-def]  # numba types it
    """Returns the key of a word: its size and its bytes, or (with the highest bit) a hash of them; not 0."""
    if size <= _MOST_IN_KEY:
        key = (np.uint64(size + 1) << np.uint64(56)) | _few(data_B, start, size)
    else:
        key = np.uint64(size)
        for j in range(start, start + size - 8, 8):
            key = (key ^ load8(data_B, j)) * _MIX
            key ^= key >> np.uint64(29)
        key = ((key ^ load8(data_B, start + size - 8)) * _MIX) | _LONG
    return key


@kernel()
def _are_equal(a_B, i, b_B, j, size):  # type: ignore[no-untyped-def]  # numba types it
    """Returns whether two runs of 8 bytes or more are the same."""
    same = load8(a_B, i + size - 8) == load8(b_B, j + size - 8)
    k = 0
    while same and k < size - 8:
        same = load8(a_B, i + k) == load8(b_B, j + k)
        k += 8
    return same


@kernel()
def _home(key, mask):  # type: ignore[no-untyped-def]  # numba types it
    return ((key * _MIX) >> np.uint64(32)) & mask


@intrinsic
def _fetch(typingctx, slot_H4, slot):  # type: ignore[no-untyped-def]  # numba types it
    """Asks the cache for a slot that is read soon; most of a look-up is waiting for memory."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]  # numba types it
        base = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = builder.gep(base, [builder.mul(args[1], ir.Constant(ir.IntType(64), 4))])
        pointer, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, i32, i32, i32])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        to_write, keep, data = (ir.Constant(i32, n) for n in (1, 3, 1))
        builder.call(fetch, [builder.bitcast(place, pointer), to_write, keep, data])
        return context.get_dummy_value()

    return types.void(slot_H4, types.uint64), codegen


@kernel()
def _slot_of(table, data_B, start, size, key):  # type: ignore[no-untyped-def]  # numba types it
    """Returns the slot of a word, or the free one where it would stand."""
    mask = np.uint64(table.slot_H4.shape[0] - 1)
    slot = _home(key, mask)
    while table.slot_H4[slot, KEY] != 0:
        if table.slot_H4[slot, KEY] == key:
            place = table.slot_H4[slot, PLACE]
            if size <= _MOST_IN_KEY:
                break
            if np.int64(place & SIZE_MASK) == size:
                at = np.int64(place >> _SIZE_BITS)
                if _are_equal(table.data_B, at, data_B, start, size):
                    break
        slot = (slot + np.uint64(1)) & mask
    return slot


@kernel()
def _add(table, sizes, data_B, start, size, key, count, weight):  # type: ignore[no-untyped-def]  # numba types it
    """Adds to a word, which is entered if it is new; there must be room for it."""
    slot = _slot_of(table, data_B, start, size, key)
    if table.slot_H4[slot, KEY] == 0:
        at = sizes[NUM_BYTES]
        table.slot_H4[slot, KEY] = key
        table.slot_H4[slot, PLACE] = (np.uint64(at) << _SIZE_BITS) | np.uint64(size)
        for k in range(size):
            table.data_B[at + k] = data_B[start + k]
        sizes[NUM_WORDS] += 1
        sizes[NUM_BYTES] += size
    table.slot_H4[slot, COUNT] += np.uint64(count)
    table.slot_H4[slot, WEIGHT] += np.uint64(weight)


@kernel()
def _has_room(table, sizes, num_words, num_bytes):  # type: ignore[no-untyped-def]  # numba types it
    slots, bytes_ = 2 * (sizes[NUM_WORDS] + num_words), sizes[NUM_BYTES] + num_bytes
    return slots <= table.slot_H4.shape[0] and bytes_ <= len(table.data_B)


@kernel(
    types.boolean(
        BYTES,
        OFFSETS,
        _LONGS,
        _FLAGS,
        types.uint8[::1],
        _I64,
        _I64,
        types.uint64[::1],
        _TABLE,
        _I64,
    )
)
def add_texts(  # type: ignore[no-untyped-def]  # numba types it
    data_B, offsets_N1, weight_N, flags_F, flags_C, at_C, end_C, key_C, table, sizes
):
    """Counts the words of the texts from `sizes[ROW]` on; returns whether it is done or needs room."""
    mask = np.uint64(table.slot_H4.shape[0] - 1)
    while sizes[ROW] < len(weight_N):
        row = sizes[ROW]
        start, end = np.int64(offsets_N1[row]), np.int64(offsets_N1[row + 1])
        sizes[NEED] = end - start
        if not _has_room(table, sizes, end - start, end - start):
            return False
        while start < end:
            num_chars, behind = _read_chars(data_B, start, end, flags_F, flags_C, at_C)
            i = num_words = 0
            while i < num_chars:
                after = _word_end(data_B, flags_C, at_C, i, num_chars)
                key = _key_of(data_B, at_C[i], at_C[after] - at_C[i])
                _fetch(table.slot_H4, _home(key, mask))
                end_C[num_words], key_C[num_words] = at_C[after], key
                num_words += 1
                i = after
            for k in range(num_words):
                _add(table, sizes, data_B, start, end_C[k] - start, key_C[k], 1, weight_N[row])
                start = end_C[k]
            start = behind
        sizes[ROW] += 1
    return True


@kernel(types.boolean(BYTES, OFFSETS, _LONGS, _LONGS, _TABLE, _I64))
def add_words(data_B, offsets_N1, count_N, weight_N, table, sizes):  # type: ignore[no-untyped-def]  # numba types it
    """Adds counted words from `sizes[ROW]` on; returns whether it is done or needs room."""
    while sizes[ROW] < len(count_N):
        row = sizes[ROW]
        start, end = np.int64(offsets_N1[row]), np.int64(offsets_N1[row + 1])
        sizes[NEED] = end - start
        if not _has_room(table, sizes, 1, end - start):
            return False
        key = _key_of(data_B, start, end - start)
        _add(table, sizes, data_B, start, end - start, key, count_N[row], weight_N[row])
        sizes[ROW] += 1
    return True


@kernel(types.void(types.uint64[:, ::1], types.uint64[:, ::1]))
def move_words(old_H4, new_H4):  # type: ignore[no-untyped-def]  # numba types it
    """Enters the words of a hash table into an empty, larger one."""
    mask = np.uint64(new_H4.shape[0] - 1)
    for i in range(old_H4.shape[0]):
        if old_H4[i, KEY] != 0:
            slot = _home(old_H4[i, KEY], mask)
            while new_H4[slot, KEY] != 0:
                slot = (slot + np.uint64(1)) & mask
            new_H4[slot] = old_H4[i]


@kernel(types.void(BYTES, OFFSETS, types.uint64[::1]))
def draw_words(data_B, offsets_N1, draw_N):  # type: ignore[no-untyped-def]  # numba types it
    """Fills a number for each word that is as if drawn."""
    for i in range(len(draw_N)):
        start, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        x = _key_of(data_B, start, end - start)
        x = (x ^ (x >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
        x = (x ^ (x >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
        draw_N[i] = x ^ (x >> np.uint64(33))
