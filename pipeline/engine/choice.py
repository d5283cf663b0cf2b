"""Which engine a run has, and how many processes."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Literal

from sluice.pipeline.engine.inline import InlineEngine
from sluice.pipeline.engine.run import Engine
from sluice.pipeline.engine.workers import Workers
from sluice.pipeline.phases.job import Job
from sluice.pipeline.processes.cores import fitting_processes, free_memory, usable_cores
from sluice.schemas.errors import RecipeError

EngineName = Literal["inline", "beam"]
BYTES_FOR_PROCESS = 16_000_000
"""Bytes of JSON that are worth the start of a process: some three CPU seconds of work."""


@contextlib.contextmanager
def opened(job: Job, *, engine: EngineName | None, flags: Sequence[str]) -> Iterator[Engine]:
    """Gives the engine of a run; its processes end with the block.

    Args:
        job: says how many processes, or how large the input is.
        engine: None for the one that is quicker here, or Beam where flags are given.
        flags: Beam's.

    Raises:
        RecipeError: the flags are Beam's, and the engine is not.
    """
    if engine == "inline" and flags:
        raise RecipeError(
            f"{flags[0]}: what follows -- is for Beam: leave it out, or give --engine beam"
        )
    asked = job.recipe.workers.processes
    if flags or engine == "beam":
        from sluice.pipeline.engine.beam.run import BeamEngine  # costs two CPU seconds

        yield BeamEngine(job, flags, processes=asked or fitting_processes(job.worker_bytes))
        return
    fitting = fitting_processes(job.worker_bytes)
    with Workers(asked or min(fitting, worth_starting(job))) as workers:
        yield InlineEngine(workers)


def worth_starting(job: Job) -> int:
    """Returns how many processes at most are worth their start, by the size of the input."""
    return max(1, math.ceil(job.input_bytes / BYTES_FOR_PROCESS))


def line(job: Job, engine: Engine) -> str:
    """Returns what the first line says of the engine: how many processes share the work, and why so many."""
    number, asked = engine.processes, job.recipe.workers.processes
    if number is None:
        return f"engine {engine.name}"
    cores, free = usable_cores(), free_memory()
    why = f"of {cores} core{'s' * (cores != 1)}"
    if asked is None and number < cores:
        small = number == worth_starting(job)
        why += ", the input is small" if small else f", {(free or 0) / 1e9:.1f} GB of memory free"
    return f"engine {engine.name}: {number} process{'es' * (number != 1)} {why}"
