"""The example package of docs/plugin: installed from its folder, run, changed, missing and broken."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from apache_beam.internal import pickler

from sluice.pipeline import cli
from sluice.pipeline.engine.beam.graph import DoUnit
from sluice.pipeline.engine.failures import translated_failures
from sluice.pipeline.load_job import load_job
from sluice.pipeline.phases.clean import phase as clean
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.results import Results
from sluice.pipeline.phases.run_order import fingerprints
from sluice.pipeline.recipes import loader
from sluice.schemas.errors import FilterError
from tests.built_once import built_once
from tests.distributions import on_the_path
from tests.plugins.packages import installed, run_tests
from tests.repository import ROOT

RECIPE = str(ROOT / "docs" / "plugin" / "recipe.toml")
TEXTS = ("the boats leave at six", "tea $2, milk $3, bread 4 EUR", "a coffee for $3 and a chat")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the example is installed."""
    return built_once(tmp_path_factory, "example", lambda f: installed("plugin", f)) / "site"


@pytest.fixture
def posts(tmp_path: Path) -> str:
    path = tmp_path / "posts.jsonl"
    rows = [json.dumps({"id": str(i), "text": text}) for i, text in enumerate(TEXTS)]
    path.write_text("".join(f"{row}\n" for row in rows))
    return str(path)


def job_of(posts: str, folder: Path) -> Job:
    return load_job(loader.load(RECIPE), [posts], str(folder / "out"))


def test_its_own_tests_pass(site: Path) -> None:
    """Who copies the package begins with tests that pass."""
    assert "4 passed" in run_tests("plugin", site)


def test_a_recipe_runs_with_it(site: Path, posts: str, tmp_path: Path) -> None:
    """Its reject has its reason; report, page and manifest say whose filter it is.

    Who reads the output needs no filter of it.
    """
    out = tmp_path / "out"
    with on_the_path(site):
        assert cli.main(["run", RECIPE, "--input", posts, "--output", str(out)]) == 0
    (reject,) = pq.read_table(out / "rejects").to_pylist()
    assert [reject[k] for k in ("post_id", "stage", "reason", "score", "threshold")] == [
        "1",
        "price_count",
        "too_many_prices",
        3,
        2,
    ]
    origin = {
        "distribution": "sluice-prices",
        "version": "1.0",
        "reference": "sluice_prices.price_count:PriceCount",
    }
    report = json.loads((out / "report" / "report.json").read_text())
    assert [row["origin"] for row in report["filters"]] == [None, None, origin]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["filters"] == [
        {"name": "min_words", "version": 1, "origin": None},
        {"name": "price_count", "version": 1, "origin": origin},
    ]
    assert "sluice-prices 1.0" in (out / "report" / "report.html").read_text()
    assert cli.main(["verify", str(out)]) == 0
    assert cli.main(["inspect", str(out), "1"]) == 0


def test_its_scores_are_written(site: Path, posts: str, tmp_path: Path) -> None:
    """`sluice score` has a column for it, and says what its threshold would reject."""
    out = tmp_path / "out"
    with on_the_path(site):
        assert cli.main(["score", RECIPE, "--input", posts, "--output", str(out)]) == 0
    scores = pq.read_table(out / "scores").to_pylist()
    assert {row["post_id"]: row["price_count"] for row in scores} == {"0": 0, "1": 3, "2": 1}


def test_another_version_does_clean_again(site: Path, posts: str, tmp_path: Path) -> None:
    """The version of the distribution is in the fingerprint of clean, and so in those that follow."""
    about = site / "sluice_prices-1.0.dist-info"
    raised = tmp_path / "site" / "sluice_prices-1.1.dist-info"
    raised.mkdir(parents=True)
    metadata = (about / "METADATA").read_text()
    (raised / "METADATA").write_text(metadata.replace("Version: 1.0", "Version: 1.1"))
    (raised / "entry_points.txt").write_text((about / "entry_points.txt").read_text())
    (tmp_path / "site" / "sluice_prices").symlink_to(site / "sluice_prices")
    found = []
    for folder in (site, site, tmp_path / "site"):
        with on_the_path(folder):
            found.append(fingerprints(job_of(posts, tmp_path)))
    first, again, other = found
    assert first == again
    assert all(first[phase] != other[phase] for phase in first)


WORKER = """
import sys
from apache_beam.internal import pickler
do, unit = pickler.loads(open(sys.argv[1], "rb").read())
try:
    list(do.process(unit))
except Exception as error:
    print(type(error).__name__)
"""


def test_a_worker_without_it_stops_the_run_by_name(site: Path, posts: str, tmp_path: Path) -> None:
    """A process without the package unpickles the stage and reports what is missing; the driver says it."""
    with on_the_path(site):
        job = job_of(posts, tmp_path)
        plan = clean.plan(job, Results(), fingerprints(job)["clean"])
        sent = pickler.dumps((DoUnit(plan.stages[0]), plan.elements[0]))
    (tmp_path / "sent").write_bytes(sent)
    worker = subprocess.run(
        [sys.executable, "-c", WORKER, str(tmp_path / "sent")],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert worker.stdout == "FilterError\n", worker.stderr
    with pytest.raises(FilterError) as stopped, translated_failures([plan.stages[0].folder]):
        raise RuntimeError("what the engine says")
    assert "clean, unit-00000: filter 'price_count' needs sluice-prices 1.0 on every" in str(
        stopped.value
    )
    assert "pip install 'sluice-prices==1.0'" in str(stopped.value)


def test_a_breach_ends_the_run(
    site: Path,
    posts: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command ends with 2 and one line that names filter, distribution and what was returned."""
    with on_the_path(site):
        from sluice_prices.price_count import PriceCount

        original = PriceCount.build
        monkeypatch.setattr(
            PriceCount, "build", lambda spec: lambda batch: original(spec)(batch)[1:]
        )
        arguments = ["run", RECIPE, "--input", posts, "--output", str(tmp_path / "out")]
        assert cli.main([*arguments, "--set", "filters.price_count.max_prices=1"]) == 2
    (line,) = (x for x in capsys.readouterr().err.splitlines() if "breaks" in x)
    assert "filter 'price_count' of sluice-prices 1.0 breaks the contract of filters" in line
    assert "scores of 3 posts have shape (2,)" in line
