"""Phase history: the posts that are left -> a segment of the history, for later runs to compare with."""

import os

import apache_beam as beam

from sluice.pipeline.phases.history.remember import (
    NO_COUNTS,
    PHASE,
    RememberStages,
    remember_stages,
    units_left,
)
from sluice.pipeline.phases.job import Job, fingerprint
from sluice.pipeline.phases.planned import PhasePlan, survivor_units, survivors_of
from sluice.pipeline.phases.results import Results, run_day
from sluice.pipeline.units import exchange
from sluice.pipeline.units.stage import DoUnits


class Remember(beam.PTransform):  # type: ignore[misc]
    """Clean units in, a published segment out."""

    def __init__(self, stages: RememberStages):
        super().__init__(label="Remember")
        self._stages = stages

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        """Adds the phase to the graph; the last unit waits for all units and all partitions."""
        recorded = units | DoUnits(self._stages.record)
        indexed = (
            recorded | exchange.Exchange("keys", name="keys") | DoUnits(self._stages.index_keys)
        )
        return (
            (recorded, indexed)
            | beam.Flatten()
            | exchange.OneUnit(PHASE)
            | DoUnits(self._stages.publish)
        )


def plan(job: Job, results: Results, mark: str) -> PhasePlan:
    """Returns the phase, over the survivors; no units where the history has them already."""
    stages = stages_of(job, results)
    units = units_left(stages, survivor_units(job, results))
    folder, zero = job.work(PHASE, mark), {stages.publish.name: NO_COUNTS}
    posts = max(1, results.survivors.get("posts", 0))
    # The publishing unit looks itself whether all arrived, because it then removes the work of the others.
    return PhasePlan(
        *(PHASE, mark, folder, units, Remember(stages), stages, posts, zero), stages_of_elements=0
    )


def stages_of(job: Job, results: Results) -> RememberStages:
    """Returns the stages of the phase.

    The segment is named by what the survivors depend on, and so the same run has the same segment.
    """
    d, day = job.recipe.dedup, run_day(job, results["clean"])
    assert d.history is not None  # the phase is there for recipes that name one
    last = results.by_phase.get("classify", results["dedup"])  # of the phases that drop posts
    return remember_stages(
        survivors_of(job, results),
        folder=os.path.abspath(d.history),
        name=fingerprint("segment", [last.fingerprint, day])[:16],
        day=day,
        inputs=job.inputs_mark,
        days=d.history_days,
        minhash=job.minhash,
        num_posts=results.survivors.get("posts", 0),
    )


def is_remembered(job: Job, results: Results) -> bool:
    """Returns whether the history still has the run's posts: a version may have been taken back."""
    return stages_of(job, results).publish.is_done()
