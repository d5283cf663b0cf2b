"""What engines are given: the graph of each phase, built, measured and checked without being run.

Beam runs on many engines by a subset that all of them have; here it is written down. `sluice run --plan` with
Beam's flags builds the graph of each phase whose inputs are there, has Dataflow's own code take it where the
flags name Dataflow, and says what would not run.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from apache_beam.options.pipeline_options import TestOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api

from sluice.pipeline.engine.beam import graph as beam_graph
from sluice.pipeline.engine.beam.options import (
    beam_options,
    check_packages,
    on_dataflow,
    phase_flags,
)
from sluice.pipeline.phases import planned, run_order
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.results import Results
from sluice.pipeline.phases.run_order import fingerprints
from sluice.schemas.errors import RecipeError

MAX_GRAPH_BYTES: Final = 10_000_000
"""Dataflow refuses a larger graph (its page on quotas and limits)."""

_URNS = common_urns.primitives
PORTABLE: Final = frozenset(
    urn.urn for urn in (_URNS.IMPULSE, _URNS.PAR_DO, _URNS.GROUP_BY_KEY, _URNS.FLATTEN)
)
"""All steps that a graph may have; a Reshuffle is made of them."""
_DETERMINISTIC: Final = frozenset(
    urn.urn
    for urn in (
        common_urns.coders.BYTES,
        common_urns.coders.VARINT,
        common_urns.coders.STRING_UTF8,
        common_urns.coders.BOOL,
    )
)


class EngineGraph(NamedTuple):
    """A phase's graph, as an engine is given it.

    Attributes:
        phase: its name.
        proto: Beam's portable form.
    """

    phase: str
    proto: api.Pipeline

    @property
    def steps(self) -> dict[str, api.PTransform]:
        """The steps that do something, by their whole names.

        Composites are left out, empty ones too: what comes out of those is what goes in.
        """
        return {
            t.unique_name: t
            for t in self.proto.components.transforms.values()
            if not t.subtransforms and set(t.outputs.values()) - set(t.inputs.values())
        }

    @property
    def num_bytes(self) -> int:
        """Its size when it is sent."""
        return int(self.proto.ByteSize())

    def hints(self, step: api.PTransform) -> dict[str, bytes]:
        """Returns the resource hints of a step, by the last part of their URNs."""
        if not step.environment_id:
            return {}
        found = self.proto.components.environments[step.environment_id].resource_hints
        return {urn.split(":")[2]: value for urn, value in found.items()}


def problems(graph: EngineGraph) -> list[str]:
    """Returns what some engine could not run, or would run differently twice; [] where there is nothing."""
    told = [p for name, step in graph.steps.items() for p in _of_step(graph, name, step)]
    if graph.num_bytes > MAX_GRAPH_BYTES:
        told.append(f"the graph has {graph.num_bytes:,} bytes, Dataflow takes {MAX_GRAPH_BYTES:,}")
    return told


def _of_step(graph: EngineGraph, name: str, step: api.PTransform) -> Iterator[str]:
    urn = step.spec.urn
    if urn not in PORTABLE:
        yield f"{name}: {urn} is not a step that all engines have"
    if urn == _URNS.GROUP_BY_KEY.urn:
        key = _key_coder(graph, step)
        if key not in _DETERMINISTIC:
            yield f"{name}: keys are encoded by {key}, which is not deterministic"
    if urn == _URNS.PAR_DO.urn:
        payload = api.ParDoPayload.FromString(step.spec.payload)
        for field, what in _EXTRAS.items():
            if getattr(payload, field):
                yield f"{name}: has {what}, which engines differ in"


_EXTRAS: Final = {
    "side_inputs": "side inputs",
    "state_specs": "state",
    "timer_family_specs": "timers",
    "restriction_coder_id": "a splittable DoFn",
    "requests_finalization": "bundle finalization",
    "requires_time_sorted_input": "a need of ordered input",
    "requires_stable_input": "a need of stable input",
}
"""Fields of a ParDo that are empty where all engines run it alike."""


def _key_coder(graph: EngineGraph, step: api.PTransform) -> str:
    """Returns the URN of the coder of a GroupByKey's keys, through a length prefix."""
    all_of = graph.proto.components
    (collection,) = step.inputs.values()
    pair = all_of.coders[all_of.pcollections[collection].coder_id]
    key = all_of.coders[pair.component_coder_ids[0]]
    while key.spec.urn == common_urns.coders.LENGTH_PREFIX.urn:
        key = all_of.coders[key.component_coder_ids[0]]
    return str(key.spec.urn)


def build(job: Job, flags: Sequence[str]) -> Iterator[EngineGraph | str]:
    """Yields the graph of every phase, in order, or the name of one whose inputs are not there yet.

    Raises:
        RecipeError: Dataflow's code refuses the graph or the flags.
    """
    results, names = Results(), list(fingerprints(job))
    for at, name in enumerate(names):
        plan = run_order.plan(job, results, name)
        yield graph_of(job, plan, flags)
        result = run_order.finished(job, name, fingerprints(job)[name])
        if result is None:
            yield from names[at + 1 :]
            return
        results.add(result)


def graph_of(job: Job, plan: planned.PhasePlan, flags: Sequence[str]) -> EngineGraph:
    """Returns the graph of a phase; where the flags name Dataflow, as its code would send it.

    Raises:
        RecipeError: Dataflow's code refuses the graph or the flags.
    """
    options = beam_options(phase_flags(flags, job, plan))
    if not on_dataflow(options):
        return EngineGraph(plan.name, beam_graph.build(plan, options).to_runner_api())
    check_packages()
    options.view_as(TestOptions).dry_run = True
    try:
        taken = beam_graph.build(plan, options).run()
    except ValueError as refused:
        raise RecipeError(f"{plan.name}: Dataflow refuses its graph: {refused}") from None
    return EngineGraph(plan.name, taken.job.proto_pipeline)


def graph_lines(job: Job, flags: Sequence[str]) -> Iterator[str]:
    """Yields a line for the graph of each phase: steps, bytes, hints, and what would not run.

    Raises:
        RecipeError: some graph would not run.
    """
    bad: list[str] = []
    for graph in build(job, flags):
        if isinstance(graph, str):
            yield f"graph    {graph}: follows from the phases before"
            continue
        yield f"graph    {_about(graph)}"
        bad += [f"{graph.phase}: {p}" for p in problems(graph)]
    if bad:
        raise RecipeError("; ".join(bad))


def _about(graph: EngineGraph) -> str:
    hints = {h for step in graph.steps.values() for h in graph.hints(step).items()}
    asked = [f"{name} {value.decode()}" for name, value in sorted(hints)]
    size = f"{len(graph.steps)} steps, {graph.num_bytes:,} bytes"
    return f"{graph.phase}: {', '.join([size, *asked])}"
