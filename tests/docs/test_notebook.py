"""docs/sluice.ipynb shows what its cells give."""

import json
from pathlib import Path

import pytest

from tests.docs import notebooks
from tests.repository import ROOT

NOTEBOOK = ROOT / "docs" / "sluice.ipynb"


@pytest.mark.slow
def test_the_outputs_are_those_of_the_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run from top to bottom in an empty folder, each cell prints and returns what is stored below it."""
    monkeypatch.chdir(tmp_path)
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    for cell, found in zip(notebooks.code_cells(notebook), notebooks.run(notebook), strict=True):
        assert notebooks.without_numbers(cell["outputs"]) == found, cell["source"]


def test_another_output_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a cell prints, and the value of its last expression, are told apart; names stay."""
    monkeypatch.chdir(tmp_path)
    sources = ["a = 1\nprint(a)", "print('x')\na + 1", "a", "for b in 'ab':\n    a = b"]
    cells = [{"cell_type": "code", "source": source} for source in sources]
    text = {"name": "stdout", "output_type": "stream", "text": ["1\n"]}
    found = notebooks.run({"cells": [{"cell_type": "markdown", "source": "# T"}, *cells]})
    assert found[0] == [text]
    assert [output["output_type"] for output in found[1]] == ["stream", "execute_result"]
    assert found[2][0]["data"] == {"text/plain": ["1"]}
    assert found[3] == []


def test_it_is_a_notebook() -> None:
    """Format 4.5, as Jupyter reads it: cells have ids, code cells were run in order."""
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    counts = [cell["execution_count"] for cell in notebooks.code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
