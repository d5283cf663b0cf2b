"""Phase score, the one phase of `sluice score`: input units -> every score of every post, and no decision."""

import msgspec

from sluice.pipeline.phases.job import Job, fingerprint, input_units, read_options
from sluice.pipeline.phases.planned import PhasePlan
from sluice.pipeline.phases.run_order import fingerprints
from sluice.pipeline.phases.score.stage import PHASE, ScoreStage
from sluice.pipeline.storage import files as storage
from sluice.pipeline.units.manifest import numbered_unit
from sluice.pipeline.units.stage import DoUnits


def plan(job: Job) -> PhasePlan:
    """Returns the one phase of `sluice score`."""
    marks = fingerprints(job)
    mark = fingerprint(PHASE, [marks["clean"], marks.get("classify")])
    folder = job.work(PHASE, mark)
    stage = ScoreStage(
        folder=storage.join(folder, "score"),
        output=job.output,
        root=job.inventory.root,
        options=read_options(job.recipe),
        filters=job.recipe.filters,
        language_model=job.recipe.language.model,
        transformers=tuple(zip(job.recipe.transformers, job.located, strict=True)),
    )
    units = [
        numbered_unit("unit", i, msgspec.to_builtins(piece))
        for i, piece in enumerate(input_units(job))
    ]
    hints = job.recipe.workers.hints(PHASE)
    return PhasePlan(PHASE, mark, folder, units, DoUnits(stage), [stage], 0, hints=hints)
