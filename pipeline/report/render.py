"""Makes report.html out of a report: one page, no network, no script.

What is on the page and is not in the report is worked out here, as plain numbers and names; `report.html`
sets it. What is not known is a dash.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import jinja2

from sluice.pipeline.report.figures import digits, duration, number, percent, size, width
from sluice.pipeline.report.training_page import Fact, facts, mixture_tables, training_facts
from sluice.schemas.counts import UNKNOWN, Table
from sluice.schemas.report import (
    Agreement,
    Band,
    Fairness,
    FilterReport,
    HistoryReport,
    LanguageFairness,
    PhaseCost,
    Report,
    TrainingShare,
    TransformerReport,
    VocabularyReport,
)

MAX_LANGUAGES = 30
FAIR_LANGUAGES = 12
"""Languages of a fairness or a vocabulary table: those with the most; report.json has all."""
LISTED_DAYS, MAX_DAYS = 14, 62
"""Up to so many days are listed; up to so many are drawn, more as months, or as years."""
DUPLICATES = ("redelivered", "exact", "near")


def render(report: Report) -> str:
    """Returns the page as HTML; the same report gives the same text."""
    return _template().render(
        report=report,
        figures=_figures(report),
        funnel=_funnel(report),
        unaccounted=_unaccounted(report),
        filters=[_filter_row(report, row) for row in report.filters],
        broken=_broken(report),
        transformers=list(map(_transformer_row, report.transformers)),
        fairness=[table for table in map(_fairness_table, report.fairness) if table.rows],
        duplicates=_bars(_duplicate_counts(report), of=report.posts.read),
        clusters=_bars(dict(sorted(report.duplicate_clusters.items(), key=_first_number))),
        dedup=_dedup(report),
        languages=_languages(report),
        days=_days(report),
        list_days=len(report.tokens.by_day) <= LISTED_DAYS,
        sources=_groups(report.tokens.by_source, report.posts.by_source, report.tokens.total),
        vocabulary=_vocabulary(report.vocabulary),
        output=_output(report),
        training=training_facts(report.training),
        mixture=mixture_tables(report.mixture),
        phases=_phases(report),
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = number, percent, size, duration, width, digits
    environment.filters.update({function.__name__: function for function in filters})
    return environment.get_template("report.html")


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


class Figure(NamedTuple):
    """One of the numbers that are asked for first."""

    name: str
    value: str
    note: str


def _figures(report: Report) -> list[Figure]:
    posts, tokens = report.posts, report.tokens
    share = _ratio(posts.kept, posts.read)
    kept_note = f"{percent(share)} of {number(posts.read)} read" if share is not None else ""
    batch = number(report.training.global_batch_sequences)
    return [
        Figure("posts kept", number(posts.kept), kept_note),
        Figure("tokens", number(tokens.total), f"in {number(report.documents)} documents"),
        Figure(
            "bytes per token",
            number(tokens.bytes_per_token, 2),
            f"{number(tokens.per_post, 1)} tokens per post",
        ),
        Figure("training steps", number(report.training.steps), f"of {batch} sequences"),
    ]


class FunnelRow(NamedTuple):
    """A reason, how many posts it took, and how many were left; `share` and `of` are of those read."""

    name: str
    kind: str
    posts: int
    left: int
    share: float | None
    of: float


def _funnel(report: Report) -> list[FunnelRow]:
    """Returns the reasons in the order of the pipeline, between the posts read and kept."""
    read, kept = report.posts.read, report.posts.kept
    if not read:
        return []
    left, rows = read, [FunnelRow("read", "total", read, read, 1.0, 1.0)]
    for name, kind, lost in _losses(report):
        if lost:
            left -= lost
            rows.append(FunnelRow(name, kind, lost, left, lost / read, left / read))
    return [*rows, FunnelRow("kept", "total", kept, left, kept / read, left / read)]


def _unaccounted(report: Report) -> int:
    """Returns the posts that the funnel leaves and that were not kept; 0 where the counts add up."""
    funnel = _funnel(report)
    return funnel[-1].left - funnel[-1].posts if funnel else 0


def _losses(report: Report) -> Iterator[tuple[str, str, int]]:
    """Yields (name, kind, posts) in the order of the pipeline."""
    posts = report.posts
    yield "malformed", "broken", posts.malformed
    yield "errors", "broken", posts.errors
    ordered = dict.fromkeys(row.reason for row in report.filters if row.reason)
    for reason in ordered:
        yield reason, "rule", posts.rejected.get(reason, 0)
    for kind, count in _duplicate_counts(report).items():
        yield f"{kind} duplicate" if kind != "redelivered" else kind, "copy", count
    for reason, count in posts.rejected.items():  # of later phases: transformers, mixture
        if reason not in ordered:
            yield reason, "rule", count


def _duplicate_counts(report: Report) -> Table:
    """Returns posts dropped by kind of duplicate, in the order in which they are found."""
    counts = report.posts.duplicates
    known = [kind for kind in DUPLICATES if kind in counts]
    return {kind: counts[kind] for kind in dict.fromkeys([*known, *counts])}


class FilterRow(NamedTuple):
    """A filter, what it rejected, and its time: of all posts, and microseconds per post."""

    filter: FilterReport
    rejected: int | None
    share: float | None
    seconds: float | None
    usec: float | None


def _filter_row(report: Report, row: FilterReport) -> FilterRow:
    known = row.posts_in is not None and row.posts_out is not None
    rejected = report.posts.rejected.get(row.reason)
    if rejected is None and known:
        rejected = (row.posts_in or 0) - (row.posts_out or 0)
    seconds = None if row.msec is None else row.msec / 1000
    usec = None if seconds is None else _ratio(1e6 * seconds, row.posts_in)
    return FilterRow(row, rejected, _ratio(rejected, report.posts.read), seconds, usec)


def _broken(report: Report) -> list[tuple[str, str, int]]:
    """Returns (kind, reason, posts) of malformed rows and errors."""
    tables = (
        ("malformed", report.posts.malformed_by_reason),
        ("error", report.posts.errors_by_stage),
    )
    return [(kind, *row) for kind, table in tables for row in _most_first(table)]


class TransformerRow(NamedTuple):
    """A transformer, its speed, and how far its screen agrees with it."""

    model: TransformerReport
    posts_per_second: float | None
    tokens_per_second: float | None
    facts: list[Fact]


def _transformer_row(row: TransformerReport) -> TransformerRow:
    return TransformerRow(
        row,
        _ratio(row.scored, row.seconds),
        _ratio(row.tokens, row.seconds),
        facts(
            ("band", _band(row.band) if row.band else None),
            ("sample", _agreement(row.agreement) if row.agreement else None),
            ("labels", ", ".join(row.labels)),
        ),
    )


def _band(band: Band) -> str:
    low, high = number(band.low, 2), number(band.high, 2)
    return f"{band.screen} scores from {low} to {high}: posts below them are kept without a look"


def _agreement(sample: Agreement) -> str:
    low, high = sample.low, sample.high
    return (
        f"{number(sample.sampled)} posts scored by both, {percent(sample.agreed)} agreed: "
        f"of {number(low.kept + low.rejected)} below the band the transformer would reject "
        f"{number(low.rejected)}, of {number(high.kept + high.rejected)} above it would keep "
        f"{number(high.kept)}"
    )


class FairnessRow(NamedTuple):
    """A language of a fairness table."""

    name: str
    rates: LanguageFairness
    bar: float


class FairnessTable(NamedTuple):
    """Rejection rates of a model by language, the languages with the most posts first."""

    model: Fairness
    rows: list[FairnessRow]


def _fairness_table(model: Fairness) -> FairnessTable:
    ordered = sorted(model.by_lang.items(), key=lambda item: (-item[1].posts, item[0]))
    shown = ordered[:FAIR_LANGUAGES]
    highest = max((rates.rate for _, rates in shown), default=0.0)
    bars = [_ratio(rates.rate, highest) or 0.0 for _, rates in shown]
    rows = [FairnessRow(*row, bar) for row, bar in zip(shown, bars, strict=True)]
    return FairnessTable(model, rows)


class BarRow(NamedTuple):
    """A number with a bar against the largest, and what belongs to it; a rest has no bar."""

    name: str
    value: int
    bar: float | None
    share: float | None = None
    posts: int | None = None
    per_post: float | None = None


def _bars(values: Table, *, of: int | None = None) -> list[BarRow]:
    largest = max(values.values(), default=0)
    return [BarRow(name, n, _ratio(n, largest) or 0.0, _ratio(n, of)) for name, n in values.items()]


def _groups(tokens: Table, posts: Table, total: int) -> list[BarRow]:
    """Returns tokens and posts of groups, most tokens first."""
    return [
        row._replace(posts=posts.get(row.name), per_post=_ratio(row.value, posts.get(row.name)))
        for row in _bars(dict(_most_first(tokens)), of=total)
    ]


def _languages(report: Report) -> list[BarRow]:
    rows = _groups(report.tokens.by_lang, report.posts.by_lang, report.tokens.total)
    rest = rows[MAX_LANGUAGES:]
    if not rest:
        return rows
    tokens, posts = sum(row.value for row in rest), sum(row.posts or 0 for row in rest)
    share = _ratio(tokens, report.tokens.total)
    more = BarRow(f"{len(rest)} more", tokens, None, share, posts, _ratio(tokens, posts))
    return [*rows[:MAX_LANGUAGES], more]


def _days(report: Report) -> list[BarRow]:
    """Returns tokens by day, in order of time; by month or year where the days are many."""
    tokens = dict(report.tokens.by_day)
    if len(tokens) <= LISTED_DAYS:
        return sorted(_groups(tokens, report.posts.by_day, report.tokens.total))
    unknown = tokens.pop(UNKNOWN, 0)
    for length in (len("2026-01-31"), len("2026-01"), len("2026")):
        periods: Table = {}
        for day, count in sorted(tokens.items()):
            periods[day[:length]] = periods.get(day[:length], 0) + count
        if len(periods) <= MAX_DAYS:
            break
    return _bars(periods | ({UNKNOWN: unknown} if unknown else {}))


def _dedup(report: Report) -> list[Fact]:
    """Returns what counted as a duplicate, what was kept, and what the history had to do with it."""
    dedup = report.dedup
    return facts(
        ("near duplicate", dedup.rule),
        ("stays", dedup.stays),
        ("candidates", dedup.rule and number(dedup.candidates)),
        (
            "kept with comparisons left out",
            dedup.rule and number(report.duplicate_checks_left_out),
        ),
        ("history", _history(dedup.history) if dedup.history else None),
    )


def _history(history: HistoryReport) -> str:
    return (
        f"{number(history.read.posts)} posts of {number(history.read.segments)} runs read, "
        f"{number(sum(history.duplicates.values()))} posts dropped because of them, "
        f"{number(history.added.posts)} added ({size(history.added.bytes)}) as of {history.day}"
    )


def _first_number(cluster: tuple[str, int]) -> tuple[int, str]:
    """Returns what clusters are ordered by: the first number of a range of sizes such as `5-8`."""
    first = cluster[0].split("-")[0].strip("+<>= ")
    return int(first) if first.isdigit() else 1 << 62, cluster[0]


class VocabularyPart(NamedTuple):
    """Entries of a kind."""

    name: str
    entries: int
    share: float | None


class LanguageOfVocabulary(NamedTuple):
    """A language of the training text, and the bytes per token of its holdout."""

    name: str
    share: TrainingShare
    bytes_per_token: float | None


class VocabularyPage(NamedTuple):
    """What the page says of the vocabulary."""

    parts: list[VocabularyPart]
    languages: list[LanguageOfVocabulary]
    facts: list[Fact]


def _vocabulary(vocabulary: VocabularyReport) -> VocabularyPage:
    entries = {
        "merges": vocabulary.merges,
        "bytes": vocabulary.bytes,
        "special": vocabulary.special,
        "links": vocabulary.links,
        "reserved": vocabulary.reserved,
    }
    known = {name: n for name, n in entries.items() if n is not None}
    parts = [VocabularyPart(name, n, _ratio(n, vocabulary.size)) for name, n in known.items()]
    holdout = vocabulary.held_back.languages if vocabulary.held_back else {}
    languages = [
        LanguageOfVocabulary(
            name, share, holdout[name].bytes_per_token if name in holdout else None
        )
        for name, share in vocabulary.languages.items()
    ]
    languages.sort(key=lambda row: (-row.share.share_of_training, row.name))
    return VocabularyPage(parts, languages[:FAIR_LANGUAGES], _vocabulary_facts(vocabulary))


def _vocabulary_facts(vocabulary: VocabularyReport) -> list[Fact]:
    """Returns how many entries are used, and what the vocabulary makes of the holdout."""
    use, holdout = vocabulary.use, vocabulary.held_back
    named: list[tuple[str, str | None]] = []
    if use:
        named += [
            ("Used in the shards", number(use.used)),
            ("Used less than 10 times", number(use.used_seldom)),
        ]
    if holdout:
        named += [
            ("Posts of the holdout", number(holdout.posts)),
            ("Bytes per token of the holdout", number(holdout.bytes_per_token, 3)),
            ("Tokens per word of the holdout", number(holdout.tokens_per_word, 2)),
        ]
    return facts(*named)


def _output(report: Report) -> list[Fact]:
    """Returns sequences, shards and training steps, as names and values."""
    sequences, shards, training = report.sequences, report.shards, report.training
    padding = f"{number(sequences.padding)} tokens"
    if sequences.padding_ratio is not None:
        padding += f", {100 * sequences.padding_ratio:.3g} %"
    return facts(
        ("Tokens in a sequence", number(sequences.length)),
        ("Sequences in shards", number(sequences.in_shards)),
        ("Sequences left over", number(sequences.leftover)),
        ("Padding", padding),
        ("Tokens truncated", number(sequences.truncated_tokens)),
        ("Shards", number(shards.count)),
        ("Sequences per shard", number(shards.sequences_each)),
        ("Bytes per shard", size(shards.bytes_each)),
        ("Bytes in all shards", size(shards.total_bytes)),
        ("Global batch, sequences", number(training.global_batch_sequences)),
        ("Data-parallel ranks", number(training.data_parallel_ranks)),
        ("Optimiser steps", number(training.steps)),
    )


class PhaseRow(NamedTuple):
    """The cost of a phase, or of the run, with its speeds."""

    cost: PhaseCost
    per_second: float | None
    per_cpu_second: float | None
    reused: str


def _phases(report: Report) -> list[PhaseRow]:
    """Returns each phase's time, speed and memory, and the sum of the run."""
    rows = [_phase_row(cost, _reused(cost.units_reused)) for cost in report.phases]
    if len(rows) > 1:
        total = PhaseCost(
            name="run",
            seconds=sum(cost.seconds or 0 for cost in report.phases),
            cpu_seconds=sum(cost.cpu_seconds or 0 for cost in report.phases),
            peak_rss_bytes=max(cost.peak_rss_bytes or 0 for cost in report.phases),
            posts=report.posts.read,
        )
        rows.append(_phase_row(total, ""))
    return rows


def _phase_row(cost: PhaseCost, reused: str) -> PhaseRow:
    speeds = _ratio(cost.posts, cost.seconds), _ratio(cost.posts, cost.cpu_seconds)
    return PhaseRow(cost, *speeds, reused)


def _reused(units: int | None) -> str:
    return "all" if units is not None and units < 0 else number(units)


def _most_first(counts: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
