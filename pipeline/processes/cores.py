"""How many processes a machine has room for: the cores and the memory that this process may use."""

import contextlib
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

WORKER_BYTES = 800_000_000
"""Memory of a process that does units of `default.toml`, its models and one unit (benchmarks/workers.py)."""
_CGROUP, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Returns the cores that this process may use: those it is bound to, and its cgroup's share of time."""
    bound = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))
    cores = len(bound(0))
    quota = min((_cpu_quota(folder) for folder in _cgroups()), default=math.inf)
    return max(1, min(cores, math.ceil(quota) if math.isfinite(quota) else cores))


def free_memory() -> int | None:
    """Returns the bytes that this process and its children may still take; None where nothing says so."""
    bounds = [_memory_left(folder) for folder in _cgroups()]
    with contextlib.suppress(OSError):
        available = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        bounds += [int(available[1]) * 1024] if available else []
    free = min(bounds, default=math.inf)
    return int(free) if math.isfinite(free) else None


def fitting_processes(each: int = WORKER_BYTES) -> int:
    """Returns how many processes share the work of a run by default: one a core, as far as memory goes.

    Args:
        each: the bytes that a process may take.
    """
    free, cores = free_memory(), usable_cores()
    return cores if free is None else max(1, min(cores, free // each))


def _cgroups() -> Iterator[Path]:
    """Yields the folders of the cgroups that bound this process, its own and those above it.

    Of version 2 there is one tree; of version 1 one for each controller.
    """
    try:
        lines = _OWN.read_text().splitlines()
    except OSError:
        return
    for number, controllers, path in (line.split(":", 2) for line in lines):
        for root in [_CGROUP] if number == "0" else map(_CGROUP.joinpath, controllers.split(",")):
            own = root / path.lstrip("/")
            folder = own if own.is_dir() else root  # a container may see its own group as the root
            while folder.is_relative_to(root):
                yield folder
                folder = folder.parent


def _cpu_quota(folder: Path) -> float:
    """Returns the cores' worth of time that a cgroup may use."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):
        quota = (folder / "cpu.cfs_quota_us").read_text()
        if int(quota) > 0:
            return int(quota) / int((folder / "cpu.cfs_period_us").read_text())
    return math.inf


def _memory_left(folder: Path) -> float:
    """Returns the bytes that a cgroup may still take: its limit less what it holds beside pages of files."""
    for limit, held in (("memory.max", "anon"), ("memory.limit_in_bytes", "total_rss")):
        with contextlib.suppress(OSError, ValueError, KeyError):
            lines = (folder / "memory.stat").read_text().splitlines()
            statistics = dict(line.split() for line in lines)
            return max(0, int((folder / limit).read_text()) - int(statistics[held]))
    return math.inf
