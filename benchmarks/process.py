"""Runs a command and says what it cost, as the operating system counts it, and on what machine."""

import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

PACKAGES = (
    "sluice",
    "apache-beam",
    "pyarrow",
    "numpy",
    "numba",
    "scipy",
    "tokenizers",
    "gigatoken",
)
ROOT = Path(__file__).resolve().parent.parent
"""Where commands run: the modules of the repository are found from there."""


class Usage(msgspec.Struct, frozen=True):
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


class Machine(msgspec.Struct, frozen=True):
    """What the figures were measured on, and with which versions."""

    cpu: str
    cores: int
    memory_bytes: int
    system: str
    python: str
    versions: dict[str, str]

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return (
            f"{self.cpu}, {self.cores} cores, {self.memory_bytes / 1e9:.0f} GB; {self.system}; "
            f"Python {self.python}; {versions}"
        )


class CommandError(RuntimeError):
    """A measured command did not end with 0; the message has the end of what it said."""


def run_measured(command: Sequence[str], *, log: Path, env: Mapping[str, str] = {}) -> Usage:
    """Runs a command in the repository's root and returns what it cost.

    Args:
        command: the program and its arguments.
        log: where its output goes.
        env: is added to the environment.

    Raises:
        CommandError: its exit status is not 0.
    """
    load, begun = os.getloadavg()[0], time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - begun
    if process.returncode:
        tail = log.read_text("utf-8", "replace")[-2000:]
        raise CommandError(f"{' '.join(command)} ended with {process.returncode}:\n{tail}")
    cpu_seconds, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10
    return Usage(round(seconds, 3), round(cpu_seconds, 3), round(load, 2), peak)


def this_machine() -> Machine:
    """Returns the machine and the versions of what is measured."""
    return Machine(
        cpu=_cpu_name(),
        cores=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        system=platform.platform(terse=True),
        python=platform.python_version(),
        versions={name: version(name) for name in PACKAGES},
    )


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
