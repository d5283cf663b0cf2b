"""The wheel and the sdist of this checkout, built as `make dist` does, and an empty venv with the wheel."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.repository import ROOT

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
    """An empty venv with the wheel and the extra `sample` in it; nobody can write to it.

    Attributes:
        report: what pip says that it installed.
    """

    folder: Path
    report: dict[str, Any]

    @property
    def sluice(self) -> str:
        return str(self.folder / "bin" / "sluice")


def install(wheel: Path, folder: Path) -> Installed:
    """Makes a venv and installs the wheel with pip, from the index, as a newcomer does."""
    subprocess.run([_python_of_all(), "-m", "venv", "--without-pip", folder], check=True)
    report = folder / "report.json"
    options = ["--quiet", "--disable-pip-version-check", "--no-compile", "--report", report]
    command = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install"]
    subprocess.run([*command, *options, f"{wheel}[sample]"], check=True, env=bare(folder))
    subprocess.run(["chmod", "-R", "a-w", folder], check=True)
    return Installed(folder, json.loads(report.read_text()))


def _python_of_all() -> str:
    """Returns a Python that every user may start: root's own may lie in a folder that is closed."""
    for path in (Path(getattr(sys, "_base_executable")), Path("/usr/bin/python3")):  # noqa: B009
        if all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents):
            return str(path)
    raise AssertionError("no Python that every user may start")


def bare(home: Path) -> dict[str, str]:
    """Returns an environment without anything of ours: no PYTHONPATH, no cache of kernels, another home."""
    ours = ("PYTHON", "SLUICE", "XDG", "NUMBA", "VIRTUAL_ENV", "HOME")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    return {**kept, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
