"""Lists the posts that a change of models, or of thresholds, decides otherwise.

    sluice score default --input 'DAY/*' --output before       # of the earlier version
    sluice score default --input 'DAY/*' --output after
    python -m benchmarks.changed_decisions before after [--recipe-before FILE] [--list FILE]
        [--read FILE --posts FILES]

Decisions are those of the recipes: the first filter that rejects a post gives the reason. A label of a
transformer, whose scores stand beside the filters', decides after them where `--also LABEL=MOST` says so.
`--list` writes all changed posts: id, language, what rejected them before and after, and the scores that
are not the same. `--read` writes some of them with their texts, each kind of change in turn: to a file
outside of the project.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from benchmarks.command import parser_of
from benchmarks.page import share, table
from benchmarks.real_posts import rows_of
from sluice.filters.text.hashing import hash_texts
from sluice.pipeline.recipes.loader import load
from sluice.schemas.arrays import Array

KEPT = "kept"
SEED = 1
UNSCORED = ("post_id", "language", "language_group")


class Decided(NamedTuple):
    """The scores of N posts and what rejects them.

    Attributes:
        scores: the table of `sluice score`.
        by_N: (N,) the name of the first filter that rejects the post, or KEPT.
    """

    scores: pa.Table
    by_N: Array


def decided(output: Path, recipe: str, also: Sequence[tuple[str, float]] = ()) -> Decided:
    """Returns an output of `sluice score` with the decisions of a recipe.

    Raises:
        SystemExit: there are no scores, or none of a filter of the recipe.
    """
    if not (output / "scores").is_dir():
        raise SystemExit(f"{output}: has no folder scores: it must be an output of `sluice score`")
    scores = pq.read_table(output / "scores")
    by_N = np.full(len(scores), KEPT, object)
    rejecting = [(spec.name, spec.accepts) for spec in load(recipe).filters]
    rejecting += [(name, lambda s_N, most=most: s_N <= np.float32(most)) for name, most in also]
    for name, accepts in reversed(rejecting):
        if name not in scores.column_names:
            raise SystemExit(f"{output}: has no scores of {name!r}, which {recipe!r} decides by")
        by_N[~accepts(scores[name].to_numpy())] = name
    return Decided(scores, by_N)


def changed(before: Decided, after: Decided) -> pa.Table:
    """Returns one row per post that is decided otherwise: id, language, both decisions, scores that changed.

    Raises:
        SystemExit: the two have not scored the same posts.
    """
    if not before.scores["post_id"].equals(after.scores["post_id"]):
        raise SystemExit("the two outputs must have scored the same posts in the same order")
    rows = np.flatnonzero(before.by_N != after.by_N)
    own = pa.array(rows)
    columns = {
        "row": own,
        "post_id": before.scores["post_id"].take(own),
        "language": after.scores["language"].take(own),
        "before": pa.array(before.by_N[rows].tolist(), pa.string()),
        "after": pa.array(after.by_N[rows].tolist(), pa.string()),
    }
    for name in after.scores.column_names:
        if name in UNSCORED:
            continue
        old = before.scores[name] if name in before.scores.column_names else None
        if old is not None and not old.equals(after.scores[name]):
            columns[f"{name} before"] = old.take(own)
        if old is None or not old.equals(after.scores[name]):
            columns[f"{name} after"] = after.scores[name].take(own)
    return pa.table(columns)


def some(rows: pa.Table, number: int) -> pa.Table:
    """Returns so many changed posts, each kind of change in turn, in the order of a hash of their ids."""
    kind_N = np.array([f"{a} {b}" for a, b in _kinds(rows)])
    rank_N = np.empty(len(rows), np.int64)
    order_N = np.argsort(hash_texts(rows["post_id"].combine_chunks(), seed=SEED), kind="stable")
    for kind in np.unique(kind_N):
        own = order_N[kind_N[order_N] == kind]
        rank_N[own] = np.arange(len(own))
    return rows.take(pa.array(np.argsort(rank_N, kind="stable")[:number]))


def _kinds(rows: pa.Table) -> list[tuple[str, str]]:
    return list(zip(rows["before"].to_pylist(), rows["after"].to_pylist(), strict=True))


def texts_of(files: Sequence[Path], ids: Sequence[str]) -> list[str]:
    """Returns the text of each id, the first that the files have of it; empty where there is none."""
    wanted, found = set(ids), {}
    for row in rows_of(files):
        if str(row["id"]) in wanted:
            found.setdefault(str(row["id"]), row["text"])
    return [found.get(post_id, "") for post_id in ids]


def markdown(before: Decided, after: Decided, rows: pa.Table) -> list[str]:
    """Returns how many posts each kind of change has, and what each filter rejects."""
    kinds = Counter(_kinds(rows)).most_common()
    total = len(before.by_N)
    names = list(dict.fromkeys([*before.scores.column_names, *after.scores.column_names]))
    rejected = [(n, int((before.by_N == n).sum()), int((after.by_N == n).sum())) for n in names]
    rejected = [row for row in rejected if row[1] or row[2]]
    rejected.append((KEPT, int((before.by_N == KEPT).sum()), int((after.by_N == KEPT).sum())))
    return [
        f"{len(rows):,} of {total:,} posts ({share(len(rows), total)}) are decided otherwise.",
        "",
        *table(("before", "after", "posts"), [(a, b, n) for (a, b), n in kinds]),
        "",
        *table(("first to reject", "posts before", "posts after"), rejected),
    ]


def _label(text: str) -> tuple[str, float]:
    name, _, most = text.partition("=")
    return name, float(most)


def main() -> None:
    """Prints what changed, and writes the lists that are asked for."""
    parser = parser_of("changed_decisions", __doc__)
    parser.add_argument("before", type=Path, help="an output of `sluice score`")
    parser.add_argument("after", type=Path, help="one of the same posts")
    parser.add_argument("--recipe-before", default="default", help="whose thresholds decided")
    parser.add_argument("--recipe-after", default="default", help="whose thresholds decide")
    parser.add_argument("--also", type=_label, action="append", default=[], metavar="LABEL=MOST")
    parser.add_argument("--list", type=Path, help="all changed posts, CSV, without texts")
    parser.add_argument("--read", type=Path, help="some of them with texts, CSV")
    parser.add_argument("--posts", type=Path, nargs="+", default=[], help="JSONL, gzip, for --read")
    parser.add_argument("--sample", type=int, default=100, help="how many posts --read writes")
    given: argparse.Namespace = parser.parse_args()
    before = decided(given.before, given.recipe_before)
    after = decided(given.after, given.recipe_after, given.also)
    rows = changed(before, after)
    print("\n".join(markdown(before, after, rows)))
    if given.list:
        pa_csv.write_csv(rows, given.list)
    if given.read:
        sample = some(rows, given.sample)
        texts = texts_of(given.posts, sample["post_id"].to_pylist())
        pa_csv.write_csv(sample.append_column("text", pa.array(texts, pa.string())), given.read)


if __name__ == "__main__":
    main()
