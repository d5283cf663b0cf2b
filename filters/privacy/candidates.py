"""The few places of a column that are looked at: stretches of text around what a compiled pass picks."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sluice.filters.privacy import kernels as k
from sluice.filters.text.char_classes import char_classes
from sluice.schemas.arrays import Int32s, Uint8s
from sluice.schemas.kernel import Utf8View, utf8_view

SHORT_TEXT = 256
"""Bytes of a text that is looked at whole."""
BEFORE, AFTER = 144, 48
"""Bytes of a longer text that are read before and after a place, and on to white space."""
MOST_TO_SPACE = 4096
_SIGNS = {
    "\u00a0": " ",
    "\u2007": " ",
    "\u2009": " ",
    "\u202f": " ",
    "\u3000": " ",
    "\u2010": "-",
    "\u2011": "-",
    "\u2012": "-",
    "\u2013": "-",
    "\u2212": "-",
    "\u30fc": "-",
    "\u00ad": "-",
}
_DATE = re.compile(
    rb"(?:[12]\d{3}([-./ ])[01]?\d\1[0-3]?\d|[0-3]?\d([-./])[0-3]?\d\2(?:19|20)\d\d)(?:[ T-]+[0-2]?\d)?"
    rb"|(?:19|20)\d\d(?:\W{1,3}(?:19|20)\d\d)+|(?:19|20)\d\d[01]\d[0-3]\d"
)
_DIGIT_BYTES = (0xCD, 0xD9, 0xDB, 0xDF, 0xE0, 0xE1, 0xEA, 0xEF, 0xF0)
"""First bytes of characters that may be digits or a full-width sign."""


class Candidates(NamedTuple):
    """Places that a pass picked, in the order of the rows.

    Attributes:
        row_M: (M,) int32, the row of the text.
        start_M: (M,) int32, the first byte within it.
        end_M: (M,) int32, the byte after the last.
        seen_M: (M,) uint8, what was seen there: one of the bits of `kernels`.
    """

    row_M: Int32s
    start_M: Int32s
    end_M: Int32s
    seen_M: Uint8s


class Stretch(NamedTuple):
    """A piece of a text that is looked at.

    Attributes:
        row: of the text in the column.
        start: its first byte within the text.
        raw: the piece.
        text: the piece with digits of all scripts, full-width signs, blanks and dashes as ASCII ones: as
            many characters.
        seen: what was seen in it, the bits of `kernels`.
    """

    row: int
    start: int
    raw: str
    text: str
    seen: int

    def bytes_at(self, places: Iterable[int]) -> Iterator[int]:
        """Yields the bytes of the whole text that characters of the piece begin at, in ascending order."""
        at, byte, is_ascii = 0, self.start, self.raw.isascii()
        for place in places:
            byte += place - at if is_ascii else len(self.raw[at:place].encode())
            at = place
            yield byte


def candidates(texts: pa.StringArray) -> Candidates:
    """Returns the places of the texts that may hold personal data: one post in a hundred has one.

    >>> candidates(pa.array(["see you at 12:30", "call +371 6700 0000"])).row_M.tolist()
    [1]
    """
    data_B, offsets_N1 = utf8_view(texts)
    room = len(texts) // 8 + 64
    while True:
        row_M, start_M, end_M = (np.empty(room, np.int32) for _ in range(3))
        found = row_M, start_M, end_M, np.empty(room, np.uint8)
        n = number = k.pick(data_B, offsets_N1, _byte_classes(), char_classes(), found)
        if number <= room:
            return Candidates(row_M[:n], start_M[:n], end_M[:n], found[3][:n])
        room = number


def stretches(texts: pa.StringArray, found: Candidates) -> Iterator[Stretch]:
    """Yields the pieces of the texts that hold the places, in the order of the rows, none over another."""
    view = utf8_view(texts)
    pending: tuple[int, int, int, int] | None = None
    for row, first, last, seen in zip(*(column.tolist() for column in found), strict=True):
        if seen == k.NUMBER and _is_date(view, row, first, last):
            continue
        start, end = _around(view, row, first, last)
        if pending and pending[0] == row and start <= pending[2]:
            pending = row, min(start, pending[1]), max(end, pending[2]), seen | pending[3]
            continue
        if pending:
            yield _stretch(view, *pending)
        pending = row, start, end, seen
    if pending:
        yield _stretch(view, *pending)


def _is_date(view: Utf8View, row: int, first: int, last: int) -> bool:
    """Returns whether a number is a date, perhaps with an hour, or a stretch of years."""
    begin = int(view.offsets_N1[row])
    return bool(_DATE.fullmatch(view.data_B[begin + first : begin + last].tobytes()))


def _around(view: Utf8View, row: int, first: int, last: int) -> tuple[int, int]:
    """Returns the bytes of the text in `row` that are read to judge its bytes [first, last)."""
    begin, end = view.offsets_N1[row : row + 2].tolist()
    if end - begin <= SHORT_TEXT:
        return 0, end - begin
    text_B, size = view.data_B[begin:end], end - begin
    start, stop = max(0, first - BEFORE), min(size, last + AFTER)
    before = text_B[max(0, start - MOST_TO_SPACE) : start].tobytes()
    start -= len(before) - max(before.rfind(b" "), before.rfind(b"\n")) - 1
    after = text_B[stop : stop + MOST_TO_SPACE].tobytes()
    ends = [at for at in (after.find(b" "), after.find(b"\n")) if at >= 0]
    stop += min(ends, default=len(after))
    while start > 0 and text_B[start] & 0xC0 == 0x80:
        start -= 1
    while stop < size and text_B[stop] & 0xC0 == 0x80:
        stop += 1
    return start, stop


def _stretch(view: Utf8View, row: int, start: int, end: int, seen: int) -> Stretch:
    begin = int(view.offsets_N1[row])
    raw = view.data_B[begin + start : begin + end].tobytes().decode()
    return Stretch(row, start, raw, raw if raw.isascii() else raw.translate(_ascii_signs()), seen)


@cache
def _ascii_signs() -> dict[int, str]:
    """Returns the ASCII sign that each character reads as, of those that do not read as themselves."""
    digits = {
        cp: str(unicodedata.decimal(chr(cp)))
        for cp in range(0x80, 0x20000)
        if unicodedata.category(chr(cp)) == "Nd"
    }
    full_width = {cp: chr(cp - 0xFEE0) for cp in range(0xFF01, 0xFF5F)}
    return {**digits, **full_width, **{ord(sign): ascii_ for sign, ascii_ in _SIGNS.items()}}


@cache
def _byte_classes() -> Uint8s:
    """Returns (256,) uint8, read-only: the class of each byte of UTF-8."""
    bytes_C = np.full(256, k.PLAIN, np.uint8)
    bytes_C[ord("0") : ord("9") + 1] = k.FIGURE
    for sign, kind in zip("@:=-", (k.AT, k.COLON, k.EQUALS, k.DASH), strict=True):
        bytes_C[ord(sign)] = kind
    bytes_C[list(_DIGIT_BYTES)] = k.LEAD
    bytes_C.flags.writeable = False
    return bytes_C
