"""Phase classify: survivors -> the scores of transformers, and what they reject.

Each transformer is a stage of two steps: RunInference over units (`inference.py`, over the posts that
`cascade.py` chooses), and a decision that commits the unit (`decide.py`). A transformer sees what an earlier
one left. Beam's inference imports torch, two seconds and 300 MB: a run without a transformer never does.
"""

import dataclasses
from collections.abc import Sequence

import apache_beam as beam
import msgspec
from apache_beam.ml.inference.base import PredictionResult, RunInference

from sluice.pipeline.phases.classify.cascade import Cascade, band_of
from sluice.pipeline.phases.classify.decide import Classify
from sluice.pipeline.phases.classify.inference import TransformerHandler
from sluice.pipeline.phases.classify.thresholds import PHASE
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.planned import PhasePlan, Step, survivor_units, survivors_of
from sluice.pipeline.phases.results import Results
from sluice.pipeline.storage import files as storage
from sluice.pipeline.units.manifest import Done, Unit
from sluice.pipeline.units.stage import do_units


class ClassifyUnits(beam.PTransform):  # type: ignore[misc]  # Beam has no types
    """Clean units in, the same units out, through every transformer in turn."""

    def __init__(self, stages: Sequence[Classify]):
        super().__init__(label="Classify")
        self._stages = stages

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        """Adds the phase to the graph."""
        for stage in self._stages:
            done = (
                units
                | f"infer {stage.name}" >> RunInference(TransformerHandler(stage))
                | f"scored {stage.name}" >> beam.Map(_scored_unit)
                | do_units(stage)
            )
            units = done | f"next {stage.name}" >> beam.Map(_next_unit)
        return done


def _scored_unit(result: PredictionResult) -> Unit:
    unit: Unit = msgspec.structs.replace(result.example, payload=result.inference)
    return unit


def _next_unit(done: Done) -> Unit:
    return Unit(done.unit, index=done.manifest().index)


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
        transform=ClassifyUnits(stages),
    )
