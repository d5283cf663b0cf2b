"""How the columns of an input become POST columns, and which rows cannot be posts.

JSON and Arrow readers both end here: they give one array a POST column (`RawPosts`), and
`split_rows` decides, column by column, which rows are posts and which are dead letters. What only
the raw bytes can tell (a line that is not JSON) reaches it as a `Fault` found before.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.schemas.arrays import Array, Int64s
from sluice.schemas.counts import ReadTally
from sluice.schemas.errors import InputError, did_you_mean
from sluice.schemas.kernel import BYTES, OFFSETS, kernel, types, utf8_view
from sluice.schemas.post import DEFAULT_MAPPING, INPUT_COLUMNS, POST, ROW_BITS
from sluice.schemas.reject import MALFORMED, reject_batch

REASONS: Final = {
    "line_too_long": "a line of more than max_line_bytes bytes",
    "not_utf8": "bytes that are not UTF-8",
    "not_json": "not JSON (RFC 8259, and NaN where it is not read), or nested too deeply",
    "not_object": "JSON, but not an object",
    "repeated_key": "a key that is read is in the object twice",
    "lone_surrogate": "half of a surrogate pair in a string that is read: no Unicode text",
    "wrong_type": "a column that is read has another type than POST wants",
    "missing_post_id": "no post_id, or null or the empty string",
    "missing_text": "no text, or null",
    "bad_time": "created_at is not an ISO 8601 time of the years 1 to 9999",
    "text_too_long": "a text of more than max_text_bytes UTF-8 bytes",
    "truncated_input": "the file ends too early; one dead letter for all that is missing",
    "corrupt_input": "damaged compressed data, Parquet or Arrow: a dead letter a row where the "
    "file says how many there were, else one",
}
"""Reasons of dead letters of kind `malformed` -> what they mean. A row has one, the first found."""

READ_VERSION: Final = 2
"""Raised where the same bytes give other posts, dead letters or counts."""

PHASE: Final = "clean"
STAGE: Final = "read"

ID_COLUMNS: Final = ("post_id", "author_id", "in_reply_to_id", "conversation_id")
"""Columns where an integer is taken for its decimal digits."""

FIRST_MICROSECOND: Final = -62_135_596_800_000_000
"""0001-01-01T00:00:00Z, in microseconds since 1970."""
LAST_MICROSECOND: Final = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z."""

ColumnMapping = Mapping[str, tuple[str, ...]]
"""POST column -> names of input columns; the first that is not null gives a row's value."""

_TIME_TYPE = POST.field("created_at").type
_MICROSECONDS = {"s": 1_000_000, "ms": 1_000}


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


class RawPosts(NamedTuple):
    """N rows as they were read, valid UTF-8, one array a POST column.

    Attributes:
        columns: INPUT_COLUMNS name -> (N,) array; string, but MEDIA for `media` and string or any
            timestamp or date for `created_at`.
        source_row_N: (N,) int64, ascending.
        counts: what the reader has counted beside these rows: notices, nulled and replaced values.
    """

    columns: dict[str, pa.Array]
    source_row_N: Int64s
    counts: ReadTally | None = None


class ReadBatch(NamedTuple):
    """Some records, each once: posts (POST), dead letters (REJECT), by ascending row; and their counts."""

    posts: pa.RecordBatch
    rejected: pa.RecordBatch
    counts: ReadTally

    @classmethod
    def of(
        cls, posts: pa.RecordBatch, rejected: pa.RecordBatch, counts: ReadTally | None = None
    ) -> "ReadBatch":
        """Returns a batch of records of one post each, and of what was counted beside them."""
        total = ReadTally() if counts is None else counts
        with_posts, dead = posts.num_rows, rejected.num_rows
        records = with_posts + dead + sum(total.notices.values())
        total += ReadTally(records, with_posts, {}, dead, with_posts)
        return cls(posts, rejected, total)


def column_mapping(overrides: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Returns DEFAULT_MAPPING with columns replaced; an empty name means that it is not read.

    Args:
        overrides: POST column -> input column, as in the recipe's `input.columns`.

    Raises:
        InputError: a name is no POST column, or a required column is switched off.
    """
    mapping = dict(DEFAULT_MAPPING)
    for column, name in overrides.items():
        if column not in INPUT_COLUMNS:
            hint = did_you_mean(column, INPUT_COLUMNS)
            raise InputError(f"input.columns.{column}: not a column of a post{hint}")
        if not name and column in ("post_id", "text"):
            raise InputError(f"input.columns.{column}: must name a column, got an empty string")
        mapping[column] = (name,) if name else ()
    for column, names in mapping.items():
        if column != "media" and set(names) & set(mapping["media"]):
            raise InputError(f"input.columns: {column} and media cannot be the same column")
    return mapping


def coalesce(candidates: Sequence[pa.Array]) -> pa.Array:
    """Returns, row by row, the first value that is not null; arrays of one type and length."""
    filled = [values for values in candidates if values.null_count < len(values)]
    if not filled:
        return candidates[0]
    return filled[0] if filled[0].null_count == 0 else pc.coalesce(*filled)


def split_rows(
    raw: RawPosts, faults: Sequence[Fault], *, origin: Origin, max_text_bytes: int
) -> ReadBatch:
    """Returns posts and dead letters: every raw row and every fault once, by ascending row.

    Args:
        raw: rows whose columns have the right types.
        faults: rows found to be no posts before; none of them is in `raw`.
        origin: the file of all rows.
        max_text_bytes: longer texts are rejected.
    """
    created_at, time_ok_N = _times(raw.columns["created_at"])
    masks = {
        "missing_post_id": _is_null_or_empty(raw.columns["post_id"]),
        "missing_text": _is_null(raw.columns["text"]),
        "bad_time": ~time_ok_N,
        "text_too_long": _num_bytes(raw.columns["text"]) > max_text_bytes,
    }
    bad_N = np.logical_or.reduce(list(masks.values()))
    posts = _post_batch({**raw.columns, "created_at": created_at}, raw.source_row_N, origin)
    if not bad_N.any():
        return ReadBatch.of(posts, malformed_batch(faults, origin=origin), raw.counts)
    all_faults = [*faults, *_column_faults(raw, masks, bad_N)]
    posts = posts.filter(pa.array(~bad_N))
    return ReadBatch.of(posts, malformed_batch(all_faults, origin=origin), raw.counts)


def malformed_batch(faults: Sequence[Fault], *, origin: Origin) -> pa.RecordBatch:
    """Returns faults as REJECT rows, by ascending row."""
    by_row = sorted(faults, key=lambda fault: fault.source_row)
    columns = {name: [getattr(fault, name) for fault in by_row] for name in Fault._fields}
    fixed = {"kind": MALFORMED, "phase": PHASE, "stage": STAGE, "source_file": origin.path}
    return reject_batch(len(by_row), {**columns, **fixed})


def _post_batch(
    columns: Mapping[str, pa.Array], source_row_N: Array, origin: Origin
) -> pa.RecordBatch:
    row_key_N = (np.uint64(origin.file) << np.uint64(ROW_BITS)) | source_row_N.astype(np.uint64)
    provenance = {
        "source_file": pa.repeat(pa.scalar(origin.path, pa.string()), len(source_row_N)),
        "source_row": pa.array(source_row_N, pa.int64()),
        "row_key": pa.array(row_key_N, pa.uint64()),
    }
    arrays = [{**columns, **provenance}[name] for name in POST.names]
    return pa.RecordBatch.from_arrays(arrays, schema=POST)


def _column_faults(raw: RawPosts, masks: Mapping[str, Array], bad_N: Array) -> list[Fault]:
    rows = np.flatnonzero(bad_N)
    reasons = np.select([mask[rows] for mask in masks.values()], list(masks), default="")
    post_ids = raw.columns["post_id"].take(pa.array(rows)).to_pylist()
    text_bytes = _num_bytes(raw.columns["text"])[rows]
    return [
        Fault(
            int(raw.source_row_N[row]),
            str(reason),
            f"{num_bytes} bytes" if reason == "text_too_long" else None,
            post_id or None,
        )
        for row, reason, post_id, num_bytes in zip(rows, reasons, post_ids, text_bytes, strict=True)
    ]


def _is_null(values: pa.Array) -> Array:
    return np.asarray(values.is_null().to_numpy(zero_copy_only=False))


def _num_bytes(texts: pa.StringArray) -> Array:
    return np.diff(utf8_view(texts).offsets_N1)


def _is_null_or_empty(values: pa.StringArray) -> Array:
    return np.asarray(_is_null(values) | (_num_bytes(values) == 0))


# --- times -----------------------------------------------------------------------------------


def _times(values: pa.Array) -> tuple[pa.Array, Array]:
    """Returns (timestamp[us, UTC], null where there is none or it is bad; (N,) bool, not bad)."""
    if pa.types.is_string(values.type):
        return parse_times(values)
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s" if pa.types.is_date32(values.type) else "ms"))
    ticks = values.cast(pa.int64()).fill_null(0).to_numpy()
    scale = _MICROSECONDS.get(values.type.unit, 1)
    divisor = 1000 if values.type.unit == "ns" else 1
    ok_N = (ticks >= FIRST_MICROSECOND // scale) & (ticks <= LAST_MICROSECOND // scale)
    micros_N = np.where(ok_N, ticks, 0) // divisor * scale
    return _time_array(micros_N, ~_is_null(values) & ok_N), ok_N


def parse_times(texts: pa.StringArray) -> tuple[pa.Array, Array]:
    """Parses ISO 8601 dates and times of the extended format.

    `YYYY-MM-DD`, or that, `T` or a blank, `hh:mm[:ss[.digits]]` and no zone (UTC), `Z`, `+hh`,
    `+hhmm` or `+hh:mm`; digits beyond microseconds are cut off, leap seconds refused.

    Args:
        texts: (N,) string, may hold nulls.

    Returns:
        (N,) timestamp[us, UTC], null where the text is null or no time; (N,) bool, false where the
        text is no time.
    """
    view = utf8_view(texts)
    micros_N = np.zeros(len(texts), np.int64)
    ok_N = np.zeros(len(texts), np.bool_)
    _parse_times(view.data_B, view.offsets_N1, micros_N, ok_N)
    null_N = _is_null(texts)
    return _time_array(micros_N, ok_N & ~null_N), ok_N | null_N


def _time_array(micros_N: Array, valid_N: Array) -> pa.Array:
    return pa.array(micros_N, pa.int64(), mask=~valid_N).cast(_TIME_TYPE)


_NONE = np.iinfo(np.int64).min  # what the parts of a time return where they are not there
_DAY, _HOUR, _MINUTE, _SECOND = 86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000


@kernel()
def _digits(data_B: Any, j: Any, end: Any, count: Any) -> Any:
    """Returns the number of `count` decimal digits at j, or -1."""
    value = np.int64(0) if j + count <= end else np.int64(-1)
    for k in range(count):
        if value >= 0:
            digit = np.int64(data_B[j + k]) - 0x30
            value = value * 10 + digit if 0 <= digit <= 9 else np.int64(-1)
    return value


@kernel()
def _date_micros(data_B: Any, j: Any, end: Any) -> Any:
    """Returns the microseconds since 1970 of `YYYY-MM-DD` at j, or _NONE."""
    year = _digits(data_B, j, end, 4)
    month = _digits(data_B, j + 5, end, 2)
    day = _digits(data_B, j + 8, end, 2)
    micros = np.int64(_NONE)
    if year > 0 and 1 <= month <= 12 and day > 0 and data_B[j + 4] == data_B[j + 7] == 0x2D:
        last = 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31
        if month == 2:
            last = 29 if (year % 4 == 0 and year % 100 != 0) or year % 400 == 0 else 28
        if day <= last:
            # Days since 1970 in years that begin in March: Hinnant, chrono-compatible algorithms.
            y = year - 1 if month <= 2 else year
            day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
            micros = (365 * y + y // 4 - y // 100 + y // 400 + day_of_year - 719_468) * _DAY
    return micros


@kernel()
def _clock_micros(data_B: Any, j: Any, end: Any) -> Any:
    """Returns (microseconds of `Thh:mm[:ss[.digits]]` at j or _NONE, where it ends)."""
    separated = data_B[j] == 0x54 or data_B[j] == 0x74 or data_B[j] == 0x20  # T, t or a blank
    hour = _digits(data_B, j + 1, end, 2)
    minute = _digits(data_B, j + 4, end, 2)
    second = np.int64(0)
    fraction = np.int64(0)
    is_time = separated and 0 <= hour <= 23 and 0 <= minute <= 59 and data_B[j + 3] == 0x3A
    j += 6
    if is_time and j < end and data_B[j] == 0x3A:
        second = _digits(data_B, j + 1, end, 2)
        j += 3
        if second >= 0 and j < end and (data_B[j] == 0x2E or data_B[j] == 0x2C):  # . or ,
            j += 1
            first = j
            place = np.int64(_SECOND // 10)
            while j < end and 0x30 <= data_B[j] <= 0x39:
                fraction += (np.int64(data_B[j]) - 0x30) * place
                place //= 10
                j += 1
            is_time = j > first
    is_time = is_time and 0 <= second <= 59
    micros = hour * _HOUR + minute * _MINUTE + second * _SECOND + fraction
    return (micros if is_time else np.int64(_NONE)), j


@kernel()
def _zone_micros(data_B: Any, j: Any, end: Any) -> Any:
    """Returns the offset of the zone from j to the end, 0 where there is none, or _NONE."""
    micros = np.int64(_NONE)
    if j == end or (j + 1 == end and (data_B[j] == 0x5A or data_B[j] == 0x7A)):  # Z or z
        micros = np.int64(0)
    elif j < end and (data_B[j] == 0x2B or data_B[j] == 0x2D):
        hours = _digits(data_B, j + 1, end, 2)
        minutes = np.int64(0)
        if j + 3 != end:
            k = j + 4 if j + 3 < end and data_B[j + 3] == 0x3A else j + 3
            minutes = _digits(data_B, k, end, 2) if k + 2 == end else np.int64(-1)
        if 0 <= hours <= 23 and 0 <= minutes <= 59:
            sign = 1 if data_B[j] == 0x2B else -1
            micros = sign * (hours * _HOUR + minutes * _MINUTE)
    return micros


@kernel(types.void(BYTES, OFFSETS, types.int64[::1], types.boolean[::1]))
def _parse_times(data_B: Any, offsets_N1: Any, micros_N: Any, ok_N: Any) -> None:
    for i in range(len(micros_N)):
        j, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        micros = _date_micros(data_B, j, end)
        if micros != _NONE and end - j > 10:
            clock, zone_at = _clock_micros(data_B, j + 10, end)
            zone = _zone_micros(data_B, zone_at, end) if clock != _NONE else _NONE
            micros = micros + clock - zone if zone != _NONE else _NONE
        if FIRST_MICROSECOND <= micros <= LAST_MICROSECOND:
            micros_N[i] = micros
            ok_N[i] = True
