"""The page of figures about deduplication: what the commands write, and what they leave."""

from pathlib import Path

import pytest

from benchmarks import dedup_page, dedup_recall
from benchmarks.process import ROOT


def test_figures_are_replaced_between_the_marks(tmp_path: Path) -> None:
    """What a person wrote around the figures stays."""
    page = tmp_path / "DEDUP.md"
    begin, end = dedup_page.marks("dedup_recall")
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    dedup_page.update(page, "| new |")
    text = page.read_text()
    assert (text[:7], text[-7:]) == ("before\n", "\nafter\n")
    assert "| new |" in text
    assert "old" not in text
    page.write_text(f"one mark\n{begin}\n")
    with pytest.raises(ValueError, match="must hold"):
        dedup_page.update(page, "")


def test_a_share_below_1_is_not_shown_as_1() -> None:
    """Four digits do not turn one miss in a million into none."""
    assert dedup_page.share(10**6 - 1, 10**6) == "0.9999"
    assert dedup_page.share(1, 1) == "1.0000"
    assert dedup_page.share(0, 0) == "-"


def test_the_page_has_the_marks_and_the_command_its_arguments() -> None:
    """DEDUP.md can be written again by the command that it names."""
    page = (ROOT / "benchmarks" / "DEDUP.md").read_text("utf-8")
    assert [page.count(mark) for mark in dedup_page.marks("dedup_recall")] == [1, 1]
    assert page.isascii()
    usage = dedup_recall.parser().format_help()
    for name in ("--posts", "--no-peers", "--all", "--results"):
        assert name in usage
        assert name in (dedup_recall.__doc__ or "")
