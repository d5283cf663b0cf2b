"""Child processes that end with the one that started them, each with a log."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

START_SECONDS = 180.0
STOP_SECONDS = 5.0


class StartError(RuntimeError):
    """A process did not come up; the message has the end of its log."""


def free_port() -> int:
    """Returns a free port of 127.0.0.1."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def started(
    command: Sequence[str | Path],
    *,
    log: Path,
    ready: Callable[[], bool],
    env: Mapping[str, str] = {},
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a command until the block ends, in a process group that is ended as a whole.

    Raises:
        StartError: it ended, or was not ready in time.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(command),
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(process, ready, log)
        yield process
    finally:
        end_group(process)


def _wait(process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            raise StartError(f"{process.args}\n{log.read_text('utf-8', 'replace')[-3000:]}")
        time.sleep(0.1)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and all that it started: politely, then by force."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def listens(port: int) -> Callable[[], bool]:
    """Returns a function that says whether a process listens on a port of 127.0.0.1."""

    def check() -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0

    return check


def says(log: Path, words: str) -> Callable[[], bool]:
    """Returns a function that says whether a log has these words."""
    return lambda: log.exists() and words in log.read_text("utf-8", "replace")


def members(session: int, words: str) -> list[int]:
    """Returns the ids of the processes of a session whose command line has these words."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            pid = int(path.parent.name)
            if os.getsid(pid) == session and words in path.read_text("utf-8", "replace"):
                pids.append(pid)
    return sorted(pids)
