"""Parquet and Arrow files: their groups of rows, and the columns of a group as POST columns.

A group is a Parquet row group or a record batch of an Arrow IPC file. A group that cannot be
decoded costs its own rows and no others, because the layout says how many it has.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.pipeline.storage import files as storage
from sluice.schemas.arrays import Int64s
from sluice.schemas.counts import ReadTally
from sluice.schemas.errors import InputError
from sluice.schemas.names import told_fields
from sluice.schemas.payloads.columns import Fault, RawPosts, raw_type
from sluice.schemas.payloads.conversions import (
    PLAIN_TEXTS,
    TEXTS,
    WANTED,
    Converted,
    converted,
    is_usable,
    is_valid,
)
from sluice.schemas.payloads.mapping import (
    REQUIRED,
    ColumnMapping,
    Source,
    constant_of,
    is_by_name,
    source_names,
)
from sluice.schemas.payloads.times import read_times

DECODED_BYTES: Final = 64 << 20
"""Text bytes of a batch at most, but for one row: a few bytes of dictionary may stand for any number."""
MAX_ROWS_A_BYTE: Final = 64
"""A file that claims more rows for its size is refused: each would become a dead letter."""


_FIRST_ROWS = 1000

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


def check_columns(path: Place, *, name: str, format: str, mapping: ColumnMapping) -> list[str]:
    """Returns a note on each column of a file that is left out, as `check_schema` does.

    Args:
        path: where the file is.
        name: what errors call it.
        format: parquet, arrow or arrow_stream.
        mapping: POST column -> where it is read from.

    Raises:
        InputError: the file lacks a required column, or has one of a type no post can have.
    """
    with _explained(name, format):
        schema, is_empty = _schema(path, format)
    return [] if is_empty else check_schema(schema, name=name, mapping=mapping)


def schema_of(path: Place, *, name: str, format: str) -> pa.Schema:
    """Returns the columns of a file.

    Raises:
        InputError: it cannot be read.
    """
    with _explained(name, format):
        return _schema(path, format)[0]


def first_batch(path: Place, *, format: str, column: str) -> pa.Array | None:
    """Returns the first values of a column, or None where there are none, or none that can be decoded."""
    how: dict[str, Any] = {"mapping": {"post_id": (column,)}, "batch_rows": _FIRST_ROWS}
    try:
        if format == "arrow_stream":
            batches = stream_batches(path, name="", checked=False, **how)
        else:
            read = parquet_batches if format == "parquet" else ipc_batches
            batches = read(path, group=0, **how)
        batch = next(batches, None)
    except BrokenGroupError:
        return None
    return None if batch is None else batch.column(0)


def check_schema(schema: pa.Schema, *, name: str, mapping: ColumnMapping) -> list[str]:
    """Returns a note on each column that is found by its name, and left out as no post can have its type.

    Args:
        schema: of a file or a table.
        name: what errors call it.
        mapping: POST column -> where it is read from.

    Raises:
        InputError: a required column is missing, or the recipe names one of a type no post can have.
    """
    notes = []
    for column, sources in mapping.items():
        found = {source: _type_at(schema, source) for source in source_names(sources)}
        present = {source: kind for source, kind in found.items() if kind is not None}
        odd = {source: kind for source, kind in present.items() if not is_usable(column, kind)}
        if not present and column in REQUIRED and sources and constant_of(sources) is None:
            raise InputError(_missing(schema, name, column, sources))
        for source in present:
            if len(schema.get_all_field_indices(source)) > 1:
                raise InputError(f"{name}: more than one column is called {source!r}")
        for source, kind in odd.items():
            is_needed = column in REQUIRED and len(odd) == len(present)
            if is_needed or not is_by_name(column, sources):
                raise InputError(f"{name}: {_wrong_type(column, source, kind)}")
            if column not in REQUIRED:
                notes.append(f"column {source!r} left out: {_wrong_type(column, source, kind)}")
    return notes


def _missing(schema: pa.Schema, name: str, column: str, sources: Sequence[Source]) -> str:
    names = [source for source in source_names(tuple(sources)) if "." not in source]
    made = ', or make ids with input.ids = "file_row" or "content"' if column == "post_id" else ""
    return (
        f"{name}: no column {' or '.join(map(repr, names or sources))} for {column}; it has "
        f'{told_fields(schema.names)}: set input.columns.{column} = "..."{made}'
    )


def _wrong_type(column: str, source: str, kind: pa.DataType) -> str:
    left_out = (
        f', or leave it out with input.columns.{column} = ""' if column not in REQUIRED else ""
    )
    return (
        f"column {source!r} for {column} must be {WANTED.get(column, 'a string')}, got {kind}: "
        f'set input.columns.{column} = "..."{left_out}'
    )


def _type_at(schema: pa.Schema, source: str) -> pa.DataType | None:
    """Returns the type of a column, or of a field inside one; None where there is none."""
    if source in schema.names:
        return schema.field(schema.get_all_field_indices(source)[0]).type
    head, *keys = source.split(".")
    if not keys or head not in schema.names:
        return None
    kind = schema.field(schema.get_all_field_indices(head)[0]).type
    for key in keys:
        if not pa.types.is_struct(kind) or kind.get_field_index(key) < 0:
            return None
        kind = kind.field(key).type
    return kind


def wanted_columns(schema: pa.Schema, *, mapping: ColumnMapping) -> list[str]:
    """Returns what a mapping reads of a file, in the file's order: columns, and fields as `column.field`."""
    wanted = [
        source
        for column, sources in mapping.items()
        for source in source_names(sources)
        if (kind := _type_at(schema, source)) is not None and is_usable(column, kind)
    ]
    places = {name: place for place, name in enumerate(schema.names)}
    return sorted(set(wanted), key=lambda name: places[_top(schema, name)])


def _top(schema: pa.Schema, source: str) -> str:
    """Returns the column that a source is, or is inside of."""
    return source if source in schema.names else source.partition(".")[0]


def wanted_fields(schema: pa.Schema, *, mapping: ColumnMapping) -> list[str]:
    """Returns the whole columns that a mapping reads of a file, in the file's order."""
    wanted = wanted_columns(schema, mapping=mapping)
    return list(dict.fromkeys(_top(schema, name) for name in wanted))


def parquet_batches(
    path: Place, *, group: int, mapping: ColumnMapping, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a Parquet row group, `batch_rows` at a time, only mapped columns.

    Raises:
        BrokenGroupError: what follows cannot be decoded.
    """
    with _broken_group(), _opened(path) as source:
        schema = pq.ParquetFile(source).schema_arrow
        columns = wanted_columns(schema, mapping=mapping)
        named = [name for name in columns if name in schema.names]
        texts = [name for name in named if schema.field(name).type in PLAIN_TEXTS]
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
        fields = [schema.get_field_index(name) for name in wanted_fields(schema, mapping=mapping)]
        options = pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
        batch = pa.ipc.open_file(source, options=options).get_batch(group)
        _check_structure(batch)
        yield from _slices(batch, batch_rows)


def stream_batches(
    path: Any, *, name: str, mapping: ColumnMapping, batch_rows: int, checked: bool = True
) -> Iterator[pa.RecordBatch]:
    """Yields the rows of an Arrow stream, `batch_rows` at a time, only mapped columns.

    Args:
        path: where it is, or something to read it from.
        name: what errors call it.
        mapping: POST column -> names in the input.
        batch_rows: the most rows of a batch.
        checked: whether the columns must be those of posts.

    Raises:
        InputError: a column is missing or of another type.
        BrokenGroupError: what follows cannot be decoded.
    """
    with _broken_group(), _opened(path) as source:
        reader = pa.ipc.open_stream(source)
        if checked:
            check_schema(reader.schema, name=name, mapping=mapping)
        names = wanted_fields(reader.schema, mapping=mapping)
        for batch in reader:
            batch = batch.select(names)
            _check_structure(batch)
            yield from _slices(batch, batch_rows)


def raw_posts(
    batch: pa.RecordBatch, *, mapping: ColumnMapping, first_row: int, untyped: bool = False
) -> tuple[RawPosts, list[Fault]]:
    """Returns a batch as POST columns; its rows whose id or text is no string are faults.

    Args:
        batch: N rows; columns of types that no post can have are not looked at.
        mapping: POST column -> where it is read from.
        first_row: `source_row` of row 0.
        untyped: the texts may stand for numbers, as those of CSV do.
    """
    source_row_N = np.arange(first_row, first_row + batch.num_rows, dtype=np.int64)
    found = {c: _post_column(batch, c, sources, untyped) for c, sources in mapping.items()}
    nulled = {
        name: int(column.bad_N.sum())
        for name, column in found.items()
        if name not in REQUIRED and column.bad_N.any()
    }
    columns = {name: column.values for name, column in found.items()}
    raw = RawPosts(columns, source_row_N, ReadTally(nulled=nulled))
    bad_N = found["post_id"].bad_N | found["text"].bad_N
    if not bad_N.any():
        return raw, []
    faults = [_fault(found, int(source_row_N[i]), i) for i in np.flatnonzero(bad_N).tolist()]
    kept = {column: values.filter(pa.array(~bad_N)) for column, values in columns.items()}
    return RawPosts(kept, source_row_N[~bad_N], raw.counts), faults


def _fault(found: Mapping[str, Converted], row: int, i: int) -> Fault:
    name = "post_id" if found["post_id"].bad_N[i] else "text"
    column = found[name]
    post_id = None if name == "post_id" else found["post_id"].values[i].as_py()
    if column.inexact_N[i]:
        return Fault(row, "inexact_id", "post_id is a float of 2**53 or more")
    if column.not_utf8_N[i]:
        return Fault(row, "not_utf8", name, post_id)
    return Fault(row, "wrong_type", f"{name} is a number that is not whole", post_id)


def _post_column(
    batch: pa.RecordBatch, column: str, sources: tuple[Source, ...], untyped: bool
) -> Converted:
    """Returns a POST column: row by row the first source that is not null, or that is bad."""
    n, none_N = batch.num_rows, np.zeros(batch.num_rows, np.bool_)
    kind = raw_type(column)
    whole = Converted(pa.nulls(n, kind), none_N, none_N, none_N)
    for source in source_names(sources):
        at = _type_at(batch.schema, source)
        if at is None or pa.types.is_null(at) or not is_usable(column, at):
            continue
        whole = _or_else(whole, converted(column, _values_at(batch, source), untyped=untyped))
    constant = constant_of(sources)
    if constant is None:
        return whole
    return _or_else(whole, converted(column, pa.repeat(pa.scalar(constant), n)))


def _or_else(first: Converted, other: Converted) -> Converted:
    """Returns, row by row, the first of two that is there, sound or bad."""
    if first.values.null_count == len(first.values) and not first.bad_N.any():
        return other
    open_N = np.asarray(first.values.is_null().to_numpy(zero_copy_only=False)) & ~first.bad_N
    if not open_N.any():
        return first
    values, bad_N = (first.values, other.values), first.bad_N
    if values[0].type != values[1].type:  # times, one as text and one as another type
        (time, bad_time_N), (other_time, _) = map(read_times, values)
        values, bad_N = (time, other_time), bad_N | bad_time_N
    return Converted(
        pc.if_else(pa.array(open_N), values[1], values[0]),
        bad_N | (open_N & other.bad_N),
        first.not_utf8_N | (open_N & other.not_utf8_N),
        first.inexact_N | (open_N & other.inexact_N),
    )


def _values_at(batch: pa.RecordBatch, source: str) -> pa.Array:
    """Returns a column, or a field inside one; null where what it is inside of is null."""
    if source in batch.schema.names:
        return batch.column(source)
    head, *keys = source.split(".")
    values = batch.column(head)
    for key in keys:
        values = pc.struct_field(values, key)
    return values


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


def _schema(path: Place, format: str) -> tuple[pa.Schema, bool]:
    """Returns (the columns of a file, whether its footer says that it has no rows)."""
    with _opened(path) as source:
        if format == "parquet":
            file = pq.ParquetFile(source)
            return file.schema_arrow, file.metadata.num_rows == 0
        if format == "arrow":
            reader = pa.ipc.open_file(source)
            return reader.schema, reader.num_record_batches == 0
        return pa.ipc.open_stream(source).schema, False


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
        if pa.types.is_dictionary(values.type) and values.type.value_type in TEXTS:
            lengths = pc.binary_length(values.dictionary).take(values.indices)
        elif values.type in PLAIN_TEXTS:
            lengths = pc.binary_length(values)
        else:
            continue
        total_N += lengths.fill_null(0).to_numpy(zero_copy_only=False)
    return total_N


def _check_structure(batch: pa.RecordBatch) -> None:
    """Raises ArrowInvalid unless offsets and indices are in bounds; strings need not be UTF-8."""
    batch.validate()
    if not is_valid(batch) and not all(map(_is_in_bounds, batch.columns)):
        raise pa.ArrowInvalid("offsets or indices out of bounds")


def _is_in_bounds(values: pa.Array) -> bool:
    kind = values.type
    if pa.types.is_string(kind):
        return is_valid(values.view(pa.binary()))
    if pa.types.is_string_view(kind):
        return is_valid(values.view(pa.binary_view()))
    if pa.types.is_large_string(kind):
        return is_valid(values.view(pa.large_binary()))
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
    return is_valid(values)


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
