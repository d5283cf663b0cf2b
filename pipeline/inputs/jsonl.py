"""JSON lines to POST columns, by a column mapping: values of any types as those of their columns."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.inputs import json_row
from sluice.pipeline.inputs.compiled_records import CompiledReader, Read, RecordSpans, read_records
from sluice.pipeline.inputs.json_fields import (
    ARRAY,
    BOOLEAN,
    ESCAPED,
    INFINITE,
    INTEGER,
    KIND_NAMES,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    Fields,
    FieldValues,
    array_items,
    first_values,
    paths_of,
    read_fields,
    strings,
)
from sluice.pipeline.inputs.jsonl_scan import Lines
from sluice.schemas.arrays import Array, Bools, Int64s
from sluice.schemas.counts import ReadTally
from sluice.schemas.payloads.columns import ID_COLUMNS, Fault, RawPosts, coalesce, raw_type
from sluice.schemas.payloads.conversions import counts_of, flags_of
from sluice.schemas.payloads.ids import ids_of_floats
from sluice.schemas.payloads.mapping import (
    REQUIRED,
    ColumnMapping,
    constant_of,
    names_of,
    source_names,
)
from sluice.schemas.post import COUNT_COLUMNS, FLAG_COLUMNS, MEDIA, TIME_COLUMNS

_MEDIA_NAMES = tuple(field.name for field in MEDIA.value_type)
_MEDIA_PATHS = paths_of(_MEDIA_NAMES)


class ValueColumn(NamedTuple):
    """A POST column of N lines: its values, where one is there that it cannot take, and why not.

    Attributes:
        bad_N: (N,) bool.
        inexact_N: (N,) bool, true where it is a float that names no id any more.
        kinds_N: (N,) uint8, of the values that were found.
        replaced: halves of surrogate pairs that became U+FFFD.
    """

    values: pa.Array
    bad_N: Bools
    inexact_N: Bools
    kinds_N: Array
    replaced: int


class JsonLines:
    """Reads parts of blocks as columns.

    Args:
        mapping: POST column -> where it is read from.

    Attributes:
        reader: what reads them.
    """

    def __init__(self, mapping: ColumnMapping):
        self._mapping = mapping
        self._names = names_of(mapping)
        self._paths = paths_of(self._names)
        self._places = {name: place for place, name in enumerate(self._names)}
        self._required = {name for column in REQUIRED for name in source_names(mapping[column])}
        id_names = source_names(mapping["post_id"])
        self.reader = CompiledReader(self._read, self._plain_line, id_names)

    def read(
        self, lines: Lines, *, first: int, stop: int, first_row: int
    ) -> tuple[RawPosts, list[Fault]]:
        """Returns what `read_records` does."""
        return read_records(self.reader, lines, first=first, stop=stop, first_row=first_row)

    def _read(self, spans: RecordSpans) -> Read:
        num_paths = len(self._names)
        fields = read_fields(spans.data, spans.starts_R, spans.stops_R, self._paths, num_paths)
        read_R, record_R = fields.read_N, spans.record_R
        return Read(*self._rows(fields.of_lines(read_R), record_R[read_R]), record_R[~read_R])

    def _plain_line(self, row: dict[str, Any]) -> bytes:
        return json_row.plain_line(row, self._names, required=self._required)

    def _rows(self, fields: Fields, lines_N: Int64s) -> tuple[RawPosts, list[Fault]]:
        """Returns lines as POST columns; those whose id or text is of another type are faults."""
        columns = {column: self._column(fields, column) for column in self._mapping}
        replaced = {name: column.replaced for name, column in columns.items() if column.replaced}
        nulled = {
            name: int(column.bad_N.sum())
            for name, column in columns.items()
            if name not in REQUIRED and column.bad_N.any()
        }
        values = {name: column.values for name, column in columns.items()}
        raw = RawPosts(values, lines_N, ReadTally(nulled=nulled, replaced=replaced))
        bad_N = columns["post_id"].bad_N | columns["text"].bad_N
        if not bad_N.any():
            return raw, []
        keep = pa.array(~bad_N)
        kept = {name: array.filter(keep) for name, array in values.items()}
        faults = [type_fault(columns, int(lines_N[i]), i) for i in np.flatnonzero(bad_N).tolist()]
        return RawPosts(kept, lines_N[~bad_N], raw.counts), faults

    def _column(self, fields: Fields, column: str) -> ValueColumn:
        sources = self._mapping[column]
        places = [self._places[name] for name in source_names(sources)]
        n = fields.kinds_PN.shape[1]
        if not places:
            none_N = np.zeros(n, np.bool_)
            found = ValueColumn(
                pa.nulls(n, raw_type(column)), none_N, none_N, np.zeros(n, np.uint8), 0
            )
        else:
            found = column_of(column, fields.data, first_values(fields, places))
        constant = constant_of(sources)
        if constant is None:
            return found
        filled = pc.if_else(pa.array(found.kinds_N == NULL), constant, found.values)
        return found._replace(values=filled)


def type_fault(columns: Mapping[str, ValueColumn], line: int, i: int) -> Fault:
    """Returns why the values of a row are no post: its id or its text is of another type."""
    name = "post_id" if columns["post_id"].bad_N[i] else "text"
    found = columns[name]
    post_id = None if name == "post_id" else columns["post_id"].values[i].as_py() or None
    if found.inexact_N[i]:
        return Fault(line, "inexact_id", "post_id is a float of 2**53 or more")
    return Fault(line, "wrong_type", f"{name} is {KIND_NAMES[found.kinds_N[i]]}", post_id)


def column_of(column: str, data: bytes, values: FieldValues) -> ValueColumn:
    """Returns values as those of a POST column."""
    if column == "media":
        return _media(data, values)
    kinds_N = values.kinds_N
    wanted_N = (kinds_N == STRING) | (kinds_N == ESCAPED)
    if column in TIME_COLUMNS:
        wanted_N |= (kinds_N == INTEGER) | (kinds_N == NUMBER)
    if column in ID_COLUMNS:
        return _ids(data, values, wanted_N)
    if column in COUNT_COLUMNS:
        return _counts(data, values, wanted_N)
    if column in FLAG_COLUMNS:
        return _flags(data, values, wanted_N)
    texts = strings(data, values, wanted_N)
    bad_N = (kinds_N != NULL) & ~wanted_N
    return ValueColumn(texts.texts, bad_N, np.zeros(len(bad_N), np.bool_), kinds_N, texts.replaced)


def _ids(data: bytes, values: FieldValues, is_text_N: Bools) -> ValueColumn:
    """Returns ids; integers are their digits, other numbers are taken where they are whole and exact."""
    kinds_N = values.kinds_N
    whole_N = kinds_N == INTEGER
    texts = strings(data, values, is_text_N | whole_N)
    ids, inexact_N = texts.texts, np.zeros(len(kinds_N), np.bool_)
    bad_N = (kinds_N != NULL) & ~is_text_N & ~whole_N
    if whole_N.any():
        zero_N = whole_N & np.asarray(pc.equal(ids, "-0").fill_null(False))
        ids = pc.if_else(pa.array(zero_N), "0", ids) if zero_N.any() else ids
    number_N = (kinds_N == NUMBER) | (kinds_N == INFINITE)
    if number_N.any():
        digits = strings(data, values, kinds_N == NUMBER).texts.cast(pa.float64())
        floats_N = digits.fill_null(np.nan).to_numpy(zero_copy_only=False)
        others, odd_N, inexact_N = ids_of_floats(floats_N)
        ids, bad_N = coalesce([ids, others]), bad_N & ~number_N | odd_N | inexact_N
        bad_N |= kinds_N == INFINITE
    return ValueColumn(ids, bad_N, inexact_N, kinds_N, texts.replaced)


def _counts(data: bytes, values: FieldValues, is_text_N: Bools) -> ValueColumn:
    """Returns whole numbers, which may be written as texts."""
    kinds_N = values.kinds_N
    wanted_N = is_text_N | (kinds_N == INTEGER)
    counts, bad_N = counts_of(strings(data, values, wanted_N).texts)
    bad_N |= (kinds_N != NULL) & ~wanted_N
    return ValueColumn(counts, bad_N, np.zeros(len(bad_N), np.bool_), kinds_N, 0)


def _flags(data: bytes, values: FieldValues, is_text_N: Bools) -> ValueColumn:
    """Returns flags, which may be written as texts."""
    kinds_N = values.kinds_N
    wanted_N = is_text_N | (kinds_N == BOOLEAN)
    flags, bad_N = flags_of(strings(data, values, wanted_N).texts)
    bad_N |= (kinds_N != NULL) & ~wanted_N
    return ValueColumn(flags, bad_N, np.zeros(len(bad_N), np.bool_), kinds_N, 0)


def _media(data: bytes, values: FieldValues) -> ValueColumn:
    """Returns lists of objects with MEDIA's fields; a list with anything else in it is bad."""
    n = len(values.kinds_N)
    bad_N = (values.kinds_N != NULL) & (values.kinds_N != ARRAY)
    none_N = np.zeros(n, np.bool_)
    if not (values.kinds_N == ARRAY).any():
        return ValueColumn(pa.nulls(n, MEDIA), bad_N, none_N, values.kinds_N, 0)
    lengths_N, items = array_items(data, values)
    row_M = np.repeat(np.arange(n), lengths_N)
    fields = read_fields(data, items.starts_N, items.stops_N, _MEDIA_PATHS, len(_MEDIA_NAMES))
    is_object_M = items.kinds_N == OBJECT
    columns = [
        column_of("source", data, first_values(fields, [place]))
        for place in range(len(_MEDIA_NAMES))
    ]
    odd_M = np.logical_or.reduce([column.bad_N for column in columns])
    odd_M = (is_object_M & (odd_M | ~fields.read_N)) | (~is_object_M & (items.kinds_N != NULL))
    bad_N[row_M[odd_M]] = True
    keep_M = ~bad_N[row_M]
    kept = pa.array(keep_M)
    structs = pa.StructArray.from_arrays(
        [column.values.filter(kept) for column in columns],
        fields=list(MEDIA.value_type),
        mask=pa.array(~is_object_M[keep_M]),
    )
    there_N = (values.kinds_N == ARRAY) & ~bad_N
    offsets = np.concatenate([[0], np.cumsum(np.where(there_N, lengths_N, 0))]).astype(np.int32)
    lists = pa.ListArray.from_arrays(
        pa.array(offsets), structs, type=MEDIA, mask=pa.array(~there_N)
    )
    replaced = sum(column.replaced for column in columns)
    return ValueColumn(lists, bad_N, none_N, values.kinds_N, replaced)
