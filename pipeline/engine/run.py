"""Runs the phases of a job, in order, on an engine."""

import logging
from collections.abc import Iterable
from typing import Protocol

from sluice.pipeline.engine.failures import translated_failures
from sluice.pipeline.engine.progress import OnProgress, PhaseWatch
from sluice.pipeline.engine.time_left import RunClock, posts_in
from sluice.pipeline.inputs.forgotten import write_heeded
from sluice.pipeline.ledger.limits import check_errors, check_malformed
from sluice.pipeline.phases import run_order
from sluice.pipeline.phases.clean.batches import load_machines
from sluice.pipeline.phases.history import phase as history
from sluice.pipeline.phases.job import Job, keep_lists, keep_sets, keep_units
from sluice.pipeline.phases.planned import PhasePlan
from sluice.pipeline.phases.results import PhaseRun, Result, Results
from sluice.pipeline.phases.run_order import fingerprints
from sluice.pipeline.processes.cost import Cost, Meter
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import output_folder
from sluice.pipeline.storage.sealed import read_sealed, write_sealed
from sluice.pipeline.units.manifest import done_units, invalidate
from sluice.pipeline.units.recovery import sweep
from sluice.schemas.counts import ReadTally
from sluice.schemas.errors import InputError, LedgerError

TRIES = 3
"""How often a phase is run where the engine loses what it carries."""
_log = logging.getLogger(__name__)
told = logging.getLogger("sluice")
"""What a run tells whoever started it, at level INFO; the command line prints it."""


class Engine(Protocol):
    """What does the units of a phase: this process and others beside it, or Beam."""

    @property
    def name(self) -> str:
        """What the first line and the report call it."""
        ...

    @property
    def processes(self) -> int | None:
        """How many share the work on this machine; None where the engine decides."""
        ...

    def check(self) -> None:
        """Raises RecipeError, InputError or OutputError where it cannot do the job."""
        ...

    def run(self, plan: PhasePlan) -> None:
        """Does all units of a phase."""
        ...


def run_phases(
    job: Job, engine: Engine, *, progress: OnProgress | None, meter: Meter
) -> tuple[Results, dict[str, PhaseRun]]:
    """Runs what is not done yet.

    Returns:
        The results of all phases, and for each phase what it cost and how many units were reused.

    Raises:
        LimitError: more errors or malformed rows than the recipe allows.
        SluiceError: a unit failed; the message says which, and why.
    """
    engine.check()
    job.check_key_of_forgotten()
    write_heeded(job.output, job.forgotten)
    of_phase = fingerprints(job)
    if run_order.finished(job, "clean", of_phase["clean"]) is None:
        load_machines(job.recipe.filters, job.recipe.language.model)
    keep_lists(job)
    keep_units(job)
    keep_sets(job)
    results, runs = Results(), {}
    output_folder.drop_stale_work(job.output, [job.work(p, f) for p, f in of_phase.items()])
    clock = run_clock(job, engine, progress, phases=of_phase)
    for name in of_phase:
        # What dedup reads of a history is known when clean is done.
        result = run_order.finished(job, name, fingerprints(job)[name])
        if name == "history" and not history.is_remembered(job, results):
            result = None
        if result is None:
            output_folder.reopen(job.output)
            plan = run_order.plan(job, results, name)
            result, reused = run_plan(plan, engine, progress=clock)
            cost = _add_cost(job, result, meter)
        else:
            told.info("%s: done before, reused", name)
            if clock is not None:
                clock.reused(name)
            cost, reused = _cost(job, result), -1
        results.add(result)
        runs[name] = PhaseRun(cost, reused)
        _check_limits(job, results, name)
    return results, runs


def run_clock(
    job: Job, engine: Engine, progress: OnProgress | None, *, phases: Iterable[str]
) -> RunClock | None:
    """Returns what adds the progress of the run to that of each phase; None where nobody asks for any."""
    if progress is None:
        return None
    return RunClock(
        progress,
        phases=phases,
        posts=posts_in(job.input_bytes),
        processes=engine.processes,
        trains=job.recipe.vocabulary.tokenizer is None,
    )


def _check_limits(job: Job, results: Results, phase: str) -> None:
    """Raises LimitError where more rows or posts failed in a phase than the recipe allows."""
    limits = job.recipe.limits
    if phase == "clean":
        by_file = run_order.counts_by_file(job, results)
        check_malformed(
            by_file,
            max_malformed_ratio=limits.max_malformed_ratio,
            min_malformed=limits.min_malformed,
        )
        counts = results.phases.clean.clean
        _check_posts(job, counts.input or ReadTally(records=counts.read))
        check_errors(counts.errors, read=counts.read, max_error_ratio=limits.max_error_ratio)
    if phase == "classify":
        for stage in results.phases.classify.values():
            check_errors(stage.errors, read=stage.posts, max_error_ratio=limits.max_error_ratio)


def _check_posts(job: Job, found: ReadTally) -> None:
    """Raises InputError where no file holds a post or a row that might be one."""
    if found.records > sum(found.notices.values()):
        return
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in sorted(found.notices.items()))
    held = f"{found.records:,} records, all of them notices ({kinds})"
    raise InputError(
        f"no posts in the input: {held if kinds else '; '.join(job.inventory.notes) or 'no record'}"
    )


def _cost(job: Job, result: Result) -> Cost:
    """Returns what a finished phase cost in the runs that it took."""
    try:
        return read_sealed(_cost_path(job, result), Cost)
    except (FileNotFoundError, ValueError):  # what was measured is lost, and nothing else
        return Cost()


def _cost_path(job: Job, result: Result) -> str:
    return storage.join(job.work(result.phase, result.fingerprint), "cost.json")


def _add_cost(job: Job, result: Result, meter: Meter) -> Cost:
    """Adds what the phase cost now to what it cost in earlier runs, and keeps it beside the phase."""
    cost = meter.lap().plus(_cost(job, result))
    write_sealed(_cost_path(job, result), cost)
    return cost


def run_plan(
    plan: PhasePlan, engine: Engine, *, progress: OnProgress | None = None
) -> tuple[Result, int]:
    """Runs a phase; returns its result and how many units were done before.

    Raises:
        LedgerError: the engine lost units or ranges of files in every try.
        SluiceError: a unit failed, or the engine gave up.
    """
    folders = [stage.folder for stage in plan.stages]
    for folder in folders:
        sweep(folder)
    reused = sum(len(done_units(folder)) for folder in folders)
    for _ in range(TRIES):
        with (
            PhaseWatch(
                plan.name,
                stages=plan.stages,
                total=len(plan.elements),
                posts=plan.posts,
                report=progress,
                crossings=plan.crossings,
            ),
            translated_failures(folders),
        ):
            engine.run(plan)
        if _all_arrived(plan):
            return run_order.conclude(plan), reused
    raise LedgerError(
        f"{plan.name}: the engine lost units or ranges of files in each of {TRIES} tries: run the same "
        f"command again, or on another engine (-- --runner=...)"
    )


def _all_arrived(plan: PhasePlan) -> bool:
    """Returns whether every unit was given all that was written for it; those that were not are invalidated.

    An engine that loses an element raises no error, and no count of posts shows it where a lost range would
    have led to fewer duplicates.
    """
    wrong, never = plan.lost()
    for done in wrong:
        invalidate(done.folder, done.unit)
    if wrong or never:
        _log.warning(
            "%s: the engine lost units or ranges of files: %d units are done again, %d are done now",
            *(plan.name, len(wrong), never),
        )
    return not (wrong or never)
