"""Keeps what Beam logs and prints off the terminal of a command."""

import contextlib
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from typing import TextIO

from sluice.pipeline.processes.signals import owns_process


@contextlib.contextmanager
def quiet() -> Iterator[None]:
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
