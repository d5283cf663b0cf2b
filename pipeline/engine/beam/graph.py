"""A phase as a Beam pipeline, made from its table of steps."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions

from sluice.pipeline.phases.classify.decide import Classify
from sluice.pipeline.phases.planned import PhasePlan
from sluice.pipeline.units import exchange
from sluice.pipeline.units.exchange import Exchange
from sluice.pipeline.units.manifest import Done, Unit
from sluice.pipeline.units.stage import Stage, do_unit


class DoUnit(beam.DoFn):  # type: ignore[misc]  # Beam has no types
    """Does units that are not done yet; yields a Done for each."""

    def __init__(self, stage: Stage):
        self._stage = stage

    def process(self, unit: Unit) -> Iterator[Done]:
        """Yields the finished unit, done now or before."""
        done, finished = do_unit(self._stage, unit)
        if finished is None:
            Metrics.counter(self._stage.name, "units_reused").inc()
        else:
            Metrics.counter(self._stage.name, "units").inc()
            for name, value in finished.counts.metrics():
                Metrics.counter(self._stage.name, name).inc(value)
            for name, usec in finished.times.items():
                Metrics.counter(self._stage.name, f"{name}/msec").inc(usec // 1000)
        yield done


class Regroup(beam.PTransform):  # type: ignore[misc]  # Beam has no types
    """Finished units in, the units of a later stage out; only names and byte ranges cross it."""

    def __init__(self, way: Exchange):
        super().__init__(label=f"exchange_{way.name}")
        self._way = way

    def expand(self, done: beam.PCollection) -> beam.PCollection:
        """Adds the exchange to the graph."""
        return (
            done
            | beam.FlatMap(self._way.given).with_output_types(tuple[int, list[Any]])
            | beam.GroupByKey()
            | beam.MapTuple(self._way.unit).with_output_types(Unit)
        )


class PhaseSteps(beam.PTransform):  # type: ignore[misc]  # Beam has no types
    """The steps of a phase: the units that it starts from in, finished units of the last stage out."""

    def __init__(self, plan: PhasePlan):
        super().__init__(label=plan.name.capitalize())
        self._steps = plan.steps

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        """Adds the phase to the graph."""
        done: dict[str, beam.PCollection] = {}
        for number, step in enumerate(self._steps):
            name = step.stage.name
            if step.of:
                given = [done[stage.name] for stage in step.of]
                units = given | f"flatten_{name}" >> beam.Flatten()
            if step.by is not None:
                units = units | Regroup(step.by)
            elif number:
                units = units | f"again_{name}" >> beam.Map(exchange.same_unit).with_output_types(
                    Unit
                )
            if isinstance(step.stage, Classify):
                from sluice.pipeline.engine.beam.inference import ScoreUnits

                units = units | ScoreUnits(step.stage)
            work = beam.ParDo(DoUnit(step.stage)).with_output_types(Done)
            units = done[name] = units | name >> work
        return units


def build(plan: PhasePlan, options: PipelineOptions) -> beam.Pipeline:
    """Returns the pipeline that does a phase on the engine that the options name."""
    pipeline = beam.Pipeline(options=options)
    steps = PhaseSteps(plan).with_resource_hints(**plan.hints)
    _ = pipeline | beam.Create(list(plan.elements)) | steps
    return pipeline
