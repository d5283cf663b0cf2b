"""The rows of a file of items: JSON values, rows of CSV, Parquet or Arrow, or the lines of a text."""

import contextlib
import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from sluice.pipeline.inputs.first_bytes import look_into
from sluice.pipeline.inputs.formats import Content, FileFormat
from sluice.pipeline.inputs.sources import Source, StreamBrokenError, file_source
from sluice.pipeline.storage import files as storage
from sluice.schemas.errors import RecipeError

LINE = "line"
"""The field of the lines of a text."""
_PIECE = 1 << 20
_MMLU_COLUMNS = ("question", "A", "B", "C", "D", "answer")
"""The columns of MMLU's CSV files, which have no header."""

Row = Mapping[str, Any]


class ItemRows(NamedTuple):
    """The rows of a file.

    Attributes:
        names: of the fields, in order.
        rows: the rows; a field that a row lacks is not in it.
        is_text: whether they are lines of a text.
    """

    names: tuple[str, ...]
    rows: list[Row]
    is_text: bool = False


def read_rows(path: str, *, where: str) -> ItemRows:
    """Returns the rows of a file, which is read whole: evaluation sets are small.

    Args:
        path: a path or URI.
        where: begins the message of an error.

    Raises:
        RecipeError: the file cannot be read; the message names the file, and the row where there is one.
    """
    try:
        with storage.open_input(path) as file:
            found, source = look_into(file_source(file), path)
            data = _all_of(source)
    except (OSError, StreamBrokenError) as error:
        raise RecipeError(f"{where}: {path}: cannot be read: {error}") from None
    try:
        return _rows(data, None if _is_named_text(path) else found.format)
    except (ValueError, msgspec.DecodeError, csv.Error, pa.ArrowException) as error:
        raise RecipeError(f"{where}: {path}: {error}") from None


def _is_named_text(path: str) -> bool:
    """Returns whether the endings of a name say that it is a text, whatever stands in its first lines."""
    endings = path.rpartition("/")[2].lower().split(".")[1:]
    return bool({"txt", "text"} & {*endings})


def _all_of(source: Source) -> bytes:
    return b"".join(iter(lambda: source.read(_PIECE), b""))


def _rows(data: bytes, format: FileFormat | None) -> ItemRows:
    content: Content | None = None if format is None else format.content
    if content == "members":
        raise ValueError("is an archive: give the files that are in it")
    if content in ("parquet", "arrow", "arrow_stream"):
        return _of_table(_table(data, content))
    text = data.decode("utf-8-sig" if format is None else format.encoding).removeprefix("\ufeff")
    if content == "json":
        return _of_objects(list(_json_values(text)))
    if content in ("csv", "tsv"):
        return _of_csv(text, "\t" if content == "tsv" else ",")
    return ItemRows((LINE,), [{LINE: line} for line in text.splitlines()], is_text=True)


def _table(data: bytes, content: Content) -> pa.Table:
    if content == "parquet":
        return pq.read_table(pa.BufferReader(data))
    opened = pa.ipc.open_file if content == "arrow" else pa.ipc.open_stream
    return opened(pa.BufferReader(data)).read_all()


def _of_table(table: pa.Table) -> ItemRows:
    return ItemRows(tuple(table.column_names), table.to_pylist())


def _json_values(text: str) -> Iterator[Any]:
    """Yields the rows: the elements of one array, one object over several lines, or lines of JSON."""
    with contextlib.suppress(msgspec.DecodeError):
        whole = msgspec.json.decode(text)
        yield from whole if isinstance(whole, list) else [whole]
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield msgspec.json.decode(line)
            except msgspec.DecodeError as error:
                raise ValueError(f"line {number}: not JSON: {error}") from None


def _of_objects(values: list[Any]) -> ItemRows:
    for row, value in enumerate(values):
        if not isinstance(value, dict):
            raise ValueError(f"row {row}: must be a JSON object, got {type(value).__name__}")
    names = dict.fromkeys(name for value in values for name in value)
    return ItemRows(tuple(names), values)


def _of_csv(text: str, delimiter: str) -> ItemRows:
    csv.field_size_limit(1 << 24)
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    if not rows:
        return ItemRows((), [])
    header, body = (_MMLU_COLUMNS, rows) if _is_of_mmlu(rows[0]) else (tuple(rows[0]), rows[1:])
    return ItemRows(header, [dict(zip(header, row, strict=False)) for row in body])


def _is_of_mmlu(row: list[str]) -> bool:
    """Returns whether a first row is one of MMLU's: a question, four choices, and the letter of one."""
    return len(row) == len(_MMLU_COLUMNS) and row[-1] in ("A", "B", "C", "D")
