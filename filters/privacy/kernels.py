"""The kernel that picks the places of a text where personal data may stand.

One pass, linear in the text. It decides nothing: it leaves out what surely is none, so that the checks
see a post in a hundred.
"""

import numpy as np

from sluice.filters.text.kernels import DIGIT
from sluice.schemas.kernel import BYTES, OFFSETS, decode_at, kernel, load8, types

_INT, _INTS = types.int64, types.int32[::1]
_ONES, _HIGHS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_HALVES, _FIGURES = np.uint64(0xF0F0F0F0F0F0F0F0), np.uint64(0x3030303030303030)
_ATS, _DASHES = np.uint64(0x4040404040404040), np.uint64(0x2D2D2D2D2D2D2D2D)

# What was seen: the bits of a candidate.
NUMBER, TOKEN, ADDRESS, LINK, ASSIGNED, BLOCK = 1, 2, 4, 8, 16, 32

# Classes of bytes.
PLAIN, FIGURE, AT, COLON, EQUALS, DASH, LEAD = 0, 1, 2, 3, 4, 5, 6

GAP = 7
"""Most bytes between two digits of one number."""
DIGITS = 7
"""Fewest digits of a number that is looked at: of a phone in a small country."""
DECIMALS = 4
"""Decimals of a coordinate."""
LONG_WORD, CODE = 20, 9
"""Bytes of a word that may be a key, and of upper-case letters and digits that may be an identity number."""
CODE_DIGITS = 4
FULL_WIDTH_AT = 0xFF20
SECRET = 12
"""Fewest bytes of a value that is named as a secret."""
LABEL = 64
"""Most bytes of a name of a domain that is looked at."""
SEGMENT = 24
"""Bytes without a break in a link's path that may be a key."""


@kernel()
def _is_word(c):
    return 48 <= c <= 57 or 65 <= c <= 90 or c == 95 or 97 <= c <= 122


@kernel()
def _is_hex(c):
    return 48 <= c <= 57 or 65 <= c <= 70 or 97 <= c <= 102


@kernel(types.boolean(BYTES, _INT, _INT))
def _may_be_key(data_B, start, end):
    """Returns whether the word of these bytes may be a key, a wallet or an identity number."""
    digits, lower, upper = 0, 0, 0
    for j in range(start, end):
        c = data_B[j]
        digits += 48 <= c <= 57
        lower += 97 <= c <= 122
        upper += 65 <= c <= 90
    if end - start >= LONG_WORD:
        return digits > 0 and lower + upper > 0
    return lower == 0 and upper > 0 and digits >= CODE_DIGITS


@kernel(types.UniTuple(_INT, 2)(BYTES, _INT, _INT))
def _link_end(data_B, j, end):
    """Returns (the end of the link whose scheme ends at `j`, whether something secret may be in it)."""
    host = data_B[j] if j < end else np.uint8(0)
    seen = 48 <= host <= 57 or host == 91
    segment, digits = 0, 0
    if j + 6 < end and data_B[j] == 119 and data_B[j + 1] == 97 and data_B[j + 2] == 46:
        seen = True  # wa.me/ and a number
    while j < end:
        c = data_B[j]
        if c <= 32 or c == 34 or c == 60 or c == 62 or c >= 127:
            break
        if c == 64 or c == 61:
            seen = True
        if _is_word(c):
            segment += 1
            digits += c <= 57
            seen |= segment >= SEGMENT and digits > 0
        else:
            segment, digits = 0, 0
        j += 1
    return j, np.int64(seen)


@kernel(types.boolean(BYTES, _INT, _INT, _INT))
def _is_in_address(data_B, j, start, end):
    """Returns whether the colon at `j` may be the first one of a global IPv6 address."""
    if j < start + 4 or j + 1 >= end or not (data_B[j - 4] == 50 or data_B[j - 4] == 51):
        return False
    same = _is_hex(data_B[j + 1]) or data_B[j + 1] == 58
    for k in range(1, 4):
        same &= _is_hex(data_B[j - k])
    return same


@kernel(types.boolean(BYTES, _INT, _INT))
def _is_block(data_B, j, end):
    """Returns whether "-----B" stands at `j`, as before a private key."""
    if j + 5 >= end or data_B[j + 5] != 66:
        return False
    same = True
    for k in range(1, 5):
        same &= data_B[j + k] == 45
    return same


@kernel()
def _put(found, m, i, begin, stop, seen):
    """Writes a candidate where there is room; returns how many there are with it."""
    row_M, start_M, end_M, seen_M = found
    if m < len(row_M):
        row_M[m], start_M[m], end_M[m], seen_M[m] = i, begin, stop, seen
    return m + 1


@kernel()
def _breaks(data_B, j, end):
    """Returns whether the bytes [j, end) end a number: they are not blanks, dashes, brackets, dots, slashes.

    Of other scripts' signs those remain that may be such; a letter ends no number if it is alone, or follows
    a degree.
    """
    broken, letters, other = False, 0, False
    for k in range(j, end):
        c = data_B[k]
        if 97 <= c | 32 <= 122:
            letters += 1
            broken |= c | 32 == 120  # 800x600
        elif c >= 0xC0:
            other = True
            broken |= not (c == 0xC2 or c == 0xE2 or c == 0xE3 or c == 0xEF)
        elif c < 128:
            broken |= not (
                c == 32 or 45 <= c <= 47 or c == 40 or c == 41 or c == 43 or (c == 44 and other)
            )
    return broken or letters > 1 or (letters > 0 and not other and end - j > 1)


@kernel()
def _is_local(c):
    """Returns whether the part of an e-mail address before @ may end with this byte."""
    return c >= 128 or _is_word(c) or 43 <= c <= 46


@kernel(types.boolean(BYTES, _INT, _INT))
def _is_domain(data_B, j, end):
    """Returns whether a full stop follows the word at `j`, and another word."""
    end = min(end, j + LABEL)
    while j < end and (data_B[j] >= 128 or data_B[j] == 45 or _is_word(data_B[j])):
        j += 1
    return j + 1 < end and data_B[j] == 46 and (data_B[j + 1] >= 128 or _is_word(data_B[j + 1]))


@kernel(types.boolean(BYTES, _INT, _INT))
def _is_value(data_B, j, end):
    """Returns whether as many bytes as a secret has follow without white space, after two signs at most."""
    for _ in range(2):
        if j < end and (data_B[j] == 32 or data_B[j] == 34 or data_B[j] == 39):
            j += 1
    stop = j + SECRET
    while j < end and j < stop and data_B[j] > 32:
        j += 1
    return j == stop


@kernel()
def _has_zero(x):
    """Returns whether one of 8 bytes is 0."""
    return (x - _ONES) & ~x & _HIGHS != 0


@kernel()
def _is_plain(x):
    """Returns whether 8 bytes are ASCII, and none is a digit, one of ":;<=>?", "@" or "-"."""
    special = _has_zero((x & _HALVES) ^ _FIGURES) or _has_zero(x ^ _ATS) or _has_zero(x ^ _DASHES)
    return x & _HIGHS == 0 and not special


@kernel(_INT(BYTES, _INT, _INT, BYTES))
def _next(data_B, j, end, bytes_C):
    """Returns where the next byte is that is not plain, or the end."""
    while j + 8 <= end and _is_plain(load8(data_B, j)):
        j += 8
    while j < end and bytes_C[data_B[j]] == PLAIN:
        j += 1
    return j


@kernel(types.UniTuple(_INT, 2)(BYTES, _INT, _INT, _INT))
def _word_around(data_B, j, start, end):
    """Returns the bytes of the word that the byte at `j` is in, with its hyphens, from `start` on."""
    first, last = j, j
    while first > start and (_is_word(data_B[first - 1]) or data_B[first - 1] == 45):
        first -= 1
    while last < end and (_is_word(data_B[last]) or data_B[last] == 45):
        last += 1
    return first, last


@kernel(_INT(BYTES, OFFSETS, BYTES, BYTES, types.Tuple((_INTS, _INTS, _INTS, types.uint8[::1]))))
def pick(data_B, offsets_N1, bytes_C, classes_U, found):
    """Writes the candidates, as far as there is room; returns how many there are.

    [first, last) are the digits of the current number with what is between them; it is looked at where it
    has enough of them, three full stops alone between two, or a digit with decimals of a coordinate.
    Words up to `known` were looked at.
    """
    m = 0
    for i in range(len(offsets_N1) - 1):
        start, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        j, known, first, last, digits, dots, decimals, exact = (
            start,
            start,
            start,
            start,
            0,
            0,
            0,
            False,
        )
        while True:
            j = _next(data_B, j, end, bytes_C)
            kind, n, cp = np.int64(PLAIN), 1, 0
            if j < end:
                kind = np.int64(bytes_C[data_B[j]])
            if kind == LEAD:
                cp, n = decode_at(data_B, j, end)
                kind = np.int64(FIGURE if classes_U[cp] == DIGIT else PLAIN)
                kind = np.int64(AT) if cp == FULL_WIDTH_AT else kind
            gap = j - last
            ends = j == end
            if kind == FIGURE and digits > 0 and gap > 0:
                ends = gap > GAP or _breaks(data_B, last, j)
            if ends:
                if digits >= DIGITS or dots >= 3 or exact:
                    m = _put(found, m, i, first - start, last - start, NUMBER)
                digits, dots, decimals, exact = 0, 0, 0, False
            if j == end:
                break
            begin, stop, seen = j, j + n, 0
            j = stop
            if kind == FIGURE:
                if digits == 0:
                    first, decimals = begin, 0
                elif gap == 1 and data_B[begin - 1] == 46:
                    dots, decimals = dots + 1, 1
                else:
                    decimals = decimals + 1 if gap == 0 and decimals > 0 else 0
                exact |= decimals == DECIMALS
                digits, last = digits + 1, j
                if n == 1 and begin >= known:
                    begin, known = _word_around(data_B, begin, known, end)
                    tagged = begin > start and data_B[begin - 1] == 35
                    if known - begin >= CODE and not tagged and _may_be_key(data_B, begin, known):
                        stop, seen = known, TOKEN
            elif kind == AT:
                if begin > start and _is_local(data_B[begin - 1]):
                    seen = ADDRESS * (n > 1 or _is_domain(data_B, j, end))
                else:  # a handle: its digits are no number
                    while j < end and _is_word(data_B[j]):
                        j += 1
            elif kind == COLON:
                if j + 1 < end and data_B[j] == 47 and data_B[j + 1] == 47:
                    stop, secret = _link_end(data_B, j + 2, end)
                    begin, _ = _word_around(data_B, begin, start, begin)
                    j, seen, last = stop, LINK * secret, min(last, stop - GAP - 1)
                elif _is_in_address(data_B, begin, start, end):
                    seen = NUMBER
            elif kind == EQUALS:
                seen = ASSIGNED * _is_value(data_B, j, end)
            elif kind == DASH and _is_block(data_B, begin, end):
                stop, seen = end, BLOCK
            if seen > 0:
                m = _put(found, m, i, begin - start, stop - start, seen)
    return m
