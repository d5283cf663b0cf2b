"""The main job on a Spark cluster on this machine: the bytes of the local run, whatever dies."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.__main__ import run_job, sample
from tests.cluster.compare import compare
from tests.cluster.events import failed_tasks, records_by_worker
from tests.cluster.spark import Cluster, Software, running
from tests.repository import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
SOFTWARE = ROOT / ".venv-spark"
POSTS = 5_000
MANY = 50_000


@pytest.fixture(scope="module", params=[POSTS, pytest.param(MANY, marks=pytest.mark.nightly)])
def posts(request: pytest.FixtureRequest) -> int:
    """How many synthetic posts there are."""
    return int(request.param)


@pytest.fixture(scope="module")
def folder(posts: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the synthetic posts, and the local run's output as `local`."""
    folder = tmp_path_factory.mktemp("cluster")
    run_job("sample", sample(folder, posts), folder / "local")
    return folder


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[Cluster]:
    """One cluster for all tests."""
    if not (SOFTWARE / ".installed").exists():
        pytest.skip("no .venv-spark: make install")
    with running(Software.at(SOFTWARE), logs=folder / "logs") as cluster:
        yield cluster


def test_workers_have_the_wheel(cluster: Cluster) -> None:
    """What a worker imports is the installed wheel, not this checkout; its packages may be those of .venv."""
    look = "import sluice.pipeline.cli as cli; print(cli.__file__)"
    command = [SOFTWARE / "bin" / "python", "-I", "-c", look]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert Path(done.stdout.strip()).is_relative_to(SOFTWARE)


@pytest.mark.nightly
def test_spark_writes_the_bytes_of_the_local_run(
    folder: Path, cluster: Cluster, posts: int
) -> None:
    """All files of the contract and the ledger are those of the local run; both workers did units.

    With each commit the next test says so, of a run whose workers die.
    """
    run_job("sample", sample(folder, posts), folder / "spark", cluster.flags)
    compared = compare(folder / "local", folder / "spark")
    assert compared.files > 10
    assert compared.differences == ()
    shares = records_by_worker(cluster.logs)
    assert len(shares) == 2
    assert min(shares.values()) > 0.2 * shares.total()
    assert not failed_tasks(cluster.logs)


def kill_once(after: Callable[[], bool], victims: Callable[[], list[int]]) -> threading.Thread:
    """Returns a thread that kills the first of the victims when something has happened."""

    def watch() -> None:
        while not (after() and victims()):
            time.sleep(0.02)
        os.kill(victims()[0], signal.SIGKILL)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def has_units(output: Path, stage: str) -> Callable[[], bool]:
    """Returns a function that says whether a unit of a stage is done: others are being done then."""
    return lambda: any(output.glob(f"work/*/{stage}/unit-*.json"))


def test_killed_workers_do_not_show(folder: Path, cluster: Cluster, posts: int) -> None:
    """A Python worker dies in clean, an executor in tokens: Spark tries again, no byte is another.

    Those are all files of the contract and the ledger; both workers did units.
    """
    output, before = folder / "killed", failed_tasks(cluster.logs)
    killers = [
        kill_once(has_units(output, "clean"), cluster.python_workers),
        kill_once(has_units(output, "encode"), cluster.executors),
    ]
    run_job("sample", sample(folder, posts), output, cluster.flags)
    for killer in killers:
        killer.join(1)
        assert not killer.is_alive(), "no process was killed"
    compared = compare(folder / "local", output)
    assert compared.files > 10
    assert compared.differences == ()
    assert len(records_by_worker(cluster.logs)) >= 2
    failed = failed_tasks(cluster.logs) - before
    assert failed["ExceptionFailure"] > 0, "the Python worker's task did not fail"
    assert failed["ExecutorLostFailure"] > 0
