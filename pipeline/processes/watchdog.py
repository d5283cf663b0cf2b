"""Ends a run whose worker process died.

Beam's local runner (`--direct_running_mode=multi_processing`) waits for ever for a worker that is gone.
Here a dead worker ends the phase with an error that says what became of it.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2, endpoints_pb2
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from google.protobuf import json_format, text_format

from sluice.pipeline.processes import child
from sluice.schemas.errors import WorkerError

SECONDS_TO_END = 5.0
"""How long a worker may take to end when its work is done."""
TICK_SECONDS = 0.1


class Workers:
    """The worker processes of one pipeline, and the first that died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[subprocess.Popen[bytes]] = []
        self._over = False
        self.death: WorkerError | None = None

    def start(self, **variables: str) -> "subprocess.Popen[bytes]":
        """Starts a worker, out of reach of the terminal's Ctrl-C: it ends when the run does."""
        shown = None if os.environ.get("SLUICE_DEBUG") else subprocess.DEVNULL
        process = subprocess.Popen(
            child.command("apache_beam.runners.worker.sdk_worker_main"),
            env=child.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=shown,
            stderr=shown,
            start_new_session=True,
        )
        with self._lock:
            self._running.append(process)
            if self._over:
                process.kill()
        return process

    def ended(self, process: "subprocess.Popen[bytes]") -> None:
        """Records the first that died by itself, and ends the others: their phase cannot be finished."""
        with self._lock:
            if not self._over:
                self.death = WorkerError(obituary(process.pid, process.returncode))
        self.kill()

    def kill(self) -> None:
        """Kills all workers, those too that are about to start."""
        with self._lock:
            self._over = True
            for process in self._running:
                process.kill()


def obituary(pid: int, code: int) -> str:
    """Returns what became of a worker, and what to do, from its return code as `Popen` has it."""
    again = "finished units are kept: run the same command again"
    if code == -signal.SIGKILL:
        return (
            f"worker process {pid} was killed (SIGKILL), as by a system that is out of memory; {again}, "
            f"with more memory or fewer workers (-- --direct_num_workers=N)"
        )
    if code < 0:
        return f"worker process {pid} was killed by {signal.Signals(-code).name}; {again}"
    return (
        f"worker process {pid} ended with exit code {code}; {again}, "
        f"with SLUICE_DEBUG=1 to see what the worker prints"
    )


class _WorkerHandler(worker_handlers.SubprocessSdkWorkerHandler):
    """Beam's handle of one worker process; answers for the worker when it is dead."""

    workers: Workers

    def start_worker(self) -> None:
        """Starts the thread that starts the process, and waits for its end."""
        self._closing = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self.worker_thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self.worker_thread.start()

    def _watch(self) -> None:
        about = self.provision_info.provision_info.pipeline_options
        control = endpoints_pb2.ApiServiceDescriptor(url=self.control_address)
        self._process = self.workers.start(
            CONTROL_API_SERVICE_DESCRIPTOR=text_format.MessageToString(control),
            PIPELINE_OPTIONS=json_format.MessageToJson(about),
            WORKER_ID=self.worker_id,
        )
        self._process.wait()
        if not self._closing.is_set():
            self.workers.ended(self._process)
        # The runner may ask again before it learns of the death, so we answer until it closes us.
        while not self._closing.wait(TICK_SECONDS):
            self._answer()

    def _answer(self) -> None:
        """Fails what the runner waits for."""
        waiting = self.control_conn._futures_by_id
        for instruction in list(waiting):
            failed = beam_fn_api_pb2.InstructionResponse(
                instruction_id=instruction,
                error=str(self.workers.death or "the worker was stopped"),
            )
            waiting.pop(instruction).set(failed)

    def close(self) -> None:
        """Ends the worker: by the connection where all is well, by force where the pipeline failed."""
        self._closing.set()
        failed = self.workers.death is not None or sys.exc_info()[0] is not None
        if failed:
            # It may be deep in a bundle that takes hours.
            self.workers.kill()
            self.worker_thread.join()
        else:
            super().close()

    def stop_worker(self) -> None:
        """Waits a while for the process to end, then kills it: what it may still do has no reader."""
        self.worker_thread.join(SECONDS_TO_END)
        if self.worker_thread.is_alive() and self._process is not None:
            self._process.kill()


@contextlib.contextmanager
def watched() -> Iterator[Workers]:
    """Watches the worker processes that Beam's local runner starts inside.

    Raises:
        WorkerError: one of them died.
    """
    workers = Workers()
    handler = type("WorkerHandler", (_WorkerHandler,), {"workers": workers})
    known = worker_handlers.WorkerHandler._registered_environments
    before = known[python_urns.SUBPROCESS_SDK]
    known[python_urns.SUBPROCESS_SDK] = (handler, bytes)
    try:
        yield workers
    except Exception as failure:
        if workers.death is not None:
            raise workers.death from failure
        raise
    finally:
        known[python_urns.SUBPROCESS_SDK] = before
        workers.kill()
