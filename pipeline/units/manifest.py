"""A unit of work, and the manifest that says that it is done and which files it wrote."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.checksums import file_crc32
from sluice.pipeline.storage.sealed import read_sealed
from sluice.schemas.counts import Counts
from sluice.schemas.errors import DamagedError, OutputError
from sluice.schemas.names import inside

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_C = TypeVar("_C", bound=Counts)


class Unit(msgspec.Struct, frozen=True):
    """A piece of work.

    Attributes:
        name: unique in its stage, for example `unit-00012`; the same in every run.
        payload: what the stage needs to know, in JSON types.
        index: of the piece of input, the partition or the shard of the unit; 0 where it is alone.
    """

    name: str
    payload: Any = None
    index: int = 0


def arrived(unit: Unit) -> int:
    """Returns how many ranges, or finished units, a unit was given by the engine."""
    payload = unit.payload if isinstance(unit.payload, dict) else {}
    return len(payload.get("sources", ())) + len(payload.get("done", ()))


def numbered_unit(kind: str, index: int, payload: Any = None) -> Unit:
    """Returns a unit by its index; five digits in its name, so that names sort as indexes do."""
    return Unit(f"{kind}-{index:05d}", payload, index)


class Range(msgspec.Struct, frozen=True, array_like=True):
    """A run of rows of one partition in an exchange file: an Arrow IPC stream at a byte range."""

    partition: int
    offset: int
    length: int
    rows: int
    crc32: int


class FileEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file of a unit.

    Attributes:
        name: relative to the stage's folder, or to the output folder for a contract file.
        bytes: its size.
        ranges: for exchange files; they are read and checked one by one.
        crc32: of intermediate files that are read whole, compared when they are.
        sha256: for contract files.
    """

    name: str
    bytes: int
    ranges: tuple[Range, ...] = ()
    crc32: int | None = None
    sha256: str = ""

    def __post_init__(self) -> None:
        inside(self.name)


class UnitManifest(msgspec.Struct, frozen=True):
    """What a finished unit wrote and counted; no times, hosts or absolute paths.

    Attributes:
        unit: its name.
        files: by edge.
        counts: of its stage, as JSON; `counted` gives them as a value.
        index: of the unit.
        arrived: how many ranges, or finished units, the engine brought to it: see `exchange.Crossing`.
    """

    unit: str
    files: dict[str, FileEntry]
    counts: msgspec.Raw
    index: int = 0
    arrived: int = 0

    @classmethod
    def of(
        cls, unit: str, files: dict[str, FileEntry], counts: Counts, *, index: int, arrived: int
    ) -> "UnitManifest":
        """Returns the manifest of a unit that is done."""
        encoded = msgspec.json.encode(counts, order="deterministic")
        return cls(unit, files, msgspec.Raw(encoded), index, arrived)

    def counted(self, kind: type[_C]) -> _C:
        """Returns the unit's counts."""
        return msgspec.json.decode(self.counts, type=kind)


class Done(msgspec.Struct, frozen=True):
    """A finished unit, as it travels between stages: where its manifest is."""

    folder: str
    unit: str

    @property
    def manifest_path(self) -> str:
        """Where the unit's manifest is."""
        return storage.join(self.folder, f"{self.unit}.json")

    def is_done(self) -> bool:
        """Returns whether the unit has committed."""
        return storage.is_file(self.manifest_path)

    def manifest(self) -> UnitManifest:
        """Returns the manifest; raises DamagedError if it is not one, or not as it was written."""
        try:
            return read_sealed(self.manifest_path, UnitManifest)
        except (ValueError, FileNotFoundError) as error:
            raise self.damaged(self.manifest_path, f"not a unit manifest ({error})") from None

    def path(self, edge: str) -> str:
        """Returns a local path of one of the unit's files, checked: its own, or that of a copy."""
        return self.checked(self.manifest().files[edge])

    def checked(self, entry: FileEntry) -> str:
        """Returns a local path of a file that the unit's manifest names.

        Raises:
            DamagedError: it is missing, was cut or was changed.
        """
        path = storage.join(self.folder, entry.name)
        try:
            local = local_copies.fetch(path)
            size = os.path.getsize(local)
        except FileNotFoundError:
            raise self.damaged(path, "is missing") from None
        if size != entry.bytes:
            raise self.damaged(path, f"has {size} bytes, its unit wrote {entry.bytes}")
        if entry.crc32 is not None and file_crc32(local) != entry.crc32:
            raise self.damaged(path, "is not what its unit wrote: its checksum differs")
        return local

    def damaged(self, path: str, what: str) -> DamagedError:
        """Returns the error of a file of this unit."""
        stage = storage.name_of(self.folder)
        again = f"run the same command again: unit {self.unit} of stage {stage} is done again"
        return DamagedError(f"{path}: {what}; {again}", folder=self.folder, unit=self.unit)


def whole_file(path: str, num_bytes: int, *, writer: str, remedy: str) -> str:
    """Returns a local path of a file of this size; raises OutputError, with the remedy, for another."""
    size = storage.size(path)
    if size != num_bytes:
        what = "is missing" if size < 0 else f"has {size} bytes"
        raise OutputError(f"{path}: {what}, {writer} wrote {num_bytes}; {remedy}")
    return local_copies.fetch(path)


def manifests(units: Sequence[Done]) -> Iterator[UnitManifest]:
    """Yields the manifests of units, in their order; remote ones are read ahead."""
    return _each(Done.manifest, units)


def found_manifests(units: Sequence[Done]) -> Iterator[UnitManifest | None]:
    """Yields the manifests of units, in their order, and None where one is damaged; a warning says so."""
    return _each(_read_or_none, units)


def _each(read: Callable[[Done], _T], units: Sequence[Done]) -> Iterator[_T]:
    remote = units and storage.is_remote(units[0].folder)
    return storage.in_threads(read, units) if remote else map(read, units)


def _read_or_none(done: Done) -> UnitManifest | None:
    try:
        return done.manifest()
    except DamagedError as error:
        _log.warning("%s", error)
        return None


def invalidate(folder: str, unit: str) -> None:
    """Makes a unit, and so its phase, not done: the next run does it again.

    The phase goes first, so that a driver that is killed in between finds a unit that is done or not, and
    never a phase that is done without it.
    """
    storage.delete(storage.join(os.path.dirname(folder), "phase.json"))
    storage.delete(storage.join(folder, f"{unit}.json"))


def done_units(folder: str) -> list[Done]:
    """Returns the finished units of a stage, by name."""
    return [Done(folder, unit) for unit in units_of(storage.names(folder))]


def units_of(names: Iterable[str]) -> list[str]:
    """Returns the units that have a manifest among the names of a stage's folder, in their order."""
    return sorted(n[: -len(".json")] for n in names if n.endswith(".json") and n[:1] != ".")
