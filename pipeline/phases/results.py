"""What finished phases counted, as later phases and the report read it."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import msgspec

from sluice.pipeline.ledger.tally import UNKNOWN, Counts, column, subtract
from sluice.pipeline.phases.job import Job
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.sealed import read_sealed
from sluice.schemas.errors import RecipeError


class Result(msgspec.Struct, frozen=True):
    """A finished phase: the sums of its units' counts, by stage."""

    phase: str
    fingerprint: str
    counts: dict[str, Counts]

    def total(self, *keys: str) -> Any:
        """Returns the counts of a stage, or what lies at a path in them; {} where there is none."""
        node: Any = self.counts
        for key in keys:
            node = node.get(key, {})
        return node


@dataclass
class Results:
    """The finished phases of a run, by name."""

    by_phase: dict[str, Result] = field(default_factory=dict)

    def __getitem__(self, phase: str) -> Result:
        return self.by_phase[phase]

    @property
    def survivors(self) -> Counts:
        """What clean kept less what dedup dropped: totals and `by_*` tables of posts and text bytes."""
        left = subtract(
            self["clean"].total("clean", "kept"), self["dedup"].total("dedup_drop", "lost")
        )
        for stage in self.transformers:
            left = subtract(left, stage["lost"])
        return left

    @property
    def transformers(self) -> list[Counts]:
        """The counts of the transformers, in no order of meaning; none before they have run."""
        return (
            list(self.by_phase["classify"].counts.values()) if "classify" in self.by_phase else []
        )


def run_day(job: Job, cleaned: Result) -> date:
    """Returns the day of the run's posts: the recipe's, or the median of their times.

    Raises:
        RecipeError: the recipe names no day, and no post that clean kept has a time.
    """
    if job.recipe.dedup.history_day is not None:
        return job.recipe.dedup.history_day
    days = column(cleaned.total("clean", "kept"), "by_day", "posts")
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


def read_result(job: Job, phase: str, mark: str) -> Result | None:
    """Returns the result that a phase wrote when it was done, or None."""
    try:
        return read_sealed(storage.join(job.work(phase, mark), "phase.json"), Result)
    except (FileNotFoundError, ValueError):
        return None
