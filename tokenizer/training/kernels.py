"""The compiled parts of training: words are cut and counted, and merges learned from their counts.

**Words.** A word of 7 bytes or fewer is its own key in the hash table; longer ones have a hash as their key,
and words of equal keys are compared byte by byte. So a count is never that of two words.

**Merges.** See `merges.py` for the rule, and for how words and pairs are laid out.

Shape suffixes are those of `words.py` and `merges.py`.
"""

from typing import NamedTuple

import numpy as np

from sluice.schemas.arrays import Int32s, Int64s, Uint8s, Uint64s
from sluice.schemas.hashing import GOLDEN_RATIO
from sluice.schemas.kernel import (
    BYTES,
    OFFSETS,
    decode_at,
    intrinsic,
    kernel,
    load8,
    read_only,
    types,
)
from sluice.tokenizer.vocabulary import pattern

_CAPITAL, _SMALL, _LETTER = pattern.CAPITAL, pattern.SMALL, pattern.CAPITAL | pattern.SMALL
_FRONT, _DIGIT, _OTHER = pattern.FRONT, pattern.DIGIT, pattern.OTHER
_BLANK, _NEWLINE, _BEHIND = pattern.BLANK, pattern.NEWLINE, pattern.BEHIND

_LONG = np.uint64(1 << 63)
_MOST_IN_KEY = 7
_SIZE_BITS = np.uint64(28)
SIZE_MASK = np.uint64((1 << 28) - 1)

_HTTP, _HTTPS = np.frombuffer(b"http", np.uint8), np.frombuffer(b"https", np.uint8)
_SLASHES = np.frombuffer(b"://", np.uint8)
_WWW, _T_CO = np.frombuffer(b"www.", np.uint8), np.frombuffer(b"t.co/", np.uint8)

KEY, PLACE, COUNT, WEIGHT = range(4)
"""Columns of `WordTable.slot_H4`."""
NUM_WORDS, NUM_BYTES, ROW, NEED = range(4)
"""In the array of sizes of words: words and bytes so far, the next text, and the room that it needs."""

TOKENS, PAIRS, PLACES, QUEUED, MORE_PAIRS, MORE_PLACES, NUM_SIZES = range(7)
"""In the array of sizes of merges: ids so far, pairs, places, pairs in the queue, and what the next merge
needs."""

END = np.int32(-(2**31))
"""Between words."""
_INSIDE = np.int32(-1)
_LOW = np.uint64(0xFFFFFFFF)


class WordTable(NamedTuple):
    """The words so far.

    Attributes:
        slot_H4: (H, 4), 32 bytes per word, so that a word costs one line of the cache: its key, 0 where the
            slot is free; where its bytes begin << 28 | how many they are; occurrences; their weight.
        data_B: the words one behind the other, as they were first seen.
    """

    slot_H4: Uint64s
    data_B: Uint8s


class Text(NamedTuple):
    """The words as they are cut so far.

    Attributes:
        symbol_S: ids, lengths and ends of words; see the module.
        length_V: bytes of each token.
        end_G: the slot behind a group's last word, ascending.
        count_G: how often each word of the group occurs, descending.
    """

    symbol_S: Int32s
    length_V: Int32s
    end_G: Int64s
    count_G: Int64s


class Pairs(NamedTuple):
    """Pairs of neighbours that occur often enough.

    Attributes:
        key_K: left id << 32 | right id.
        count_K: how often it occurs, 0 when it was merged.
        start_K: where its places begin in `place_A`, ascending.
        size_K: how many they are.
        slot_H: hash table: number of a pair + 1, or 0.
        place_A: first slots of the left symbols; some may have changed.
    """

    key_K: Uint64s
    count_K: Int64s
    start_K: Int64s
    size_K: Int32s
    slot_H: Int32s
    place_A: Int32s


class Queue(NamedTuple):
    """A binary heap of pairs: the most frequent first, then the smaller key.

    Attributes:
        count_K: what the pair's count was when it was put in.
        pair_K: numbers of pairs.
    """

    count_K: Int64s
    pair_K: Int32s


class Side(NamedTuple):
    """What one merge met on one side, by the neighbour's id; all zero between merges.

    Attributes:
        weight_V: how often the neighbour occurs there.
        number_V: in how many places; then the number of the new pair, or -1.
        met_V: the ids that were met.
    """

    weight_V: Int64s
    number_V: Int32s
    met_V: Int32s


_U8, _I32, _I64, _U64 = types.uint8[::1], types.int32[::1], types.int64[::1], types.uint64[::1]
_READ_64 = read_only(types.int64)
_WORD_TABLE = types.NamedTuple((types.uint64[:, ::1], _U8), WordTable)
_TEXT = types.NamedTuple((_I32, _I32, _I64, _I64), Text)
_PAIRS = types.NamedTuple((_U64, _I64, _I64, _I32, _I32, _I32), Pairs)
_QUEUE = types.NamedTuple((_I64, _I32), Queue)
_SIDE = types.NamedTuple((_I64, _I32, _I32), Side)


@kernel()
def _run_end(flags_C, i, kinds):
    """Returns where the characters from i on that are of some kinds end."""
    while flags_C[i] & kinds:
        i += 1
    return i


@kernel()
def _cased_end(flags_C, i):
    """Returns where capitals and then at least one small letter end, or -1; of the first alternative.

    Letters without case may be either: where no small letter follows, the last of them is the small one.
    """
    end, without_small = i, -1
    while flags_C[end] & _CAPITAL:
        end += 1
        if flags_C[end - 1] & _SMALL:
            without_small = end
    small_end = _run_end(flags_C, end, _SMALL)
    return small_end if small_end > end else without_small


@kernel()
def _capitals_end(flags_C, i):
    """Returns where at least one capital and then small letters end, or -1; of the second alternative."""
    end = _run_end(flags_C, i, _CAPITAL)
    return _run_end(flags_C, end, _SMALL) if end > i else -1


@kernel()
def _letters_end(flags_C, i):
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
def _ending_size(data_B, j, end):
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
def _others_end(flags_C, i):
    return _run_end(flags_C, _run_end(flags_C, i, _OTHER), _BEHIND)


@kernel()
def _blanks_end(flags_C, i):
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
def _word_end(data_B, flags_C, at_C, i, num_chars):
    """Returns the character behind the word that begins at character i."""
    end = _letters_end(flags_C, i)
    if end >= 0:
        end += _ending_size(data_B, at_C[end], at_C[num_chars])
    elif flags_C[i] & _DIGIT:
        end = i + 1
        while end < i + 3 and flags_C[end] & _DIGIT:
            end += 1
    elif flags_C[i] & _OTHER:
        end = _others_end(flags_C, i)
    elif data_B[at_C[i]] == 32 and flags_C[i + 1] & _OTHER:
        end = _others_end(flags_C, i + 1)
    else:
        end = _blanks_end(flags_C, i)
    return end


@kernel()
def _starts(data_B, j, end, text_T):
    """Returns whether the bytes from j are those of a text."""
    same = j + len(text_T) <= end
    k = 0
    while same and k < len(text_T):
        same = data_B[j + k] == text_T[k]
        k += 1
    return same


@kernel()
def _link_start(data_B, start, colon, end):
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
def _link_end(data_B, colon, end):
    """Returns the byte behind the link token that has its colon at a byte: the longest one."""
    j = colon + len(_SLASHES)
    if _starts(data_B, j, end, _WWW):
        j += len(_WWW)
    elif _starts(data_B, j, end, _T_CO):
        j += len(_T_CO)
    return j


@kernel()
def _read_chars(data_B, start, end, flags_F, flags_C, at_C):
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


@kernel()
def _few(data_B, j, size):
    """Returns fewer than 8 bytes from j as a little-endian number."""
    if j + 8 <= len(data_B):
        few = load8(data_B, j) & ((np.uint64(1) << np.uint64(8 * size)) - np.uint64(1))
    else:
        few = np.uint64(0)
        for k in range(size):
            few |= np.uint64(data_B[j + k]) << np.uint64(8 * k)
    return few


@kernel()
def _key_of(data_B, start, size):
    """Returns the key of a word: its size and its bytes, or (with the highest bit) a hash of them; not 0."""
    if size <= _MOST_IN_KEY:
        key = (np.uint64(size + 1) << np.uint64(56)) | _few(data_B, start, size)
    else:
        key = np.uint64(size)
        for j in range(start, start + size - 8, 8):
            key = (key ^ load8(data_B, j)) * GOLDEN_RATIO
            key ^= key >> np.uint64(29)
        key = ((key ^ load8(data_B, start + size - 8)) * GOLDEN_RATIO) | _LONG
    return key


@kernel()
def _are_equal(a_B, i, b_B, j, size):
    """Returns whether two runs of 8 bytes or more are the same."""
    same = load8(a_B, i + size - 8) == load8(b_B, j + size - 8)
    k = 0
    while same and k < size - 8:
        same = load8(a_B, i + k) == load8(b_B, j + k)
        k += 8
    return same


@kernel()
def _home(key, mask):
    return ((key * GOLDEN_RATIO) >> np.uint64(32)) & mask


@intrinsic
def _fetch(typingctx, slot_H4, slot):
    """Asks the cache for a slot that is read soon; most of a look-up is waiting for memory."""
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils

    def codegen(context, builder, signature, args):
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
def _word_slot(table, data_B, start, size, key):
    """Returns the slot of a word, or the free one where it would be entered."""
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
def _add(table, sizes, data_B, start, size, key, count, weight):
    """Adds to a word, which is entered if it is new; there must be room for it."""
    slot = _word_slot(table, data_B, start, size, key)
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
def _has_room(table, sizes, num_words, num_bytes):
    """Returns whether there is room for more words and bytes, and notes how many bytes they are."""
    sizes[NEED] = num_bytes
    slots, bytes_ = 2 * (sizes[NUM_WORDS] + num_words), sizes[NUM_BYTES] + num_bytes
    return slots <= table.slot_H4.shape[0] and bytes_ <= len(table.data_B)


@kernel(types.boolean(BYTES, OFFSETS, _READ_64, BYTES, _U8, _I64, _I64, _U64, _WORD_TABLE, _I64))
def add_texts(data_B, offsets_N1, weight_N, flags_F, flags_C, at_C, end_C, key_C, table, sizes):
    """Counts the words of the texts from `sizes[ROW]` on; returns whether it is done or needs room."""
    mask = np.uint64(table.slot_H4.shape[0] - 1)
    while sizes[ROW] < len(weight_N):
        row = sizes[ROW]
        start, end = np.int64(offsets_N1[row]), np.int64(offsets_N1[row + 1])
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


@kernel(types.boolean(BYTES, OFFSETS, _READ_64, _READ_64, _WORD_TABLE, _I64))
def add_words(data_B, offsets_N1, count_N, weight_N, table, sizes):
    """Adds counted words from `sizes[ROW]` on; returns whether it is done or needs room."""
    while sizes[ROW] < len(count_N):
        row = sizes[ROW]
        start, end = np.int64(offsets_N1[row]), np.int64(offsets_N1[row + 1])
        if not _has_room(table, sizes, 1, end - start):
            return False
        key = _key_of(data_B, start, end - start)
        _add(table, sizes, data_B, start, end - start, key, count_N[row], weight_N[row])
        sizes[ROW] += 1
    return True


@kernel(types.void(types.uint64[:, ::1], types.uint64[:, ::1]))
def move_words(old_H4, new_H4):
    """Enters the words of a hash table into an empty, larger one."""
    mask = np.uint64(new_H4.shape[0] - 1)
    for i in range(old_H4.shape[0]):
        if old_H4[i, KEY] != 0:
            slot = _home(old_H4[i, KEY], mask)
            while new_H4[slot, KEY] != 0:
                slot = (slot + np.uint64(1)) & mask
            new_H4[slot] = old_H4[i]


@kernel(types.void(BYTES, OFFSETS, _U64))
def draw_words(data_B, offsets_N1, draw_N):
    """Fills a number for each word that is as if drawn."""
    for i in range(len(draw_N)):
        start, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        x = _key_of(data_B, start, end - start)
        x = (x ^ (x >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
        x = (x ^ (x >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
        draw_N[i] = x ^ (x >> np.uint64(33))


@kernel(types.void(BYTES, _READ_64, _READ_64, _I32, _I32))
def fill_text(data_B, offsets_W1, order_W, id_of_byte, symbol_S):
    """Writes the words, in an order, as the ids of their bytes."""
    symbol_S[0] = END
    s = 1
    for k in range(len(order_W)):
        for j in range(offsets_W1[order_W[k]], offsets_W1[order_W[k] + 1]):
            symbol_S[s] = id_of_byte[data_B[j]]
            s += 1
        symbol_S[s] = END
        s += 1


@kernel(types.void(_TEXT, types.int64, types.int64, _I64, _I64))
def count_first(text, base, num_ids, count_P, number_P):
    """Counts the occurrences and the places of each pair of single bytes."""
    g = 0
    for s in range(1, len(text.symbol_S) - 1):
        a, b = text.symbol_S[s], text.symbol_S[s + 1]
        if a != END and b != END:
            while s >= text.end_G[g]:
                g += 1
            count_P[(a - base) * num_ids + b - base] += text.count_G[g]
            number_P[(a - base) * num_ids + b - base] += 1


@kernel()
def _list_place(pairs, k, s):
    if k >= 0:
        pairs.place_A[pairs.start_K[k] + pairs.size_K[k]] = s
        pairs.size_K[k] += 1


@kernel(types.void(_TEXT, _PAIRS, types.int64, types.int64, _I64))
def place_first(text, pairs, base, num_ids, number_P):
    """Lists the places of the pairs of single bytes that have a number."""
    for s in range(1, len(text.symbol_S) - 1):
        a, b = text.symbol_S[s], text.symbol_S[s + 1]
        if a != END and b != END:
            _list_place(pairs, number_P[(a - base) * num_ids + b - base], s)


@kernel()
def _is_before(count, key, other_count, other_key):
    """Returns whether a pair is more frequent than another, or as frequent with a smaller key."""
    return count > other_count or (count == other_count and key < other_key)


@kernel()
def _sink(queue, key_K, n, i):
    """Moves entry i of n down to its place in the heap."""
    count, pair = queue.count_K[i], queue.pair_K[i]
    key = key_K[pair]
    child = 2 * i + 1
    while child < n:
        other = child + 1
        if other < n and _is_before(
            queue.count_K[other],
            key_K[queue.pair_K[other]],
            queue.count_K[child],
            key_K[queue.pair_K[child]],
        ):
            child = other
        if not _is_before(queue.count_K[child], key_K[queue.pair_K[child]], count, key):
            break
        queue.count_K[i], queue.pair_K[i] = queue.count_K[child], queue.pair_K[child]
        i = child
        child = 2 * i + 1
    queue.count_K[i], queue.pair_K[i] = count, pair


@kernel()
def _rise(queue, key_K, i):
    """Moves entry i up to its place in the heap."""
    count, pair = queue.count_K[i], queue.pair_K[i]
    key = key_K[pair]
    while i > 0:
        parent = (i - 1) >> 1
        if not _is_before(count, key, queue.count_K[parent], key_K[queue.pair_K[parent]]):
            break
        queue.count_K[i], queue.pair_K[i] = queue.count_K[parent], queue.pair_K[parent]
        i = parent
    queue.count_K[i], queue.pair_K[i] = count, pair


@kernel()
def _pair_slot(pairs, key):
    """Returns the slot of a pair in the hash table, or the empty one where it would be entered."""
    mask = np.uint64(len(pairs.slot_H) - 1)
    slot = ((key * GOLDEN_RATIO) >> np.uint64(32)) & mask
    while pairs.slot_H[slot] != 0 and pairs.key_K[pairs.slot_H[slot] - 1] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@kernel()
def _pair_key(left, right):
    return (np.uint64(left) << np.uint64(32)) | np.uint64(right)


@kernel(types.void(_PAIRS, _QUEUE, _I64))
def index_pairs(pairs, queue, sizes):
    """Builds the hash table and the queue from the list of pairs."""
    n = sizes[PAIRS]
    pairs.slot_H[:] = 0
    for k in range(n):
        pairs.slot_H[_pair_slot(pairs, pairs.key_K[k])] = k + 1
        queue.count_K[k], queue.pair_K[k] = pairs.count_K[k], k
    for i in range(n // 2 - 1, -1, -1):
        _sink(queue, pairs.key_K, n, i)
    sizes[QUEUED] = n


@kernel()
def _is_at(text, key, s):
    """Returns whether the pair is still at a place."""
    left, right = np.int32(key >> np.uint64(32)), np.int32(key & _LOW)
    return text.symbol_S[s] == left and text.symbol_S[s + text.length_V[left]] == right


@kernel(types.void(_TEXT, _PAIRS, _QUEUE, _I64, types.int64, types.boolean))
def compact_pairs(text, pairs, queue, sizes, min_frequency, drop_places):
    """Drops pairs that cannot be merged any more, and, where asked, places that have changed."""
    num_pairs = num_places = first = 0
    alive = np.zeros(sizes[PAIRS], np.bool_)
    for i in range(sizes[QUEUED]):
        alive[queue.pair_K[i]] = True
    for k in range(sizes[PAIRS]):
        if alive[k] and pairs.count_K[k] >= min_frequency:
            start, size = pairs.start_K[k], pairs.size_K[k]
            if drop_places:
                for j in range(start, start + size):
                    if _is_at(text, pairs.key_K[k], pairs.place_A[j]):
                        pairs.place_A[num_places] = pairs.place_A[j]
                        num_places += 1
                size = num_places - first
                start, first = first, num_places
            pairs.key_K[num_pairs], pairs.count_K[num_pairs] = pairs.key_K[k], pairs.count_K[k]
            pairs.start_K[num_pairs], pairs.size_K[num_pairs] = start, size
            num_pairs += 1
    sizes[PAIRS] = num_pairs
    if drop_places:
        sizes[PLACES] = num_places


@kernel()
def _correct_top(pairs, queue, sizes, min_frequency):
    """Leaves a pair with its true count on top of the queue; drops those that became too rare."""
    while sizes[QUEUED] > 0:
        count = pairs.count_K[queue.pair_K[0]]
        if count == queue.count_K[0]:
            break
        if count < min_frequency:
            _drop_top(pairs, queue, sizes)
        else:
            queue.count_K[0] = count
            _sink(queue, pairs.key_K, sizes[QUEUED], 0)


@kernel()
def _drop_top(pairs, queue, sizes):
    sizes[QUEUED] -= 1
    n = sizes[QUEUED]
    if n > 0:
        queue.count_K[0], queue.pair_K[0] = queue.count_K[n], queue.pair_K[n]
        _sink(queue, pairs.key_K, n, 0)


@kernel()
def _group_of(end_G, g, s):
    """Returns the group of a slot; it is g or a later one, by doubling steps."""
    if s >= end_G[g]:
        step, low = 1, g
        while low + step < len(end_G) and s >= end_G[low + step]:
            low += step
            step *= 2
        high = min(low + step, len(end_G) - 1)
        while low + 1 < high:
            middle = (low + high) >> 1
            if s >= end_G[middle]:
                low = middle
            else:
                high = middle
        g = high
    return g


@kernel()
def _before(symbol_S, s):
    """Returns the first slot of the token before the one at s, or -1 at the start of a word."""
    last = symbol_S[s - 1]
    before = s - 1
    if last == END:
        before = -1
    elif last < 0:
        before = s + last
    return before


@kernel()
def _meet(side, token, weight, num_met):
    if side.number_V[token] == 0:
        side.met_V[num_met] = token
        num_met += 1
    side.weight_V[token] += weight
    side.number_V[token] += 1
    return num_met


@kernel()
def _rewrite(text, pairs, k, token, left, right):
    """Writes the token wherever the pair is.

    Leaves the places where it was at the front of the pair's list. Returns (places, ids met on the
    left, ids met on the right).
    """
    symbol_S, length_V = text.symbol_S, text.length_V
    key, start = pairs.key_K[k], pairs.start_K[k]
    first = length_V[np.int32(key >> np.uint64(32))]
    size = length_V[token]
    g = num_places = num_left = num_right = 0
    for j in range(start, start + pairs.size_K[k]):
        s = np.int64(pairs.place_A[j])
        if _is_at(text, key, s):
            g = _group_of(text.end_G, g, s)
            weight = text.count_G[g]
            before, after = _before(symbol_S, s), symbol_S[s + size]
            if before >= 0:
                num_left = _meet(left, symbol_S[before], weight, num_left)
            if after != END:
                num_right = _meet(right, after, weight, num_right)
            symbol_S[s + first] = _INSIDE
            symbol_S[s + size - 1] = -size
            symbol_S[s] = token
            pairs.place_A[start + num_places] = s
            num_places += 1
    return num_places, num_left, num_right


@kernel()
def _enter(pairs, queue, sizes, key, weight, num_places):
    """Adds a pair that was not there before, with room for its places; returns its number."""
    k = sizes[PAIRS]
    pairs.key_K[k], pairs.count_K[k] = key, weight
    pairs.start_K[k], pairs.size_K[k] = sizes[PLACES], 0
    pairs.slot_H[_pair_slot(pairs, key)] = k + 1
    n = sizes[QUEUED]
    queue.count_K[n], queue.pair_K[n] = weight, k
    _rise(queue, pairs.key_K, n)
    sizes[PAIRS] += 1
    sizes[QUEUED] += 1
    sizes[PLACES] += num_places
    return k


@kernel()
def _update_pairs(
    pairs, queue, sizes, side, num_met, old, new, min_frequency, is_left, again, undone
):
    """Lowers the counts of one side's old pairs and enters its new ones.

    `old` is the merged pair's own symbol on that side, `new` the token. `undone` is subtracted from the
    count of the new pair with the id `again`. Leaves in `number_V` the numbers of the new pairs, or -1.
    """
    for i in range(num_met):
        other = side.met_V[i]
        weight, number = side.weight_V[other], side.number_V[other]
        side.weight_V[other], side.number_V[other] = 0, -1
        if is_left:
            old_key, new_key = _pair_key(other, old), _pair_key(other, new)
        else:
            old_key, new_key = _pair_key(old, other), _pair_key(new, other)
        k = pairs.slot_H[_pair_slot(pairs, old_key)] - 1
        if k >= 0:
            pairs.count_K[k] = max(0, pairs.count_K[k] - weight)
        if other == again:
            weight -= undone
        if weight >= min_frequency:
            side.number_V[other] = _enter(pairs, queue, sizes, new_key, weight, number)


@kernel()
def _list_all_places(text, pairs, start, num_places, token, left, right):
    """Lists the places of the new pairs; two new tokens side by side are listed by the right one."""
    symbol_S, size = text.symbol_S, text.length_V[token]
    for j in range(start, start + num_places):
        s = np.int64(pairs.place_A[j])
        before, after = _before(symbol_S, s), symbol_S[s + size]
        if before >= 0:
            _list_place(pairs, left.number_V[symbol_S[before]], before)
        if after != END and after != token:
            _list_place(pairs, right.number_V[after], s)


@kernel()
def _clear(side, num_met):
    for i in range(num_met):
        side.number_V[side.met_V[i]] = 0


@kernel(types.boolean(_TEXT, _PAIRS, _QUEUE, _SIDE, _SIDE, _I64, types.int32[:, ::1], types.int64))
def merge_pairs(text, pairs, queue, left, right, sizes, merges_M2, min_frequency):
    """Merges until the vocabulary is full or pairs are too rare; returns False where it needs room."""
    num_ids = len(left.weight_V)
    first_id = num_ids - len(merges_M2)
    while sizes[TOKENS] < num_ids:
        _correct_top(pairs, queue, sizes, min_frequency)
        if sizes[QUEUED] == 0:
            break
        k, token = queue.pair_K[0], np.int32(sizes[TOKENS])
        sizes[MORE_PLACES] = 2 * pairs.size_K[k]  # one on either side of each place
        sizes[MORE_PAIRS] = min(sizes[MORE_PLACES], 2 * np.int64(token) + 2)
        pairs_left = len(pairs.key_K) - sizes[PAIRS]
        places_left = len(pairs.place_A) - sizes[PLACES]
        if sizes[MORE_PAIRS] > pairs_left or sizes[MORE_PLACES] > places_left:
            return False
        _drop_top(pairs, queue, sizes)
        key = pairs.key_K[k]
        a, b = np.int32(key >> np.uint64(32)), np.int32(key & _LOW)
        merges_M2[token - first_id, 0], merges_M2[token - first_id, 1] = a, b
        text.length_V[token] = text.length_V[a] + text.length_V[b]
        num_places, num_left, num_right = _rewrite(text, pairs, k, token, left, right)
        pairs.count_K[k] = 0
        # Where the token occurs twice in a row, the second place undoes a pair that the first one made.
        undone = left.weight_V[token]
        sizes[TOKENS] += 1
        _update_pairs(pairs, queue, sizes, left, num_left, a, token, min_frequency, True, -1, 0)
        _update_pairs(
            pairs, queue, sizes, right, num_right, b, token, min_frequency, False, a, undone
        )
        _list_all_places(text, pairs, pairs.start_K[k], num_places, token, left, right)
        _clear(left, num_left)
        _clear(right, num_right)
    return True
