"""How long units take on N workers: a small simulation of an engine that hands out work.

A stage is a list of units; a worker that is free takes the next. A stage begins when the one before it is
done, as it does behind a GroupByKey. So the last units of a stage, and steps of one unit, are what more
workers do not help.
"""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sluice.schemas.arrays import Float64s


class Steps(NamedTuple):
    """What a job does, one after the other.

    Attributes:
        stages: (name, seconds of each unit).
        serial: seconds that the driver works alone, all workers waiting or none there.
        start: seconds until a job's workers have begun.
    """

    stages: Sequence[tuple[str, Float64s]]
    serial: float = 0.0
    start: float = 0.0


def stage_seconds(unit_U: Float64s, num_workers: int) -> float:
    """Returns when the last unit is done; units are taken in their order by the first free worker."""
    if not len(unit_U):
        return 0.0
    if num_workers >= len(unit_U):
        return float(unit_U.max())
    free = [0.0] * num_workers
    for seconds in unit_U:
        heapq.heapreplace(free, free[0] + float(seconds))
    return max(free)


def makespan(jobs: Sequence[Steps], num_workers: int) -> float:
    """Returns the seconds that jobs take, one after the other."""
    return sum(
        job.start + job.serial + sum(stage_seconds(units, num_workers) for _, units in job.stages)
        for job in jobs
    )


def spread(
    sample: Float64s, num_units: int, mean: float, *, seed: int, straggler: tuple[float, float]
) -> Float64s:
    """Returns (U,) seconds of units, drawn from how those of a run were spread, of the given mean.

    Args:
        sample: seconds of the units of a run; their spread about their mean is what is used.
        num_units: U.
        mean: of the units, before stragglers.
        seed: of the draw.
        straggler: (share of units that are slow, how many times slower they are).
    """
    rng = np.random.default_rng(seed)
    shape = sample / sample.mean() if len(sample) and sample.mean() > 0 else np.ones(1)
    drawn_U = rng.choice(shape, num_units)
    drawn_U = drawn_U * (mean / drawn_U.mean())
    share, factor = straggler
    return np.asarray(np.where(rng.random(num_units) < share, drawn_U * factor, drawn_U))
