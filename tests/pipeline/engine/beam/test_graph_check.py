"""The graph of every phase: what any engine can run, and what Dataflow takes."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

from sluice.pipeline import cli
from sluice.pipeline.engine.beam import graph_check
from sluice.pipeline.phases import run_order
from sluice.pipeline.phases.results import Results
from sluice.pipeline.phases.run_order import fingerprints
from tests.dataflow.dry_run import job_of
from tests.filters.transformers.tiny_checkpoints import detoxify_checkpoint
from tests.pipeline.phases.classify.test_classify import recipe, table
from tests.pipeline.phases.classify.test_classify import run as run_recipe
from tests.pipeline.runs import Job
from tests.repository import ROOT

DATAFLOW = ROOT / ".venv-dataflow" / "bin" / "python"
ACCELERATOR = "type:nvidia-l4;count:1;install-nvidia-driver"
WORKERS = f"""
[workers]
accelerator = "{ACCELERATOR}"
min_ram = {{ dedup = "32GB", classify = "16GB" }}
"""
HINTS = {
    "dedup": {"min_ram_bytes": "32000000000"},
    "classify": {"min_ram_bytes": "16000000000", "accelerator": ACCELERATOR},
    "score": {"accelerator": ACCELERATOR},
}


@pytest.fixture(scope="module")
def full(job: Job, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A finished run with a transformer, a history, a cap for authors, a frozen tokenizer, and hints."""
    folder = tmp_path_factory.mktemp("full")
    tiny = detoxify_checkpoint(folder / "model", "bert")
    path = recipe(job, folder, table(tiny, max_scores={"toxicity": 0.99}), WORKERS)
    more = f'[dedup]\nhistory = "{folder / "history"}"\n[authors]\nmax_posts_per_day = 1000\n'
    path.write_text(path.read_text() + more)
    assert run_recipe(job, path, folder / "out") == 0
    return {"recipe": str(path), "files": [str(job.sample / "*.gz")], "output": str(folder / "out")}


@pytest.fixture(scope="module")
def taken(job: Job, full: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The graphs of a plain job and of the full one, as Dataflow's code would send them."""
    plain = {"recipe": str(job.recipe), "files": full["files"], "output": str(job.output)}
    command = [str(DATAFLOW), "-m", "tests.dataflow.dry_run", json.dumps([plain, full])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_dataflow_takes_every_phase(taken: list[list[dict[str, Any]]]) -> None:
    """All phases of both jobs pass, are made of portable steps, and are small."""
    plain, full = ([g["phase"] for g in found] for found in taken)
    assert plain == ["clean", "dedup", "vocabulary", "tokens", "score"]
    later = ["dedup", "classify", "vocabulary", "tokens", "history", "score"]
    assert full == ["clean", "exclude", *later]
    for graph in (g for found in taken for g in found):
        assert graph["problems"] == []
        assert 0 < graph["bytes"] < 200_000


def test_the_work_of_each_stage_stands_in_a_step_of_its_name(
    taken: list[list[dict[str, Any]]],
) -> None:
    """Every stage is a step that the engine's page shows by its name."""
    expected = {
        "clean": ["clean"],
        "exclude": [f"exclude_{name}" for name in ("send", "match", "cap", "deletions", "drop")],
        "dedup": ["dedup_buckets", "dedup_join", "dedup_ship", "dedup_settle", "dedup_drop"],
        "classify": ["infer classify_tiny", "classify_tiny"],
        "vocabulary": ["vocabulary_sample", "vocabulary_words", "vocabulary_train"],
        "tokens": ["tokens_encode", "tokens_pack", "tokens_deal", "tokens_shard"],
        "score": ["score"],
    }
    found = {g["phase"]: g for graphs_ in reversed(taken) for g in graphs_}
    for phase, stages in expected.items():
        parts = {part for step in found[phase]["steps"] for part in step.split("/")}
        assert [s for s in stages if s not in parts] == [], phase


def test_hints_stand_where_they_are_wanted_and_nowhere_else(
    taken: list[list[dict[str, Any]]],
) -> None:
    """The accelerator is on all steps that do the work of classify, and on no other phase's."""
    for graph in taken[0]:
        assert not any(graph["hints"].values()), graph["phase"]
    for graph in taken[1]:
        begin, work = (
            [h for n, h in graph["hints"].items() if n.startswith("Create/") is which]
            for which in (True, False)
        )
        assert not any(begin)
        assert work
        assert all(h == HINTS.get(graph["phase"], {}) for h in work), graph["phase"]


def test_workers_run_the_image_that_is_named(taken: list[list[dict[str, Any]]]) -> None:
    """`--sdk_container_image` is the image of every environment."""
    images = {image for found in taken for g in found for image in g["images"]}
    assert images
    assert all("some-project/images/sluice:1" in image for image in images)


def test_the_plan_prints_the_graphs(
    full: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """`--plan` with Beam's flags says how large each graph is, and what workers are asked for."""
    arguments = ["run", full["recipe"], "--input", *full["files"], "--output", full["output"]]
    assert cli.main([*arguments, "--plan", "--", "--runner=SparkRunner"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("graph ")]
    assert [line.split()[1] for line in lines][:3] == ["clean:", "exclude:", "dedup:"]
    assert "accelerator type:nvidia-l4" in lines[3]
    assert "min_ram_bytes 32000000000" in lines[2]


def test_phases_that_cannot_be_planned_yet_are_named(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a job that has not begun only the first graph can be built; the plan says so."""
    arguments = ["run", str(job.recipe), "--input", str(job.sample / "*.gz")]
    assert (
        cli.main(
            [*arguments, "--output", str(tmp_path / "out"), "--plan", "--", "--runner=SparkRunner"]
        )
        == 0
    )
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("graph ")]
    assert len(lines) == 4
    assert "steps" in lines[0]
    assert all("follows from the phases before" in line for line in lines[1:])


SEEN = beam.DoFn.StateParam(ReadModifyWriteStateSpec("seen", beam.coders.VarIntCoder()))


class Stateful(beam.DoFn):
    """A step with state."""

    def process(self, pair: tuple[int, int], seen: Any = SEEN) -> Iterator[int]:
        yield pair[1]


class Key:
    """A key that only pickle can encode."""


def with_state(begin: beam.PCollection) -> beam.PCollection:
    pairs = begin | beam.Map(lambda _: (1, 2)).with_output_types(tuple[int, int])
    return pairs | beam.ParDo(Stateful())


def with_side_input(begin: beam.PCollection) -> beam.PCollection:
    return begin | beam.Map(lambda x, side: x, side=beam.pvalue.AsList(begin))


def with_pickled_keys(begin: beam.PCollection) -> beam.PCollection:
    pairs = begin | beam.Map(lambda _: (Key(), 2)).with_output_types(tuple[Key, int])
    return pairs | beam.GroupByKey()


def too_large(begin: beam.PCollection) -> beam.PCollection:
    held = os.urandom(8_000_000)
    return begin | beam.Map(lambda _: held)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (with_state, "has state"),
        (with_side_input, "has side inputs"),
        (with_pickled_keys, "not deterministic"),
        (too_large, "Dataflow takes 10,000,000"),
    ],
    ids=["state", "side input", "keys", "size"],
)
def test_what_engines_differ_in_is_said(
    step: Callable[[beam.PCollection], beam.PCollection], said: str
) -> None:
    """A graph with a step outside of the portable subset, or a large one, is not passed over."""
    pipeline = beam.Pipeline("FnApiRunner")
    _ = step(pipeline | beam.Impulse())
    found = graph_check.problems(graph_check.EngineGraph("trial", pipeline.to_runner_api()))
    assert len(found) == 1
    assert said in found[0]


def test_names_of_files_stand_once_in_a_graph(job: Job) -> None:
    """Of the stages of dedup one needs them; in all five, 100,000 units would be more than Dataflow takes."""
    about = {
        "recipe": str(job.recipe),
        "files": [str(job.sample / "*.gz")],
        "output": str(job.output),
    }
    made, results = job_of(about), Results()
    cleaned = run_order.finished(made, "clean", fingerprints(made)["clean"])
    assert cleaned is not None
    results.add(cleaned)
    stages = run_order.plan(made, results, "dedup").stages
    assert [bool(stage.posts.files) for stage in stages] == [False, False, False, False, True]
