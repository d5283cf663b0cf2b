"""The progress of a run on a terminal: a live line; elsewhere a line now and then."""

import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.live import Live

    from sluice.pipeline.engine.progress import Progress

LINE_SECONDS = 10.0
"""Between two lines where the stream is no terminal."""


class ProgressLine:
    """Shows the progress that it is called with; a context manager that takes the live line away.

    Args:
        out: where lines go, standard error by default.
    """

    def __init__(self, out: TextIO | None = None):
        self._out = out or sys.stderr
        self._live: Live | None = None
        self._phase, self._shown = "", 0.0

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def __call__(self, progress: "Progress") -> None:
        """Shows how far a phase is."""
        if progress.ended:
            self._clear()
        elif self._out.isatty():
            self._show_live(progress)
        else:
            self._print_sometimes(progress)

    def _show_live(self, progress: "Progress") -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            self._live = Live(console=Console(file=self._out), transient=True, auto_refresh=False)
            self._live.start()
        self._live.update(Text(str(progress)), refresh=True)

    def _print_sometimes(self, progress: "Progress") -> None:
        now = time.monotonic()
        if progress.phase != self._phase:
            self._phase, self._shown = progress.phase, now
        elif now - self._shown >= LINE_SECONDS:
            print(progress, file=self._out, flush=True)
            self._shown = now

    def _clear(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
