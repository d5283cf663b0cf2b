"""The records of a block of JSON lines, and what each looks like, at a glance or byte by byte.

Of most lines it is enough that they begin as an object and that nothing in them may end one before another
begins: the reader checks them. The others, and those that the reader refuses, are scanned.

A line is a record, but for blank lines, which are none, and for lines of several objects, with white space or
byte order marks around them, of which each is a record.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sluice.pipeline.inputs import json_values
from sluice.pipeline.inputs.eight_bytes import ONES, first_byte, zero_bytes
from sluice.pipeline.inputs.record_shapes import (
    BLANK,
    DEEP,
    MAX_DEPTH,
    NOT_UTF8,
    OBJECT,
    ODD,
    TOO_LONG,
)
from sluice.schemas.arrays import Bools, Int64s, Uint8s
from sluice.schemas.kernel import BYTES, kernel, load8, types

_OTHER, _SPACE, _OPEN, _CLOSE, _QUOTE, _NAN, _LINE_FEED = range(7)
_CLASS = np.zeros(256, np.uint8)
for _bytes, _class in (
    (b" \t\r", _SPACE),
    (b"{[", _OPEN),
    (b"}]", _CLOSE),
    (b'"', _QUOTE),
    (b"NI", _NAN),
    (b"\n", _LINE_FEED),
):
    _CLASS[list(_bytes)] = _class
_ENDS_RUN = np.zeros(256, np.uint8)
_ENDS_RUN[list(b'"\\\n')] = 1
_BRACES = ONES * np.uint64(0x7D)


class Lines(NamedTuple):
    """L records of a block; between them is nothing but white space.

    Attributes:
        data: the block, UTF-8 where no record says otherwise.
        starts_L: (L,) int64, first byte of each record.
        stops_L: (L,) int64, the byte after its last, line feed not counted.
        shapes_L: (L,) uint8, OBJECT to TOO_LONG; OBJECT may be ODD or DEEP, which `shape` tells.
        numbers_L: (L,) int64, the line of the file that each begins in, from 0.
        num_lines: lines of the block, with those that are no records.
    """

    data: bytes
    starts_L: Int64s
    stops_L: Int64s
    shapes_L: Uint8s
    numbers_L: Int64s
    num_lines: int

    def shape(self, index: int) -> int:
        """Returns what one record looks like, by all of its bytes."""
        shape = int(self.shapes_L[index])
        return _shape_of(self.line(index)) if shape == OBJECT else shape

    def line(self, index: int) -> bytes:
        """Returns one record without its line feed."""
        return self.data[self.starts_L[index] : self.stops_L[index]]


def scan_lines(data: bytes, *, max_line_bytes: int, first_line: int = 0) -> Lines:
    """Finds the records of a block and what each looks like.

    Args:
        data: whole lines; the last may lack its line feed.
        max_line_bytes: longer lines are TOO_LONG, whatever they hold.
        first_line: number of the block's first line in its file.
    """
    if not data.endswith(b"\n"):
        data += b"\n"
    data_B = np.frombuffer(data, np.uint8)
    stops_L = np.flatnonzero(data_B == 0x0A)
    starts_L, num_lines = np.append(0, stops_L[:-1] + 1), len(stops_L)
    shapes_L = np.empty(num_lines, np.uint8)
    _glance(data_B, starts_L, stops_L, shapes_L)
    shapes_L[stops_L - starts_L > max_line_bytes] = TOO_LONG
    numbers_L = np.arange(first_line, first_line + num_lines)
    lines = Lines(data, starts_L, stops_L, shapes_L, numbers_L, num_lines)
    mark_not_utf8(lines, data)
    if (blank_L := shapes_L == BLANK).any():
        starts_L, stops_L, shapes_L, numbers_L = (values_L[~blank_L] for values_L in lines[1:5])
        lines = Lines(data, starts_L, stops_L, shapes_L, numbers_L, num_lines)
    return _of_one_object(lines, np.flatnonzero(lines.shapes_L == ODD))


def records_in_lines(data: bytes, *, stop: int, max_line_bytes: int) -> tuple[int, int]:
    """Returns (how many records `scan_lines` finds, line feeds) in the first bytes of a block.

    It is faster than the scan where no line is blank or of several objects.
    """
    stops_N = np.flatnonzero(np.frombuffer(data, np.uint8, stop) == 0x0A)
    line_feeds = len(stops_N)
    if not data.endswith(b"\n", 0, stop):
        stops_N = np.append(stops_N, stop)
    starts_N = np.append(0, stops_N[:-1] + 1)
    if _are_untidy(data, starts_N, stops_N).any():
        found = scan_lines(data[:stop], max_line_bytes=max_line_bytes)
        return len(found.starts_L), line_feeds
    return len(stops_N), line_feeds


def mark_not_utf8(lines: Lines, data: bytes) -> None:
    """Sets the shape of records that are not UTF-8; `data` holds all of them."""
    if _is_utf8(data):
        return
    for index in np.flatnonzero(lines.shapes_L < TOO_LONG).tolist():
        if not _is_utf8(lines.line(index)):
            lines.shapes_L[index] = NOT_UTF8


def _of_one_object(lines: Lines, odd_N: Int64s) -> Lines:
    """Returns the records where lines that hold several whole objects are as many records."""
    found = {}
    for index in odd_N[
        _are_untidy(lines.data, lines.starts_L[odd_N], lines.stops_L[odd_N])
    ].tolist():
        values = json_values.objects_of(lines.line(index))
        if values is not None:
            found[index] = values
    if not found:
        return lines
    data = bytearray(lines.data)
    counts_L = np.ones(len(lines.starts_L), np.int64)
    for index, values in found.items():
        counts_L[index] = len(values.starts_R)
        data[lines.starts_L[index] : lines.stops_L[index]] = values.data
    starts_L, stops_L = np.repeat(lines.starts_L, counts_L), np.repeat(lines.stops_L, counts_L)
    shapes_L, numbers_L = np.repeat(lines.shapes_L, counts_L), np.repeat(lines.numbers_L, counts_L)
    first_L = np.cumsum(counts_L) - counts_L
    for index, values in found.items():
        at = slice(first_L[index], first_L[index] + counts_L[index])
        stops_L[at] = starts_L[at] + values.stops_R
        starts_L[at] += values.starts_R
        shapes_L[at] = OBJECT
    return Lines(bytes(data), starts_L, stops_L, shapes_L, numbers_L, lines.num_lines)


@kernel()
def _string_end(data_B: Any, i: Any) -> Any:
    """Returns where the string that i stands in ends: at its closing quote, or the line feed."""
    going = True
    while going:
        while _ENDS_RUN[data_B[i]] == 0:
            i += 1
        going = data_B[i] == 0x5C
        if going:  # the next byte is part of the string, unless the line ends there
            i += 2 if data_B[i + 1] != 0x0A else 1
    return i


@kernel(types.int64(BYTES, types.int64))
def _scan(data_B: Any, i: Any) -> Any:
    """Returns what the line that begins at i looks like; a line feed must end it."""
    depth, deepest, odd, opened = 0, 0, False, False
    while True:
        c = data_B[i]
        kind = _CLASS[c]
        if kind == _LINE_FEED:
            break
        i += 1
        if kind == _SPACE:
            continue
        if depth == 0:
            odd = odd or opened or c != 0x7B  # not the first {
            opened = True
        if kind == _QUOTE:
            i = _string_end(data_B, i)
            if data_B[i] == 0x0A:
                odd = True
            else:
                i += 1
        elif kind == _OPEN:
            depth += 1
            deepest = max(deepest, depth)
        elif kind == _CLOSE:
            depth -= 1
        elif kind == _NAN:
            odd = True
    shape = ODD if odd or depth != 0 else OBJECT
    if deepest > MAX_DEPTH:
        shape = DEEP
    return np.int64(shape if opened else BLANK)


def _shape_of(line: bytes) -> int:
    return int(_scan(np.frombuffer(line + b"\n", np.uint8), 0))


@kernel(types.void(BYTES, types.int64[::1], types.int64[::1], types.uint8[::1]))
def _glance(data_B: Any, starts_L: Any, stops_L: Any, shapes_L: Any) -> None:
    """Fills in the shapes of lines; those that may be of several objects, or of none, are scanned."""
    for line in range(len(starts_L)):
        i, stop = starts_L[line], stops_L[line]
        sound = _behind_blanks(data_B, i, stop) == 0x7B and not _may_part(data_B, i, stop)
        shapes_L[line] = OBJECT if sound else _scan(data_B, i)


@kernel()
def _behind_blanks(data_B: Any, i: Any, stop: Any) -> Any:
    """Returns the first byte behind white space of a line, at i or later; a line feed at the end."""
    while i < stop and (data_B[i] == 0x20 or data_B[i] == 0x09 or data_B[i] == 0x0D):
        i += 1
    return data_B[i] if i < stop else np.uint8(0x0A)


@kernel(types.boolean(BYTES, types.int64, types.int64))
def _may_part(data_B: Any, i: Any, stop: Any) -> Any:
    """Returns whether an object, or a mark, may follow one within a line."""
    while i < stop:
        if i + 8 <= stop:
            braces = zero_bytes(load8(data_B, i) ^ _BRACES)
            if not braces:
                i += 8
                continue
            i += first_byte(braces)
        i += 1
        if data_B[i - 1] == 0x7D:
            following = _behind_blanks(data_B, i, stop)
            if following == 0x7B or following == 0xEF or following == 0x1E:
                return True
    return False


@kernel()
def _begins_oddly(c: Any) -> Any:
    """Returns whether a line that begins with a byte is blank, or may have a mark."""
    return c == 0x0A or c == 0xEF or c == 0x1E


@kernel(types.void(BYTES, types.int64[::1], types.int64[::1], types.boolean[::1]))
def _find_untidy(data_B: Any, starts_N: Any, stops_N: Any, found_N: Any) -> None:
    """Tells of each line whether it may be blank, or of several objects, or have a mark."""
    for line in range(len(starts_N)):
        i, stop = starts_N[line], stops_N[line]
        begins_oddly = _begins_oddly(_behind_blanks(data_B, i, stop))
        found_N[line] = begins_oddly or _may_part(data_B, i, stop)


def _are_untidy(data: bytes, starts_N: Int64s, stops_N: Int64s) -> Bools:
    """Returns (N,) bool, false where a line surely is one record, without marks around it."""
    found_N = np.zeros(len(starts_N), np.bool_)
    _find_untidy(np.frombuffer(data, np.uint8), starts_N, stops_N, found_N)
    return found_N


def _is_utf8(data: bytes) -> bool:
    offsets = pa.py_buffer(np.array([0, len(data)], np.int32))
    try:
        pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
