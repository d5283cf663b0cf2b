"""What a machine does to a run: no room, no writing, no memory, a clock that jumps."""

import contextlib
import ctypes
import os
import random
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.kills import wait_for_units
from tests.faults.lab import Ended, Lab, LostError, Outcome, Trial, fork

MB = 1 << 20
MS_RDONLY, MS_REMOUNT, MS_BIND, MNT_DETACH = 1, 32, 4096, 2
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
    """Mounts as the system call does; needs root."""
    failed = _libc.mount(
        source.encode(), str(target).encode(), kind.encode(), flags, options.encode()
    )
    if failed:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(target))


def unmount(target: Path) -> None:
    """Unmounts, whoever is in it."""
    _libc.umount2(str(target).encode(), MNT_DETACH)


@contextlib.contextmanager
def small_disk(folder: Path, num_bytes: int) -> Iterator[None]:
    """Makes a folder a disk of its own that holds so many bytes."""
    folder.mkdir(exist_ok=True)
    mount("tmpfs", folder, "tmpfs", 0, f"size={num_bytes}")
    try:
        yield
    finally:
        unmount(folder)


def enlarge(folder: Path) -> None:
    """Gives a small disk all the room that it can need."""
    mount("tmpfs", folder, "tmpfs", MS_REMOUNT, f"size={1024 * MB}")


def disk_full(lab: Lab, draw: random.Random, seed: str) -> Outcome:
    """The output's disk, or that of the history, is full at some moment; then there is room."""
    trial = lab.trial(lab.draw_recipe(draw))
    where = draw.choice(("out", "out", "out", "history"))
    # The sizes at which a small run gets so far: its tokenizer takes 16 MB, its history less than 1.
    size = round(MB * (draw.uniform(1, 45) if where == "out" else draw.uniform(0.004, 1)))
    with small_disk(trial.folder / where, size):
        ended = trial.run()
        if ended.code:
            ended.check_clear(1, 2)
        enlarge(trial.folder / where)
        trial.go_on()
    return _outcome("disk full", seed, ended, f"{size:,} bytes for {where}")


def _outcome(kind: str, seed: str, ended: Ended, what: str) -> Outcome:
    return Outcome(kind, seed, "resumed" if ended.code else "survived", f"{what}: {ended.last}")


def read_only(lab: Lab, draw: random.Random, seed: str) -> Outcome:
    """The output cannot be written, from the start or from a moment on; then it can."""
    trial = lab.trial(lab.draw_recipe(draw))
    trial.out.mkdir()
    from_start = draw.random() < 0.3
    if from_start:
        freeze(trial.out)
    run = trial.start()
    if not from_start:
        wait_for_units(run, trial, draw.randrange(lab.units))
        freeze(trial.out)
    try:
        ended = run.wait()
    finally:
        unmount(trial.out)
    if ended.code:
        ended.check_clear(1, 2)
    trial.go_on()
    return _outcome(
        "read-only", seed, ended, "from the start" if from_start else "from a moment on"
    )


def freeze(folder: Path) -> None:
    """Lays over a folder a view of itself that nobody can write through; what is open stays open."""
    mount(str(folder), folder, "", MS_BIND)
    mount(str(folder), folder, "", MS_BIND | MS_REMOUNT | MS_RDONLY)


def no_temporary_folder(lab: Lab, draw: random.Random, seed: str) -> Outcome:
    """$TMPDIR is full, or is not there."""
    trial = lab.trial(lab.draw_recipe(draw))
    folder = trial.folder / "temporary"
    full = draw.random() < 0.5

    def prepare() -> None:
        os.environ["TMPDIR"] = str(folder)

    if not full:
        return Outcome("no $TMPDIR", seed, trial.disturbed(prepare), "missing")
    with small_disk(folder, 4096):
        (folder / "full").write_bytes(bytes(4096))
        return Outcome("no $TMPDIR", seed, trial.disturbed(prepare), "full")


def memory(lab: Lab, draw: random.Random, seed: str) -> Outcome:
    """Less memory than a run needs, or more: the kernel refuses it, or kills for it."""
    trial = lab.trial("frozen")
    limit = round(MB * draw.uniform(150, 1600))
    groups = [None, *memory_groups()]
    group = draw.choice(groups)
    if group is None:
        ended = trial.run(prepare=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)))
        what = f"{limit // MB} MB by setrlimit"
    else:
        with limited_group(group, limit) as join:
            ended = trial.run(prepare=join)
        what = f"{limit // MB} MB by cgroup"
    # SIGKILL is the kernel's own word for it, SIGABRT and 127 those of libraries that cannot go on.
    if ended.code > 0:
        ended.check_clear(1, 2)
    trial.go_on()
    return _outcome("memory", seed, ended, f"{what}, exit code {ended.code}")


def memory_groups() -> list[Path]:
    """Returns where a control group with a limit of memory can be made."""
    folders = [Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")]
    limits = ("memory.limit_in_bytes", "memory.max")
    usable = []
    for root, limit in zip(folders, limits, strict=True):
        group = root / f"sluice-faults-{os.getpid()}"
        with contextlib.suppress(OSError):
            group.mkdir()
            if (group / limit).exists():
                usable.append(root)
            group.rmdir()
    return usable


@contextlib.contextmanager
def limited_group(root: Path, num_bytes: int):
    """Yields what puts a process into a new control group with a limit of memory, and no swap."""
    group = root / f"sluice-faults-{os.getpid()}"
    group.mkdir()
    limit = "memory.max" if (group / "memory.max").exists() else "memory.limit_in_bytes"
    (group / limit).write_text(str(num_bytes))
    try:
        yield lambda: (group / "cgroup.procs").write_text(str(os.getpid()))
    finally:
        deadline = time.monotonic() + 10
        while group.exists() and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                group.rmdir()
            time.sleep(0.05)


FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def clock(lab: Lab, draw: random.Random, seed: str) -> Outcome:
    """The wall clock jumps by hours, to and fro, in the middle of a run."""
    if not FAKETIME:
        raise FileNotFoundError("libfaketime: apt-get install faketime")
    trial = lab.trial(lab.draw_recipe(draw))
    now = trial.folder / "now"
    now.write_text("+0")
    run = _run_with_clock(trial, now)
    hours = []
    while run.poll():
        hours.append(draw.choice((-30, -5, -1, 1, 4, 26)))
        now.with_suffix(".next").write_text(f"{hours[-1]:+}h")
        now.with_suffix(".next").replace(now)
        time.sleep(draw.uniform(0.2, 2))
    ended = run.wait()
    if ended.code:  # a wait of the engine's for its workers ends at once where the clock jumps
        ended.check_clear(1)
        trial.go_on()
    else:
        trial.check()
    report = (trial.out / "report" / "report.json").read_text()
    if "-" in "".join(line for line in report.splitlines() if "seconds" in line):
        raise LostError("report.json has negative seconds")
    return _outcome("clock", seed, ended, f"{len(hours)} jumps")._replace(faults=len(hours))


def _run_with_clock(trial: Trial, now: Path):
    """Starts a run as a program of its own: a clock is laid under a process when it is loaded."""
    variables = {
        "LD_PRELOAD": str(FAKETIME[0]),
        "FAKETIME_TIMESTAMP_FILE": str(now),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, "-P", "-m", "sluice.pipeline.cli", *trial.arguments()]

    def do() -> int:
        os.execve(sys.executable, command, {**os.environ, **variables})

    log = trial.lab.folder / f"{trial.folder.name}-clock.log"
    return fork(trial.folder, log, do, mark=f"{os.getpid()}-{log.stem}")
