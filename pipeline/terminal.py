"""What a command says beside its result, on standard error: messages, and the progress of a run.

On a terminal the progress is a live display of all phases; elsewhere it is a line now and then. With
`--log-json` all of it is one JSON object per line, and with `--quiet` there are errors alone.
"""

import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

from sluice.schemas.names import visible

if TYPE_CHECKING:
    from rich.live import Live

    from sluice.pipeline.engine.progress import OnProgress, Progress

LINE_SECONDS = 10.0
"""Between two lines where the stream is no terminal."""
COLOURS: Final = {"red": 31, "green": 32, "yellow": 33}
_LEVELS: Final = {"warning": "yellow", "error": "red", "critical": "red"}
_log = logging.getLogger("sluice")


def is_terminal(stream: TextIO) -> bool:
    """Returns whether a stream is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """Returns a text in a colour where it goes to a terminal and `NO_COLOR` is not set, else as it is."""
    if not is_terminal(stream) or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"


class Messages(logging.Handler):
    """Writes to standard error what the program says: what `sluice` logs, and warnings of libraries.

    Args:
        quiet: errors alone.
        as_json: each as a JSON object.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False):
        super().__init__(logging.ERROR if quiet else logging.INFO)
        self._quiet, self.as_json = quiet, as_json
        self._live: Live | None = None
        self._told: Callable[[str], object] | None = None
        self.addFilter(_is_for_the_user)

    @contextlib.contextmanager
    def attached(self) -> Iterator["Messages"]:
        """Inside, what is logged is written."""
        root, level = logging.getLogger(), _log.level
        root.addHandler(self)
        _log.setLevel(logging.INFO)
        logging.captureWarnings(self.as_json)
        try:
            yield self
        finally:
            logging.captureWarnings(False)
            root.removeHandler(self)
            _log.setLevel(level)

    @contextlib.contextmanager
    def told_to(self, take: Callable[[str], object]) -> Iterator[None]:
        """Inside, what `sluice` is told at level INFO goes to a function, as a part of the result."""
        self._told = take
        try:
            yield
        finally:
            self._told = None

    def last_line(self, text: str) -> str:
        """Returns an error as a JSON line, of a process that a signal ends."""
        values = {"name": _log.name, "levelno": logging.ERROR, "levelname": "ERROR", "msg": text}
        return _json_line(logging.makeLogRecord(values))

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record; above the live display, where there is one."""
        if self._told is not None and record.levelno < logging.WARNING:
            self._told(visible(record.getMessage()))
            return
        line = _json_line(record) if self.as_json else _text_line(record, sys.stderr)
        if self._live is None:
            print(line, file=sys.stderr, flush=True)
        else:
            from rich.text import Text

            self._live.console.print(Text.from_ansi(line), soft_wrap=True)

    @contextlib.contextmanager
    def progress(self) -> Iterator["OnProgress | None"]:
        """Gives what shows the progress of a run; None where it is not asked for."""
        if self._quiet:
            yield None
        elif self.as_json or not is_terminal(sys.stderr):
            yield ProgressLines(ends=self.as_json)
        else:
            from sluice.pipeline.display import Display

            with Display(sys.stderr) as display:
                self._live = display.live
                try:
                    yield display
                finally:
                    self._live = None


def _is_for_the_user(record: logging.LogRecord) -> bool:
    """Returns whether a record is ours, or a warning, but for Beam's remarks on the root logger."""
    if record.name == "root":
        return record.levelno >= logging.ERROR
    return record.levelno >= logging.WARNING or record.name == _log.name


def _text_line(record: logging.LogRecord, stream: TextIO) -> str:
    """Returns a message as a line; the logger is named from a warning on."""
    text = visible(logging.Formatter().format(record))
    if record.levelno < logging.WARNING:
        return text
    name = coloured(f"{record.name}:", _LEVELS[record.levelname.lower()], stream)
    return f"{name} {text}"


def _json_line(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    line = {
        "time": at.replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
        **getattr(record, "progress", {}),
    }
    if record.exc_info:
        line["traceback"] = logging.Formatter().formatException(record.exc_info)
    return json.dumps(line)


class ProgressLines:
    """Logs the progress that it is called with, now and then.

    Args:
        ends: whether the end of each phase is logged as well.
    """

    def __init__(self, *, ends: bool = False):
        self._ends = ends
        self._phase, self._shown = "", 0.0

    def __call__(self, progress: "Progress") -> None:
        """Logs how far a run is where the last line is long ago."""
        now = time.monotonic()
        if progress.phase != self._phase:
            self._phase, self._shown = progress.phase, now
        elif self._ends if progress.ended else now - self._shown >= LINE_SECONDS:
            _log.info("%s", progress, extra={"progress": _values(progress)})
            self._shown = now


def _values(progress: "Progress") -> dict[str, Any]:
    """Returns the progress as the keys of a JSON line."""
    values: dict[str, Any] = {n: getattr(progress, n) for n in progress.__struct_fields__}
    values["phase_seconds"] = values.pop("seconds")
    del values["phases"]
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in values.items()}
