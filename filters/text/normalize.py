"""Cleans the text of posts: N rows in, N rows out, and only the rows that need it are rewritten.

In this order:

1. HTML entities are decoded once, as `html.unescape` does: `&amp;lt;` becomes `&lt;`.
2. Line ends (CR LF, CR, VT, FF, NEL, LS, PS) become LF. Tabs and all other white space become a blank;
   a run of blanks becomes one. Blanks at either end of a line are dropped, of line ends in a row at
   most two are kept, and the text is trimmed.
3. Control and format characters (categories Cc, Cf) are removed: zero-width space, word joiner, byte
   order mark, soft hyphen, bidirectional controls, interlinear marks and so on. What carries meaning
   stays: ZWJ and ZWNJ between two letters or marks of a joining script (Arabic to Tibetan,
   Myanmar, Khmer, Mongolian, Balinese to Lepcha, Phags-pa to Meetei) and between two parts of an
   emoji; tag characters after a black flag; Arabic and Kaithi number signs; Egyptian format controls;
   variation selectors, which are not format characters. The noncharacters of `sluice.schemas.placeholders`
   are removed, too.
4. The text is brought to NFC.

Case, emoji, URLs, handles, hashtags and RT are kept. Normalising again changes nothing unless the text
was escaped twice: `&amp;lt;` gives `&lt;`, and that gives `<`.
"""

import html
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.text.char_classes import PICTOGRAPHS, TABLE_SIZE, category_runs, ranges
from sluice.filters.text.nfc import to_nfc
from sluice.schemas import placeholders
from sluice.schemas.arrays import Array, Uint8s
from sluice.schemas.kernel import BYTES, OFFSETS, decode_at, kernel, types, utf8_array, utf8_view

NORMALIZE_VERSION = 2
"""Raised whenever the same text gives another result; part of the fingerprint of a run."""

# What a character asks for: one of the first five, or which neighbours keep a joiner beside it.
_KEEP, _BLANK, _LINE_END, _REMOVE, _JOINER, _TAG = 0, 1, 2, 3, 4, 5
_JOINS_LETTERS, _JOINS_EMOJI, _TAKES_TAGS = 8, 16, 32
_ACTION = 7

# What a row asks for.
_REWRITE, _ENTITY, _PYTHON = 1, 2, 4

_JOINING_BLOCKS = ranges("""
0600-0DFF 0F00-109F 1780-18AF 1B00-1C7F A840-ABFF FB50-FDFF FE70-FEFC 11000-11FFF
""")
_KEPT_FORMATS = ranges("0600-0605 06DD 070F 0890-0891 08E2 110BD 110CD 13430-1343F")
_LINE_ENDS = (0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029)
_BLACK_FLAG = 0x1F3F4


def normalize(texts: pa.StringArray) -> pa.StringArray:
    """Returns the cleaned texts, as the module's docstring says.

    Args:
        texts: (N,) string; a null reads as the empty text.

    Returns:
        (N,) string in the order of the rows, never null; empty where nothing but white space and
        control characters was there. A pure function of each text.

    >>> normalize(pa.array(["  Fish &amp;  chips", None])).to_pylist()
    ['Fish & chips', '']

    Source: ours; the rules for joiners follow UAX 31 section 2.3, those for emoji UTS 51.
    """
    view = utf8_view(texts)
    needs_N = np.empty(len(texts), np.uint8)
    _inspect(*view, _actions(), needs_N)
    if not needs_N.any():
        return to_nfc(utf8_array(*view))
    by_python_N = needs_N & _PYTHON != 0
    if by_python_N.any():
        view = utf8_view(_unescape(utf8_array(*view), by_python_N))
        needs_N[by_python_N] = _REWRITE
    data_B, offsets_N1 = view
    out_B = np.empty(int(offsets_N1[-1] - offsets_N1[0]), np.uint8)
    out_offsets_N1 = np.empty(len(offsets_N1), np.int32)
    _rewrite(data_B, offsets_N1, _actions(), needs_N, out_B, out_offsets_N1)
    return to_nfc(utf8_array(out_B[: out_offsets_N1[-1]], out_offsets_N1))


def _unescape(texts: pa.StringArray, mask_N: Array) -> pa.StringArray:
    mask = pa.array(mask_N)
    plain = [html.unescape(text) for text in texts.filter(mask).to_pylist()]
    return pc.replace_with_mask(texts, mask, pa.array(plain, pa.string()))


@cache
def _actions() -> Uint8s:
    """Returns (TABLE_SIZE,) uint8, read-only: what each code point asks for."""
    actions_U = np.zeros(TABLE_SIZE, np.uint8)
    for start, categories in category_runs():
        category_U = np.array(categories)
        here_U = actions_U[start : start + len(categories)]
        here_U[np.isin(category_U, ("Cc", "Cf"))] = _REMOVE
        here_U[np.isin(category_U, ("Zs", "Zl", "Zp"))] = _BLANK
        spells_U = np.isin(category_U, ("Lo", "Lm", "Mn", "Mc"))
        for first, last in _JOINING_BLOCKS:
            inside = slice(max(0, first - start), max(0, last + 1 - start))
            here_U[inside][spells_U[inside]] = _JOINS_LETTERS
    for first, last in _KEPT_FORMATS:
        actions_U[first : last + 1] = _KEEP
    actions_U[placeholders.FIRST : placeholders.LAST + 1] = _REMOVE
    actions_U[0x09] = _BLANK
    actions_U[[*_LINE_ENDS]] = _LINE_END
    actions_U[[0x200C, 0x200D]] = _JOINER
    for first, last in (*PICTOGRAPHS, (0xFE0F, 0xFE0F), (0x1F3FB, 0x1F3FF)):
        actions_U[first : last + 1] = _JOINS_EMOJI
    actions_U[0xE0020:0xE0080] = _TAG | _TAKES_TAGS
    actions_U[_BLACK_FLAG] |= _TAKES_TAGS
    actions_U.flags.writeable = False
    return actions_U


@kernel()
def _digit(c: Any, base: Any) -> Any:
    """Returns the value of an ASCII digit in base 10 or 16, or -1."""
    if 48 <= c <= 57:
        return np.int64(c) - 48
    if base == 16 and 97 <= c | 32 <= 102:
        return np.int64(c | 32) - 87
    return np.int64(-1)


@kernel()
def _number_at(data_B: Any, j: Any, end: Any) -> Any:
    """Returns (code point, bytes) of the numeric entity at `j` if it stands for itself, else (0, 0)."""
    base = 16 if j + 2 < end and data_B[j + 2] | 32 == 120 else 10
    k = j + 3 if base == 16 else j + 2
    cp, last = np.int64(0), min(end, k + 7)
    while k < last:
        value = _digit(data_B[k], base)
        if value < 0:
            break
        cp = cp * base + value
        k += 1
    if k >= end or data_B[k] != 59 or not (0x20 <= cp < 0x7F or 0xA0 <= cp < 0x110000):
        return np.int64(0), 0
    if 0xD800 <= cp < 0xE000 or 0xFDD0 <= cp < 0xFDF0 or cp & 0xFFFE == 0xFFFE:
        return np.int64(0), 0
    return cp, k + 1 - j


@kernel()
def _entity_at(data_B: Any, j: Any, end: Any) -> Any:
    """Returns (code point, bytes) of the plain entity at `j`.

    (0, 1) where none begins there, (0, 0) where Python has to judge.
    """
    left = end - j
    a = data_B[j + 1] if left > 1 else np.uint8(0)
    if a == 35:
        return _number_at(data_B, j, end)
    if not 97 <= a | 32 <= 122:
        return np.int64(0), 1
    b = data_B[j + 2] if left > 2 else np.uint8(0)
    c = data_B[j + 3] if left > 3 else np.uint8(0)
    d = data_B[j + 4] if left > 4 else np.uint8(0)
    if b == 116 and c == 59 and (a == 108 or a == 103):  # lt; gt;
        return np.int64(60 if a == 108 else 62), 4
    if a == 97 and b == 109 and c == 112 and d == 59:  # amp;
        return np.int64(38), 5
    # quot;
    if left > 5 and a == 113 and b == 117 and c == 111 and d == 116 and data_B[j + 5] == 59:
        return np.int64(34), 6
    return np.int64(0), 0


@kernel(types.void(BYTES, OFFSETS, BYTES, types.uint8[::1]))
def _inspect(data_B: Any, offsets_N1: Any, actions_U: Any, needs_N: Any) -> None:
    """Says of each row whether it must be rewritten, and who decodes its entities."""
    for i in range(len(needs_N)):
        j, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        needs, blank, ends = np.uint8(0), False, 2
        while j < end:
            c = data_B[j]
            n = 1
            if c == 32:
                needs |= _REWRITE * (blank or ends > 0)
                blank = True
            elif c == 10:
                needs |= _REWRITE * (blank or ends >= 2)
                ends += 1
            elif c == 38:
                _, plain = _entity_at(data_B, j, end)
                needs |= 0 if plain == 1 else (_PYTHON if plain == 0 else _ENTITY)
                blank, ends = False, 0
            else:
                if c < 33 or c > 126:
                    cp, n = decode_at(data_B, j, end)
                    needs |= _REWRITE * (actions_U[cp] & _ACTION != _KEEP)
                blank, ends = False, 0
            j += n
        if offsets_N1[i] < end and (blank or ends > 0):
            needs |= _REWRITE
        needs_N[i] = needs


@kernel()
def _put(out_B: Any, o: Any, cp: Any) -> Any:
    """Writes a code point as UTF-8 at `o`; returns the position after it."""
    if cp < 0x80:
        out_B[o] = cp
        return o + 1
    n = 2 if cp < 0x800 else (3 if cp < 0x10000 else 4)
    for k in range(n - 1):
        out_B[o + n - 1 - k] = 0x80 | ((cp >> (6 * k)) & 0x3F)
    out_B[o] = ((0xF00 >> n) & 0xFF) | (cp >> (6 * (n - 1)))
    return o + n


@kernel()
def _rewrite_row(
    data_B: Any, j: Any, end: Any, actions_U: Any, decode: Any, out_B: Any, o: Any
) -> Any:
    """Writes one cleaned text at `o`; returns the position after it.

    White space and joiners wait until the next character shows whether they are needed.
    """
    first, blank, ends, joiner, before = o, False, 0, np.int64(0), np.int64(0)
    while j < end:
        cp, n = decode_at(data_B, j, end)
        if decode and cp == 38:
            entity, length = _entity_at(data_B, j, end)
            if entity > 0:
                cp, n = entity, length
        j += n
        here = np.int64(actions_U[cp])
        action = here & _ACTION
        if action in (_BLANK, _LINE_END):
            blank, joiner, before = True, np.int64(0), np.int64(0)
            if action == _LINE_END and not (cp == 13 and j < end and data_B[j] == 10):
                ends += 1
            continue
        if action == _REMOVE or (action == _TAG and not before & _TAKES_TAGS):
            continue
        if action == _JOINER:
            if joiner == 0 and before & (_JOINS_LETTERS | _JOINS_EMOJI):
                joiner = np.int64(cp)
            continue
        if blank and o > first:
            o = _put(out_B, o, 10 if ends > 0 else 32)
            if ends > 1:
                o = _put(out_B, o, 10)
        if joiner > 0 and before & here & (_JOINS_LETTERS | _JOINS_EMOJI):
            o = _put(out_B, o, joiner)
        o = _put(out_B, o, cp)
        blank, ends, joiner, before = False, 0, np.int64(0), here
    return o


@kernel(types.void(BYTES, OFFSETS, BYTES, BYTES, types.uint8[::1], types.int32[::1]))
def _rewrite(
    data_B: Any, offsets_N1: Any, actions_U: Any, needs_N: Any, out_B: Any, out_offsets_N1: Any
) -> None:
    """Writes every row: as it is, or cleaned. No row grows."""
    o = np.int64(0)
    out_offsets_N1[0] = 0
    for i in range(len(needs_N)):
        j, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        if needs_N[i] == 0:
            for k in range(end - j):
                out_B[o + k] = data_B[j + k]
            o += end - j
        else:
            decode = needs_N[i] & _ENTITY != 0
            o = _rewrite_row(data_B, j, end, actions_U, decode, out_B, o)
        out_offsets_N1[i + 1] = o
