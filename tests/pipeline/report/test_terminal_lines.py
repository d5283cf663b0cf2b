"""What the terminal says of records, formats and notices: whole, and right for one and for many."""

from sluice.pipeline.report.text import exclude_lines, format_line, input_lines
from sluice.schemas.report import ExcludeReport, InputReport


def test_records_of_one_file() -> None:
    """One of a thing is told as one, with the reason of the dead letter."""
    told = InputReport(
        records=3,
        records_with_posts=1,
        notices={"delete": 1},
        dead_letters=1,
        dead_letter_reasons={"not_json": 1},
        files=1,
    )
    (line,) = input_lines(told)
    told_line = "in 1 file, 1 notice (1 delete), 1 dead letter (1 not_json)"
    assert line.endswith(told_line)
    assert told.equation == "3 records = 1 with posts + 1 notice + 1 dead letter"


def test_records_of_many_files() -> None:
    """Notices and dead letters are told by kind, the most frequent first."""
    told = InputReport(
        records=1210,
        notices={"delete": 3, "like": 1200},
        dead_letters=7,
        dead_letter_reasons={"not_json": 2, "missing_text": 5},
        files=2,
    )
    (line,) = input_lines(told)
    assert line.endswith(
        "in 2 files, 1,203 notices (1,200 like, 3 delete), 7 dead letters (5 missing_text, 2 not_json)"
    )


def test_records_of_an_earlier_version() -> None:
    """A report without reasons has the number alone, and rows have no word of notices."""
    (line,) = input_lines(InputReport(records=5, dead_letters=2, files=1))
    assert line.endswith("in 1 file, 2 dead letters")
    (line,) = input_lines(InputReport(records=5, files=1))
    assert line.endswith("in 1 file, no dead letters")


def test_formats_and_notices() -> None:
    """Formats are told with their files, and notices where there are some."""
    assert format_line({"x_v1": 1, "rows": 2}) == "recognised as x_v1 (1 file), rows (2 files)"
    assert exclude_lines(ExcludeReport()) == []
    (line,) = exclude_lines(ExcludeReport(notices=2, met=1, earlier=4, written=1))
    assert line.split()[:2] == ["notices", "2"]
    assert "of this run and 4 of earlier days about posts and authors; 1 met a post" in line
