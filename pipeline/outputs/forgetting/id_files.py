"""The files that say which posts, or whose, are to be forgotten.

A file is a text file with one id on each line, or a CSV, JSON Lines or Parquet file with columns. Its name
says which, and may end in `.gz`, `.bz2` or `.zst`. The deletions that a run writes are such files, of posts
and of authors.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import globs
from sluice.schemas.errors import InputError
from sluice.schemas.names import told_fields
from sluice.schemas.notice import DELETIONS

COLUMNS: Final = ("post_id", "id", "platform", "author_id", "author_key")
"""What is read of a file of columns, where it has them."""
_PACKED: Final = (".gz", ".bz2", ".zst")
_JSON: Final = (".jsonl", ".ndjson", ".json")


def read_post_ids(pattern: str) -> pa.StringArray:
    """Returns the different ids of posts in files, in the order of the files.

    Args:
        pattern: a file, a folder or a glob.

    Raises:
        InputError: there is no such file, it cannot be read, has no column of ids, or holds none.
    """
    found = [_named(path, "post_id", "id") for path in _paths(pattern)]
    return _different(pa.chunked_array(found, pa.string()), pattern, "--ids")


def read_authors(pattern: str) -> pa.Table:
    """Returns the different authors in files: (A,) `platform`, `author_id`, `author_key`, all string.

    One of the last two is null. In a text file each line is an author's id; so is `id` in a file that has no
    other column for them.

    Raises:
        InputError: as `read_post_ids`.
    """
    tables = [_authors(path) for path in _paths(pattern)]
    found = pa.concat_tables(tables).group_by(_AUTHOR, use_threads=False).aggregate([])
    if not found.num_rows:
        raise InputError(f"{pattern}: holds no id; --authors names a file of authors' ids")
    return found


_AUTHOR: Final = ["platform", "author_id", "author_key"]


def _authors(path: str) -> pa.Table:
    table = read_columns(path)
    names = set(table.column_names)
    if set(DELETIONS.names) <= {*names, "time"} and "author_id" in names:
        table = table.filter(pc.is_null(table["id"]))
    elif not names & {"author_id", "author_key"}:
        table = table.rename_columns(["author_id" if n == "id" else n for n in table.column_names])
    if not set(table.column_names) & {"author_id", "author_key"}:
        raise _without(path, "author_id or author_key", table.column_names)
    nothing = pa.nulls(table.num_rows, pa.string())
    there = [table[n] if n in table.column_names else nothing for n in _AUTHOR]
    named = pa.table(there, names=_AUTHOR)
    return named.filter(pc.or_(named["author_id"].is_valid(), named["author_key"].is_valid()))


def _paths(pattern: str) -> Iterator[str]:
    return (file.path for file in globs.find([pattern]).files)


def _named(path: str, *names: str) -> pa.Array:
    """Returns a column by the first of its names that the file has, without nulls."""
    table = read_columns(path)
    for name in names:
        if name in table.column_names:
            return table[name].drop_null().combine_chunks()
    raise _without(path, " or ".join(names), table.column_names)


def _without(path: str, wanted: str, names: list[str]) -> InputError:
    return InputError(f"{path}: must have a column {wanted}; it has {told_fields(names)}")


def _different(ids: pa.ChunkedArray, pattern: str, option: str) -> pa.StringArray:
    found = pc.unique(ids)
    if not len(found):
        raise InputError(f"{pattern}: holds no id; {option} names a file of posts' ids")
    return found


def read_columns(path: str) -> pa.Table:
    """Returns those of COLUMNS that a file has, as strings; the lines of a text file are `id`.

    Raises:
        InputError: the file cannot be read, or a value is no id.
    """
    try:
        return _reader(path)(path)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as ids: {error}") from None


def _reader(path: str) -> Callable[[str], pa.Table]:
    name = path.lower()
    for ending in _PACKED:
        name = name.removesuffix(ending)
    if name.endswith(".parquet"):
        return _of_parquet
    if name.endswith(".csv"):
        return _of_csv
    return _of_json if name.endswith(_JSON) else _of_text


def _of_parquet(path: str) -> pa.Table:
    with storage.open_input(path) as source:
        file = pq.ParquetFile(source)
        table = file.read(columns=[n for n in COLUMNS if n in file.schema_arrow.names])
        if not table.column_names:
            raise _without(path, "post_id or id", file.schema_arrow.names)
    for name in table.column_names:
        if pa.types.is_floating(table.schema.field(name).type):
            raise InputError(
                f"{path}: {name} is of type float, which no id is; write ids as strings"
            )
    return table.cast(pa.schema([(name, pa.string()) for name in table.column_names]))


def _of_csv(path: str) -> pa.Table:
    text = dict.fromkeys(COLUMNS, pa.string())
    options = pa_csv.ConvertOptions(
        column_types=text,
        strings_can_be_null=True,
        null_values=[""],
        quoted_strings_can_be_null=True,
    )
    table = pa_csv.read_csv(pa.BufferReader(_unpacked(path)), convert_options=options)
    there = [name for name in COLUMNS if name in table.column_names]
    if not there:
        raise _without(path, "post_id or id", table.column_names)
    return table.select(there)


class _Line(msgspec.Struct):
    post_id: str | int | None = None
    id: str | int | None = None
    platform: str | None = None
    author_id: str | int | None = None
    author_key: str | None = None


def _of_json(path: str) -> pa.Table:
    rows: dict[str, list[str | None]] = {name: [] for name in COLUMNS}
    decoder = msgspec.json.Decoder(_Line)
    for number, line in enumerate(_unpacked(path).splitlines(), 1):
        if line.strip():
            try:
                row = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise InputError(f"{path}: line {number}: {error}") from None
            for name, values in rows.items():
                value = getattr(row, name)
                values.append(None if value is None else str(value))
    there = {name: values for name, values in rows.items() if any(v is not None for v in values)}
    if not there:
        raise _without(path, "post_id or id", [])
    return pa.table({name: pa.array(values, pa.string()) for name, values in there.items()})


def _of_text(path: str) -> pa.Table:
    lines = _unpacked(path).decode().splitlines()
    return pa.table({"id": pa.array([i for line in lines if (i := line.strip())], pa.string())})


def _unpacked(path: str) -> bytes:
    with storage.open_input(path) as source:
        packed: Any = source
        if path.lower().endswith(_PACKED):
            packed = pa.CompressedInputStream(source, pa.Codec.detect(path).name)
        return bytes(packed.read())
