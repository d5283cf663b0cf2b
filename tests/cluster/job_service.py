"""Beam's job service over `spark-submit`: what `--job_endpoint` names.

Beam's own job server is one jar with the same Spark runner in it; see docs/clusters.md for when to use which.
"""

import contextlib
import itertools
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc
from apache_beam.runners.portability import abstract_job_service
from apache_beam.utils.timestamp import Timestamp

from tests.cluster.processes import end_group

STATE = beam_job_api_pb2.JobState
Command = Callable[[Path], Sequence[str]]
"""The folder of a job -> the command that runs it."""


class Job(abstract_job_service.AbstractBeamJob):
    """A pipeline, run by one command that reads it from a folder.

    Attributes:
        folder: `pipeline.pb` and `options.pb` for the command, its `log`, and `metrics.pb` that it leaves.
    """

    def __init__(self, folder: Path, command: Command, job_arguments: Sequence[Any]):
        super().__init__(*job_arguments)
        self.folder, self._command = folder, command
        self._changed = threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_cancelled = False

    def prepare(self) -> None:
        """Writes what the command reads."""
        self.folder.mkdir(parents=True)
        (self.folder / "pipeline.pb").write_bytes(self._pipeline_proto.SerializeToString())
        (self.folder / "options.pb").write_bytes(self._pipeline_options.SerializeToString())

    def artifact_staging_endpoint(self) -> None:
        """Returns None: workers have the code installed."""

    def run(self) -> None:
        """Starts the command, and a thread that waits for its end."""
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                list(self._command(self.folder)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._enter(STATE.RUNNING)
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        assert self._process is not None
        status = self._process.wait()
        if self._is_cancelled:
            self._enter(STATE.CANCELLED)
        else:
            self._enter(STATE.FAILED if status else STATE.DONE)

    def cancel(self) -> None:
        """Ends the command, and with it the job on the cluster."""
        if self._process is not None and not self.is_terminal_state(self.state):
            self._is_cancelled = True
            end_group(self._process)

    def _enter(self, state: Any) -> None:
        with self._changed:
            self._state_history.append((state, Timestamp.now()))
            self._changed.notify_all()

    def get_state_stream(self) -> Iterator[Any]:
        """Yields each state and when it was entered, until the job is over."""
        for number in itertools.count():
            with self._changed:
                self._changed.wait_for(lambda n=number: len(self._state_history) > n)
                entry = self._state_history[number]
            yield entry
            if self.is_terminal_state(entry[0]):
                return

    def get_message_stream(self) -> Iterator[Any]:
        """Yields the states, and why the job failed before the last one."""
        for state, when in self.get_state_stream():
            if state == STATE.FAILED:
                yield beam_job_api_pb2.JobMessage(
                    message_id="failure",
                    importance=beam_job_api_pb2.JobMessage.JOB_MESSAGE_ERROR,
                    message_text=self._failure(),
                )
            yield state, when

    def _failure(self) -> str:
        """Returns the causes in the log: Java's, then Python's in its message."""
        log = (self.folder / "log").read_text("utf-8", "replace")
        causes = [line for line in log.splitlines() if line.startswith("Caused by: ")]
        return "\n".join([*causes[-3:], f"the log is {self.folder / 'log'}"])

    def metrics(self) -> Any:
        """Returns the counters of a job that is done; none before."""
        results = beam_job_api_pb2.MetricResults()
        with contextlib.suppress(FileNotFoundError):
            results.ParseFromString((self.folder / "metrics.pb").read_bytes())
        return results


class JobService(abstract_job_service.AbstractJobServiceServicer):
    """Runs each job by a command.

    Args:
        folder: gets a folder a job, named `job-<number>`.
        command: of a job.
    """

    def __init__(self, folder: Path, command: Command):
        super().__init__()
        self._folder, self._command = folder, command

    def create_beam_job(self, *job_arguments: Any) -> Job:
        """Returns the job of a pipeline."""
        return Job(self._folder / f"job-{len(self._jobs):03d}", self._command, job_arguments)

    def GetJobMetrics(self, request: Any, context: Any = None) -> Any:
        """Returns the counters of a job."""
        metrics = self._jobs[request.job_id].metrics()
        return beam_job_api_pb2.GetJobMetricsResponse(metrics=metrics)

    @contextlib.contextmanager
    def served(self) -> Iterator[str]:
        """Serves on a free port of 127.0.0.1 until the block ends; yields the endpoint."""
        server = grpc.server(ThreadPoolExecutor())
        beam_job_api_pb2_grpc.add_JobServiceServicer_to_server(self, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            for job in self._jobs.values():
                job.cancel()
            server.stop(0).wait()
