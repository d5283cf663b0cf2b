"""Ctrl-C and `kill` end a run at once, with a line that says how to go on.

What is finished is committed, so that there is nothing to tidy up: a signal that can be caught does what
SIGKILL does, and says so. Processes that the run started end with it (`sluice.pipeline.processes.child`).
A job on a cluster does not: while a run waits for one, a signal is an exception, so that the job can be
cancelled first.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


class StoppedError(KeyboardInterrupt):
    """A signal came while a run waited for a job elsewhere."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Inside, SIGINT and SIGTERM end the process at once, with a line and the shell's exit code.

    Threads may be deep in compiled code, and the first stage may have hours to go: there is nothing to
    wait for, because finished units are committed and a run that goes on sweeps the rest.
    """
    try:
        with _handled_by(_stop):
            yield
    except StoppedError as stopped:
        _stop(stopped.number, None)


@contextlib.contextmanager
def raised_by_signals() -> Iterator[None]:
    """Inside, the first SIGINT or SIGTERM is a StoppedError; another one ends the process at once."""
    with _handled_by(_raise):
        yield


@contextlib.contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _raise(number: int, _: FrameType | None) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _stop)
    raise StoppedError(number)


def _stop(number: int, _: FrameType | None) -> None:
    # Straight to the descriptor: the signal may have come while a line was being printed.
    line = (
        f"{_show_cursor()}\nsluice: {'interrupted' if number == signal.SIGINT else 'terminated'}; "
    )
    os.write(2, f"{line}finished units are kept: the same command goes on\n".encode())
    os._exit(128 + number)


def _show_cursor() -> str:
    return "\x1b[?25h" if os.isatty(2) else ""
