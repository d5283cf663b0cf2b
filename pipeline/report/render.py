"""Makes report.html out of a report: one page, no network, no script.

The words of the page, and the ratios that its tables show, are in `report.html`. What has an order or a sum
of its own is worked out here, as plain numbers and names. What is not known is a dash.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import jinja2

from sluice.pipeline.ledger.tally import most_first
from sluice.pipeline.report.figures import (
    digits,
    duration,
    large,
    number,
    percent,
    size,
    width,
)
from sluice.schemas.cache_folder import private_folder
from sluice.schemas.counts import UNKNOWN, Table
from sluice.schemas.plurals import plural
from sluice.schemas.report import PhaseCost, Report

LISTED_DAYS, MAX_DAYS = 14, 62
"""Up to so many days are listed; up to so many are drawn, more as months, or as years."""
DUPLICATES = ("redelivered", "exact", "near", "id_conflict")


def render(report: Report) -> str:
    """Returns the page as HTML; the same report gives the same text."""
    return template("report.html").render(
        report=report,
        losses=losses(report),
        duplicates=_duplicate_counts(report),
        clusters=dict(sorted(report.duplicate_clusters.items(), key=_first_number)),
        days=_days(report.tokens.by_day),
        list_days=len(report.tokens.by_day) <= LISTED_DAYS,
        phases=_phases(report),
    )


@cache
def template(name: str) -> jinja2.Template:
    """Returns a template of this folder. HTML in values is escaped, which Markdown shows, too."""
    compiled = private_folder("templates", f"jinja2-{jinja2.__version__}")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        bytecode_cache=jinja2.FileSystemBytecodeCache(compiled) if compiled else None,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    written = number, percent, size, duration, large, digits, plural, width
    environment.filters.update({function.__name__: function for function in written})
    environment.filters.update(most_first=most_first, ratio=_ratio)
    return environment.get_template(name)


def _ratio(part: float | None, whole: float | None, unit: float = 1) -> float | None:
    return unit * part / whole if part is not None and whole else None


def losses(report: Report) -> list[tuple[str, str, int]]:
    """Returns (reason, kind, posts) of what was not kept, in the order of the pipeline."""
    return [row for row in _losses(report) if row[2]]


def _losses(report: Report) -> Iterator[tuple[str, str, int]]:
    """Yields (name, kind, posts) in the order of the pipeline."""
    posts = report.posts
    yield "malformed", "broken", posts.malformed
    yield "errors", "broken", posts.errors
    of_lists = [row.reason for row in report.lists if row.reason]
    of_filters = [row.reason for row in report.filters if row.reason]
    ordered = dict.fromkeys([*of_filters[:1], *of_lists, *of_filters[1:]])  # normalisation is first
    for reason in ordered:
        yield reason, "rule", posts.rejected.get(reason, 0)
    for kind, count in _duplicate_counts(report).items():
        yield f"{kind} duplicate" if kind in ("exact", "near") else kind, "copy", count
    for reason, count in posts.rejected.items():  # of later phases: transformers, mixture
        if reason not in ordered:
            yield reason, "rule", count


def _duplicate_counts(report: Report) -> Table:
    """Returns posts dropped by kind of duplicate, in the order in which they are found."""
    counts = report.posts.duplicates
    return {kind: counts[kind] for kind in (*DUPLICATES, *counts) if kind in counts}


def _first_number(cluster: tuple[str, int]) -> tuple[int, str]:
    """Returns what clusters are ordered by: the first number of a range of sizes such as `5-8`."""
    first = cluster[0].split("-")[0].strip("+<>= ")
    return int(first) if first.isdigit() else 1 << 62, cluster[0]


def _days(tokens: Table) -> Table:
    """Returns tokens by day, in order of time; by month or year where the days are many."""
    for length in (len("2026-01-31"), len("2026-01"), len("2026")):
        periods: Table = {}
        for day, count in sorted(tokens.items()):
            period = day if day == UNKNOWN else day[:length]
            periods[period] = periods.get(period, 0) + count
        if len(periods.keys() - {UNKNOWN}) <= MAX_DAYS:
            break
    return periods


def _phases(report: Report) -> list[PhaseCost]:
    """Returns the cost of each phase, and the sum of the run."""
    costs = report.phases
    if len(costs) < 2:
        return costs
    total = PhaseCost(
        name="run",
        seconds=sum(cost.seconds or 0 for cost in costs),
        cpu_seconds=sum(cost.cpu_seconds or 0 for cost in costs),
        peak_rss_bytes=max(cost.peak_rss_bytes or 0 for cost in costs),
        posts=report.posts.read,
    )
    return [*costs, total]
