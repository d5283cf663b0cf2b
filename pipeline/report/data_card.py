"""DATACARD.md: what a training run should know of its data, in words, from a report alone.

Source: Gebru et al. 2021, "Datasheets for Datasets", for what is asked; Bender and Friedman 2018, "Data
Statements for Natural Language Processing", for languages and authors.
"""

from collections.abc import Iterator

from sluice.pipeline.ledger.tally import most_first
from sluice.pipeline.report.render import losses, template
from sluice.schemas.counts import UNKNOWN, Table
from sluice.schemas.report import Fairness, PrivacyReport, Report

LISTED = 20
"""Languages, sources and reasons that are listed; the others are summed."""
MASKED_LISTED = 5
"""Languages that are listed for a kind of personal data."""


def data_card(report: Report) -> str:
    """Returns the card as Markdown; the same report gives the same text."""
    return template("data_card.md").render(
        report=report,
        notes=list(_notes(report)),
        losses=losses(report),
        masked=_masked(report.privacy),
        languages=_languages(report),
        sources=_listed(report.posts.by_source),
        years=_years(report.posts.by_day),
        uneven=[
            (screen.name, name, of) for screen in report.fairness for name, of in _uneven(screen)
        ],
    )


def _notes(report: Report) -> Iterator[tuple[str, str, str, int, str]]:
    """Yields (name, licence, terms, posts, "read" or "kept") of the recipe's notes on sources."""
    for note in report.sources.notes if report.sources else ():
        kept = sum(report.posts.by_source.get(value, 0) for value in note.values)
        posts = (kept, "kept") if note.read is None else (note.read, "read")
        yield _cell(note.name), _cell(note.licence), _cell(note.terms or "-"), *posts


def _cell(text: str) -> str:
    """Returns a text as a cell of a table of Markdown."""
    return " ".join(text.split()).replace("|", "\\|")


def _listed(table: Table) -> list[tuple[str, int]]:
    """Returns the largest entries of a table, and the sum of the others."""
    rows = [(_cell(name), count) for name, count in most_first(table)]
    others = sum(count for _, count in rows[LISTED:])
    return rows[:LISTED] + ([(f"{len(rows) - LISTED} others", others)] if others else [])


def _languages(report: Report) -> list[tuple[str, int, int, int | None]]:
    """Returns (language, posts kept, tokens, posts that reached the first screen, where there is one)."""
    reached = report.fairness[0].by_lang if report.fairness else {}
    return [
        (name, count, report.tokens.by_lang.get(name, 0), of.posts if of else None)
        for name, count in most_first(report.posts.by_lang)[:LISTED]
        for of in [reached.get(name)]
    ]


def _masked(privacy: PrivacyReport | None) -> dict[str, str]:
    """Returns kind -> its values in the languages with the most of them, in words."""
    if privacy is None:
        return {}
    by_kind: dict[str, Table] = {kind: {} for kind in privacy.by_kind}
    for name, table in privacy.by_lang.items():
        for kind, count in table.items():
            by_kind[kind][name] = count
    return {
        kind: ", ".join(f"{name} {count:,}" for name, count in most_first(table)[:MASKED_LISTED])
        for kind, table in by_kind.items()
    }


def _uneven(screen: Fairness) -> list[tuple[str, float]]:
    """Returns languages that a screen rejects more than twice as often as all posts, the worst first."""
    ratios = {name: of.ratio for name, of in screen.by_lang.items() if of.ratio and of.ratio > 2}
    return [(name, ratio) for name, ratio in most_first(ratios)][:LISTED]


def _years(by_day: Table) -> Table:
    """Returns posts by year, in order of time."""
    years: Table = {}
    for day, count in sorted(by_day.items()):
        year = day if day == UNKNOWN else day[:4]
        years[year] = years.get(year, 0) + count
    return years
