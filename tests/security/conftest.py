"""The shared run of the main job, for the tests that look for its texts and names."""

from tests.pipeline.conftest import job

__all__ = ["job"]
