"""How many near duplicates banded MinHash finds on real posts, what it costs, what it loses.

    SLUICE_DATA=FOLDER python benchmarks/dedup_recall.py --posts 60000

The truth is every pair of distinct texts with Jaccard index 0.5 or more, from sets of strings
without a hash. It is joined by prefix filter: texts of n shingles and index t or more share one of
the n - ceil(t n) + 1 rarest shingles of each (Chaudhuri, Ganti and Kaushik 2006, "A primitive
operator for similarity joins in data cleaning").

Prints, for each number of bands and rows: CPU time, recall of pairs by Jaccard interval, and, for
the thresholds 0.7 and 0.8, how many of the posts that leader clustering over the true pairs removes
are removed too, and what is removed without verification (all but one of each component).
"""

import argparse
import gzip
import html
import json
import os
import time
import unicodedata
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from filters.clusters import NEAR_CODE, cluster
from filters.exact_hash import content_hash
from filters.minhash import MinHashSpec, text_band_keys
from filters.text_views import dedup_text

BANDS_AND_ROWS = ((20, 5), (18, 6), (14, 8))
INTERVALS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
THRESHOLDS = (0.7, 0.8)
NGRAM = 5
CHUNK = 2000

Array = np.ndarray[Any, Any]


class Pairs(NamedTuple):
    """Pairs of rows, left < right, ascending, and their exact Jaccard index."""

    left_M: Array
    right_M: Array
    jaccard_M: Array


def read_texts(folder: Path, num_posts: int) -> pa.StringArray:
    """Returns the distinct deduplication texts, not empty, of the first posts of the firehose."""

    def raw() -> Iterator[str]:
        for path in sorted((folder / "firehose").glob("part-*.jsonl.gz")):
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                for line in lines:
                    text = html.unescape(json.loads(line)["text"])
                    yield unicodedata.normalize("NFC", text)

    texts = dedup_text(pa.array(islice(raw(), num_posts), pa.string()))
    return pa.array([t for t in texts.unique().to_pylist() if t], pa.string())


def shingle_matrix(texts: list[str]) -> csr_array:
    """Returns (N, V) int32, 1 where a text has a shingle; shingles are numbered rarest first."""
    numbers: dict[str, int] = {}
    rows = [
        sorted({numbers.setdefault(t[i : i + NGRAM], len(numbers)) for i in range(_count(t))})
        for t in texts
    ]
    starts_N1 = np.cumsum([0, *map(len, rows)])
    column_S = np.concatenate([np.array(row, np.int64) for row in rows])
    frequency_V = np.bincount(column_S)
    rank_V = np.empty(len(frequency_V), np.int64)
    rank_V[np.argsort(frequency_V, kind="stable")] = np.arange(len(frequency_V))
    matrix = csr_array(
        (np.ones(len(column_S), np.int32), rank_V[column_S], starts_N1),
        shape=(len(texts), len(frequency_V)),
    )
    matrix.sort_indices()
    return matrix


def _count(text: str) -> int:
    return max(1, len(text) - NGRAM + 1)


def true_pairs(matrix: csr_array, threshold: float) -> Pairs:
    """Returns every pair of rows whose Jaccard index is at least the threshold."""
    size_N = np.diff(matrix.indptr)
    prefix = _prefixes(matrix, size_N, threshold)
    transposed = prefix.T.tocsr()
    found = []
    for first in range(0, matrix.shape[0], CHUNK):
        met = (prefix[first : first + CHUNK] @ transposed).tocoo()
        left_M, right_M = met.row.astype(np.int64) + first, met.col.astype(np.int64)
        short_M = np.minimum(size_N[left_M], size_N[right_M])
        long_M = np.maximum(size_N[left_M], size_N[right_M])
        fits_M = (left_M < right_M) & (short_M >= threshold * long_M)
        found.append(_verify(matrix, size_N, left_M[fits_M], right_M[fits_M], threshold))
    left_M, right_M, jaccard_M = (np.concatenate(part) for part in zip(*found, strict=True))
    order_M = np.lexsort((right_M, left_M))
    return Pairs(left_M[order_M], right_M[order_M], jaccard_M[order_M])


def _prefixes(matrix: csr_array, size_N: Array, threshold: float) -> csr_array:
    """Returns the matrix with the rarest shingles of each row alone."""
    length_N = size_N - np.ceil(threshold * size_N).astype(np.int64) + 1
    place_S = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], size_N)
    keep_S = place_S < np.repeat(length_N, size_N)
    starts_N1 = np.concatenate(([0], np.cumsum(length_N)))
    return csr_array((matrix.data[keep_S], matrix.indices[keep_S], starts_N1), shape=matrix.shape)


def _verify(
    matrix: csr_array, size_N: Array, left_M: Array, right_M: Array, threshold: float
) -> Pairs:
    parts = [np.empty(0)]
    for i in range(0, len(left_M), 100_000):
        part = slice(i, i + 100_000)
        shared_M = matrix[left_M[part]].multiply(matrix[right_M[part]]).sum(axis=1)
        parts.append(shared_M / (size_N[left_M[part]] + size_N[right_M[part]] - shared_M))
    jaccard_M = np.concatenate(parts)
    keep_M = jaccard_M >= threshold
    return Pairs(left_M[keep_M], right_M[keep_M], jaccard_M[keep_M])


def removed_by_truth(pairs: Pairs, num_rows: int, threshold: float) -> Array:
    """Returns (N,) bool: what leader clustering in row order removes if no pair is missed."""
    removed_N = np.zeros(num_rows, np.bool_)
    near_M = pairs.jaccard_M >= threshold
    order_M = np.lexsort((pairs.left_M[near_M], pairs.right_M[near_M]))
    for left, right in zip(
        pairs.left_M[near_M][order_M].tolist(), pairs.right_M[near_M][order_M].tolist(), strict=True
    ):
        if not removed_N[left]:
            removed_N[right] = True
    return removed_N


def candidate_pairs(key_NK: Array) -> tuple[Array, Array]:
    """Returns the distinct pairs (left < right) of rows that share a key."""
    codes = []
    for key_N in key_NK.T:
        order_N = np.argsort(key_N, kind="stable")
        starts = np.flatnonzero(np.diff(key_N[order_N], prepend=key_N[order_N[0]] ^ np.uint64(1)))
        for bucket in np.split(order_N, starts[1:]):
            if len(bucket) > 1:
                i, j = np.triu_indices(len(bucket), 1)
                codes.append(bucket[i] * len(key_NK) + bucket[j])
    left_M, right_M = np.divmod(np.unique(np.concatenate(codes)), len(key_NK))
    return left_M, right_M


def removed_unverified(left_M: Array, right_M: Array, num_rows: int) -> int:
    """Returns how many rows go if all but one of each component of candidates go."""
    graph = csr_array((np.ones(len(left_M)), (left_M, right_M)), shape=(num_rows, num_rows))
    return num_rows - int(connected_components(graph, directed=False)[0])


def cpu_usec(texts: pa.StringArray, spec: MinHashSpec) -> float:
    """Returns the CPU time of `text_band_keys` in microseconds a post, the least of five runs."""
    seconds = []
    for _ in range(5):
        start = time.process_time()
        text_band_keys(texts, spec)
        seconds.append(time.process_time() - start)
    return min(seconds) / len(texts) * 1e6


def report(texts: pa.StringArray, pairs: Pairs, spec: MinHashSpec, max_checks: int) -> None:
    """Prints what one choice of bands and rows costs, finds and removes."""
    key_NK = text_band_keys(texts, spec)
    left_M, right_M = candidate_pairs(key_NK)
    met_M = (key_NK[pairs.left_M] == key_NK[pairs.right_M]).any(axis=1)
    print(f"\n{spec.bands} x {spec.rows}: {cpu_usec(texts, spec):.2f} us a post,", end=" ")
    print(f"{len(left_M):,} candidate pairs")
    for low, high in pairwise(INTERVALS):
        in_M = (pairs.jaccard_M >= low) & (pairs.jaccard_M < high + (high == 1.0))
        print(f"  recall of pairs {low:.1f}-{high:.1f}: {met_M[in_M].mean():.4f} of {in_M.sum():,}")
    in_components = len(np.unique((left_M, right_M)))
    unverified = removed_unverified(left_M, right_M, len(texts))
    print(f"  in components: {in_components:,} texts, {unverified:,} removed if all but one go")
    for threshold in THRESHOLDS:
        report_removed(texts, key_NK, pairs, threshold, max_checks)
        true_M = met_M & (pairs.jaccard_M >= threshold)
        print(f"    precision of candidate pairs: {true_M.sum() / len(left_M):.4f}")


def report_removed(
    texts: pa.StringArray, key_NK: Array, pairs: Pairs, threshold: float, max_checks: int
) -> None:
    """Prints what leader clustering removes, beside what it should."""
    start = time.process_time()
    found = cluster(
        texts,
        id_code_N=np.arange(len(texts)),
        content_hash_N=content_hash(texts),
        band_keys_NK=key_NK,
        threshold=threshold,
        ngram=NGRAM,
        max_checks=max_checks,
    )
    usec = (time.process_time() - start) / len(texts) * 1e6
    truth_N = removed_by_truth(pairs, len(texts), threshold)
    got_N = found.reason_N == NEAR_CODE
    index = dict(
        zip(
            zip(pairs.left_M.tolist(), pairs.right_M.tolist(), strict=True),
            pairs.jaccard_M.tolist(),
            strict=True,
        )
    )
    wrong = sum(
        index.get((leader, row), 0.0) < threshold
        for row, leader in zip(
            np.flatnonzero(got_N).tolist(), found.leader_N[got_N].tolist(), strict=True
        )
    )
    print(
        f"  threshold {threshold}: removed {got_N.sum():,}, by the truth {truth_N.sum():,};",
        end=" ",
    )
    print(f"missed {(truth_N & ~got_N).sum():,}, other {(got_N & ~truth_N).sum():,}, wrong {wrong}")
    print(f"    {found.num_checks / len(texts):.2f} checks and {usec:.1f} us a post,", end=" ")
    print(f"{found.num_unverified:,} rows unverified")


def main() -> None:
    """Reads posts, finds the truth and prints every choice beside it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--posts", type=int, default=20_000)
    parser.add_argument("--max-checks", type=int, default=64)
    arguments = parser.parse_args()
    texts = read_texts(Path(os.environ["SLUICE_DATA"]), arguments.posts)
    pairs = true_pairs(shingle_matrix(texts.to_pylist()), INTERVALS[0])
    print(f"{arguments.posts:,} posts, {len(texts):,} distinct texts,", end=" ")
    print(f"{len(pairs.left_M):,} pairs of Jaccard index {INTERVALS[0]} or more")
    for bands, rows in BANDS_AND_ROWS:
        spec = MinHashSpec(bands=bands, rows=rows, ngram=NGRAM)
        report(texts, pairs, spec, arguments.max_checks)


if __name__ == "__main__":
    main()
