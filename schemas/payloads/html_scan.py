"""HTML of posts to plain text, compiled: what servers write, and not what they could.

It takes the elements, attributes and character references that `html_text` knows and says of everything
else that it does not: comments, `pre`, names of characters such as `&eacute;`, tags that do not end. Those
texts are for the parser of the standard library, whose text the compiled one gives where it gives any.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from sluice.schemas.arrays import Bools
from sluice.schemas.kernel import BYTES, OFFSETS, kernel, types, utf8_array, utf8_view
from sluice.schemas.payloads.html_elements import (
    LEFT_OUT,
    LINES,
    PARAGRAPHS,
    QUOTE_LINK,
    SPECIAL,
)
from sluice.schemas.payloads.shortened_links import has_ellipsis, is_shortened


class ScannedHtml(NamedTuple):
    """N HTML texts as plain text.

    Attributes:
        texts: (N,) string, no null.
        refused_N: (N,) bool, true where the text is none, as the HTML is for the other parser.
    """

    texts: pa.StringArray
    refused_N: Bools


def scan_html(htmls: pa.StringArray) -> ScannedHtml:
    r"""Returns the plain text of each HTML text; a null is an empty one.

    >>> scan_html(pa.array(["<p>a &amp; b<p>c", "<!-- a -->"]))[0].to_pylist()
    ['a & b\n\nc', '']
    """
    view, n = utf8_view(htmls), len(htmls)
    room = int(view.offsets_N1[-1] - view.offsets_N1[0]) + 8
    out_B, ends_N1 = np.empty(room, np.uint8), np.zeros(n + 1, np.int32)
    refused_N = np.zeros(n, np.bool_)
    _scan(*view, _NAMES_B, _STARTS_K1, _CODES_K, out_B, ends_N1, refused_N)
    return ScannedHtml(utf8_array(out_B, ends_N1), refused_N)


_INLINE, _PARAGRAPH, _LINE, _BR, _LINK, _IMAGE, _REFUSED = range(7)
_CODES: Final = {
    **dict.fromkeys(PARAGRAPHS, _PARAGRAPH),
    **dict.fromkeys(LINES, _LINE),
    "br": _BR,
    "a": _LINK,
    "img": _IMAGE,
    **dict.fromkeys((*LEFT_OUT, *SPECIAL), _REFUSED),
}
_HREF, _ALT, _CLASS, _QUOTE = len(_CODES), len(_CODES) + 1, len(_CODES) + 2, len(_CODES) + 3
_REFERENCES: Final = {"amp": 0x26, "lt": 0x3C, "gt": 0x3E, "quot": 0x22, "apos": 0x27, "nbsp": 0xA0}
_FIRST_REFERENCE = _QUOTE + 1
_NAMES: Final = (*_CODES, "href", "alt", "class", QUOTE_LINK, *_REFERENCES)
_NAMES_B = np.frombuffer("".join(_NAMES).encode(), np.uint8)
_STARTS_K1 = np.cumsum([0, *map(len, _NAMES)])
_CODES_K = np.array([*_CODES.values(), 0, 0, 0, 0, *_REFERENCES.values()], np.int64)
_NUM_TAGS = len(_CODES)
_INT64S = types.int64[::1]
_TEXTS = (BYTES, types.int64, types.int64)


@kernel(types.int64(*_TEXTS, BYTES, _INT64S, types.int64, types.int64))
def _name(
    data_B: Any, first: Any, stop: Any, names_B: Any, starts_K1: Any, low: Any, high: Any
) -> Any:
    """Returns which of the names low to high stands at first to stop, in letters of any case, or -1."""
    for k in range(low, high):
        at = starts_K1[k]
        if starts_K1[k + 1] - at == stop - first:
            j = np.int64(0)
            while j < stop - first:
                c = data_B[first + j]
                if 0x41 <= c <= 0x5A:
                    c |= 0x20
                if c != names_B[at + j]:
                    break
                j += 1
            if j == stop - first:
                return np.int64(k)
    return np.int64(-1)


@kernel(types.boolean(types.uint8))
def _is_blank(c: Any) -> Any:
    """Returns whether a byte is HTML's white space."""
    return c == 0x20 or c == 0x0A or c == 0x09 or c == 0x0D or c == 0x0C


@kernel(types.UniTuple(types.int64, 2)(*_TEXTS, BYTES, _INT64S, _INT64S))
def _reference(data_B: Any, i: Any, end: Any, names_B: Any, starts_K1: Any, codes_K: Any) -> Any:
    """Returns (the code point of the reference at i, where it ends); (-1, 0) where it is not a plain one."""
    none = (np.int64(-1), np.int64(0))
    j, value = i + 1, np.int64(0)
    if j < end and data_B[j] == 0x23:
        j += 1
        base = np.int64(10)
        if j < end and data_B[j] | 0x20 == 0x78:
            base = np.int64(16)
            j += 1
        first = j
        while j < end and j - first < 8 and data_B[j] != 0x3B:
            c = data_B[j]
            digit = np.int64(99)
            if 0x30 <= c <= 0x39:
                digit = np.int64(c) - 0x30
            elif 0x61 <= c | 0x20 <= 0x66:
                digit = np.int64(c | 0x20) - 0x57
            if digit >= base:
                return none
            value = value * base + digit
            j += 1
        if j == first or j >= end or data_B[j] != 0x3B:
            return none
        is_sound = 0x20 <= value <= 0x7E or 0xA0 <= value <= 0xD7FF or 0xE000 <= value <= 0xFDCF
        if not (is_sound or 0xFDF0 <= value <= 0xFFFD or 0x10000 <= value <= 0x1FFFD):
            return none
        return value, j + 1
    first = j
    while j < end and j - first < 6 and data_B[j] != 0x3B:
        c = data_B[j]
        if not 0x61 <= c <= 0x7A:
            return none
        j += 1
    if j >= end or data_B[j] != 0x3B:
        return none
    name = _name(data_B, first, j, names_B, starts_K1, _FIRST_REFERENCE, len(codes_K))
    if name < 0:
        return none
    return codes_K[name], j + 1


@kernel(types.int64(types.uint8[::1], types.int64, types.int64, *_TEXTS))
def _whole_link(out_B: Any, first: Any, stop: Any, data_B: Any, i: Any, end: Any) -> Any:
    """Puts the address for a label that is it, shortened; returns where the label ends, -1 to refuse."""
    at = first
    while at < stop and (out_B[at] == 0x20 or out_B[at] == 0x0A):
        at += 1
    if not has_ellipsis(out_B, at, stop):
        return stop
    for k in range(i, end):
        if data_B[k] == 0x26:  # a reference in an address
            return np.int64(-1)
    if not is_shortened(out_B, at, stop, data_B, i, end):
        return stop
    for k in range(i, end):
        out_B[at + k - i] = data_B[k]
    return at + end - i


@kernel(types.boolean(*_TEXTS, types.int64, types.int64))
def _is_same(data_B: Any, first: Any, stop: Any, other: Any, other_stop: Any) -> Any:
    """Returns whether two names of elements are the same, in letters of any case."""
    if stop - first != other_stop - other:
        return False
    k = np.int64(0)
    while k < stop - first and data_B[first + k] | 0x20 == data_B[other + k] | 0x20:
        k += 1
    return k == stop - first


@kernel(types.boolean(*_TEXTS))
def _may_leave_out(data_B: Any, first: Any, stop: Any) -> Any:
    """Returns whether an element is `p` or `span`: of these what is in them is left out here."""
    p = stop - first == 1 and data_B[first] | 0x20 == 0x70
    if p or stop - first != 4:
        return p
    s, a = data_B[first] | 0x20 == 0x73, data_B[first + 2] | 0x20 == 0x61
    return s and data_B[first + 1] | 0x20 == 0x70 and a and data_B[first + 3] | 0x20 == 0x6E


@kernel(
    types.void(
        BYTES,
        OFFSETS,
        BYTES,
        _INT64S,
        _INT64S,
        types.uint8[::1],
        types.int32[::1],
        types.boolean[::1],
    )
)
def _scan(
    data_B: Any,
    offsets_N1: Any,
    names_B: Any,
    starts_K1: Any,
    codes_K: Any,
    out_B: Any,
    ends_N1: Any,
    refused_N: Any,
) -> None:
    """Writes each text behind the one before it; nothing for one that is refused."""
    o = np.int64(0)
    sound: Any
    breaks: Any
    blank: Any
    for n in range(len(refused_N)):
        i, end, begin = np.int64(offsets_N1[n]), np.int64(offsets_N1[n + 1]), o
        breaks, blank, sound = np.int64(0), False, True
        label, href, href_end = np.int64(-1), np.int64(0), np.int64(0)
        left_out, left_first, left_end = np.int64(0), np.int64(0), np.int64(0)
        while i < end and sound:
            c = data_B[i]
            point, text, text_end = (
                np.int64(-1),
                i,
                i + 1,
            )  # what is written: bytes of the HTML, or a point
            if left_out > 0 and c != 0x3C:
                i += 1
                continue
            if _is_blank(c):
                blank = True
                i += 1
                continue
            if c == 0x26:
                follows = data_B[i + 1] if i + 1 < end else np.uint8(0x20)
                is_letter = 0x61 <= follows | 0x20 <= 0x7A
                if is_letter or follows == 0x23 or 0x30 <= follows <= 0x39:
                    point, i = _reference(data_B, i, end, names_B, starts_K1, codes_K)
                    sound = point >= 0
                    if not sound:
                        break
                    if point == 0x20:
                        blank = True
                        continue
                else:
                    i += 1
            elif c == 0x3C and i + 1 >= end:
                sound = False
                break
            elif c == 0x3C and (
                data_B[i + 1] == 0x2F
                or data_B[i + 1] == 0x21
                or data_B[i + 1] == 0x3F
                or 0x61 <= data_B[i + 1] | 0x20 <= 0x7A
            ):
                closes = data_B[i + 1] == 0x2F
                j = i + 2 if closes else i + 1
                first = j
                while j < end and (
                    0x61 <= data_B[j] | 0x20 <= 0x7A or (j > first and 0x30 <= data_B[j] <= 0x39)
                ):
                    j += 1
                if j == first or j >= end:
                    sound = False
                    break
                if not (_is_blank(data_B[j]) or data_B[j] == 0x3E or data_B[j] == 0x2F):
                    sound = False
                    break
                tag = _name(data_B, first, j, names_B, starts_K1, np.int64(0), np.int64(_NUM_TAGS))
                code = codes_K[tag] if tag >= 0 else np.int64(_INLINE)
                sound = code != _REFUSED
                tag_end, is_quote, is_closed = j, False, False
                new_href, new_end = np.int64(0), np.int64(0)
                alt, alt_end = np.int64(0), np.int64(0)
                while sound and j < end and data_B[j] != 0x3E:
                    if _is_blank(data_B[j]):
                        j += 1
                        continue
                    if data_B[j] == 0x2F:
                        sound = j + 1 < end and data_B[j + 1] == 0x3E and not closes
                        is_closed = True
                        j += 1
                        continue
                    key = j
                    while j < end and (
                        0x61 <= data_B[j] | 0x20 <= 0x7A
                        or data_B[j] == 0x2D
                        or 0x30 <= data_B[j] <= 0x39
                    ):
                        j += 1
                    key_end = j
                    sound = key_end > key and not closes and j < end
                    if not sound or data_B[j] != 0x3D:
                        sound = sound and (_is_blank(data_B[j]) or data_B[j] == 0x3E)
                        continue
                    j += 1
                    quote = data_B[j] if j < end else np.uint8(0)
                    if quote != 0x22 and quote != 0x27:
                        sound = False
                        break
                    j += 1
                    value = j
                    while j < end and data_B[j] != quote:
                        j += 1
                    if j >= end:
                        sound = False
                        break
                    name = _name(
                        data_B, key, key_end, names_B, starts_K1, np.int64(_HREF), np.int64(_QUOTE)
                    )
                    if name == _HREF:
                        new_href, new_end = value, j
                    elif name == _ALT:
                        alt, alt_end = value, j
                    elif name == _CLASS:
                        size = starts_K1[_QUOTE + 1] - starts_K1[_QUOTE]
                        for k in range(value, j - size + 1):
                            if data_B[k] == 0x71:
                                match = _name(
                                    data_B,
                                    k,
                                    k + size,
                                    names_B,
                                    starts_K1,
                                    np.int64(_QUOTE),
                                    np.int64(_QUOTE + 1),
                                )
                                is_word = k == value or _is_blank(data_B[k - 1])
                                after = k + size
                                is_word = is_word and (after == j or _is_blank(data_B[after]))
                                is_quote = is_quote or match >= 0
                                sound = sound and (match < 0 or is_word)
                    j += 1
                    sound = (
                        sound
                        and j < end
                        and (_is_blank(data_B[j]) or data_B[j] == 0x3E or data_B[j] == 0x2F)
                    )
                if not sound or j >= end:
                    sound = False
                    break
                i = j + 1
                if left_out > 0:
                    if _is_same(data_B, first, tag_end, left_first, left_end):
                        sound = not is_closed
                        left_out += -1 if closes else 1
                    if not sound:
                        break
                    continue
                if is_quote:
                    sound = not is_closed and _may_leave_out(data_B, first, tag_end)
                    if not sound:
                        break
                    left_out, left_first, left_end = np.int64(1), first, tag_end
                    continue
                if code == _PARAGRAPH:
                    breaks, blank = max(breaks, 2), False
                elif code == _LINE:
                    breaks, blank = max(breaks, 1), False
                elif code == _BR:
                    if not closes:
                        breaks, blank = breaks + 1, False
                elif code == _LINK:
                    if label >= 0:
                        o = _whole_link(out_B, label, o, data_B, href, href_end)
                        if o < 0:
                            sound = False
                            break
                    label = o if not closes else np.int64(-1)
                    href, href_end = new_href, new_end
                if code != _IMAGE or closes or alt == alt_end:
                    continue
                text, text_end = alt, alt_end
                for k in range(alt, alt_end):
                    if data_B[k] == 0x26 or _is_blank(data_B[k]):
                        sound = False
                if not sound:
                    break
            else:
                i += 1
                if left_out > 0:
                    continue
            if breaks > 0 and o > begin:
                for _ in range(breaks):
                    out_B[o] = 0x0A
                    o += 1
            elif blank and o > begin:
                out_B[o] = 0x20
                o += 1
            breaks, blank = np.int64(0), False
            if point >= 0x80:
                more = 1 + (point >= 0x800) + (point >= 0x10000)
                out_B[o] = (0xF00 >> (more + 1) & 0xFF) | point >> (6 * more)
                for k in range(1, more + 1):
                    out_B[o + k] = 0x80 | (point >> (6 * (more - k)) & 0x3F)
                o += more + 1
            elif point >= 0:
                out_B[o] = point
                o += 1
            else:
                for k in range(text, text_end):
                    out_B[o] = data_B[k]
                    o += 1
        if sound and label >= 0:
            o = _whole_link(out_B, label, o, data_B, href, href_end)
            sound = o >= 0
        if not sound:
            o = begin
        refused_N[n] = not sound
        ends_N1[n + 1] = o
