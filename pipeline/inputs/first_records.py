"""What the first records of the files have, looked at before any work: does the mapping fit them?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import pyarrow as pa

from sluice.pipeline.inputs import arrow_files, byte_streams, json_row
from sluice.pipeline.inputs.csv_records import CsvPlace, CsvRecords, headed_csv
from sluice.pipeline.inputs.file_notes import some
from sluice.pipeline.inputs.inventory import InputFile, Inventory
from sluice.pipeline.inputs.json_records import JsonRecords
from sluice.pipeline.inputs.json_row import BadLineError, is_exact_id
from sluice.pipeline.inputs.notices import KINDS
from sluice.pipeline.inputs.parts import LeftOut, parts
from sluice.pipeline.inputs.sources import StreamBrokenError, file_source
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.globs import unreadable
from sluice.schemas.errors import InputError, did_you_mean
from sluice.schemas.names import is_field_name, told_fields
from sluice.schemas.payloads.columns import ID_COLUMNS
from sluice.schemas.payloads.conversions import WANTED, converted
from sluice.schemas.payloads.known_formats import ROWS
from sluice.schemas.payloads.mapping import (
    REQUIRED,
    ColumnMapping,
    Source,
    constant_of,
    folder_keys,
    is_by_name,
    source_names,
    with_constants,
)
from sluice.schemas.post import FLAG_COLUMNS, TIME_COLUMNS

NUM_RECORDS: Final = 100
"""Records of a file that are looked at."""
_BLOCK_BYTES = 1 << 18
_DEPTH = 5
_FILES = 16  # looked at side by side


class FirstRecords(NamedTuple):
    """What the first records of a file have.

    Attributes:
        path: of the file.
        names: fields with points where they are inside others; none where no record could be read.
        notes: on fields that are found by their names and hold what no post can have.
        float_id: the field of a post's id that is a float of 2**53 or more, or "".
    """

    path: str
    names: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    float_id: str = ""


def check_first_records(inventory: Inventory, mapping: ColumnMapping) -> tuple[str, ...]:
    """Returns notes on columns that are left out, each once with the first files.

    Args:
        inventory: the files, of which payloads of a known format are not looked at; all schemas are read, and
            texts until all names of the mapping are found.
        mapping: POST column -> where it is read from.

    Raises:
        InputError: a file lacks a column that posts must have, ids are floats that are not told apart any
            more, or what the recipe maps a column to is in the first records of no file.
    """
    looked: list[FirstRecords] = []
    some_are_looked = False
    for files in _rounds(inventory):
        needed = [f for f in files if f.format.has_schema or not some_are_looked]
        looked += storage.in_threads(lambda file: _look(inventory.root, file, mapping), needed)
        some_are_looked = not _absent([each for each in looked if each.names], mapping)
    for each in looked:
        if each.float_id:
            raise InputError(_inexact(each))
    seen = [each for each in looked if each.names]
    absent = _absent(seen, mapping)
    if seen and absent:
        raise InputError(_refusal(absent[0], seen, mapping))
    by_note: dict[str, list[str]] = {}
    for each in looked:
        for note in each.notes:
            by_note.setdefault(note, []).append(each.path)
    return tuple(f"{some(paths)}: {note}" for note, paths in by_note.items())


def _rounds(inventory: Inventory) -> Iterator[Sequence[InputFile]]:
    files = [file for file in inventory.files if file.bytes and file.payload == ROWS]
    for first in range(0, len(files), _FILES):
        yield files[first : first + _FILES]


def _look(root: str, file: InputFile, mapping: ColumnMapping) -> FirstRecords:
    path = storage.join(root, file.path)
    keys = folder_keys(path)
    found = _found_in(path, file, with_constants(mapping, keys))
    return found._replace(names=found.names | keys.keys()) if found.names else found


def _found_in(path: str, file: InputFile, mapping: ColumnMapping) -> FirstRecords:
    try:
        if file.format.has_schema:
            return _of_table(path, file, mapping)
        with storage.open_input(path) as opened:
            for part in parts(file_source(opened), file.format):
                if isinstance(part, LeftOut):
                    continue
                if not part.format.is_text:
                    return FirstRecords(file.path)
                pieces = byte_streams.blocks(part.source, block_bytes=_BLOCK_BYTES)
                pieces = byte_streams.as_utf8(pieces, encoding=part.format.encoding)
                if part.format.content == "json":
                    return _of_objects(file.path, list(_objects(pieces)), mapping)
                place, pieces = headed_csv(pieces, content=part.format.content, name=file.path)
                return (
                    FirstRecords(file.path)
                    if place is None
                    else _of_csv(file.path, pieces, place, mapping)
                )
    except (StreamBrokenError, json_row.BadLineError):  # the reader says what is wrong, where it is
        pass
    except OSError as error:
        raise unreadable(file.path, error) from None
    return FirstRecords(file.path)


def _of_table(path: str, file: InputFile, mapping: ColumnMapping) -> FirstRecords:
    notes = arrow_files.check_columns(
        path, name=file.path, format=file.format.content, mapping=mapping
    )
    schema = arrow_files.schema_of(path, name=file.path, format=file.format.content)
    names = frozenset(_fields_of(schema, ""))
    float_id = ""
    for source in source_names(mapping["post_id"]):
        if source in schema.names and pa.types.is_floating(schema.field(source).type):
            first = arrow_files.first_batch(path, format=file.format.content, column=source)
            inexact = first is not None and not all(map(is_exact_id, first.to_pylist()))
            float_id = source if inexact else ""
    return FirstRecords(file.path, names, tuple(notes), float_id)


def _of_csv(
    path: str, pieces: Iterator[bytes], place: CsvPlace, mapping: ColumnMapping
) -> FirstRecords:
    wanted = [name for name in source_names(mapping["post_id"]) if name in place.names]
    records = CsvRecords(
        pieces,
        place=place,
        wanted=wanted,
        max_line_bytes=_BLOCK_BYTES,
        max_records=NUM_RECORDS,
    )
    block = next((block for block in records if not isinstance(block, str)), None)
    inexact = [
        name
        for name in wanted
        if block is not None
        and converted("post_id", block.rows.column(name), untyped=True).inexact_N.any()
    ]
    return FirstRecords(path, frozenset(place.names), float_id=inexact[0] if inexact else "")


def _fields_of(fields: Any, inside: str) -> Iterator[str]:
    for field in fields:
        yield inside + field.name
        if pa.types.is_struct(field.type):
            yield from _fields_of(field.type, f"{inside}{field.name}.")


def _objects(pieces: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """Yields the first records that are objects and no notices."""
    count = 0
    for block in JsonRecords(pieces):
        if isinstance(block, str):
            continue
        for index in range(len(block.starts_L)):
            try:
                row = json_row.decode(block.line(index))
            except (BadLineError, UnicodeDecodeError):
                row = {}
            count += 1
            if row and not (len(row) <= 2 and row.keys() & KINDS.keys()):
                yield row
            if count == NUM_RECORDS:
                return


def _of_objects(path: str, rows: Sequence[dict[str, Any]], mapping: ColumnMapping) -> FirstRecords:
    names = frozenset(name for row in rows for name in _keys_of(row, "", _DEPTH))
    notes, float_id = [], ""
    for column, sources in mapping.items():
        for source in source_names(sources):
            values = [json_row.value_at(row, source) for row in rows]
            there = [value for value in values if value is not None]
            if column == "post_id" and not all(map(is_exact_id, there)):
                float_id = source
            is_optional = column not in REQUIRED and is_by_name(column, sources)
            if there and is_optional and not any(_is_usable(column, value) for value in there):
                wanted, kind = WANTED.get(column, "a string"), json_row.kind_of(there[0])
                notes.append(
                    f"field {source!r} for {column} must be {wanted}, is {kind}: it is null; set "
                    f'input.columns.{column} = "..."'
                )
    return FirstRecords(path, names, tuple(notes), float_id)


def _is_usable(column: str, value: Any) -> bool:
    if column == "media":
        return isinstance(value, list) and all(isinstance(i, dict) or i is None for i in value)
    if json_row.is_number(value):
        return column in (*ID_COLUMNS, *TIME_COLUMNS)
    return isinstance(value, str) or (column in FLAG_COLUMNS and isinstance(value, bool))


def _keys_of(row: Mapping[str, Any], inside: str, depth: int) -> Iterator[str]:
    for key, value in row.items():
        yield inside + key
        if isinstance(value, dict) and depth > 1:
            yield from _keys_of(value, f"{inside}{key}.", depth - 1)


def _absent(seen: Sequence[FirstRecords], mapping: ColumnMapping) -> list[str]:
    """Returns the columns that posts must have, or the recipe names, and no file has."""
    names: set[str] = set()
    for each in seen:
        names |= each.names
    return [
        column
        for column, sources in mapping.items()
        if (column in REQUIRED or not is_by_name(column, sources))
        and source_names(sources)
        and constant_of(sources) is None
        and not names & set(source_names(sources))
    ]


def _refusal(column: str, seen: Sequence[FirstRecords], mapping: ColumnMapping) -> str:
    sources = source_names(mapping[column])
    names = sorted(frozenset().union(*(each.names for each in seen)))
    top = [name for name in names if "." not in name]
    files = some([each.path for each in seen])
    wanted = " or ".join(map(repr, [s for s in sources if "." not in s] or sources))
    made = ', or make ids with input.ids = "file_row" or "content"' if column == "post_id" else ""
    return (
        f"no file has {wanted} for {column} in its first records; the fields of {files} are "
        f'{told_fields(top)}: set input.columns.{column} = "..."{made}'
        f"{_closest(column, mapping[column], names)}"
    )


def _closest(column: str, sources: tuple[Source, ...], names: Sequence[str]) -> str:
    """Returns a hint: the closest of the names that are there, or one that is written otherwise."""
    wanted = source_names(sources)
    if not is_by_name(column, sources):
        return did_you_mean(wanted[0], filter(is_field_name, names))
    alike = [name for name in names if name.casefold() in wanted]
    return f"; did you mean {alike[0]!r}?" if alike else ""


def _inexact(found: FirstRecords) -> str:
    return (
        f"{found.path}: {found.float_id!r} for post_id is a float of 2**53 or more: which posts such ids "
        "name is lost; write them as strings or integers where they come from (pandas: dtype=str), or make "
        'ids with input.ids = "file_row" or "content"'
    )
