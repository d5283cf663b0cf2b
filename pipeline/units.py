"""Units of work: what one worker finishes and commits alone.

A stage does a unit by writing files whose names carry an attempt id; the unit's manifest, written
last by one rename, says which of them count. A unit whose manifest stands is done: a retry, a second
attempt at the same time, or a run after a kill finds it and goes on. Files that no manifest names are
swept when a run begins.
"""

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import apache_beam as beam
import msgspec
from apache_beam.metrics import Metrics

from schemas.errors import OutputError, SluiceError


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


class FileEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file of a unit.

    Attributes:
        name: relative to the stage's folder, or to the output folder for a contract file.
        bytes: its size; a file of another size is refused when it is read.
        ranges: for exchange files.
        sha256: for contract files.
    """

    name: str
    bytes: int
    ranges: tuple[Range, ...] = ()
    sha256: str = ""


class UnitManifest(msgspec.Struct, frozen=True):
    """What a finished unit wrote and counted; no times, hosts or absolute paths."""

    unit: str
    files: dict[str, FileEntry]
    counts: dict[str, Any]


class Done(msgspec.Struct, frozen=True):
    """A finished unit, as it travels between stages: where its manifest is."""

    folder: str
    unit: str

    def manifest(self) -> UnitManifest:
        """Returns the manifest, read from its file."""
        return read_manifest(Path(self.folder) / f"{self.unit}.json")

    def path(self, edge: str) -> str:
        """Returns the path of one of the unit's files, after checking its size."""
        return file_path(self.folder, self.manifest().files[edge])


def file_path(folder: str, entry: FileEntry) -> str:
    """Returns the path of a unit's file; raises OutputError where it is missing or was cut."""
    mend = f"delete the folder {folder} and run again: its units are done anew"
    return whole_file(os.path.join(folder, entry.name), entry.bytes, writer="its unit", mend=mend)


def whole_file(path: str, num_bytes: int, *, writer: str, mend: str) -> str:
    """Returns the path of a file of this size; raises OutputError, with what mends it, if it has another."""
    try:
        size = os.path.getsize(path)
    except OSError:
        size = -1
    if size != num_bytes:
        found = "is missing" if size < 0 else f"has {size} bytes"
        raise OutputError(f"{path}: {found}, {writer} wrote {num_bytes}; {mend}")
    return path


def read_manifest(path: Path) -> UnitManifest:
    """Returns a unit's manifest; raises OutputError if it is not one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=UnitManifest)
    except (msgspec.DecodeError, OSError) as error:
        raise OutputError(
            f"{path}: not a unit manifest ({error}); delete it and run again"
        ) from None


class Attempt:
    """One try at a unit: names its files, and commits them.

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

    def path(self, edge: str, *, suffix: str = ".arrow") -> str:
        """Returns where to write an intermediate file."""
        os.makedirs(self.folder, exist_ok=True)
        return os.path.join(self.folder, f"{self.unit}.{self._id}.{edge}{suffix}")

    def add(self, edge: str, path: str, *, ranges: Iterable[Range] = ()) -> None:
        """Records an intermediate file that is complete."""
        name = os.path.basename(path)
        self.files[edge] = FileEntry(name, os.path.getsize(path), tuple(ranges))

    def contract_path(self, output: str, name: str) -> str:
        """Returns where to write a file of the output contract; `commit` gives it its plain name."""
        final = os.path.join(output, name)
        os.makedirs(os.path.dirname(final), exist_ok=True)
        temporary = os.path.join(
            os.path.dirname(final), f".tmp-{self._id}-{os.path.basename(name)}"
        )
        self._contract.append((temporary, final))
        return temporary

    def add_contract(self, edge: str, name: str, *, size: int, sha256: str) -> None:
        """Records a contract file that is complete under its temporary name."""
        self.files[edge] = FileEntry(name, size, (), sha256)

    def commit(self, counts: dict[str, Any]) -> UnitManifest:
        """Renames the contract files, then writes the manifest: the unit is done."""
        for temporary, final in self._contract:
            os.replace(temporary, final)
        if self.times:
            write_json(Path(self.folder) / "times" / f"{self.unit}.json", self.times)
        manifest = UnitManifest(self.unit, self.files, counts)
        path = Path(self.folder) / f"{self.unit}.json"
        write_json(path, manifest)
        return manifest

    def abandon(self) -> None:
        """Removes what this attempt wrote."""
        for path in Path(self.folder).glob(f"{self.unit}.{self._id}.*"):
            path.unlink(missing_ok=True)
        for temporary, _ in self._contract:
            Path(temporary).unlink(missing_ok=True)


def file_digest(path: str) -> tuple[int, str]:
    """Returns the size in bytes and the SHA-256 in hex of a file."""
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), sha256


def write_json(path: Path, value: Any) -> None:
    """Writes JSON under a temporary name and renames it, so that a reader sees all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".tmp-{uuid.uuid4().hex[:8]}-{path.name}"
    temporary.write_bytes(
        msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=1)
    )
    os.replace(temporary, path)


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
        folder = self._stage.folder
        if not (Path(folder) / f"{unit.name}.json").exists():
            self._do(unit)
            Metrics.counter(self._stage.name, "units").inc()
        else:
            Metrics.counter(self._stage.name, "units_reused").inc()
        yield Done(folder, unit.name)

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
        "kind": type(failure).__name__,
        "message": str(failure) if isinstance(failure, SluiceError | OSError) else "",
        "exit_code": getattr(failure, "exit_code", 1),
    }
    with contextlib.suppress(OSError):
        write_json(Path(stage.folder) / "failures" / f"{unit.name}.json", about)


def failures(folders: Iterable[str]) -> list[dict[str, Any]]:
    """Returns what `report_failure` left in the folders of stages."""
    found = []
    for folder in folders:
        for path in sorted(Path(folder, "failures").glob("*.json")):
            with contextlib.suppress(OSError, msgspec.DecodeError):
                found.append(msgspec.json.decode(path.read_bytes()))
    return found


def sweep(folder: str) -> int:
    """Removes files of attempts that did not commit, and old failures; returns how many.

    Only the driver calls it, before its first unit, while it holds the output's lock.
    """
    stage = Path(folder)
    if not stage.is_dir():
        return 0
    shutil.rmtree(stage / "failures", ignore_errors=True)
    named = {e.name for m in stage.glob("*.json") for e in read_manifest(m).files.values()}
    left = [
        p for p in stage.iterdir() if p.is_file() and p.suffix != ".json" and p.name not in named
    ]
    left += list(stage.glob(".tmp-*"))
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def done_units(folder: str) -> list[Done]:
    """Returns the finished units of a stage, by name."""
    names = sorted(p.stem for p in Path(folder).glob("*.json") if not p.name.startswith("."))
    return [Done(folder, name) for name in names]


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
