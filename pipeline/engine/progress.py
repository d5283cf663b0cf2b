"""Shows how far a phase is: units done, posts per second, time left.

On a terminal the line is live; elsewhere one is printed now and then. It counts manifests on disk, so
it works whatever engine does the units.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TextIO

import msgspec

from sluice.pipeline.storage import files as storage
from sluice.pipeline.units.manifest import Done, UnitManifest, done_units, found_manifests
from sluice.pipeline.units.stage import Stage
from sluice.schemas.counts import ReadCounts
from sluice.schemas.errors import StorageError

TICK_SECONDS = 0.5
LINE_SECONDS = 10.0

Say = Callable[[str], None]
"""Takes a line for the user who runs the job."""


class State(msgspec.Struct, frozen=True):
    """How far a phase is at a moment."""

    phase: str
    stage: str
    done: int
    total: int
    posts: int
    seconds: float

    def line(self) -> str:
        """Returns the state in one line."""
        parts = [f"{self.phase:<10}", f"{self.stage:<10}", self._units()]
        if not self.posts:
            parts.append(f"{clock(self.seconds)} so far")
        if self.posts and self.seconds > 0:
            parts.append(f"{self.posts:>12,} posts {self.posts / self.seconds:>9,.0f}/s")
        if self.total and 0 < self.done < self.total:
            left = self.seconds * (self.total - self.done) / self.done
            parts.append(f"{clock(left)} left")
        return "  ".join(parts).rstrip()

    def _units(self) -> str:
        return f"{self.done:>5}/{self.total} units" if self.total else f"{self.done:>5} units"


def clock(seconds: float) -> str:
    """Returns a duration as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Progress:
    """Watches the stages of one phase while it runs; a context manager.

    Args:
        phase: its name.
        stages: in order; the first has `total` units.
        total: units of the first stage.
        posts: posts that the phase reads, or 0 to count them in the manifests.
        out: where lines go, standard error by default.
    """

    def __init__(
        self,
        phase: str,
        *,
        stages: Sequence[Stage],
        total: int,
        posts: int,
        out: TextIO | None = None,
    ):
        self._phase, self._stages, self._total, self._posts = phase, stages, total, posts
        self._out = out or sys.stderr
        self._begun = time.monotonic()
        remote = any(storage.is_remote(stage.folder) for stage in stages)
        # A look at a store is a request per stage.
        self._tick = LINE_SECONDS if remote else TICK_SECONDS
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._read: dict[str, int] = {}
        self._at_start = len(done_units(stages[0].folder)) if stages else 0

    def __enter__(self) -> "Progress":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def state(self) -> State:
        """Returns how far the phase is now."""
        stage, done = self._stages[0], done_units(self._stages[0].folder)
        posts, total, ended = self._posts_of(done), self._total, len(done) >= self._total
        for later in self._stages[1:]:
            finished = done_units(later.folder)
            if finished or ended:
                stage, done, total, posts = later, finished, 0, 0
            ended = False
        name = stage.name.removeprefix(f"{self._phase}_")
        return State(self._phase, name, len(done), total, posts, time.monotonic() - self._begun)

    def _posts_of(self, done: list[Done]) -> int:
        if self._posts:
            more = len(done) - self._at_start
            return self._posts * max(more, 0) // max(self._total, 1)
        new = [unit for unit in done if unit.unit not in self._read]
        for unit, manifest in zip(new, found_manifests(new), strict=True):
            self._read[unit.unit] = _posts_read(manifest)
        return sum(self._read.values())

    def _run(self) -> None:
        if not self._out.isatty():
            self._show(LINE_SECONDS, lambda line: print(line, file=self._out, flush=True))
            return
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        with Live(console=Console(file=self._out), transient=True, auto_refresh=False) as live:
            self._show(self._tick, lambda line: live.update(Text(line), refresh=True))

    def _show(self, seconds: float, show: Say) -> None:
        while not self._stop.wait(seconds):
            with contextlib.suppress(
                StorageError, OSError
            ):  # files may be out of reach for a while
                show(self.state().line())


def _posts_read(manifest: UnitManifest | None) -> int:
    return manifest.counted(ReadCounts).read if manifest else 0
