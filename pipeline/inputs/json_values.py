"""JSON values one after the other: where each begins and ends, whatever is between them.

Arrays, objects over many lines, and objects without a line feed between them are one thing here: values, with
white space, commas, byte order marks and the brackets of the arrays around them in between. A value ends
where the grammar says so, so that damage is found where it is:

- A value is *broken* at the first byte that cannot follow what was before: a raw line feed or carriage return
  in a string, a `{` where a key must be, a bracket that closes another. What is inside scalars is left to the
  reader.
- A broken value costs itself alone: the next one begins at the first `{` behind its first byte that is the
  first of its line and no further indented than the broken one; or that has the first key of the broken one,
  or of the file, and is not where a nested object may begin (behind `:` or `[`); or, outside arrays, that
  follows a `}`, as no nested object can.
- Outside arrays, what begins with no `{` ends with its line, or before the next `{"`.
- A value of more than the allowed bytes is broken, too, whatever it holds.

The result does not depend on how the bytes are cut into pieces.

Shape suffixes: B bytes, R records, K bytes of a key, S entries of the state.
"""

from typing import Any, NamedTuple

import numpy as np

from sluice.pipeline.inputs.record_shapes import DEEP, MAX_DEPTH, OBJECT, ODD, TOO_LONG
from sluice.schemas.arrays import Int64s, Uint8s
from sluice.schemas.kernel import BYTES, kernel, types

_WHOLE, _OPEN, _BROKEN, _TOO_DEEP = range(4)
_VALUE, _ELEMENT, _KEY, _COLON, _COMMA = range(5)
_SPACE, _LETTER, _STRING, _OPENS, _CLOSES, _COMMA_BYTE, _COLON_BYTE, _OTHER = range(8)
_CLASS = np.full(256, _OTHER, np.uint8)
for _bytes, _class in (
    (b" \t\r\n", _SPACE),
    (b"0123456789+-.", _LETTER),
    (bytes(range(0x41, 0x5B)) + bytes(range(0x61, 0x7B)), _LETTER),
    (b'"', _STRING),
    (b"{[", _OPENS),
    (b"}]", _CLOSES),
    (b",", _COMMA_BYTE),
    (b":", _COLON_BYTE),
):
    _CLASS[list(_bytes)] = _class
_ENDS_RUN = np.zeros(256, np.uint8)
_ENDS_RUN[list(b'"\\\n\r')] = 1

_AT, _IN_ARRAY, _INDENT, _NUM_RECORDS, _LAST_IS_WHOLE = range(5)  # entries of the state


class Values(NamedTuple):
    """R values of a block, in which what is between values has become white space.

    Attributes:
        starts_R: (R,) int64, first byte of each.
        stops_R: (R,) int64, the byte after its last.
        shapes_R: (R,) uint8, OBJECT, ODD, DEEP or TOO_LONG of `record_shapes`.
        at: where the first value begins that is not here, because the block ends in it.
        in_array: whether that place is in an array.
        indent: bytes of white space before that place in its line, -1 where something else is before it.
        is_whole: whether the last value is not broken.
    """

    starts_R: Int64s
    stops_R: Int64s
    shapes_R: Uint8s
    at: int
    in_array: bool
    indent: int
    is_whole: bool


def find_values(
    block_B: Uint8s,
    *,
    at: int,
    in_array: bool,
    indent: int,
    is_last: bool,
    key: bytes,
    max_bytes: int,
    max_records: int,
    commas: bool = True,
) -> Values:
    """Finds the values of a block from a place on, and makes white space of what is between them.

    Args:
        block_B: (B,) uint8, changed: marks, commas and brackets around values, and line feeds in them.
        at: where to begin.
        in_array: whether that is in an array.
        indent: see `Values`.
        is_last: whether the text ends with the block.
        key: the first key of the file's first object, with its quotes; b"" where there is none.
        max_bytes: a longer value is TOO_LONG.
        max_records: as many are found at most.
        commas: whether commas and arrays around values are taken for nothing outside arrays, too.
    """
    size = min(max_records, (len(block_B) - at) // 2 + 1)
    starts_R, stops_R = np.empty(size, np.int64), np.empty(size, np.int64)
    shapes_R = np.empty(size, np.uint8)
    state_S = np.array([at, in_array, indent, 0, 1], np.int64)
    key_K = np.frombuffer(key, np.uint8)
    _find(block_B, state_S, is_last, commas, key_K, max_bytes, starts_R, stops_R, shapes_R)
    n = int(state_S[_NUM_RECORDS])
    return Values(
        starts_R[:n],
        stops_R[:n],
        shapes_R[:n],
        int(state_S[_AT]),
        bool(state_S[_IN_ARRAY]),
        int(state_S[_INDENT]),
        bool(state_S[_LAST_IS_WHOLE]),
    )


class Objects(NamedTuple):
    """R whole objects.

    Attributes:
        data: their bytes, with white space for what is between them.
        starts_R: (R,) int64, first byte of each.
        stops_R: (R,) int64, the byte after its last.
    """

    data: bytes
    starts_R: Int64s
    stops_R: Int64s


def objects_of(line: bytes) -> Objects | None:
    """Returns the objects of a line that is nothing else but white space and marks, or None."""
    block_B, n = np.frombuffer(bytearray(line), np.uint8), len(line)
    found = find_values(
        block_B,
        at=0,
        in_array=False,
        indent=0,
        is_last=True,
        key=b"",
        max_bytes=n,
        max_records=n,
        commas=False,
    )
    if (found.shapes_R != OBJECT).any():
        return None
    return Objects(block_B.tobytes(), found.starts_R, found.stops_R)


def next_start(
    block_B: Uint8s, *, start: int, key: bytes, own_key: bytes, indent: int, in_array: bool
) -> int:
    """Returns where the value behind a broken object begins, at `start` or later, or -1.

    Args:
        block_B: (B,) uint8.
        start: first place to look at.
        key: see `find_values`.
        own_key: the first key of the broken value, with its quotes, or b"".
        indent: of the broken value, see `Values`.
        in_array: whether the broken value is in an array.
    """
    keys = np.frombuffer(key, np.uint8), np.frombuffer(own_key, np.uint8)
    return int(_next_start(block_B, start, *keys, indent, in_array))


def stray_end(block_B: Uint8s, start: int) -> int:
    """Returns where text that is no object ends, at `start` or later, or -1."""
    return int(_stray_end(block_B, start, len(block_B)))


def first_key(block_B: Uint8s, at: int) -> bytes:
    """Returns the first key of the object at a place, with its quotes, or b"" where there is none."""
    start, stop = _first_key(block_B, at)
    return block_B[start:stop].tobytes()


def end_of_value(block_B: Uint8s, at: int) -> tuple[int, bool]:
    """Returns (where the value at a place ends, breaks or the block ends; whether it is whole)."""
    end, status = _end_of_value(block_B, at)
    return int(end), bool(status == _WHOLE)


@kernel()
def _value_end(data_B: Any, i: Any, end: Any, stack_D: Any) -> Any:
    """Returns (end of the value at i, how it ended, whether it is an object, whether it has line feeds)."""
    depth, expect, status = 0, _VALUE, _OPEN
    is_object, has_lines = data_B[i] == 0x7B, False
    while i < end and status == _OPEN:
        c = data_B[i]
        kind = _CLASS[c]
        if kind == _SPACE:
            has_lines = has_lines or c == 0x0A or c == 0x0D
            i += 1
        elif kind == _STRING:
            if expect in (_COLON, _COMMA):
                status = _BROKEN
            else:
                i += 1
                closed = False
                while i < end and not closed and status == _OPEN:
                    while i < end and _ENDS_RUN[data_B[i]] == 0:
                        i += 1
                    if i < end:
                        c = data_B[i]
                        if c == 0x22:
                            closed = True
                            i += 1
                        elif c == 0x5C:
                            if i + 1 < end and (data_B[i + 1] == 0x0A or data_B[i + 1] == 0x0D):
                                status = _BROKEN
                            i += 2
                        else:
                            status = _BROKEN
                if i > end:  # a backslash is the last byte
                    i = end
                if closed:
                    if depth == 0:
                        status = _WHOLE
                    expect = _COLON if expect == _KEY else _COMMA
        elif kind == _OPENS:
            if expect != _VALUE and expect != _ELEMENT:
                status = _BROKEN
            elif depth == MAX_DEPTH:
                status = _TOO_DEEP
            else:
                stack_D[depth] = c
                depth += 1
                expect = _KEY if c == 0x7B else _ELEMENT
                i += 1
        elif kind == _CLOSES:
            if depth == 0 or stack_D[depth - 1] + 2 != c:  # { and }, [ and ] are two apart
                status = _BROKEN
            else:
                depth -= 1
                expect = _COMMA
                i += 1
                if depth == 0:
                    status = _WHOLE
        elif kind == _COMMA_BYTE:
            if expect != _COMMA:
                status = _BROKEN
            else:
                expect = _KEY if stack_D[depth - 1] == 0x7B else _ELEMENT
                i += 1
        elif kind == _COLON_BYTE:
            if expect != _COLON:
                status = _BROKEN
            else:
                expect = _VALUE
                i += 1
        elif kind == _LETTER and (expect in (_VALUE, _ELEMENT)):
            while i < end and _CLASS[data_B[i]] == _LETTER:
                i += 1
            expect = _COMMA
            if depth == 0 and i < end:
                status = _WHOLE
        else:
            status = _BROKEN
    return i, status, is_object, has_lines


@kernel()
def _is_space(c: Any) -> Any:
    return c == 0x20 or c == 0x09 or c == 0x0A or c == 0x0D


@kernel(types.UniTuple(types.int64, 2)(BYTES, types.int64))
def _first_key(data_B: Any, i: Any) -> Any:
    """Returns the place of the first key of the object at i, with its quotes; (i, i) where there is none."""
    n, start = len(data_B), i
    if i < n and data_B[i] == 0x7B:
        i += 1
        while i < n and _is_space(data_B[i]):
            i += 1
        if i < n and data_B[i] == 0x22:
            j = i + 1
            while j < n and _ENDS_RUN[data_B[j]] == 0:
                j += 1
            if j < n and data_B[j] == 0x22:
                return i, j + 1
    return start, start


@kernel(types.UniTuple(types.int64, 2)(BYTES, types.int64))
def _end_of_value(data_B: Any, i: Any) -> Any:
    stack_D = np.empty(MAX_DEPTH, np.uint8)
    end, status, _, _ = _value_end(data_B, i, len(data_B), stack_D)
    return end, status


@kernel()
def _matches(data_B: Any, i: Any, key_K: Any) -> Any:
    """Returns whether a key that is not empty stands at i."""
    n = len(key_K)
    same = n > 0 and i + n <= len(data_B)
    k = 0
    while same and k < n:
        same = data_B[i + k] == key_K[k]
        k += 1
    return same


@kernel()
def _indent(data_B: Any, i: Any) -> Any:
    """Returns the bytes of white space before i in its line, or -1 where something else is."""
    j = i - 1
    while j >= 0 and (data_B[j] == 0x20 or data_B[j] == 0x09):
        j -= 1
    return i - 1 - j if j < 0 or data_B[j] == 0x0A or data_B[j] == 0x0D else np.int64(-1)


@kernel(
    types.int64(
        BYTES,
        types.int64,
        BYTES,
        BYTES,
        types.int64,
        types.boolean,
    )
)
def _next_start(data_B: Any, start: Any, key_K: Any, own_K: Any, indent: Any, in_array: Any) -> Any:
    """Returns the first place from `start` on where the value behind a broken one begins, or -1."""
    n = len(data_B)
    before = np.int64(0x0A)  # the last byte that is no white space
    line_at = start - 1  # where the white space at the start of this line begins, -2 behind it
    k = start - 1
    while k >= 0 and (data_B[k] == 0x20 or data_B[k] == 0x09):
        k -= 1
    line_at = k + 1 if k < 0 or data_B[k] == 0x0A or data_B[k] == 0x0D else np.int64(-2)
    while k >= 0 and _is_space(data_B[k]):
        k -= 1
    if k >= 0:
        before = np.int64(data_B[k])
    i = start
    while i < n:
        c = data_B[i]
        if c == 0x0A or c == 0x0D:
            line_at = i + 1
        elif c == 0x7B:
            j = i + 1
            while j < n and _is_space(data_B[j]):
                j += 1
            if j < n and (data_B[j] == 0x22 or data_B[j] == 0x7D):
                if line_at >= 0 and i - line_at <= max(indent, 0):
                    return i
                if (
                    before != 0x3A
                    and before != 0x5B
                    and (_matches(data_B, j, own_K) or _matches(data_B, j, key_K))
                ):
                    return i
                if not in_array and before == 0x7D and data_B[j] == 0x22:
                    return i
        if c != 0x20 and c != 0x09 and c != 0x0A and c != 0x0D:
            before = np.int64(c)
            line_at = np.int64(-2)
        i += 1
    return np.int64(-1)


@kernel(types.int64(BYTES, types.int64, types.int64))
def _stray_end(data_B: Any, i: Any, end: Any) -> Any:
    """Returns where text that is no object ends: with its line, or before the next `{"`; -1 if not seen."""
    found = np.int64(-1)
    while found < 0 and i < end:
        c = data_B[i]
        if c == 0x0A or c == 0x0D:
            found = np.int64(i)
        elif c == 0x7B:
            j = i + 1
            while j < end and _is_space(data_B[j]):
                j += 1
            if j < end and data_B[j] == 0x22:
                found = np.int64(i)
        i += 1
    return found


@kernel(
    types.void(
        types.uint8[::1],
        types.int64[::1],
        types.boolean,
        types.boolean,
        BYTES,
        types.int64,
        types.int64[::1],
        types.int64[::1],
        types.uint8[::1],
    )
)
def _find(
    data_B: Any,
    state_S: Any,
    is_last: Any,
    commas: Any,
    key_K: Any,
    max_bytes: Any,
    starts_R: Any,
    stops_R: Any,
    shapes_R: Any,
) -> None:
    """Fills the arrays of `Values`, and the state."""
    n, i, num = len(data_B), state_S[_AT], 0
    in_array, indent = state_S[_IN_ARRAY] != 0, state_S[_INDENT]
    last_is_whole: Any = True
    stack_D = np.empty(MAX_DEPTH, np.uint8)
    while i < n and num < len(starts_R):
        c = data_B[i]
        if _is_space(c):
            if c == 0x0A or c == 0x0D:
                indent = 0
            elif indent >= 0:
                indent += 1
            i += 1
            continue
        if c == 0xEF and i + 3 > n and not is_last:
            break
        if c == 0xEF and i + 2 < n and data_B[i + 1] == 0xBB and data_B[i + 2] == 0xBF:
            data_B[i : i + 3] = 0x20
            i += 3
            continue
        if c == 0x1E or (c == 0x2C and (commas or in_array)):
            indent = np.int64(-1)
            data_B[i] = 0x20
            i += 1
            continue
        if commas and ((c == 0x5B and not in_array) or (c == 0x5D and in_array)):
            in_array, indent = not in_array, np.int64(-1)
            data_B[i] = 0x20
            i += 1
            continue
        limit = min(n, i + max_bytes + 1)
        shape = ODD
        stop = np.int64(-1)  # where the value ends; -1 where only the next one tells
        if in_array or c == 0x7B or not commas:
            end, status, is_object, has_lines = _value_end(data_B, i, limit, stack_D)
            if status == _OPEN and end == n and n - i <= max_bytes:
                if not is_last:
                    break
                if end > i and _CLASS[c] == _LETTER:  # a number or word ends with the text
                    status = _WHOLE
            if status == _WHOLE and end - i <= max_bytes:
                stop = end
                shape = OBJECT if is_object else ODD
                if has_lines:
                    for k in range(i, end):
                        if data_B[k] == 0x0A or data_B[k] == 0x0D:
                            data_B[k] = 0x20
            elif status == _TOO_DEEP:
                shape = DEEP
            elif end - i > max_bytes:
                shape = TOO_LONG
        else:
            stop = _stray_end(data_B, i, n)
            if stop < 0:
                if not is_last:
                    break
                stop = np.int64(n)
            if stop - i > max_bytes:
                shape = TOO_LONG
        last_is_whole = stop >= 0
        following = stop
        if stop < 0:
            key_at, key_end = _first_key(data_B, i)
            own_K = data_B[key_at:key_end]
            following = _next_start(data_B, i + 1, key_K, own_K, indent, in_array)
            if following < 0:
                if not is_last:
                    break
                following = np.int64(n)
            if following - i > max_bytes:
                shape = TOO_LONG
            stop = following
            while stop > i + 1 and (_is_space(data_B[stop - 1]) or data_B[stop - 1] == 0x2C):
                stop -= 1
        starts_R[num], stops_R[num], shapes_R[num] = i, stop, shape
        num += 1
        indent = np.int64(-1) if last_is_whole else _indent(data_B, following)
        i = following
    state_S[_AT], state_S[_IN_ARRAY], state_S[_INDENT] = i, in_array, indent
    state_S[_NUM_RECORDS], state_S[_LAST_IS_WHOLE] = num, last_is_whole
