"""How much of a run is done and how long the rest takes, about: for the display, and never for a decision.

The model is a table: what each stage costs for a post, measured on real ones. Its ratios say how much of the
run a finished unit is; how fast the run is, it says itself. What the table expects counts at the beginning,
as if a twentieth of the run had been done at that speed.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from sluice.pipeline.engine.progress import OnProgress, Progress

CPU_SECONDS: Final[Mapping[str, Mapping[str, float]]] = {
    "phrases": {"count": 4.0, "learn": 0.1},
    "clean": {"clean": 26.0},
    "exclude": {"send": 1.0, "match": 1.0, "cap": 1.0, "deletions": 0.0, "drop": 0.2},
    "dedup": {"buckets": 2.0, "join": 0.1, "ship": 1.1, "settle": 1.7, "drop": 0.6},
    "vocabulary": {"sample": 4.7, "words": 2.5, "train": 7.2},
    "conversations": {"links": 0.6, "match": 0.5, "resolve": 0.2, "names": 0.1, "places": 0.1},
    "tokens": {"encode": 13.0, "pack": 1.1, "deal": 0.1, "shard": 0.6},
    "history": {"history": 1.0},
    "score": {"score": 26.0},
}
"""For a million posts, by phase and stage in order, as measured with `default.toml` on 583,187 posts."""
ALONE: Final = frozenset({"learn", "join", "train", "resolve", "deal", "deletions"})
"""Stages of one unit: more processes make them no faster."""
BYTES_IN_POST = 260
EXPECTED_SHARE = 1 / 20
IN_FLIGHT_SHARE = 0.9
"""Of the units that are at work, what may count as done before one of them is."""


def stage_seconds(phase: str, *, posts: float, processes: int) -> dict[str, float]:
    """Returns the seconds that each stage of a phase is expected to take; empty for a phase without costs."""
    share = {stage: 1 if stage in ALONE else processes for stage in CPU_SECONDS.get(phase, {})}
    return {s: CPU_SECONDS[phase][s] * posts / 1e6 / n for s, n in share.items()}


class RunClock:
    """Adds to the progress of each phase how much of the run is done, and how long the rest takes.

    Args:
        report: is given the progress.
        phases: that are to be done, in order.
        posts: of the input, about.
        processes: that share the work; None where that is not known.
        trains: whether the run trains its vocabulary.
        now: the time in seconds.
    """

    def __init__(
        self,
        report: OnProgress,
        *,
        phases: Iterable[str],
        posts: float,
        processes: int | None,
        trains: bool = True,
        now: Callable[[], float] = time.monotonic,
    ):
        self._report, self._now, self._begun = report, now, now()
        self._phases = tuple(phases)
        self._processes = processes or 1
        self._stages = {
            p: stage_seconds(p, posts=posts, processes=self._processes) for p in self._phases
        }
        if not trains:
            self._stages["vocabulary"] = {}
        self._total = sum(sum(stages.values()) for stages in self._stages.values())
        self._ended: set[str] = set()
        self._phase = ""
        self._measured, self._found, self._at, self._shown = 0.0, 0.0, 0.0, 0.0

    def reused(self, phase: str) -> None:
        """Takes a phase out that was done by an earlier run."""
        self._total -= sum(self._stages.pop(phase, {}).values())
        self._phases = tuple(name for name in self._phases if name != phase)

    def __call__(self, progress: Progress) -> None:
        """Reports the progress of a phase with that of the run."""
        share, left = self._run(progress)
        self._report(
            msgspec.structs.replace(
                progress, phases=self._phases, run_share=share, run_seconds_left=left
            )
        )
        if progress.ended:
            self._ended.add(progress.phase)

    def _run(self, progress: Progress) -> tuple[float | None, float | None]:
        """Returns the share of the run that is done and the seconds left; None where that is not known."""
        waiting = {phase for phase in self._phases if phase not in self._ended}
        if not self._total or any(phase not in CPU_SECONDS for phase in waiting):
            return None, None
        elapsed, expected = self._now() - self._begun, EXPECTED_SHARE * self._total
        measured = self._done(progress)
        if progress.phase != self._phase:  # its first report: what is done, earlier runs did
            self._phase, self._found = progress.phase, self._found + measured - self._measured
        if measured > self._measured:
            self._measured, self._at = measured, elapsed
        pace = (expected + self._at) / (expected + self._measured - self._found)
        unit = self._unit_seconds(progress)
        more = min((elapsed - self._at) / pace, IN_FLIGHT_SHARE * unit)
        done = self._shown = max(self._shown, self._measured + more)
        pace = (expected + elapsed) / (expected + done - self._found)
        left = max(0.0, self._total - done)
        return min(1.0, done / self._total), left * pace

    def _done(self, progress: Progress) -> float:
        """Returns the expected seconds of what is finished."""
        before = sum(sum(self._stages.get(phase, {}).values()) for phase in self._ended)
        stages = self._stages.get(progress.phase, {})
        if progress.ended:
            return before + sum(stages.values())
        names = list(stages)
        reached = names.index(progress.stage) if progress.stage in names else 0
        part = progress.done / progress.total if progress.total else 0.0
        return (
            before
            + sum(stages[name] for name in names[:reached])
            + min(1.0, part) * stages.get(progress.stage, 0.0)
        )

    def _unit_seconds(self, progress: Progress) -> float:
        """Returns the expected seconds of the units of a stage that are at work."""
        stage = self._stages.get(progress.phase, {}).get(progress.stage, 0.0)
        left = max(0, progress.total - progress.done)
        return stage * min(self._processes, left) / progress.total if progress.total else stage


def posts_in(num_bytes: int) -> int:
    """Returns how many posts an input of so many bytes of JSON has, about."""
    return math.ceil(num_bytes / BYTES_IN_POST)
