"""Columns: what a column can say against a row."""

import numpy as np
import pyarrow as pa

from sluice.schemas.payloads.columns import (
    Fault,
    Origin,
    RawPosts,
    raw_type,
    split_rows,
)
from sluice.schemas.post import INPUT_COLUMNS, POST
from sluice.schemas.reject import REJECT


def _raw(**columns: list[str | None]) -> RawPosts:
    n = len(columns["text"])
    arrays = {
        name: pa.array(columns.get(name, [None] * n), raw_type(name)) for name in INPUT_COLUMNS
    }
    return RawPosts(arrays, np.arange(10, 10 + n, dtype=np.int64))


def test_rows_that_columns_refuse() -> None:
    """Missing ids and texts are dead letters; blank texts are posts, and a bad time is null and counted."""
    raw = _raw(
        post_id=["a", None, "", "d", "e", "f", "g"],
        text=["", "x", "x", None, "x", "12345", "é é"],
        created_at=["2020-01-01", None, None, None, "yesterday", None, None],
    )
    posts, rejected, counts, _ = split_rows(
        raw, [Fault(9, "not_json")], origin=Origin(3, "a/b.jsonl"), max_text_bytes=5
    )
    assert posts.schema == POST
    assert rejected.schema == REJECT
    assert posts.column("post_id").to_pylist() == ["a", "e", "f", "g"]
    assert posts.column("source_row").to_pylist() == [10, 14, 15, 16]
    assert posts.column("row_key").to_pylist() == [(3 << 40) + row for row in (10, 14, 15, 16)]
    found = [(r["source_row"], r["reason"], r["post_id"]) for r in rejected.to_pylist()]
    assert found == [
        (9, "not_json", None),
        (11, "missing_post_id", None),
        (12, "missing_post_id", None),
        (13, "missing_text", "d"),
    ]
    assert counts.nulled == {"created_at": 1}
    assert posts.column("created_at").to_pylist()[1:] == [None] * 3
    assert set(rejected.column("kind").to_pylist()) == {"malformed"}
    assert set(rejected.column("source_file").to_pylist()) == {"a/b.jsonl"}


def test_a_long_text_says_how_long() -> None:
    """text_too_long names the bytes, not the text."""
    raw = _raw(post_id=["a"], text=["éé"])
    _, rejected, *_ = split_rows(raw, [], origin=Origin(0, "f"), max_text_bytes=3)
    assert rejected.column("reason").to_pylist() == ["text_too_long"]
    assert rejected.column("detail").to_pylist() == ["4 bytes"]
