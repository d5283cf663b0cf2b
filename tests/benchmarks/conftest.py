"""The shared run of the main job, for the benchmarks that measure one."""

from tests.pipeline.conftest import job

__all__ = ["job"]
