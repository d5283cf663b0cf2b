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
from typing import NamedTuple, Protocol

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


class Finished(NamedTuple):
    """What a unit that was done now counted, and the microseconds that its steps took."""

    counts: Counts
    times: dict[str, int]


def do_unit(stage: Stage, unit: Unit) -> tuple[Done, Finished | None]:
    """Does a unit of a stage, if it is not done yet.

    Returns:
        The finished unit, and what it counted; None for one that was done before.

    Raises:
        Exception: the unit failed; the failure is in the stage's folder too.
    """
    done = Done(stage.folder, unit.name)
    if done.is_done():
        return done, None
    with local_copies.scope():
        return done, _finish(stage, unit)


def _finish(stage: Stage, unit: Unit) -> Finished:
    attempt = Attempt(stage.folder, unit.name, index=unit.index, arrived=arrived(unit))
    try:
        counts = stage.do(unit, attempt)
        attempt.commit(counts)
    except Exception as failure:
        with contextlib.suppress(OSError):
            attempt.abandon()
        report_failure(stage.folder, stage.name, unit, failure)
        raise
    return Finished(counts, attempt.times)


def total_times(folder: str) -> dict[str, int]:
    """Returns the microseconds that steps of a stage took, summed over its units."""
    total: Counter[str] = Counter()
    for file in storage.listing(storage.join(folder, "times")):
        # What was measured may be lost to damage: it is in the report alone.
        with contextlib.suppress(ValueError):
            total.update(read_sealed(file.path, dict[str, int]))
    return total
