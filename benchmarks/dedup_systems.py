"""Duplicates as Sluice, datasketch and datatrove find them, in one process of ours each.

All are given the same deduplication texts in the same order, `bands` x `rows` permutations, and
shingles of five; datatrove runs in a venv of its own (`peer_datatrove.py`).

Shape suffixes: N posts, T distinct texts, M pairs, K bands.
"""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import datasketch
import numpy as np
import pyarrow as pa

from benchmarks.command import timed
from benchmarks.dedup_resolve import resolve
from benchmarks.dedup_truth import NGRAM, Pairs, shingles
from benchmarks.peer import run_datatrove
from sluice.filters.dedup.minhash import MinHashSpec, text_band_keys
from sluice.schemas.arrays import Array


class Found(NamedTuple):
    """What a system did.

    Attributes:
        name: with its version.
        removed_N: bool, the posts that it would not let through.
        met_M: bool, the true pairs that it compared or held to be duplicates.
        usec: CPU microseconds per post, from texts to the decision.
        unsigned: posts that it makes no signature of, and so never a duplicate.
    """

    name: str
    removed_N: Array
    met_M: Array
    usec: float
    unsigned: int = 0


class Corpus(NamedTuple):
    """Posts and the truth about them.

    Attributes:
        texts: (N,) string, one or more code points each, the most preferred first.
        distinct: (T,) string, in the order in which they come.
        text_N: the number of each post's text.
        pairs: all pairs of distinct texts with a Jaccard index of 0.5 or more.
    """

    texts: pa.StringArray
    distinct: pa.StringArray
    text_N: Array
    pairs: Pairs

    @property
    def first_T(self) -> Array:
        """The first post of each text."""
        return np.unique(self.text_N, return_index=True)[1]


def candidate_pairs(key_TK: Array) -> tuple[Array, Array]:
    """Returns the distinct pairs (left < right) of rows that share a key."""
    codes = [np.empty(0, np.int64)]
    for key_T in key_TK.T:
        order_T = np.argsort(key_T, kind="stable")
        ends = np.flatnonzero(np.diff(key_T[order_T])) + 1
        for bucket in np.split(order_T, ends):
            if len(bucket) > 1:
                i, j = np.triu_indices(len(bucket), 1)
                codes.append(bucket[i] * len(key_TK) + bucket[j])
    left_M, right_M = np.divmod(np.unique(np.concatenate(codes)), len(key_TK))
    return left_M, right_M


def by_sluice(corpus: Corpus, spec: MinHashSpec, *, threshold: float) -> Found:
    """Runs Sluice's kernels; the CPU time is the least of three runs."""
    run = partial(resolve, corpus.texts, spec, threshold=threshold)
    resolved, seconds = min((timed(run) for _ in range(3)), key=itemgetter(1))
    key_TK = text_band_keys(corpus.distinct, spec)
    met_M = (key_TK[corpus.pairs.left_M] == key_TK[corpus.pairs.right_M]).any(axis=1)
    usec = seconds / len(corpus.texts) * 1e6
    return Found("Sluice", resolved.reason_N != 0, met_M, usec)


def sketches_of(texts: Sequence[str], spec: MinHashSpec) -> Iterator[datasketch.MinHash]:
    """Yields datasketch's MinHash of each text, with the hash that it ships and by its fastest way."""
    sets = ([s.encode() for s in shingles(text)] for text in texts)
    yield from datasketch.MinHash.generator(sets, num_perm=spec.num_permutations, seed=spec.seed)


def by_datasketch(corpus: Corpus, spec: MinHashSpec, *, threshold: float | None) -> Found:
    """Asks a MinHashLSH for each post, and enters those that stay.

    Args:
        corpus: the posts.
        spec: bands and rows.
        threshold: of the index that signatures estimate; None if a shared band is enough.
    """
    run = partial(_asked_first, corpus.texts.to_pylist(), spec, threshold)
    removed_N, seconds = timed(run)
    usec = seconds / len(removed_N) * 1e6
    name = f"datasketch {datasketch.__version__}, "
    name += "any match" if threshold is None else f"estimate at least {threshold}"
    return Found(name, removed_N, met_by_datasketch(corpus, spec, threshold=threshold), usec)


def _asked_first(texts: Sequence[str], spec: MinHashSpec, threshold: float | None) -> Array:
    index = _index(spec)
    sketches: dict[int, datasketch.MinHash] = {}
    removed_N = np.zeros(len(texts), np.bool_)
    for row, made in enumerate(sketches_of(texts, spec)):
        matches = index.query(made)
        if threshold is not None:
            matches = [k for k in matches if sketches[k].jaccard(made) >= threshold]
            sketches[row] = made
        removed_N[row] = bool(matches)
        if not matches:
            index.insert(row, made)
    return removed_N


def _index(spec: MinHashSpec) -> datasketch.MinHashLSH:
    return datasketch.MinHashLSH(num_perm=spec.num_permutations, params=(spec.bands, spec.rows))


def met_by_datasketch(corpus: Corpus, spec: MinHashSpec, *, threshold: float | None) -> Array:
    """Returns (M,) bool, the true pairs that an index of all distinct texts answers with."""
    sketches = list(sketches_of(corpus.distinct.to_pylist(), spec))
    index = _index(spec)
    codes: list[int] = []
    for row, made in enumerate(sketches):
        codes += [k * len(sketches) + row for k in index.query(made)]
        index.insert(row, made)
    pairs = corpus.pairs
    met_M = np.isin(pairs.left_M * len(sketches) + pairs.right_M, np.array(codes, np.int64))
    if threshold is not None:
        for m in np.flatnonzero(met_M):
            left, right = sketches[pairs.left_M[m]], sketches[pairs.right_M[m]]
            met_M[m] = left.jaccard(right) >= threshold
    return met_M


def by_datatrove(corpus: Corpus, spec: MinHashSpec, *, code_points: bool, work: Path) -> Found:
    """Runs datatrove's four stages in its venv.

    Args:
        corpus: the posts.
        spec: bands and rows.
        code_points: shingles of five code points of the text as it is, instead of its own of five
            words of a text that it simplifies.
        work: a missing folder for its files.
    """
    posts = work / "posts" / "posts.jsonl"
    posts.parent.mkdir(parents=True)
    with posts.open("w", encoding="utf-8") as lines:
        for row, text in enumerate(corpus.texts.to_pylist()):
            lines.write(json.dumps({"id": str(row), "text": text}) + "\n")
    num_posts, kind = len(corpus.texts), "code-points" if code_points else "words"
    sizes = {"bands": spec.bands, "rows": spec.rows, "ngram": NGRAM}
    run = run_datatrove(work, posts=num_posts, shingles=kind, **sizes)
    removed_N = np.zeros(num_posts, np.bool_)
    removed_N[np.fromfile(work / "remove" / "000000.remove", "<u4")] = True
    name = f"datatrove {run.datatrove}, shingles of 5 {kind.replace('-', ' ')}"
    usec = run.cpu_seconds / num_posts * 1e6
    met_M = _met_by_datatrove(corpus, spec, work / "signatures")
    return Found(name, removed_N, met_M, usec, num_posts - run.signed)


def _met_by_datatrove(corpus: Corpus, spec: MinHashSpec, folder: Path) -> Array:
    """Returns (M,) bool, the true pairs that have equal signatures in a bucket."""
    kind = np.dtype([("signature", f"V{8 * spec.rows}"), ("post", "<u4")])
    left_M, right_M = (corpus.first_T[side] for side in corpus.pairs[:2])
    met_M = np.zeros(len(left_M), np.bool_)
    for path in sorted(folder.glob("bucket_*/*.sig")):
        signed = np.fromfile(path, kind)
        code_N = -1 - np.arange(len(corpus.texts))
        code_N[signed["post"]] = np.unique(signed["signature"], return_inverse=True)[1]
        met_M |= code_N[left_M] == code_N[right_M]
    return met_M
