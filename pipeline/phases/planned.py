"""What a phase gives to the engine, and where the posts are that the phases before it left."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.options.pipeline_options import PipelineOptions

from sluice.pipeline.ledger.tally import Counts
from sluice.pipeline.phases.edges import Survivors
from sluice.pipeline.phases.job import Job, input_units
from sluice.pipeline.phases.results import Results
from sluice.pipeline.units import exchange
from sluice.pipeline.units.exchange import Crossing
from sluice.pipeline.units.manifest import Done, Unit, done_units, numbered_unit
from sluice.pipeline.units.stage import Stage


@dataclass(frozen=True)
class PhasePlan:
    """A phase, ready to run.

    Attributes:
        elements: what the graph starts from; the first stage has a unit for each.
        transform: the graph.
        stages: in order; where their units' manifests appear.
        posts: posts that the phase reads, about, for the progress display.
        zero: what the counts of stages begin from, where they must be there without a unit.
        hints: Beam's resource hints for all steps of the graph; outside of the fingerprint.
        stages_of_elements: how many stages, from the first, do a unit for each element.
        crossings: what the engine carries between stages, in order.
    """

    name: str
    fingerprint: str
    folder: str
    elements: Sequence[Any]
    transform: beam.PTransform
    stages: Sequence[Stage]
    posts: int
    zero: dict[str, Counts] = field(default_factory=dict)
    hints: dict[str, str] = field(default_factory=dict)
    stages_of_elements: int = 1
    crossings: Sequence[Crossing] = ()

    def build(self, options: PipelineOptions) -> beam.Pipeline:
        """Returns the pipeline that does the phase on the engine that the options name."""
        pipeline = beam.Pipeline(options=options)
        _ = (
            pipeline
            | beam.Create(list(self.elements))
            | self.transform.with_resource_hints(**self.hints)
        )
        return pipeline

    def lost(self) -> tuple[list[Done], int]:
        """Returns units that are done without all that was written for them, and how many are not done.

        Where there are any, all that later stages made of them is among them.
        """
        wanted = {element.name for element in self.elements if isinstance(element, Unit)}
        never, first = 0, len(self.stages)
        for number, stage in enumerate(self.stages[: self.stages_of_elements]):
            missing = len(wanted - {done.unit for done in done_units(stage.folder)})
            never, first = never + missing, min(first, number + 1 if missing else first)
        wrong: list[Done] = []
        folders = [stage.folder for stage in self.stages]
        for crossing in self.crossings:
            units, missing = exchange.lost(crossing)
            if units or missing:
                wrong, never = wrong + units, never + missing
                first = min(first, folders.index(crossing.target) + 1)
        return wrong + [done for folder in folders[first:] for done in done_units(folder)], never


def survivors_of(job: Job, results: Results) -> Survivors:
    """Returns where the posts that are left are; a phase that drops more adds its folders here."""
    dropped = job.work("dedup", results["dedup"].fingerprint, "drop")
    copies = dropped if job.recipe.dedup.count_copies else ""
    folders = [dropped]
    if "classify" in results.by_phase:
        mark = results["classify"].fingerprint
        folders += [job.work("classify", mark, m.prefix) for m in job.recipe.transformers]
    return Survivors(
        job.work("clean", results["clean"].fingerprint, "clean"), tuple(folders), copies
    )


def survivor_units(job: Job, results: Results) -> list[Unit]:
    """Returns a unit for each unit of clean, for a phase that reads what is left of its posts."""
    cleaned = done_units(survivors_of(job, results).clean)
    return [Unit(done.unit, index=i) for i, done in enumerate(cleaned)]


def units_of_input(job: Job) -> list[Unit]:
    """Returns a unit for each piece that the input is cut into, in the order of its rows."""
    pieces = enumerate(input_units(job))
    return [numbered_unit("unit", i, msgspec.to_builtins(piece)) for i, piece in pieces]
