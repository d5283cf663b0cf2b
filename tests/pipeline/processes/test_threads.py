"""Threads that do tasks: results in order, whether threads begin or not."""

import _thread
import threading
from collections.abc import Iterator

import pytest

from sluice.pipeline.processes.threads import Threads
from sluice.pipeline.storage import files as storage

THREADS = (3, 1)


def begins(*_: object) -> int:
    """As a thread that finds no memory when it begins: it has started, and does nothing."""
    return 1


def refused(*_: object) -> int:
    raise RuntimeError("can't start new thread")


@pytest.fixture(params=[None, begins, refused])
def _started(request: pytest.FixtureRequest) -> Iterator[None]:
    """Threads that run, that never begin, and that the system does not give."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param is not None:
            patch.setattr(_thread, "start_new_thread", request.param)
        yield


@pytest.mark.usefixtures("_started")
@pytest.mark.parametrize("at_once", THREADS)
def test_results_come_in_order(at_once: int) -> None:
    """Each item is done once, and what it gives comes in its place."""
    done: list[int] = []

    def square(number: int) -> int:
        done.append(number)
        return number * number

    squares = list(storage.in_threads(square, range(50), at_once=at_once))
    assert squares == [number * number for number in range(50)]
    assert sorted(done) == list(range(50))


@pytest.mark.usefixtures("_started")
def test_an_exception_is_that_of_its_item() -> None:
    """It comes where the item is, and what nobody has begun is dropped."""
    done: list[int] = []

    def inverse(number: int) -> float:
        done.append(number)
        return 1 / number

    results = storage.in_threads(inverse, [2, 1, 0, *range(1000)], at_once=2)
    assert [next(results), next(results)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(done) < 1000


def test_tasks_run_side_by_side() -> None:
    """As many threads as there may be meet."""
    meeting = threading.Barrier(3)
    assert len(list(storage.in_threads(lambda _: meeting.wait(60), range(3), at_once=3))) == 3


def test_the_end_waits_for_what_is_under_way() -> None:
    """A task that a thread has begun is over when the block ends."""
    begun, over = threading.Event(), threading.Event()

    def task() -> None:
        begun.set()
        over.wait(0.05)
        over.set()

    with Threads(1) as threads:
        future = threads.submit(task)
        assert begun.wait(60)
    assert future.done()
    assert over.is_set()


def test_only_what_is_not_begun_is_done_here() -> None:
    """Who waits for a task that a thread has begun does not do it a second time."""
    count, go = [0], threading.Event()

    def task() -> None:
        count[0] += 1
        go.wait(60)

    with Threads(1) as threads:
        future = threads.submit(task)
        while not future.running():
            pass
        go.set()
        threads.result(future)
    assert count == [1]
