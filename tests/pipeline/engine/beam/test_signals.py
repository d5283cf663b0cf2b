"""Signals while a run waits for a job on a cluster: the job is told, then the run ends with a line."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WAITING = """
import sys, time
from pathlib import Path
from sluice.pipeline.engine.beam.run import _finish
from sluice.pipeline.processes.signals import stopped_by_signals

class Job:
    def wait_until_finish(self):
        Path(sys.argv[1], "waits").touch()
        time.sleep(60)

    def cancel(self):
        Path(sys.argv[1], "cancelled").touch()
        if sys.argv[2] == "slow":
            time.sleep(60)

with stopped_by_signals():
    _finish(Job(), [])
"""


def waiting(folder: Path, cancel: str) -> "subprocess.Popen[str]":
    """Returns a process that waits for a job, when it does."""
    command = [sys.executable, "-c", WAITING, str(folder), cancel]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (folder / "waits").exists():
        assert process.poll() is None
        time.sleep(0.01)
    return process


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")]
)
def test_a_job_elsewhere_is_cancelled(tmp_path: Path, number: int, word: str) -> None:
    """The job ends with the run, and the run with one line and the shell's exit code."""
    process = waiting(tmp_path, "quick")
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert (tmp_path / "cancelled").exists()
    assert process.returncode == 128 + number
    assert told.strip().splitlines()[-1].startswith(f"sluice: {word}; finished units are kept")
    assert "Traceback" not in told


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    """Where the cluster does not answer, another Ctrl-C ends the run."""
    process = waiting(tmp_path, "slow")
    process.send_signal(signal.SIGINT)
    while not (tmp_path / "cancelled").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
