"""Posts counted by language, day and source."""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.text.hashing import hash_texts
from sluice.schemas.counts import (
    UNKNOWN,
    AuthorSample,
    HoldoutTally,
    PostAmounts,
    PostTally,
    ScreenedTally,
    Table,
    TokenTally,
)

_AUTHORS = 17
"""Seed of the hash that draws authors."""
T = TypeVar("T", PostTally, ScreenedTally, HoldoutTally, TokenTally)


def day_of(created_at: pa.TimestampArray) -> pa.StringArray:
    """Returns (N,) string, the UTC day as YYYY-MM-DD, `unknown` where there is none."""
    # Formatting is slow and equal days are many: a day is formatted once.
    days = created_at.cast(pa.timestamp("us")).cast(pa.date32()).dictionary_encode()
    names = days.dictionary.cast(pa.string())
    return pc.fill_null(names.take(days.indices), UNKNOWN)


def tally(
    posts: pa.RecordBatch,
    kind: type[T],
    *,
    language: pa.Array | None = None,
    **amounts: np.ndarray[Any, Any] | pa.Array,
) -> T:
    """Returns totals of N posts, and by language, day and source.

    Args:
        posts: with columns `created_at`, `source`, `text`, and `language` unless it is given.
        kind: of the tally.
        language: (N,) string.
        amounts: (N,) integers to sum, by field of the tally; posts and text bytes are always counted.
    """
    sums = {
        "posts": pa.repeat(pa.scalar(1, pa.int64()), posts.num_rows),
        "text_bytes": pc.binary_length(posts.column("text")).cast(pa.int64()),
        **{name: pa.array(amount).cast(pa.int64()) for name, amount in amounts.items()},
    }
    table = pa.table(sums)
    counts: dict[str, Any] = {name: pc.sum(table[name]).as_py() or 0 for name in sums}
    keys = {
        "by_lang": posts.column("language") if language is None else language,
        "by_day": day_of(posts.column("created_at")),
        "by_source": posts.column("source"),
    }
    for by, key in keys.items():
        counts[by] = _grouped(table, pc.fill_null(key, UNKNOWN), kind.group)
    return kind(**counts)


def _grouped(table: pa.Table, key: pa.Array, group: type[PostAmounts]) -> dict[str, PostAmounts]:
    encoded, names = key.dictionary_encode(), table.column_names
    grouped = (
        table.append_column("key", encoded.indices)
        .group_by("key", use_threads=False)
        .aggregate([(name, "sum") for name in names])
    )
    words = encoded.dictionary.take(grouped["key"].combine_chunks()).to_pylist()
    rows = grouped.select([f"{name}_sum" for name in names]).rename_columns(names).to_pylist()
    return {word: group(**row) for word, row in zip(words, rows, strict=True)}


def author_sample(author_id: pa.StringArray) -> AuthorSample:
    """Returns the authors of N posts with the smallest hashes, each with the number of their posts.

    >>> author_sample(pa.array(["a", "b", "a", None])).without
    1
    """
    known = author_id.drop_null()
    hash_N = np.sort(hash_texts(known, seed=_AUTHORS))
    hash_A, count_A = np.unique(hash_N, return_counts=True)
    chosen = slice(0, AuthorSample.SIZE)
    names = [f"{value:016x}" for value in hash_A[chosen].tolist()]
    posts = dict(zip(names, count_A[chosen].tolist(), strict=True))
    return AuthorSample(posts, author_id.null_count)


def most_first(table: Mapping[str, Any], of: str = "") -> list[tuple[str, Any]]:
    """Returns the entries of a table, the largest first and equal ones by name.

    Args:
        table: name -> number, or what has one.
        of: the attribute that is the number.

    >>> most_first({"b": 1, "a": 1, "c": 2})
    [('c', 2), ('a', 1), ('b', 1)]
    """
    return sorted(
        table.items(), key=lambda item: (-(getattr(item[1], of) if of else item[1]), item[0])
    )


def value_counts(values: pa.Array) -> Table:
    """Returns how often each string occurs.

    >>> value_counts(pa.array(["near", "exact", "near"]))
    {'near': 2, 'exact': 1}
    """
    return {c["values"]: c["counts"] for c in pc.value_counts(values).to_pylist()}
