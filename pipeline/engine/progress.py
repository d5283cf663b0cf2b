"""How far a phase is: units done, posts per second. It counts manifests, whatever engine does the units."""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from sluice.pipeline.processes.ticker import Ticker
from sluice.pipeline.storage import files as storage
from sluice.pipeline.units.exchange import num_units
from sluice.pipeline.units.manifest import Done, UnitManifest, done_units, found_manifests
from sluice.schemas.counts import ReadCounts, Table
from sluice.schemas.errors import StorageError

if TYPE_CHECKING:
    from sluice.pipeline.units.exchange import Crossing
    from sluice.pipeline.units.stage import Stage

TICK_SECONDS = 0.5
STORE_SECONDS = 10.0
"""Between two looks at a store, each of which is a request per stage."""


class Progress(msgspec.Struct, frozen=True):
    """How far a phase is at a moment.

    Attributes:
        phase: its name, such as "clean" or "dedup".
        stage: the step of it that is at work.
        done: units of the stage that are finished.
        total: units that it has; 0 where that is not known.
        posts: posts that the phase has read so far; 0 where it counts none.
        seconds: since the phase began.
        ended: whether the phase is over; true once for each phase, in its last report.
        rejected: posts of them that it has rejected; None where it rejects none, or counts none yet.
        phases: those that the run does, in order; earlier runs did the others.
        run_share: how much of the run is done, in [0, 1], about; None where that is not known.
        run_seconds_left: until the run is done, about; None where that is not known.
    """

    phase: str
    stage: str
    done: int
    total: int
    posts: int
    seconds: float
    ended: bool = False
    rejected: int | None = None
    phases: tuple[str, ...] = ()
    run_share: float | None = None
    run_seconds_left: float | None = None

    def __str__(self) -> str:
        """Returns the progress in one line, as the command line prints it where there is no terminal."""
        parts = [f"{self.phase:<10}", f"{self.stage:<10}", f"{self.units:>11}", self.rate]
        return "  ".join([*parts, self.run_state]).rstrip()

    @property
    def units(self) -> str:
        """How many units are done, and of how many where that is known."""
        return f"{self.done}/{self.total} units" if self.total else f"{self.done} units"

    @property
    def rate(self) -> str:
        """The posts that were read and how many per second, or the time where it counts none."""
        if not self.posts or not self.seconds:
            return f"{clock(self.seconds)} so far"
        return f"{self.posts:>12,} posts {self.posts / self.seconds:>9,.0f}/s"

    @property
    def run_state(self) -> str:
        """How much of the whole run is done and how long the rest takes, or nothing."""
        if self.run_share is None or self.run_seconds_left is None:
            return ""
        return f"{self.run_share:.0%} of the run, about {clock(self.run_seconds_left)} left"


OnProgress = Callable[[Progress], None]
"""Is given the progress of a phase now and then."""


def clock(seconds: float) -> str:
    """Returns a duration as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class PhaseWatch:
    """Watches the stages of one phase while it runs, and reports; a context manager.

    The first and the last report of a phase come from the thread that runs it, those between from a thread of
    the watch. What a report raises ends the run: at once, or where the phase ends.

    Args:
        phase: its name.
        stages: in order; the first has `total` units.
        total: units of the first stage.
        posts: posts that the phase reads, or 0 to count them in the manifests.
        report: is given the progress; None where nobody asks for it.
        crossings: between the stages: they say how many units a later stage has.
    """

    def __init__(
        self,
        phase: str,
        *,
        stages: "Sequence[Stage]",
        total: int,
        posts: int,
        report: OnProgress | None,
        crossings: "Sequence[Crossing]" = (),
    ):
        self._phase, self._stages, self._total, self._posts = phase, stages, total, posts
        self._report = report
        self._begun = time.monotonic()
        self._remote = any(storage.is_remote(stage.folder) for stage in stages)
        self._seconds = STORE_SECONDS if self._remote else TICK_SECONDS
        self._crossings = {crossing.target: crossing for crossing in crossings}
        self._totals: dict[str, int] = {}
        self._ticker = Ticker(self._look, self._seconds)
        self._raised: BaseException | None = None
        self._read: dict[str, _PostsOfUnit] = {}
        self._at_start = len(done_units(stages[0].folder)) if stages and report else 0

    def __enter__(self) -> "PhaseWatch":
        if self._report is not None:
            self._report(self.state())
            self._ticker.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._report is None:
            return
        self._ticker.__exit__()
        if kind is not None:
            return
        if self._raised is not None:
            raise self._raised
        self._report(msgspec.structs.replace(self.state(), ended=True))

    def state(self) -> Progress:
        """Returns how far the phase is now."""
        stage, done = self._stages[0], done_units(self._stages[0].folder)
        (posts, rejected), total = self._posts_of(done), self._total
        for later in self._stages[1:]:
            finished = done_units(later.folder)
            if finished or (total and len(done) >= total):
                stage, done, total, posts = later, finished, self._total_of(later), 0
        name = stage.name.removeprefix(f"{self._phase}_")
        seconds = time.monotonic() - self._begun
        return Progress(
            *(self._phase, name, len(done), total, posts, seconds), rejected=rejected or None
        )

    def _total_of(self, stage: "Stage") -> int:
        """Returns how many units a later stage has; 0 in a store, where to know it is a request per unit."""
        crossing = self._crossings.get(stage.folder)
        if crossing is None or self._remote:
            return 0 if crossing else self._total
        if stage.folder not in self._totals:
            self._totals[stage.folder] = num_units(crossing)
        return self._totals[stage.folder]

    def _posts_of(self, done: list[Done]) -> tuple[int, int]:
        """Returns the posts that were read, and of them those that were rejected where manifests say so."""
        if self._posts:
            more = len(done) - self._at_start
            return self._posts * max(more, 0) // max(self._total, 1), 0
        new = [unit for unit in done if unit.unit not in self._read]
        for unit, manifest in zip(new, found_manifests(new), strict=True):
            self._read[unit.unit] = _posts_of_unit(manifest)
        units = self._read.values()
        return sum(unit.read for unit in units), sum(sum(unit.policy.values()) for unit in units)

    def _look(self) -> None:
        """Reports; what that raises is raised where the phase ends, and nothing is reported any more."""
        with contextlib.suppress(StorageError, OSError):  # files may be out of reach for a while
            state = self.state()
            try:
                if self._report is not None and self._raised is None:
                    self._report(state)
            except BaseException as raised:
                self._raised = raised


class _PostsOfUnit(ReadCounts):
    """What a unit of the input says of its posts."""

    policy: Table = {}


def _posts_of_unit(manifest: UnitManifest | None) -> _PostsOfUnit:
    return manifest.counted(_PostsOfUnit) if manifest else _PostsOfUnit()
