"""What all tests share: the rules of a session, Hypothesis' settings, and where real posts are."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Before torch is imported, and for the processes of tests: two processes run tests, and the threads of
torch in both would wait for the same cores, in a loop."""

pytest_plugins = ["tests.session_rules"]

settings.register_profile("sluice", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("sluice")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real posts."""
    return Path(os.environ["SLUICE_DATA"])
