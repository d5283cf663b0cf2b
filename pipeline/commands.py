"""What the commands do, apart from arguments and exit codes."""

import argparse
import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from sluice.pipeline.engine import graph_check
from sluice.pipeline.phases.history import versions as history
from sluice.pipeline.storage import output_folder, local_copies, files as storage
from sluice.pipeline.phases import plan as phases
from sluice.pipeline.recipes import schema as recipe
from sluice.pipeline.phases.score import phase as score
from sluice.pipeline.engine.beam_options import check_engine, check_places, phase_flags
from sluice.pipeline.phases.job import Job, fingerprints, input_units, read_options
from sluice.pipeline.processes.cost import Meter
from sluice.pipeline.engine.progress import Report, clock
from sluice.pipeline.inputs.reader import check_inputs
from sluice.pipeline.report import build
from sluice.pipeline.report.render import render
from sluice.pipeline.report.training_page import training_lines
from sluice.pipeline.engine.run import beam_options, make_job, run_phases, run_plan
from sluice.pipeline.units.stage import done_units, manifests, taking_back, write_json
from sluice.schemas.errors import OutputError

POSTS_PER_CPU_SECOND = 20_000
"""What a core does end to end but for the BPE, by benchmarks/RESULTS.md; plans use it."""
BYTES_IN_POST = 260
SAMPLE_BYTE_MEMORY = 2.2
"""Bytes that training the BPE holds for a byte of its sample: distinct words are fewer in more text."""
WORD_MEMORY = 210
"""Bytes that it holds for a distinct word: 2.4 GB for 11.4 million (benchmarks/vocabulary_training.py)."""
WORK_BYTES_PER_INPUT_BYTE = 3.5
"""Disk for work and output, per byte of plain JSONL: 2.9 measured on real posts, 3.5 on the sample."""


def load_job(parsed: argparse.Namespace, flags: Sequence[str]) -> Job:
    """Returns the job that the arguments name; with flags that no engine could do it by, an error."""
    if not getattr(parsed, "plan", False):
        check_engine(beam_options(flags))
    loaded = recipe.load(parsed.recipe, sets=tuple(parsed.set))
    if parsed.input:
        files = msgspec.structs.replace(loaded.input, files=tuple(parsed.input))
        loaded = msgspec.structs.replace(loaded, input=files)
    return make_job(loaded, out=parsed.output)


def _owner(job: Job, command: str) -> output_folder.Owner:
    return output_folder.Owner(command, job.recipe.name, job.inputs_mark)


def run(job: Job, *, flags: Sequence[str], say: Report) -> dict[str, Any]:
    """Runs the job to its end; returns report.json.

    Raises:
        SluiceError: what went wrong; finished units are kept, and the same call goes on.
    """
    out, owner = job.output, _owner(job, "run")
    output_folder.check_owner(out, owner)
    check_inputs(job.inventory, read_options(job.recipe))
    check_disk(job)
    _ = job.located  # a missing model is an error before any post is read
    phases.check_tokenizer(job)
    say(
        f"{len(job.inventory.files)} input files, {_size(sum(f.bytes for f in job.inventory.files))}"
    )
    with Meter() as meter, _holding(job):
        output_folder.claim(out, owner)
        for line in history_lines(job):
            say(line)
        results, costs = run_phases(job, flags=flags, say=say, meter=meter)
        build.check(results)
        files = [entry.name for _, entry, _ in build.contract_files(job, results)]
        output_folder.keep_only(out, files)
        write_json(storage.join(out, "manifest.json"), build.manifest(job, results))
        report = build.report(job, results, costs)
        _write_report(out, report)
        _flush(out, files)
        completed = f"{results['tokens'].fingerprint}\n"
        storage.write_bytes(storage.join(out, output_folder.COMPLETED), completed.encode())
    return report


def _flush(out: str, files: Iterable[str]) -> None:
    """Waits until the contract's files are on the disk: what COMPLETED stands for outlives a power cut."""
    if not storage.is_remote(out):
        paths = [storage.join(out, name) for name in (*files, "manifest.json")]
        history.flush([*paths, *sorted({os.path.dirname(path) for path in paths})])


@contextlib.contextmanager
def _holding(job: Job) -> Iterator[None]:
    """Holds the output and the history for one run; units whose files are damaged are taken back."""
    folder = job.recipe.dedup.history
    remembered = contextlib.nullcontext() if folder is None else history.locked(folder)
    with output_folder.locked(job.output), remembered, local_copies.scope(), taking_back():
        yield


def history_lines(job: Job) -> Iterator[str]:
    """Yields what the run can read of the history that its recipe names."""
    folder, read = job.recipe.dedup.history, job.remembered
    if folder is not None and read:
        posts = sum(s.rows for s in read)
        yield f"history  {folder}: {posts:,} posts of {read[0].day} to {read[-1].day}"
    elif folder is not None:
        yield f"history  {folder}: nothing there yet that this run may read"


def transformer_lines(job: Job) -> Iterator[str]:
    """Yields each transformer with its weights, and the share of the posts that it may see."""
    for spec, located in zip(job.recipe.transformers, job.located, strict=True):
        size = _size(sum(os.path.getsize(file.path) for file in located.weights))
        seen = "all posts that are left"
        if spec.screen is not None:
            edge = f"{spec.screen} scores from {spec.min_screen or 0:g} on"
            seen = edge if spec.max_share is None else f"{edge}, {spec.max_share:.1%} at most"
        yield f"model    {spec.prefix}: {spec.model}, {size}, over {seen}"


def _write_report(out: str, report: dict[str, Any]) -> None:
    write_json(storage.join(out, "report", "report.json"), report)
    storage.write_bytes(storage.join(out, "report", "report.html"), render(report).encode())


def write_report_again(out: str) -> dict[str, Any]:
    """Renders report.html from report.json anew; returns report.json."""
    path = storage.join(out, "report", "report.json")
    try:
        report = msgspec.json.decode(storage.read_bytes(path), type=dict[str, Any])
    except FileNotFoundError:
        raise OutputError(f"{out}: no report/report.json: the run did not finish") from None
    except (OSError, msgspec.DecodeError) as error:
        raise OutputError(f"{path}: cannot be read: {error}") from None
    _write_report(out, report)
    return report


def funnel(report: dict[str, Any]) -> list[str]:
    """Returns the funnel as lines: what was read, what left and why, what is in the shards."""
    posts, read = report["posts"], max(report["posts"]["read"], 1)

    def row(name: str, n: int, indent: str = "  ") -> str:
        return f"{indent}{name:<{28 - len(indent)}}{n:>14,}{100 * n / read:>8.1f} %"

    lines = [row("posts read", posts["read"], "")]
    lines += [row(f"- {r}", -n) for r, n in _by_size(posts["rejected"])]
    lines += [row(f"- {r} duplicates", -n) for r, n in _by_size(posts["duplicates"])]
    lines += [row(f"- {k}", -posts[k]) for k in ("malformed", "errors") if posts[k]]
    lines.append(row("kept", posts["kept"], ""))
    tokens, shards, sequences = report["tokens"], report["shards"], report["sequences"]
    lines += [
        "",
        f"tokens    {tokens['total']:>14,}   {tokens['bytes_per_token'] or 0:.2f} bytes a token, "
        f"{tokens['per_post'] or 0:.1f} tokens a post",
        f"sequences {sequences['in_shards']:>14,}   of {sequences['length']:,} tokens in "
        f"{shards['count']} shards of {shards['sequences_each']:,}; {sequences['leftover']:,} left over",
        *training_lines(report["training"]),
        f"ledger    {report['ledger']['posts']}",
    ]
    lines += [_transformer_line(row) for row in report.get("transformers", [])]
    lines += [f"warning: {w}" for w in report["warnings"]]
    return lines


def _transformer_line(row: dict[str, Any]) -> str:
    """Returns what a transformer saw and rejected, and how far its screen agrees with it."""
    found = row["agreement"]
    agreed = ""
    if found and found["sampled"]:
        agreed = f"; its screen agrees on {found['agreed']:.1%} of {found['sampled']:,} sampled"
    return (
        f"{row['name']:<10}{row['decided']:>14,}   of {row['posts']:,} posts decided on, "
        f"{row['rejected']:,} rejected{agreed}"
    )


def _by_size(table: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(((k, n) for k, n in table.items() if n), key=lambda item: (-item[1], item[0]))


def plan_lines(job: Job, flags: Sequence[str] = ()) -> Iterator[str]:
    """Yields what a run would do: phases and units to run or reuse, time, disk and memory.

    With Beam's flags the graphs that the engine would be given are built and checked too.
    """
    output_folder.check_owner(job.output, _owner(job, "run"))
    phases.check_tokenizer(job)
    units, marks = input_units(job), fingerprints(job)
    posts = job.input_bytes // BYTES_IN_POST
    size = sum(f.bytes for f in job.inventory.files)
    yield f"inputs   {len(job.inventory.files)} files, {_size(size)}, about {posts:,} posts"
    yield f"output   {job.output}"
    yield from history_lines(job)
    yield from transformer_lines(job)
    for name in marks:
        if phases.finished(job, name, marks[name]) is not None:
            yield f"{name:<12}reuse"
            continue
        done = sum(len(done_units(p)) for p in storage.folders(job.work(name, marks[name])))
        total = f"{len(units)} units" if name == "clean" else "units follow from the phases before"
        yield f"{name:<12}run   {total}{f', {done} done before' if done else ''}"
    cores = os.cpu_count() or 1
    seconds = clock(posts / POSTS_PER_CPU_SECOND / cores)
    more = "".join(f", and {spec.prefix}" for spec in job.recipe.transformers)
    yield f"time     about {seconds} on {cores} cores, and the BPE's training{more}"
    yield f"disk     about {_size(needed_bytes(job))} in {job.output}{_room(job.output)}"
    sample = min(job.recipe.vocabulary.sample_bytes, job.input_bytes)
    words = min(SAMPLE_BYTE_MEMORY * sample, WORD_MEMORY * job.recipe.vocabulary.max_words)
    if job.recipe.vocabulary.tokenizer is None:
        yield f"memory   about 0.6 GB a worker; the BPE's training {_size(3e8 + words)} at most"
    else:
        yield "memory   about 0.6 GB a worker"
    check_disk(job)
    if flags:
        yield from graph_check.graph_lines(job, flags)


def needed_bytes(job: Job) -> int:
    """Returns the disk that work and output take, about."""
    return int(job.input_bytes * WORK_BYTES_PER_INPUT_BYTE)


def _room(out: str) -> str:
    free = storage.free_bytes(out)
    return "" if free is None else f"; {_size(free)} free"


def check_disk(job: Job) -> None:
    """Raises OutputError when the disk cannot hold the run, before anything is written."""
    free = storage.free_bytes(job.output)
    if free is None:
        return
    need = needed_bytes(job) - sum(f.bytes for f in storage.listing(job.output, recursive=True))
    if need > free:
        raise OutputError(
            f"{job.output}: the run needs about {_size(need)} there and {_size(free)} are free; "
            f"choose another --output, or free some space"
        )


def _size(num_bytes: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:,.0f} {unit}" if unit == "B" else f"{num_bytes:,.1f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:,.1f} TB"


def score_posts(job: Job, *, flags: Sequence[str]) -> Iterator[str]:
    """Scores every post and yields, as a table, how the scores lie and what would be rejected."""
    out, owner = job.output, _owner(job, "score")
    output_folder.check_owner(out, owner)
    check_places(beam_options(flags), job)
    with _holding(job):
        output_folder.claim(out, owner)
        plan = score.plan_score(job)
        output_folder.drop_stale_work(out, [plan.folder])
        result, _ = run_plan(plan, beam_options(phase_flags(flags, job, plan)))
        done = manifests(done_units(storage.join(plan.folder, "score")))
        output_folder.keep_only(out, [e.name for unit in done for e in unit.files.values()])
    counts = result.total("score")
    yield f"{counts['scored']:,} of {counts['read']:,} posts scored: {storage.join(out, 'scores')}"
    yield f"{'filter':<24}{'threshold':>10}{'rejects':>9}{'1%':>10}{'median':>10}{'90%':>10}{'99%':>10}"
    for row in score.summary(job.output, job.recipe):
        quantiles = "".join(f"{q:>10.4g}" for q in row["quantiles"])
        line = f"{'-':>10}{'-':>8}"
        if row["threshold"] is not None:
            line = f"{row['threshold']:>10.4g}{row['rejects']:>8.1%}"
        yield f"{row['filter']:<24}{line} {quantiles}"
