"""The example packages of docs/, installed by pip from their own folders."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.repository import ROOT


def installed(name: str, folder: Path) -> Path:
    """Installs docs/NAME into a folder below the given one, and returns it; nothing is fetched."""
    source, site = folder / name, folder / "site"
    shutil.copytree(ROOT / "docs" / name, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(site)]
    subprocess.run([*pip, *options, str(source)], check=True)
    return site


def run_tests(name: str, site: Path, *, python: str = sys.executable) -> str:
    """Runs the package's own tests where it is installed; returns what pytest prints last."""
    command = [
        python,
        "-m",
        "pytest",
        "-q",
        "-c",
        os.devnull,
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
    ]
    done = subprocess.run(
        [*command, "--rootdir", str(site), str(ROOT / "docs" / name / "tests")],
        env={**os.environ, "PYTHONPATH": f"{site}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]
