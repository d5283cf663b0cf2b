"""Processes that share the units of a step: each unit once, failures named, and no process left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from sluice.pipeline.engine.workers import UnitQueue, Workers
from sluice.pipeline.processes import child
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.failure import UnitError
from sluice.pipeline.units.manifest import Unit, done_units
from sluice.schemas.counts import NoCounts
from sluice.schemas.errors import WorkerError

UNITS = [Unit(f"unit-{i:05d}", i, i) for i in range(12)]
MEETING_SECONDS = 60.0


@dataclass(frozen=True)
class Meet:
    """Each process waits in its first unit until as many are there; units write which process did them."""

    folder: str
    processes: int
    name: str = "meet"
    counts: ClassVar = NoCounts

    def do(self, unit: Unit, attempt: Attempt) -> NoCounts:
        self.meet()
        path = attempt.path("who", suffix=".txt")
        Path(path).write_text(str(os.getpid()))
        attempt.add("who", path)
        return NoCounts()

    def meet(self) -> None:
        place = Path(self.folder).with_name("met")
        place.mkdir(exist_ok=True)
        (place / str(os.getpid())).touch()
        until = time.monotonic() + MEETING_SECONDS
        while len(list(place.iterdir())) < self.processes and time.monotonic() < until:
            time.sleep(0.01)


@dataclass(frozen=True)
class ElsewhereOnly(Meet):
    """As `Meet`; but in another process than the run's, `fate` comes over the unit."""

    run: int = 0
    fate: Callable[[], None] = os.abort

    def do(self, unit: Unit, attempt: Attempt) -> NoCounts:
        self.meet()
        if os.getpid() != self.run:
            self.fate()
        return Meet.do(self, unit, attempt)


def fail() -> None:
    raise ValueError("the text of a post")


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def who(folder: Path) -> set[str]:
    """Returns the processes that did the units of a stage."""
    return {Path(done.path("who")).read_text() for done in done_units(str(folder))}


def test_each_unit_is_done_once_by_one_of_the_processes(tmp_path: Path) -> None:
    """Three processes meet, and share twelve units; a second stage finds the same processes."""
    with Workers(3) as workers:
        for name in ("first", "second"):
            stage = Meet(str(tmp_path / name / "units"), 3)
            Path(stage.folder).parent.mkdir()
            workers.do(stage, UNITS)
            done = done_units(stage.folder)
            assert [d.unit for d in done] == [unit.name for unit in UNITS]
    first, second = (who(tmp_path / name / "units") for name in ("first", "second"))
    assert first == second
    assert len(first) == 3
    assert str(os.getpid()) in first


def test_a_stage_alone_stays_here(tmp_path: Path) -> None:
    """A model that takes all cores by itself is loaded in one process; nor does one unit start another."""
    with Workers(3) as workers:
        workers.do(Meet(str(tmp_path / "a"), 1), UNITS, alone=True)
        workers.do(Meet(str(tmp_path / "b"), 1), UNITS[:1])
    assert who(tmp_path / "a") == who(tmp_path / "b") == {str(os.getpid())}


@pytest.mark.parametrize(
    ("fate", "error", "message"),
    [
        (fail, UnitError, "elsewhere"),
        (be_killed, WorkerError, r"worker process \d+ was killed \(SIGKILL\).*--workers N"),
    ],
)
def test_what_goes_wrong_elsewhere_ends_the_step(
    tmp_path: Path, fate: Callable[[], None], error: type[Exception], message: str
) -> None:
    """A unit that fails, or a process that dies, is the error of the step; what is not begun stays undone."""
    stage = ElsewhereOnly(str(tmp_path / "units"), 2, name="elsewhere", run=os.getpid(), fate=fate)
    with Workers(2) as workers, pytest.raises(error, match=message) as raised:
        workers.do(stage, UNITS)
    assert "text of a post" not in str(raised.value)
    assert len(done_units(stage.folder)) < len(UNITS)


def test_workers_end_with_the_run(tmp_path: Path) -> None:
    """A run that is killed takes its processes with it, whatever they do."""
    program = (
        "from tests.pipeline.engine.test_workers import *\n"
        f"stage = Meet({str(tmp_path / 'units')!r}, 3)\n"
        "with Workers(2) as workers: workers.do(stage, UNITS)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", program], env=child.environment())
    met = tmp_path / "met"
    while not met.is_dir() or len(list(met.iterdir())) < 2:
        assert run.poll() is None
        time.sleep(0.02)
    run.kill()
    run.wait()
    until = time.monotonic() + MEETING_SECONDS
    while any(Path(f"/proc/{pid.name}").exists() for pid in met.iterdir()):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_failure_leaves_nothing_to_begin() -> None:
    """What nobody has begun is dropped, and who asks gets nothing."""
    queue = UnitQueue(UNITS)
    assert next(iter(queue)) == UNITS[0]
    queue.clear()
    assert list(queue) == []
