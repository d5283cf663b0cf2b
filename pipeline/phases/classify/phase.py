"""Phase classify: survivors -> the scores of transformers, and what they reject.

Each transformer is a stage of two steps: inference over units (`inference.py`, over the posts that
`cascade.py` chooses; on Beam its RunInference), and a decision that commits the unit (`decide.py`). A
transformer sees what an earlier one left.
"""

import dataclasses
from typing import Any

import msgspec

from sluice.pipeline.phases.classify.cascade import Cascade, band_of
from sluice.pipeline.phases.classify.decide import Classify
from sluice.pipeline.phases.classify.thresholds import PHASE
from sluice.pipeline.phases.job import Job, installed
from sluice.pipeline.phases.planned import PhasePlan, Step, survivor_units, survivors_of
from sluice.pipeline.phases.results import Results
from sluice.pipeline.recipes.schema import Classifier
from sluice.pipeline.storage import files as storage


def part(job: Job) -> list[Any]:
    """Returns what transformers depend on: their paths are outside, their content is not."""
    models = [
        [_without_places(spec), located.fingerprint]
        for spec, located in zip(job.recipe.transformers, job.located, strict=True)
    ]
    libraries = ["torch", "transformers"]
    if any(spec.is_encoder for spec in job.recipe.transformers):
        libraries.append("onnxruntime")
    return [models, job.recipe.seed, *map(installed, libraries)]


def _without_places(spec: Classifier) -> Classifier:
    return msgspec.structs.replace(spec, model=spec.prefix, checkpoint=None, base=None)


def plan(job: Job, results: Results, fingerprint: str) -> PhasePlan:
    """Returns the phase: each transformer over what those before it left."""
    folder = job.work(PHASE, fingerprint)
    files = tuple(u.path for u in job.input_units)
    left, stages = survivors_of(job, results), []
    for spec, located in zip(job.recipe.transformers, job.located, strict=True):
        edge = band_of(spec, results.survivors)
        cascade = Cascade(left, files, spec, edge, job.recipe.seed)
        at = storage.join(folder, spec.prefix)
        stages.append(Classify(at, job.output, cascade, located))
        left = dataclasses.replace(left, drops=(*left.drops, at))
    return PhasePlan(
        *(PHASE, fingerprint, folder, survivor_units(job, results)),
        steps=[Step(stage) for stage in stages],
        posts=results.survivors.posts,
        in_one_process=True,
    )
