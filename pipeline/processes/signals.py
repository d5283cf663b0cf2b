"""Ctrl-C and `kill` end a run at once, with a line that says how to resume it.

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
from contextvars import ContextVar
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_owned = ContextVar("sluice_owns_process", default=False)
_Form = Callable[[str], str]
_PLAIN: _Form = "sluice: {}".format
_form: ContextVar[_Form] = ContextVar("sluice_last_line", default=_PLAIN)


class StoppedError(KeyboardInterrupt):
    """A signal came while a run waited for a job elsewhere; its one argument is the number."""


def owns_process() -> bool:
    """Returns whether the process is a command's own, and not that of a program that calls the library."""
    return _owned.get()


@contextlib.contextmanager
def stopped_by_signals(form: _Form = _PLAIN) -> Iterator[None]:
    """Inside, the process is the command's own: SIGINT and SIGTERM end it at once, with a line.

    Threads may be deep in compiled code, and the first stage may have hours to go: there is nothing to
    wait for, because finished units are committed and a run that resumes sweeps the rest.

    Args:
        form: makes the line of the message.
    """
    token, form_token = _owned.set(True), _form.set(form)
    try:
        with handled_by(_stop, *_SIGNALS):
            yield
    except StoppedError as stopped:
        _stop(stopped.args[0], None)
    finally:
        _owned.reset(token)
        _form.reset(form_token)


@contextlib.contextmanager
def raised_by_signals() -> Iterator[None]:
    """Inside, in a process that is a command's own, the first SIGINT or SIGTERM is a StoppedError.

    The second ends the process. In a program that calls the library signals stay what they are there: SIGINT
    a KeyboardInterrupt, unless the program says otherwise.
    """
    with handled_by(_raise, *_SIGNALS) if owns_process() else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def handled_by(handler: Callable[[int, FrameType | None], None], *signals: int) -> Iterator[None]:
    """Inside, signals are handled by a function, if this is the main thread: no other may handle any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old or signal.SIG_DFL)


def _raise(number: int, _: FrameType | None) -> None:
    for each in _SIGNALS:
        signal.signal(each, _stop)
    raise StoppedError(number)


def _stop(number: int, _: FrameType | None) -> None:
    # Straight to the descriptor: the signal may have come while a line was being printed.
    form = _form.get()
    show_cursor = "\x1b[?25h" if os.isatty(2) else ""
    before = f"{show_cursor}\n" if form is _PLAIN else ""  # a line may have been begun
    word = "interrupted" if number == signal.SIGINT else "terminated"
    line = form(f"{word}; finished units are kept: rerun the same command to resume")
    os.write(2, f"{before}{line}\n".encode())
    os._exit(128 + number)
