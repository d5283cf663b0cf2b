"""The compiled reader of JSON fields against the standard library, and JSON against tables."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluice.pipeline.inputs import arrow_files
from sluice.pipeline.inputs.json_fields import (
    ARRAY,
    BOOLEAN,
    ESCAPED,
    INFINITE,
    INTEGER,
    NULL,
    NUMBER,
    OBJECT,
    SPLIT,
    STRING,
    array_items,
    first_values,
    paths_of,
    read_fields,
    read_split_fields,
    strings,
)
from sluice.pipeline.inputs.json_row import value_at
from sluice.pipeline.inputs.jsonl import JsonLines
from sluice.pipeline.inputs.jsonl_scan import scan_lines
from sluice.schemas.payloads.columns import Origin, split_rows
from sluice.schemas.payloads.mapping import column_mapping

NAMES = ["a", "b", "a.b", "a.b.c", "é"]
KEYS = st.sampled_from(["a", "b", "c", "é", "a.b", "other", ""])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["\ud83d", "\U0001f600", '"\\', "]}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
LINES = st.tuples(st.dictionaries(KEYS, VALUES, max_size=5), st.booleans(), st.booleans()).map(
    lambda drawn: json.dumps(
        drawn[0], ensure_ascii=drawn[1], separators=(",", ":") if drawn[2] else (" , ", " :\t")
    ).encode(errors="replace")
)


def _kinds(value: Any) -> tuple[int, ...]:
    kinds: dict[type, tuple[int, ...]] = {
        bool: (BOOLEAN,),
        int: (INTEGER,),
        str: (STRING, ESCAPED),
        list: (ARRAY,),
        dict: (OBJECT,),
    }
    if isinstance(value, float):
        return (NULL,) if value != value else (INFINITE,) if abs(value) == np.inf else (NUMBER,)
    return (NULL,) if value is None else kinds[type(value)]


def _read(line: bytes) -> Any:
    lines = b"{}\n" + line + b"\n"
    bounds = np.array([3], np.int64), np.array([3 + len(line)], np.int64)
    return read_fields(lines, *bounds, paths_of(NAMES), len(NAMES))


@given(LINES)
@example('{"a":{"b":1},"a.b":2,"é":"\\u00e9\\ud83d\\ude00"}'.encode())
def test_fields_are_those_of_the_standard_library(line: bytes) -> None:
    """Every path of a sound object has the kind, and every string the characters, that json.loads gives."""
    row, fields = json.loads(line), _read(line)
    twice = "a.b" in row and isinstance(row.get("a"), dict) and "b" in row["a"]
    escaped = rb"\u00e9" in line
    assert fields.read_N[0] or twice or escaped
    if not fields.read_N[0]:
        return
    for path, name in enumerate(NAMES):
        value, found = value_at(row, name), first_values(fields, [path])
        assert found.kinds_N[0] in _kinds(value)
        if isinstance(value, str):
            text = strings(fields.data, found, np.array([True]))
            alone = sum(0xD800 <= ord(c) <= 0xDFFF for c in value)
            assert text.replaced == alone
            assert text.texts.to_pylist() == [
                "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in value)
            ]
        if isinstance(value, list):
            lengths, items = array_items(fields.data, found)
            assert lengths.tolist() == [len(value)]
            spans = zip(items.starts_N, items.stops_N, strict=True)
            assert repr([json.loads(fields.data[i:j]) for i, j in spans]) == repr(value)


def _objects(value: Any) -> list[Any]:
    """Returns the objects of an array that holds no array; else nothing."""
    if not isinstance(value, list) or any(isinstance(each, list) for each in value):
        return []
    return [each for each in value if isinstance(each, dict)]


@given(st.lists(LINES, min_size=1, max_size=4))
@example([b'{"b":[{"a":[{}]},1,"]",null,{"c":"}"} ] , "\\u00e9":[]}'])
@example([b'{"b":[[{}],{}]}', b'{"b":[{},[]]}', b'{"b":[{}'])
def test_arrays_that_are_split(lines: list[bytes]) -> None:
    """Splitting gives the same values, and the objects of the arrays, where it is no array of arrays."""
    data = b"".join(line + b"\n" for line in lines)
    stops_N = np.cumsum([len(line) + 1 for line in lines]) - 1
    bounds = stops_N - np.array([len(line) for line in lines]), stops_N
    whole = read_fields(data, *bounds, paths_of(NAMES), len(NAMES))
    splits_P = np.array([name in ("b", "é") for name in NAMES])
    fields, split = read_split_fields(data, *bounds, paths_of(NAMES), splits_P)
    assert (fields.read_N >= whole.read_N).all()
    read_N = whole.read_N
    is_split_PN = fields.kinds_PN == SPLIT
    assert (whole.kinds_PN[is_split_PN & read_N] == ARRAY).all()
    assert (fields.kinds_PN[~is_split_PN & read_N] == whole.kinds_PN[~is_split_PN & read_N]).all()
    assert (fields.starts_PN[:, read_N] == whole.starts_PN[:, read_N]).all()
    assert (fields.stops_PN[:, read_N] == whole.stops_PN[:, read_N]).all()
    spans = zip(split.lines_M.tolist(), split.starts_M, split.stops_M, strict=True)
    found = [(n, repr(json.loads(data[i:j]))) for n, i, j in spans if read_N[n]]
    rows = [json.loads(line) if read else {} for line, read in zip(lines, read_N, strict=True)]
    wanted = [
        (n, repr(each))
        for n, row in enumerate(rows)
        for key, value in row.items()
        if key in ("b", "é")
        for each in _objects(value)
    ]
    assert found == wanted


@given(LINES, st.integers(0, 99), st.sampled_from([bytes([c]) for c in b'{}[]",:\\ x']))
def test_damage_in_split_arrays_is_seen(line: bytes, place: int, new: bytes) -> None:
    """Where a line and the objects of its split arrays are read, the standard library reads it, too."""
    line = b'{"b":[' + line + b",0]}"
    place %= len(line)
    damaged = line[:place] + new + line[place + 1 :] + b"\n"
    bounds = np.array([0], np.int64), np.array([len(damaged) - 1], np.int64)
    splits_P = np.array([name == "b" for name in NAMES])
    fields, split = read_split_fields(damaged, *bounds, paths_of(NAMES), splits_P)
    inside = read_fields(damaged, split.starts_M, split.stops_M, paths_of(NAMES), len(NAMES))
    if fields.read_N[0] and inside.read_N.all():
        assert isinstance(json.loads(damaged.decode(errors="replace")), dict)


@given(
    LINES,
    st.integers(0, 99),
    st.sampled_from([b"", *(bytes([c]) for c in b'{}[]",:\\u0e.-tnx \x01')]),
)
def test_damage_is_seen(line: bytes, place: int, new: bytes) -> None:
    """What the compiled reader takes of lines with a byte changed, the standard library takes, too."""
    place %= len(line)
    damaged = line[:place] + new + line[place + 1 :]
    if _read(damaged).read_N[0]:
        assert isinstance(json.loads(damaged.decode(errors="replace")), dict)


@pytest.mark.parametrize("stop", [5, 9, 14])
def test_a_string_does_not_run_into_the_next_record(stop: int) -> None:
    """A record that is not closed where it ends is none, whatever stands behind it."""
    data = b'{"a":"b} {"a":"b"}'
    bounds = np.array([0], np.int64), np.array([stop], np.int64)
    assert not read_fields(data, *bounds, paths_of(NAMES), len(NAMES)).read_N[0]


TIMES = st.sampled_from(
    ["2023-05-01T10:00:00Z", "1682935200", "Mon May 01 10:00:00 +0000 2023", "soon", ""]
)
COLUMNS: dict[str, list[st.SearchStrategy[Any]]] = {
    "created_at": [TIMES, st.integers(-(10**18), 10**18)],
    "author_id": [st.text("ab\U0001f600", max_size=3), st.integers(-(2**62), 2**62)],
    "in_reply_to_id": [st.floats(allow_nan=False)],
    "lang": [st.text(max_size=3)],
    "source": [st.booleans(), st.just({"name": "web"}), st.text(max_size=3)],
    "media": [
        st.lists(st.fixed_dictionaries({"kind": st.none() | st.text(max_size=3)}), max_size=2)
    ],
}
"""Columns -> kinds of values; those of a column are of one kind."""


@given(st.data())
def test_json_and_tables_agree(data: st.DataObject) -> None:
    """Columns of one type give the same posts and counts from JSON and from Arrow."""
    count = data.draw(st.integers(1, 5))
    rows: list[dict[str, Any]] = [{"id": str(i), "text": "x"} for i in range(count)]
    for name, kinds in COLUMNS.items():
        values = st.none() | data.draw(st.sampled_from(kinds))
        for row in rows:
            row[name] = data.draw(values)
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    mapping, origin = column_mapping({}), Origin(0, "f")
    lines = scan_lines(text, max_line_bytes=1 << 20)
    of_json = split_rows(
        *JsonLines(mapping).read(lines, first=0, stop=count, first_row=0),
        origin=origin,
        max_text_bytes=9,
    )
    batch = pa.RecordBatch.from_pylist(rows)
    of_table = split_rows(
        *arrow_files.raw_posts(batch, mapping=mapping, first_row=0), origin=origin, max_text_bytes=9
    )
    of_both = [read.posts.drop_columns(["source_line"]) for read in (of_json, of_table)]
    assert of_both[0].equals(of_both[1])
    for column in ("created_at", "author_id", "in_reply_to_id"):
        assert of_json.counts.nulled.get(column) == of_table.counts.nulled.get(column)
