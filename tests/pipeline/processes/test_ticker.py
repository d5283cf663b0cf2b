"""A thread that looks now and then: it ends with its block, and no block waits for one that never began."""

import _thread
import threading
import time
from collections.abc import Callable

import pytest

from sluice.pipeline.processes.ticker import Ticker


def test_looks_end_with_the_block() -> None:
    """There are looks while the block runs, the last is over when it ends, and none comes after it."""
    looks, again = [0], threading.Event()

    def look() -> None:
        time.sleep(0.01)
        looks[0] += 1
        if looks[0] == 3:
            again.set()

    with Ticker(look, 0.001):
        assert again.wait(30)
    seen = looks[0]
    time.sleep(0.05)
    assert looks[0] == seen


def dies(*_: object) -> int:
    """As a thread that finds no memory when it begins: it has started, and does nothing."""
    return 1


def refused(*_: object) -> int:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("start", [dies, refused])
def test_a_block_without_its_thread_ends(
    monkeypatch: pytest.MonkeyPatch, start: Callable[..., int]
) -> None:
    """`threading.Thread.start` would wait for it for ever."""
    monkeypatch.setattr(_thread, "start_new_thread", start)
    with Ticker(lambda: pytest.fail("nobody looks"), 0.001):
        pass
