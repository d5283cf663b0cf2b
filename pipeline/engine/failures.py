"""What an engine's exception becomes for the user: the error of the unit that failed."""

import contextlib
import io
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TextIO

from sluice.pipeline.processes.signals import owns_process
from sluice.pipeline.units.failure import Failure, failures
from sluice.pipeline.units.manifest import invalidate
from sluice.schemas import errors
from sluice.schemas.errors import SluiceError

OUT_OF_MEMORY = (
    "finished units are kept: run the same command again, with more memory or fewer workers "
    "(-- --direct_num_workers=N)"
)


@contextlib.contextmanager
def translated_failures(folders: Sequence[str]) -> Iterator[None]:
    """Turns an engine's exception into the error of the unit that failed, or of the engine where none did."""
    try:
        with _quiet():
            yield
    except SluiceError:
        raise
    except Exception as failure:
        told = failures(folders) or _failures_in(str(failure))
        if not told and isinstance(failure, MemoryError):
            raise
        if not told:
            raise SluiceError(
                f"the engine gave up: {type(failure).__name__}: {failure}; finished units are kept: run the "
                f"same command again, with SLUICE_DEBUG=1 for the traceback"
            ) from failure
        for unit in told:
            if unit.damaged is not None:
                invalidate(*unit.damaged)
        raise _error_of(told[0]) from failure


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences what Beam logs, and in a process of our own what it prints.

    Beam's workers print tracebacks to stderr, and hang if that breaks: a command gives them a buffer. The
    streams of a program that calls the library are its own.
    """
    logger = logging.getLogger("apache_beam")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with _without_tracebacks() if owns_process() else contextlib.nullcontext():
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _without_tracebacks() -> Iterator[None]:
    """Buffers stderr; where the block fails, what other threads print is dropped from then on.

    When a unit has failed, the run ends, while units in other threads of the engine go on and may fail too.
    """
    stream = sys.stderr
    if os.environ.get("SLUICE_DEBUG"):
        yield
        return
    sys.stderr = io.StringIO()
    try:
        yield
    except BaseException:
        sys.stderr = OfMainThread(stream)
        raise
    sys.stderr = stream


class OfMainThread(io.TextIOBase):
    """A stream without what other threads than the main one write."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes a text of the main thread; returns its length."""
        if threading.current_thread() is threading.main_thread():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes the stream."""
        self._stream.flush()


_REFUSED = re.compile(r"Error: (\[Errno \d+\] .*?)(?: \[while running '([^']*)'\])?$", re.MULTILINE)
"""The last line of an engine's text about an OSError: what was refused, and the step."""


def _failures_in(text: str) -> list[Failure]:
    """Returns what an engine's text says of an OSError: where a disk is full no unit can report it."""
    refused = _REFUSED.findall(text)
    return [Failure(where=step, kind="OSError", message=what) for what, step in refused[-1:]]


def _error_of(failure: Failure) -> SluiceError:
    kind = getattr(errors, failure.kind, SluiceError)
    if not (isinstance(kind, type) and issubclass(kind, SluiceError)):
        kind = SluiceError
    message = failure.message or f"{failure.kind}: run with SLUICE_DEBUG=1 for the traceback"
    if failure.kind == "OSError":
        message += "; finished units are kept: fix it and run the same command again"
    if failure.kind == "MemoryError":
        message = f"out of memory; {OUT_OF_MEMORY}"
    return kind(f"{failure.where}: {message}")
