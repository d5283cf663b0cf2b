"""What a phase costs: wall time, CPU of every process, and peak anonymous memory of all of them."""

import glob
import os
import re
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from sluice.pipeline.processes.ticker import Ticker

SAMPLE_SECONDS = 0.2


class Cost(msgspec.Struct, frozen=True):
    """What a phase cost, summed over the runs that it took.

    Attributes:
        seconds: wall time.
        cpu_seconds: user and system time of this process and its descendants.
        peak_rss_bytes: most anonymous memory of all processes together, sampled 5 times a second.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_rss_bytes: int = 0

    def plus(self, other: "Cost") -> "Cost":
        """Returns the sum of times and the higher of the peaks."""
        return Cost(
            round(self.seconds + other.seconds, 3),
            round(self.cpu_seconds + other.cpu_seconds, 3),
            max(self.peak_rss_bytes, other.peak_rss_bytes),
        )


def cpu_seconds() -> float:
    """Returns the CPU seconds of this process since its start, and of its descendants.

    Those that are alive are counted on Linux alone; elsewhere a child counts when it has ended.
    """
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    alive = sum(map(_ticks, list(_family())[1:])) / os.sysconf("SC_CLK_TCK")
    return alive + sum(u.ru_utime + u.ru_stime for u in used)


def _ticks(process: int) -> int:
    """Returns the CPU time of a process and of its children that have ended, in ticks of the clock."""
    _, _, after_name = _read(f"/proc/{process}/stat").rpartition(b")")
    return sum(map(int, after_name.split()[11:15]))


def anonymous_bytes() -> int:
    """Returns the anonymous memory of this process and its descendants, in bytes (Linux; elsewhere 0)."""
    pages = (re.search(rb"RssAnon:\s+(\d+) kB", _read(f"/proc/{p}/status")) for p in _family())
    return sum(int(resident[1]) * 1024 for resident in pages if resident)


def _family() -> Iterator[int]:
    """Yields this process, and on Linux its descendants that are alive."""
    queue = [os.getpid()]
    while queue:
        yield (process := queue.pop())
        for path in glob.iglob(f"/proc/{process}/task/*/children"):
            queue += map(int, _read(path).split())


def _read(path: str) -> bytes:
    """Returns what is in a file, or nothing where its process has ended."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


class Meter:
    """Measures phases one after the other; the first owns the process's start.

    Use as a context manager; `lap()` returns the cost since the last lap.
    """

    def __init__(self) -> None:
        self._seconds, self._cpu = time.monotonic(), 0.0
        self._peak = 0
        self._ticker = Ticker(self._watch, SAMPLE_SECONDS)

    def __enter__(self) -> "Meter":
        self._ticker.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._ticker.__exit__()

    def _watch(self) -> None:
        self._peak = max(self._peak, anonymous_bytes())

    def lap(self) -> Cost:
        """Returns the cost since the last lap, and begins the next."""
        now, cpu = time.monotonic(), cpu_seconds()
        cost = Cost(
            round(now - self._seconds, 3),
            round(cpu - self._cpu, 3),
            max(self._peak, anonymous_bytes()),
        )
        self._seconds, self._cpu, self._peak = now, cpu, 0
        return cost
