"""`sluice filters` on a terminal of some width, and for machines."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

import sluice
from sluice.filters.plugins import SHIPPED
from sluice.pipeline import cli
from sluice.pipeline.filter_list import show
from tests.distributions import FILTER, on_the_path, write_distribution


def printed(width: int) -> list[str]:
    out = io.StringIO()
    show(sluice.list_filters(), Console(file=out, width=width, highlight=False, markup=False))
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("width", [80, 139, 140, 160])
def test_every_filter_has_a_line_that_fits(width: int) -> None:
    """Name, threshold, key, reason and columns are in one line, whatever the width."""
    lines = printed(width)
    assert max(map(len, lines)) <= width
    for info in sluice.list_filters():
        (line,) = (line for line in lines if line.split()[:1] == [info.name])
        assert f"{info.threshold:.6g} ({'fixed' if info.is_fixed else info.bound})" in line
        assert info.reason in line
        assert info.columns[0][:6] in line


def test_a_wide_terminal_shows_scores() -> None:
    """From 140 columns on it says what is scored, and the version of the filter."""
    for width in (140, 160):
        head, *_ = (line for line in printed(width) if line.startswith("filter"))
        assert head.endswith("version")
    assert "hashtags / words; each hashtag" in "\n".join(printed(160))
    assert "hashtags / words" not in "\n".join(printed(80))


def test_filters_of_others_have_their_own_table(tmp_path: Path) -> None:
    """By distribution and version; what is refused comes last, with the reason."""
    write_distribution(tmp_path, version="2.5")
    write_distribution(tmp_path, "broken", filters={"quiet": "Quiet"}, code="import no_such_module")
    with on_the_path(tmp_path):
        lines = printed(100)
    titles = [line for line in lines if " filter" in line and ": " in line]
    assert titles[0].endswith(f": {len(SHIPPED)} filters")
    assert titles[1] == "sluice-loud 2.5: 1 filter"
    assert lines.index(titles[1]) < next(i for i, x in enumerate(lines) if x.startswith("loud "))
    assert any(line.startswith("refused: quiet of broken 1.0: filter 'quiet'") for line in lines)


@pytest.mark.parametrize("width", [60, 80, 160])
def test_long_names_are_folded(tmp_path: Path, width: int) -> None:
    """Names that are longer than a terminal is wide lose no letter, and no line is too long."""
    key, reason = f"max_{'m' * 90}", f"too_{'r' * 90}"
    code = FILTER.replace("max_marks", key).replace("too_loud", reason)
    write_distribution(tmp_path, code=code)
    with on_the_path(tmp_path):
        lines = printed(width)
    assert max(map(len, lines)) <= width
    table = "".join(lines[next(i for i, line in enumerate(lines) if "sluice-loud" in line) + 3 :])
    assert (table.count("m"), table.count("r")) >= (90, 90)


def test_what_others_wrote_moves_no_cursor(tmp_path: Path) -> None:
    """Control characters of a docstring are shown, and brackets are no markup."""
    code = FILTER.replace("Score: exclamation marks.", "Score: \\x1b[31m [bold]marks[/bold].")
    write_distribution(tmp_path, code=code)
    with on_the_path(tmp_path):
        text = "\n".join(printed(160))
    assert "\x1b[31m" not in text
    assert "\\x1b[31m [bold]marks[/bold]" in text


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """It prints the table, or with --json all that is known."""
    assert cli.main(["filters"]) == 0
    assert "hashtag_ratio" in capsys.readouterr().out
    assert cli.main(["filters", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == sorted(SHIPPED)
    assert rows[0]["origin"]["distribution"] == "sluice"
