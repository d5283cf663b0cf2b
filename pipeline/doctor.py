"""`sluice doctor`: whether a run would work on this machine, and what to do where it would not.

It looks and loads nothing: versions are read from the metadata of packages, GPUs from the driver's files. It
needs no package itself, so that it can say which are missing. No network is asked. A check that finds
something that would make a run fail is an error; what makes it slow, or fails in some runs alone, is a
warning.
"""

import fcntl
import os
import platform
import re
import resource
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Final, Literal, TextIO

from sluice.pipeline.processes.cores import WORKER_BYTES, free_memory, usable_cores
from sluice.pipeline.report.figures import size
from sluice.pipeline.terminal import coloured
from sluice.schemas.names import visible

Status = Literal["ok", "warning", "error"]
COLOUR_OF: Final = {"ok": "green", "warning": "yellow", "error": "red"}
PACKAGES: Final = ("pyarrow", "numpy", "numba", "apache-beam", "tokenizers")
"""Packages that have a line of their own; others that a run needs have one where they are wrong."""
EXTRAS: Final = {
    "sample": ("`sluice sample`", ("wordfreq",)),
    "train": ("sluice.TokenDataset", ("torch",)),
    "transformers": ("[[transformers]] in a recipe", ("torch", "transformers")),
    "encoder": ('`model = "sluice/encoder"` in a recipe', ("onnxruntime",)),
    "gcp": ("Dataflow and gs://", ("google-cloud-storage", "google-cloud-dataflow-client")),
    "s3": ("exact locks in S3", ("boto3",)),
}
"""What an extra is for, and the packages that it brings."""
BYTES_PER_INPUT_BYTE: Final = 3.5
LOW_DISK_BYTES, NO_DISK_BYTES = 5_000_000_000, 200_000_000
TRAINING_BYTES: Final = 3_000_000_000
"""Memory that trains a vocabulary on a gigabyte of text, with a worker beside it."""
OPEN_FILES: Final = 1024
DRIVER: Final = Path("/proc/driver/nvidia")
DEVICES: Final = Path("/dev")


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was looked at.

    Attributes:
        name: of what was looked at.
        status: "error" where a run would fail, "warning" where it would be slow or may fail.
        found: what is there.
        remedy: what to do; empty where nothing is to be done.
    """

    name: str
    status: Status = "ok"
    found: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class DoctorAnswer:
    """`sluice doctor`: `ready` where no check is an error."""

    ready: bool
    checks: list[Check]


def checks(output: str = ".") -> Iterator[Check]:
    """Yields what was found on this machine.

    Args:
        output: the folder or URI that a run would write to.
    """
    yield _python()
    yield from _packages()
    yield from _extras()
    yield _cores()
    yield _memory()
    yield _output(output)
    yield _temporary()
    yield _gpu()
    yield _kernels()
    yield _encoding()
    yield _open_files()


def line(check: Check, out: TextIO) -> str:
    """Returns a check as lines of the terminal."""
    status = coloured(f"{check.status:<8}", COLOUR_OF[check.status], out)
    text = f"{status} {check.name:<13} {visible(check.found)}"
    return f"{text}\n{'':<23}-> {visible(check.remedy)}" if check.remedy else text


def _python() -> Check:
    found = f"{platform.python_version()} ({sys.executable}), {platform.platform(terse=True)}"
    if sys.platform != "linux":
        return Check(
            name="python",
            status="error",
            found=found,
            remedy="run Sluice on Linux: it needs its /proc, locks and signals",
        )
    return Check(name="python", found=found)


def _packages() -> Iterator[Check]:
    try:
        required = [r for r in requires("sluice") or () if "extra ==" not in r]
    except PackageNotFoundError:
        yield Check(
            name="sluice",
            status="error",
            found="there is no metadata of the package",
            remedy="install it: pip install --editable . in the checkout, or the wheel",
        )
        return
    yield Check(name="sluice", found=version("sluice"))
    for requirement in required:
        check = _package(requirement)
        if check.status != "ok" or check.name in PACKAGES:
            yield check


def _package(requirement: str) -> Check:
    name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
    versions = re.sub(r"^\[.*?\]", "", requirement.removeprefix(name)).strip()
    found, remedy = _version(name), f"pip install '{name}{versions}'"
    if found is None:
        return Check(name=name, status="error", found="is not installed", remedy=remedy)
    if not _is_in(found, versions):
        text = f"{found}; tested with {versions}"
        return Check(name=name, status="warning", found=text, remedy=remedy)
    return Check(name=name, found=found)


def _is_in(found: str, versions: str) -> bool:
    """Returns whether a version is in a range such as `<3,>=2.4`; true where nobody can say."""
    try:
        from packaging.specifiers import SpecifierSet
    except ModuleNotFoundError:
        return True
    return SpecifierSet(versions).contains(found, prereleases=True)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _extras() -> Iterator[Check]:
    for extra, (use, packages) in EXTRAS.items():
        versions = {name: _version(name) for name in packages}
        found = ", ".join(f"{name} {number}" for name, number in versions.items() if number)
        if None in versions.values():
            found = f"not installed; for {use} alone: pip install 'sluice[{extra}]'"
        yield Check(name=f"[{extra}]", found=found)


def _cores() -> Check:
    cores, there = usable_cores(), os.cpu_count() or 1
    bound = "" if cores == there else f" of {there}: affinity or a cgroup bounds them"
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return Check(
            name="cores",
            status="warning",
            found=f"{cores}{bound}; NUMBA_DISABLE_JIT is set, so that kernels run as Python",
            remedy="unset NUMBA_DISABLE_JIT",
        )
    return Check(name="cores", found=f"{cores}{bound}")


def _memory() -> Check:
    free = free_memory()
    if free is None:
        return Check(name="memory", found="not known: nothing says how much is free")
    workers, each = max(1, free // WORKER_BYTES), f"{WORKER_BYTES / 1e9:.1f} GB"
    found = f"{size(free)} free, for {workers} workers at {each} each"
    if free < WORKER_BYTES:
        return Check(
            name="memory",
            status="error",
            found=f"{size(free)} free: a worker takes {each}, and would be killed",
            remedy="end other programs, or raise the limit of the container",
        )
    if free < TRAINING_BYTES:
        return Check(
            name="memory",
            status="warning",
            found=f"{found}; training a vocabulary on a gigabyte of text takes 2.4 GB",
            remedy="--set vocabulary.max_words=2000000, a frozen tokenizer, or more memory",
        )
    return Check(name="memory", found=found)


def _output(output: str) -> Check:
    if "://" in output:
        return Check(name="output", found=f"{output}: a store, which is not asked")
    path = Path(output).absolute()
    folder = next(f for f in (path, *path.parents) if f.exists())
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return Check(
            name="output",
            status="error",
            found=f"{folder}: cannot be written to, or has no locks: {error.strerror}",
            remedy="choose another --output, on a local disk or in an object store",
        )
    free = shutil.disk_usage(folder).free
    return _disk(
        "output",
        f"{folder}: {size(free)} free, for {size(free / BYTES_PER_INPUT_BYTE)} of plain JSON lines",
        free,
        remedy="choose another --output, or free some space; `sluice run --plan` says how much a run needs",
    )


def _temporary() -> Check:
    remedy = "set TMPDIR to a folder on a larger disk"
    try:
        folder = tempfile.gettempdir()
    except OSError as error:
        return Check(name="temporary", status="error", found=str(error), remedy=remedy)
    free = shutil.disk_usage(folder).free
    return _disk("temporary", f"{folder}: {size(free)} free", free, remedy=remedy)


def _disk(name: str, found: str, free: int, *, remedy: str) -> Check:
    if free >= LOW_DISK_BYTES:
        return Check(name=name, found=found)
    status: Status = "error" if free < NO_DISK_BYTES else "warning"
    return Check(name=name, status=status, found=found, remedy=remedy)


def _gpu() -> Check:
    names = [_model(path) for path in sorted(DRIVER.glob("gpus/*/information"))]
    names = names or [
        "GPU of NVIDIA" for _ in DEVICES.glob("nvidia[0-9]*")
    ]  # as in some containers
    torch = _version("torch")
    if not names:
        return Check(
            name="gpu", found="none; transformers run on the processor, the rest needs none"
        )
    found = f"{len(names)} x {names[0]}"
    if torch is not None and torch.endswith("+cpu"):
        return Check(
            name="gpu",
            status="warning",
            found=f"{found}, which torch {torch} cannot use",
            remedy="install a torch that is built for CUDA, if a recipe has transformers",
        )
    return Check(name="gpu", found=found)


def _model(information: Path) -> str:
    """Returns the name of a GPU, as the driver's file has it."""
    for row in information.read_text().splitlines():
        key, _, value = row.partition(":")
        if key == "Model":
            return value.strip()
    return "GPU"


def _kernels() -> Check:
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    home = Path(os.environ.get("SLUICE_CACHE_DIR") or Path(caches, "sluice")).absolute()
    exists = next(f for f in (home / "kernels", home, *home.parents) if f.exists())
    if not _can_write(exists):
        return Check(
            name="kernels",
            status="warning",
            found=f"{exists}: cannot be written to: kernels are compiled at each start, a minute or two",
            remedy="set SLUICE_CACHE_DIR to a folder of yours",
        )
    for folder in (home, home / "kernels"):
        if folder.exists() and not _is_private(folder):
            return Check(
                name="kernels",
                status="warning",
                found=f"{folder}: others may write to it, so kernels are compiled at each start",
                remedy=f"own it, and chmod go-w {folder}",
            )
    files = list(home.glob(f"kernels/{_version('sluice')}-*/*"))
    if not files:
        found = f"{home}: none compiled yet; the first run takes a minute or two more"
        return Check(name="kernels", found=found)
    total = sum(file.stat().st_size for file in files)
    return Check(name="kernels", found=f"{home}: {len(files)} compiled, {size(total)}")


def _can_write(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _is_private(folder: Path) -> bool:
    status = folder.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _encoding() -> Check:
    files, printed = sys.getfilesystemencoding(), getattr(sys.stdout, "encoding", None) or "none"
    if {files.lower(), printed.lower()} <= {"utf-8", "utf8"}:
        return Check(name="encoding", found="UTF-8")
    return Check(
        name="encoding",
        status="warning",
        found=f"file names {files}, output {printed}: other letters than these have cannot be written",
        remedy="export LC_ALL=C.UTF-8, or PYTHONUTF8=1",
    )


def _open_files() -> Check:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or limit >= OPEN_FILES:
        return Check(name="open files", found=f"{'no limit' if limit < 0 else limit}")
    return Check(
        name="open files",
        status="warning",
        found=f"at most {limit}: a run over many inputs opens more",
        remedy=f"ulimit -n {OPEN_FILES * 4}",
    )
