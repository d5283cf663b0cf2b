"""What a run would do, before it does it: phases to run or reuse, time, disk and memory."""

import os
from collections.abc import Iterator, Sequence

from sluice.pipeline.engine.progress import clock
from sluice.pipeline.engine.time_left import posts_in
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

POSTS_PER_CPU_SECOND = 20_000
"""What a core does end to end but for the BPE, by benchmarks/RESULTS.md; plans use it."""
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


def plan_lines(job: Job, flags: Sequence[str] = ()) -> Iterator[str]:
    """Yields what a run would do: phases and units to run or reuse, time, disk and memory.

    With Beam's flags the graphs that the engine would be given are built and checked too.
    """
    output_folder.check_owner(job.output, job.owner("run"))
    tokens.check_tokenizer(job)
    units, of_phase = job.input_units, fingerprints(job)
    posts = posts_in(job.input_bytes)
    input_bytes = sum(f.bytes for f in job.inventory.files)
    yield f"inputs   {len(job.inventory.files)} files, {size(input_bytes)}, about {posts:,} posts"
    yield f"output   {job.output}"
    yield from history_lines(job)
    yield from transformer_lines(job)
    for name, fingerprint in of_phase.items():
        if run_order.finished(job, name, fingerprint) is not None:
            yield f"{name:<12}reuse"
            continue
        done = sum(len(done_units(p)) for p in storage.folders(job.work(name, fingerprint)))
        total = f"{len(units)} units" if name == "clean" else "units follow from the phases before"
        yield f"{name:<12}run   {total}{f', {done} done before' if done else ''}"
    cores = job.recipe.workers.processes or fitting_processes()
    seconds = clock(posts / POSTS_PER_CPU_SECOND / cores)
    more = "".join(f", and {spec.prefix}" for spec in job.recipe.transformers)
    yield f"time     about {seconds} on {cores} cores, and the BPE's training{more}"
    yield f"disk     about {size(needed_bytes(job))} in {job.output}{_room(job.output)}"
    sample = min(job.recipe.vocabulary.sample_bytes, job.input_bytes)
    words = min(SAMPLE_BYTE_MEMORY * sample, WORD_MEMORY * job.recipe.vocabulary.max_words)
    trained = job.recipe.vocabulary.tokenizer is None
    training = f"; the BPE's training {size(3e8 + words)} at most" if trained else ""
    yield f"memory   about 0.6 GB a worker{training}"
    check_disk(job)
    if flags:
        from sluice.pipeline.engine.beam import graph_check

        yield from graph_check.graph_lines(job, flags)


def needed_bytes(job: Job) -> int:
    """Returns the disk that work and output take, about."""
    return int(job.input_bytes * WORK_BYTES_PER_INPUT_BYTE)


def _room(out: str) -> str:
    free = storage.free_bytes(out)
    return "" if free is None else f"; {size(free)} free"


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
