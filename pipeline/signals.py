"""Ctrl-C and `kill` end a run at once, with a line that says how to go on.

What is finished is committed, so that there is nothing to tidy up: a signal that can be caught does what
SIGKILL does, and says so. Processes that the run started end with it (`pipeline.child`).
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Inside, SIGINT and SIGTERM end the process at once, with a line and the shell's exit code.

    Threads may be deep in compiled code, and the first stage may have hours to go: there is nothing to
    wait for, because finished units are committed and a run that goes on sweeps the rest.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _: FrameType | None) -> None:
    # Straight to the descriptor: the signal may have come while a line was being printed.
    line = (
        f"{_show_cursor()}\nsluice: {'interrupted' if number == signal.SIGINT else 'terminated'}; "
    )
    os.write(2, f"{line}finished units are kept: the same command goes on\n".encode())
    os._exit(128 + number)


def _show_cursor() -> str:
    return "\x1b[?25h" if os.isatty(2) else ""
