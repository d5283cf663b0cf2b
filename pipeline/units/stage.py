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
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import apache_beam as beam
import msgspec
from apache_beam.metrics import Metrics

from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.sealed import read_sealed, write_json
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import (
    Done,
    Unit,
    arrived,
)
from sluice.schemas.counts import Counts
from sluice.schemas.errors import DamagedError, SluiceError

Work = Callable[[Unit, Attempt], Counts]
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

    @property
    def counts(self) -> type[Counts]:
        """What its units count."""
        ...

    def open(self) -> Work:
        """Returns the function that does a unit; may load models."""
        ...


class DoUnit(beam.DoFn):
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
        attempt = Attempt(self._stage.folder, unit.name, index=unit.index, arrived=arrived(unit))
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
        for name, value in counts.metrics():
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


def total_times(folder: str) -> dict[str, int]:
    """Returns the microseconds that steps of a stage took, summed over its units."""
    total: Counter[str] = Counter()
    for file in storage.listing(storage.join(folder, "times")):
        # What was measured may be lost to damage: it stands in the report alone.
        with contextlib.suppress(ValueError):
            total.update(read_sealed(file.path, dict[str, int]))
    return total


class DoUnits(beam.PTransform):
    """Units in, finished units out."""

    def __init__(self, stage: Stage):
        super().__init__(label=stage.name)
        self._stage = stage

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        """Adds the step to the graph."""
        return units | beam.ParDo(DoUnit(self._stage)).with_output_types(Done)
