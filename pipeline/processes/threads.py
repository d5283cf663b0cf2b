"""Threads that do tasks, and that nobody waits for in vain.

A thread that finds no memory when it begins never says that it has begun, and `threading.Thread.start` waits
for that for ever, as `ThreadPoolExecutor.submit` does. These are not waited for: who wants a result does what
no thread has begun.
"""

import _thread
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Threads:
    """At most so many threads, which begin as tasks come; a context manager.

    At its end what is not begun is dropped, and what is under way is waited for.
    """

    def __init__(self, most: int):
        self._most, self._started = most, 0
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._futures: list[Future[Any]] = []

    def __enter__(self) -> "Threads":
        return self

    def __exit__(self, *error: object) -> None:
        for future in self._futures:
            future.cancel()
        for _ in range(self._started):
            self._tasks.put(None)
        wait([future for future in self._futures if not future.cancelled()])

    def submit(self, do: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> "Future[_R]":
        """Has a task done by the next thread that is free; see `result`."""
        future: Future[_R] = Future()

        def task() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(do(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        self._futures = [future, *(f for f in self._futures if not f.done())]
        self._tasks.put(task)
        if self._started < self._most:
            with contextlib.suppress(RuntimeError):  # the system gives no thread
                _thread.start_new_thread(self._run, ())
                self._started += 1
        return future

    def result(self, future: "Future[_R]") -> _R:
        """Returns what a task gave, or raises what it raised; does tasks here that no thread has begun."""
        while not (future.running() or future.done()) and self._do_next():
            pass
        return future.result()

    def _do_next(self) -> bool:
        with contextlib.suppress(Empty):
            task = self._tasks.get_nowait()
            if task is not None:
                task()
            return True
        return False

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
