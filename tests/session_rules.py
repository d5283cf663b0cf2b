"""What holds for every session of tests: what is left out, in which order and where tests run, what fails.

With `pytest -n 2` the tests of a file run in one process, in order, so that what they share is made once.
Files of `FIRST` take longest and begin first. Tests of files of `SCATTERED` share nothing but what is built
once for all processes (see built_once.py), and run wherever there is room.
"""

import os
import sys
from collections.abc import Iterator

import pytest

from tests.repository import ROOMS

FIRST = (
    "tests/cluster/test_spark.py",
    "tests/faults/test_faults.py",
    "tests/packaging/test_wheel.py",
    "tests/docs/test_training_example.py",
    "tests/pipeline/storage/test_remote.py",
    "tests/pipeline/test_kills.py",
    "tests/pipeline/test_main_job.py",
    "tests/pipeline/phases/classify/test_classify.py",
    "tests/pipeline/phases/history/test_days.py",
)
"""Files that take longest, longest first."""
SCATTERED = {"tests/pipeline/units/test_damage.py"}
"""Files whose tests share no fixture that takes long."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --nightly."""
    parser.addoption(
        "--nightly",
        action="store_true",
        default=bool(os.environ.get("SLUICE_NIGHTLY")),
        help="run what is sized for a night, too (or SLUICE_NIGHTLY=1)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Names the markers that these rules are about."""
    config.addinivalue_line("markers", "real: needs the real posts of SLUICE_DATA")
    config.addinivalue_line("markers", "nightly: sized for a night; left out without --nightly")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Gives processes whole files, in the order above.

    With pytest 9.2 the `loadgroup` of pytest-xdist 3.8 does not see marks: it spreads the tests of a group.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return nodeid if file in SCATTERED else file

    config.option.loadscopereorder = False
    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what does not belong into this session, and orders the rest."""
    left_out = [item for item in items if _is_left_out(item, config)]
    items[:] = [item for item in items if not _is_left_out(item, config)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    items.sort(key=_rank)
    _check_bare_names()


def _is_left_out(item: pytest.Item, config: pytest.Config) -> bool:
    if item.get_closest_marker("real") and "SLUICE_DATA" not in os.environ:
        return True
    return bool(item.get_closest_marker("nightly")) and not config.getoption("--nightly")


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _rank(item: pytest.Item) -> int:
    file = _file(item)
    return FIRST.index(file) if file in FIRST else len(FIRST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Turns a skip into a failure in CI: what is not installed there must be."""
    report = yield
    if report.skipped and os.environ.get("SLUICE_CI"):
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """Does the same where a whole file is skipped."""
    report = yield
    if report.skipped and os.environ.get("SLUICE_CI"):
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid}: skipped, which fails in CI: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Fails a test that imports a module of ours by its bare name: users have modules of these names."""
    yield
    _check_bare_names()


def _check_bare_names() -> None:
    bare = sorted(sys.modules.keys() & set(ROOMS))
    if bare:
        del sys.modules[bare[0]]
        raise AssertionError(f"{bare[0]} was imported by its bare name: it is sluice.{bare[0]}")
