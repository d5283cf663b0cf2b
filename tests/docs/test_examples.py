"""The examples in docstrings of the package are true."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import sluice
from tests.repository import ROOMS, ROOT

HAVE_EXAMPLES = [
    path.relative_to(ROOT)
    for path in (
        *(ROOT / "sluice").glob("*.py"),
        *(p for r in ROOMS for p in (ROOT / r).rglob("*.py")),
    )
    if ">>> " in path.read_text("utf-8")
]


def test_there_are_examples() -> None:
    """The package's own docstring has one."""
    assert Path("sluice/__init__.py") in HAVE_EXAMPLES
    assert ">>> " in (sluice.__doc__ or "")


@pytest.mark.parametrize("path", HAVE_EXAMPLES, ids=str)
def test_examples(path: Path) -> None:
    """Each gives what it says."""
    parts = [part for part in path.with_suffix("").parts if part not in ("sluice", "__init__")]
    results = doctest.testmod(import_module(".".join(["sluice", *parts])))
    assert results.attempted > 0
    assert results.failed == 0
