"""What is published: the files of wheel and sdist, and that the wheel alone runs the sample job."""

import hashlib
import importlib.util
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.packaging.wheels import (
    EPOCH,
    Built,
    Installed,
    bare,
    build,
    install,
    link_packages,
    our_kernels,
    packages,
)
from tests.repository import ROOMS, ROOT

pytestmark = pytest.mark.slow
NOBODY = 65534
ENCODER = Path("filters", "models", "encoder")
"""A distribution of its own."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module", params=["linked", pytest.param("index", marks=pytest.mark.nightly)])
def installed(built: Built, open_folder: Path, request: pytest.FixtureRequest) -> Installed:
    """The wheel in an empty venv, with its dependencies linked from ours, or at night from the index."""
    folder = open_folder / request.param
    folder.mkdir()
    return install(built.wheel, folder / "venv", from_index=request.param == "index")


def in_wheel(built: Built) -> set[str]:
    with zipfile.ZipFile(built.wheel) as archive:
        return set(archive.namelist())


def metadata(built: Built) -> Message:
    name = f"sluice-{version_of(built)}.dist-info/METADATA"
    with zipfile.ZipFile(built.wheel) as archive:
        return HeaderParser().parsestr(archive.read(name).decode())


def version_of(built: Built) -> str:
    return str(tomllib.loads((built.tree / "pyproject.toml").read_text())["project"]["version"])


def files(tree: Path, *folders: str) -> set[str]:
    """Returns the files below folders of a tree, but for the encoder's."""
    paths = (p for folder in folders for p in (tree / folder).rglob("*") if p.is_file())
    return {
        str(p.relative_to(tree))
        for p in paths
        if "__pycache__" not in p.parts and tree / ENCODER not in p.parents
    }


def test_the_wheel_holds_the_packages_and_nothing_else(built: Built) -> None:
    """Every module, model, card, recipe, template and py.typed; no tests, design notes or caches."""
    dist_info = {name for name in in_wheel(built) if ".dist-info/" in name}
    rooms = {f"sluice/{name}" for name in files(built.tree, *ROOMS)}
    own = {f"sluice/{p.name}" for p in (built.tree / "sluice").iterdir() if p.is_file()}
    assert in_wheel(built) - dist_info == (rooms | own) - {"sluice/pipeline/DESIGN.md"}
    assert {name.partition("/")[2] for name in dist_info} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "top_level.txt",
        "licenses/LICENSE",
    }


def test_the_encoders_wheel_is_data_alone(built: Built, tmp_path: Path) -> None:
    """Its own wheel has what stands in its folder: no module, no more than 30 MB; its licences are stated."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path]
    subprocess.run([*command, built.tree / ENCODER], check=True, capture_output=True)
    (wheel,) = tmp_path.iterdir()
    folder = ROOT / ENCODER / "sluice_encoder"
    with zipfile.ZipFile(wheel) as archive:
        names = {n for n in archive.namelist() if ".dist-info/" not in n}
        (said,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
        stated = HeaderParser().parsestr(archive.read(said).decode())
    assert names == {f"sluice_encoder/{path.name}" for path in folder.iterdir()}
    assert not any(name.endswith(".py") for name in names)
    assert wheel.name.startswith("sluice_encoder-")
    assert wheel.stat().st_size < 30_000_000
    assert stated["License-Expression"] == "Apache-2.0 AND MIT"


def test_the_wheel_is_typed(built: Built) -> None:
    """Type checkers read our annotations."""
    assert "sluice/py.typed" in in_wheel(built)


def test_the_sdist_holds_all_that_the_checks_need(built: Built) -> None:
    """Code, tests, docs, benchmarks and build files; with it, but for what setuptools adds, nothing else."""
    with tarfile.open(built.sdist) as archive:
        names = {m.name.partition("/")[2] for m in archive if m.isfile()}
    by_setuptools = {n for n in names if n.startswith("sluice.egg-info/")} | {
        "PKG-INFO",
        "setup.cfg",
    }
    folders = (*ROOMS, "tests", "docs", "benchmarks", ".ci")
    top = {p.name for p in built.tree.iterdir() if p.is_file()}
    own = {f"sluice/{p.name}" for p in (built.tree / "sluice").iterdir() if p.is_file()}
    assert names - by_setuptools == files(built.tree, *folders) | own | top


def test_metadata(built: Built) -> None:
    """Version, Python, licences and the page of the index are those of the project."""
    stated = metadata(built)
    assert stated["Version"] == version_of(built)
    assert stated["Requires-Python"] == ">=3.11"
    assert stated["License-Expression"] == "Apache-2.0 AND CC-BY-SA-4.0"
    assert stated["Description-Content-Type"] == "text/markdown"
    assert stated.get_payload().strip() == (ROOT / "README.md").read_text("utf-8").strip()
    assert set(stated.get_all("Provides-Extra")) >= {"sample", "train", "transformers", "dev"}


def test_archives_say_nothing_of_the_build(built: Built) -> None:
    """Files of the wheel have one time, that of the commit, plain modes, and are in the order of RECORD."""
    with zipfile.ZipFile(built.wheel) as archive:
        entries = archive.infolist()
        record = archive.read(f"sluice-{version_of(built)}.dist-info/RECORD").decode()
    assert {entry.date_time for entry in entries} == {time.gmtime(int(EPOCH))[:6]}
    assert {entry.external_attr >> 16 & 0o7777 for entry in entries} <= {0o644, 0o664, 0o755}
    names = [entry.filename for entry in entries]
    assert names == [line.split(",")[0] for line in record.splitlines()]
    assert str(built.tree).encode() not in built.wheel.read_bytes()


@pytest.mark.nightly
def test_the_same_tree_gives_the_same_wheel(built: Built, tmp_path: Path) -> None:
    """A second build, in another folder and at another time, gives the same bytes."""
    assert build(tmp_path).wheel.read_bytes() == built.wheel.read_bytes()


class User(NamedTuple):
    """A user who owns nothing but a home and a folder to work in."""

    home: Path
    work: Path

    def run(self, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a command as the user, in the folder; it must not fail."""
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
        ran = subprocess.run(
            command,
            cwd=self.work,
            env={**bare(self.home), **environment},
            capture_output=True,
            text=True,
            **user,
        )
        assert ran.returncode == 0, ran.stderr
        return ran


def user_at(folder: Path, *, kernels: Path | None = None) -> User:
    """Makes the folders of a user, with kernels that are compiled already."""
    user = User(folder / "home", folder / "work")
    for folder_of_user in user:
        folder_of_user.mkdir()
    if kernels is not None and kernels.exists():
        shutil.copytree(kernels, user.home / ".cache" / "sluice")
    if os.getuid() == 0:
        for path in (*user, *user.home.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    return user


MINE = "mine = True\n"
LOOK = """
import sys
import filters, pipeline, schemas, tokenizer
assert filters.mine and pipeline.mine and schemas.mine and tokenizer.mine
import sluice
import sluice.pipeline.cli, sluice.filters.registry, sluice.tokenizer.loader.files
assert sluice.pipeline.__file__ != pipeline.__file__
assert sluice.__file__.startswith(sys.argv[1])
"""
NAMES = """
import importlib.util
for name in ("filters", "pipeline", "schemas", "tokenizer", "tests", "benchmarks"):
    assert importlib.util.find_spec(name) is None, name
"""
BATCH = """
import sluice
dataset = sluice.TokenDataset("out", micro_batch_sequences=2)
batch = next(iter(sluice.TokenLoader(dataset)))
print(*batch.tokens.shape)
"""


@pytest.fixture(scope="module")
def user(installed: Installed) -> User:
    """A user of the installed wheel, with modules of the names of ours; at night without compiled kernels."""
    folder = installed.folder.parent
    user = user_at(folder, kernels=None if folder.name == "index" else our_kernels())
    for room in ROOMS:
        (user.work / f"{room}.py").write_text(MINE)
    return user


def test_the_wheel_runs_beside_modules_of_the_user(installed: Installed, user: User) -> None:
    """A normal user, modules of their own, a venv that is read-only: the commands and the loader work."""
    home, work = user
    fresh = not (home / ".cache").exists()
    before = files(installed.folder, "lib")

    def sluice(*words: str) -> subprocess.CompletedProcess[str]:
        return user.run(installed.sluice, *words)

    assert sluice("--version").stdout == f"sluice {version('sluice')}\n"
    sluice("sample", "--posts", "500", "posts")
    first = sluice("run", "sample", "--input", "posts/*.jsonl.gz", "--output", "out")
    if fresh:
        assert first.stderr.startswith("compiling kernels")
    assert "500 read = " in first.stdout
    assert sluice("verify", "out").stdout.endswith("out: as its manifest says\n")
    assert (
        "compiling"
        not in sluice("run", "sample", "--input", "posts/*.gz", "--output", "out").stderr
    )
    batch = user.run(
        installed.python, "-c", BATCH, PYTHONPATH=str(torch_at(installed.folder.parent))
    )
    assert batch.stdout.split()[0] == "2"
    assert files(installed.folder, "lib") == before
    cache = home / ".cache" / "sluice"
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert {p.name for p in work.iterdir()} == {"posts", "out", *(f"{room}.py" for room in ROOMS)}


def test_the_names_of_users_stay_theirs(installed: Installed, user: User) -> None:
    """The wheel installs `sluice` alone: beside a user's own pipeline.py and filters.py both are found."""
    user.run(installed.python, "-P", "-c", NAMES)
    user.run(installed.python, "-c", LOOK, str(installed.folder))


def torch_at(folder: Path) -> Path:
    """Returns a folder of packages with torch, as the extra `train` brings it."""
    site = folder / "torch"
    site.mkdir()
    link_packages(packages(["torch"], extra=""), site)
    return site


def test_the_wheel_brings_no_more_than_it_says(installed: Installed) -> None:
    """Torch and what tests need stay away from those who did not ask for them."""
    names = {row["metadata"]["name"].lower() for row in installed.report["install"]}
    assert {"sluice", "apache-beam", "wordfreq"} <= names
    assert not names & {"torch", "transformers", "pytest", "scipy", "hypothesis", "pyspark"}


def test_without_an_extra_the_message_names_it(installed: Installed) -> None:
    """A dataset that is made without torch says which extra brings it."""
    code = "import sluice; sluice.TokenDataset('out', micro_batch_sequences=1)"
    ran = subprocess.run(
        [installed.python, "-c", code],
        env=bare(installed.folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode != 0
    assert "pip install 'sluice[train]'" in ran.stderr


def test_the_bill_of_materials(built: Built, installed: Installed) -> None:
    """The CycloneDX document is valid, and names what was installed with version, licence and hash."""
    report = installed.folder / "report.json"
    command = [sys.executable, ROOT / ".ci" / "sbom.py", built.wheel, "--report", report]
    documents = []
    for _ in range(2):
        subprocess.run(command, check=True, capture_output=True)
        documents.append(built.wheel.with_name(f"sluice-{version_of(built)}.cdx.json").read_bytes())
    assert documents[0] == documents[1]
    bom = json.loads(documents[0])
    digest = hashlib.sha256(built.wheel.read_bytes()).hexdigest()
    assert bom["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": digest}]
    packages = {c["purl"]: c for c in bom["components"] if "purl" in c}
    wanted = [row for row in installed.report["install"] if row["metadata"]["name"] != "sluice"]
    assert len(packages) == len(wanted) > 50
    for row in wanted:
        metadata_of = row["metadata"]
        name = metadata_of["name"].lower().replace("_", "-").replace(".", "-")
        listed = packages[f"pkg:pypi/{name}@{metadata_of['version']}"]
        assert (
            listed["hashes"][0]["content"]
            == row["download_info"]["archive_info"]["hashes"]["sha256"]
        )
        assert listed["licenses"]
    models = {c["name"] for c in bom["components"] if c["type"] == "machine-learning-model"}
    assert models == {n for n in in_wheel(built) if n.endswith((".ftz", ".table"))}


def test_make_dist_builds_as_the_tests_do() -> None:
    """`make dist` calls the same build, and the document's maker."""
    lines = (ROOT / "Makefile").read_text()
    assert "-m build --no-isolation --outdir dist" in lines
    assert ".ci/sbom.py" in lines
    assert importlib.util.find_spec("build") is not None
