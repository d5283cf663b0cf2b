"""Phase score, the one phase of `sluice score`: input units -> every score of every post, and no decision."""

from sluice.filters.carried import carried
from sluice.pipeline.phases.job import Job, fingerprint_of, read_options
from sluice.pipeline.phases.planned import PhasePlan, Step, units_of_input
from sluice.pipeline.phases.run_order import fingerprints
from sluice.pipeline.phases.score.stage import PHASE, ScoreStage
from sluice.pipeline.storage import files as storage


def plan(job: Job) -> PhasePlan:
    """Returns the one phase of `sluice score`."""
    of_phase = fingerprints(job)
    fingerprint = fingerprint_of(PHASE, [of_phase["clean"], of_phase.get("classify")])
    folder = job.work(PHASE, fingerprint)
    stage = ScoreStage(
        folder=storage.join(folder, "score"),
        output=job.output,
        root=job.inventory.root,
        options=read_options(job.recipe, job.inventory),
        filters=carried(job.recipe.filters),
        language_model=job.recipe.language.model,
        media=job.recipe.media,
        privacy=job.privacy,
        transformers=tuple(zip(job.recipe.transformers, job.located, strict=True)),
    )
    units = units_of_input(job)
    return PhasePlan(
        *(PHASE, fingerprint, folder, units, [Step(stage)]),
        hints=job.recipe.workers.hints(PHASE),
        in_one_process=bool(stage.transformers),
    )
