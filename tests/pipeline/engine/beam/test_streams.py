"""What the engine carries between steps arrives whole, or the phase is run again."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from apache_beam.runners.worker import data_plane

from sluice.pipeline.engine.beam.run import BeamEngine
from sluice.pipeline.engine.run import run_plan
from sluice.pipeline.phases.planned import PhasePlan, Step
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.exchange import Crossing
from sluice.pipeline.units.manifest import Done, Range, Unit, done_units
from sluice.schemas.counts import NoCounts
from tests.pipeline.runs import Job, contract_bytes, forget, linked_output, run

ONCE_A_DAY = 86_400_000


@dataclass(frozen=True)
class Nothing:
    """A stage whose units do nothing."""

    folder: str
    name: str = "nothing"
    counts: ClassVar = NoCounts

    def do(self, unit: Unit, attempt: Attempt) -> NoCounts:
        return NoCounts()


def test_beam_loses_what_is_written_while_it_sends() -> None:
    """The reason: bytes that come between copying and emptying are lost. Once Beam keeps them, this fails."""
    sent: list[bytes] = []

    def take(data: bytes) -> None:
        sent.append(data)
        if len(sent) == 1:
            stream.write(b"late")  # as the thread that writes may at this moment

    stream = data_plane.ClosableOutputStream.create(take, take, ONCE_A_DAY)
    stream.write(b"early")
    stream.flush()  # as the thread does that sends by the clock
    stream.close()
    assert b"".join(sent) == b"early"


@pytest.mark.parametrize("mode", ["multi_threading", "in_memory"])
def test_no_stream_is_sent_by_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Neither the runner nor a worker makes a stream that another thread may send."""
    monkeypatch.setattr(worker_handlers, "DATA_BUFFER_TIME_LIMIT_MS", 1000)
    made: list[object] = []
    timed = data_plane.TimeBasedBufferingClosableOutputStream
    monkeypatch.setattr(timed, "_schedule_periodic_flush", lambda stream: made.append(stream))
    stage = Nothing(str(tmp_path / "nothing"))
    units = [Unit(f"unit-{i}") for i in range(5)]
    plan = PhasePlan("clean", "fingerprint", str(tmp_path), units, [Step(stage)])
    job = cast("Job", SimpleNamespace(recipe=SimpleNamespace(name="any"), output=str(tmp_path)))
    run_plan(plan, BeamEngine(job, [f"--direct_running_mode={mode}"], processes=2))
    assert len(done_units(stage.folder)) == 5
    assert made == []


def wrote(folder: Path, unit: str, *partitions: int) -> None:
    """Commits a unit with a range for each of some partitions."""
    attempt = Attempt(str(folder), unit)
    path = attempt.path("rows")
    Path(path).write_bytes(b"rows")
    attempt.add("rows", path, ranges=[Range(p, 0, 4, 1, 0) for p in partitions])
    attempt.commit(NoCounts())


def test_what_did_not_arrive_is_found(tmp_path: Path) -> None:
    """A partition that was given fewer ranges than were written for it, and one that was never asked for."""
    wrote(tmp_path / "a", "unit-00000", 0, 1, 2)
    wrote(tmp_path / "a", "unit-00001", 1, 1)
    for index, arrived in ((0, 1), (1, 2)):
        Attempt(str(tmp_path / "b"), f"p-{index:05d}", index=index, arrived=arrived).commit(
            NoCounts()
        )
    crossing = Crossing((str(tmp_path / "a"),), "rows", str(tmp_path / "b"))
    assert exchange.lost(crossing) == ([Done(str(tmp_path / "b"), "p-00001")], 1)
    everything = Crossing((str(tmp_path / "a"), str(tmp_path / "b")), None, str(tmp_path / "c"))
    assert exchange.lost(everything) == ([], 1)
    Attempt(str(tmp_path / "c"), "all", arrived=4).commit(NoCounts())
    assert exchange.lost(everything) == ([], 0)


SOURCES = exchange.sources
LOSES: dict[str, int] = {}
"""Edge -> how many of its ranges are still to be lost."""


def losing_sources(done: Done, edge: str) -> Iterator[tuple[int, list[Any]]]:
    """As `exchange.sources`, by an engine that loses ranges; Beam pickles it by its name."""
    for source in SOURCES(done, edge):
        if LOSES.get(edge, 0):
            LOSES[edge] -= 1
        else:
            yield source


ONE_THREAD = ("--", "--direct_num_workers=1", "--direct_running_mode=in_memory")


EDGES = [("dedup", e) for e in ("keys", "components", "candidates", "found")]
EDGES += [("tokens", e) for e in ("documents", "dealt")]


@pytest.mark.parametrize(("phase", "edge"), EDGES)
def test_a_lost_range_is_carried_again(
    job: Job,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    phase: str,
    edge: str,
) -> None:
    """Whatever edge the engine loses a range of, the log says so, and the output is that of the job."""
    out = linked_output(job.output, tmp_path / "out")
    forget(out, phase)
    monkeypatch.setattr(exchange, "sources", losing_sources)
    monkeypatch.setitem(LOSES, edge, 1)
    with caplog.at_level(logging.WARNING):
        assert run(job, out, *ONE_THREAD) == 0
    assert LOSES[edge] == 0
    assert f"{phase}: the engine lost units or ranges" in caplog.text
    found = contract_bytes(out, "rejects", "tokens", "provenance")
    assert found == contract_bytes(job.output, "rejects", "tokens", "provenance")


def test_an_engine_that_always_loses_is_an_error(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After three tries the run ends with 1 and says what was lost."""
    out = linked_output(job.output, tmp_path / "out")
    forget(out, "dedup")
    monkeypatch.setattr(exchange, "sources", losing_sources)
    monkeypatch.setitem(LOSES, "keys", 10**9)
    assert run(job, out, *ONE_THREAD) == 1
    said = capsys.readouterr().err
    assert "dedup: the engine lost units or ranges of files in each of 3 tries" in said
    assert not (out / "COMPLETED").exists()
