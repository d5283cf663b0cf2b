"""A worker process that dies ends the run with an error, and no process outlives the run."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest

from sluice.pipeline.engine.beam import watchdog
from sluice.pipeline.engine.beam.options import beam_options
from sluice.pipeline.processes import signals
from sluice.schemas.errors import WorkerError

FLAGS = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


class EndYourself(beam.DoFn):
    """Ends its process at the first element that any worker gets; all others take long."""

    def __init__(self, how: str, folder: str):
        self._how, self._folder = how, folder

    def process(self, element: int) -> Iterator[int]:
        Path(self._folder, str(os.getpid())).touch()
        try:
            Path(self._folder, "first").touch(exist_ok=False)
        except FileExistsError:
            time.sleep(2 if self._how == "raise" else 600)
        if self._how == "raise":
            raise ValueError("the first")
        if self._how == "exit":
            os._exit(7)
        os.kill(os.getpid(), int(self._how))
        yield element


def run_dying(how: str, folder: Path) -> None:
    with watchdog.watched():
        pipeline = beam.Pipeline(options=beam_options(FLAGS))
        _ = pipeline | beam.Create(range(8)) | beam.ParDo(EndYourself(how, str(folder)))
        pipeline.run().wait_until_finish()


def workers(folder: Path) -> list[int]:
    """Returns the process ids that `EndYourself` left."""
    found = [int(path.name) for path in folder.iterdir() if path.name.isdigit()]
    assert found
    return found


def gone(pid: int) -> bool:
    """Returns whether a process has ended; one that nobody waited for counts."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def all_gone(pids: list[int], *, within: float) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline and not all(map(gone, pids)):
        time.sleep(0.05)
    return all(map(gone, pids))


# The thread of Beam that reads from a dead worker says so.
quiet = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@quiet
@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "message"),
    [
        (str(int(signal.SIGKILL)), "was killed (SIGKILL), as by a system that is out of memory"),
        (str(int(signal.SIGSEGV)), "was killed by SIGSEGV"),
        ("exit", "ended with exit code 7"),
    ],
)
def test_a_dead_worker_ends_the_pipeline(tmp_path: Path, how: str, message: str) -> None:
    """The error says what became of it, and its siblings end although they have work to do."""
    with pytest.raises(WorkerError, match="run the same command again") as error:
        run_dying(how, tmp_path)
    assert message in str(error.value)
    assert all_gone(workers(tmp_path), within=10)


@quiet
@pytest.mark.slow
def test_an_exception_is_not_a_death(tmp_path: Path) -> None:
    """A worker that raises is Beam's business: its error comes through, and nothing is left behind."""
    with pytest.raises(RuntimeError, match="the first"):
        run_dying("raise", tmp_path)
    assert all_gone(workers(tmp_path), within=10)


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    """The kernel ends a child as soon as its parent is killed."""
    (tmp_path / "sleeper.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(600)\n")
    code = (
        "import subprocess, sys; from sluice.pipeline.processes import child\n"
        f"sys.path.append({str(tmp_path)!r})\n"
        "started = subprocess.Popen(child.command('sleeper'), env=child.environment())\n"
        "print(started.pid, flush=True); started.wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert parent.stdout.readline() == "up\n"
    assert not gone(pid)
    parent.kill()
    parent.wait()
    assert all_gone([pid], within=5)


def test_a_child_of_a_dead_parent_does_not_begin() -> None:
    """A process that was asked for by one that has ended meanwhile ends too."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    command = [sys.executable, "-m", "sluice.pipeline.processes.child", str(ended.pid), "this"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "has ended" in done.stderr


def test_signals_are_left_alone_elsewhere() -> None:
    """What handled a signal before handles it after; a thread that is not the main one changes nothing."""
    before = signal.getsignal(signal.SIGTERM)
    with signals.stopped_by_signals():
        assert signal.getsignal(signal.SIGTERM) is not before

        def elsewhere() -> None:
            with signals.stopped_by_signals():
                pass

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
