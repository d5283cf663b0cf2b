"""What a run asks of the engine that Beam's flags name: a job per phase, and checks before the first.

On Dataflow a phase is a job of its own, and two jobs of one name cannot run at once: so each gets a name
that says what it does and to which output, and labels that bills can be divided by.
"""

import argparse
import contextlib
import hashlib
import re
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from apache_beam.options import pipeline_options
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import worker_handlers

from sluice.schemas.errors import InputError, OutputError, RecipeError, did_you_mean

if TYPE_CHECKING:
    from sluice.pipeline.phases.job import Job
    from sluice.pipeline.phases.planned import PhasePlan

LOCAL = "FnApiRunner"
"""Beam's own runner on one machine."""
MAX_NAME = 63
"""Dataflow's names of jobs and values of labels are of at most so many characters."""
_DATAFLOW = ("DataflowRunner", "TestDataflowRunner")


def send_whole() -> None:
    """Makes Beam's local runner send what a stream holds when it is full or closed, never by the clock.

    By default another thread sends it too: each second of the wall clock, and after a jump by a day 86,400
    times in a row. It takes no lock against the thread that writes: what is written after the bytes were
    copied and before the buffer is emptied is lost without an error, and the phase continues without some
    units or ranges.
    """
    worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = 0


def on_dataflow(options: PipelineOptions) -> bool:
    """Returns whether the flags name Dataflow, by its short or its whole name."""
    return (
        str(options.view_as(pipeline_options.StandardOptions).runner).rpartition(".")[2]
        in _DATAFLOW
    )


def phase_flags(flags: Sequence[str], job: "Job", plan: "PhasePlan") -> list[str]:
    """Returns Beam's flags for one phase: those given, with the job's name and, on Dataflow, labels.

    A `--job_name` that is given becomes `NAME-PHASE`. Without one the name is made of recipe, phase and a
    hash of the output, so that two runs of one output at once are refused by the service.
    """
    options = PipelineOptions(list(flags))
    given = options.view_as(pipeline_options.GoogleCloudOptions).job_name
    base = slug(given or f"sluice-{job.recipe.name}")
    digest = "" if given else f"-{hashlib.sha256(job.output.encode()).hexdigest()[:8]}"
    end = f"-{plan.name}{digest}"
    more = [f"--job_name={base[: MAX_NAME - len(end)].rstrip('-')}{end}"]
    if on_dataflow(options):
        labels = {"phase": plan.name, "recipe": job.recipe.name, "version": version("sluice")}
        more += [f"--labels=sluice-{name}={slug(value)}" for name, value in labels.items()]
    return [*flags, *more]


def slug(name: str) -> str:
    """Returns a text as names of jobs allow it: lower-case letters, digits and dashes, a letter first."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:MAX_NAME]
    return plain if plain[:1].isalpha() else f"s-{plain}"[:MAX_NAME].rstrip("-")


def check_engine(options: PipelineOptions) -> None:
    """Raises RecipeError where the engine surely cannot do a job: before anything is read.

    Flags that do no work are refused, and Dataflow without its packages or credentials.
    """
    idle = {
        "--dry_run": options.view_as(pipeline_options.TestOptions).dry_run,
        "--template_location": options.view_as(
            pipeline_options.GoogleCloudOptions
        ).template_location,
    }
    for name, value in idle.items():
        if value:
            raise RecipeError(
                f"-- {name}: does no work, so that no phase after the first could begin; to check "
                f"graphs give --plan before the --"
            )
    if on_dataflow(options):
        check_packages()
        _check_credentials()


def check_packages() -> None:
    """Raises RecipeError where the packages of Dataflow are not installed."""
    for name in ("apitools", "google.cloud.dataflow_v1beta3"):
        spec = None
        with contextlib.suppress(ModuleNotFoundError):
            spec = find_spec(name)
        if spec is None:
            raise RecipeError(
                "-- --runner=DataflowRunner: needs packages that are not installed: pip install 'sluice[gcp]'"
            )


def check_places(options: PipelineOptions, job: "Job") -> None:
    """Raises where Dataflow's workers cannot see the files of a job.

    Raises:
        OutputError, InputError: the output, or the input, is on this machine.
    """
    if not on_dataflow(options):
        return
    if "://" not in job.output:
        raise OutputError(
            f"{job.output}: is on this machine, and Dataflow's workers must see it: give --output gs://BUCKET/DIR"
        )
    if "://" not in job.inventory.root:
        raise InputError(
            f"{job.inventory.root}: is on this machine, and Dataflow's workers must see it: put the "
            f"input on gs://BUCKET/DIR"
        )


def _check_credentials() -> None:
    import google.auth

    try:
        google.auth.default()
    except google.auth.exceptions.DefaultCredentialsError:
        raise RecipeError(
            "-- --runner=DataflowRunner: no credentials: run `gcloud auth application-default login`, or set "
            "GOOGLE_APPLICATION_CREDENTIALS to the file of a service account's key"
        ) from None


def beam_options(flags: Sequence[str], *, processes: int = 1) -> PipelineOptions:
    """Returns the options of every phase's pipeline.

    Without `--runner` a phase runs on Beam's own FnApiRunner: the name DirectRunner would choose an engine by
    what it can download.

    Args:
        flags: Beam's; they win over ours.
        processes: how many share the work of Beam's local runner; with one, the runner uses a thread of ours.
    """
    named, local = {flag.partition("=")[0] for flag in flags}, {}
    if "--runner" not in named:
        check_flags(flags)
        local = {
            "--runner": LOCAL,
            "--direct_running_mode": "multi_processing" if processes > 1 else "multi_threading",
            "--direct_num_workers": processes,
        }
    return PipelineOptions([*flags, *(f"{f}={v}" for f, v in local.items() if f not in named)])


def check_flags(flags: Sequence[str]) -> None:
    """Raises RecipeError for a flag that Beam does not know, and would ignore without an error.

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
