"""What the phase classify depends on. Apart from the graph, which imports Beam's inference and so torch."""

from importlib.metadata import version
from typing import Any

import msgspec

from sluice.pipeline.phases.job import Job
from sluice.pipeline.recipes.schema import Classifier


def part(job: Job) -> list[Any]:
    """Returns what transformers depend on: their paths are outside, their content is not."""
    models = [
        [_without_places(spec), located.fingerprint]
        for spec, located in zip(job.recipe.transformers, job.located, strict=True)
    ]
    return [models, job.recipe.seed, version("torch"), version("transformers")]


def _without_places(spec: Classifier) -> Classifier:
    return msgspec.structs.replace(spec, model=spec.prefix, checkpoint=None, base=None)
