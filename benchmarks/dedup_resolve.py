"""Resolves posts as phase dedup does, by its kernels in one thread: keys, edges, components, leaders.

Shape suffixes: N posts, F posts that are the first of their text, C posts in components, K bands.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.command import Steps
from sluice.filters.dedup.clusters import Clusters, cluster
from sluice.filters.dedup.components import Components, StarEdges
from sluice.filters.dedup.exact_hash import content_hash
from sluice.filters.dedup.minhash import MinHashSpec, text_band_keys
from sluice.schemas.arrays import Array


class Resolved(NamedTuple):
    """What Sluice's kernels say of N posts, in their order.

    Attributes:
        leader_N: int64, the kept post that each is a duplicate of; a kept one names itself.
        reason_N: uint8, a code of `sluice.filters.dedup.clusters`.
        similarity_N: float32.
        found: of the posts in components.
    """

    leader_N: Array
    reason_N: Array
    similarity_N: Array
    found: Clusters


class Ids(NamedTuple):
    """The ids of posts.

    Attributes:
        hash_N: uint64.
        codes: (C,) rows -> (C,) int64, the same number for the same id.
    """

    hash_N: Array
    codes: Callable[[Array], Array]


def resolve(
    texts: pa.StringArray,
    spec: MinHashSpec,
    *,
    threshold: float,
    max_checks: int = 64,
    content_N: Array | None = None,
    ids: Ids | None = None,
    rank: Callable[[Array], Array] = np.zeros_like,
    steps: Steps | None = None,
) -> Resolved:
    """Resolves posts.

    Args:
        texts: (N,) string; none is empty.
        spec: bands and rows.
        threshold: the least Jaccard index of a near duplicate.
        max_checks: as `dedup.max_checks`.
        content_N: uint64, the hashes of the texts if they are there.
        ids: if posts may be redelivered.
        rank: (C,) rows -> (C,), low for the post to keep; the first of equals is kept.
        steps: get the CPU time.
    """
    steps = steps or Steps()
    row_N = np.arange(len(texts), dtype=np.uint32)
    content_N = content_hash(texts) if content_N is None else content_N
    with steps("edges"):
        first_E, again_E = edges_of(content_N, row_N)
        speaker_N = row_N.copy()
        speaker_N[again_E] = first_E
        first_F = np.flatnonzero(speaker_N == row_N).astype(np.uint32)
    with steps("band_keys"):
        key_FK = text_band_keys(texts.take(pa.array(first_F)), spec)
    with steps("edges"):
        edges = [(first_E, again_E), *([edges_of(ids.hash_N, row_N)] if ids else [])]
        edges += [edges_of(np.ascontiguousarray(key_F), first_F) for key_F in key_FK.T]
    with steps("components"):
        components = Components(len(row_N))
        for left_E, right_E in edges:
            components.add(left_E, right_E)
        label_N, shared_N = components.labels()
        post_C = np.flatnonzero(shared_N)
        post_C = post_C[np.lexsort((post_C, rank(post_C), label_N[post_C]))]
    with steps("cluster"):
        place_N = np.cumsum(speaker_N == row_N) - 1
        found = cluster(
            texts.take(pa.array(post_C)),
            post_code_N=ids.codes(post_C) if ids else np.arange(len(post_C)),
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
    return Resolved(leader_N, reason_N, similarity_N, found)


def edges_of(key_N: Array, row_N: Array) -> tuple[Array, Array]:
    """Returns the edges from the first row of each key to the others."""
    return StarEdges(expected_keys=len(key_N)).add(key_N, row_N)
