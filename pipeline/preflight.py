"""What a run would do, before it does it: phases to run or reuse, time, disk and memory."""

import os
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from sluice.pipeline.engine.progress import clock
from sluice.pipeline.engine.time_left import posts_in, stage_seconds
from sluice.pipeline.outputs.unchanged import report_of_unchanged
from sluice.pipeline.phases import run_order
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.run_order import fingerprints
from sluice.pipeline.phases.tokens import phase as tokens
from sluice.pipeline.processes.cores import fitting_processes
from sluice.pipeline.report.figures import size
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import output_folder
from sluice.pipeline.units.manifest import done_units
from sluice.schemas.errors import OutputError

SAMPLE_BYTE_MEMORY = 2.2
"""Bytes that training the BPE holds for a byte of its sample: distinct words are fewer in more text."""
WORD_MEMORY = 210
"""Bytes that it holds for a distinct word: 2.4 GB for 11.4 million (benchmarks/vocabulary_training.py)."""
WORK_BYTES_PER_INPUT_BYTE = 3.5
"""Disk for work and output, per byte of plain JSONL: 2.9 measured on real posts, 3.5 on the sample."""


def history_lines(job: Job) -> Iterator[str]:
    """Yields what the run can read of the history that its recipe names."""
    folder, read = job.recipe.dedup.history, job.remembered
    if folder is None:
        return
    told = "nothing there yet that this run may read"
    if read:
        told = f"{sum(s.rows for s in read):,} posts of {read[0].day} to {read[-1].day}"
    yield f"history  {folder}: {told}"


def transformer_lines(job: Job) -> Iterator[str]:
    """Yields each transformer with its weights, and the share of the posts that it may see."""
    for spec, located in zip(job.recipe.transformers, job.located, strict=True):
        weights = size(sum(os.path.getsize(file.path) for file in located.weights))
        seen = "all posts that are left"
        if spec.screen is not None:
            edge = f"{spec.screen} scores from {spec.min_screen or 0:g} on"
            seen = edge if spec.max_share is None else f"{edge}, {spec.max_share:.1%} at most"
        yield f"model    {spec.prefix}: {spec.model}, {weights}, over {seen}"


class PlannedInputs(msgspec.Struct, kw_only=True):
    """The input files; `posts` is about."""

    files: int
    bytes: int
    posts: int


class PlannedPhase(msgspec.Struct, kw_only=True):
    """What a run would do with a phase.

    Attributes:
        units: that it has; None where they follow from the phases before.
        units_done: by an earlier run that did not finish.
    """

    name: str
    action: Literal["run", "reuse"]
    units: int | None
    units_done: int


class RunPlan(msgspec.Struct, kw_only=True):
    """What a run would do: all figures but those of files and units are about.

    Attributes:
        notes: on the input files, the history and the transformers; lines.
        seconds: without transformers.
        processes: that share the work.
        disk_bytes: that work and output take.
        free_bytes: where the output will be; None where there is no bound.
        worker_bytes: memory that a process takes.
        training_bytes: memory that training the vocabulary takes at most; 0 with a frozen tokenizer.
        graphs: what was found of the graphs that Beam would be given; lines.
    """

    output: str
    inputs: PlannedInputs
    notes: list[str]
    phases: list[PlannedPhase]
    seconds: float
    processes: int
    disk_bytes: int
    free_bytes: int | None
    worker_bytes: int
    training_bytes: int
    graphs: list[str]


def plan(job: Job, flags: Sequence[str] = ()) -> RunPlan:
    """Returns what a run would do: phases and units to run or reuse, time, disk and memory.

    With Beam's flags the graphs that the engine would be given are built and checked too.
    """
    output_folder.check_owner(job.output, job.owner("run"))
    tokens.check_tokenizer(job, loads=False)
    files, posts = job.inventory.files, posts_in(job.input_bytes)
    unchanged = report_of_unchanged(job) is not None
    phases = [
        _planned(job, name, fingerprint, unchanged=unchanged)
        for name, fingerprint in fingerprints(job).items()
    ]
    trained = job.recipe.vocabulary.tokenizer is None
    processes = job.recipe.workers.processes or fitting_processes(job.worker_bytes)
    timed = [p.name for p in phases if p.action == "run" and (trained or p.name != "vocabulary")]
    seconds = [stage_seconds(name, posts=posts, processes=processes) for name in timed]
    check_disk(job)
    return RunPlan(
        output=job.output,
        inputs=PlannedInputs(files=len(files), bytes=sum(f.bytes for f in files), posts=posts),
        notes=[*_input_notes(job), *history_lines(job), *transformer_lines(job)],
        phases=phases,
        seconds=round(sum(sum(stages.values()) for stages in seconds), 1),
        processes=processes,
        disk_bytes=needed_bytes(job),
        free_bytes=storage.free_bytes(job.output),
        worker_bytes=job.worker_bytes,
        training_bytes=_training_bytes(job) if trained else 0,
        graphs=_graph_lines(job, flags),
    )


def _input_notes(job: Job) -> Iterator[str]:
    yield from (f"note     {note}" for note in job.inventory.notes)


def _planned(job: Job, name: str, fingerprint: str, *, unchanged: bool) -> PlannedPhase:
    if unchanged or run_order.finished(job, name, fingerprint) is not None:
        return PlannedPhase(name=name, action="reuse", units=None, units_done=0)
    done = sum(len(done_units(path)) for path in storage.folders(job.work(name, fingerprint)))
    units = len(job.input_units) if name == "clean" else None
    return PlannedPhase(name=name, action="run", units=units, units_done=done)


def _training_bytes(job: Job) -> int:
    section = job.recipe.vocabulary
    sample = min(section.sample_bytes, job.input_bytes)
    return int(3e8 + min(SAMPLE_BYTE_MEMORY * sample, WORD_MEMORY * section.max_words))


def _graph_lines(job: Job, flags: Sequence[str]) -> list[str]:
    if not flags:
        return []
    from sluice.pipeline.engine.beam import graph_check

    return list(graph_check.graph_lines(job, flags))


def plan_lines(plan: RunPlan) -> Iterator[str]:
    """Yields a plan as lines of the terminal."""
    inputs = plan.inputs
    yield f"inputs   {inputs.files} files, {size(inputs.bytes)}, about {inputs.posts:,} posts"
    yield f"output   {plan.output}"
    yield from plan.notes
    yield from map(_phase_line, plan.phases)
    models = ", without transformers" * any(p.name == "classify" for p in plan.phases)
    yield f"time     about {clock(plan.seconds)} with {plan.processes} processes{models}"
    free = "" if plan.free_bytes is None else f"; {size(plan.free_bytes)} free"
    yield f"disk     about {size(plan.disk_bytes)} in {plan.output}{free}"
    training = f"; the BPE's training {size(plan.training_bytes)} at most" * bool(
        plan.training_bytes
    )
    yield f"memory   about {plan.worker_bytes / 1e9:.1f} GB a worker{training}"
    yield from plan.graphs


def _phase_line(phase: PlannedPhase) -> str:
    if phase.action == "reuse":
        return f"{phase.name:<12}reuse"
    total = f"{phase.units} units" if phase.units else "units follow from the phases before"
    done = f", {phase.units_done} done before" if phase.units_done else ""
    return f"{phase.name:<12}run   {total}{done}"


def needed_bytes(job: Job) -> int:
    """Returns the disk that work and output take, about."""
    return int(job.input_bytes * WORK_BYTES_PER_INPUT_BYTE)


def check_disk(job: Job) -> None:
    """Raises OutputError when the disk cannot hold the run, before anything is written."""
    free = storage.free_bytes(job.output)
    if free is None:
        return
    need = needed_bytes(job) - sum(f.bytes for f in storage.listing(job.output, recursive=True))
    if need > free:
        raise OutputError(
            f"{job.output}: the run needs about {size(need)} there and {size(free)} are "
            f"free; choose another --output, or free some space"
        )
