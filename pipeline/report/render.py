"""Makes report.html out of report.json: one page, no network, no script.

What is on the page is worked out here, as plain numbers and names; `report.html` only sets it. A key
that report.json lacks shows as a dash, or leaves its section out.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from sluice.pipeline.report.figures import DASH, digits, duration, number, percent, size, width
from sluice.pipeline.report.training_page import mixture_tables, training_facts

MAX_LANGUAGES = 30
FAIR_LANGUAGES = 12
"""Languages of a fairness or a vocabulary table: those with the most; report.json has all."""
LISTED_DAYS, MAX_DAYS = 14, 62
"""Up to so many days are listed; up to so many are drawn, more as months, or as years."""

UNKNOWN = "unknown"
DUPLICATES = ("redelivered", "exact", "near")

Row = dict[str, Any]


def render(report: dict[str, Any]) -> str:
    """Returns the page as HTML; the same report gives the same text.

    Args:
        report: report.json, of this or an earlier version.
    """
    return _template().render(
        title=_at(report, "recipe", "name") or "run",
        fingerprint=_at(report, "recipe", "fingerprint"),
        sluice=_at(report, "sluice"),
        warnings=_at(report, "warnings") or [],
        figures=_figures(report),
        funnel=_funnel(report),
        unaccounted=_unaccounted(report),
        ledger=_at(report, "ledger") or {},
        filters=_filters(report),
        broken=_broken(report),
        transformers=_transformers(report),
        fairness=_fairness(report),
        duplicates=_duplicates(report),
        clusters=_clusters(report),
        dedup=_dedup(report),
        languages=_languages(report),
        num_languages=len(_table(report, "tokens", "by_lang")),
        days=_days(report),
        list_days=len(_table(report, "tokens", "by_day")) <= LISTED_DAYS,
        sources=_by(report, "by_source"),
        vocabulary=_vocabulary(report),
        output=_output(report),
        training=training_facts(_table(report, "training")),
        mixture=mixture_tables(_table(report, "mixture")),
        phases=_phases(report),
        models=_at(report, "models") or [],
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
    environment.filters.update(
        number=number,
        percent=percent,
        size=size,
        duration=duration,
        width=width,
        digits=digits,
    )
    return environment.get_template("report.html")


def _at(report: Mapping[str, Any], *keys: str) -> Any:
    """Returns what stands under the keys, or None."""
    value: Any = report
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _table(report: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Returns the table under the keys, less what is null."""
    table = _at(report, *keys) or {}
    return {key: value for key, value in table.items() if value is not None}


def _ratio(part: Any, whole: Any) -> float | None:
    return part / whole if isinstance(part, int | float) and whole else None


def _figures(report: Row) -> list[Row]:
    """The numbers that are asked for first."""
    read, kept = _at(report, "posts", "read"), _at(report, "posts", "kept")
    ratio = _ratio(kept, read)
    kept_note = f"{percent(ratio)} of {number(read)} read" if ratio is not None else ""
    tokens = _table(report, "tokens")
    batch = _at(report, "training", "global_batch_sequences")
    return [
        {"name": "posts kept", "value": number(kept), "note": kept_note},
        {
            "name": "tokens",
            "value": number(tokens.get("total")),
            "note": f"in {number(report.get('documents'))} documents",
        },
        {
            "name": "bytes per token",
            "value": number(tokens.get("bytes_per_token"), 2),
            "note": f"{number(tokens.get('per_post'), 1)} tokens per post",
        },
        {
            "name": "training steps",
            "value": number(_at(report, "training", "steps")),
            "note": f"of {number(batch)} sequences",
        },
    ]


def _funnel(report: Row) -> list[Row]:
    """Each reason in order: how many posts it took, and how many were left."""
    posts = _table(report, "posts")
    read = posts.get("read")
    if not read:
        return []
    left, rows = read, [{"name": "read", "kind": "total", "posts": read, "left": read}]
    for name, kind, lost in _losses(report):
        if lost:
            left -= lost
            rows.append({"name": name, "kind": kind, "posts": lost, "left": left})
    kept = posts.get("kept")
    rows.append({"name": "kept", "kind": "total", "posts": kept, "left": left})
    return [row | {"share": _ratio(row["posts"], read), "of": row["left"] / read} for row in rows]


def _unaccounted(report: Row) -> int:
    """Returns the posts that the funnel leaves and that were not kept; 0 in a sound report."""
    funnel = _funnel(report)
    return funnel[-1]["left"] - (funnel[-1]["posts"] or 0) if funnel else 0


def _losses(report: Row) -> Iterator[tuple[str, str, int]]:
    """Yields (name, kind, posts) in the order of the pipeline."""
    posts = _table(report, "posts")
    yield "malformed", "broken", posts.get("malformed") or 0
    yield "errors", "broken", posts.get("errors") or 0
    rejected = _table(posts, "rejected")
    ordered = [row["reason"] for row in _at(report, "filters") or [] if row.get("reason")]
    for reason in dict.fromkeys(ordered):
        yield reason, "rule", rejected.get(reason) or 0
    for kind, count in _duplicate_counts(report).items():
        yield f"{kind} duplicate" if kind != "redelivered" else kind, "copy", count or 0
    for reason in (
        r for r in rejected if r not in ordered
    ):  # of the phases that follow: transformers, mixture
        yield reason, "rule", rejected[reason] or 0


def _duplicate_counts(report: Row) -> dict[str, int]:
    """Returns posts dropped by kind of duplicate, in the order in which they are found."""
    counts = _table(report, "posts", "duplicates")
    known = [kind for kind in DUPLICATES if kind in counts]
    return {kind: counts[kind] for kind in dict.fromkeys([*known, *counts])}


def _filters(report: Row) -> list[Row]:
    """What each filter was asked, what it took out and what it cost."""
    read = _at(report, "posts", "read")
    rejected = _table(report, "posts", "rejected")
    rows = []
    for row in _at(report, "filters") or []:
        asked, passed = row.get("posts_in"), row.get("posts_out")
        known = asked is not None and passed is not None
        taken = rejected.get(row.get("reason"), asked - passed if known else None)
        msec = row.get("msec")
        rows.append(
            {key: row.get(key) for key in ("name", "reason", "threshold", "posts_in", "posts_out")}
            | {"seconds": None if msec is None else msec / 1000, "rejected": taken}
            | {"share": _ratio(taken, read)}
            | {"usec": None if msec is None else _ratio(1000 * msec, asked)}
        )
    return rows


def _transformers(report: Row) -> list[Row]:
    """What each transformer saw, rejected and cost, and how far its screen agrees with it."""
    rows = []
    for row in _at(report, "transformers") or []:
        facts = [
            ("band", _band(_table(row, "band"))),
            ("sample", _agreement(_table(row, "agreement"))),
            ("labels", ", ".join(row.get("labels") or []) or None),
        ]
        rows.append(
            {k: row.get(k) for k in ("name", "posts", "decided", "saved", "rejected", "seconds")}
            | {"posts_per_second": _ratio(row.get("scored"), row.get("seconds"))}
            | {"tokens_per_second": _ratio(row.get("tokens"), row.get("seconds"))}
            | {"facts": [{"name": k, "value": v} for k, v in facts if v]}
        )
    return rows


def _band(about: Row) -> str | None:
    if not about:
        return None
    low, high = number(about.get("low"), 2), number(about.get("high"), 2)
    return f"{about.get('screen')} scores from {low} to {high}: below them posts are kept unseen"


def _agreement(about: Row) -> str | None:
    if not about:
        return None
    low, high = _table(about, "low"), _table(about, "high")
    return (
        f"{number(about.get('sampled'))} posts scored by both, {percent(about.get('agreed'))} agreed: "
        f"of {number(sum(low.values()))} below the band the transformer would reject "
        f"{number(low.get('rejected'))}, of {number(sum(high.values()))} above it would keep "
        f"{number(high.get('kept'))}"
    )


def _fairness(report: Row) -> list[Row]:
    """Rejection rates of each screen by language, the languages with the most posts first."""
    tables = []
    for about in _at(report, "fairness") or []:
        by_lang = _table(about, "by_lang").items()
        languages = sorted(by_lang, key=lambda item: (-(item[1].get("posts") or 0), item[0]))[
            :FAIR_LANGUAGES
        ]
        rows = [
            {"name": name, "value": row.get("rate") or 0.0}
            | {k: row.get(k) for k in ("posts", "rejected", "rate", "ratio", "even_threshold")}
            for name, row in languages
        ]
        if rows:
            tables.append(
                {k: about.get(k) for k in ("name", "threshold", "posts", "rejected", "rate")}
                | {"rows": _with_bars(rows), "languages": len(_table(about, "by_lang"))}
            )
    return tables


def _broken(report: Row) -> list[Row]:
    """Malformed rows and errors by reason, if the report tells them apart."""
    rows = []
    for kind, key in (("malformed", "malformed_by_reason"), ("error", "errors_by_stage")):
        for reason, posts in _most_first(_table(report, "posts", key)):
            rows.append({"kind": kind, "reason": reason, "posts": posts})
    return rows


def _duplicates(report: Row) -> list[Row]:
    counts = _duplicate_counts(report)
    read = _at(report, "posts", "read")
    return _with_bars(
        {"name": kind, "posts": n, "value": n, "share": _ratio(n, read)}
        for kind, n in counts.items()
    )


def _clusters(report: Row) -> list[Row]:
    """Clusters by how many posts they have, smallest first, as far as sizes can be read."""
    counts = _table(report, "duplicate_clusters")
    return _with_bars(
        {"name": name, "clusters": counts[name], "value": counts[name]}
        for name in sorted(counts, key=_first_number)
    )


def _dedup(report: Row) -> list[Row]:
    """What counted as a duplicate, what stayed, and what the history had to do with it."""
    about = _table(report, "dedup")
    facts = [
        ("near duplicate", about.get("rule")),
        ("stays", about.get("stays")),
        ("candidates", number(about.get("candidates")) if about else None),
        ("kept with comparisons left out", _left_out(report) if about else None),
        ("history", _history(_table(report, "dedup", "history"))),
    ]
    return [{"name": name, "value": value} for name, value in facts if value]


def _left_out(report: Row) -> str:
    return number(_at(report, "duplicate_checks_left_out"))


def _history(about: Row) -> str | None:
    if not about:
        return None
    dropped = sum(_table(about, "duplicates").values())
    return (
        f"{number(_at(about, 'read', 'posts'))} posts of {number(_at(about, 'read', 'segments'))} runs "
        f"read, {number(dropped)} posts dropped for their sake, "
        f"{number(_at(about, 'added', 'posts'))} added ({size(_at(about, 'added', 'bytes'))}) "
        f"as of {_at(about, 'day') or DASH}"
    )


def _first_number(name: str) -> tuple[int, str]:
    digits = name.split("-")[0].strip("+<>= ")
    return (int(digits) if digits.isdigit() else 1 << 62, name)


def _by(report: Row, by: str) -> list[Row]:
    """Tokens and posts of one `by_*` table, most tokens first."""
    posts, total = _table(report, "posts", by), _at(report, "tokens", "total")
    return _with_bars(
        {
            "name": name,
            "tokens": tokens,
            "value": tokens,
            "posts": posts.get(name),
            "share": _ratio(tokens, total),
            "per_post": _ratio(tokens, posts.get(name)),
        }
        for name, tokens in _most_first(_table(report, "tokens", by))
    )


def _languages(report: Row) -> list[Row]:
    rows = _by(report, "by_lang")
    rest = rows[MAX_LANGUAGES:]
    if not rest:
        return rows
    tokens = sum(row["tokens"] for row in rest)
    posts = sum(row["posts"] or 0 for row in rest)
    other = {"name": f"{len(rest)} more", "tokens": tokens, "posts": posts, "kind": "rest"}
    other |= {"share": _ratio(tokens, _at(report, "tokens", "total")), "bar": 0.0}
    return [*rows[:MAX_LANGUAGES], other | {"per_post": _ratio(tokens, posts)}]


def _days(report: Row) -> list[Row]:
    """Tokens by day, in order of time; by month or year where the days are many."""
    if len(_table(report, "tokens", "by_day")) <= LISTED_DAYS:
        return sorted(_by(report, "by_day"), key=lambda row: row["name"])
    tokens = dict(_table(report, "tokens", "by_day"))
    unknown = tokens.pop(UNKNOWN, None)
    for length in (len("2026-01-31"), len("2026-01"), len("2026")):
        periods: dict[str, int] = {}
        for day, count in sorted(tokens.items()):
            periods[day[:length]] = periods.get(day[:length], 0) + count
        if len(periods) <= MAX_DAYS:
            break
    if unknown:
        periods[UNKNOWN] = unknown
    return _with_bars({"name": name, "tokens": n, "value": n} for name, n in periods.items())


def _vocabulary(report: Row) -> Row:
    """The entries of the vocabulary by kind, and what making it took."""
    vocabulary = _table(report, "vocabulary")
    parts = [
        {"name": name, "entries": vocabulary[name]}
        for name in ("merges", "bytes", "special", "links", "reserved")
        if vocabulary.get(name) is not None
    ]
    whole = vocabulary.get("size") or sum(part["entries"] for part in parts)
    steps = [
        {"name": name} | {key: _at(step, key) for key in ("seconds", "cpu_seconds")}
        for name, step in _table(vocabulary, "steps").items()
    ]
    named = _table(vocabulary, "languages").items()
    languages = [{"name": name} | dict(row) for name, row in named if isinstance(row, Mapping)]
    held = _table(vocabulary, "held_back", "languages")
    for row in languages:
        row["bytes_per_token"] = _at(held, row["name"], "bytes_per_token")
    languages.sort(key=lambda row: (-(row.get("share_of_training") or 0), row["name"]))
    return {
        "facts": _vocabulary_facts(vocabulary),
        "languages": languages[:FAIR_LANGUAGES],
        "num_languages": len(languages),
        "size": whole or None,
        "parts": [part | {"share": _ratio(part["entries"], whole)} for part in parts],
        "steps": steps,
    }


def _vocabulary_facts(vocabulary: Row) -> list[Row]:
    """How many entries are used, and what the vocabulary makes of posts that it was not trained on."""
    use, held = _table(vocabulary, "use"), _table(vocabulary, "held_back")
    facts = []
    if use:
        facts += [
            {"name": "Used in the shards", "value": number(use.get("used"))},
            {"name": "Used less than 10 times", "value": number(use.get("used_seldom"))},
        ]
    if held:
        facts += [
            {"name": "Posts held back from training", "value": number(held.get("posts"))},
            {"name": "Bytes a token of them", "value": number(held.get("bytes_per_token"), 3)},
            {"name": "Tokens a word of them", "value": number(held.get("tokens_per_word"), 2)},
        ]
    return facts


def _output(report: Row) -> list[Row]:
    """Sequences, shards and training steps, as names and values."""
    sequences, shards = _table(report, "sequences"), _table(report, "shards")
    training = _table(report, "training")
    padding = f"{number(sequences.get('padding'))} tokens"
    if sequences.get("padding_ratio") is not None:
        padding += f", {100 * sequences['padding_ratio']:.3g} %"
    ranks = training.get("data_parallel_ranks")
    return [
        {"name": "Tokens in a sequence", "value": number(sequences.get("length"))},
        {"name": "Sequences in shards", "value": number(sequences.get("in_shards"))},
        {"name": "Sequences left over", "value": number(sequences.get("leftover"))},
        {"name": "Padding", "value": padding},
        {"name": "Tokens truncated", "value": number(sequences.get("truncated_tokens"))},
        {"name": "Shards", "value": number(shards.get("count"))},
        {"name": "Sequences a shard", "value": number(shards.get("sequences_each"))},
        {"name": "Bytes a shard", "value": size(shards.get("bytes_each"))},
        {"name": "Bytes in all shards", "value": size(shards.get("total_bytes"))},
        {
            "name": "Global batch, sequences",
            "value": number(training.get("global_batch_sequences")),
        },
        {"name": "Data-parallel ranks", "value": number(ranks)},
        {"name": "Optimiser steps", "value": number(training.get("steps"))},
    ]


def _phases(report: Row) -> list[Row]:
    """Each phase's time, speed and memory, and the sum of the run."""
    rows = [_speed(dict(phase)) for phase in _at(report, "phases") or []]
    if len(rows) > 1:
        total: Row = {"name": "run", "kind": "total"}
        for key in ("seconds", "cpu_seconds"):
            total[key] = sum(row.get(key) or 0 for row in rows)
        total["peak_rss_bytes"] = max(row.get("peak_rss_bytes") or 0 for row in rows)
        rows.append(_speed(total | {"posts": _at(report, "posts", "read")}))
    return rows


def _speed(phase: Row) -> Row:
    reused = phase.get("units_reused")
    phase["reused"] = "all" if isinstance(reused, int) and reused < 0 else number(reused)
    phase["a_second"] = _ratio(phase.get("posts"), phase.get("seconds"))
    phase["a_cpu_second"] = _ratio(phase.get("posts"), phase.get("cpu_seconds"))
    return phase


def _most_first(counts: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _with_bars(rows: Iterable[Row]) -> list[Row]:
    """Adds `bar`, each value against the largest."""
    listed = list(rows)
    largest = max((row["value"] for row in listed), default=0)
    return [row | {"bar": _ratio(row["value"], largest) or 0.0} for row in listed]
