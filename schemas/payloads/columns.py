"""How the columns of an input become POST columns, and which rows cannot be posts.

JSON and Arrow readers both end here: they give one array a POST column (`RawPosts`), and
`split_rows` decides, column by column, which rows are posts and which are dead letters. What only
the raw bytes can tell (a line that is not JSON) reaches it as a `Fault` found before.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.schemas.arrays import Array, Int32s, Int64s
from sluice.schemas.counts import ReadTally
from sluice.schemas.kernel import utf8_view
from sluice.schemas.payloads.times import read_times
from sluice.schemas.post import (
    COUNT_COLUMNS,
    FLAG_COLUMNS,
    MEDIA,
    OPTIONAL_COLUMNS,
    POST,
    TIME_COLUMNS,
    row_keys,
)
from sluice.schemas.reject import MALFORMED, reject_batch

REASONS: Final = {
    "line_too_long": "a line of more than max_line_bytes bytes",
    "not_utf8": "bytes that are not UTF-8",
    "not_json": "not JSON (RFC 8259, and NaN where it is not read), or nested too deeply",
    "not_object": "JSON, but not an object",
    "not_csv": "a record of CSV or TSV with a quote that is not closed, text behind a closing quote, or "
    "another number of fields than the header",
    "repeated_key": "the key of post_id or text is in the object twice",
    "wrong_type": "post_id is neither a string nor a whole number, or text no string",
    "inexact_id": "post_id was a float of 2**53 or more: which post it names is lost",
    "missing_post_id": "no post_id, or null or the empty string",
    "missing_text": "no text, or null",
    "text_too_long": "a text of more than max_text_bytes UTF-8 bytes",
    "too_many_posts": "a post behind the first 4,096 of its record",
    "truncated_input": "the file ends too early; one dead letter for all that is missing",
    "corrupt_input": "damaged compressed data, Parquet or Arrow: a dead letter a row where the "
    "file says how many there were, else one",
}
"""Reasons of dead letters of kind `malformed` -> what they mean. A row has one, the first found."""

READ_VERSION: Final = 4
"""Raised where the same bytes give other posts, dead letters or counts."""

PHASE: Final = "clean"
STAGE: Final = "read"

ID_COLUMNS: Final = (
    *("post_id", "author_id", "in_reply_to_id", "conversation_id"),
    *("root_id", "quoted_id", "reposted_id", "alias_id"),
)
"""Columns where an integer is taken for its decimal digits."""


def raw_type(column: str) -> pa.DataType:
    """Returns the type of a POST column in `RawPosts` where it has no value."""
    if column == "media":
        return MEDIA
    if column in FLAG_COLUMNS:
        return pa.bool_()
    return pa.int64() if column in COUNT_COLUMNS else pa.string()


class Origin(NamedTuple):
    """The file that rows came from: its index in the inventory and its relative path."""

    file: int
    path: str


class Fault(NamedTuple):
    """A row that is no post: where, why (a key of REASONS), what was found; never its text."""

    source_row: int
    reason: str
    detail: str | None = None
    post_id: str | None = None

    def in_line(self, line: int) -> "Fault":
        """Returns the fault with the line of its file, from 0, before what was found.

        >>> Fault(2, "not_json", "Expecting value").in_line(5).detail
        'source_line 5: Expecting value'
        """
        told = f": {self.detail}" if self.detail else ""
        return self._replace(detail=f"source_line {line}{told}")


class RawPosts(NamedTuple):
    """N rows as they were read, valid UTF-8, one array a POST column.

    Attributes:
        columns: INPUT_COLUMNS name -> (N,) array; string, but MEDIA for `media`, int64 for a count, bool for
            a flag and what `read_times` takes for a time. Of OPTIONAL_COLUMNS only those that are wanted.
        source_row_N: (N,) int64, ascending.
        counts: what the reader has counted beside these rows: notices, nulled and replaced values.
        source_line_N: (N,) int64, the line that each begins in, from 0; None where the file has no lines.
        source_item_N: (N,) int32, the place of each in its record; None where a record gives one post.
        notices: NOTICES rows that were read beside them, by ascending row; None where there are none.
    """

    columns: dict[str, pa.Array]
    source_row_N: Int64s
    counts: ReadTally | None = None
    source_line_N: Int64s | None = None
    source_item_N: Int32s | None = None
    notices: pa.RecordBatch | None = None

    def moved(self, first_row: int) -> "RawPosts":
        """Returns the same rows, numbered from another row on."""
        notices = self.notices
        if notices is not None:
            place = notices.schema.get_field_index("source_row")
            rows = pc.add(notices.column(place), first_row)
            notices = notices.set_column(place, notices.schema.field(place), rows)
        return self._replace(source_row_N=self.source_row_N + first_row, notices=notices)


class ReadBatch(NamedTuple):
    """Some records, each once: posts (`post_schema`), dead letters (REJECT), by ascending row; counts.

    Attributes:
        notices: NOTICES rows, of those notices that act; None where there are none.
    """

    posts: pa.RecordBatch
    rejected: pa.RecordBatch
    counts: ReadTally
    notices: pa.RecordBatch | None = None

    @classmethod
    def of(
        cls, posts: pa.RecordBatch, rejected: pa.RecordBatch, counts: ReadTally | None = None
    ) -> "ReadBatch":
        """Returns a batch of records, and what was counted beside them.

        A part of a record with posts that is a dead letter or a notice counts as a record of its own.
        """
        total = ReadTally() if counts is None else counts
        num_posts, dead = posts.num_rows, rejected.num_rows
        with_posts = num_posts - _num_further(posts)
        records = with_posts + dead + sum(total.notices.values())
        total += ReadTally(records, with_posts, {}, dead, num_posts)
        return cls(posts, rejected, total)


def _num_further(posts: pa.RecordBatch) -> int:
    """Returns how many posts are not the first of their record."""
    if not np.asarray(posts.column("source_item")).any():
        return 0
    return int(posts.num_rows - len(np.unique(np.asarray(posts.column("source_row")))))


def coalesce(candidates: Sequence[pa.Array]) -> pa.Array:
    """Returns, row by row, the first value that is not null; arrays of one type and length."""
    filled = [values for values in candidates if values.null_count < len(values)]
    if not filled:
        return candidates[0]
    return filled[0] if filled[0].null_count == 0 else pc.coalesce(*filled)


def split_rows(
    raw: RawPosts,
    faults: Sequence[Fault],
    *,
    origin: Origin,
    max_text_bytes: int,
    time_format: str = "auto",
) -> ReadBatch:
    """Returns posts and dead letters: every raw row and every fault once, by ascending row.

    Args:
        raw: rows whose columns have the right types.
        faults: rows found to be no posts before; none of them is in `raw`.
        origin: the file of all rows.
        max_text_bytes: longer texts are rejected.
        time_format: what times look like, as `read_times` takes it.
    """
    counts = ReadTally() if raw.counts is None else raw.counts
    times = {}
    for column in (name for name in TIME_COLUMNS if name in raw.columns):
        times[column], bad_time_N = read_times(raw.columns[column], time_format)
        if bad_time_N.any():
            counts += ReadTally(nulled={column: int(bad_time_N.sum())})
    masks = {
        "missing_post_id": _is_null_or_empty(raw.columns["post_id"]),
        "missing_text": _is_null(raw.columns["text"]),
        "text_too_long": _num_bytes(raw.columns["text"]) > max_text_bytes,
    }
    bad_N = np.logical_or.reduce(list(masks.values()))
    posts = _post_batch(raw, times, origin)
    if bad_N.any():
        faults = [*faults, *_column_faults(raw, masks, bad_N)]
        posts = posts.filter(pa.array(~bad_N))
    found = ReadBatch.of(posts, malformed_batch(faults, origin=origin), counts)
    return found._replace(notices=raw.notices)


def malformed_batch(faults: Sequence[Fault], *, origin: Origin) -> pa.RecordBatch:
    """Returns faults as REJECT rows, by ascending row."""
    by_row = sorted(faults, key=lambda fault: fault.source_row)
    columns = {name: [getattr(fault, name) for fault in by_row] for name in Fault._fields}
    fixed = {"kind": MALFORMED, "phase": PHASE, "stage": STAGE, "source_file": origin.path}
    return reject_batch(len(by_row), {**columns, **fixed})


def _post_batch(raw: RawPosts, times: Mapping[str, pa.Array], origin: Origin) -> pa.RecordBatch:
    row_N, line_N, num_rows = raw.source_row_N, raw.source_line_N, len(raw.source_row_N)
    item_N = raw.source_item_N
    provenance = {
        **times,
        "source_file": pa.repeat(pa.scalar(origin.path, pa.string()), num_rows),
        "source_row": pa.array(row_N, pa.int64()),
        "source_line": pa.nulls(num_rows, pa.int64()) if line_N is None else pa.array(line_N),
        "source_item": pa.array(np.zeros(num_rows, np.int32) if item_N is None else item_N),
        "row_key": row_keys(origin.file, row_N, item_N),
    }
    arrays = {**raw.columns, **provenance}
    schema = post_schema(raw.columns)
    return pa.RecordBatch.from_arrays([arrays[name] for name in schema.names], schema=schema)


def post_schema(columns: Iterable[str]) -> pa.Schema:
    """Returns POST with those of OPTIONAL_COLUMNS that are among some columns."""
    left_out = set(OPTIONAL_COLUMNS).difference(columns)
    return pa.schema([field for field in POST if field.name not in left_out])


def _column_faults(raw: RawPosts, masks: Mapping[str, Array], bad_N: Array) -> list[Fault]:
    rows = np.flatnonzero(bad_N)
    reasons = np.select([mask[rows] for mask in masks.values()], list(masks), default="")
    post_ids = raw.columns["post_id"].take(pa.array(rows)).to_pylist()
    text_bytes = _num_bytes(raw.columns["text"])[rows]
    faults = [
        Fault(
            int(raw.source_row_N[row]),
            str(reason),
            f"{num_bytes} bytes" if reason == "text_too_long" else None,
            post_id or None,
        )
        for row, reason, post_id, num_bytes in zip(rows, reasons, post_ids, text_bytes, strict=True)
    ]
    if raw.source_line_N is None:
        return faults
    lines = raw.source_line_N[rows].tolist()
    return [fault.in_line(line) for fault, line in zip(faults, lines, strict=True)]


def _is_null(values: pa.Array) -> Array:
    return np.asarray(values.is_null().to_numpy(zero_copy_only=False))


def _num_bytes(texts: pa.StringArray) -> Array:
    return np.diff(utf8_view(texts).offsets_N1)


def _is_null_or_empty(values: pa.StringArray) -> Array:
    return np.asarray(_is_null(values) | (_num_bytes(values) == 0))
