"""The books: what was read, what became of it, and whether it adds up.

Counts are nested tables of integers that units write into their manifests; sums of them, in any
order, are the ledger of a phase and of the run. The keys of every `by_*` table are strings, `unknown`
where the post says nothing.
"""

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from sluice.schemas.errors import LedgerError, LimitError

UNKNOWN: Final = "unknown"
MARKS: Final = ("begin_of_document", "turns", "end_of_document")
"""The special tokens of documents, each a line of the tokens' equation."""

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


def check_limits(
    counts: Counts,
    by_file: dict[str, Counts],
    *,
    max_error_ratio: float,
    max_malformed_ratio: float,
) -> None:
    """Raises LimitError where a file has too many malformed rows, or the run too many errors.

    Args:
        counts: of the clean phase.
        by_file: source file -> {"read": n, "malformed": {reason: n}}.
        max_error_ratio: of all posts read.
        max_malformed_ratio: of the rows of a file.
    """
    for name, file in sorted(by_file.items()):
        malformed = sum(file.get("malformed", {}).values())
        if malformed > max_malformed_ratio * max(file["read"], 1):
            reasons = _most(file["malformed"])
            raise LimitError(
                f"{name}: {malformed:,} of {file['read']:,} rows are malformed ({reasons}), more than "
                f"limits.max_malformed_ratio = {max_malformed_ratio:g}; see rejects/ for the rows, check "
                f"input.columns, or raise the limit"
            )
    errors = sum(counts.get("errors", {}).values())
    if errors > max_error_ratio * max(counts["read"], 1):
        raise LimitError(
            f"{errors:,} of {counts['read']:,} posts made a stage fail ({_most(counts['errors'])}), more "
            f"than limits.max_error_ratio = {max_error_ratio:g}; see rejects/, kind = error, for the rows"
        )


def _most(reasons: dict[str, int]) -> str:
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name}: {n:,}" for name, n in ordered[:4])


def posts_equation(posts: Counts) -> str:
    """Returns the posts' equation in figures, as the report and the terminal print it."""
    policy, copies = sum(posts["rejected"].values()), sum(posts["duplicates"].values())
    return (
        f"{posts['read']:,} read = {posts['kept']:,} kept + {policy:,} rejected by rules + "
        f"{copies:,} duplicates + {posts['malformed']:,} malformed + {posts['errors']:,} errors"
    )


def check_posts(posts: Counts) -> None:
    """Raises LedgerError unless every post that was read is accounted for, once."""
    accounted = (
        posts["kept"]
        + sum(posts["rejected"].values())
        + sum(posts["duplicates"].values())
        + posts["malformed"]
        + posts["errors"]
    )
    if accounted != posts["read"]:
        raise LedgerError(
            f"the ledger does not balance: {posts_equation(posts)}: off by {posts['read'] - accounted:,}"
        )


def tokens_equation(t: Counts) -> str:
    """Returns the tokens' equation in figures; a special token that no document has is left out."""
    marks = "".join(f"{t[k]:,} {k.replace('_', '-')} + " for k in MARKS if t.get(k))
    return (
        f"{t['encoded']:,} encoded + {marks}{t['padding']:,} padding "
        f"= {t['in_shards']:,} in shards + {t['leftover']:,} leftover + {t['truncated']:,} truncated"
    )


def check_tokens(t: Counts) -> None:
    """Raises LedgerError unless every token, padding included, is accounted for."""
    made = t["encoded"] + sum(t.get(k, 0) for k in MARKS) + t["padding"]
    if made != t["in_shards"] + t["leftover"] + t["truncated"]:
        raise LedgerError(f"the ledger does not balance: {tokens_equation(t)}")
