"""Duplicates as Sluice, datasketch and datatrove find them, in one process of ours each.

All are given the same deduplication texts in the same order, `bands` x `rows` permutations, and
shingles of five; datatrove runs in a venv of its own (`dedup_datatrove.py`).

Shape suffixes: N posts, T distinct texts, M pairs, K bands.
"""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import datasketch
import msgspec
import numpy as np
import pyarrow as pa

from benchmarks.command import timed
from benchmarks.dedup_truth import NGRAM, Pairs, shingles
from benchmarks.peer import make_venv
from benchmarks.process import ROOT, run_measured
from sluice.filters.dedup.clusters import Clusters, cluster
from sluice.filters.dedup.components import Components, StarEdges
from sluice.filters.dedup.exact_hash import content_hash
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


class Resolved(NamedTuple):
    """What Sluice's kernels say of N posts, in their order.

    Attributes:
        leader_N: int64, the kept post that each is a duplicate of; a kept one names itself.
        reason_N: uint8, a code of `sluice.filters.dedup.clusters`.
        similarity_N: float32.
        in_components: posts that share a key with another.
        found: of the posts in components.
    """

    leader_N: Array
    reason_N: Array
    similarity_N: Array
    in_components: int
    found: Clusters


def resolve(
    texts: pa.StringArray, spec: MinHashSpec, *, threshold: float, max_checks: int = 64
) -> Resolved:
    """Resolves posts as phase dedup does: keys, edges, components, then verified leaders.

    Args:
        texts: (N,) string, the most preferred first; none is empty.
        spec: bands and rows.
        threshold: the least Jaccard index of a near duplicate.
        max_checks: as `dedup.max_checks`.
    """
    row_N = np.arange(len(texts), dtype=np.uint32)
    content_N = content_hash(texts)
    first_E, again_E = StarEdges(expected_keys=len(row_N)).add(content_N, row_N)
    speaker_N = row_N.copy()
    speaker_N[again_E] = first_E
    first_F = np.flatnonzero(speaker_N == row_N).astype(np.uint32)
    key_FK = text_band_keys(texts.take(pa.array(first_F)), spec)
    components = Components(len(row_N))
    components.add(first_E, again_E)
    for key_F in key_FK.T:
        edges = StarEdges(expected_keys=len(key_F))
        components.add(*edges.add(np.ascontiguousarray(key_F), first_F))
    label_N, shared_N = components.labels()
    post_C = np.flatnonzero(shared_N)
    post_C = post_C[np.lexsort((post_C, label_N[post_C]))]
    place_N = np.cumsum(speaker_N == row_N) - 1
    found = cluster(
        texts.take(pa.array(post_C)),
        id_code_N=np.arange(len(post_C)),
        content_hash_N=content_N[post_C],
        band_keys_NK=key_FK[place_N[speaker_N[post_C]]],
        threshold=threshold,
        ngram=spec.ngram,
        max_checks=max_checks,
    )
    leader_N, reason_N = row_N.astype(np.int64), np.zeros(len(row_N), np.uint8)
    similarity_N = np.ones(len(row_N), np.float32)
    leader_N[post_C], reason_N[post_C] = post_C[found.leader_N], found.reason_N
    similarity_N[post_C] = found.similarity_N
    return Resolved(leader_N, reason_N, similarity_N, len(post_C), found)


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


class DatatroveRun(msgspec.Struct, frozen=True):
    """What `dedup_datatrove.py` writes.

    Attributes:
        steps: CPU seconds of each stage, imports left out.
        unsigned: posts shorter than a shingle.
    """

    datatrove: str
    steps: dict[str, float]
    unsigned: int


def by_datatrove(corpus: Corpus, spec: MinHashSpec, *, code_points: bool, work: Path) -> Found:
    """Runs datatrove's four stages in its venv.

    Args:
        corpus: the posts.
        spec: bands and rows.
        code_points: shingles of five code points of the text as it is, instead of its own of five
            words of a text that it simplifies.
        work: a missing folder for its files.
    """
    work.mkdir(parents=True)
    with (work / "posts.jsonl").open("w", encoding="utf-8") as lines:
        for row, text in enumerate(corpus.texts.to_pylist()):
            lines.write(json.dumps({"id": str(row), "text": text}) + "\n")
    command = [str(make_venv()), str(ROOT / "benchmarks" / "dedup_datatrove.py"), f"--work={work}"]
    command += [f"--bands={spec.bands}", f"--rows={spec.rows}", f"--ngram={NGRAM}"]
    run_measured(command + ["--code-points"] * code_points, log=work / "log.txt")
    run = msgspec.json.decode((work / "run.json").read_bytes(), type=DatatroveRun)
    removed_N = np.zeros(len(corpus.texts), np.bool_)
    removed_N[np.fromfile(work / "remove" / "000000.remove", "<u4")] = True
    what = "5 code points" if code_points else "5 words"
    name = f"datatrove {run.datatrove}, shingles of {what}"
    usec = sum(run.steps.values()) / len(removed_N) * 1e6
    met_M = _met_by_datatrove(corpus, spec, work / "signatures")
    return Found(name, removed_N, met_M, usec, run.unsigned)


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
