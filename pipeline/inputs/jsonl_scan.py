"""The lines of a block of JSON lines, and what each looks like: one pass over its bytes."""

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from sluice.schemas.arrays import Int64s, Uint8s
from sluice.schemas.kernel import BYTES, kernel, types

MAX_DEPTH: Final = 200
"""Brackets and braces that may be open at once: the standard library's reader recurses."""
BLANK, OBJECT, ODD, DEEP, NOT_UTF8, TOO_LONG = range(6)
"""Shapes of a line. OBJECT: one balanced object, no NaN or Infinity in it; ODD: all others."""
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


class Lines(NamedTuple):
    """L physical lines of a block.

    Attributes:
        data: the block, UTF-8 where no line says otherwise.
        starts_L: (L,) int64, first byte of each line.
        stops_L: (L,) int64, the byte after its last, line feed not counted.
        shapes_L: (L,) uint8, BLANK to TOO_LONG.
    """

    data: bytes
    starts_L: Int64s
    stops_L: Int64s
    shapes_L: Uint8s

    def line(self, index: int) -> bytes:
        """Returns one line without its line feed."""
        return self.data[self.starts_L[index] : self.stops_L[index]]


def scan_lines(data: bytes, *, max_line_bytes: int) -> Lines:
    """Finds the lines of a block and what each looks like, in one pass over the bytes.

    Args:
        data: whole lines; the last may lack its line feed.
        max_line_bytes: longer lines are TOO_LONG, whatever they hold.
    """
    if not data.endswith(b"\n"):
        data += b"\n"
    data_B = np.frombuffer(data, np.uint8)
    num_lines = int(np.count_nonzero(data_B == 0x0A))
    starts_L, stops_L = np.empty(num_lines, np.int64), np.empty(num_lines, np.int64)
    shapes_L = np.empty(num_lines, np.uint8)
    _scan(data_B, starts_L, stops_L, shapes_L)
    lines = Lines(data, starts_L, stops_L, shapes_L)
    if not _is_utf8(data):
        for index in np.flatnonzero(shapes_L != BLANK).tolist():
            if not _is_utf8(lines.line(index)):
                shapes_L[index] = NOT_UTF8
    shapes_L[stops_L - starts_L > max_line_bytes] = TOO_LONG
    return lines


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


@kernel(types.void(BYTES, types.int64[::1], types.int64[::1], types.uint8[::1]))
def _scan(data_B: Any, starts_L: Any, stops_L: Any, shapes_L: Any) -> None:
    """Fills the arrays of `Lines`; the data must end with a line feed."""
    i = 0
    for line in range(len(starts_L)):
        starts_L[line] = i
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
        stops_L[line] = i
        i += 1
        if not opened:
            shapes_L[line] = BLANK
        elif deepest > MAX_DEPTH:
            shapes_L[line] = DEEP
        else:
            shapes_L[line] = ODD if odd or depth != 0 else OBJECT


def _is_utf8(data: bytes) -> bool:
    offsets = pa.py_buffer(np.array([0, len(data)], np.int32))
    try:
        pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
