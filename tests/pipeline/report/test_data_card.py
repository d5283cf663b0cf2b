"""DATACARD.md: what it says is in report.json, and what an output has not is not said."""

import json
import shutil
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.pipeline import cli
from sluice.pipeline.ledger.tally import author_sample
from sluice.pipeline.report.data_card import data_card
from sluice.pipeline.report.populations import author_spread
from sluice.schemas.counts import AuthorSample
from sluice.schemas.report import (
    AuthorReport,
    AuthorSpread,
    Fairness,
    LanguageFairness,
    PlatformReport,
    Report,
)
from tests.pipeline.report.test_page import REPORT
from tests.pipeline.runs import Job


def report() -> Report:
    """Returns a report of made-up figures."""
    return msgspec.convert(REPORT, Report)


def rows_of(card: str, heading: str) -> list[list[str]]:
    """Returns the cells of the first table under a heading, without its head."""
    section = card.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_reason_stands_with_its_posts() -> None:
    """Each reason of the report is a row with its number, and the rows sum to what was not kept."""
    rows = rows_of(data_card(report()), "What was left out, and why")
    found = {row[0].strip("`"): int(row[2].replace(",", "")) for row in rows}
    posts = REPORT["posts"]
    for reason, count in posts["rejected"].items():
        assert found[reason] == count
    assert sum(found.values()) == posts["read"] - posts["kept"]


def test_languages_and_years_are_those_of_the_report() -> None:
    """Languages stand with posts and tokens, the largest first; days are summed to years."""
    card = data_card(report())
    assert rows_of(card, "Languages and dialects") == [
        ["en", "-", "400,000", "10,000,000"],
        ["ja", "-", "200,000", "6,000,000"],
    ]
    assert rows_of(card, "Times and sources")[:2] == [["2026", "350,000"], ["unknown", "250,000"]]


def test_an_uneven_screen_is_named() -> None:
    """A language that a screen rejects more than twice as often as all posts stands with its ratio."""
    given_report = report()
    given_report.fairness = [
        Fairness(
            name="spam",
            by_lang={
                "fr": LanguageFairness(posts=900, rejected=90, ratio=2.5),
                "de": LanguageFairness(posts=900, rejected=60, ratio=1.9),
            },
        )
    ]
    card = data_card(given_report)
    assert "| spam | fr | 2.5 |" in card
    assert "| spam | de" not in card


def test_what_a_report_has_not_is_not_said() -> None:
    """Without authors, notices and models the card says so, and with them it has their figures."""
    card = data_card(report())
    assert "The input names no authors." in card
    assert "no notices of deletions" in card
    known = report()
    spread = AuthorSpread(authors=1200, posts_per_author=2.5, one_post_ratio=0.6)
    known.authors = AuthorReport(read=spread, kept=spread)
    known.platforms = {"bluesky": PlatformReport(read=70, kept=50, tokens=900)}
    card = data_card(known)
    assert "| read | 1,200 | 2.50 |" in card
    assert "| bluesky | 70 | 50 | 900 |" in card


@given(st.lists(st.sampled_from([f"a{n}" for n in range(600)]), max_size=900), st.data())
def test_a_sample_of_authors_is_that_of_all_posts(authors: list[str], data: st.DataObject) -> None:
    """However posts are cut into parts, the sum of the samples is the sample of all, with true counts."""
    cut = data.draw(st.integers(0, len(authors)))
    parts = AuthorSample()
    for part in (authors[:cut], authors[cut:]):
        parts += author_sample(pa.array(part, pa.string()))
    whole = author_sample(pa.array(authors, pa.string()))
    assert parts == whole
    of_author = sorted(authors.count(name) for name in set(authors))
    if len(of_author) <= AuthorSample.SIZE:
        assert sorted(whole.posts.values()) == of_author
    else:
        assert len(whole.posts) == AuthorSample.SIZE
        assert set(whole.posts.values()) <= set(of_author)


def test_the_number_of_authors_is_estimated() -> None:
    """With more authors than the sample holds, their number is right within a fifth."""
    names = pa.array([f"author {n}" for n in range(20_000)])
    spread = author_spread(author_sample(names))
    assert spread is not None
    assert spread.sampled == AuthorSample.SIZE
    assert spread.authors == pytest.approx(20_000, rel=0.2)
    assert spread.one_post_ratio == 1.0


def test_a_run_writes_its_card(tmp_path: Path, job: Job) -> None:
    """A finished output has the card, its platforms sum to the posts, and `report` writes the card again."""
    out = tmp_path / "out"
    shutil.copytree(job.output, out)
    card = out / "report" / "DATACARD.md"
    written = card.read_text("utf-8")
    figures = json.loads((out / "report" / "report.json").read_text())
    assert f"{figures['posts']['kept']:,} posts of" in written
    rows = figures["platforms"]["rows"]
    posts = figures["posts"]
    assert (rows["read"], rows["kept"]) == (posts["read"], posts["kept"])
    assert rows["tokens"] == figures["tokens"]["encoded"]
    card.unlink()
    assert cli.main(["report", str(out)]) == 0
    assert card.read_text("utf-8") == written
