"""The records and fields of a block of CSV or TSV: one pass over its bytes.

Fields are parted by a delimiter and records by CRLF, LF or CR. A field that begins with a quote goes on to
the next quote that is not doubled, and may hold delimiters and line breaks; a quote elsewhere is a character.
An empty line is no record.

A record is *broken* where a quote is never closed, where text follows a closing quote, or where it has more
than the allowed bytes. It costs itself alone: the next one begins at the first line behind its first that is
a whole record with as many fields as the header, or at its second line, if none of the next 100 lines is one.
A line of more than the allowed bytes ends where it ends.

Shape suffixes: B bytes, R records, W columns that are wanted, F fields of a record.

Source: RFC 4180, and what else writes CSV: other delimiters, LF and CR, quotes inside unquoted fields.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sluice.schemas.arrays import Int64s, Uint8s
from sluice.schemas.kernel import BYTES, kernel, types

WHOLE, UNCLOSED, TEXT_BEHIND, TOO_LONG = range(4)
"""Shapes of a record: it can be read; a quote is not closed; text follows a closing quote; too many bytes."""
_OPEN = 9
_PLAIN, _QUOTED, _DOUBLED = range(
    3
)  # a field: without quotes, in quotes, in quotes with doubled ones
_NEXT_LINES = 100


class Records(NamedTuple):
    """R records of a block.

    Attributes:
        starts_R: (R,) int64, first byte of each.
        shapes_R: (R,) uint8, WHOLE to TOO_LONG.
        num_fields_R: (R,) int64, fields of whole ones.
        begins_RW: (R, W) int64, first byte of the wanted fields, without the quote.
        ends_RW: (R, W) int64, the byte after their last, without the quote.
        kinds_RW: (R, W) uint8, how they are quoted.
        at: where the first record begins that is not here, because the block ends in it.
    """

    starts_R: Int64s
    shapes_R: Uint8s
    num_fields_R: Int64s
    begins_RW: Int64s
    ends_RW: Int64s
    kinds_RW: Uint8s
    at: int


def scan_records(
    data: bytes,
    *,
    delimiter: bytes,
    num_fields: int,
    wanted: list[int],
    is_last: bool,
    max_bytes: int,
    max_records: int,
) -> Records:
    """Finds the records of a block and the places of the wanted fields.

    Args:
        data: begins with a record.
        delimiter: one byte.
        num_fields: of the header; 0 where this is the header.
        wanted: which fields, from 0, ascending.
        is_last: whether the text ends with the block.
        max_bytes: a longer record is TOO_LONG.
        max_records: as many are found at most.
    """
    data_B = np.frombuffer(data, np.uint8)
    size = min(max_records, len(data) + 1)
    starts_R, num_fields_R = np.empty(size, np.int64), np.zeros(size, np.int64)
    shapes_R = np.empty(size, np.uint8)
    begins_RW = np.zeros((size, len(wanted)), np.int64)
    ends_RW = np.zeros((size, len(wanted)), np.int64)
    kinds_RW = np.zeros((size, len(wanted)), np.uint8)
    num, at = _scan(
        data_B,
        np.uint8(delimiter[0]),
        num_fields,
        np.array(wanted, np.int64),
        is_last,
        max_bytes,
        starts_R,
        shapes_R,
        num_fields_R,
        begins_RW,
        ends_RW,
        kinds_RW,
    )
    return Records(
        starts_R[:num],
        shapes_R[:num],
        num_fields_R[:num],
        begins_RW[:num],
        ends_RW[:num],
        kinds_RW[:num],
        int(at),
    )


def field_texts(data: bytes, records: Records, column: int, rows_N: Int64s) -> pa.Array:
    """Returns (N,) string, a wanted field of some records, null where it is empty; may not be UTF-8."""
    begins_N = np.ascontiguousarray(records.begins_RW[rows_N, column])
    ends_N = np.ascontiguousarray(records.ends_RW[rows_N, column])
    kinds_N = np.ascontiguousarray(records.kinds_RW[rows_N, column])
    offsets_N1 = np.zeros(len(rows_N) + 1, np.int32)
    out_B = np.empty(int((ends_N - begins_N).sum()), np.uint8)
    _copy(np.frombuffer(data, np.uint8), begins_N, ends_N, kinds_N, offsets_N1, out_B)
    is_valid = np.packbits(np.diff(offsets_N1) > 0, bitorder="little")
    buffers = [pa.py_buffer(is_valid), pa.py_buffer(offsets_N1), pa.py_buffer(out_B)]
    return pa.StringArray.from_buffers(len(rows_N), buffers[1], buffers[2], buffers[0])


@kernel()
def _record_end(
    data_B: Any,
    i: Any,
    limit: Any,
    delimiter: Any,
    wanted_W: Any,
    begins_W: Any,
    ends_W: Any,
    kinds_W: Any,
) -> Any:
    """Returns (where the record at i ends, its line end counted; how; its fields)."""
    status, num, w = _OPEN, 0, 0
    at_field = True
    while status == _OPEN and i < limit:
        begin, kind = i, _PLAIN
        end = i
        at_field = False
        if data_B[i] == 0x22:
            kind, begin = _QUOTED, i + 1
            i += 1
            closed = False
            while i < limit and not closed:
                if data_B[i] != 0x22:
                    i += 1
                elif i + 1 < limit and data_B[i + 1] == 0x22:
                    kind = _DOUBLED
                    i += 2
                else:
                    closed = True
                    end = i
                    i += 1
            if not closed:
                status = UNCLOSED
            elif i < limit and data_B[i] != delimiter and data_B[i] != 0x0A and data_B[i] != 0x0D:
                status = TEXT_BEHIND
        else:
            while i < limit and data_B[i] != delimiter and data_B[i] != 0x0A and data_B[i] != 0x0D:
                i += 1
            end = i
        if status == _OPEN:
            if w < len(wanted_W) and wanted_W[w] == num:
                begins_W[w], ends_W[w], kinds_W[w] = begin, end, kind
                w += 1
            num += 1
            if i < limit:
                if data_B[i] == delimiter:
                    at_field = True
                else:
                    status = WHOLE
                    if data_B[i] == 0x0D and i + 1 < limit and data_B[i + 1] == 0x0A:
                        i += 1
                i += 1
    if at_field and status == _OPEN:  # the last field is empty, and the text ends
        if w < len(wanted_W) and wanted_W[w] == num:
            begins_W[w], ends_W[w], kinds_W[w] = i, i, _PLAIN
        num += 1
    return i, status, num


@kernel()
def _goes_on(status: Any) -> Any:
    """Returns whether the bytes end in the record."""
    return status >= _OPEN or status == UNCLOSED


@kernel()
def _line_end(data_B: Any, i: Any, n: Any) -> Any:
    """Returns where the line after the one at i begins, or -1."""
    while i < n and data_B[i] != 0x0A and data_B[i] != 0x0D:
        i += 1
    if i < n and data_B[i] == 0x0D and i + 1 < n and data_B[i + 1] == 0x0A:
        i += 1
    return np.int64(i + 1) if i < n else np.int64(-1)


@kernel(
    types.UniTuple(types.int64, 2)(
        BYTES,
        types.uint8,
        types.int64,
        types.int64[::1],
        types.boolean,
        types.int64,
        types.int64[::1],
        types.uint8[::1],
        types.int64[::1],
        types.int64[:, ::1],
        types.int64[:, ::1],
        types.uint8[:, ::1],
    )
)
def _scan(
    data_B: Any,
    delimiter: Any,
    num_fields: Any,
    wanted_W: Any,
    is_last: Any,
    max_bytes: Any,
    starts_R: Any,
    shapes_R: Any,
    num_fields_R: Any,
    begins_RW: Any,
    ends_RW: Any,
    kinds_RW: Any,
) -> Any:
    """Fills the arrays of `Records`; returns how many there are, and `at`."""
    n, i, num = len(data_B), np.int64(0), 0
    none_W = np.empty(0, np.int64)
    no_begins_W, no_ends_W, no_kinds_W = none_W, none_W.copy(), np.empty(0, np.uint8)
    while i < n and num < len(starts_R):
        if data_B[i] == 0x0A or data_B[i] == 0x0D:
            i += 1
            continue
        limit = min(n, i + max_bytes + 1)
        end, status, fields = _record_end(
            data_B, i, limit, delimiter, wanted_W, begins_RW[num], ends_RW[num], kinds_RW[num]
        )
        if limit == n and n - i <= max_bytes and _goes_on(status):
            if not is_last:
                break
            if status == _OPEN:
                status = WHOLE
        if end - i > max_bytes:
            status = TOO_LONG
        following = np.int64(end)
        if status != WHOLE:
            second = _line_end(data_B, i, n)
            if second < 0:
                if not is_last:
                    break
                second = np.int64(n)
            following = second
            if second - i <= max_bytes and num_fields > 0:
                undecided, found = False, False
                j, lines = second, 0
                while not found and not undecided and lines < _NEXT_LINES and j - i <= max_bytes:
                    if j >= n:
                        undecided = not is_last
                        break
                    if data_B[j] == 0x0A or data_B[j] == 0x0D:
                        j += 1
                        continue
                    limit = min(n, j + max_bytes + 1)
                    end, then, fields = _record_end(
                        data_B, j, limit, delimiter, none_W, no_begins_W, no_ends_W, no_kinds_W
                    )
                    if limit == n and n - j <= max_bytes and _goes_on(then):
                        if is_last and then == _OPEN:
                            then = WHOLE
                        undecided = not is_last
                    found = then == WHOLE and fields == num_fields and end - j <= max_bytes
                    if not found:
                        lines += 1
                        line = _line_end(data_B, j, n)
                        j = line if line >= 0 else np.int64(n)
                if undecided:
                    break
                if found:
                    following = j
                elif j >= n and lines < _NEXT_LINES and j - i <= max_bytes:
                    following = np.int64(n)  # the text ends before any record
        starts_R[num], shapes_R[num], num_fields_R[num] = i, status, fields
        num += 1
        i = following
    return np.int64(num), i


@kernel(
    types.void(
        BYTES,
        types.int64[::1],
        types.int64[::1],
        types.uint8[::1],
        types.int32[::1],
        types.uint8[::1],
    )
)
def _copy(
    data_B: Any, begins_N: Any, ends_N: Any, kinds_N: Any, offsets_N1: Any, out_B: Any
) -> None:
    """Writes the fields one after the other, doubled quotes once, and where each ends."""
    at = 0
    for index in range(len(begins_N)):
        i, end = begins_N[index], ends_N[index]
        if kinds_N[index] == _DOUBLED:
            while i < end:
                out_B[at] = data_B[i]
                at += 1
                i += 2 if data_B[i] == 0x22 else 1
        else:
            while i < end:
                out_B[at] = data_B[i]
                at += 1
                i += 1
        offsets_N1[index + 1] = at
