"""Columns: the mapping, times, and what a column can say against a row."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.schemas.errors import InputError
from sluice.schemas.payloads.columns import (
    Fault,
    Origin,
    RawPosts,
    column_mapping,
    parse_times,
    split_rows,
)
from sluice.schemas.post import INPUT_COLUMNS, MEDIA, POST
from sluice.schemas.reject import REJECT


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),
    st.sampled_from("Tt "),
    st.sampled_from(["", "Z", "z", "+00", "+05:30", "-0800", "+14:00", "-23:59"]),
    st.sampled_from(["auto", "minutes", "seconds", "milliseconds", "microseconds"]),
)
def test_times_are_those_of_the_standard_library(
    when: datetime, separator: str, zone: str, spec: str
) -> None:
    """Every ISO 8601 time with or without a zone is the instant that datetime.fromisoformat gives."""
    text = when.isoformat(timespec=spec).replace("T", separator) + zone
    oracle = datetime.fromisoformat(text.upper())
    oracle = oracle.replace(tzinfo=UTC) if oracle.tzinfo is None else oracle.astimezone(UTC)
    times, ok_N = parse_times(pa.array([None, text, "no", text]))
    assert ok_N.tolist() == [True, True, False, True]
    assert times.to_pylist() == [None, oracle, None, oracle]


@given(st.text("0123456789-:TZ+ .", max_size=26))
def test_junk_is_no_time(text: str) -> None:
    """What is taken for a time, the standard library takes for the same time."""
    times, ok_N = parse_times(pa.array([text]))
    if ok_N[0]:
        oracle = datetime.fromisoformat(text)
        oracle = oracle.replace(tzinfo=UTC) if oracle.tzinfo is None else oracle.astimezone(UTC)
        assert times[0].as_py() == oracle


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2008-02-22", "2008-02-22T00:00:00"),
        ("2008-02-22T15:12:18Z", "2008-02-22T15:12:18"),
        ("2008-02-22T15:12:18.123456789Z", "2008-02-22T15:12:18.123456"),
        ("2008-02-22T15:12:18,5+01", "2008-02-22T14:12:18.500000"),
        ("2000-02-29T00:00", "2000-02-29T00:00:00"),
        ("1900-02-29", None),
        ("2008-02-30", None),
        ("2008-13-01", None),
        ("0000-01-01", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("2008-02-22T24:00:00Z", None),
        ("2008-02-22T15:12:60Z", None),
        ("2008-02-22T15:12:18.Z", None),
        ("2008-02-22T15:12:18 Z", None),
        ("2008-02-22T15:12:18+24:00", None),
        ("2008-02-22T15", None),
        ("2008-02-22T", None),
        (" 2008-02-22", None),
        ("20080222T151218Z", None),
        ("1203693138", None),
        ("Wed Aug 27 13:08:45 +0000 2008", None),
        ("", None),
    ],
)
def test_times_by_example(text: str, expected: str | None) -> None:
    """Each rule of the docstring of parse_times, by one text."""
    times, ok_N = parse_times(pa.array(["x", text])[1:])
    assert ok_N.tolist() == [expected is not None]
    wanted = None if expected is None else datetime.fromisoformat(expected).replace(tzinfo=UTC)
    assert times.to_pylist() == [wanted]


def _raw(**columns: list[str | None]) -> RawPosts:
    n = len(columns["text"])
    arrays = {
        name: pa.array(columns.get(name, [None] * n), MEDIA if name == "media" else pa.string())
        for name in INPUT_COLUMNS
    }
    return RawPosts(arrays, np.arange(10, 10 + n, dtype=np.int64))


def test_rows_that_columns_refuse() -> None:
    """Missing ids and texts, bad times and long texts are dead letters; blank texts are posts."""
    raw = _raw(
        post_id=["a", None, "", "d", "e", "f", "g"],
        text=["", "x", "x", None, "x", "12345", "é é"],
        created_at=["2020-01-01", None, None, None, "yesterday", None, None],
    )
    posts, rejected, _ = split_rows(
        raw, [Fault(9, "not_json")], origin=Origin(3, "a/b.jsonl"), max_text_bytes=5
    )
    assert posts.schema == POST
    assert rejected.schema == REJECT
    assert posts.column("post_id").to_pylist() == ["a", "f", "g"]
    assert posts.column("source_row").to_pylist() == [10, 15, 16]
    assert posts.column("row_key").to_pylist() == [(3 << 40) + row for row in (10, 15, 16)]
    found = [(r["source_row"], r["reason"], r["post_id"]) for r in rejected.to_pylist()]
    assert found == [
        (9, "not_json", None),
        (11, "missing_post_id", None),
        (12, "missing_post_id", None),
        (13, "missing_text", "d"),
        (14, "bad_time", "e"),
    ]
    assert set(rejected.column("kind").to_pylist()) == {"malformed"}
    assert set(rejected.column("source_file").to_pylist()) == {"a/b.jsonl"}


def test_a_long_text_says_how_long() -> None:
    """text_too_long names the bytes, not the text."""
    raw = _raw(post_id=["a"], text=["éé"])
    _, rejected, _ = split_rows(raw, [], origin=Origin(0, "f"), max_text_bytes=3)
    assert rejected.column("reason").to_pylist() == ["text_too_long"]
    assert rejected.column("detail").to_pylist() == ["4 bytes"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"txt": "body"}, "input.columns.txt: not a column of a post; did you mean 'text'?"),
        ({"text": ""}, "input.columns.text: must name a column, got an empty string"),
        ({"text": "media"}, "input.columns: text and media cannot be the same column"),
    ],
)
def test_mapping_errors(overrides: dict[str, str], message: str) -> None:
    """A mapping that cannot be read says which key is wrong and what is meant."""
    with pytest.raises(InputError) as error:
        column_mapping(overrides)
    assert str(error.value) == message
