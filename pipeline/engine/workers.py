"""Processes that do units beside this one, for the inline engine.

A worker is a fresh interpreter, so that nothing of a program that calls the library is run or copied in it.
It lives from the first step that has work for it to the end of the run, with the models that it has loaded.
What goes to it is a stage, once, and then units; what comes back is whether a unit is done, or how it failed.
"""

import contextlib
import dataclasses
import pickle
import subprocess
import threading
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from multiprocessing.connection import Connection, Pipe
from typing import Any, NamedTuple, cast

from sluice.pipeline.processes import child
from sluice.pipeline.processes.threads import Threads
from sluice.pipeline.units.failure import Failure, UnitError, failure_of
from sluice.pipeline.units.manifest import Unit
from sluice.pipeline.units.stage import Stage, do_unit
from sluice.schemas.errors import WorkerError

MAIN = "sluice.pipeline.engine.worker"
"""The module that a worker runs: another than this one, of which it would otherwise have two."""


class Task(NamedTuple):
    """What a worker is asked for: a unit, of the stage that was sent last where none is sent with it."""

    unit: Unit
    stage: bytes | None


class Answer(NamedTuple):
    """What a worker answers: nothing where the unit is done, else the failure and its traceback."""

    failure: Failure | None = None
    trace: str = ""


def do(stage: Stage, unit: Unit) -> None:
    """Does a unit of a stage; raises UnitError where it fails."""
    try:
        do_unit(stage, unit)
    except Exception as error:
        raise UnitError(failure_of(stage.name, unit, error)) from error


class UnitQueue:
    """The units of a step that nobody has begun, and whether one has failed."""

    def __init__(self, units: Sequence[Unit]):
        self._left, self._lock = deque(units), threading.Lock()

    def __iter__(self) -> Iterator[Unit]:
        while (unit := self._next()) is not None:
            yield unit

    def _next(self) -> Unit | None:
        with self._lock:
            return self._left.popleft() if self._left else None

    def clear(self) -> None:
        """Drops what nobody has begun: a unit has failed."""
        with self._lock:
            self._left.clear()


class Worker:
    """One process, and the thread that starts it, feeds it and waits for its end."""

    def __init__(self) -> None:
        # The kernel ends the process with the thread that started it: one thread does everything.
        self._thread = Threads(1)
        self._stage: bytes | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Task, Answer]

    def do(self, stage: bytes, units: UnitQueue) -> "Future[None]":
        """Does units of a pickled stage, as long as there are some; the future raises what went wrong."""
        return self._thread.submit(self._do, stage, units)

    def _do(self, stage: bytes, units: UnitQueue) -> None:
        try:
            for unit in units:
                answer = self._ask(Task(unit, None if stage == self._stage else stage))
                self._stage = stage
                if answer.failure is not None:
                    raise UnitError(answer.failure) from RuntimeError(answer.trace)
        except BaseException:
            units.clear()
            raise

    def _ask(self, task: Task) -> Answer:
        process = self._process or self._start()
        try:
            self._connection.send(task)
            return self._connection.recv()
        except (EOFError, OSError):
            raise WorkerError(child.describe_exit(process.pid, process.wait())) from None

    def _start(self) -> "subprocess.Popen[bytes]":
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                child.command(MAIN, str(theirs.fileno())),
                env=child.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # out of reach of the terminal's Ctrl-C
            )
        return self._process

    def end(self) -> None:
        """Kills the process, whatever it does: a unit that is not committed is done again."""
        if self._process is not None:
            self._process.kill()
        self._thread.__exit__()
        if self._process is not None:
            self._process.wait()
            self._connection.close()


class Workers:
    """This process and others, which share the units of a step; a context manager.

    Args:
        processes: how many there are, this one among them. Others start when there is work for them.
    """

    def __init__(self, processes: int):
        self.processes = processes
        self._others: list[Worker] = []

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._others:
            worker.end()
        self._others.clear()

    def do(self, stage: Stage, units: Sequence[Unit], *, alone: bool = False) -> None:
        """Does the units of a stage, here and in the other processes.

        Args:
            stage: each process has its own, with the machines that it makes.
            units: those that are done already cost a look at their manifests.
            alone: whether this process does all of them.

        Raises:
            UnitError: a unit failed.
            WorkerError: a process died.
        """
        queue = UnitQueue(units)
        others = [] if alone else self._ready(min(self.processes, len(units)) - 1)
        # A copy has none of the machines that this process may have made.
        pickled = pickle.dumps(dataclasses.replace(cast(Any, stage))) if others else b""
        futures = [worker.do(pickled, queue) for worker in others]
        try:
            for unit in queue:
                do(stage, unit)
        except BaseException:
            queue.clear()
            raise
        for future in futures:
            if not future.cancel():  # a thread that has not begun has no unit
                future.result()

    def _ready(self, number: int) -> list[Worker]:
        while len(self._others) < number:
            self._others.append(Worker())
        return self._others[: max(number, 0)]


def serve(connection: "Connection[Answer, Task]") -> None:
    """Does what the run's process asks for, until that ends."""
    stage: Stage | None = None
    with contextlib.suppress(EOFError):
        while True:
            task = connection.recv()
            try:
                if task.stage is not None or stage is None:
                    stage = pickle.loads(task.stage or b"")
                do(stage, task.unit)
                answer = Answer()
            except UnitError as failed:
                answer = Answer(failed.failure, traceback.format_exc())
            except Exception as error:
                answer = Answer(failure_of("worker", task.unit, error), traceback.format_exc())
            connection.send(answer)
