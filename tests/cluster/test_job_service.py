"""What the user of a cluster sees when a job ends badly, with commands in the place of Spark."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from sluice.pipeline.engine.beam.run import _finish
from sluice.schemas.errors import SluiceError
from tests.cluster.job_service import STATE, JobService
from tests.cluster.spark import flags


@contextmanager
def submitted(folder: Path, *command: str) -> Iterator[tuple[JobService, PipelineResult]]:
    """Yields a job service, and a job of it that runs a command."""
    service = JobService(folder, lambda _: command)
    with service.served() as endpoint:
        pipeline = beam.Pipeline(options=PipelineOptions(list(flags(endpoint, "localhost:1"))))
        _ = pipeline | beam.Create([1])
        yield service, pipeline.run()


def test_an_interrupt_ends_the_job_on_the_cluster(tmp_path: Path) -> None:
    """Ctrl-C while a job runs: the job is cancelled and its command is gone."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with submitted(tmp_path, "sh", "-c", f"echo $$ > {tmp_path}/pid; sleep 60") as (
            service,
            job,
        ):
            signal.setitimer(signal.ITIMER_REAL, 2)
            with pytest.raises(KeyboardInterrupt):
                _finish(job, [])
            with pytest.raises(ProcessLookupError):
                os.kill(int((tmp_path / "pid").read_text()), 0)
            assert [j.state for j in service._jobs.values()] == [STATE.CANCELLED]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_an_engine_that_gives_up_says_so_in_a_line(tmp_path: Path) -> None:
    """A job that fails without a unit's error is an error of ours with the engine's cause."""
    script = "echo 'Caused by: java.lang.Error: no room'; exit 1"
    with (
        submitted(tmp_path, "sh", "-c", script) as (_, job),
        pytest.raises(SluiceError, match=r"(?s)engine gave up.*no room.*units are kept"),
    ):
        _finish(job, [])
