"""JSON lines: the fast way and the line-by-line way are one function."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluice.pipeline.inputs import compiled_records
from sluice.pipeline.inputs.compiled_records import Read, RecordSpans, read_records
from sluice.pipeline.inputs.jsonl import JsonLines
from sluice.pipeline.inputs.jsonl_scan import Lines, records_in_lines, scan_lines
from sluice.pipeline.inputs.record_shapes import DEEP, NOT_UTF8, OBJECT, ODD, TOO_LONG
from sluice.schemas.counts import ReadTally
from sluice.schemas.payloads.columns import Fault, RawPosts
from sluice.schemas.payloads.mapping import Constant, column_mapping

MAPPING = column_mapping({})

STRINGS = st.one_of(
    st.text(max_size=8).map(json.dumps),
    st.text(max_size=8).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(
        [
            r'"\u0000"',
            r'"\ud800"',
            r'"\udc00\ud800"',
            r'"\ud83d\ude00"',
            r'"\"\\\/\b\t"',
            '"{"',
            '"}{"',
            '"\x01"',
            r'"\q"',
            '"x',
        ]
    ),
)
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(
        [
            "-0",
            "1.0",
            "1e3",
            "01",
            "1.",
            ".5",
            "-",
            "1e999",
            "NaN",
            "-NaN",
            "Infinity",
            "Inf",
            "9" * 5000,
        ]
    ),
)
ATOMS = STRINGS | NUMBERS | st.sampled_from(["null", "true", "nul", "[null]", "{}"])
KEYS = st.sampled_from(
    [
        "id",
        "post_id",
        "text",
        "created_at",
        "author_id",
        "lang",
        "media",
        "source",
        "other",
        r"te\u0078t",
    ]
)


def _object(pairs: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f'"{key}":{value}' for key, value in pairs) + "}"


MEDIA = st.lists(
    st.lists(st.tuples(st.sampled_from(["kind", "key", "other"]), ATOMS), max_size=3).map(_object),
    max_size=2,
).map(lambda items: "[" + ",".join(items) + "]")
OBJECTS = st.lists(st.tuples(KEYS, ATOMS | MEDIA), max_size=6).map(_object)
SOUND = st.fixed_dictionaries(
    {
        "id": st.text(max_size=5) | st.integers(-(2**63), 2**64 - 1),
        "text": st.none() | st.text(max_size=9),
    },
    optional={
        "author_id": st.none() | st.integers(0, 2**40),
        "media": st.just([{"kind": "photo"}, None]),
        "other": st.just([1.5, {"a": []}]),
    },
).map(json.dumps)
JUNK = st.sampled_from(
    [
        "null",
        "[]",
        "1",
        "",
        "  ",
        "\t\r",
        "{} null {}",
        '{"a":1}{"a":2}',
        "{",
        "}",
        "\ufeff{}",
        "[" * 300,
        '{"a":' + "[" * 199 + "]" * 199 + "}",
        '{"a":' + "[" * 200 + "]" * 200 + "}",
    ]
)
LINES = st.lists(SOUND | OBJECTS | JUNK, min_size=1, max_size=40)


def _block(lines: list[str]) -> bytes:
    return "\n".join(line.replace("\n", " ") for line in lines).encode() + b"\n"


def _read(lines: Lines) -> tuple[RawPosts, list[Fault]]:
    raw, faults = JsonLines(MAPPING).read(lines, first=0, stop=len(lines.starts_L), first_row=0)
    return raw, sorted(faults)


def _read_slowly(lines: Lines) -> tuple[RawPosts, list[Fault]]:
    """Returns what is read where the compiled reader refuses every line as it stands."""
    reader = JsonLines(MAPPING).reader
    none = np.empty(0, np.int64)

    def read(spans: RecordSpans) -> Read:
        if spans.data is lines.data:
            return reader.read(RecordSpans(spans.data, none, none, none))._replace(
                refused_R=spans.record_R
            )
        return reader.read(spans)

    refusing = reader._replace(read=read)
    raw, faults = read_records(refusing, lines, first=0, stop=len(lines.starts_L), first_row=0)
    return raw, sorted(faults)


def _rows(raw: RawPosts) -> dict[str, list[Any]]:
    return {name: values.to_pylist() for name, values in raw.columns.items()}


@given(LINES)
@example(['{"id":-0,"text":"x"}', '{"id":-5,"text":"x"}'])
def test_fast_is_slow(texts: list[str]) -> None:
    """The compiled way and the line-by-line way give the same rows, columns, counts and dead letters."""
    lines = scan_lines(_block(texts), max_line_bytes=1 << 20)
    fast, fast_faults = _read(lines)
    slow, slow_faults = _read_slowly(lines)
    assert fast.source_row_N.tolist() == slow.source_row_N.tolist()
    assert _rows(fast) == _rows(slow)
    assert fast_faults == sorted(slow_faults)
    assert fast.counts == slow.counts
    for values in fast.columns.values():
        values.validate(full=True)


@given(LINES)
@example([r'{"id":"a","text":"x","other":"\ud800"}', '{"id":"b","text":"x","other":NaN}'])
def test_every_line_comes_out_once(texts: list[str]) -> None:
    """Each line that is not blank is a row or a dead letter, once, and rows ascend."""
    lines = scan_lines(_block(texts), max_line_bytes=1 << 20)
    raw, faults = _read(lines)
    rows = raw.source_row_N.tolist()
    assert rows == sorted(rows)
    assert sorted(rows + [fault.source_row for fault in faults]) == list(range(len(lines.starts_L)))
    numbers = [i for i, text in enumerate(texts) if text.replace("\n", " ").strip(" \t\r\ufeff")]
    assert sorted(set(lines.numbers_L.tolist())) == numbers


@given(st.lists(SOUND, min_size=1, max_size=60))
def test_values_are_those_of_the_standard_library(texts: list[str]) -> None:
    """Ids, integers as their digits, texts and authors of sound lines are what json.loads gives."""
    raw, faults = _read(scan_lines(_block(texts), max_line_bytes=1 << 20))
    objects = [json.loads(text) for text in texts]
    assert faults == []
    assert raw.columns["post_id"].to_pylist() == [str(row["id"]) for row in objects]
    assert raw.columns["text"].to_pylist() == [row["text"] for row in objects]
    authors = [row.get("author_id") for row in objects]
    assert raw.columns["author_id"].to_pylist() == [None if a is None else str(a) for a in authors]


@pytest.mark.parametrize(
    ("line", "shape"),
    [
        (b'{"a":"b"}', OBJECT),
        (b' {"a":[{"b":"\\"}"}]} \r', OBJECT),
        (b"null", ODD),
        (b'{"a":1} null', ODD),
        (b'{"a":1}{"a":', ODD),
        (b'{"a":1},{"a":2}', ODD),
        (b'{"a":"b}', ODD),
        (b'{"a":"b\\', ODD),
        (b'{"a":1', ODD),
        (b'{"a":NaN}', ODD),
        (b'{"a":"NaN"}', OBJECT),
        (b"\xef\xbb\xbf1", ODD),
        (b"[" * 201, DEEP),
        (b'{"a":"\xff"}', NOT_UTF8),
        (b'{"a":"' + b"b" * 93 + b'"}', OBJECT),
        (b'{"a":"' + b"b" * 94 + b'"}', TOO_LONG),
    ],
)
def test_shapes(line: bytes, shape: int) -> None:
    """The scan tells a line that is one object from every other, and never lets two lines run together."""
    limit = 250 if len(line) > 150 else 101
    for data in (line, line + b"\n", b"{}\n" + line + b"\n{}\n"):
        lines = scan_lines(data, max_line_bytes=limit)
        position = 1 if data.startswith(b"{}\n") else 0
        assert lines.shape(position) == shape
        assert lines.shapes_L[position] in (shape, OBJECT)
        assert lines.line(position) == line
        assert lines.numbers_L.tolist() == list(range(3 if position else 1))


@pytest.mark.parametrize(
    ("line", "objects"),
    [
        (b"", []),
        (b" \t\r", []),
        (b"\xef\xbb\xbf \x1e", []),
        (b'{"a":1}{"a":2}', [b'{"a":1}', b'{"a":2}']),
        (b"\xef\xbb\xbf{}", [b"{}"]),
        (b'{"a":"}{"} \xef\xbb\xbf\t{} \r', [b'{"a":"}{"}', b"{}"]),
    ],
)
def test_a_line_of_other_than_one_record(line: bytes, objects: list[bytes]) -> None:
    """A blank line is no record, and each object of a line of nothing else is one, without the marks."""
    for data in (line, line + b"\n", b"{}\n" + line + b"\n{}\n"):
        lines = scan_lines(data, max_line_bytes=99, first_line=7)
        around = [b"{}"] * data.startswith(b"{}\n")
        found = [lines.line(index) for index in range(len(lines.starts_L))]
        assert found == [*around, *objects, *around]
        assert (lines.shapes_L == OBJECT).all()
        assert lines.numbers_L.tolist()[len(around) :][: len(objects)] == [7 + len(around)] * len(
            objects
        )
        counts = records_in_lines(data, stop=len(data), max_line_bytes=99)
        assert counts == (len(found), data.count(b"\n"))


@given(LINES, st.booleans())
def test_records_are_counted_as_they_are_read(texts: list[str], last: bool) -> None:
    """The quick count of a block's records is that of the scan."""
    data = _block(texts)[: None if last else -1]
    records = scan_lines(data, max_line_bytes=1 << 20).starts_L
    counts = records_in_lines(data + b"{}\n", stop=len(data), max_line_bytes=1 << 20)
    assert counts == (len(records), data.count(b"\n"))


@pytest.mark.parametrize(
    ("line", "reason", "detail", "post_id"),
    [
        ('{"id":"7","text":"x"', "not_json", "Expecting ',' delimiter at character 20", None),
        ("hello", "not_json", "Expecting value at character 0", None),
        ('{"id":"7', "not_json", "Unterminated string starting at character 6", None),
        ('{"id":"7"} "id":"8"}', "not_json", "Extra data at character 11", None),
        (
            '{"id":"7","z":' + "[" * 200 + "]" * 200 + "}",
            "not_json",
            "more than 200 brackets open",
            None,
        ),
        ('["7"]', "not_object", "an array", None),
        ("null", "not_object", "null", None),
        ('{"id":"7","id":"8","text":"x"}', "repeated_key", "id", None),
        ('{"id":"7","text":"x","text":"x"}', "repeated_key", "text", "7"),
        ('{"id":7.5,"text":"x"}', "wrong_type", "post_id is a number", None),
        ('{"id":1.5e18,"text":"x"}', "inexact_id", "post_id is a float of 2**53 or more", None),
        ('{"id":Infinity,"text":"x"}', "wrong_type", "post_id is an infinite number", None),
        ('{"id":true,"text":"x"}', "wrong_type", "post_id is a boolean", None),
        ('{"id":7,"text":8}', "wrong_type", "text is an integer", "7"),
        ('{"id":"7","text":["x"]}', "wrong_type", "text is an array", "7"),
    ],
)
def test_reasons(line: str, reason: str, detail: str, post_id: str | None) -> None:
    """A line that is no post says why, what was found, and its id where it has a sound one."""
    raw, faults = _read(scan_lines(line.encode(), max_line_bytes=1 << 20))
    assert len(raw.source_row_N) == 0
    assert faults == [Fault(0, reason, detail, post_id)]


@pytest.mark.parametrize(
    "line",
    [
        '{"id":"7","text":"x","other":NaN}',
        '{"id":"7","text":"x","other":1e999}',
        '{"id":"7","text":"x","other":"' + r"\ud800" + '"}',
        '{"id":"7","text":"x","other":1,"other":2}',
        '{"id":"7","text":"x","other":{"id":1,"id":2}}',
        '{"id":"7","text":"x","other":' + "[" * 199 + "]" * 199 + "}",
        '{"id":"7","text":"x","other":' + "9" * 6000 + "}",
        '{"id":7,"text":"x"}',
        '{"post_id":"7","id":null,"text":"x"}',
        '{"post_id":null,"id":"7","text":"x"}',
        '{"post_id":"7","id":{"no":1},"text":"x"}',
    ],
)
def test_what_is_not_read_does_no_harm(line: str) -> None:
    """Faults in fields that are not read, and other names of a column, cost no post."""
    raw, faults = _read(scan_lines(line.encode(), max_line_bytes=1 << 20))
    assert faults == []
    assert (raw.columns["post_id"].to_pylist(), raw.columns["text"].to_pylist()) == (["7"], ["x"])


@pytest.mark.parametrize(
    ("field", "column", "value", "nulled"),
    [
        ('"author_id":{}', "author_id", None, 1),
        ('"lang":5', "declared_lang", None, 1),
        ('"source":{"name":"web"}', "source", None, 1),
        ('"source":NaN', "source", None, 0),
        ('"source":"a","source":"b"', "source", None, 1),
        ('"media":"m"', "media", None, 1),
        ('"media":["m"]', "media", None, 1),
        ('"media":[{"kind":1}]', "media", None, 1),
        ('"media":[{"key":"a","key":"b"}]', "media", None, 1),
        ('"media":[ null , {"key":"a]}"} ]', "media", [None, ("a]}",)], 0),
        ('"created_at":1700000000', "created_at", "1700000000", 0),
        ('"created_at":1.7e9', "created_at", "1.7e9", 0),
        ('"created_at":[]', "created_at", None, 1),
        ('"in_reply_to_id":NaN', "in_reply_to_id", None, 0),
        ('"in_reply_to_id":12.0', "in_reply_to_id", "12", 0),
        ('"in_reply_to_id":1.5e+18', "in_reply_to_id", None, 1),
        ('"in_reply_to_id":-Infinity', "in_reply_to_id", None, 1),
        ('"user":{"id":9,"id_str":"8"}', "author_id", "8", 0),
        ('"author":"ann"', "author_id", "ann", 0),
    ],
)
def test_an_optional_value_costs_no_post(field: str, column: str, value: Any, nulled: int) -> None:
    """A value that an optional column cannot take is null and counted, in both ways of reading."""
    lines = scan_lines(f'{{"id":"7","text":"x",{field}}}'.encode(), max_line_bytes=1 << 20)
    for raw, faults in (_read(lines), _read_slowly(lines)):
        assert faults == []
        (found,) = raw.columns[column].to_pylist()
        if column == "media" and found is not None:
            found = [item and tuple(filter(None, item.values())) for item in found]
        assert found == value
        assert raw.counts == ReadTally(nulled={column: 1} if nulled else {})


@pytest.mark.parametrize(
    ("escaped", "text", "replaced"),
    [
        (r"a\ud83d b", "a\ufffd b", 1),
        (r"\ude00\ud83d", "\ufffd\ufffd", 2),
        (r"\ud83d\ude00", "\U0001f600", 0),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600", 1),
        (r"\ud83d\n\u00e9\u20ac\u0000", "\ufffd\n\xe9\u20ac\0", 1),
    ],
)
def test_cut_emoji(escaped: str, text: str, replaced: int) -> None:
    """Half of a surrogate pair costs its character, which is counted; a pair is its character."""
    raw, faults = _read(scan_lines(f'{{"id":1,"text":"{escaped}"}}'.encode(), max_line_bytes=999))
    assert faults == []
    assert raw.columns["text"].to_pylist() == [text]
    assert raw.counts == ReadTally(replaced={"text": replaced} if replaced else {})


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ('"text":"cut","note_tweet":{"text":"whole"}', "whole"),
        ('"note_tweet":{"note_tweet_results":{"result":{"text":"whole"}}},"text":"cut"', "whole"),
        ('"extended_tweet":{"full_text":"whole"},"text":"cut"', "whole"),
        ('"text":"cut","full_text":"whole"', "whole"),
        ('"note_tweet":null,"text":"whole"', "whole"),
        ('"note_tweet":{},"text":"whole"', "whole"),
        ('"body":"whole"', "whole"),
        ('"note_tweet.text":"whole","text":"cut"', "whole"),
    ],
)
def test_the_whole_text(fields: str, text: str) -> None:
    """The whole text of a long post is found where X and Reddit have it, nested or flattened."""
    raw, _ = _read(scan_lines(f'{{"id":1,{fields}}}'.encode(), max_line_bytes=999))
    assert raw.columns["text"].to_pylist() == [text]


def test_paths_fallbacks_and_constants() -> None:
    """A recipe's sources are tried in their order: nested fields, names with points, a constant."""
    given_ = {"author_id": ("a.b.c", "a.b", "d"), "source": ("s", Constant("forum"))}
    rows = [
        ({"a": {"b": {"c": "1"}}, "s": "web"}, "1", "web"),
        ({"a": {"b": "2"}}, "2", "forum"),
        ({"a": {"b": {"x": 1}}, "d": 3}, None, "forum"),
        ({"a.b.c": 4, "a": 5}, "4", "forum"),
        ({"d": "6", "s": None}, "6", "forum"),
        ({"a.b": "7", "a": {"b": "8"}, "s": 5}, "7", None),
    ]
    lines = scan_lines(
        _block([json.dumps({"id": 1, "text": "x", **row}) for row, _, _ in rows]),
        max_line_bytes=999,
    )
    raw, faults = JsonLines(column_mapping(given_)).read(lines, first=0, stop=6, first_row=0)
    assert faults == []
    assert raw.columns["author_id"].to_pylist() == [author for _, author, _ in rows]
    assert raw.columns["source"].to_pylist() == [source for _, _, source in rows]
    assert raw.counts == ReadTally(nulled={"author_id": 1, "source": 1})


@pytest.mark.parametrize(
    "line",
    [
        '{"id":"1234","text":"x","in_reply_to_id":NaN}',
        '{"id":"1234","text":"x","source":{}}',
        '{"id":1e3,"text":5}',
        r'{"id":"1234","text":"\ud800"}',
        '{"id":"1234","text":"x","media":[5]}',
        f'{{"id":{10**30},"text":"x"}}',
    ],
)
def test_valid_json_takes_the_compiled_way(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """Whatever its values are, a line of valid JSON with plain keys is not read by Python."""
    monkeypatch.setattr(compiled_records, "_written_again", None)
    raw, faults = _read(scan_lines(_block([line] * 50), max_line_bytes=1 << 20))
    assert len(raw.source_row_N) + len(faults) == 50


@given(LINES, st.integers(1, 7))
def test_parts_do_not_matter(texts: list[str], size: int) -> None:
    """A block read in parts gives the rows and dead letters of the block read at once."""
    lines = scan_lines(_block(texts), max_line_bytes=1 << 20)
    whole, faults = _read(lines)
    reader = JsonLines(MAPPING)
    parts = [
        reader.read(lines, first=i, stop=min(i + size, len(lines.starts_L)), first_row=0)
        for i in range(0, max(1, len(lines.starts_L)), size)
    ]
    assert sorted(fault for _, found in parts for fault in found) == faults
    for name, values in whole.columns.items():
        assert pa.concat_arrays([raw.columns[name] for raw, _ in parts]).equals(values)
