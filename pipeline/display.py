"""The live display of a run on a terminal: a row for each phase, and one for the run, with the time left."""

import time
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from sluice.pipeline.engine.progress import clock
from sluice.pipeline.processes.cost import anonymous_bytes
from sluice.pipeline.report.figures import size

if TYPE_CHECKING:
    from sluice.pipeline.engine.progress import Progress

BAR_WIDTH = 20


class Display:
    """A live display of a whole run: a row for each phase, and one for the run; a context manager.

    Args:
        out: a terminal.
    """

    def __init__(self, out: TextIO):
        console = Console(file=out, highlight=False)
        self.live = Live(console=console, transient=True, auto_refresh=False)
        is_utf8 = (out.encoding or "").lower().replace("-", "") == "utf8"
        self._full, self._empty = ("█", "░") if is_utf8 else ("#", "-")
        self._ended: dict[str, Progress] = {}
        self._begun = time.monotonic()

    def __enter__(self) -> "Display":
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def __call__(self, progress: "Progress") -> None:
        """Shows how far a run is."""
        if progress.ended:
            self._ended[progress.phase] = progress
        self.live.update(self._rows(progress), refresh=True)

    def _rows(self, now: "Progress") -> "Text":
        rows = Text(no_wrap=True, overflow="ellipsis")
        for phase in now.phases or (now.phase,):
            style = "bold" if phase == now.phase and not now.ended else "dim"
            rows.append(f"{phase:<12}", style)
            rows.append(f"{self._phase_row(phase, now)}\n")
        rows.append(f"{'run':<12}", "bold")
        return rows.append(self._run_row(now))

    def _phase_row(self, phase: str, now: "Progress") -> str:
        if phase in self._ended:
            last = self._ended[phase]
            posts = f"  {last.posts:,} posts" if last.posts else ""
            return f"done in {clock(last.seconds)}{posts}{_rejected(last)}"
        if phase != now.phase:
            return ""
        return f"{now.stage:<10}{now.units:>12}  {now.rate.strip()}{_rejected(now)}"

    def _run_row(self, now: "Progress") -> str:
        cells = [f"{clock(time.monotonic() - self._begun)} so far"]
        if now.run_share is not None and now.run_seconds_left is not None:
            left = f"about {clock(now.run_seconds_left)} left"
            cells = [f"{self._bar(now.run_share)} {now.run_share:>4.0%}", left, *cells]
        memory = anonymous_bytes()
        return "  ".join([*cells, size(memory)] if memory else cells)

    def _bar(self, share: float) -> str:
        full = round(share * BAR_WIDTH)
        return self._full * full + self._empty * (BAR_WIDTH - full)


def _rejected(progress: "Progress") -> str:
    return "" if progress.rejected is None else f"  {progress.rejected:,} rejected"
