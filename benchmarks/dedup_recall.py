"""How well duplicates are found on real posts: recall and precision against brute force, and peers.

    SLUICE_DATA=FOLDER python -m benchmarks.dedup_recall [--posts 60000] [--all]
        [--results benchmarks/DEDUP.md]

The truth is every pair of distinct texts that shares a shingle (`dedup_truth.py`). Beside Sluice's
kernels stand datasketch's MinHashLSH and datatrove's MinHash (`dedup_systems.py`). Then what becomes
of short posts (`dedup_short.py`) and of templates (`dedup_templates.py`). With --all the truth and
Sluice on every post too: two cores take three minutes more, and 2 GB of memory.
"""

import argparse
import os
import shlex
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from benchmarks import dedup_short, dedup_templates
from benchmarks.command import add_data, add_page, parser_of, say, timed
from benchmarks.dedup_resolve import resolve
from benchmarks.dedup_systems import (
    Corpus,
    Found,
    by_datasketch,
    by_datatrove,
    by_sluice,
    candidate_pairs,
)
from benchmarks.dedup_truth import FLOOR, Posts, distinct, draw, judge, read_posts, true_pairs
from benchmarks.page import publish, share, table
from benchmarks.process import this_machine
from sluice.filters.dedup.minhash import MinHashSpec, text_band_keys
from sluice.schemas.arrays import Array

BANDS_AND_ROWS = ((20, 5), (18, 6), (14, 8))
INTERVALS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
THRESHOLD = 0.8
SAMPLE_POSTS = 20_000


def corpus_of(posts: Posts) -> Corpus:
    """Returns the posts with the truth about them."""
    texts, text_N = distinct(posts.text)
    corpus = Corpus(posts.text, texts, text_N, true_pairs(texts.to_pylist()))
    say(f"truth of {len(text_N):,} posts")
    return corpus


def described(posts: Posts, corpus: Corpus) -> list[str]:
    """Returns what the posts are, in words."""
    names = dedup_short.SCRIPTS
    script_N = dedup_short.scripts_of(posts.text.to_pylist())
    scripts = zip(names, np.bincount(script_N, minlength=len(names)).tolist(), strict=True)
    sources = Counter(posts.source.to_pylist()).most_common()
    by_source, by_script = (", ".join(f"{k} {n:,}" for k, n in of) for of in (sources, scripts))
    pairs = corpus.pairs
    return [
        f"{len(corpus.texts):,} posts with a text to compare, {len(corpus.distinct):,} distinct "
        f"texts. By source: {by_source}. By the script of most letters: {by_script}.",
        "",
        f"{int(pairs.sharing_10.sum()):,} pairs of distinct texts share a shingle; "
        f"{len(pairs.left_M):,} of them have a Jaccard index of {FLOOR} or more, "
        f"{len(pairs.at_least(THRESHOLD).left_M):,} of {THRESHOLD} or more.",
    ]


def recalls(met_M: Array, corpus: Corpus) -> list[str]:
    """Returns the recall of pairs in each interval, and at the threshold or above."""
    return [share(int((met_M & in_M).sum()), int(in_M.sum())) for in_M in intervals(corpus)]


def intervals(corpus: Corpus) -> list[Array]:
    """Returns (M,) bool, for each column of `recalls` the pairs that it counts."""
    jaccard_M = corpus.pairs.jaccard_M
    bounds = [*pairwise((*INTERVALS[:-1], 1.1)), (THRESHOLD, 1.1)]
    return [(jaccard_M >= low) & (jaccard_M < high) for low, high in bounds]


INTERVAL_NAMES = (*(f"{a}-{b}" for a, b in pairwise(INTERVALS)), f"{THRESHOLD} or more")
"""The columns of `recalls`."""


def pair_table(found: Sequence[Found], corpus: Corpus) -> list[str]:
    """Returns the table of the recall of pairs."""
    numbers = [int(in_M.sum()) for in_M in intervals(corpus)]
    rows = [("true pairs", *numbers), *((f.name, *recalls(f.met_M, corpus)) for f in found)]
    return table(("recall of pairs", *INTERVAL_NAMES), rows)


def removal_table(found: Sequence[Found], corpus: Corpus) -> list[str]:
    """Returns the table of what was removed, judged by the truth."""
    near, rows = corpus.pairs.at_least(THRESHOLD), []
    for f in found:
        j = judge(f.removed_N, corpus.text_N, near)
        precision = share(j.removed - j.wrong, j.removed)
        recall = share(j.due - j.left, j.due)
        counts = (j.removed, j.wrong, precision, recall, j.left, j.with_partner)
        rows.append((f.name, *counts, f"{f.usec:.1f}"))
    head = ("removed", "wrongly", "precision", "recall", "left over", "kept with a kept partner")
    return table(("", *head, "CPU us per post"), rows)


def band_table(corpus: Corpus) -> list[str]:
    """Returns the table of other bands and rows."""
    rows = []
    near = corpus.pairs.at_least(THRESHOLD)
    for bands, rows_of_band in BANDS_AND_ROWS:
        spec = MinHashSpec(bands=bands, rows=rows_of_band)
        found = by_sluice(corpus, spec, threshold=THRESHOLD)
        resolved = resolve(corpus.texts, spec, threshold=THRESHOLD)
        judged = judge(found.removed_N, corpus.text_N, near)
        candidates, alone = chained(corpus, spec)
        checks = f"{resolved.found.num_checks / len(corpus.texts):.2f}"
        recall = share(judged.due - judged.left, judged.due)
        precision = share(alone.removed - alone.wrong, alone.removed)
        costs = (candidates, checks, recall, precision, f"{found.usec:.2f}")
        rows.append((f"{bands} x {rows_of_band}", *recalls(found.met_M, corpus), *costs))
    head = ("bands x rows", *INTERVAL_NAMES, "candidate pairs", "checks a post")
    more = ("recall of removal", "precision if not verified", "CPU us per post")
    return table((*head, *more), rows)


def chained(corpus: Corpus, spec: MinHashSpec) -> tuple[int, Any]:
    """Returns how many pairs share a key, and what it would do to keep one text of a component."""
    left_M, right_M = candidate_pairs(text_band_keys(corpus.distinct, spec))
    shape = (len(corpus.distinct),) * 2
    graph = csr_array((np.ones(len(left_M), np.int8), (left_M, right_M)), shape=shape)
    _, label_T = connected_components(graph, directed=False)
    stays_N = np.zeros(len(corpus.texts), np.bool_)
    stays_N[np.unique(label_T[corpus.text_N], return_index=True)[1]] = True
    near = corpus.pairs.at_least(THRESHOLD)
    return len(left_M), judge(~stays_N, corpus.text_N, near)


def check_table(corpus: Corpus) -> list[str]:
    """Returns the table of what `dedup.max_checks` leaves out."""
    rows = []
    near = corpus.pairs.at_least(THRESHOLD)
    for most in (16, 64, 256, 1024):
        run = partial(resolve, corpus.texts, MinHashSpec(), threshold=THRESHOLD, max_checks=most)
        resolved, seconds = timed(run)
        usec = seconds / len(corpus.texts) * 1e6
        judged = judge(resolved.reason_N != 0, corpus.text_N, near)
        unverified = resolved.found.num_unverified
        rows.append((most, unverified, judged.left, judged.with_partner, f"{usec:.2f}"))
    head = ("max_checks", "kept with candidates left", "left over", "kept with a kept partner")
    return table((*head, "CPU us per post"), rows)


def systems(corpus: Corpus, *, work: Path) -> Iterator[Found]:
    """Yields what each system did."""
    spec = MinHashSpec()
    yield by_sluice(corpus, spec, threshold=THRESHOLD)
    for threshold in (None, THRESHOLD):
        yield by_datasketch(corpus, spec, threshold=threshold)
    for code_points in (True, False):
        folder = work / f"datatrove-{code_points}"
        yield by_datatrove(corpus, spec, code_points=code_points, work=folder)


def section(title: str, posts: Posts, work: Path | None) -> Iterator[str]:
    """Yields a section on the truth about posts, and what Sluice did; the peers too if they have a folder."""
    corpus = corpus_of(posts)
    ours = (by_sluice(corpus, MinHashSpec(), threshold=THRESHOLD),)
    found = list(systems(corpus, work=work) if work else ours)
    yield from (f"### {title}", "", *described(posts, corpus), "")
    yield from (*pair_table(found, corpus), "", *removal_table(found, corpus), "")
    unsigned = [f for f in found if f.unsigned]
    yield from (f"{f.name}: no signature of {f.unsigned:,} posts.  " for f in unsigned)
    yield from ([""] if unsigned else [])
    yield from settings(corpus)


def settings(corpus: Corpus) -> Iterator[str]:
    """Yields the tables of what other settings do."""
    yield from ("Other bands and rows:", "", *band_table(corpus), "")
    yield from ("Other bounds of checks, 20 x 5:", "", *check_table(corpus))


def short_posts(posts: Posts, everything: Posts) -> Iterator[str]:
    """Yields the sections on short posts and foldings; `everything` has the empty texts too."""
    resolved = resolve(posts.text, MinHashSpec(), threshold=THRESHOLD)
    texts = posts.text.to_pylist()
    near = dedup_short.near_duplicates(texts, resolved)
    yield from ("", "### Short posts", "")
    yield from ("Every post, a near duplicate at the shorter text's length:", "")
    yield from (*dedup_short.by_length(texts, resolved, near), "", "By script:", "")
    yield from (*dedup_short.by_script(texts, resolved, near), "")
    yield from ("If near duplicates had to have this many shingles at least, both of them:", "")
    yield from (*dedup_short.by_shingles(near), "")
    say("short posts")
    yield from ("### Foldings", "", "What the deduplication text folds:", "")
    yield from (*dedup_short.folded_now(everything), "", "What it does not:", "")
    yield from dedup_short.not_folded(posts.text, resolved)
    say("foldings")


def templates(posts: Posts, work: Path) -> Iterator[str]:
    """Yields the section on template spam."""
    texts, _ = distinct(posts.text)
    yield from ("", "### Templates", "", "Real posts as frames, pieces of others in the slots:", "")
    yield from (*dedup_templates.real_frames(texts.to_pylist()), "")
    yield from ("The frames of `sluice sample`, by the share of their slots:", "")
    yield from (*dedup_templates.sample_frames(), "")
    yield from (f"In a labelled sample of {SAMPLE_POSTS:,} posts, few of each frame:", "")
    yield from dedup_templates.labelled_sample(work / "sample", num_posts=SAMPLE_POSTS)
    yield from ("", "Every real post, and how near duplicates differ from the post that stays:", "")
    yield from dedup_templates.by_threshold(posts.text)
    say("templates")


def measure(arguments: argparse.Namespace, work: Path) -> str:
    """Returns all figures as Markdown."""
    everything = read_posts(arguments.data)
    some_N = np.asarray(pc.binary_length(everything.text)) > 0
    posts = everything.take(np.flatnonzero(some_N))
    drawn = draw(everything, arguments.posts)
    say(f"{len(posts.text):,} posts, {len(drawn.text):,} drawn")
    lines = [
        f"`{shlex.join(['python', '-m', 'benchmarks.dedup_recall', *sys.argv[1:]])}`, "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC.",
        f"{this_machine()}. Load average before: {os.getloadavg()[0]:.1f}.",
        "",
        f"Of {len(everything.text) + everything.repeated:,} rows {everything.repeated:,} repeat an "
        f"id and {int((~some_N).sum()):,} have nothing to compare: {len(posts.text):,} posts.",
        "",
        *section("Beside the peers", drawn, work),
    ]
    if arguments.all:
        lines += ["", *section("Every post", posts, None)]
    return "\n".join([*lines, *short_posts(posts, everything), *templates(posts, work)])


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command."""
    made = parser_of("dedup_recall", __doc__)
    add_data(made)
    made.add_argument("--posts", type=int, default=60_000, help="to draw; whole weeks, so more")
    made.add_argument("--all", action="store_true", help="the truth about every post too")
    add_page(made)
    return made


def main() -> None:
    """Measures, prints the figures, and writes them where they are wanted."""
    arguments = parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="sluice-dedup-") as folder:
        figures = measure(arguments, Path(folder))
    publish(figures, arguments.page, name="dedup_recall")


if __name__ == "__main__":
    main()
