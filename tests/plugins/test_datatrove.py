"""The second example: a filter of datatrove, wrapped."""

from pathlib import Path

import pytest

from tests.plugins.packages import installed, run_tests
from tests.repository import ROOT

PYTHON = ROOT / ".venv-plugins" / "bin" / "python"


def test_a_filter_of_datatrove(tmp_path: Path) -> None:
    """Its package installs, is listed, keeps the contract and decides as datatrove does."""
    if not PYTHON.exists():
        pytest.skip("needs .venv-plugins; see `make install`")
    site = installed("plugin-datatrove", tmp_path)
    assert "4 passed" in run_tests("plugin-datatrove", site, python=str(PYTHON))
