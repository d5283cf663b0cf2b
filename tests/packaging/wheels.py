"""The wheel and the sdist of this checkout, built as `make dist` does, and an empty venv with the wheel."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement

from tests.repository import ROOT

sys.path.insert(0, str(ROOT / ".ci"))
import licences

EPOCH = "1750000000"
NOT_OURS = shutil.ignore_patterns(
    *(".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info", "build", "dist"),
    *("shared", "sluice-*", ".checks"),
)


class Built(NamedTuple):
    """What a build gives.

    Attributes:
        tree: the copy of the checkout that it is made of.
    """

    tree: Path
    wheel: Path
    sdist: Path


def build(folder: Path) -> Built:
    """Builds the sdist, and of it the wheel, in a copy of the checkout: without what earlier builds left."""
    tree = shutil.copytree(ROOT, folder / "tree", ignore=NOT_OURS, symlinks=True)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", tree],
        check=True,
        capture_output=True,
        env={
            **os.environ,
            "SOURCE_DATE_EPOCH": EPOCH,
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        },
    )
    return Built(tree, *sorted((folder / "dist").iterdir()))


class Installed(NamedTuple):
    """An empty venv with the wheel and the extra `sample` in it; it is read-only.

    Attributes:
        report: what pip says that it installed, or would have said.
    """

    folder: Path
    report: dict[str, Any]

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def sluice(self) -> str:
        return str(self.folder / "bin" / "sluice")


def install(wheel: Path, folder: Path, *, from_index: bool) -> Installed:
    """Makes a venv and installs the wheel with pip.

    Its dependencies come from the index, as for a newcomer, or are those packages of this venv that the
    metadata of the wheel ask for, and theirs, and no others.
    """
    subprocess.run([_python_of_all(), "-m", "venv", "--without-pip", folder], check=True)
    report = folder / "report.json"
    options = ["--quiet", "--disable-pip-version-check", "--no-compile", "--report", report]
    options += [] if from_index else ["--no-deps"]
    command = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install"]
    subprocess.run([*command, *options, f"{wheel}[sample]"], check=True, env=bare(folder))
    said = json.loads(report.read_text())
    if not from_index:
        distributions = packages(said["install"][0]["metadata"]["requires_dist"], extra="sample")
        link_packages(distributions, next(folder.glob("lib/python3*/site-packages")))
        said["install"] += [_row(package) for package in distributions]
        report.write_text(json.dumps(said))
    for parent, _, names in os.walk(folder):
        os.chmod(parent, 0o555)
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink() and path.stat().st_nlink == 1:  # others' files are links
                path.chmod(path.stat().st_mode & ~0o222)
    return Installed(folder, said)


def packages(requirements: Iterable[str], *, extra: str) -> list[Distribution]:
    """Returns the packages of this venv that requirements ask for, with those of an extra, and theirs."""
    wanted = [Requirement(line) for line in requirements]
    mine = [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": extra})]
    for requirement in mine:
        requirement.marker = None
    return list(licences.needed(map(str, mine)).values())


def link_packages(distributions: Iterable[Distribution], site: Path) -> None:
    """Links the files of installed packages, compiled ones too, into a folder of packages."""
    for package in distributions:
        for file in package.files or ():
            source, target = Path(str(file.locate())), site / file
            if ".." in file.parts or not source.exists() or target.exists():
                continue  # programs in bin/; a compiled file that is there already
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, target)
            for compiled in source.parent.glob(f"__pycache__/{source.stem}.*.pyc"):
                place = target.parent / "__pycache__" / compiled.name
                place.parent.mkdir(exist_ok=True)
                if not place.exists():
                    os.link(compiled, place)


def _row(package: Distribution) -> dict[str, Any]:
    """Returns a row of pip's report, with the hash of the list of files in place of the archive's."""
    metadata = package.metadata.json
    listed = hashlib.sha256((package.read_text("RECORD") or "").encode()).hexdigest()
    return {"metadata": metadata, "download_info": {"archive_info": {"hashes": {"sha256": listed}}}}


def _python_of_all() -> str:
    """Returns a Python that every user may start: root's own may be in a folder that is closed."""
    for path in (Path(sys._base_executable), Path("/usr/bin/python3")):
        if all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents):
            return str(path)
    raise AssertionError("no Python that every user may start")


def bare(home: Path) -> dict[str, str]:
    """Returns an environment without anything of ours: no PYTHONPATH, no cache of kernels, another home."""
    ours = ("PYTHON", "SLUICE", "XDG", "NUMBA", "VIRTUAL_ENV", "HOME")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    return {**kept, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}


def our_kernels() -> Path:
    """Returns the folder of the compiled kernels of these tests."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("SLUICE_CACHE_DIR") or Path(cache) / "sluice")
