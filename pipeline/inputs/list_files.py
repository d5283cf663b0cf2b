"""The files of a recipe's lists: found, read, and made into one table that processes map."""

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from importlib.metadata import version
from typing import Any, NamedTuple

import msgspec
import numpy as np

from sluice.filters.lists.decide import Lists
from sluice.filters.lists.entries import entries_of
from sluice.filters.lists.spec import ListSpec
from sluice.filters.lists.table import LISTS_VERSION, ListFile, build
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.globs import common_folder, find, relative
from sluice.schemas.errors import InputError, RecipeError
from sluice.schemas.mapped_arrays import map_arrays, packed


class ListSource(NamedTuple):
    """A file of a list.

    Attributes:
        place: of the list in the recipe, from 0.
        path: where it is.
        name: what `detail` calls it: its path below the list's longest common folder.
        data: what is in it.
        sha256: of the data, hexadecimal.
    """

    place: int
    path: str
    name: str
    data: bytes
    sha256: str


class CarriedLists(NamedTuple):
    """Lists as a stage carries them.

    Attributes:
        specs: in the order of the recipe.
        names: of the files, by their number in the table.
        path: of the table.
    """

    specs: tuple[ListSpec, ...]
    names: tuple[str, ...]
    path: str


class FoundLists:
    """The lists of a recipe and the bytes of their files; equal where their tables are."""

    def __init__(self, specs: tuple[ListSpec, ...]):
        self.specs = specs
        self.sources = tuple(
            source for place, spec in enumerate(specs) for source in _sources(place, spec)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FoundLists) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def names(self) -> tuple[str, ...]:
        """What `detail` calls the files, by their number in the table."""
        return tuple(source.name for source in self.sources)

    @cached_property
    def part(self) -> list[Any]:
        """What phase clean depends on: the lists without the paths of files, and what is in these."""
        specs = [{**msgspec.to_builtins(spec), "files": ()} for spec in self.specs]
        files = [(source.place, source.name, source.sha256) for source in self.sources]
        return [
            LISTS_VERSION,
            version("publicsuffixlist"),
            unicodedata.unidata_version,
            specs,
            files,
        ]

    @cached_property
    def digest(self) -> str:
        """A hash of all that the table is made from."""
        return hashlib.sha256(msgspec.json.encode(self.part)).hexdigest()

    def table(self) -> dict[str, Any]:
        """Returns the table of all entries.

        Raises:
            RecipeError: a line is no entry; the message names list, file and line.
        """
        return dict(build(map(self._read, self.sources)))

    def _read(self, source: ListSource) -> ListFile:
        spec = self.specs[source.place]
        where = f"lists.{spec.name}: {source.path}"
        return ListFile(
            source.place, spec.kind, entries_of(source.data, kind=spec.kind, where=where)
        )


def find_lists(specs: Sequence[ListSpec]) -> FoundLists | None:
    """Returns the lists with what is in their files; None for no lists.

    Raises:
        RecipeError: a file is missing, or cannot be read.
    """
    return FoundLists(tuple(specs)) if specs else None


def _sources(place: int, spec: ListSpec) -> Iterator[ListSource]:
    try:
        paths = [entry.path for entry in find(spec.files).files]
        root = common_folder(paths)
        contents = [storage.read_bytes(path) for path in paths]
    except (InputError, OSError) as error:
        raise RecipeError(f"lists.{spec.name}.files: {error}") from None
    for path, data in zip(paths, contents, strict=True):
        name, digest = relative(path, root), hashlib.sha256(data).hexdigest()
        yield ListSource(place, path, name, data, digest)


def keep_table(lists: FoundLists, folder: str) -> str:
    """Writes the table of lists into a folder, unless it is there, and removes those of other lists.

    Returns:
        Its path.

    Raises:
        RecipeError: a line of a file is no entry.
    """
    path = table_path(lists, folder)
    if not storage.is_file(path):
        storage.write_bytes(path, packed(lists.table()))
    for other in storage.paths(folder, ending=_ENDING):
        if storage.name_of(other) != storage.name_of(path):
            storage.delete(other)
    return path


_ENDING = ".lists"


def table_path(lists: FoundLists, folder: str) -> str:
    """Returns where the table of lists is in a folder."""
    return storage.join(folder, lists.digest[:16] + _ENDING)


@lru_cache(maxsize=2)
def built(lists: FoundLists) -> Lists:
    """Returns lists ready to be applied, their table in the memory of this process; built once."""
    return Lists(lists.specs, lists.names, lists.table())


def num_entries(lists: Lists) -> list[int]:
    """Returns how many lines of each list name something that no line before them does."""
    lines_E = lists.table["files_E"].astype(np.int64) << 32 | lists.table["lines_E"]
    places = range(len(lists.specs))
    return [len(np.unique(lines_E[lists.table["lists_E"] == place])) for place in places]


@lru_cache(maxsize=2)
def opened(lists: CarriedLists) -> Lists:
    """Returns lists ready to be applied, their table mapped; once a process."""
    return Lists(lists.specs, lists.names, map_arrays(local_copies.fetch(lists.path)))
