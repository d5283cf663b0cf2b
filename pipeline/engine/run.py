"""Runs the phases of a job, in order, on whatever engine the Beam flags name."""

import argparse
import contextlib
import io
import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from sluice.pipeline.storage import output_folder, files as storage
from sluice.pipeline.phases import plan as phases
from sluice.pipeline.processes import watchdog
from sluice.pipeline.phases.clean.phase import load_machines
from sluice.pipeline.engine.beam_options import check_places, phase_flags
from sluice.pipeline.inputs.inventory import find_inputs
from sluice.pipeline.phases.job import Job, Result, Results, fingerprints
from sluice.pipeline.ledger.balance import check_limits
from sluice.pipeline.processes.cost import Cost, Meter
from sluice.pipeline.phases.plan import Plan
from sluice.pipeline.engine.progress import Progress, Report
from sluice.pipeline.recipes.schema import Recipe
from sluice.pipeline.processes.signals import raised_by_signals
from sluice.pipeline.units.stage import done_units, failures, read_sealed, sweep, take_back, write_sealed
from sluice.schemas import errors
from sluice.schemas.errors import RecipeError, SluiceError, did_you_mean

OUT_OF_MEMORY = (
    "finished units are kept: run the same command again, with more memory or fewer workers "
    "(-- --direct_num_workers=N)"
)


def beam_options(flags: Sequence[str]) -> PipelineOptions:
    """Returns the options of every phase's pipeline.

    Without `--runner` a phase runs on Beam's own FnApiRunner, one thread a core: the name DirectRunner
    would choose an engine by what it can download.
    """
    given = list(flags)
    if not any(f == "--runner" or f.startswith("--runner=") for f in given):
        check_flags(given)
        given.append("--runner=FnApiRunner")
        if not any(f.startswith("--direct_running_mode") for f in given):
            given.append("--direct_running_mode=multi_threading")
        if not any(f.startswith("--direct_num_workers") for f in given):
            given.append(f"--direct_num_workers={os.cpu_count() or 1}")
    return PipelineOptions(given)


def check_flags(flags: Sequence[str]) -> None:
    """Raises RecipeError for a flag that Beam does not know: it would leave it out without a word.

    Only for the local runner: a job server has flags that are not known here.
    """
    known = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(known)
    _, unknown = known.parse_known_args(flags)
    if unknown:
        name = unknown[0].partition("=")[0]
        hint = did_you_mean(name, known._option_string_actions)
        raise RecipeError(f"-- {name}: Beam has no such flag{hint}")


def make_job(recipe: Recipe, *, out: str) -> Job:
    """Returns the job of a recipe: its inputs found, hashed and in order.

    Raises:
        RecipeError: the recipe names no input.
        InputError: a pattern matches nothing, or a file cannot be read.
    """
    if not recipe.input.files:
        raise RecipeError("no input: give --input GLOB, or input.files in the recipe")
    if storage.is_remote(recipe.dedup.history or ""):
        raise RecipeError(
            f"dedup.history = {recipe.dedup.history!r}: must be a folder on a file system that all workers "
            f"share; a history is not kept in an object store"
        )
    inventory = find_inputs(recipe.input.files, identity=recipe.input.identity)
    return Job(recipe, inventory, storage.absolute(out))


def run_phases(
    job: Job, *, flags: Sequence[str], say: Report, meter: Meter
) -> tuple[Results, dict[str, dict[str, Any]]]:
    """Runs what is not done yet.

    Returns:
        The results of all phases, and for each phase what it cost and how many units were reused.

    Raises:
        LimitError: more errors or malformed rows than the recipe allows.
        SluiceError: a unit failed; the message says which, and why.
    """
    check_places(beam_options(flags), job)
    load_machines(job.recipe.filters, job.recipe.language.model)
    results, costs = Results(), {}
    marks = fingerprints(job)
    output_folder.drop_stale_work(job.output, [job.work(p, m) for p, m in marks.items()])
    for name in marks:
        # What dedup reads of a history is known when clean is done.
        mark = fingerprints(job)[name]
        found = phases.finished(job, name, mark)
        if name == "history" and not phases.is_remembered(job, results):
            found = None
        if found is None:
            output_folder.reopen(job.output)
            plan = phases.plan(job, results, name)
            found, reused = run_plan(plan, beam_options(phase_flags(flags, job, plan)))
            cost = _add_cost(job, found, meter)
        else:
            say(f"{name}: done before, reused")
            cost, reused = _cost(job, found), -1
        results.by_phase[name] = found
        costs[name] = {"cost": cost, "units_reused": reused}
        if name == "clean":
            _check_limits(job, results)
        if name == "classify":
            _check_classified(job, results)
    return results, costs


def _check_limits(job: Job, results: Results) -> None:
    limits = job.recipe.limits
    check_limits(
        results["clean"].total("clean"),
        phases.counts_by_file(job, results),
        max_error_ratio=limits.max_error_ratio,
        max_malformed_ratio=limits.max_malformed_ratio,
    )


def _check_classified(job: Job, results: Results) -> None:
    """Raises LimitError where too many posts made a transformer fail."""
    for counts in results.transformers:
        about = {"read": counts["posts"], "errors": counts["errors"]}
        ratio = job.recipe.limits.max_error_ratio
        check_limits(about, {}, max_error_ratio=ratio, max_malformed_ratio=1.0)


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


def run_plan(plan: Plan, options: PipelineOptions) -> tuple[Result, int]:
    """Runs a phase's pipeline; returns its result and how many units were done before."""
    folders = [stage.folder for stage in plan.stages]
    for folder in folders:
        sweep(folder)
    reused = sum(len(done_units(folder)) for folder in folders)
    with (
        Progress(plan.name, stages=tuple(plan.stages), total=len(plan.elements), posts=plan.posts),
        _told(folders),
        watchdog.watched(),
    ):
        _finish(plan.build(options).run(), folders)
    return phases.conclude(plan), reused


def _finish(running: PipelineResult, folders: Sequence[str]) -> None:
    """Waits for a pipeline on a cluster (a local one is over when it has been started).

    Where the wait is broken off the job ends too: one that went on alone would write into an output
    that nobody holds.

    Raises:
        SluiceError: the engine gave up, and no unit says why.
    """
    try:
        with raised_by_signals():
            running.wait_until_finish()
    except Exception as failure:
        if failures(folders):
            raise
        raise SluiceError(
            f"the engine gave up: {failure}; finished units are kept, the same command goes on"
        ) from failure
    except KeyboardInterrupt:
        with contextlib.suppress(Exception):
            running.cancel()
        raise


@contextlib.contextmanager
def _told(folders: Sequence[str]) -> Iterator[None]:
    """Turns an engine's exception into the error of the unit that failed."""
    noise = logging.getLogger("apache_beam")
    level = noise.level
    noise.setLevel(logging.CRITICAL)
    # Beam's workers print tracebacks to stderr, and hang if that breaks: they print to a buffer.
    quiet = io.StringIO() if not os.environ.get("SLUICE_DEBUG") else sys.stderr
    try:
        with contextlib.redirect_stderr(quiet):
            yield
    except SluiceError:
        raise
    except Exception as failure:
        found = failures(folders) or _failures_in(str(failure))
        if not found:
            raise
        for about in found:
            if "damaged" in about:
                take_back(*about["damaged"])
        raise _error_of(found[0], failure) from failure
    finally:
        noise.setLevel(level)


_REFUSED = re.compile(r"Error: (\[Errno \d+\] .*?)(?: \[while running '([^']*)'\])?$", re.MULTILINE)
"""The last line of an engine's text about an OSError: what was refused, and the step."""


def _failures_in(text: str) -> list[dict[str, Any]]:
    """Returns what an engine's text says of an OSError: a full disk keeps no unit's own word about it."""
    found = _REFUSED.findall(text)
    return [{"kind": "OSError", "message": what, "where": step} for what, step in found[-1:]]


def _error_of(about: dict[str, Any], failure: Exception) -> SluiceError:
    kind = getattr(errors, about["kind"], SluiceError)
    message = about["message"] or f"{about['kind']}: run with SLUICE_DEBUG=1 for the traceback"
    where = about.get("where") or f"{about['stage']}, {about['unit']}"
    if not (isinstance(kind, type) and issubclass(kind, SluiceError)):
        kind = SluiceError
    if about["kind"] == "OSError":
        message += "; finished units are kept: mend it and run the same command again"
    if about["kind"] == "MemoryError":
        message = f"out of memory; {OUT_OF_MEMORY}"
    return kind(f"{where}: {message}")
