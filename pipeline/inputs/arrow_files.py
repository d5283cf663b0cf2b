"""Parquet and Arrow files: their groups of rows, and the columns of a group as POST columns.

A group is a Parquet row group or a record batch of an Arrow IPC file. A group that cannot be
decoded costs its own rows and no others, because the layout says how many it has.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.pipeline.storage import files as storage
from sluice.schemas.arrays import Bools, Int64s
from sluice.schemas.errors import InputError
from sluice.schemas.payloads.columns import ID_COLUMNS, ColumnMapping, Fault, RawPosts, coalesce
from sluice.schemas.post import MEDIA

DECODED_BYTES: Final = 64 << 20
"""Text bytes of a batch at most, but for one row: a few bytes of dictionary may stand for any number."""
MAX_ROWS_A_BYTE: Final = 64
"""A file that claims more rows for its size is refused: each would become a dead letter."""


Place: TypeAlias = Any
"""Where a file is: its path, or its bytes as a pyarrow Buffer."""


class Group(NamedTuple):
    """The rows of a group and its bytes on disk; for Arrow files, an equal share of the file's."""

    rows: int
    bytes: int


class BrokenGroupError(Exception):
    """The rest of a group cannot be decoded."""


def group_layout(path: Place, *, name: str, format: str) -> list[Group] | None:
    """Returns the groups of a file in order, or None for an Arrow stream, which has no index.

    Args:
        path: where the file is.
        name: what errors call it.
        format: parquet, arrow or arrow_stream.

    Raises:
        InputError: the file's footer cannot be read, or claims more rows than the file can hold.
    """
    with _explained(name, format), _opened(path) as source:
        num_bytes = source.size()
        if format == "parquet":
            metadata = pq.ParquetFile(source).metadata
            groups = [_parquet_group(metadata.row_group(i)) for i in range(metadata.num_row_groups)]
        elif format == "arrow":
            rows = _ipc_batch_rows(source)
            groups = [Group(num_rows, num_bytes // len(rows)) for num_rows in rows]
        else:
            return None
    claimed = sum(group.rows for group in groups)
    if claimed > MAX_ROWS_A_BYTE * num_bytes:
        raise InputError(f"{name}: its header claims {claimed:,} rows in {num_bytes:,} bytes")
    return groups


def check_columns(path: Place, *, name: str, format: str, mapping: ColumnMapping) -> None:
    """Raises InputError where a file lacks a required column or has one of a type no post can have.

    Args:
        path: where the file is.
        name: what errors call it.
        format: parquet, arrow or arrow_stream.
        mapping: POST column -> names in the input.
    """
    with _explained(name, format):
        schema = _schema(path, format)
    check_schema(schema, name=name, mapping=mapping)


def check_schema(schema: pa.Schema, *, name: str, mapping: ColumnMapping) -> None:
    """Raises InputError where columns lack a required one or have one of a type no post can have.

    Args:
        schema: of a file or a table.
        name: what errors call it.
        mapping: POST column -> names in the input.
    """
    for column, names in mapping.items():
        present = [candidate for candidate in names if candidate in schema.names]
        if names and not present and column in _REQUIRED:
            raise InputError(
                f"{name}: no column {' or '.join(map(repr, names))} for {column}; it has "
                f'{", ".join(schema.names) or "none"}: set input.columns.{column} = "..."'
            )
        for candidate in present:
            if len(schema.get_all_field_indices(candidate)) > 1:
                raise InputError(f"{name}: more than one column is called {candidate!r}")
            _check_type(name, column, candidate, schema.field(candidate).type)


def wanted_columns(names: Sequence[str], *, mapping: ColumnMapping) -> list[str]:
    """Returns the columns of a file that a mapping reads, in the file's order."""
    wanted = {name for candidates in mapping.values() for name in candidates}
    return [name for name in names if name in wanted]


def parquet_batches(
    path: Place, *, group: int, mapping: ColumnMapping, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a Parquet row group, `batch_rows` at a time, only mapped columns.

    Raises:
        BrokenGroupError: what follows cannot be decoded.
    """
    with _broken_group(), _opened(path) as source:
        schema = pq.ParquetFile(source).schema_arrow
        columns = wanted_columns(schema.names, mapping=mapping)
        texts = [name for name in columns if schema.field(name).type in _PLAIN_TEXTS]
        file = pq.ParquetFile(
            source, page_checksum_verification=True, pre_buffer=True, read_dictionary=texts
        )
        for batch in file.iter_batches(
            batch_rows, row_groups=[group], columns=columns, use_threads=False
        ):
            yield from _slices(batch, batch_rows)


def ipc_batches(
    path: Place, *, group: int, mapping: ColumnMapping, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a batch of an Arrow file, `batch_rows` at a time, only mapped columns.

    Raises:
        BrokenGroupError: it cannot be decoded.
    """
    with _broken_group(), _opened(path) as source:
        schema = pa.ipc.open_file(source).schema
        fields = [
            schema.get_field_index(name) for name in wanted_columns(schema.names, mapping=mapping)
        ]
        options = pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
        batch = pa.ipc.open_file(source, options=options).get_batch(group)
        _check_structure(batch)
        yield from _slices(batch, batch_rows)


def stream_batches(
    path: Any, *, name: str, mapping: ColumnMapping, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """Yields the rows of an Arrow stream, `batch_rows` at a time, only mapped columns.

    Args:
        path: where it is, or something to read it from.
        name: what errors call it.
        mapping: POST column -> names in the input.
        batch_rows: the most rows of a batch.

    Raises:
        InputError: a column is missing or of another type.
        BrokenGroupError: what follows cannot be decoded.
    """
    with _broken_group(), _opened(path) as source:
        reader = pa.ipc.open_stream(source)
        check_schema(reader.schema, name=name, mapping=mapping)
        names = wanted_columns(reader.schema.names, mapping=mapping)
        for batch in reader:
            batch = batch.select(names)
            _check_structure(batch)
            yield from _slices(batch, batch_rows)


def raw_posts(
    batch: pa.RecordBatch, *, mapping: ColumnMapping, first_row: int
) -> tuple[RawPosts, list[Fault]]:
    """Returns a batch as POST columns, and its rows whose strings are not UTF-8 as faults.

    Args:
        batch: N rows of types that `check_columns` lets pass.
        mapping: POST column -> names in the input.
        first_row: `source_row` of row 0.
    """
    source_row_N = np.arange(first_row, first_row + batch.num_rows, dtype=np.int64)
    columns = {column: _post_column(batch, column, names) for column, names in mapping.items()}
    bad = {column: _not_utf8(values) for column, values in columns.items()}
    bad_N = np.logical_or.reduce(list(bad.values()))
    if not bad_N.any():
        return RawPosts(columns, source_row_N), []
    faults = [
        Fault(
            int(source_row_N[row]),
            "not_utf8",
            next(name for name in bad if bad[name][row]),
            None if bad["post_id"][row] else columns["post_id"][row].as_py(),
        )
        for row in np.flatnonzero(bad_N)
    ]
    keep = pa.array(~bad_N)
    kept = {column: values.filter(keep) for column, values in columns.items()}
    return RawPosts(kept, source_row_N[~bad_N]), faults


# --- types -----------------------------------------------------------------------------------


def _check_type(name: str, column: str, candidate: str, kind: pa.DataType) -> None:
    if _is_usable(column, kind):
        return
    optional = column not in _REQUIRED
    left_out = f', or leave it out with input.columns.{column} = ""' if optional else ""
    wanted = _WANTED.get(column, "a string")
    raise InputError(
        f"{name}: column {candidate!r} for {column} must be {wanted}, got {kind}: "
        f'set input.columns.{column} = "..."{left_out}'
    )


_REQUIRED = ("post_id", "text")
_PLAIN_TEXTS = (pa.string(), pa.large_string())
_TEXTS = (*_PLAIN_TEXTS, pa.string_view())
_WANTED = {
    **dict.fromkeys(ID_COLUMNS, "a string or an integer"),
    "created_at": "a timestamp, a date or an ISO 8601 string",
    "media": "a list of structs of strings",
}


def _is_usable(column: str, kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if column == "media":
        return _is_media(kind)
    if pa.types.is_null(kind):
        return column not in _REQUIRED
    if column in ID_COLUMNS and _is_whole(kind):
        return True
    if column == "created_at" and (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        return True
    return kind in _TEXTS


def _is_whole(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0))


def _is_media(kind: pa.DataType) -> bool:
    if pa.types.is_null(kind):
        return True
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not (is_list and pa.types.is_struct(kind.value_type)):
        return False
    known = {field.name for field in MEDIA.value_type}
    return all(f.type in (*_TEXTS, pa.null()) for f in kind.value_type if f.name in known)


def _post_column(batch: pa.RecordBatch, column: str, names: Sequence[str]) -> pa.Array:
    present = [batch.column(name) for name in names if name in batch.schema.names]
    if not present:
        return pa.nulls(batch.num_rows, MEDIA if column == "media" else pa.string())
    return coalesce([_converted(column, values) for values in present])


def _converted(column: str, values: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if column == "media":
        return values.cast(MEDIA) if pa.types.is_null(values.type) else _as_media(values)
    if column == "created_at" and values.type not in _TEXTS and not pa.types.is_null(values.type):
        return values
    return values.cast(pa.string())


def _as_media(values: pa.Array) -> pa.Array:
    """Returns lists of structs with MEDIA's fields, missing ones null, others left out."""
    items = values.flatten()
    fields = [
        items.field(field.name).cast(field.type)
        if items.type.get_field_index(field.name) >= 0
        else pa.nulls(len(items), field.type)
        for field in MEDIA.value_type
    ]
    structs = pa.StructArray.from_arrays(
        fields, fields=list(MEDIA.value_type), mask=items.is_null()
    )
    lengths_N = pc.list_value_length(values).fill_null(0).to_numpy()
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths_N)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, structs, type=MEDIA, mask=values.is_null())


def _not_utf8(values: pa.Array) -> Bools:
    """Returns (N,) bool, true where a row's strings are not UTF-8; one call where all are."""
    if _is_valid(values):
        return np.zeros(len(values), np.bool_)
    return np.array([not _is_valid(values.take([row])) for row in range(len(values))])


def _is_valid(values: pa.Array) -> bool:
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


# --- files -----------------------------------------------------------------------------------


def _parquet_group(group: Any) -> Group:
    columns = (group.column(i) for i in range(group.num_columns))
    return Group(group.num_rows, sum(column.total_compressed_size for column in columns))


def _opened(path: Any) -> Any:
    """Returns a file open for reading at any place: a local one mapped, so that nothing is copied."""
    if isinstance(path, pa.Buffer):
        return pa.BufferReader(path)
    if not isinstance(path, str):
        return pa.PythonFile(path, mode="r")
    return storage.open_input(path) if storage.is_remote(path) else pa.memory_map(path)


def _ipc_batch_rows(source: Any) -> list[int]:
    """Returns the rows of each batch, decoding one column of each."""
    options = pa.ipc.IpcReadOptions(included_fields=[0], use_threads=False)
    reader = pa.ipc.open_file(source, options=options)
    return [reader.get_batch(index).num_rows for index in range(reader.num_record_batches)]


def _schema(path: Place, format: str) -> pa.Schema:
    with _opened(path) as source:
        if format == "parquet":
            return pq.ParquetFile(source).schema_arrow
        opened = pa.ipc.open_file if format == "arrow" else pa.ipc.open_stream
        return opened(source).schema


def _slices(batch: pa.RecordBatch, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Yields slices of at most `batch_rows` rows and `DECODED_BYTES` bytes of text."""
    first, ends_N = 0, np.cumsum(_text_bytes(batch))
    while first < batch.num_rows:
        before = ends_N[first - 1] if first else 0
        fits = int(np.searchsorted(ends_N, before + DECODED_BYTES, side="right"))
        stop = max(first + 1, min(fits, first + batch_rows))
        yield batch.slice(first, stop - first)
        first = stop


def _text_bytes(batch: pa.RecordBatch) -> Int64s:
    """Returns (N,) int64, the bytes of each row's strings one after the other."""
    total_N = np.zeros(batch.num_rows, np.int64)
    for values in batch.columns:
        if pa.types.is_dictionary(values.type) and values.type.value_type in _TEXTS:
            lengths = pc.binary_length(values.dictionary).take(values.indices)
        elif values.type in _PLAIN_TEXTS:
            lengths = pc.binary_length(values)
        else:
            continue
        total_N += lengths.fill_null(0).to_numpy(zero_copy_only=False)
    return total_N


def _check_structure(batch: pa.RecordBatch) -> None:
    """Raises ArrowInvalid unless offsets and indices are in bounds; strings need not be UTF-8."""
    batch.validate()
    if not _is_valid(batch) and not all(map(_is_in_bounds, batch.columns)):
        raise pa.ArrowInvalid("offsets or indices out of bounds")


def _is_in_bounds(values: pa.Array) -> bool:
    kind = values.type
    if pa.types.is_string(kind):
        return _is_valid(values.view(pa.binary()))
    if pa.types.is_large_string(kind):
        return _is_valid(values.view(pa.large_binary()))
    if pa.types.is_dictionary(kind):
        limits = pc.min_max(values.indices).as_py()
        within = limits["min"] is None or 0 <= limits["min"] <= limits["max"] < len(
            values.dictionary
        )
        return within and _is_in_bounds(values.dictionary)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        offsets_N1 = values.offsets.to_numpy()
        ascending = bool((np.diff(offsets_N1) >= 0).all()) and offsets_N1[0] >= 0
        return ascending and offsets_N1[-1] <= len(values.values) and _is_in_bounds(values.values)
    if pa.types.is_struct(kind):
        return all(_is_in_bounds(values.field(i)) for i in range(kind.num_fields))
    return _is_valid(values)


def _explained(name: str, format: str) -> AbstractContextManager[None]:
    """Turns what Arrow says of a broken footer or schema into an InputError."""
    return _as_error(lambda error: InputError(f"{name}: no readable {format} file: {error}"))


def _broken_group() -> AbstractContextManager[None]:
    return _as_error(lambda error: BrokenGroupError(type(error).__name__))


@contextmanager
def _as_error(told: Callable[[Exception], Exception]) -> Iterator[None]:
    """Turns what Arrow says of a file into another error; what the system says of it stays."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise told(error) from None
