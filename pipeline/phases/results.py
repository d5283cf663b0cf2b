"""What finished phases counted, as later phases and the report read it."""

from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple, TypeVar

import msgspec

from sluice.pipeline.phases.job import Job
from sluice.pipeline.processes.cost import Cost
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.sealed import read_sealed
from sluice.schemas.counts import (
    COUNTS_OF_PHASE,
    UNKNOWN,
    CleanCounts,
    PhaseCounts,
    ScreenedTally,
    amounts,
)
from sluice.schemas.errors import RecipeError

_T = TypeVar("_T")


class Result(msgspec.Struct, frozen=True):
    """A finished phase: the sums of its units' counts, by stage, as JSON."""

    phase: str
    fingerprint: str
    counts: msgspec.Raw

    def counted(self, kind: type[_T]) -> _T:
        """Returns the counts; `kind` is the type of the phase's, see `COUNTS_OF_PHASE`."""
        return msgspec.json.decode(self.counts, type=kind)


class PhaseRun(NamedTuple):
    """What a phase cost, and how many of its units were reused; -1 where all were."""

    cost: Cost
    units_reused: int


@dataclass
class Results:
    """The finished phases of a run: their counts, and their fingerprints by name."""

    phases: PhaseCounts = field(default_factory=PhaseCounts)
    fingerprints: dict[str, str] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Takes a phase that is finished."""
        setattr(self.phases, result.phase, result.counted(COUNTS_OF_PHASE[result.phase]))
        self.fingerprints[result.phase] = result.fingerprint

    @property
    def survivors(self) -> ScreenedTally:
        """The posts that the finished phases left."""
        return self.phases.survivors


def run_day(job: Job, cleaned: CleanCounts) -> date:
    """Returns the day of the run's posts: the recipe's, or the median of their times.

    Raises:
        RecipeError: the recipe names no day, and no post that clean kept has a time.
    """
    if job.recipe.dedup.history_day is not None:
        return job.recipe.dedup.history_day
    days = amounts(cleaned.kept.by_day, lambda day: day.posts)
    days.pop(UNKNOWN, None)
    before, half = 0, sum(days.values()) / 2
    for day, posts in days.items():
        before += posts
        if before >= half:
            return date.fromisoformat(day)
    raise RecipeError(
        "dedup.history_day: must be set to the day of the posts, YYYY-MM-DD: the history forgets by "
        "days, and none of the posts that were kept has a `created_at`"
    )


def read_result(job: Job, phase: str, fingerprint: str) -> Result | None:
    """Returns the result that a phase wrote when it was done, or None."""
    try:
        return read_sealed(storage.join(job.work(phase, fingerprint), "phase.json"), Result)
    except (FileNotFoundError, ValueError):
        return None
