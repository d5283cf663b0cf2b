"""Runs a command and says what it cost, as the operating system counts it, and on what machine."""

import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

PACKAGES = [
    "sluice",
    "apache-beam",
    "pyarrow",
    "numpy",
    "numba",
    "scipy",
    "tokenizers",
    "gigatoken",
]
ROOT = Path(__file__).resolve().parent.parent
"""Where commands run: the modules of the repository are found from there."""


class Usage(NamedTuple):
    """What a command cost.

    Attributes:
        seconds: wall time.
        cpu_seconds: user and system time of the process and of its children that it waited for.
        load_before: the machine's load average over a minute when the command began; above 0.5 or so
            others were at work and the wall time says little.
        peak_rss_bytes: the most memory that the process had, or one of those children.
    """

    seconds: float
    cpu_seconds: float
    load_before: float
    peak_rss_bytes: int = 0


class CommandError(RuntimeError):
    """A measured command did not end with 0; the message has the end of what it said."""


def run_measured(
    command: Sequence[str], *, log: Path, env: Mapping[str, str] = {}, code: int = 0
) -> Usage:
    """Runs a command in the repository's root and returns what it cost.

    Args:
        command: the program and its arguments.
        log: where its output goes.
        env: is added to the environment.
        code: the exit status that it must have.

    Raises:
        CommandError: it has another.
    """
    load, begun = os.getloadavg()[0], time.monotonic()
    with log.open("wb") as out:
        env = {**os.environ, **env}
        streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, cwd=ROOT, env=env, **streams)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - begun
    if process.returncode != code:
        tail = log.read_text("utf-8", "replace")[-2000:]
        raise CommandError(f"{' '.join(command)} ended with {process.returncode}:\n{tail}")
    cpu_seconds, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10
    return Usage(round(seconds, 3), round(cpu_seconds, 3), round(load, 2), peak)


def this_machine(*more: str) -> str:
    """Returns the machine and the versions of what is measured, in words; `more` are other packages."""
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return (
        f"{cpu_name()}, {os.cpu_count()} cores, {memory_bytes / 1e9:.0f} GB; "
        f"{platform.platform(terse=True)}; Python {platform.python_version()}; "
        + ", ".join(f"{name} {version(name)}" for name in (*PACKAGES, *more))
    )


def cpu_name() -> str:
    """Returns the name of the processor, as Linux gives it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
