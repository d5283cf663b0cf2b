"""The main job on a Spark cluster on this machine: the bytes of the local run, whatever dies."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.__main__ import run_job, sample
from tests.cluster.compare import compare
from tests.cluster.events import failed_tasks, records_by_worker
from tests.cluster.spark import Cluster, Software, running

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
SOFTWARE = Path(__file__).parents[2] / ".venv-spark"
POSTS = 50_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the synthetic posts, and the local run's output as `local`."""
    made = tmp_path_factory.mktemp("cluster")
    run_job("sample", sample(made, POSTS), made / "local")
    return made


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[Cluster]:
    """One cluster for all tests."""
    if not (SOFTWARE / ".installed").exists():
        pytest.skip("no .venv-spark: make install")
    with running(Software.at(SOFTWARE), logs=folder / "logs") as made:
        yield made


def test_spark_writes_the_bytes_of_the_local_run(folder: Path, cluster: Cluster) -> None:
    """All files of the contract and the ledger are those of the local run; both workers did units."""
    run_job("sample", sample(folder, POSTS), folder / "spark", cluster.flags)
    found = compare(folder / "local", folder / "spark")
    assert found.files > 10
    assert found.differences == ()
    shares = records_by_worker(cluster.logs)
    assert len(shares) == 2
    assert min(shares.values()) > 0.2 * shares.total()
    assert not failed_tasks(cluster.logs)
