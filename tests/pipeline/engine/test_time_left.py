"""How much of a run is done and how long the rest takes: by units and the time they took."""

import pytest

from sluice.pipeline.engine.progress import Progress
from sluice.pipeline.engine.time_left import CPU_SECONDS, RunClock
from sluice.pipeline.phases.run_order import PHASES

PHASE_NAMES = ("clean", "dedup", "vocabulary", "tokens")


class Run:
    """A run that is told how far it is at which second, and keeps what is reported."""

    def __init__(self, phases: tuple[str, ...] = PHASE_NAMES, *, processes: int = 1):
        self.seconds, self.reports = 0.0, list[Progress]()
        self.clock = RunClock(
            self.reports.append,
            phases=phases,
            posts=1_000_000,
            processes=processes,
            now=lambda: self.seconds,
        )

    def at(
        self, seconds: float, phase: str, stage: str, done: int, total: int, *, ended: bool = False
    ) -> Progress:
        self.seconds = seconds
        self.clock(Progress(phase, stage, done, total, 0, seconds, ended=ended))
        return self.reports[-1]


def test_a_run_at_the_speed_of_the_table() -> None:
    """Where each stage takes what the table says, the share is that of the time, and the rest is known."""
    run, before = Run(), 0.0
    total = sum(sum(CPU_SECONDS[phase].values()) for phase in PHASE_NAMES)
    for phase in PHASE_NAMES:
        for stage, cost in CPU_SECONDS[phase].items():
            for unit in range(11):
                seconds = before + cost * unit / 10
                progress = run.at(seconds, phase, stage, unit, 10)
                assert progress.run_share == pytest.approx(seconds / total, abs=0.01)
                assert progress.run_seconds_left == pytest.approx(total - seconds, abs=0.02 * total)
            before += cost
        run.at(before, phase, stage, 10, 10, ended=True)
    assert run.reports[-1].run_share == 1.0
    assert run.reports[-1].run_seconds_left == 0.0


def test_a_slow_machine_is_seen() -> None:
    """When units take ten times as long as expected, the time left becomes ten times as long."""
    run = Run()
    first = run.at(0.0, "clean", "clean", 0, 10).run_seconds_left
    assert first is not None
    for unit in range(11):
        progress = run.at(unit * 26.0, "clean", "clean", unit, 10)
    left = first - CPU_SECONDS["clean"]["clean"]
    assert progress.run_seconds_left == pytest.approx(10 * left, rel=0.15)


def test_the_share_never_falls() -> None:
    """Large units end together: the share waits for them, and does not go back."""
    run, shares = Run(processes=2), []
    for seconds in range(60):
        shares.append(run.at(seconds, "clean", "clean", seconds // 15 * 2, 8).run_share or 0.0)
    assert shares == sorted(shares)
    assert 0.0 < shares[1] < shares[4]


def test_what_earlier_runs_did_has_taken_no_time() -> None:
    """A resumed run does not take the units of an earlier one for its own speed."""
    resumed, fresh = Run(), Run()
    resumed.at(0.0, "clean", "clean", 5, 10)
    fresh.at(0.0, "clean", "clean", 0, 10)
    half = CPU_SECONDS["clean"]["clean"] / 2
    left = resumed.at(half, "clean", "clean", 10, 10).run_seconds_left
    same = fresh.at(2 * half, "clean", "clean", 10, 10).run_seconds_left
    assert left == pytest.approx(same, rel=0.05)


def test_reused_phases_are_no_part_of_the_run() -> None:
    """They are not listed, and the rest is the whole."""
    run = Run()
    for phase in ("clean", "dedup", "vocabulary"):
        run.clock.reused(phase)
    progress = run.at(0.0, "tokens", "encode", 0, 4)
    assert (progress.phases, progress.run_share) == (("tokens",), 0.0)
    assert progress.run_seconds_left == pytest.approx(sum(CPU_SECONDS["tokens"].values()))


def test_a_transformer_is_not_guessed() -> None:
    """What a model costs is not known before it has run; afterwards the rest is."""
    run = Run(("clean", "dedup", "classify", "vocabulary", "tokens"))
    assert run.at(9.0, "clean", "clean", 1, 2).run_seconds_left is None
    run.at(20.0, "clean", "clean", 2, 2, ended=True)
    run.at(30.0, "classify", "toxic-bert", 2, 2, ended=True)
    assert run.at(31.0, "vocabulary", "sample", 0, 2).run_seconds_left is not None


def test_the_table_has_the_phases() -> None:
    """Every phase of a run has costs, but for classify, whose models differ."""
    assert set(PHASES) - {"classify"} <= set(CPU_SECONDS)
