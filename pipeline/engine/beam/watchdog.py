"""Ends a run whose worker process died.

Beam's local runner (`--direct_running_mode=multi_processing`) waits for ever for a worker that is gone.
Here a dead worker ends the phase with an error that says how it ended.
"""

import contextlib
import functools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

from apache_beam.portability import python_urns
from apache_beam.portability.api import endpoints_pb2
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from google.protobuf import json_format, text_format

from sluice.pipeline.processes import child
from sluice.schemas.errors import WorkerError

SECONDS_TO_END = 5.0
"""How long a worker may take to end when its work is done."""
TICK_SECONDS = 0.1


class WorkerProcesses:
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
                self.death = WorkerError(child.describe_exit(process.pid, process.returncode))
        self.kill()

    def kill(self) -> None:
        """Kills all workers, those too that are about to start."""
        with self._lock:
            self._over = True
            for process in self._running:
                process.kill()


# Beam has no types, so that mypy takes the base for Any.
class _Handler(worker_handlers.SubprocessSdkWorkerHandler):  # type: ignore[misc]  # Beam has no types
    """Beam's handle of one worker process; breaks off what the runner waits for when the worker is dead."""

    def __init__(self, workers: WorkerProcesses, *arguments: Any):
        super().__init__(*arguments)
        self._workers, self._closing = workers, threading.Event()

    def start_worker(self) -> None:
        """Starts the thread that starts the process, and waits for its end."""
        self.worker_thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self.worker_thread.start()

    def _watch(self) -> None:
        options = self.provision_info.provision_info.pipeline_options
        control = endpoints_pb2.ApiServiceDescriptor(url=self.control_address)
        process = self._workers.start(
            CONTROL_API_SERVICE_DESCRIPTOR=text_format.MessageToString(control),
            PIPELINE_OPTIONS=json_format.MessageToJson(options),
            WORKER_ID=self.worker_id,
        )
        process.wait()
        # The runner may ask again before it learns of the death, so this is repeated until it closes us.
        while not self._closing.wait(TICK_SECONDS):
            self._workers.ended(process)
            with contextlib.suppress(Exception):  # its connection may be broken already
                self.data_conn.close()
            with contextlib.suppress(RuntimeError):  # the runner has asked at this moment
                self.control_conn.abort(
                    self._workers.death or WorkerError("the worker was stopped")
                )

    def close(self) -> None:
        """Ends the worker: by the connection where all went well, by force where the pipeline failed."""
        self._closing.set()
        failed = self._workers.death is not None or sys.exc_info()[0] is not None
        if failed:
            # It may be deep in a bundle that takes hours.
            self._workers.kill()
            self.worker_thread.join()
        else:
            super().close()

    def stop_worker(self) -> None:
        """Waits a while for the process to end, then kills it: nothing reads what it may still do."""
        self.worker_thread.join(SECONDS_TO_END)
        if self.worker_thread.is_alive():
            self._workers.kill()


@contextlib.contextmanager
def watched() -> Iterator[WorkerProcesses]:
    """Watches the worker processes that Beam's local runner starts inside.

    Raises:
        WorkerError: one of them died.
    """
    workers = WorkerProcesses()
    register = worker_handlers.WorkerHandler.register_environment(python_urns.SUBPROCESS_SDK, bytes)
    register(functools.partial(_Handler, workers))
    try:
        yield workers
    except Exception as failure:
        if workers.death is not None:
            raise workers.death from failure
        raise
    finally:
        register(worker_handlers.SubprocessSdkWorkerHandler)
        workers.kill()
