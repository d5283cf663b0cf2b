"""JSON lines to columns: blocks at once where they are sound, line by line where they are not.

The fast path is Arrow's JSON reader on a block. It takes more than JSON lines (two objects in a
line, an object over two lines) and crashes on a bare `null`, so a scan of the bytes first sets
aside every line that is not one object from its first byte to its last. Those, and the lines of a
block that Arrow refuses, narrowed down to a few, are read one by one with the standard library.
Both ways give the same columns for the same line; a test holds them to it.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.json as pa_json
from numba import types

from sluice.schemas.kernel import BYTES, kernel
from sluice.schemas.payloads.columns import ID_COLUMNS, ColumnMapping, Fault, RawPosts, coalesce
from sluice.schemas.post import MEDIA

MAX_DEPTH: Final = 200
"""Brackets and braces that may be open at once: the standard library's reader recurses."""

_LINE_BY_LINE = 32  # so few lines are not worth another call of Arrow
_SAMPLE_LINES = 4  # lines of a part that are looked at for the type of its ids
_BLANKS = b" \t\r\n"  # JSON's white space

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
    starts_L: np.ndarray[Any, np.dtype[np.int64]]
    stops_L: np.ndarray[Any, np.dtype[np.int64]]
    shapes_L: np.ndarray[Any, np.dtype[np.uint8]]

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


class JsonLines:
    """Reads parts of blocks as columns; remembers which id columns of a unit hold integers.

    Args:
        mapping: POST column -> names in the input.
    """

    def __init__(self, mapping: ColumnMapping):
        self._mapping = mapping
        names = dict.fromkeys(name for column in mapping for name in mapping[column])
        self._types = {name: pa.string() for name in names}
        for name in mapping["media"]:
            self._types[name] = MEDIA
        ids = {name for column in ID_COLUMNS for name in mapping[column]}
        others = {name for column in mapping.keys() - ID_COLUMNS for name in mapping[column]}
        self._id_names = ids - others

    def read(
        self, lines: Lines, *, first: int, stop: int, first_row: int
    ) -> tuple[RawPosts, list[Fault]]:
        """Reads lines `first` to `stop` of a block; every line that is not blank comes out once.

        Args:
            lines: a scanned block.
            first: index of the first line.
            stop: index after the last.
            first_row: `source_row` of line 0 of the block.
        """
        shapes_L = lines.shapes_L[first:stop]
        whole_N = np.flatnonzero(shapes_L == OBJECT) + first
        odd_N = np.flatnonzero(shapes_L > OBJECT) + first
        pieces: list[_Piece] = []
        faults: list[Fault] = []
        refused = [odd_N]
        for lines_N, columns in self._fast(lines, whole_N):
            if columns is None:
                refused.append(lines_N)
            else:
                pieces.append(_Piece(lines_N, columns))
        if any(map(len, refused)) or not pieces:
            piece, faults = self._slow(lines, np.sort(np.concatenate(refused)))
            pieces.append(piece)
        read = _joined(pieces)
        faults = [fault._replace(source_row=fault.source_row + first_row) for fault in faults]
        return RawPosts(read.columns, read.lines_N + first_row), faults

    def _fast(
        self, lines: Lines, lines_N: np.ndarray[Any, np.dtype[np.int64]]
    ) -> Iterator[tuple[np.ndarray[Any, np.dtype[np.int64]], dict[str, pa.Array] | None]]:
        """Reads lines of shape OBJECT at once; yields (lines, their columns or None if refused).

        Where Arrow names the row that it refuses, that row goes (with its neighbours, if it is one
        of the first, so that a block of bad lines does not take a call a line); where it does not,
        the lines are halved until few are left. What Arrow says only decides how fast it goes.
        """
        while len(lines_N):
            self._look_at_ids(lines, lines_N[:_SAMPLE_LINES])
            try:
                yield lines_N, self._parse(_only(lines, lines_N), len(lines_N))
                return
            except pa.ArrowInvalid as error:
                sound, stop = _refused_rows(str(error), len(lines_N))
            yield from self._fast(lines, lines_N[:sound])
            yield lines_N[sound:stop], None
            lines_N = lines_N[stop:]

    def _parse(self, data: memoryview, num_rows: int) -> dict[str, pa.Array]:
        table = pa_json.read_json(
            pa.BufferReader(data),
            read_options=pa_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=pa_json.ParseOptions(
                explicit_schema=pa.schema(self._types), unexpected_field_behavior="ignore"
            ),
        )
        if table.num_rows != num_rows:
            raise pa.ArrowInvalid(f"{table.num_rows} rows in {num_rows} lines")
        found = {}
        for name in self._types:
            values = table.column(name).combine_chunks()
            found[name] = values.cast(pa.string()) if pa.types.is_integer(values.type) else values
        return self._by_post_column(found, num_rows)

    def _by_post_column(self, found: Mapping[str, pa.Array], num_rows: int) -> dict[str, pa.Array]:
        return {
            column: coalesce([found[name] for name in names])
            if names
            else pa.nulls(num_rows, _type_of(column))
            for column, names in self._mapping.items()
        }

    def _look_at_ids(self, lines: Lines, sample: np.ndarray[Any, Any]) -> None:
        """Sets the type of each id column to that of its first value in a few lines, if any."""
        unseen = set(self._id_names)
        for index in sample:
            try:
                row = _decode(lines.line(index))
            except _BadLineError:
                continue
            for name in [name for name in unseen if row.get(name) is not None]:
                self._types[name] = _id_type(row[name])
                unseen.discard(name)

    def _slow(
        self, lines: Lines, lines_N: np.ndarray[Any, np.dtype[np.int64]]
    ) -> tuple["_Piece", list[Fault]]:
        rows, kept, faults = [], [], []
        for index in lines_N.tolist():
            row: dict[str, Any] = {}
            try:
                _check_shape(lines.shapes_L[index])
                row = _decode(lines.line(index))
                rows.append(self._checked(row))
                kept.append(index)
            except _BadLineError as bad:
                faults.append(Fault(index, bad.reason, bad.detail, self._post_id(row)))
        columns = {
            column: pa.array([row[column] for row in rows], _type_of(column))
            for column in self._mapping
        }
        return _Piece(np.array(kept, np.int64), columns), faults

    def _checked(self, row: dict[str, Any]) -> dict[str, Any]:
        """Returns POST column -> value of a decoded line, or raises what is wrong with it."""
        if isinstance(row, _Repeating):
            for name in self._types:
                if name in row.repeated:
                    raise _BadLineError("repeated_key", name)
        values = {column: _first(row, names) for column, names in self._mapping.items()}
        return {
            column: _media(value) if column == "media" else _string(column, value)
            for column, value in values.items()
        }

    def _post_id(self, row: dict[str, Any]) -> str | None:
        """Returns the id of a line that is a dead letter, where it has a sound one."""
        try:
            if isinstance(row, _Repeating) and row.repeated & set(self._mapping["post_id"]):
                return None
            return _string("post_id", _first(row, self._mapping["post_id"])) or None
        except _BadLineError:
            return None


# --- the scan --------------------------------------------------------------------------------


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


def _refused_rows(message: str, num_rows: int) -> tuple[int, int]:
    """Returns the rows to give up on, by what Arrow's JSON reader says; (half, half) where nothing."""
    found = re.search(r" in row (\d+)$", message)
    row = int(found[1]) if found else num_rows
    if row < _LINE_BY_LINE or num_rows <= _LINE_BY_LINE:
        return 0, _LINE_BY_LINE
    return (row, row + 1) if row < num_rows else (num_rows // 2, num_rows // 2)


def _is_utf8(data: bytes) -> bool:
    offsets = pa.py_buffer(np.array([0, len(data)], np.int32))
    try:
        pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _only(lines: Lines, lines_N: np.ndarray[Any, np.dtype[np.int64]]) -> memoryview:
    """Returns the bytes from the first to the last of some lines, all other lines blanked."""
    first, stop = int(lines_N[0]), int(lines_N[-1]) + 1
    begin, end = int(lines.starts_L[first]), int(lines.stops_L[stop - 1])
    others = np.flatnonzero(lines.shapes_L[first:stop] > OBJECT) + first
    if len(others) == 0:
        return memoryview(lines.data)[begin:end]
    data_B = bytearray(memoryview(lines.data)[begin:end])
    for start, stop in zip(lines.starts_L[others], lines.stops_L[others], strict=True):
        data_B[start - begin : stop - begin] = b" " * int(stop - start)
    return memoryview(data_B)


class _Piece(NamedTuple):
    """Some lines of a part, read: their indices in the block, and an array a POST column."""

    lines_N: np.ndarray[Any, np.dtype[np.int64]]
    columns: dict[str, pa.Array]


def _joined(pieces: Sequence[_Piece]) -> _Piece:
    """Returns the rows of all pieces in the order of their lines."""
    if len(pieces) == 1:
        return pieces[0]
    lines_N = np.concatenate([piece.lines_N for piece in pieces])
    order_N = np.argsort(lines_N)
    order = pa.array(order_N)
    columns = {
        name: pa.concat_arrays([piece.columns[name] for piece in pieces]).take(order)
        for name in pieces[0].columns
    }
    return _Piece(lines_N[order_N], columns)


# --- one line --------------------------------------------------------------------------------


class _BadLineError(Exception):
    def __init__(self, reason: str, detail: str | None = None):
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class _Integer(str):
    """The digits of a JSON integer: exact at any length."""

    __slots__ = ()


class _Repeating(dict[str, Any]):
    """An object in which `repeated` keys stand more than once."""

    repeated: frozenset[str]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeating = _Repeating(found)
    keys = [key for key, _ in pairs]
    repeating.repeated = frozenset(key for key in found if keys.count(key) > 1)
    return repeating


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_Integer)


def _check_shape(shape: int) -> None:
    if shape == TOO_LONG:
        raise _BadLineError("line_too_long")
    if shape == NOT_UTF8:
        raise _BadLineError("not_utf8")
    if shape == DEEP:
        raise _BadLineError("not_json", f"more than {MAX_DEPTH} brackets open")


def _decode(line: bytes) -> dict[str, Any]:
    try:
        row = _DECODER.decode(line.decode().strip(_BLANKS.decode()))
    except json.JSONDecodeError as error:
        raise _BadLineError("not_json", f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise _BadLineError("not_json", "nested too deeply") from None
    if not isinstance(row, dict):
        raise _BadLineError("not_object", _kind(row))
    return row


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _string(column: str, value: Any) -> str | None:
    if isinstance(value, _Integer) and column in ID_COLUMNS:
        return "0" if value == "-0" else str(value)
    if value is not None and type(value) is not str:
        reason = "bad_time" if column == "created_at" else "wrong_type"
        raise _BadLineError(reason, f"{column} is {_kind(value)}")
    if value is not None and not _is_unicode(value):
        raise _BadLineError("lone_surrogate", column)
    return value


def _media(value: Any) -> list[dict[str, str | None] | None] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise _BadLineError("wrong_type", f"media is {_kind(value)}")
    return [None if item is None else _medium(item) for item in value]


def _medium(item: Any) -> dict[str, str | None]:
    if not isinstance(item, dict):
        raise _BadLineError("wrong_type", f"media[] is {_kind(item)}")
    for field in MEDIA.value_type:
        if isinstance(item, _Repeating) and field.name in item.repeated:
            raise _BadLineError("repeated_key", f"media[].{field.name}")
    return {
        field.name: _string(f"media[].{field.name}", item.get(field.name))
        for field in MEDIA.value_type
    }


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: Any) -> str:
    kinds = {bool: "a boolean", _Integer: "an integer", float: "a number", str: "a string"}
    kinds |= {list: "an array", type(None): "null"}
    return kinds.get(type(value), "an object")


def _id_type(value: Any) -> pa.DataType:
    if not isinstance(value, _Integer):
        return pa.string()
    return pa.int64() if len(value) < 19 or value.startswith("-") else pa.uint64()


def _type_of(column: str) -> pa.DataType:
    return MEDIA if column == "media" else pa.string()
