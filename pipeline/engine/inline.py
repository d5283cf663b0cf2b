"""The engine of one machine: the units of a phase are done in this process, and in others beside it.

It runs the same table of steps as Beam's graph, and stages write the same bytes: what differs is who calls
them. There is no graph to build and nothing to serialise but the units' names and byte ranges.
"""

from collections.abc import Sequence

from sluice.pipeline.engine.workers import Workers
from sluice.pipeline.phases.classify.decide import Classify
from sluice.pipeline.phases.classify.inference import WithModel
from sluice.pipeline.phases.planned import PhasePlan
from sluice.pipeline.units import exchange
from sluice.pipeline.units.manifest import Done, Unit


class InlineEngine:
    """Does phases without Beam.

    Args:
        workers: that share the units.
    """

    name = "inline"

    def __init__(self, workers: Workers):
        self._workers = workers
        self.processes = workers.processes

    def check(self) -> None:
        """Does nothing: there is nothing that this engine cannot do."""

    def run(self, plan: PhasePlan) -> None:
        """Does the units of a phase that are not done yet, step by step."""
        before: Sequence[Unit] | Sequence[Done] = plan.elements
        done: dict[str, list[Done]] = {}
        for step in plan.steps:
            given = [each for stage in step.of for each in done[stage.name]] or before
            units = exchange.units_of(step.by, given)
            stage = WithModel(step.stage) if isinstance(step.stage, Classify) else step.stage
            self._workers.do(stage, units, alone=plan.in_one_process)
            before = done[stage.name] = [Done(stage.folder, unit.name) for unit in units]
