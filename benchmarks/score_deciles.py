"""What posts of each tenth of a score are like: length, links, languages, sources; and some of each to read.

    SLUICE_DATA=DIR python -m benchmarks.score_deciles --model sluice/encoder --label quality
        [--page PAGE] [--read FILE]

The posts are of the firehose, chosen by a hash of their text. Of quality, the first tenth is the lowest. The
rank of a language or source is the mean place of its posts among all, from 0 to 1, and what it would lose is
the share of its posts in the lowest tenth: what a threshold at that tenth takes from it. `--read` writes
posts of each tenth with their texts: to a file outside of the project.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from benchmarks.command import add_data, add_page, parser_of, say
from benchmarks.page import publish, table
from benchmarks.scorers import add_scorer, add_version, scorer_of
from sluice.filters.models.training.encoder.posts import read
from sluice.filters.text.features import text_features
from sluice.filters.text.hashing import hash_texts
from sluice.schemas.arrays import Array

FIREHOSE = "firehose/*.jsonl.gz"
SEED = 1
TENTHS = 10
MIN_POSTS = 100
"""Of a language or a source, to be in the tables."""
SIGNS = {
    "link": r"https?://",
    "hashtag": r"(^|\s)#\w",
    "handle": r"(^|\s)@\w",
    "question": r"[?？؟]",
}
"""Name -> what posts hold, counted by tenth."""


class Ranked(NamedTuple):
    """N posts and their places by a score.

    Attributes:
        posts: columns `text`, `lang`, `source`.
        rank_N: (N,) in [0, 1): the share of posts with a lower score; equal ones in the order of a hash.
    """

    posts: pa.Table
    rank_N: Array

    @property
    def tenth_N(self) -> Array:
        """(N,) int64, 0 for the lowest tenth."""
        return (self.rank_N * TENTHS).astype(np.int64)


def drawn(posts: pa.Table, number: int) -> pa.Table:
    """Returns so many posts, each text once, in the order of a hash of their texts."""
    hashes_N = hash_texts(posts["text"].combine_chunks(), seed=SEED)
    _, first = np.unique(hashes_N, return_index=True)
    return posts.take(pa.array(first[:number]))


def ranked(posts: pa.Table, scores_N: Array) -> Ranked:
    """Returns posts with their places by a score."""
    rank_N = np.empty(len(posts))
    rank_N[np.argsort(scores_N, kind="stable")] = np.arange(len(posts)) / max(len(posts), 1)
    return Ranked(posts, rank_N)


def by_tenth(found: Ranked) -> list[tuple[object, ...]]:
    """Returns for each tenth its posts, their median length in characters, and the share with each sign."""
    texts = found.posts["text"].combine_chunks()
    chars_N = text_features(texts).num_chars
    signs = [pc.match_substring_regex(texts, pattern) for pattern in SIGNS.values()]
    has_SN = np.stack([sign.to_numpy(zero_copy_only=False) for sign in signs])
    rows: list[tuple[object, ...]] = []
    for tenth in range(TENTHS):
        own_N = found.tenth_N == tenth
        if own_N.any():
            shares = [f"{share:.2f}" for share in has_SN[:, own_N].mean(axis=1)]
            rows.append((tenth + 1, int(own_N.sum()), int(np.median(chars_N[own_N])), *shares))
    return rows


def by_column(found: Ranked, name: str) -> list[tuple[object, ...]]:
    """Returns for each language or source its posts, mean rank, and share in the lowest tenth; rank rises."""
    value_N = np.array(found.posts[name].to_pylist(), np.str_)
    rows = []
    for value in np.unique(value_N).tolist():
        own_N = value_N == value
        if own_N.sum() >= MIN_POSTS:
            lost = float((found.tenth_N[own_N] == 0).mean())
            rows.append((value, int(own_N.sum()), float(found.rank_N[own_N].mean()), lost))
    rows.sort(key=lambda row: row[2])
    return [(value, posts, f"{rank:.2f}", f"{lost:.3f}") for value, posts, rank, lost in rows]


def of_each_tenth(found: Ranked, number: int) -> pa.Table:
    """Returns so many posts of each tenth, in their order, with the column `tenth`."""
    places = [np.flatnonzero(found.tenth_N == tenth)[:number] for tenth in range(TENTHS)]
    rows = np.concatenate(places)
    return found.posts.take(pa.array(rows)).append_column(
        "tenth", pa.array(found.tenth_N[rows] + 1)
    )


def markdown(found: Ranked) -> list[str]:
    """Returns the tables."""
    heads = ("posts", "mean rank", "in the lowest tenth")
    return [
        *table(("tenth", "posts", "characters", *SIGNS), by_tenth(found)),
        "",
        *table(("language", *heads), by_column(found, "lang")),
        "",
        *table(("source", *heads), by_column(found, "source")),
    ]


def main() -> None:
    """Scores posts of the firehose and prints what each tenth is like."""
    parser = parser_of("score_deciles", __doc__)
    add_data(parser)
    add_scorer(parser, "quality")
    add_version(parser)
    add_page(parser, "--page")
    parser.add_argument("--posts", type=int, default=20_000, help="how many are scored")
    parser.add_argument("--read", type=Path, help="where posts to read are written, CSV")
    parser.add_argument("--each", type=int, default=20, help="how many of a tenth --read writes")
    given: argparse.Namespace = parser.parse_args()
    scorer = scorer_of(given)
    posts = drawn(read(given.data, (FIREHOSE,)), given.posts)
    say(f"{len(posts):,} posts are scored by {scorer.name}")
    found = ranked(posts, scorer.score(posts["text"].combine_chunks()))
    name = " ".join(filter(None, (scorer.name, given.version)))
    title = f"What each tenth is like: {name}"
    publish("\n".join(markdown(found)), given.page, name=f"score_deciles {name}", title=title)
    if given.read:
        pa_csv.write_csv(of_each_tenth(found, given.each), given.read)


if __name__ == "__main__":
    main()
