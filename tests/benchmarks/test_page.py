"""Pages of figures: what the commands write, what they leave, and that pages name commands that are there."""

import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import dedup_recall, dedup_scale, main_job, page
from benchmarks.process import ROOT

PAGES = [*sorted((ROOT / "benchmarks").glob("*.md")), ROOT / "docs" / "scale.md"]


def test_figures_are_replaced_between_the_markers(tmp_path: Path) -> None:
    """What else is in the page stays; a section that is not there is added at the end."""
    path = tmp_path / "PAGE.md"
    page.update(path, "first", name="one", title="One")
    page.update(path, "second", name="two", title="Two")
    path.write_text(f"before\n{path.read_text()}after\n")
    page.update(path, "third", name="one", title="One")
    text = path.read_text()
    assert text.startswith("before\n## One\n")
    assert text.endswith("after\n")
    assert "first" not in text
    assert text.index("third") < text.index("## Two") < text.index("second")
    path.write_text(text.replace(page.markers("two")[1], ""))
    with pytest.raises(ValueError, match="must hold the lines"):
        page.update(path, "fourth", name="two")


def test_a_share_below_1_is_not_shown_as_1() -> None:
    """Four digits do not turn one miss in a million into none."""
    assert page.share(10**6 - 1, 10**6) == "0.9999"
    assert page.share(1, 1) == "1.0000"
    assert page.share(0, 0) == "-"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_can_be_written_again(path: Path) -> None:
    """Each marker is there once, with its end, and names a module of benchmarks."""
    text = path.read_text("utf-8")
    for name in re.findall(r"<!-- figures: written by benchmarks\.(.*?) -->", text):
        assert [text.count(marker) for marker in page.markers(name)] == [1, 1]
        assert (ROOT / "benchmarks" / f"{re.split('[, ]', name)[0]}.py").exists()


@pytest.mark.parametrize("command", [main_job, dedup_recall, dedup_scale])
def test_the_command_has_the_arguments_it_documents(command: Any) -> None:
    """Arguments in the usage lines of the docstring are arguments of the parser."""
    usage = command.parser().format_help()
    documented = set(re.findall(r"--[a-z][a-z-]*", command.__doc__))
    assert {"--results"} <= documented
    assert [name for name in documented if name not in usage] == []


def test_sizes_are_ascending_and_distinct() -> None:
    """Sizes may come in any order, and twice."""
    parsed = dedup_scale.parser().parse_args(["--posts", "3_000,1000,3000", "--work", "x"])
    assert parsed.posts == (1000, 3000)
