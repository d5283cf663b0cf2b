"""The kernels of decontamination: the words of texts, the n-grams of a table in them, and who holds an item.

A word is a run of letters and digits, folded by a table (`folds.py`); a character of a script without
spaces is a word of its own. Words weigh: 4 is one of a script with spaces, 2 a Han or kana character, 1 a
Thai one. An n-gram ends at each word: it is the fewest words up to there that weigh NGRAM. So how many words
it has follows from the words alone, in posts as in items.

Shape suffixes: N texts, T words of a text or of all parts, K n-grams of the table, G their places, P parts, M
n-grams found, U code points, E entries of expansions, W words of bits, B buckets, H hits of a text.
"""

import numpy as np

from sluice.filters.decontamination.layout import Folds, TableArrays
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

SEPARATES, JOINS = 0, 1
"""Folds of characters that end a word, and of those that are dropped within one."""
APOSTROPHE = 0x27
CODE_POINT = (1 << 21) - 1
CJK, UNSPACED, FIGURE, EXPANDS = 1 << 21, 1 << 22, 1 << 23, 1 << 24
"""Bits of a fold beside its code point; one that expands is a place in the expansions."""
WHOLE_WORD, CJK_WEIGHT, UNSPACED_WEIGHT = 4, 2, 1
NGRAM = 5 * WHOLE_WORD
"""What an n-gram weighs at least: five words."""
LONG = 12 * WHOLE_WORD
"""What a part weighs at most that is matched whole; a longer one is held if as much of it is in a post, or
three quarters of it, whichever is less."""

_POWERS = np.array([pow(int(GOLDEN_RATIO), n, 2**64) for n in range(NGRAM + 1)], np.uint64)
_ONES, _HIGHS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_CASES = _ONES * np.uint64(0x20)
_BEFORE_A, _BEHIND_Z = _ONES * np.uint64(0x80 - 0x61), _ONES * np.uint64(0x80 - 0x7B)
_BEFORE_0, _BEHIND_9 = _ONES * np.uint64(0x80 - 0x30), _ONES * np.uint64(0x80 - 0x3A)
_FIRST_BYTES = np.array([256**n - 1 for n in range(9)], np.uint64)
_INT = types.int64
_U32, _U8, _I32 = types.uint32[::1], types.uint8[::1], types.int32[::1]
_READ_U64, _READ_U32, _READ_I32 = map(read_only, (types.uint64, types.uint32, types.int32))
_READ_U8, _READ_BOOL = BYTES, read_only(types.boolean)
_TABLE = types.NamedTuple(
    (
        *(_READ_U64, _READ_U64, _READ_I32, _READ_I32, _READ_U8),
        *(_READ_I32, _READ_I32, _READ_U32, _READ_U8, _READ_I32),
    ),
    TableArrays,
)
_FOLDS = types.NamedUniTuple(_READ_U32, 2, Folds)
_FOUND = types.Tuple((_I32, _I32, _I32))


@kernel()
def _spread(h):
    h = (h ^ (h >> np.uint64(32))) * GOLDEN_RATIO
    return h ^ (h >> np.uint64(29))


@intrinsic
def _first_byte(typingctx, bits):
    """Returns which of 8 bytes holds the lowest bit that is set, 8 where none is."""
    from llvmlite import ir
    from numba import types

    def codegen(context, builder, signature, args):
        zeros = builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))
        return builder.lshr(zeros, ir.Constant(ir.IntType(64), 3))

    return types.int64(types.uint64), codegen


@kernel()
def _plain_run(x):
    """Returns how many of 8 bytes, from the first on, are letters or digits of ASCII."""
    low = x & ~_HIGHS
    lower = low | _CASES
    letters = (lower + _BEFORE_A) & ~(lower + _BEHIND_Z)
    figures = (low + _BEFORE_0) & ~(low + _BEHIND_9)
    return _first_byte(~((letters | figures) & ~x) & _HIGHS)


@kernel()
def _mixed(h, x):
    h = (h ^ x) * GOLDEN_RATIO
    return h ^ (h >> np.uint64(29))


@kernel()
def _end_word(h, letters, t, word_T, weight_T, letters_T, weight):
    """Writes a word; returns how many there are with it."""
    word_T[t] = np.uint32(_spread(h) >> np.uint64(32))
    weight_T[t] = weight
    letters_T[t] = min(letters, 255)
    return t + 1


@kernel()
def _take(f, word, t, word_T, weight_T, letters_T):
    """Takes a fold that does not expand into the current word; returns (the word, words that ended).

    A word is its hash, up to 7 characters of ASCII that are not in it yet, their number, its letters, and
    whether it begins with a figure. The hash takes eight characters of ASCII at once, or one other.
    """
    h, packed, filled, chars, is_number = word
    if f == JOINS:
        return word, t
    if JOINS < f < CJK or f & FIGURE:
        is_number = f & FIGURE > 0 if chars == 0 else is_number
        if f & CODE_POINT < 128:
            packed |= np.uint64(f & CODE_POINT) << np.uint64(8 * filled)
            filled += 1
            if filled == 8:
                h, packed, filled = _mixed(h, packed), np.uint64(0), 0
        else:
            if filled > 0:
                h, packed, filled = _mixed(h, packed), np.uint64(0), 0
            h = _mixed(h, np.uint64(f))
        return (h, packed, filled, chars + 1, is_number), t
    if chars > 0:
        h = _mixed(h, packed) if filled > 0 else h
        letters = 0 if is_number else chars
        t = _end_word(h, letters, t, word_T, weight_T, letters_T, WHOLE_WORD)
    if f & CJK:
        t = _end_word(np.uint64(f), 2, t, word_T, weight_T, letters_T, CJK_WEIGHT)
    elif f & UNSPACED:
        t = _end_word(np.uint64(f), 1, t, word_T, weight_T, letters_T, UNSPACED_WEIGHT)
    return (np.uint64(0), np.uint64(0), 0, 0, False), t


@kernel()
def _take_letters(f, word, data_B, j, end, folds_U):
    """Takes a letter beyond ASCII, and those of two bytes behind it; returns (the word, the end)."""
    h, packed, filled, chars, is_number = word
    h = _mixed(h, packed) if filled > 0 else h
    h, chars = _mixed(h, np.uint64(f)), chars + 1
    while j + 1 < end and 0xC0 <= data_B[j] < 0xE0:
        f = folds_U[(np.int64(data_B[j]) & 0x1F) << 6 | np.int64(data_B[j + 1]) & 0x3F]
        if not 128 <= f < CJK:
            break
        h, chars, j = _mixed(h, np.uint64(f)), chars + 1, j + 2
    return (h, np.uint64(0), 0, chars, is_number), j


@kernel(_INT(BYTES, _INT, _INT, _FOLDS, _U32, _U8, _U8))
def _split(data_B, j, end, folds, word_T, weight_T, letters_T):
    """Writes the words of the text in bytes [j, end); returns how many there are."""
    folds_U, expansions_E = folds
    t, word = 0, (np.uint64(0), np.uint64(0), 0, 0, False)
    last_load = len(data_B) - 8
    while j < end:
        c = data_B[j]
        if c < 128 and word[2] == 0 and j <= last_load:
            x = load8(data_B, j)
            n = min(_plain_run(x), end - j)
            h, _, _, chars, is_number = word
            if n > 0:
                is_number = c <= 57 if chars == 0 else is_number
                packed, chars, j = (x | _CASES) & _FIRST_BYTES[n], chars + n, j + n
                if n == 8:
                    word = _mixed(h, packed), np.uint64(0), 0, chars, is_number
                elif j < end and (data_B[j] >= 128 or data_B[j] == APOSTROPHE):
                    word = h, packed, n, chars, is_number
                else:
                    letters, h = 0 if is_number else chars, _mixed(h, packed)
                    t = _end_word(h, letters, t, word_T, weight_T, letters_T, WHOLE_WORD)
                    word, j = (np.uint64(0), np.uint64(0), 0, 0, False), j + 1
                continue
            if chars == 0:
                j += 1
                continue
        n, f = 1, np.uint32(0)
        if c < 128:
            f = folds_U[c]
        elif c < 0xE0 and j + 1 < end:
            n, f = 2, folds_U[(np.int64(c) & 0x1F) << 6 | np.int64(data_B[j + 1]) & 0x3F]
        else:
            cp, n = decode_at(data_B, j, end)
            f = folds_U[cp]
        j += n
        if word[3] == 0 and f <= JOINS:
            continue
        if word[3] == 0 and f & (CJK | UNSPACED):
            letters, weight = (2, CJK_WEIGHT) if f & CJK else (1, UNSPACED_WEIGHT)
            t = _end_word(np.uint64(f), letters, t, word_T, weight_T, letters_T, weight)
            continue
        if 128 <= f < CJK:
            word, j = _take_letters(f, word, data_B, j, end, folds_U)
            continue
        if f & EXPANDS:
            place = np.int64(f & CODE_POINT)
            for e in range(place + 1, place + 1 + expansions_E[place]):
                word, t = _take(expansions_E[e], word, t, word_T, weight_T, letters_T)
        else:
            word, t = _take(f, word, t, word_T, weight_T, letters_T)
    _, t = _take(np.uint32(SEPARATES), word, t, word_T, weight_T, letters_T)
    return t


@kernel(_INT(BYTES, OFFSETS, _FOLDS, _U32, _U8, _U8, _I32))
def split_all(data_B, offsets_N1, folds, word_T, weight_T, letters_T, start_N1):
    """Writes the words of all texts, one after the other, and where each begins; returns how many."""
    t = 0
    for i in range(len(offsets_N1) - 1):
        start_N1[i] = t
        j, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        t += _split(data_B, j, end, folds, word_T[t:], weight_T[t:], letters_T[t:])
    start_N1[len(offsets_N1) - 1] = t
    return t


@kernel()
def _ngram_to(word_T, weight_T, b, a, weight, key):
    """Returns (first word, weight, hash before it is spread) of the n-gram that ends with word `b`.

    `a`, `weight` and `key` are those of the word before.
    """
    key = key * GOLDEN_RATIO + np.uint64(word_T[b])
    weight += weight_T[b]
    while weight - weight_T[a] >= NGRAM:
        key -= np.uint64(word_T[a]) * _POWERS[b - a]
        weight -= weight_T[a]
        a += 1
    return a, weight, key


@kernel(types.void(_READ_U32, _READ_U8, _READ_I32, types.uint64[::1], _I32))
def ngrams(word_T, weight_T, start_P1, key_T, begin_T):
    """Writes the n-gram that ends with each word, and its first word; -1 where there is none."""
    for p in range(len(start_P1) - 1):
        a, weight, key = np.int64(start_P1[p]), np.int64(0), np.uint64(0)
        for b in range(start_P1[p], start_P1[p + 1]):
            a, weight, key = _ngram_to(word_T, weight_T, b, a, weight, key)
            key_T[b] = _spread(key)
            begin_T[b] = a if weight >= NGRAM else -1


@kernel()
def _bits_of(key):
    """Returns the two bits that an n-gram sets in a word."""
    return np.uint64(1) << (key & np.uint64(63)) | np.uint64(1) << (
        key >> np.uint64(6) & np.uint64(63)
    )


@kernel(types.void(_READ_U64, types.uint64[::1]))
def set_bits(key_K, bits_W):
    """Sets the bits of all n-grams."""
    for key in key_K:
        bits_W[np.int64(key >> np.uint64(12)) & (len(bits_W) - 1)] |= _bits_of(key)


@kernel(_INT(_TABLE, types.uint64))
def _number_of(table, key):
    """Returns the number of an n-gram among the keys, or -1."""
    bucket_B1, key_K = table.bucket_B1, table.key_K
    high = np.int64((key >> np.uint64(32)) * np.uint64(len(bucket_B1) - 1) >> np.uint64(32))
    for k in range(bucket_B1[high], bucket_B1[high + 1]):
        if key_K[k] == key:
            return k
    return -1


@kernel(_INT(BYTES, OFFSETS, _FOLDS, _TABLE, types.boolean, _FOUND))
def find(data_B, offsets_N1, folds, table, every, found):
    """Writes the n-grams of the table that the texts have, as far as there is room; returns how many.

    Of each the row, the word behind it, and its number. Without `every`, those of rows that cannot hold a
    part are left out: one n-gram alone, of no part that is matched whole.
    """
    row_M, end_M, key_M = found
    longest = 0
    for i in range(len(offsets_N1) - 1):
        longest = max(longest, offsets_N1[i + 1] - offsets_N1[i])
    word_T, weight_T, letters_T = _room(longest)
    bits_W, last = table.bits_W, len(table.bits_W) - 1
    m, room = 0, len(row_M)
    for i in range(len(offsets_N1) - 1):
        j, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        num_words = _split(data_B, j, end, folds, word_T, weight_T, letters_T)
        a, weight, key = np.int64(0), np.int64(0), np.uint64(0)
        first, whole = m, False
        for b in range(num_words):
            a, weight, key = _ngram_to(word_T, weight_T, b, a, weight, key)
            h = _spread(key)
            mask = _bits_of(h)
            if bits_W[np.int64(h >> np.uint64(12)) & last] & mask != mask or weight < NGRAM:
                continue
            k = _number_of(table, h)
            if k >= 0:
                if m < room:
                    row_M[m], end_M[m], key_M[m] = i, b + 1, k
                m += 1
                whole |= table.whole_K[k] > 0
        if m == first + 1 and not whole and not every:
            m = first
    return m


@kernel()
def _room(num_bytes):
    """Returns arrays for the words of a text of so many bytes: a character gives four words at most."""
    room = 2 * num_bytes + 8
    return np.empty(room, np.uint32), np.empty(room, np.uint8), np.empty(room, np.uint8)


@kernel()
def _begin(weight_T, b):
    """Returns the first word of the n-gram that ends before word `b`."""
    weight = 0
    while weight < NGRAM:
        b -= 1
        weight += weight_T[b]
    return b


@kernel(types.boolean(_TABLE, _U32, _INT, _INT, _INT, _INT))
def _is_same(table, word_T, first, last, number, part):
    """Returns whether the words [first, last) of the text are those from `number` on, all in the part."""
    starts = table.start_P1
    if number < starts[part] or number + last - first > starts[part + 1] or first < 0:
        return False
    t = 0
    while t < last - first and word_T[first + t] == table.word_T[number + t]:
        t += 1
    return t == last - first


@kernel(_INT(_TABLE, _INT))
def _weight_of(table, part):
    weight = 0
    for t in range(table.start_P1[part], table.start_P1[part + 1]):
        weight += table.weight_T[t]
    return weight


@kernel()
def _mark_run(table, word_T, weight_T, num_words, part, a, b, number, seen_T, stamp):
    """Marks the words around [a, b) that are equal in text and part; `number` is that of `a` in the part.

    Returns (the weight of those that were not marked, the end of the run).
    """
    starts, words = table.start_P1, table.word_T
    while a > 0 and number > starts[part] and word_T[a - 1] == words[number - 1]:
        a, number = a - 1, number - 1
    weight, t = 0, a
    while t < num_words and number < starts[part + 1] and word_T[t] == words[number]:
        if seen_T[t] != stamp:
            seen_T[t] = stamp
            weight += weight_T[t]
        t, number = t + 1, number + 1
    return weight, t


@kernel()
def _held_weight(table, word_T, weight_T, num_words, part, end_H, place_H, first, last, seen_T):
    """Returns the weight of a long part that is in a text, 0 unless two n-grams are apart in both.

    [first, last) are its hits, in the order of the text: the word behind the n-gram, in text and table.
    """
    held, apart, before = 0, False, first
    lowest, highest = np.int64(1 << 40), np.int64(-1)
    diagonal, stop = np.int64(1 << 40), np.int64(-1)
    for h in range(first, last):
        b, e = np.int64(end_H[h]), np.int64(place_H[h])
        a = np.int64(_begin(weight_T, b))
        while before < h and end_H[before] <= a:
            number = np.int64(place_H[before])
            lowest = min(lowest, number)
            highest = max(highest, np.int64(_begin(table.weight_T, number)))
            before += 1
        apart = apart or bool(lowest <= e - (b - a) or highest >= e)
        if diagonal != e - b or b > stop:
            more, stop = _mark_run(
                table, word_T, weight_T, num_words, part, a, b, e - (b - a), seen_T, first
            )
            held, diagonal = held + more, e - b
    return held if apart else 0


@kernel(types.void(BYTES, OFFSETS, _FOLDS, _TABLE, _FOUND, _I32, types.float32[::1]))
def judge(data_B, offsets_N1, folds, table, found, part_N, share_N):
    """Writes the first part that each text holds, and how much of it; -1 and 0 where it holds none."""
    row_M, end_M, key_M = found
    m = 0
    while m < len(row_M):
        i, first = row_M[m], m
        while m < len(row_M) and row_M[m] == i:
            m += 1
        j, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        word_T, weight_T, letters_T = _room(end - j)
        num_words = _split(data_B, j, end, folds, word_T, weight_T, letters_T)
        num_places = 0
        for n in range(first, m):
            num_places += table.place_K1[key_M[n] + 1] - table.place_K1[key_M[n]]
        hit_H = np.empty(
            num_places, np.int64
        )  # part, and number of the hit: sorted, parts are together
        end_H, place_H = np.empty(num_places, np.int32), np.empty(num_places, np.int32)
        best, share, hits = np.int64(1 << 40), np.float32(0), 0
        for n in range(first, m):
            b, k = np.int64(end_M[n]), key_M[n]
            a = np.int64(_begin(weight_T, b))
            for g in range(table.place_K1[k], table.place_K1[k + 1]):
                part, e = np.int64(table.part_G[g]), np.int64(table.end_G[g])
                if not _is_same(table, word_T, a, b, e - (b - a), part):
                    continue
                start, stop = np.int64(table.start_P1[part]), np.int64(table.start_P1[part + 1])
                if _weight_of(table, part) > LONG:
                    hit_H[hits] = part << 32 | hits
                    end_H[hits], place_H[hits] = b, e
                    hits += 1
                    continue
                begin, end_of_part = b - (e - start), b + stop - e
                fits = part < best and end_of_part <= num_words
                if fits and _is_same(table, word_T, begin, end_of_part, start, part):
                    best, share = part, np.float32(1)
        hit_H = np.sort(hit_H[:hits])
        order_H = hit_H & 0xFFFFFFFF
        end_H, place_H = end_H[order_H], place_H[order_H]
        seen_T = np.full(num_words, -1, np.int32)
        h = 0
        while h < hits:
            part, first_hit = hit_H[h] >> 32, h
            while h < hits and hit_H[h] >> 32 == part:
                h += 1
            if part >= best:
                break
            held = _held_weight(
                table, word_T, weight_T, num_words, part, end_H, place_H, first_hit, h, seen_T
            )
            weight = _weight_of(table, part)
            if held >= min(LONG, weight - weight // 4):
                best, share = part, np.float32(min(1.0, held / weight))
        if best < 1 << 40:
            part_N[i], share_N[i] = best, share
