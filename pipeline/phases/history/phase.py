"""Phase history: the posts that are left -> a segment of the history, for later runs to compare with."""

import os

from sluice.pipeline.phases.history.remember import (
    PHASE,
    RememberStages,
    remember_stages,
    units_left,
)
from sluice.pipeline.phases.job import Job, fingerprint_of
from sluice.pipeline.phases.planned import PhasePlan, Step, survivor_units, survivors_of
from sluice.pipeline.phases.results import Results, run_day
from sluice.pipeline.units import exchange


def plan(job: Job, results: Results, fingerprint: str) -> PhasePlan:
    """Returns the phase, over the survivors; no units where the history has them already."""
    stages = stages_of(job, results)
    units = units_left(stages, survivor_units(job, results))
    # The publishing unit looks itself whether all arrived, because it then removes the work of the others.
    return PhasePlan(
        *(PHASE, fingerprint, job.work(PHASE, fingerprint), units, steps_of(stages)),
        posts=max(1, results.survivors.posts),
        is_compared=False,
    )


def steps_of(stages: RememberStages) -> list[Step]:
    """Returns the steps of the phase; the last unit waits for all units and all partitions."""
    record, index, publish = stages
    return [
        Step(record),
        Step(index, exchange.Exchange("keys", name="keys")),
        Step(publish, exchange.Exchange(None, name=PHASE), of=(record, index)),
    ]


def stages_of(job: Job, results: Results) -> RememberStages:
    """Returns the stages of the phase.

    The segment is named by what the survivors depend on, and so the same run has the same segment.
    """
    d, day = job.recipe.dedup, run_day(job, results.phases.clean.clean)
    assert d.history is not None  # the phase is there for recipes that name one
    last = results.fingerprints.get("classify", results.fingerprints["dedup"])
    return remember_stages(
        survivors_of(job, results),
        folder=os.path.abspath(d.history),
        name=fingerprint_of("segment", [last, day])[:16],
        day=day,
        inputs=job.inputs_fingerprint,
        days=d.history_days,
        minhash=job.minhash,
        num_posts=results.survivors.posts,
    )


def is_remembered(job: Job, results: Results) -> bool:
    """Returns whether the history still has the run's posts: a version may have been removed."""
    return stages_of(job, results).publish.is_done()
