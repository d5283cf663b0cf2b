"""The engines of Beam: a phase is a pipeline, on its local runner or the cluster that the flags name."""

import contextlib
from collections.abc import Sequence

from apache_beam.runners.runner import PipelineResult

from sluice.pipeline.engine.beam import watchdog
from sluice.pipeline.engine.beam.graph import build
from sluice.pipeline.engine.beam.options import (
    LOCAL,
    beam_options,
    check_places,
    phase_flags,
    send_whole,
)
from sluice.pipeline.engine.beam.quiet import quiet
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.planned import PhasePlan
from sluice.pipeline.processes.signals import raised_by_signals
from sluice.pipeline.units.failure import failures
from sluice.schemas.errors import SluiceError


class BeamEngine:
    """Does phases on the engine that Beam's flags name.

    Args:
        job: names the pipelines.
        flags: Beam's.
        processes: of Beam's local runner, where the flags do not say it.
    """

    def __init__(self, job: Job, flags: Sequence[str], *, processes: int):
        self._job, self._flags, self._processes = job, flags, processes
        options = beam_options(flags, processes=processes).get_all_options()
        local = options["runner"] == LOCAL
        self.processes: int | None = options["direct_num_workers"] if local else None
        self.name = f"beam ({options['runner']})"

    def check(self) -> None:
        """Raises where the workers cannot see the files of a job."""
        check_places(beam_options(self._flags, processes=self._processes), self._job)

    def run(self, plan: PhasePlan) -> None:
        """Runs the pipeline of a phase to its end."""
        send_whole()
        flags = phase_flags(self._flags, self._job, plan)
        options = beam_options(flags, processes=self._processes)
        with quiet(), watchdog.watched():
            _finish(build(plan, options).run(), [stage.folder for stage in plan.stages])


def _finish(running: PipelineResult, folders: Sequence[str]) -> None:
    """Waits for a pipeline on a cluster (a local one is over when it has been started).

    Where the wait is broken off the job ends too: one that went on alone would write into an output
    that nobody holds.

    Raises:
        SluiceError: the engine gave up, and no unit says why.
    """
    try:
        with raised_by_signals():
            running.wait_until_finish()
    except Exception as failure:
        if failures(folders):
            raise
        raise SluiceError(
            f"the engine gave up: {failure}; finished units are kept, the same command goes on"
        ) from failure
    except KeyboardInterrupt:
        with contextlib.suppress(Exception):
            running.cancel()
        raise
