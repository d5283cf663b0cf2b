"""Counts of posts by group, and how they are added and subtracted."""

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc


def add_counts(total: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Adds nested counts in place: numbers are summed, tables are merged. Returns `total`."""
    for key, value in more.items():
        if isinstance(value, dict):
            add_counts(total.setdefault(key, {}), value)
        else:
            total[key] = total.get(key, 0) + value
    return total


UNKNOWN: Final = "unknown"


Counts = dict[str, Any]


def day_of(created_at: pa.TimestampArray) -> pa.StringArray:
    """Returns (N,) string, the UTC day as YYYY-MM-DD, `unknown` where there is none."""
    # Formatting is slow and equal days are many: a day is formatted once.
    days = created_at.cast(pa.timestamp("us")).cast(pa.date32()).dictionary_encode()
    names = days.dictionary.cast(pa.string())
    return pc.fill_null(names.take(days.indices), UNKNOWN)


def tally(
    *,
    language: pa.Array,
    created_at: pa.Array,
    source: pa.Array,
    amounts: dict[str, pa.Array],
) -> Counts:
    """Returns totals of a batch by language, day and source.

    Args:
        language: (N,) string.
        created_at: (N,) timestamp.
        source: (N,) string.
        amounts: name -> (N,) integers to sum; `posts` is always there, one for each row.

    Returns:
        {amount: total, "by_lang": {key: {amount: n}}, "by_day": ..., "by_source": ...}.
    """
    table = pa.table({**amounts, "posts": pa.repeat(pa.scalar(1, pa.int64()), len(language))})
    names = table.column_names
    keys = {"by_lang": language, "by_day": day_of(created_at), "by_source": source}
    counts: Counts = {name: pc.sum(table[name]).as_py() or 0 for name in names}
    for by, key in keys.items():
        counts[by] = _grouped(table, pc.fill_null(key, UNKNOWN), names)
    return counts


def _grouped(table: pa.Table, key: pa.Array, names: list[str]) -> Counts:
    encoded = key.dictionary_encode()
    grouped = (
        table.append_column("key", encoded.indices)
        .group_by("key", use_threads=False)
        .aggregate([(name, "sum") for name in names])
    )
    words = encoded.dictionary.take(grouped["key"].combine_chunks()).to_pylist()
    columns = {name: grouped[f"{name}_sum"].to_pylist() for name in names}
    return {word: {n: columns[n][i] for n in names} for i, word in enumerate(words)}


def column(counts: Counts, by: str, amount: str) -> dict[str, int]:
    """Returns one amount of a `by_*` table, keys sorted, zeros left out."""
    table = counts.get(by, {})
    return {k: table[k][amount] for k in sorted(table) if table[k].get(amount)}


def subtract(total: Counts, less: Counts) -> Counts:
    """Returns nested counts less others: what is left of the posts when some are dropped."""
    out: Counts = {}
    for key, value in total.items():
        other = less.get(key, {} if isinstance(value, dict) else 0)
        out[key] = subtract(value, other) if isinstance(value, dict) else value - other
    return out


def value_counts(values: pa.Array) -> dict[str, int]:
    """Returns how often each string occurs."""
    return {c["values"]: c["counts"] for c in pc.value_counts(values).to_pylist()}
