"""What the commands do, apart from arguments and exit codes."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sluice.pipeline.engine import choice
from sluice.pipeline.engine.choice import EngineName
from sluice.pipeline.engine.progress import OnProgress
from sluice.pipeline.engine.run import run_clock, run_phases, run_plan, told
from sluice.pipeline.history import versions as history
from sluice.pipeline.inputs.reader import check_inputs
from sluice.pipeline.outputs.unchanged import report_of_unchanged
from sluice.pipeline.phases.job import Job, keep_units, read_options
from sluice.pipeline.phases.score import phase as score
from sluice.pipeline.phases.score.stage import ScoreSummary, language_thresholds, summary
from sluice.pipeline.phases.tokens import phase as tokens
from sluice.pipeline.preflight import check_disk, history_lines
from sluice.pipeline.processes.cost import Meter
from sluice.pipeline.processes.signals import owns_process
from sluice.pipeline.report import build, manifest, totals
from sluice.pipeline.report.figures import size
from sluice.pipeline.report.page import write_page
from sluice.pipeline.report.text import format_line
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies, output_folder
from sluice.pipeline.storage.sealed import write_json
from sluice.pipeline.storage.tombstones import refuse_pending
from sluice.pipeline.units.manifest import done_units, manifests
from sluice.pipeline.units.recovery import invalidating_damaged
from sluice.schemas.compile_ahead import compile_kernels
from sluice.schemas.counts import ScorePhase
from sluice.schemas.payloads.known_formats import ROWS
from sluice.schemas.plurals import counted
from sluice.schemas.report import Report


def run(
    job: Job,
    *,
    flags: Sequence[str],
    progress: OnProgress | None,
    engine: EngineName | None = None,
) -> Report:
    """Runs the job to its end; returns its report.

    Raises:
        SluiceError: what went wrong; finished units are kept, and the same call resumes.
    """
    out, owner = job.output, job.owner("run")
    output_folder.check_owner(out, owner)
    notes = check_inputs(job.inventory, read_options(job.recipe, job.inventory))
    check_disk(job)
    _ = job.located  # a missing model is an error before any post is read
    tokens.check_tokenizer(job)
    compile_kernels(told.info)
    num_bytes = sum(file.bytes for file in job.inventory.files)
    told.info("%s, %s", counted(len(job.inventory.files), "input file"), size(num_bytes))
    if job.inventory.formats.keys() != {ROWS}:
        told.info("%s", format_line(job.inventory.formats))
    for note in notes:
        told.info("note: %s", note)
    with (
        Meter() as meter,
        _holding(job),
        choice.opened(job, engine=engine, flags=flags) as using,
    ):
        unchanged = report_of_unchanged(job)
        if unchanged is not None:
            told.info("%s: finished; nothing but forgotten posts has changed: reused", out)
            return unchanged
        output_folder.claim(out, owner)
        told.info("%s", choice.line(job, using))
        for line in history_lines(job):
            told.info("%s", line)
        results, runs = run_phases(job, using, progress=progress, meter=meter)
        totals.check(job, results)
        files = [written.entry.name for written in manifest.contract_files(job, results)]
        output_folder.keep_only(out, files)
        write_json(storage.join(out, "manifest.json"), manifest.manifest(job, results))
        report = build.report(
            job, results, runs, engine=using.name, processes=using.processes, notes=notes
        )
        write_json(storage.join(out, "report", "report.json"), report)
        write_page(out, report)
        _flush(out, files)
        completed = f"{report.recipe.fingerprint}\n"
        storage.write_bytes(storage.join(out, output_folder.COMPLETED), completed.encode())
    return report


def _flush(out: str, files: Iterable[str]) -> None:
    """Waits until the contract's files are on the disk, so that COMPLETED is true after a power cut too."""
    if not storage.is_remote(out):
        paths = [storage.join(out, name) for name in (*files, "manifest.json")]
        history.flush([*paths, *sorted({os.path.dirname(path) for path in paths})])


@contextlib.contextmanager
def _holding(job: Job) -> Iterator[None]:
    """Holds the output and the history for one run; units whose files are damaged are invalidated."""
    folder = job.recipe.dedup.history
    remembered = contextlib.nullcontext() if folder is None else history.locked(folder)
    with (
        output_folder.locked(job.output, wakes=owns_process()),
        remembered,
        local_copies.scope(),
        invalidating_damaged(),
    ):
        refuse_pending(job.output)
        yield


class ScoreReport(NamedTuple):
    """What `sluice score` found; the scores themselves are in `folder`.

    Attributes:
        folder: the Parquet files, a row for each post that could be read.
        read: rows of the input.
        scored: posts that have scores.
        filters: how the scores of each filter, and of each label of a transformer, are distributed.
        language_thresholds: language -> the threshold that its own confidences give, as `by_language` of the
            filter language_confidence takes it.
    """

    folder: str
    read: int
    scored: int
    filters: tuple[ScoreSummary, ...]
    language_thresholds: dict[str, float]


def score_posts(
    job: Job,
    *,
    flags: Sequence[str],
    progress: OnProgress | None,
    engine: EngineName | None = None,
) -> ScoreReport:
    """Scores every post; returns how scores are distributed and what would be rejected."""
    out, owner = job.output, job.owner("score")
    output_folder.check_owner(out, owner)
    for note in check_inputs(job.inventory, read_options(job.recipe, job.inventory)):
        told.info("note: %s", note)
    compile_kernels(told.info)
    with _holding(job), choice.opened(job, engine=engine, flags=flags) as using:
        using.check()
        output_folder.claim(out, owner)
        keep_units(job)
        plan = score.plan(job)
        output_folder.drop_stale_work(out, [plan.folder])
        # What transformers cost is not known.
        clock = (
            None if job.recipe.transformers else run_clock(job, using, progress, phases=["score"])
        )
        result, _ = run_plan(plan, using, progress=clock or progress)
        done = manifests(done_units(storage.join(plan.folder, "score")))
        output_folder.keep_only(out, [e.name for unit in done for e in unit.files.values()])
    counts = result.counted(ScorePhase).score
    rows = tuple(summary(job.output, job.recipe))
    thresholds = language_thresholds(job.output)
    return ScoreReport(storage.join(out, "scores"), counts.read, counts.scored, rows, thresholds)


def score_lines(report: ScoreReport) -> Iterator[str]:
    """Yields scores as a table of the terminal."""
    yield f"{report.scored:,} of {report.read:,} posts scored: {report.folder}"
    yield f"{'filter':<24}{'threshold':>10}{'rejects':>9}{'1%':>10}{'median':>10}{'90%':>10}{'99%':>10}"
    for row in report.filters:
        quantiles = "".join(f"{q:>10.4g}" for q in row.quantiles)
        line = f"{'-':>10}{'-':>8}"
        if row.threshold is not None and row.rejected is not None:
            line = f"{row.threshold:>10.4g}{row.rejected:>8.1%}"
        yield f"{row.name:<24}{line} {quantiles}"
    if report.language_thresholds:
        own = ", ".join(f"{code} = {least}" for code, least in report.language_thresholds.items())
        yield "thresholds of language_confidence from each language's own scores, for the recipe:"
        yield f"by_language = {{ {own} }}"
