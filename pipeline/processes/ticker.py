"""A thread that looks at something now and then, and that nobody waits for in vain."""

import _thread
import contextlib
import threading
from collections.abc import Callable


class Ticker:
    """Calls a function every so many seconds, from a thread of its own; a context manager.

    A thread that finds no memory when it begins never says that it has begun, and `threading.Thread.start`
    waits for that for ever. This one is not waited for; where there is none, nothing is called, and the block
    runs all the same.

    Args:
        look: is called; an exception of it ends the calls.
        seconds: between two calls.
    """

    def __init__(self, look: Callable[[], object], seconds: float):
        self._look, self._seconds = look, seconds
        self._over, self._looking = threading.Event(), threading.Lock()

    def __enter__(self) -> "Ticker":
        with contextlib.suppress(RuntimeError):  # the system gives no thread
            _thread.start_new_thread(self._run, ())
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the calls; waits for one that is under way."""
        self._over.set()
        with self._looking:
            pass

    def _run(self) -> None:
        while not self._over.wait(self._seconds):
            with self._looking:
                if not self._over.is_set():
                    self._look()
