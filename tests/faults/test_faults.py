"""A small part of the nightly run: 20 kills, and a try of every other fault."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.__main__ import KINDS, table, tried
from tests.faults.lab import Ended, LostError, Outcome

KILLS = 20


@pytest.mark.slow
def test_nothing_is_lost(tmp_path: Path) -> None:
    """After every fault the same command gives the bytes of the undisturbed run."""
    written = tmp_path / "table.md"
    # A process that was fresh when it began: what is forked must not inherit the threads of other tests.
    command = [sys.executable, "-m", "tests.faults", "--kills", str(KILLS), "--tries", "1"]
    done = subprocess.run([*command, "--table", str(written)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    rows = [row.split("|")[1:-1] for row in written.read_text().splitlines()[2:] if row]
    assert [row[0].strip() for row in rows] == list(KINDS)
    faults = {row[0].strip(): int(row[2]) for row in rows}
    assert faults["kill"] + faults["kill-workers"] >= KILLS
    assert all(int(row[-1]) == 0 for row in rows)


def test_what_is_lost_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A try that fails, or that finds other bytes, is a row of lost ones, with the seed to repeat it."""

    class Lab:
        folder = tmp_path

    def lose(lab: object, draw: object, seed: str) -> Outcome:
        raise LostError("other bytes")

    monkeypatch.setitem(KINDS, "kill", lose)
    outcome = tried("kill", Lab(), "5.2")
    assert outcome.how == "lost"
    told = table([outcome, Outcome("clock", "5", "survived", "3 jumps", 3)])
    assert "| kill | 1 | 1 | 0 | 0 | 1 |" in told
    assert "| clock | 1 | 3 | 1 | 0 | 0 |" in told
    assert "--only kill --seed 5.2 --tries 1\nother bytes" in told


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, "sluice: this is well"),
        (1, "Traceback (most recent call last):\nsluice: out of memory"),
        (1, "OSError: [Errno 28] No space left on device"),
        (-11, "sluice: anything"),
    ],
)
def test_what_is_no_clear_error(code: int, said: str) -> None:
    """A traceback, a line of a library and a crash are no errors that a person can use."""
    with pytest.raises(LostError):
        Ended(code, said).check_clear()


def test_what_is_a_clear_error() -> None:
    """One line of ours at the end, and an exit code that says so."""
    Ended(1, "4 input files\nsluice: tokens: the disk is full\n").check_clear()
