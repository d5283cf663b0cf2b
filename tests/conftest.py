"""What all tests share: where real posts are, and that CI skips nothing."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("sluice", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("sluice")

DATA = os.environ.get("SLUICE_DATA")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the tests on real posts where there are none."""
    if DATA is None:
        real = [item for item in items if item.get_closest_marker("real")]
        items[:] = [item for item in items if not item.get_closest_marker("real")]
        if real:
            config.hook.pytest_deselected(items=real)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Turns a skip into a failure in CI: what is not installed there must be."""
    if report.skipped and os.environ.get("SLUICE_CI"):
        report.outcome = "failed"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real posts."""
    assert DATA is not None
    return Path(DATA)
