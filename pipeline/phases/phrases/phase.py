"""Phase phrases: a sample of input units, evaluation sets -> the table of what is looked for in posts.

It stands before clean, which asks the table of every post that its filters keep. A run without evaluation
sets does without it.
"""

import math
from typing import Any

from sluice.pipeline.inputs.inventory import InputUnit
from sluice.pipeline.phases.clean.phase import texts_part
from sluice.pipeline.phases.job import Job, read_options, sets_table
from sluice.pipeline.phases.names import PHRASES
from sluice.pipeline.phases.phrases.count import CountSurroundings
from sluice.pipeline.phases.phrases.learn import LearnPhrases
from sluice.pipeline.phases.planned import PhasePlan, Step, units_of_input
from sluice.pipeline.phases.results import Results
from sluice.pipeline.storage import files as storage
from sluice.pipeline.units.exchange import Exchange
from sluice.pipeline.units.manifest import Unit

PHRASES_VERSION = 1
"""Raised where the same posts and sets give other common phrases."""


def part(job: Job) -> list[Any]:
    """Returns what the phase depends on."""
    section = job.recipe.decontamination
    sets = None if job.sets is None else job.sets.part
    return [PHRASES_VERSION, texts_part(job), sets, section.common_ratio, section.sample_bytes]


def plan(job: Job, results: Results, fingerprint: str) -> PhasePlan:
    """Returns the phase: one unit for each sampled piece of the input."""
    folder, section, table = (
        job.work(PHRASES, fingerprint),
        job.recipe.decontamination,
        sets_table(job),
    )
    count = CountSurroundings(
        folder=storage.join(folder, "count"),
        root=job.inventory.root,
        options=read_options(job.recipe, job.inventory),
        media=job.recipe.media,
        table=table,
    )
    learn = LearnPhrases(storage.join(folder, "learn"), table, section.common_ratio)
    steps = [Step(count), Step(learn, Exchange(None, name="table"))]
    return PhasePlan(PHRASES, fingerprint, folder, sampled_units(job), steps)


def sampled_units(job: Job) -> list[Unit]:
    """Returns every n-th unit of the input, so that about `decontamination.sample_bytes` are read."""
    every = _step(job.input_units, job.recipe.decontamination.sample_bytes)
    return units_of_input(job)[::every]


def _step(units: tuple[InputUnit, ...], sample_bytes: int) -> int:
    return max(1, math.ceil(sum(unit.bytes for unit in units) / sample_bytes))
