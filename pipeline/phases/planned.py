"""A phase as a table of steps: what the engine runs, and what it has to carry from step to step.

A step is a stage and the way in which finished units reach it. What an engine runs (Beam's graph, or a loop
in this process), and the comparison of what units were given with what was written for them, follow from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

import msgspec

from sluice.pipeline.phases.edges import Survivors
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.names import EXCLUDE
from sluice.pipeline.phases.results import Results
from sluice.pipeline.units import exchange
from sluice.pipeline.units.exchange import Crossing, Exchange
from sluice.pipeline.units.manifest import Done, Unit, done_units, numbered_unit
from sluice.pipeline.units.stage import Stage


class Step(NamedTuple):
    """A stage of a phase.

    Attributes:
        stage: what is done.
        by: how finished units become the units of the stage; None where each is one.
        of: the stages whose units it is given; the one before where there is none.
    """

    stage: Stage
    by: Exchange | None = None
    of: tuple[Stage, ...] = ()


@dataclass(frozen=True)
class PhasePlan:
    """A phase, ready to run.

    Attributes:
        elements: what the phase starts from; each stage before the first crossing has a unit for each.
        steps: in order.
        posts: posts that the phase reads, about, for the progress display.
        reads: folder of the finished units that are the elements, where they are that.
        hints: Beam's resource hints for all steps; outside of the fingerprint.
        in_one_process: whether units are done one after the other where the engine lets us choose: a model
            takes all cores, or the accelerator, by itself.
        is_compared: whether the driver compares what units were given with what was written for them.
    """

    name: str
    fingerprint: str
    folder: str
    elements: Sequence[Unit] | Sequence[Done]
    steps: Sequence[Step]
    posts: int = 0
    reads: str = ""
    hints: dict[str, str] = field(default_factory=dict)
    in_one_process: bool = False
    is_compared: bool = True

    @property
    def stages(self) -> list[Stage]:
        """The stages, in order; where their units' manifests appear."""
        return [step.stage for step in self.steps]

    @property
    def crossings(self) -> list[Crossing]:
        """What the engine carries between stages, in order."""
        found, before = [], self.reads
        for step in self.steps:
            if step.by is not None:
                sources = tuple(stage.folder for stage in step.of) or (before,)
                found.append(Crossing(sources, step.by.edge, step.stage.folder))
            before = step.stage.folder
        return found

    def lost(self) -> tuple[list[Done], int]:
        """Returns units that are done without all that was written for them, and how many are not done.

        Where there are any, all that later stages made of them is among them.
        """
        if not self.is_compared:
            return [], 0
        wanted = {element.name for element in self.elements if isinstance(element, Unit)}
        folders = [stage.folder for stage in self.stages]
        of_elements = len(list(takewhile(lambda step: step.by is None, self.steps)))
        never, first = 0, len(folders)
        for number, folder in enumerate(folders[:of_elements]):
            missing = len(wanted - {done.unit for done in done_units(folder)})
            never, first = never + missing, min(first, number + 1 if missing else first)
        wrong: list[Done] = []
        for crossing in self.crossings:
            units, missing = exchange.lost(crossing)
            if units or missing:
                wrong, never = wrong + units, never + missing
                first = min(first, folders.index(crossing.target) + 1)
        return wrong + [done for folder in folders[first:] for done in done_units(folder)], never


def survivors_of(job: Job, results: Results) -> Survivors:
    """Returns where the posts that are left are; a phase that drops more adds its folders here."""
    dropped = job.work("dedup", results.fingerprints["dedup"], "drop")
    folders = [*excluded_folders(job, results), dropped]
    if "classify" in results.fingerprints:
        classified = results.fingerprints["classify"]
        folders += [job.work("classify", classified, m.prefix) for m in job.recipe.transformers]
    return Survivors(
        job.work("clean", results.fingerprints["clean"], "clean"),
        tuple(folders),
        dropped if job.recipe.dedup.count_copies else "",
    )


def excluded_folders(job: Job, results: Results) -> tuple[str, ...]:
    """Returns the folder of what phase exclude dropped, where the run has the phase."""
    fingerprint = results.fingerprints.get(EXCLUDE)
    return () if fingerprint is None else (job.work(EXCLUDE, fingerprint, "drop"),)


def survivor_units(job: Job, results: Results) -> list[Unit]:
    """Returns a unit for each unit of clean, for a phase that reads what is left of its posts."""
    cleaned = done_units(survivors_of(job, results).clean)
    return [Unit(done.unit, index=i) for i, done in enumerate(cleaned)]


def units_of_input(job: Job) -> list[Unit]:
    """Returns a unit for each piece that the input is cut into, in the order of its rows."""
    pieces = enumerate(job.input_units)
    return [numbered_unit("unit", i, msgspec.to_builtins(piece)) for i, piece in pieces]
