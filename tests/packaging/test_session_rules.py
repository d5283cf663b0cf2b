"""The rules of a session of tests hold, in one process and in two."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.repository import ROOT

PROCESSES = pytest.mark.parametrize("processes", ["0", "2"])


def session(folder: Path, text: str, *options: str, **environment: str) -> tuple[int, str]:
    """Runs a file of tests under the rules; returns the exit code and what was said."""
    (folder / "test_it.py").write_text(f"import sys\nimport pytest\n{text}\n")
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("SLUICE", "PYTEST"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-p", "tests.session_rules"]
    done = subprocess.run(
        [*command, *options, "--rootdir", folder, folder / "test_it.py"],
        cwd=folder,
        env={**ours, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


SKIPS = """
def test_passes(): pass
def test_skips(): pytest.skip("torch is missing")
@pytest.mark.nightly
def test_long(): assert False
@pytest.mark.real
def test_real(): assert False
"""


@PROCESSES
def test_a_skip_fails_in_ci(tmp_path: Path, processes: str) -> None:
    """A skip passes here and fails there; what is deselected is neither."""
    assert session(tmp_path, SKIPS, "-n", processes)[0] == 0
    code, said = session(tmp_path, SKIPS, "-n", processes, SLUICE_CI="1")
    assert code == 1
    assert "1 failed, 1 passed" in said


def test_a_file_that_is_skipped_fails_in_ci(tmp_path: Path) -> None:
    """So is a file that needs what is not installed."""
    text = "pytest.importorskip('no_such_package')\ndef test_it(): pass"
    assert session(tmp_path, text)[0] == 5
    code, said = session(tmp_path, text, SLUICE_CI="1")
    assert code not in (0, 5)
    assert "no_such_package" in said


@PROCESSES
def test_the_night_runs_all(tmp_path: Path, processes: str) -> None:
    """With --nightly or SLUICE_NIGHTLY what is sized for a night runs, too."""
    for options, environment in (("--nightly",), {}), ((), {"SLUICE_NIGHTLY": "1"}):
        code, said = session(tmp_path, SKIPS, "-n", processes, *options, **environment)
        assert code == 1
        assert "1 failed, 1 passed, 1 skipped" in said


@PROCESSES
def test_a_bare_name_of_ours_fails(tmp_path: Path, processes: str) -> None:
    """A test that imports `pipeline` fails, and the next one does not."""
    (tmp_path / "pipeline.py").write_text("")
    text = "def test_it(): import pipeline\ndef test_next(): pass"
    code, said = session(tmp_path, text, "-n", processes)
    assert code == 1
    assert "pipeline was imported by its bare name: it is sluice.pipeline" in said
    assert "1 error" in said


WHERE = """
import os
@pytest.mark.parametrize("n", range(6))
def test_it(n):
    with open(f"ran-{os.getpid()}-{n}", "w"): pass
"""


def test_a_file_stays_in_one_process(tmp_path: Path) -> None:
    """The tests of a file run in one process, those of two files in two."""
    (tmp_path / "test_other.py").write_text(f"import pytest\n{WHERE}")
    code, said = session(tmp_path, WHERE, "-n", "2", str(tmp_path / "test_other.py"))
    assert code == 0, said
    ran = Counter(path.name.split("-")[1] for path in tmp_path.glob("ran-*"))
    assert list(ran.values()) == [6, 6]


def test_what_is_built_once_is_built_once(tmp_path: Path) -> None:
    """Two processes that ask for a folder at once get the same, which one of them has filled."""
    text = f"""
import time
from tests.built_once import built_once
def slow(folder):
    time.sleep(0.5)
    with open({str(tmp_path / "log")!r}, "a") as log:
        log.write("built ")
    (folder / "made").touch()
def test_it(tmp_path_factory):
    assert (built_once(tmp_path_factory, "it", slow) / "made").exists()
"""
    (tmp_path / "test_other.py").write_text(text)
    code, said = session(tmp_path, text, "-n", "2", str(tmp_path / "test_other.py"))
    assert code == 0, said
    assert (tmp_path / "log").read_text() == "built "
