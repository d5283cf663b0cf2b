"""The memory of the processes of a run and the size of its folder, seen from outside while it runs."""

import contextlib
import os
import re
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

WATCH_SECONDS = 0.2
DISK_EVERY = 10
"""The output's size is looked up once in so many looks at memory: it is a walk over its files."""
_FIELD = re.compile(rb"^(RssAnon|RssFile|RssShmem|VmHWM):\s+(\d+) kB", re.M)


class Memory(NamedTuple):
    """What all processes of a run held at a time, in bytes.

    Attributes:
        at: seconds since the epoch, as files' times are.
        anonymous: heap, stacks, arrays: what has no file behind it.
        resident: that, and pages of mapped files, which the machine can reclaim.
        high_water: the most that each process has ever had resident, summed.
    """

    at: float
    anonymous: int
    resident: int
    high_water: int


class Watch:
    """Looks at the memory of this process's descendants, and at a folder's size, until it is left.

    Left by an exception, it kills them: no process outlives its measurement.

    Args:
        folder: whose size is looked up.
        limit_bytes: descendants are killed when they hold more anonymous memory; 0 for no limit.

    Attributes:
        seen: the memory at every look, in order.
        folder_bytes: the most that the folder held.
        exceeded: the memory that was too much, or 0.
    """

    def __init__(self, folder: Path, *, limit_bytes: int = 0):
        self.seen: list[Memory] = []
        self.folder_bytes = self.exceeded = 0
        self._folder, self._limit = folder, limit_bytes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="watch", daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if failure is not None:
            kill(descendants(os.getpid()))
        self.folder_bytes = max(self.folder_bytes, folder_bytes(self._folder))

    def _look_on(self) -> None:
        while not self._stop.wait(WATCH_SECONDS):
            processes = descendants(os.getpid())
            self.seen.append(memory_of(processes))
            if len(self.seen) % DISK_EVERY == 0:
                self.folder_bytes = max(self.folder_bytes, folder_bytes(self._folder))
            if self._limit and self.seen[-1].anonymous > self._limit:
                self.exceeded = self.exceeded or self.seen[-1].anonymous
                kill(processes)


def kill(processes: Iterable[int]) -> None:
    """Ends processes at once; those that have ended are left alone."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def descendants(process: int) -> list[int]:
    """Returns the processes that a process has begun, and theirs (Linux; elsewhere none)."""
    found, queue = [], [process]
    while queue:
        for children in Path(f"/proc/{queue.pop()}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                queue += (more := [int(p) for p in children.read_bytes().split()])
                found += more
    return found


def memory_of(processes: Iterable[int]) -> Memory:
    """Returns the memory of processes; one that has ended holds nothing."""
    total: dict[bytes, int] = defaultdict(int)
    for process in processes:
        with contextlib.suppress(OSError):
            for name, kib in _FIELD.findall(Path(f"/proc/{process}/status").read_bytes()):
                total[name] += int(kib) * 1024
    anonymous = total[b"RssAnon"]
    resident = anonymous + total[b"RssFile"] + total[b"RssShmem"]
    return Memory(time.time(), anonymous, resident, total[b"VmHWM"])


def folder_bytes(folder: Path) -> int:
    """Returns the bytes of all files below a folder; one that goes away meanwhile counts as none."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(path, name)).st_size
    return total


class PhasePeak(NamedTuple):
    """The most memory of all processes during a phase, seen from outside."""

    name: str
    anonymous_bytes: int
    resident_bytes: int


def phase_peaks(seen: Sequence[Memory], ends: dict[str, float]) -> tuple[PhasePeak, ...]:
    """Returns the most memory from the end of the phase before to the phase's own end."""
    peaks, start = [], 0.0
    for name, end in ends.items():
        during = [m for m in seen if start < m.at <= end]
        anonymous = max((m.anonymous for m in during), default=0)
        peaks.append(PhasePeak(name, anonymous, max((m.resident for m in during), default=0)))
        start = end
    return tuple(peaks)
