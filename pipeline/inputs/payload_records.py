"""The records that platforms send to POST columns, by a payload format: no loop over posts.

One compiled pass reads the fields of a block's records and finds the places of what they hold besides: pages
of posts, posts that are quoted. These *items* are read by the same pass then, and what they hold in turn.
Records and items are one table, in the order of the file, which the format's function finishes.

Shape suffixes: P paths, N records and items, I items of one level, R records.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.inputs import json_row
from sluice.pipeline.inputs.compiled_records import CompiledReader, Read, RecordSpans, read_records
from sluice.pipeline.inputs.json_fields import (
    ARRAY,
    ESCAPED,
    NULL,
    OBJECT,
    STRING,
    Fields,
    FieldValues,
    SplitItems,
    array_items,
    first_values,
    paths_of,
    read_fields,
    read_split_fields,
    strings,
)
from sluice.pipeline.inputs.jsonl import ValueColumn, column_of, type_fault
from sluice.pipeline.inputs.jsonl_scan import Lines
from sluice.pipeline.inputs.payload_notices import acting_notices, notice_kinds
from sluice.schemas.arrays import Array, Bools, Int64s
from sluice.schemas.counts import ReadTally
from sluice.schemas.kernel import utf8_view
from sluice.schemas.payloads.columns import Fault, RawPosts, coalesce, raw_type
from sluice.schemas.payloads.format import (
    EMPTY,
    ITSELF,
    NOTICE,
    RECORD,
    Columns,
    ListOf,
    PayloadFormat,
)
from sluice.schemas.payloads.mapping import (
    REQUIRED,
    ColumnMapping,
    Sources,
    column_mapping,
    constant_of,
    source_names,
)
from sluice.schemas.post import COUNT_COLUMNS, FLAG_COLUMNS, INPUT_COLUMNS, MAX_ITEMS


def payload_mapping(format: PayloadFormat, overrides: Mapping[str, Sources]) -> ColumnMapping:
    """Returns where the columns of POST stand in a format, or where the recipe says so, if it reads them.

    Raises:
        InputError: see `column_mapping`.
    """
    given = column_mapping(overrides)
    return {
        name: given[name] if name in overrides else paths
        for name, paths in _paths(format)
        if overrides.get(name) != ""
    }


def _paths(format: PayloadFormat) -> list[tuple[str, tuple[str, ...]]]:
    return [(column, tuple(format.columns.get(column, ()))) for column in INPUT_COLUMNS]


class _Found(NamedTuple):
    """N records and items of a block, by ascending record, each before what it holds.

    Attributes:
        fields: their values.
        starts_N: (N,) int64, the first byte of each.
        stops_N: (N,) int64, the end of each.
        record_N: (N,) int64, the record that each is of, or is in.
        holds_N: (N,) bool, whether it holds items.
    """

    fields: Fields
    starts_N: Int64s
    stops_N: Int64s
    record_N: Int64s
    holds_N: Bools

    def of(self, chosen_N: Array) -> "_Found":
        """Returns those that are chosen, by a mask or in an order."""
        old = self.fields
        fields = Fields(
            old.data,
            np.ascontiguousarray(old.kinds_PN[:, chosen_N]),
            np.ascontiguousarray(old.starts_PN[:, chosen_N]),
            np.ascontiguousarray(old.stops_PN[:, chosen_N]),
            old.read_N[chosen_N],
        )
        spans = self.starts_N[chosen_N], self.stops_N[chosen_N]
        return _Found(fields, *spans, self.record_N[chosen_N], self.holds_N[chosen_N])


_UNUSED: Final = {
    *(*COUNT_COLUMNS, *FLAG_COLUMNS),
    *("alias_id", "consent", "author_created_at", "media"),
}
"""Columns that no other one is made from."""


_TEXTS: Final = tuple(name for name in INPUT_COLUMNS if name not in _UNUSED)
"""Columns that others may be made from."""


class PayloadRecords:
    """Reads parts of blocks as columns.

    Args:
        format: what the records are.
        mapping: POST column -> where it is read from: see `payload_mapping`.
        wanted: the columns that come out. Counts, flags, what is derived, and facts about authors are not
            read where they are not among them.
        acts: whether what notices say comes out, too; else they are counted alone.

    Attributes:
        reader: what reads them.
    """

    def __init__(
        self,
        format: PayloadFormat,
        mapping: ColumnMapping,
        *,
        wanted: Sequence[str] = INPUT_COLUMNS,
        acts: bool = False,
    ):
        self._format, self._wanted, self._acts = format, wanted, acts
        mapping = {
            name: paths for name, paths in mapping.items() if name not in _UNUSED - {*wanted}
        }
        self._mapping = mapping
        self._derived = {
            name: derived
            for name, derived in format.derived.items()
            if name in mapping and source_names(mapping[name]) == format.columns.get(name, ())
        }
        self._lists, self._parts = dict(format.lists), dict(format.parts)
        for derived in self._derived.values():
            self._lists |= derived.lists
            self._parts |= derived.parts
        counted = {} if format.counted is None else format.counted.parts
        groups = [source_names(sources) for sources in mapping.values()]
        groups += [*self._parts.values(), *counted.values()]
        groups += [given.paths for given in self._lists.values()]
        groups.append(format.items)
        self._names = tuple(dict.fromkeys(name for group in groups for name in group))
        self._places = {name: place for place, name in enumerate(self._names)}
        self._paths = paths_of(self._names)
        read = {name for group in groups[:-1] for name in group}
        split = {name for name in format.items if name not in read and not self._leads_on(name)}
        self._splits_P = np.array([name in split for name in self._names], np.bool_)
        id_names = source_names(mapping["post_id"])
        self.reader = CompiledReader(self._read, json_row.whole_line, id_names)

    def _leads_on(self, name: str) -> bool:
        """Returns whether something is read at a path behind another."""
        return any(other.startswith(f"{name}.") for other in self._names)

    def read(
        self, lines: Lines, *, first: int, stop: int, first_row: int
    ) -> tuple[RawPosts, list[Fault]]:
        """Returns what `read_records` does: a record gives posts, or a fault, or is a notice."""
        return read_records(self.reader, lines, first=first, stop=stop, first_row=first_row)

    def _read(self, spans: RecordSpans) -> Read:
        found, refused_R = self._find(*spans)
        return Read(*self._rows(found), refused_R)

    def _find(
        self, data: bytes, starts_N: Int64s, stops_N: Int64s, record_N: Int64s
    ) -> tuple[_Found, Int64s]:
        """Returns what records hold, and the records that the compiled reader refuses."""
        levels: list[_Found] = []
        refused = np.empty(0, np.int64)
        while not levels or len(starts_N):
            fields, split = read_split_fields(data, starts_N, stops_N, self._paths, self._splits_P)
            none_N = np.zeros(len(starts_N), np.bool_)
            level = _Found(fields, starts_N, stops_N, record_N, none_N)
            refused = np.union1d(refused, record_N[~fields.read_N])
            if not fields.read_N.all():
                level, split = level.of(fields.read_N), _of_lines(split, fields.read_N)
            level = _with_embedded(level, [self._places[name] for name in self._format.items])
            data = level.fields.data
            starts_N, stops_N, record_N, holds_N = self._items(level, split)
            levels.append(level._replace(holds_N=holds_N))
        found = levels[0] if len(levels) == 1 else _in_order(levels)
        if len(refused):
            found = found.of(~np.isin(found.record_N, refused))
        return found, refused

    def _items(self, level: _Found, split: SplitItems) -> tuple[Int64s, Int64s, Int64s, Bools]:
        """Returns (first byte, end and record of each object that a level holds; whether each holds some)."""
        fields, holds_N = level.fields, np.zeros(len(level.record_N), np.bool_)
        starts, stops, holders = [split.starts_M], [split.stops_M], [split.lines_M]
        for place in (self._places[name] for name in self._format.items):
            values = FieldValues(*(part[place] for part in fields[1:4]))
            one_I = np.flatnonzero(values.kinds_N == OBJECT)
            if (values.kinds_N == ARRAY).any():
                lengths_N, items = array_items(fields.data, values)
                is_object_I = items.kinds_N == OBJECT
                holders.append(np.repeat(np.arange(len(lengths_N)), lengths_N)[is_object_I])
                starts.append(items.starts_N[is_object_I])
                stops.append(items.stops_N[is_object_I])
            holders.append(one_I)
            starts.append(values.starts_N[one_I])
            stops.append(values.stops_N[one_I])
        holder_I = np.concatenate(holders)
        holds_N[holder_I] = True
        return (
            np.concatenate(starts),
            np.concatenate(stops),
            level.record_N[holder_I],
            holds_N,
        )

    def _rows(self, found: _Found) -> tuple[RawPosts, list[Fault]]:
        """Returns posts; what is none is a fault, or counted as a notice, or the envelope of posts."""
        found, counted = self._without_counted(found)
        read = {
            column: column_of(column, found.fields.data, self._values(found, source_names(sources)))
            for column, sources in self._mapping.items()
            if source_names(sources)
        }
        odd_N = np.logical_or.reduce([read[name].bad_N for name in REQUIRED if name in read])
        faults = [
            type_fault(read, int(found.record_N[i]), i) for i in np.flatnonzero(odd_N).tolist()
        ]
        columns = self._format.finish(self._given(found, read))
        columns |= {name: derived.make(columns) for name, derived in self._derived.items()}
        none_N = _is_null(columns["post_id"]) & _is_null(columns["text"])
        kinds = self._kinds(found, columns, none_N)
        is_notice_N = ~_is_null(kinds) & ~odd_N
        is_part_N = np.asarray(pc.equal(kinds, "").fill_null(False)) | (
            none_N & found.holds_N & ~is_notice_N
        )
        there_N = ~is_part_N
        item_N = _ranks(found.record_N, there_N)
        kept_N = there_N & ~odd_N & ~is_notice_N
        many_N = kept_N & (item_N >= MAX_ITEMS)
        if many_N.any():
            rows = found.record_N[many_N].tolist()
            faults += [Fault(row, "too_many_posts", post_id=None) for row in rows]
            kept_N &= ~many_N
        notices = dict(Counter(_by_kind(kinds, is_notice_N)) + Counter(counted))
        num_empty = _num_records(found.record_N) - _num_records(found.record_N[there_N | odd_N])
        if num_empty:
            notices[EMPTY] = notices.get(EMPTY, 0) + num_empty
        counts = _counts(read, kept_N, notices=notices)
        posts = {name: self._column(columns, name) for name in self._wanted}
        items = item_N.astype(np.int32) if self._format.many else None
        raw = RawPosts(posts, found.record_N, counts, source_item_N=items)
        raw = _filtered(raw, kept_N)
        if self._acts and notices:
            raw = raw._replace(notices=self._notices(found, columns, kinds, is_notice_N))
        return raw, faults

    def _without_counted(self, found: _Found) -> tuple[_Found, dict[str, int]]:
        """Returns the rows but for notices that are counted alone, and how many those are, by kind."""
        derived = self._format.counted
        if derived is None:
            return found, {}
        kinds = derived.make(
            {name: self._texts(found, paths) for name, paths in derived.parts.items()}
        )
        is_counted_N = ~_is_null(kinds)
        if not is_counted_N.any():
            return found, {}
        return found.of(~is_counted_N), _by_kind(kinds, is_counted_N)

    def _texts(self, found: _Found, paths: tuple[str, ...]) -> pa.StringArray:
        values = self._values(found, paths)
        return strings(found.fields.data, values, values.kinds_N != NULL).texts

    def _notices(
        self, found: _Found, columns: Columns, kinds: pa.StringArray, is_notice_N: Bools
    ) -> pa.RecordBatch:
        """Returns the notices that act."""
        return acting_notices(
            self._format,
            columns,
            kinds,
            is_notice_N=is_notice_N,
            spans=(found.fields.data, found.starts_N, found.stops_N),
            source_row_N=found.record_N,
        )

    def _given(self, found: _Found, read: Mapping[str, ValueColumn]) -> Columns:
        """Returns what `finish` is given."""
        num_rows = len(found.record_N)
        nulls = pa.nulls(num_rows, pa.string())
        columns: Columns = {**dict.fromkeys(_TEXTS, nulls), RECORD: pa.array(found.record_N)}
        for name, value in read.items():
            constant = constant_of(self._mapping[name])
            columns[name] = (
                value.values if constant is None else pc.fill_null(value.values, constant)
            )
        for name, sources in self._mapping.items():
            if name not in read and (constant := constant_of(sources)) is not None:
                columns[name] = pa.repeat(pa.scalar(constant, pa.string()), num_rows)
        if "platform" not in read and constant_of(self._mapping.get("platform", ())) is None:
            columns["platform"] = pa.repeat(self._format.platform, num_rows)
        for name, paths in self._parts.items():
            columns[name] = self._texts(found, paths)
        for name, given in self._lists.items():
            columns[name] = _list(found.fields.data, self._values(found, given.paths), given)
        return columns

    def _values(self, found: _Found, names: tuple[str, ...]) -> FieldValues:
        return first_values(found.fields, [self._places[name] for name in names])

    def _kinds(self, found: _Found, columns: Columns, none_N: Bools) -> pa.StringArray:
        """Returns the kind of notice that each row is, null for posts."""
        num_rows = len(none_N)
        kinds = columns.get(NOTICE, pa.nulls(num_rows, pa.string()))
        if not none_N.any():
            return kinds
        row_M = np.flatnonzero(none_N & _is_null(kinds) & ~found.holds_N)
        spans = found.fields.data, found.starts_N[row_M], found.stops_N[row_M]
        known_M = notice_kinds(self._format, spans)
        kind_N = np.full(num_rows, -1, np.int64)
        kind_N[row_M] = known_M
        names = pa.array(list(self._format.notices.values()), pa.string())
        return pc.coalesce(names.take(pa.array(kind_N, mask=kind_N < 0)), kinds)

    def _column(self, columns: Columns, name: str) -> pa.Array:
        num_rows = len(columns[RECORD])
        is_there = name in columns and name in self._mapping and num_rows > 0
        return columns[name] if is_there else pa.nulls(num_rows, raw_type(name))


def _of_lines(split: SplitItems, chosen_N: Bools) -> SplitItems:
    """Returns the items of the lines that are chosen, by the places that these have then."""
    place_N = np.cumsum(chosen_N) - 1
    kept_M = chosen_N[split.lines_M]
    lines_M = place_N[split.lines_M[kept_M]]
    return SplitItems(lines_M, split.starts_M[kept_M], split.stops_M[kept_M])


def _with_embedded(level: _Found, places: list[int]) -> _Found:
    """Returns a level with objects that are written as strings as objects, decoded behind its data."""
    fields = level.fields
    for place in places:
        values = FieldValues(*(part[place] for part in fields[1:4]))
        is_text_N = (values.kinds_N == STRING) | (values.kinds_N == ESCAPED)
        if is_text_N.any():
            data_B = np.frombuffer(fields.data, np.uint8)
            is_text_N &= data_B[np.minimum(values.starts_N, len(data_B) - 1)] == _BRACE
        if is_text_N.any():
            fields = _decoded(fields, place, is_text_N)
    return level._replace(fields=fields)


def _decoded(fields: Fields, place: int, chosen_N: Bools) -> Fields:
    """Returns fields with the chosen strings of a path as objects."""
    values = FieldValues(*(part[place] for part in fields[1:4]))
    texts = strings(fields.data, values, chosen_N).texts
    view = utf8_view(texts)
    offsets_N1 = view.offsets_N1.astype(np.int64) + len(fields.data)
    kinds_PN = fields.kinds_PN.copy()
    starts_PN, stops_PN = fields.starts_PN.copy(), fields.stops_PN.copy()
    kinds_PN[place, chosen_N] = OBJECT
    starts_PN[place, chosen_N] = offsets_N1[:-1][chosen_N]
    stops_PN[place, chosen_N] = offsets_N1[1:][chosen_N]
    data = b"".join((fields.data, view.data_B.tobytes(), b"\n"))
    return Fields(data, kinds_PN, starts_PN, stops_PN, fields.read_N)


_BRACE = 0x7B


def _in_order(levels: list[_Found]) -> _Found:
    """Returns the rows of all levels by record, and in it by the place of their first byte."""
    all_fields = [level.fields for level in levels]
    fields = Fields(
        all_fields[-1].data,
        np.concatenate([each.kinds_PN for each in all_fields], axis=1),
        np.concatenate([each.starts_PN for each in all_fields], axis=1),
        np.concatenate([each.stops_PN for each in all_fields], axis=1),
        np.concatenate([each.read_N for each in all_fields]),
    )
    whole = _Found(
        fields,
        np.concatenate([level.starts_N for level in levels]),
        np.concatenate([level.stops_N for level in levels]),
        np.concatenate([level.record_N for level in levels]),
        np.concatenate([level.holds_N for level in levels]),
    )
    return whole.of(np.lexsort((whole.starts_N, whole.record_N)))


def _list(data: bytes, values: FieldValues, given: ListOf) -> pa.ListArray:
    """Returns lists of structs of strings; what is no list is null, what is no object in one a null."""
    lengths_N, items = array_items(data, values)
    names = tuple(dict.fromkeys(path for paths in given.fields.values() for path in paths))
    places = {name: place for place, name in enumerate(names)}
    fields = _fields_of_items(data, items, names)
    arrays = []
    for paths in given.fields.values():
        found = first_values(fields, [places[path] for path in paths if path != ITSELF])
        texts = strings(fields.data, found, found.kinds_N != NULL).texts
        arrays.append(coalesce([texts, _strings(data, items)]) if ITSELF in paths else texts)
    structs = pa.StructArray.from_arrays(arrays, names=list(given.fields))
    offsets_N1 = np.concatenate([[0], np.cumsum(lengths_N)]).astype(np.int32)
    is_list_N = values.kinds_N == ARRAY
    return pa.ListArray.from_arrays(pa.array(offsets_N1), structs, mask=pa.array(~is_list_N))


def _fields_of_items(data: bytes, items: FieldValues, names: Sequence[str]) -> Fields:
    """Returns the values of paths in items of lists.

    Objects that the compiled reader refuses, since keys are repeated or written with escapes, are first
    written again.
    """
    paths, starts_I, stops_I = paths_of(names), items.starts_N, items.stops_N
    fields = read_fields(data, starts_I, stops_I, paths, len(names))
    refused_I = np.flatnonzero((items.kinds_N == OBJECT) & ~fields.read_N)
    if not len(refused_I):
        return fields
    spans = zip(starts_I[refused_I].tolist(), stops_I[refused_I].tolist(), strict=True)
    written = [json_row.whole_line(json_row.decode(data[first:stop])) for first, stop in spans]
    ends_R = len(data) + np.cumsum([len(item) for item in written], dtype=np.int64)
    starts_I, stops_I = starts_I.copy(), stops_I.copy()
    starts_I[refused_I], stops_I[refused_I] = np.concatenate([[len(data)], ends_R[:-1]]), ends_R
    return read_fields(data + b"".join(written), starts_I, stops_I, paths, len(names))


def _strings(data: bytes, items: FieldValues) -> pa.StringArray:
    """Returns the items of lists that are strings, null for others."""
    is_string_I = np.frombuffer(data, np.uint8)[items.starts_N] == _QUOTE
    kinds_I = np.where(is_string_I, ESCAPED, NULL).astype(np.uint8)
    inside = FieldValues(kinds_I, items.starts_N + 1, items.stops_N - 1)
    return strings(data, inside, is_string_I).texts


_QUOTE = 0x22


def _is_null(values: pa.Array) -> Bools:
    return np.asarray(values.is_null().to_numpy(zero_copy_only=False))


def _ranks(record_N: Int64s, there_N: Bools) -> Int64s:
    """Returns (N,) int64, how many rows of the same record that are there stand before each."""
    before_N: Int64s = np.cumsum(there_N) - there_N
    first_N = np.searchsorted(record_N, record_N, side="left")
    return before_N - before_N[first_N] if len(record_N) else before_N


def _counts(
    read: Mapping[str, ValueColumn], kept_N: Bools, *, notices: dict[str, int]
) -> ReadTally:
    """Returns what could not be read of the posts that are kept, what was replaced, and the notices."""
    nulled = {
        name: int((column.bad_N & kept_N).sum())
        for name, column in read.items()
        if name not in REQUIRED and (column.bad_N & kept_N).any()
    }
    replaced = {name: column.replaced for name, column in read.items() if column.replaced}
    return ReadTally(notices=notices, nulled=nulled, replaced=replaced)


def _by_kind(kinds: pa.StringArray, is_notice_N: Bools) -> dict[str, int]:
    if not is_notice_N.any():
        return {}
    counts = pc.value_counts(kinds.filter(pa.array(is_notice_N))).to_pylist()
    return {each["values"]: each["counts"] for each in counts if each["values"]}


def _num_records(record_N: Int64s) -> int:
    """Returns how many records rows are of, by ascending record."""
    return int(np.count_nonzero(np.diff(record_N))) + 1 if len(record_N) else 0


def _filtered(raw: RawPosts, kept_N: Bools) -> RawPosts:
    if kept_N.all():
        return raw
    mask = pa.array(kept_N)
    return raw._replace(
        columns={name: values.filter(mask) for name, values in raw.columns.items()},
        source_row_N=raw.source_row_N[kept_N],
        source_item_N=None if raw.source_item_N is None else raw.source_item_N[kept_N],
    )
