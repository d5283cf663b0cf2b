"""JSON lines to columns: blocks at once where they are valid, line by line where they are not.

The fast path is Arrow's JSON reader on a block. It takes more than JSON lines (two objects in a
line, an object over two lines) and crashes on a bare `null`, so a scan of the bytes first sets
aside every line that is not one object from its first byte to its last. Those, and the lines of a
block that Arrow refuses, narrowed down to a few, are read one by one with the standard library.
Both ways give the same columns for the same line; a test holds them to it.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json as pa_json

from sluice.pipeline.inputs import json_row
from sluice.pipeline.inputs.json_row import BadLineError, Repeating
from sluice.pipeline.inputs.jsonl_scan import Lines
from sluice.pipeline.inputs.record_shapes import OBJECT
from sluice.schemas.arrays import Array, Int64s
from sluice.schemas.payloads.columns import ID_COLUMNS, ColumnMapping, Fault, RawPosts, coalesce
from sluice.schemas.post import MEDIA

_LINE_BY_LINE = 32  # so few lines are not worth another call of Arrow
_SAMPLE_LINES = 4  # lines of a part that are looked at for the type of its ids


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
        pieces: list[RawPosts] = []  # with the numbers of their lines in the block
        faults: list[Fault] = []
        refused = [odd_N]
        for lines_N, columns in self._fast(lines, whole_N):
            if columns is None:
                refused.append(lines_N)
            else:
                pieces.append(RawPosts(columns, lines_N))
        if any(map(len, refused)) or not pieces:
            piece, faults = self._slow(lines, np.sort(np.concatenate(refused)))
            pieces.append(piece)
        read = _joined(pieces)
        faults = [fault._replace(source_row=fault.source_row + first_row) for fault in faults]
        return RawPosts(read.columns, read.source_row_N + first_row), faults

    def _fast(
        self, lines: Lines, lines_N: Int64s
    ) -> Iterator[tuple[Int64s, dict[str, pa.Array] | None]]:
        """Reads lines of shape OBJECT at once; yields (lines, their columns or None if refused).

        Where Arrow names the row that it refuses, that row goes (with its neighbours, if it is one
        of the first, so that a block of bad lines does not take a call per line); where it does not,
        the lines are halved until few are left. What Arrow says only decides how fast it goes.
        """
        while len(lines_N):
            self._look_at_ids(lines, lines_N[:_SAMPLE_LINES])
            try:
                yield lines_N, self._parse(_only(lines, lines_N), len(lines_N))
                return
            except pa.ArrowInvalid as error:
                intact, stop = _refused_rows(str(error), len(lines_N))
            yield from self._fast(lines, lines_N[:intact])
            yield lines_N[intact:stop], None
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
        by_name = {}
        for name in self._types:
            values = table.column(name).combine_chunks()
            by_name[name] = values.cast(pa.string()) if pa.types.is_integer(values.type) else values
        return {
            column: coalesce([by_name[name] for name in names])
            if names
            else pa.nulls(num_rows, json_row.type_of(column))
            for column, names in self._mapping.items()
        }

    def _look_at_ids(self, lines: Lines, sample: Array) -> None:
        """Sets the type of each id column to that of its first value in a few lines, if any."""
        unseen = set(self._id_names)
        for index in sample:
            try:
                row = json_row.decode(lines.line(index))
            except BadLineError:
                continue
            for name in [name for name in unseen if row.get(name) is not None]:
                self._types[name] = json_row.id_type(row[name])
                unseen.discard(name)

    def _slow(self, lines: Lines, lines_N: Int64s) -> tuple[RawPosts, list[Fault]]:
        rows, kept, faults = [], [], []
        for index in lines_N.tolist():
            row: dict[str, Any] = {}
            try:
                json_row.check_shape(lines.shapes_L[index])
                row = json_row.decode(lines.line(index))
                rows.append(self._checked(row))
                kept.append(index)
            except BadLineError as bad:
                faults.append(Fault(index, bad.reason, bad.detail, self._post_id(row)))
        columns = {
            column: pa.array([row[column] for row in rows], json_row.type_of(column))
            for column in self._mapping
        }
        return RawPosts(columns, np.array(kept, np.int64)), faults

    def _checked(self, row: dict[str, Any]) -> dict[str, Any]:
        """Returns POST column -> value of a decoded line, or raises what is wrong with it."""
        if isinstance(row, Repeating):
            for name in self._types:
                if name in row.repeated:
                    raise BadLineError("repeated_key", name)
        values = {column: json_row.first_of(row, names) for column, names in self._mapping.items()}
        return {
            column: json_row.media_of(value)
            if column == "media"
            else json_row.string_of(column, value)
            for column, value in values.items()
        }

    def _post_id(self, row: dict[str, Any]) -> str | None:
        """Returns the id of a line that is a dead letter, where it has a valid one."""
        try:
            if isinstance(row, Repeating) and row.repeated & set(self._mapping["post_id"]):
                return None
            return (
                json_row.string_of("post_id", json_row.first_of(row, self._mapping["post_id"]))
                or None
            )
        except BadLineError:
            return None


def _refused_rows(message: str, num_rows: int) -> tuple[int, int]:
    """Returns the rows to give up on, by what Arrow's JSON reader says; (half, half) where nothing."""
    named = re.search(r" in row (\d+)$", message)
    row = int(named[1]) if named else num_rows
    if row < _LINE_BY_LINE or num_rows <= _LINE_BY_LINE:
        return 0, _LINE_BY_LINE
    return (row, row + 1) if row < num_rows else (num_rows // 2, num_rows // 2)


def _only(lines: Lines, lines_N: Int64s) -> memoryview:
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


def _joined(pieces: Sequence[RawPosts]) -> RawPosts:
    """Returns the rows of all pieces in the order of their lines."""
    if len(pieces) == 1:
        return pieces[0]
    lines_N = np.concatenate([piece.source_row_N for piece in pieces])
    order_N = np.argsort(lines_N)
    order = pa.array(order_N)
    columns = {
        name: pa.concat_arrays([piece.columns[name] for piece in pieces]).take(order)
        for name in pieces[0].columns
    }
    return RawPosts(columns, lines_N[order_N])
