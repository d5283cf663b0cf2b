"""What a run asks of the engine: names of jobs, labels, and refusals before any work."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from hypothesis import given
from hypothesis import strategies as st

from sluice.pipeline.engine.beam.options import (
    MAX_NAME,
    beam_options,
    check_engine,
    check_places,
    phase_flags,
    slug,
)
from sluice.pipeline.inputs.inventory import Inventory
from sluice.pipeline.phases import planned, run_order
from sluice.pipeline.phases.clean import phase as clean
from sluice.pipeline.phases.job import Job
from sluice.pipeline.recipes import loader
from sluice.pipeline.recipes.schema import HINTED
from sluice.schemas.errors import RecipeError, SluiceError
from tests.repository import ROOT

DATAFLOW = ROOT / ".venv-dataflow" / "bin" / "python"
ON_DATAFLOW = ("--runner=DataflowRunner", "--project=some-project", "--region=us-central1")
NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
"""Dataflow's own rule for names of jobs."""


def job_of(name: str = "trial", output: str = "/out", **sections: Any) -> Job:
    made = loader.decode({"name": name, **sections}, where="trial")
    return Job(made, Inventory(root="/posts", files=()), output)


def plan_of(phase: str) -> Any:
    return planned.PhasePlan(phase, "fingerprint", "/out", [], [])


def google(flags: list[str]) -> GoogleCloudOptions:
    return PipelineOptions(flags).view_as(GoogleCloudOptions)


@given(
    name=st.text(min_size=1, max_size=90), phase=st.sampled_from(HINTED), given_name=st.booleans()
)
def test_names_of_jobs(name: str, phase: str, given_name: bool) -> None:
    """Any recipe and any given name make a name that Dataflow takes and that ends with the phase."""
    flags = [*ON_DATAFLOW, f"--job_name={name}"] if given_name else list(ON_DATAFLOW)
    found = google(phase_flags(flags, job_of(name=name), plan_of(phase)))
    assert NAME.fullmatch(found.job_name)
    assert f"-{phase}" in found.job_name
    assert f"sluice-phase={phase}" in found.labels


def test_phases_and_outputs_have_jobs_of_their_own() -> None:
    """Two phases, and two outputs, never have the same name; one output always has."""
    flags, job = list(ON_DATAFLOW), job_of()
    names = [google(phase_flags(flags, job, plan_of(p))).job_name for p in HINTED]
    assert len(set(names)) == len(names)
    again = [google(phase_flags(flags, job_of(), plan_of(p))).job_name for p in HINTED]
    assert again == names
    other = google(phase_flags(flags, job_of(output="/other"), plan_of("clean"))).job_name
    assert other not in names


def test_labels_are_added_to_those_given() -> None:
    """A person's own labels stay; other engines get none of ours."""
    flags = [*ON_DATAFLOW, "--labels=team=data"]
    found = google(phase_flags(flags, job_of(), plan_of("dedup"))).labels
    assert found[:2] == ["team=data", "sluice-phase=dedup"]
    assert not google(phase_flags(["--runner=SparkRunner"], job_of(), plan_of("dedup"))).labels


@given(st.text(max_size=100))
def test_slug(name: str) -> None:
    """A slug is a name that Dataflow takes."""
    assert NAME.fullmatch(slug(name))
    assert len(slug(name)) <= MAX_NAME


@pytest.mark.parametrize("flag", ["--dry_run=True", "--template_location=gs://bucket/t"])
def test_flags_that_do_no_work_are_refused(flag: str) -> None:
    """A dry run would mark phases as done that did nothing."""
    with pytest.raises(RecipeError, match=r"give --plan"):
        check_engine(beam_options([flag]))


def test_dataflow_without_its_packages() -> None:
    """The message says what to install."""
    with pytest.raises(RecipeError, match=r"pip install 'sluice\[gcp\]'"):
        check_engine(beam_options(ON_DATAFLOW))


def refusal() -> str:
    """Returns what Dataflow is refused with in a process that has its packages and no credentials."""
    with pytest.raises(RecipeError) as refused:
        check_engine(beam_options(ON_DATAFLOW))
    return str(refused.value)


def test_dataflow_without_credentials(tmp_path: Path) -> None:
    """The message says how to get some, before any file is looked for."""
    code = "from tests.pipeline.engine.beam.test_options import refusal; print(refusal())"
    env = os.environ | {"NO_GCE_CHECK": "true", "CLOUDSDK_CONFIG": str(tmp_path)}
    env.pop("GOOGLE_APPLICATION_CREDENTIALS", None)
    command = [str(DATAFLOW), "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert "no credentials: run `gcloud auth application-default login`" in done.stdout


@pytest.mark.parametrize(
    ("output", "root", "said"),
    [
        ("/out", "gs://bucket/posts", "/out: is on this machine"),
        ("gs://bucket/out", "/posts", "/posts: is on this machine"),
    ],
)
def test_files_that_dataflow_cannot_see(output: str, root: str, said: str) -> None:
    """Output and input must lie where workers are; other engines may share a file system."""
    job = Job(job_of().recipe, Inventory(root=root, files=()), output)
    with pytest.raises(SluiceError, match=said):
        check_places(beam_options(ON_DATAFLOW), job)
    check_places(beam_options(["--runner=SparkRunner"]), job)


# --- what a recipe asks for workers ------------------------------------------------------------


def test_every_phase_may_have_hints() -> None:
    """The phases that the recipe knows are those of the code, and `sluice score`."""
    assert set(HINTED) == {*run_order.PHASES, "score"}


@pytest.mark.parametrize(
    ("workers", "said"),
    [
        ({"accelerator": "type:nvidia-l4"}, "$.workers.accelerator: the recipe has no phase"),
        ({"min_ram": {"classify": "16GB"}}, "$.workers.min_ram.classify: the recipe has no phase"),
        (
            {"min_ram": {"conversations": "16GB"}},
            "$.workers.min_ram.conversations: the recipe has no phase",
        ),
        ({"min_ram": {"history": "16GB"}}, "$.workers.min_ram.history: the recipe has no phase"),
        ({"min_ram": {"dedupe": "16GB"}}, "min_ram.dedupe: no such phase; did you mean 'dedup'"),
        ({"min_ram": {"dedup": "16"}}, "min_ram.dedup: must be a size with a unit"),
        ({"accelerator": "nvidia-l4"}, "accelerator: must begin with type:"),
    ],
)
def test_workers_that_nothing_would_use(workers: dict[str, Any], said: str) -> None:
    """A hint without an effect, an unknown phase and a size without a unit are errors."""
    with pytest.raises(RecipeError, match=re.escape(said)):
        job_of(workers=workers)


def test_workers_change_no_fingerprint() -> None:
    """What workers have is outside of all fingerprints."""
    from sluice.pipeline.phases.run_order import fingerprints

    plain, asked = job_of(), job_of(workers={"min_ram": {"dedup": "32GB", "clean": "4GiB"}})
    assert fingerprints(plain) == fingerprints(asked)
    assert clean.plan is run_order.PHASES["clean"]
    assert asked.recipe.workers.hints("dedup") == {"min_ram": "32GB"}
    assert asked.recipe.workers.hints("tokens") == {}
