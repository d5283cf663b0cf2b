"""The loader beside NumPy, Arrow and torch alone: what a training image has."""

import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.packaging.test_project import PROJECT
from tests.packaging.wheels import Built, bare, build, link_packages, packages
from tests.tokenizer.loader.test_files import write_output

ALONE = ("numpy", "pyarrow", "torch")
"""What the loader needs."""
READS = """
import sys
import sluice, sluice.errors
dataset = sluice.TokenDataset("out", micro_batch_sequences=2, seed=7, columns=(
    "cu_seqlens", "position_ids", "document_ids", "labels", "sequences"))
loader = sluice.TokenLoader(dataset)
for number, batch in zip(range(3), loader):
    assert batch.tokens.shape == batch.labels.shape == batch.position_ids.shape
    print(batch.sequences.tolist())
again = sluice.TokenLoader(sluice.TokenDataset("out", micro_batch_sequences=2, seed=7))
again.load_state_dict(loader.state_dict())
try:
    sluice.TokenDataset("nowhere", micro_batch_sequences=2)
except sluice.errors.InputError as error:
    assert "finished run" in str(error)
assert not {"apache_beam", "numba", "msgspec"} & sys.modules.keys()
"""
REFUSES = """
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused!r}:
            raise ModuleNotFoundError(f"{{name}} is refused", name=name)
sys.meta_path.insert(0, Refused())
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with a small output."""
    write_output(tmp_path / "out", num_shards=2, each=300)
    return tmp_path


def refused() -> set[str]:
    """Returns the modules of our dependencies that are none of the loader's."""
    ours = {Requirement(line).name for line in PROJECT["dependencies"]}
    kept = {package.name.lower() for package in packages(ALONE, extra="")}
    of_module = packages_distributions().items()
    return {name for name, owners in of_module if {*map(str.lower, owners)} & (ours - kept)}


def test_the_loader_imports_nothing_else(work: Path) -> None:
    """A dataset is read, resumed and refused where no other dependency of ours can be imported."""
    assert {"apache_beam", "numba", "msgspec", "tokenizers", "awkward"} <= refused()
    code = REFUSES.format(refused=refused()) + READS
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=work, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert len(set(ran.stdout.splitlines())) == 3


def test_what_is_refused_is_refused(work: Path) -> None:
    """The check above can fail: torch refused, no dataset is made."""
    code = REFUSES.format(refused={"torch"}) + READS
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=work, capture_output=True, text=True, check=False
    )
    assert "TokenDataset needs torch" in ran.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.mark.slow
def test_the_wheel_without_its_dependencies(work: Path, built: Built) -> None:
    """What `pip install --no-deps` unpacks reads an output beside NumPy, Arrow and torch, and no more."""
    site = work / "site"
    zipfile.ZipFile(built.wheel).extractall(site)
    link_packages(packages(ALONE, extra=""), site)
    ran = subprocess.run(
        [sys.executable, "-S", "-c", READS],
        cwd=work,
        env={**bare(work), "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
