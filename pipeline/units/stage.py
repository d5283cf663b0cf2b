"""Units of work: what one worker finishes and commits alone.

A stage does a unit by writing files whose names carry an attempt id; the unit's manifest, written
last by one rename or one put, says which of them count. A unit whose manifest stands is done: a retry, a
second attempt at the same time, or a run after a kill finds it and goes on. Files that no manifest names
are swept when a run begins.

Manifests carry the checksums of files, of ranges and of themselves. A file that is not what its unit wrote
is an error, and the driver takes the unit back: the same command does it anew. Units are deterministic, so
what was made from it stays right.
"""

import contextlib
import glob
import hashlib
import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import apache_beam as beam
import msgspec
from apache_beam.metrics import Metrics

from sluice.pipeline.storage import local_copies, files as storage
from sluice.pipeline.storage.checksums import file_crc32, seal, unsealed
from sluice.schemas.errors import DamagedError, OutputError, SluiceError
from sluice.schemas.names import inside

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Unit(msgspec.Struct, frozen=True):
    """A piece of work.

    Attributes:
        name: unique in its stage, for example `unit-00012`; the same in every run.
        payload: what the stage needs to know, in JSON types.
    """

    name: str
    payload: Any = None


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
    """What a finished unit wrote and counted; no times, hosts or absolute paths."""

    unit: str
    files: dict[str, FileEntry]
    counts: dict[str, Any]


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
        """Returns the manifest, read from its file."""
        return read_manifest(self)

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
            found = os.path.getsize(local)
        except FileNotFoundError:
            raise self.damaged(path, "is missing") from None
        if found != entry.bytes:
            raise self.damaged(path, f"has {found} bytes, its unit wrote {entry.bytes}")
        if entry.crc32 is not None and file_crc32(local) != entry.crc32:
            raise self.damaged(path, "is not what its unit wrote: its checksum differs")
        return local

    def damaged(self, path: str, what: str) -> DamagedError:
        """Returns the error of a file of this unit."""
        stage = storage.name_of(self.folder)
        return DamagedError(
            f"{path}: {what}; run the same command again: unit {self.unit} of stage {stage} is done anew",
            folder=self.folder,
            unit=self.unit,
        )


def whole_file(path: str, num_bytes: int, *, writer: str, mend: str) -> str:
    """Returns a local path of a file of this size; raises OutputError, with what mends it, for another."""
    size = storage.size(path)
    if size != num_bytes:
        found = "is missing" if size < 0 else f"has {size} bytes"
        raise OutputError(f"{path}: {found}, {writer} wrote {num_bytes}; {mend}")
    return local_copies.fetch(path)


def read_manifest(done: Done) -> UnitManifest:
    """Returns a unit's manifest; raises DamagedError if it is not one, or not as it was written."""
    try:
        return read_sealed(done.manifest_path, UnitManifest)
    except (ValueError, msgspec.DecodeError, FileNotFoundError) as error:
        raise done.damaged(done.manifest_path, f"not a unit manifest ({error})") from None


def manifests(units: Sequence[Done]) -> Iterator[UnitManifest]:
    """Yields the manifests of units, in their order; remote ones are read ahead."""
    return _each(read_manifest, units)


def found_manifests(units: Sequence[Done]) -> Iterator[UnitManifest | None]:
    """Yields the manifests of units, in their order, and None where one is damaged; a warning says so."""
    return _each(_read_or_none, units)


def _each(read: Callable[[Done], _T], units: Sequence[Done]) -> Iterator[_T]:
    remote = units and storage.is_remote(units[0].folder)
    return storage.in_threads(read, units) if remote else map(read, units)


def _read_or_none(done: Done) -> UnitManifest | None:
    try:
        return read_manifest(done)
    except DamagedError as error:
        _log.warning("%s", error)
        return None


def take_back(folder: str, unit: str) -> None:
    """Makes a unit, and so its phase, not done: the next run does it anew.

    The phase goes first, so that a driver that is killed in between finds a unit that is done or not, and
    never a phase that is done without it.
    """
    storage.delete(storage.join(os.path.dirname(folder), "phase.json"))
    storage.delete(storage.join(folder, f"{unit}.json"))


class Attempt:
    """One try at a unit: names its files, and commits them.

    Files of a local output are written where they will lie; those of a remote one in the worker's spool,
    and put in their places by the commit.

    Attributes:
        files: what was written so far, by edge.
        times: microseconds by step, for the report; kept apart from the manifest, which has no times.
    """

    def __init__(self, folder: str, unit: str):
        self.folder, self.unit = folder, unit
        self.files: dict[str, FileEntry] = {}
        self.times: dict[str, int] = {}
        self._id = uuid.uuid4().hex[:8]
        self._contract: list[tuple[str, str]] = []
        self._puts: list[tuple[str, str]] = []

    def path(self, edge: str, *, suffix: str = ".arrow") -> str:
        """Returns where to write an intermediate file, or a folder of them: a local path."""
        name = f"{self.unit}.{self._id}.{edge}{suffix}"
        if storage.is_remote(self.folder):
            return local_copies.new_path(name)
        os.makedirs(self.folder, exist_ok=True)
        return os.path.join(self.folder, name)

    def add(
        self, edge: str, path: str, *, ranges: Iterable[Range] = (), checked: bool = True
    ) -> None:
        """Records an intermediate file that is complete.

        Args:
            edge: what the unit's manifest calls it.
            path: as `path` returned it.
            ranges: of an exchange file.
            checked: whether a reader compares the whole file; not where it checks the parts that it reads.
        """
        ranges = tuple(ranges)
        name = os.path.basename(path)
        if storage.is_remote(self.folder):
            name = name.partition("-")[2]  # the spool numbers its files
            self._puts.append((path, storage.join(self.folder, name)))
        checksum = None if ranges or not checked else file_crc32(path)
        self.files[edge] = FileEntry(name, os.path.getsize(path), ranges, checksum)

    def contract_path(self, output: str, name: str) -> str:
        """Returns where to write a file of the output contract; `commit` gives it its plain name."""
        final = storage.join(output, name)
        if storage.is_remote(output):
            temporary = local_copies.new_path(os.path.basename(name))
        else:
            os.makedirs(os.path.dirname(final), exist_ok=True)
            temporary = os.path.join(
                os.path.dirname(final), f".tmp-{self._id}-{os.path.basename(name)}"
            )
        self._contract.append((temporary, final))
        return temporary

    def add_contract(self, edge: str, name: str, *, size: int, sha256: str) -> None:
        """Records a contract file that is complete."""
        self.files[edge] = FileEntry(name, size, sha256=sha256)

    def commit(self, counts: dict[str, Any]) -> UnitManifest:
        """Puts all files in their places, then writes the manifest: the unit is done."""
        for local, final in (*self._puts, *self._contract):
            storage.put(local, final)
        if self.times:
            write_sealed(storage.join(self.folder, "times", f"{self.unit}.json"), self.times)
        manifest = UnitManifest(self.unit, self.files, counts)
        write_sealed(storage.join(self.folder, f"{self.unit}.json"), manifest)
        return manifest

    def abandon(self) -> None:
        """Removes what this attempt wrote; what it spooled goes with the scope."""
        if not storage.is_remote(self.folder):
            written = f"{glob.escape(self.folder)}/{self.unit}.{self._id}.*"
            for path in glob.glob(written):
                storage.delete(path)
        for temporary, _ in self._contract:
            storage.delete(temporary)


def file_digest(path: str) -> tuple[int, str]:
    """Returns the size in bytes and the SHA-256 in hex of a file."""
    if not storage.is_remote(path):
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), sha256
    size, digest = 0, hashlib.sha256()
    with storage.open_input(path) as file:
        while data := file.read(storage.PART_BYTES):
            size += len(data)
            digest.update(data)
    return size, digest.hexdigest()


def write_json(path: str, value: Any) -> None:
    """Writes JSON, so that a reader sees all of it or none."""
    storage.write_bytes(path, _json(value))


def write_sealed(path: str, value: Any) -> None:
    """Writes a JSON object with its checksum, so that a reader sees all of it or none."""
    storage.write_bytes(path, seal(_json(value)))


def read_sealed(path: str, type: type[_T]) -> _T:
    """Returns what `write_sealed` wrote.

    Raises:
        ValueError: it was cut or changed, or is of another type.
        FileNotFoundError: it is not there.
    """
    return msgspec.json.decode(unsealed(storage.read_bytes(path)), type=type)


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=1)


Work = Callable[[Unit, Attempt], dict[str, Any]]
"""Does a unit: writes its files through the attempt and returns its counts."""


class Stage(Protocol):
    """A step of a phase: a frozen, picklable spec; `open` makes the machine, once a worker."""

    @property
    def name(self) -> str:
        """The stage's name: its folder, and its label in the graph."""
        ...

    @property
    def folder(self) -> str:
        """Where its units' files and manifests are."""
        ...

    def open(self) -> Work:
        """Returns the function that does a unit; may load models."""
        ...


class DoUnit(beam.DoFn):  # type: ignore[misc]
    """Does units that are not done yet; yields a Done for each."""

    def __init__(self, stage: Stage):
        self._stage = stage
        self._work: Work | None = None

    def process(self, unit: Unit) -> Iterator[Done]:
        """Yields the finished unit, done now or before."""
        done = Done(self._stage.folder, unit.name)
        if not done.is_done():
            with local_copies.scope():
                self._do(unit)
            Metrics.counter(self._stage.name, "units").inc()
        else:
            Metrics.counter(self._stage.name, "units_reused").inc()
        yield done

    def _do(self, unit: Unit) -> None:
        attempt = Attempt(self._stage.folder, unit.name)
        try:
            if self._work is None:
                self._work = self._stage.open()
            counts = self._work(unit, attempt)
            attempt.commit(counts)
        except Exception as failure:
            with contextlib.suppress(OSError):
                attempt.abandon()
            report_failure(self._stage, unit, failure)
            raise
        for name, value in _flat(counts):
            Metrics.counter(self._stage.name, name).inc(value)
        for name, usec in attempt.times.items():
            Metrics.counter(self._stage.name, f"{name}/msec").inc(usec // 1000)


def report_failure(stage: Stage, unit: Unit, failure: Exception) -> None:
    """Leaves what went wrong where the driver finds it: engines turn exceptions into long texts."""
    about = {
        "stage": stage.name,
        "unit": unit.name,
        "kind": _kind(failure),
        "message": str(failure) if isinstance(failure, SluiceError | OSError) else "",
        "exit_code": getattr(failure, "exit_code", 1),
    }
    if isinstance(failure, DamagedError):
        about["damaged"] = [failure.folder, failure.unit]
    with contextlib.suppress(OSError, SluiceError):
        write_json(storage.join(stage.folder, "failures", f"{unit.name}.json"), about)


def _kind(failure: Exception) -> str:
    """Returns the name of an error; of what the system refuses, its family's name."""
    for family in (OSError, MemoryError):
        if isinstance(failure, family):
            return family.__name__
    return type(failure).__name__


def failures(folders: Iterable[str]) -> list[dict[str, Any]]:
    """Returns what `report_failure` left in the folders of stages."""
    found = []
    for folder in folders:
        for entry in storage.listing(storage.join(folder, "failures")):
            with contextlib.suppress(OSError, msgspec.DecodeError):
                found.append(msgspec.json.decode(storage.read_bytes(entry.path)))
    return found


def sweep(folder: str) -> int:
    """Removes files and folders of attempts that did not commit, and old failures; returns how many.

    A unit whose manifest is damaged, or whose files are not there with their sizes, is no longer done. Only
    the driver calls it, before its first unit, while it holds the output's lock.
    """
    folders = [f for f in storage.folders(folder) if "." in storage.name_of(f)]
    for path in (storage.join(folder, "failures"), *folders):
        storage.delete_tree(path)
    there = {storage.name_of(file.path): file.bytes for file in storage.listing(folder)}
    units = [Done(folder, unit) for unit in _units(there)]
    keep: set[str] = set()
    for done, manifest in zip(units, found_manifests(units), strict=True):
        if manifest is not None and _is_whole(done, manifest, there):
            keep |= {f"{done.unit}.json", *(e.name for e in manifest.files.values())}
    left = there.keys() - keep
    for name in left:
        storage.delete(storage.join(folder, name))
    return len(left) + len(folders)


def _is_whole(done: Done, manifest: UnitManifest, there: Mapping[str, int]) -> bool:
    """Returns whether a unit's intermediate files are there, with their sizes; warns of one that is not."""
    for entry in manifest.files.values():
        if not entry.sha256 and there.get(entry.name) != entry.bytes:
            path = storage.join(done.folder, entry.name)
            _log.warning("%s", done.damaged(path, "is missing or was cut"))
            return False
    return True


def total_times(folder: str) -> dict[str, int]:
    """Returns the microseconds that steps of a stage took, summed over its units."""
    total: dict[str, int] = {}
    for file in storage.listing(storage.join(folder, "times")):
        # What was measured may be lost to damage: it stands in the report alone.
        with contextlib.suppress(ValueError):
            add_counts(total, read_sealed(file.path, dict[str, int]))
    return total


@contextlib.contextmanager
def taking_back() -> Iterator[None]:
    """Takes back the unit that an error of the block names; only the driver does, while it holds the lock."""
    try:
        yield
    except DamagedError as error:
        if error.unit:
            take_back(error.folder, error.unit)
        raise


def done_units(folder: str) -> list[Done]:
    """Returns the finished units of a stage, by name."""
    return [Done(folder, unit) for unit in _units(storage.names(folder))]


def _units(names: Iterable[str]) -> list[str]:
    return sorted(n[: -len(".json")] for n in names if n.endswith(".json") and n[:1] != ".")


def add_counts(total: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Adds nested counts in place: numbers are summed, tables are merged. Returns `total`."""
    for key, value in more.items():
        if isinstance(value, dict):
            add_counts(total.setdefault(key, {}), value)
        else:
            total[key] = total.get(key, 0) + value
    return total


def _flat(counts: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Yields the counts that Beam shows: the plain ones, and those of filters."""
    for key, value in counts.items():
        if isinstance(value, int):
            yield key, value
    for name, steps in counts.get("filters", {}).items():
        for key, value in steps.items():
            yield f"{name}/{key}", int(value)


class DoUnits(beam.PTransform):  # type: ignore[misc]
    """Units in, finished units out."""

    def __init__(self, stage: Stage):
        super().__init__(label=stage.name)
        self._stage = stage

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        """Adds the step to the graph."""
        return units | beam.ParDo(DoUnit(self._stage)).with_output_types(Done)
