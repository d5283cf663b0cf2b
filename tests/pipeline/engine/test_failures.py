"""What an engine's failure becomes for the user."""

import errno
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from sluice.pipeline import commands
from sluice.pipeline.engine.beam.graph import build
from sluice.pipeline.engine.beam.options import beam_options
from sluice.pipeline.engine.beam.quiet import quiet
from sluice.pipeline.engine.failures import translated_failures
from sluice.pipeline.engine.inline import InlineEngine
from sluice.pipeline.engine.workers import Workers
from sluice.pipeline.phases.planned import PhasePlan, Step
from sluice.pipeline.processes.signals import stopped_by_signals
from sluice.pipeline.units.failure import failures
from sluice.pipeline.units.manifest import Unit
from sluice.schemas.errors import SluiceError
from tests.pipeline.units.test_units import Stage

FULL = OSError(errno.ENOSPC, "No space left on device", "work/unit.arrow")


def under_beam(plan: PhasePlan) -> None:
    build(plan, beam_options(["--direct_running_mode=in_memory"])).run()


def inline(plan: PhasePlan) -> None:
    with Workers(1) as workers:
        InlineEngine(workers).run(plan)


Run = Callable[[Path, Exception], None]


@pytest.fixture(params=[under_beam, inline])
def run_stage(request: pytest.FixtureRequest) -> Run:
    """Runs one unit that fails, on an engine, as a phase does."""

    def run(folder: Path, failure: Exception) -> None:
        stage = Stage(folder, fail=failure)
        units = [Unit("unit-00000", "text")]
        with translated_failures([stage.folder]), quiet():
            request.param(PhasePlan("phase", "", str(folder), units, [Step(stage)]))

    return run


def test_what_the_system_refuses_is_told(tmp_path: Path, run_stage: Run) -> None:
    """The error names stage, unit and file, and says how to resume."""
    with pytest.raises(SluiceError) as error:
        run_stage(tmp_path / "s", FULL)
    told = str(error.value)
    assert told.startswith(
        "stage, unit-00000: [Errno 28] No space left on device: 'work/unit.arrow'"
    )
    assert told.endswith("fix it and run the same command again")


def test_a_disk_too_full_for_the_word_of_its_unit(
    tmp_path: Path, run_stage: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not even the failure can be written, what the engine says of it is told."""

    def refuse(*_: object) -> None:
        raise FULL

    monkeypatch.setattr("sluice.pipeline.units.failure.write_json", refuse)
    with pytest.raises(SluiceError) as error:
        run_stage(tmp_path / "s", FULL)
    assert failures([str(tmp_path / "s")]) == []
    assert "[Errno 28] No space left on device: 'work/unit.arrow'; finished units" in str(
        error.value
    )
    assert "\n" not in str(error.value)


def test_the_streams_of_a_program_are_its_own() -> None:
    """What Beam prints is silenced in the process of a command alone, and not in a notebook."""
    stderr = sys.stderr
    with quiet():
        assert sys.stderr is stderr
    with stopped_by_signals(), quiet():
        assert sys.stderr is not stderr
    assert sys.stderr is stderr


def test_units_that_fail_after_the_run_print_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads of the engine go on for a while when a unit has failed; the command's message stands alone."""
    monkeypatch.setattr(sys, "stderr", sys.stderr)  # so that it is what it was when the test ends
    with stopped_by_signals(), pytest.raises(RuntimeError), quiet():
        raise RuntimeError
    late = threading.Thread(target=lambda: print("Traceback", file=sys.stderr))
    late.start()
    late.join()
    print("sluice: what went wrong", file=sys.stderr)
    assert capsys.readouterr().err == "sluice: what went wrong\n"


@pytest.mark.parametrize(
    "failure", [MemoryError(), pa.ArrowMemoryError("malloc of size 64 failed")]
)
def test_out_of_memory_says_what_to_do(
    tmp_path: Path, run_stage: Run, failure: MemoryError
) -> None:
    """Python's and Arrow's lack of memory is one message, with the way out."""
    with pytest.raises(SluiceError, match=r"^stage, unit-00000: out of memory; .*fewer processes"):
        run_stage(tmp_path / "s", failure)


def test_a_fault_of_ours_is_not_hidden(tmp_path: Path, run_stage: Run) -> None:
    """An exception that nobody foresaw names its type and how to see more, never its text."""
    with pytest.raises(
        SluiceError, match=r"^stage, unit-00000: ValueError: run with SLUICE_DEBUG=1"
    ):
        run_stage(tmp_path / "s", ValueError("the text of a post"))


def test_the_contract_is_on_the_disk_before_it_counts(
    tmp_path: Path, run_stage: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file of the contract is flushed, and the folders that hold their names; a store needs none."""
    names = ["tokens/a.arrow", "rejects/b.parquet"]
    for name in (*names, "manifest.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    flushed: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda number: flushed.add(os.fstat(number).st_ino))
    commands._flush(str(tmp_path), names)
    assert flushed == {path.stat().st_ino for path in (tmp_path, *tmp_path.rglob("*"))}
    commands._flush("s3://bucket/out", names)
