"""Units of work: what one worker finishes and commits alone.

A stage does a unit by writing files whose names carry an attempt id; the unit's manifest, written
last by one rename or one put, says which of them count. A unit that has a manifest is done: a retry, a
second attempt at the same time, or a run after a kill finds it and continues. Files that no manifest names
are swept when a run begins.

Manifests carry the checksums of files, of ranges and of themselves. A file that is not what its unit wrote
is an error, and the driver invalidates the unit: the same command does it again. Units are deterministic, so
what was made from it stays right.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

import apache_beam as beam
from apache_beam.metrics import Metrics

from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.sealed import read_sealed
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.failure import report_failure
from sluice.pipeline.units.manifest import Done, Unit, arrived
from sluice.schemas.counts import Counts


class Stage(Protocol):
    """A step of a phase: a frozen, picklable spec. A machine that it needs is made once per worker."""

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

    def do(self, unit: Unit, attempt: Attempt) -> Counts:
        """Does a unit: writes its files through the attempt and returns its counts; may load models."""
        ...


class DoUnit(beam.DoFn):  # type: ignore[misc]  # Beam has no types
    """Does units that are not done yet; yields a Done for each."""

    def __init__(self, stage: Stage):
        self._stage = stage

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
            counts = self._stage.do(unit, attempt)
            attempt.commit(counts)
        except Exception as failure:
            with contextlib.suppress(OSError):
                attempt.abandon()
            report_failure(self._stage.folder, self._stage.name, unit, failure)
            raise
        for name, value in counts.metrics():
            Metrics.counter(self._stage.name, name).inc(value)
        for name, usec in attempt.times.items():
            Metrics.counter(self._stage.name, f"{name}/msec").inc(usec // 1000)


def total_times(folder: str) -> dict[str, int]:
    """Returns the microseconds that steps of a stage took, summed over its units."""
    total: Counter[str] = Counter()
    for file in storage.listing(storage.join(folder, "times")):
        # What was measured may be lost to damage: it is in the report alone.
        with contextlib.suppress(ValueError):
            total.update(read_sealed(file.path, dict[str, int]))
    return total


def do_units(stage: Stage) -> Any:
    """Returns the step of a graph that does the units of a stage: units in, finished units out."""
    return stage.name >> beam.ParDo(DoUnit(stage)).with_output_types(Done)
