"""The evaluation sets of a recipe: their files found, and read into one table of items."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from sluice.filters.decontamination.match import MATCH_VERSION
from sluice.filters.decontamination.spec import EvaluationSet, Layout, published_layout
from sluice.filters.decontamination.table import TABLE_VERSION, Items, Table, table_of
from sluice.filters.decontamination.table_file import mapped_table, packed_table
from sluice.filters.decontamination.words import WORDS_VERSION
from sluice.filters.text.normalize import NORMALIZE_VERSION, normalize
from sluice.pipeline.inputs.item_rows import LINE, ItemRows, Row, read_rows
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.globs import common_folder, find, relative
from sluice.pipeline.storage.sealed import file_digest
from sluice.pipeline.units.manifest import Done
from sluice.schemas.errors import InputError, RecipeError, did_you_mean

READ_VERSION = 1
"""Raised where the same files give other items."""
TABLE = "table"
"""The edge of a table without common phrases."""
_FORMULA = re.compile(r"<<[^<>]*>>")
_MOST_NAMES = 12
_ENDING = ".items"


class SetFile(NamedTuple):
    """A file of a set.

    Attributes:
        place: of the set in the recipe, from 0.
        path: where it is.
        name: its path below the longest common folder of the set's files.
        sha256: of its bytes, hexadecimal.
    """

    place: int
    path: str
    name: str
    sha256: str


class Item(NamedTuple):
    """An item: what names it, its questions and its answers."""

    id: str
    questions: tuple[str, ...]
    answers: tuple[str, ...]


class FoundSets:
    """The evaluation sets of a recipe, and what tells their files from others."""

    def __init__(self, specs: Sequence[EvaluationSet]):
        self.specs = tuple(specs)
        self.files = tuple(
            file for place, spec in enumerate(self.specs) for file in _files(place, spec)
        )

    @cached_property
    def part(self) -> list[Any]:
        """What a run depends on: the sets without the paths of files, and what is in these."""
        specs = [{**msgspec.to_builtins(spec), "files": ()} for spec in self.specs]
        files = [(file.place, file.name, file.sha256) for file in self.files]
        versions = [READ_VERSION, TABLE_VERSION, WORDS_VERSION, MATCH_VERSION, NORMALIZE_VERSION]
        return [*versions, unicodedata.unidata_version, specs, files]

    @cached_property
    def digest(self) -> str:
        """A hash of all that the table is made from."""
        return hashlib.sha256(msgspec.json.encode(self.part)).hexdigest()

    def items(self) -> Items:
        """Returns the texts of all items, normalised.

        Raises:
            RecipeError: a file cannot be read, or has not the fields that the recipe names.
        """
        found = [(file.place, item) for file in self.files for item in self._read(file)]
        parts = [
            (number, text, is_answer)
            for number, (_, item) in enumerate(found)
            for texts, is_answer in ((item.questions, False), (item.answers, True))
            for text in texts
        ]
        columns = [list(column) for column in zip(*parts, strict=True)] or [[], [], []]
        return Items(
            tuple(spec.name for spec in self.specs),
            pa.array([item.id for _, item in found], pa.string()),
            np.array([place for place, _ in found], np.int32),
            normalize(pa.array(columns[1], pa.string())),
            np.array(columns[0], np.int32),
            np.array(columns[2], np.bool_),
        )

    def _read(self, file: SetFile) -> Iterator[Item]:
        spec = self.specs[file.place]
        where = f"decontamination.sets.{spec.name}"
        rows = read_rows(file.path, where=where)
        layout = _layout(spec, rows, where=f"{where}: {file.path}")
        return (_item(row, layout, f"{file.name}:{i}") for i, row in enumerate(rows.rows))


def find_sets(specs: Sequence[EvaluationSet]) -> FoundSets | None:
    """Returns the sets of a recipe; None where it has none.

    Raises:
        RecipeError: a file is missing, or cannot be read.
    """
    return FoundSets(specs) if specs else None


def _files(place: int, spec: EvaluationSet) -> Iterator[SetFile]:
    try:
        paths = [entry.path for entry in find(spec.files).files]
        root = common_folder(paths)
        for path in paths:
            yield SetFile(place, path, relative(path, root), file_digest(path)[1])
    except (InputError, OSError) as error:
        raise RecipeError(f"decontamination.sets.{spec.name}.files: {error}") from None


def _layout(spec: EvaluationSet, rows: ItemRows, *, where: str) -> Layout:
    """Returns which fields of a file are read."""
    if spec.fields or spec.answers:
        for key, names in (
            ("fields", spec.fields),
            ("answers", spec.answers),
            ("id", (spec.id,) if spec.id else ()),
        ):
            for name in names:
                _check_field(name, key, rows, where=where)
        return Layout(spec.fields, spec.answers, spec.id or ("id" if "id" in rows.names else None))
    if rows.is_text:
        return Layout((LINE,), ())
    layout = published_layout(rows.names)
    if layout is None and rows.rows:
        raise RecipeError(
            f"{where}: which fields hold the questions must be said, as `fields = [...]`: these are not the "
            f"fields of a published set; {_there_are(rows)}"
        )
    layout = layout or Layout((), ())
    if spec.id is not None:
        _check_field(spec.id, "id", rows, where=where)
    return layout._replace(id=spec.id or layout.id or ("id" if "id" in rows.names else None))


def _check_field(name: str, key: str, rows: ItemRows, *, where: str) -> None:
    """Raises RecipeError where no row has a field; `a.b` is field b of the object in field a."""
    if any(_value(row, name) is not None for row in rows.rows) or not rows.rows:
        return
    hint = did_you_mean(name, rows.names)
    listed = "" if "known: " in hint else f"; {_there_are(rows)}"
    raise RecipeError(f"{where}: {key}: no row has a field {name!r}{hint}{listed}")


def _there_are(rows: ItemRows) -> str:
    some = ", ".join(repr(name) for name in rows.names[:_MOST_NAMES])
    more = f" and {len(rows.names) - _MOST_NAMES} more" if len(rows.names) > _MOST_NAMES else ""
    return f"there are {some}{more}"


def _item(row: Row, layout: Layout, place: str) -> Item:
    given = None if layout.id is None else _value(row, layout.id)
    texts = [
        tuple(text for name in names for text in _texts(_value(row, name)))
        for names in (layout.fields, layout.answers)
    ]
    if layout.formulas:
        texts = [tuple(_FORMULA.sub("", text) for text in of_kind) for of_kind in texts]
    return Item(place if given in (None, "") else str(given), *texts)


def _value(row: Row, name: str) -> Any:
    """Returns a field of a row, or None: `a.b` is field b of the object in field a."""
    if name in row or "." not in name:
        return row.get(name)
    first, _, rest = name.partition(".")
    inside = row.get(first)
    return _value(inside, rest) if isinstance(inside, dict) else None


def _texts(value: Any) -> Iterator[str]:
    """Yields the texts of a value: itself, or those of a list or an object; numbers are none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def keep_table(sets: FoundSets, folder: str) -> str:
    """Writes the table of the sets into a folder, unless it is there, and removes those of other sets.

    Returns:
        Its path.

    Raises:
        RecipeError: a file cannot be read, or has not the fields that the recipe names.
    """
    path = table_path(sets, folder)
    if not storage.is_file(path):
        storage.write_bytes(path, packed_table(table_of(sets.items())))
    for other in storage.paths(folder, ending=_ENDING):
        if storage.name_of(other) != storage.name_of(path):
            storage.delete(other)
    return path


def table_path(sets: FoundSets, folder: str) -> str:
    """Returns where the table of the sets is in a folder."""
    return storage.join(folder, sets.digest[:16] + _ENDING)


@lru_cache(maxsize=2)
def opened_table(path: str) -> Table:
    """Returns the table of a file, mapped once a process; a copy of a remote one lasts as long as its map."""
    return mapped_table(local_copies.fetch(path))


@lru_cache(maxsize=2)
def learned_table(done: Done) -> Table:
    """Returns the table that a finished unit wrote, mapped; checked once a process."""
    return mapped_table(done.path(TABLE))
