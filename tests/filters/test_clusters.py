"""Leader clustering against a plain-Python reading of its rules."""

import random
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters import clusters
from filters.clusters import (
    EXACT_CODE,
    KEPT_CODE,
    NEAR_CODE,
    REDELIVERED_CODE,
    Clusters,
    cluster,
    pair_jaccard,
)
from filters.exact_hash import content_hash
from filters.minhash import MinHashSpec, text_band_keys

SPEC = MinHashSpec(bands=6, rows=2, ngram=2)
"""Few rows a band, so that texts that are not alike meet as well."""


def jaccard(a: str, b: str, ngram: int) -> float:
    """The definition, on sets of strings."""
    set_a, set_b = (
        {t[i : i + ngram] for i in range(max(1, len(t) - ngram + 1))} if t else set()
        for t in (a, b)
    )
    return len(set_a & set_b) / len(set_a | set_b) if set_a | set_b else 1.0


def run(
    texts: Sequence[str],
    ids: Sequence[int] | None = None,
    *,
    threshold: float = 0.6,
    max_checks: int = 64,
    spec: MinHashSpec = SPEC,
    before: int = 0,
    collide: bool = False,
) -> Clusters:
    array = pa.array(["before"] * before + list(texts), pa.string()).slice(before)
    return cluster(
        array,
        id_code_N=np.array(range(len(texts)) if ids is None else ids, np.int64),
        content_hash_N=np.zeros(len(texts), np.uint64) if collide else content_hash(array),
        band_keys_NK=text_band_keys(array, spec),
        threshold=threshold,
        ngram=spec.ngram,
        max_checks=max_checks,
    )


def rows_of(found: Clusters) -> list[tuple[int, int, float]]:
    """(reason, leader, similarity) of every row."""
    return list(
        zip(
            found.reason_N.tolist(), found.leader_N.tolist(), found.similarity_N.tolist(),
            strict=True,
        )
    )  # fmt: skip


def reference(
    texts: Sequence[str],
    ids: Sequence[int],
    *,
    threshold: float,
    max_checks: int,
    spec: MinHashSpec,
) -> tuple[list[tuple[int, int, float]], int]:
    """The rules of `filters.clusters`, one row at a time."""
    keys = text_band_keys(pa.array(texts, pa.string()), spec).tolist()
    out: list[tuple[int, int, float]] = []
    speakers: dict[int, int] = {}
    seen: dict[str, int] = {}
    leaders: list[int] = []
    unverified = 0
    for i, (text, post) in enumerate(zip(texts, ids, strict=True)):
        if post in speakers:
            leader = out[speakers[post]][1]
            similarity = float(np.float32(jaccard(text, texts[leader], spec.ngram)))
            out.append((REDELIVERED_CODE, leader, similarity))
            continue
        speakers[post] = i
        if text and text in seen:
            reason, leader, similarity = out[seen[text]]
            out.append((EXACT_CODE if reason == KEPT_CODE else NEAR_CODE, leader, similarity))
            continue
        seen[text] = i
        met = [
            j
            for j in leaders
            if text and any(a == b for a, b in zip(keys[i], keys[j], strict=True))
        ]
        for j in met[:max_checks]:
            similarity = float(np.float32(jaccard(text, texts[j], spec.ngram)))
            if similarity >= float(np.float32(threshold)):
                out.append((NEAR_CODE, j, similarity))
                break
        else:
            unverified += len(met) > max_checks
            leaders.append(i)
            out.append((KEPT_CODE, i, 1.0))
    return out, unverified


WORDS = ["", "rain ", "rain", "sun ", "sun", "in may ", "日本", "🙂", "x", "oh ", "-"]
POSTS = st.lists(
    st.tuples(st.lists(st.sampled_from(WORDS), max_size=6).map("".join), st.integers(0, 12)),
    max_size=24,
)
SETTINGS = {
    "threshold": st.sampled_from([0.2, 0.5, 0.6, 2 / 3, 0.75, 0.8, 1.0]),
    "max_checks": st.integers(1, 6),
    "spec": st.builds(
        MinHashSpec, bands=st.integers(1, 6), rows=st.integers(1, 3), ngram=st.integers(1, 5)
    ),
}


@given(posts=POSTS, before=st.integers(0, 2), **SETTINGS)
def test_clusters_follow_the_rules(
    posts: list[tuple[str, int]],
    before: int,
    threshold: float,
    max_checks: int,
    spec: MinHashSpec,
) -> None:
    """Leaders, reasons, similarities and the unverified are those of the row-by-row reference."""
    texts, ids = [t for t, _ in posts], [i for _, i in posts]
    settings: dict[str, Any] = {"threshold": threshold, "max_checks": max_checks, "spec": spec}
    found = run(texts, ids, before=before, **settings)
    assert (rows_of(found), found.num_unverified) == reference(texts, ids, **settings)


@given(posts=POSTS, threshold=SETTINGS["threshold"])
def test_what_holds_of_every_clustering(posts: list[tuple[str, int]], threshold: float) -> None:
    """A leader is a kept row before its followers; near rows reach the threshold, exact ones 1."""
    texts, ids = [t for t, _ in posts], [i for _, i in posts]
    found = run(texts, ids, threshold=threshold)
    for i, (reason, leader, similarity) in enumerate(rows_of(found)):
        assert found.reason_N[leader] == KEPT_CODE
        assert (leader == i) if reason == KEPT_CODE else (leader < i)
        assert similarity == pytest.approx(jaccard(texts[i], texts[leader], SPEC.ngram), abs=1e-7)
        if reason == EXACT_CODE:
            assert texts[i] == texts[leader] != ""
        if reason == NEAR_CODE:
            assert similarity >= np.float32(threshold)
    kept = [i for i, (reason, *_) in enumerate(rows_of(found)) if reason == KEPT_CODE]
    assert len({ids[i] for i in kept}) == len(kept)
    assert found.num_checks <= len(posts) * 64


@given(posts=POSTS)
def test_equal_hashes_of_different_texts_do_no_harm(posts: list[tuple[str, int]]) -> None:
    """Texts are compared byte for byte: with one hash for all, the result is the same."""
    texts, ids = [t for t, _ in posts], [i for _, i in posts]
    assert rows_of(run(texts, ids, collide=True)) == rows_of(run(texts, ids))


@given(posts=POSTS, rows=st.integers(1, 5))
def test_blocks_do_not_matter(posts: list[tuple[str, int]], rows: int) -> None:
    """However many rows a block has, the result is the same."""
    texts, ids = [t for t, _ in posts], [i for _, i in posts]
    whole = run(texts, ids)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "_BLOCK_ROWS", rows)
        assert rows_of(run(texts, ids)) == rows_of(whole)


@given(posts=POSTS, mix=st.randoms(use_true_random=False))
def test_unrelated_components_do_not_touch(
    posts: list[tuple[str, int]], mix: random.Random
) -> None:
    """Rows that share nothing with others fare as if alone, however the two are interleaved."""
    shadow = [("".join(chr(0x10000 + ord(c)) for c in t), 100 + i) for t, i in posts]
    places = sorted(mix.sample(range(2 * len(posts)), len(posts)))
    both = dict(zip(places, posts, strict=True))
    rest = iter(shadow)
    merged = [both.get(i) or next(rest) for i in range(2 * len(posts))]
    found = rows_of(run([t for t, _ in merged], [i for _, i in merged]))
    alone = rows_of(run([t for t, _ in posts], [i for _, i in posts]))
    assert [found[p] for p in places] == [(r, places[leader], s) for r, leader, s in alone]


def test_each_reason() -> None:
    """A redelivery, a copy and a near copy of one post all name the post itself."""
    found = run(["good morning", "good morning", "good morning", "good morning!"], [1, 1, 2, 3])
    assert found.reason_N.tolist() == [KEPT_CODE, REDELIVERED_CODE, EXACT_CODE, NEAR_CODE]
    assert found.leader_N.tolist() == [0, 0, 0, 0]
    assert found.similarity_N.tolist() == [1, 1, 1, pytest.approx(11 / 12)]


def test_there_are_no_chains() -> None:
    """A ~ B ~ C where A and C differ: B goes for A, and C stays, for nothing like it was kept."""
    texts = ["abcdefgh", "abcdefghijk", "defghijk"]
    assert run(texts).leader_N.tolist() == [0, 0, 2]


def test_a_copy_of_a_dropped_post_names_who_was_kept() -> None:
    """The copy of a near duplicate is a near duplicate of the same leader, equally similar."""
    found = run(["good morning", "good morning!", "good morning!"])
    assert found.reason_N.tolist() == [KEPT_CODE, NEAR_CODE, NEAR_CODE]
    assert found.leader_N.tolist() == [0, 0, 0]
    assert found.similarity_N.tolist() == [1, pytest.approx(11 / 12), pytest.approx(11 / 12)]


def test_a_redelivery_of_a_dropped_post_names_who_was_kept() -> None:
    """A redelivered row follows its post, with the similarity of its own, edited text."""
    found = run(["good morning", "good morning!", "good evening"], [1, 2, 2])
    expected = jaccard("good evening", "good morning", 2)
    assert found.reason_N.tolist() == [KEPT_CODE, NEAR_CODE, REDELIVERED_CODE]
    assert found.leader_N.tolist() == [0, 0, 0]
    assert found.similarity_N[2] == pytest.approx(expected)


def test_a_redelivery_stands_for_nobody() -> None:
    """A post equal to another's edited redelivery alone is kept."""
    found = run(["good morning", "sunset over the bay", "sunset over the bay"], [1, 1, 2])
    assert found.reason_N.tolist() == [KEPT_CODE, REDELIVERED_CODE, KEPT_CODE]
    assert found.similarity_N.tolist() == [1, 0, 1]


def test_empty_texts_are_no_duplicates() -> None:
    """Posts without text all stay; only a redelivery of one goes."""
    found = run(["", "", "", "a"], [1, 2, 1, 3])
    assert found.reason_N.tolist() == [KEPT_CODE, KEPT_CODE, REDELIVERED_CODE, KEPT_CODE]
    assert found.similarity_N[2] == 1


def test_the_most_preferred_leader_wins() -> None:
    """Of two kept posts that are similar enough, the first leads, though the second is closer."""
    stem = "the quick fox jumps"
    texts = [stem + " 0123456", "987 " + stem, stem]
    similar = {(i, j): jaccard(texts[i], texts[j], 2) for i, j in ((0, 1), (0, 2), (1, 2))}
    assert similar[0, 1] < 0.65 < similar[0, 2] < similar[1, 2]
    spec = MinHashSpec(bands=60, rows=1, ngram=2)
    assert run(texts, threshold=0.65, spec=spec).leader_N.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("left", "right", "index"),
    [("abcde", "abcdeXY", 2 / 3), ("abcde", "abcdeX", 0.8), ("ababab", "abab", 1.0)],
)
def test_the_threshold_is_inclusive(left: str, right: str, index: float) -> None:
    """A post whose index is the threshold itself is near, and not if the threshold is more."""
    spec = MinHashSpec(bands=60, rows=1, ngram=2)
    assert jaccard(left, right, 2) == pytest.approx(index)
    assert run([left, right], threshold=index, spec=spec).leader_N.tolist() == [0, 0]
    assert run([left, right], threshold=index + 1e-6, spec=spec).leader_N.tolist() == [0, 1]


def test_checks_run_out() -> None:
    """A row whose checks run out is kept and counted as unverified."""
    texts = ["aaaa1111", "aaaa2222", "aaaa3333", "aaaa3333x"]
    spec = MinHashSpec(bands=60, rows=1, ngram=2)
    assert run(texts, threshold=0.7, spec=spec).leader_N.tolist() == [0, 1, 2, 2]
    found = run(texts, threshold=0.7, spec=spec, max_checks=2)
    assert found.leader_N.tolist() == [0, 1, 2, 3]
    assert (found.num_unverified, found.num_checks) == (1, 0 + 1 + 2 + 2)


def test_a_huge_bucket_costs_what_its_rows_cost() -> None:
    """50,000 posts of one template, none near another: at most max_checks comparisons a row."""
    rng = np.random.default_rng(5)
    tails = rng.integers(0x4E00, 0x9FA6, (50_000, 6))
    texts = ["special offer only today " + "".join(map(chr, tail)) for tail in tails.tolist()]
    start = time.process_time()
    found = run(texts, threshold=0.9, max_checks=8, spec=MinHashSpec())
    assert time.process_time() - start < 10
    assert (found.reason_N == KEPT_CODE).all()
    assert found.num_checks <= 8 * len(texts)
    assert found.num_unverified > 0.9 * len(texts)


def test_nothing_in_gives_nothing_out() -> None:
    """A partition without rows is settled too."""
    found = run([])
    assert (len(found.leader_N), found.num_unverified, found.num_checks) == (0, 0, 0)


@given(
    st.lists(st.text("abc日", max_size=12), min_size=1, max_size=12),
    st.data(),
    st.integers(1, 6),
)
def test_pair_jaccard_is_that_of_python_sets(
    texts: list[str], data: st.DataObject, ngram: int
) -> None:
    """The index of every pair is the exact one of the two sets of n-grams."""
    place = st.integers(0, len(texts) - 1)
    pairs = data.draw(st.lists(st.tuples(place, place), max_size=20))
    left_M, right_M = np.array(pairs, np.int64).reshape(-1, 2).T
    array = pa.array(["before", *texts]).slice(1)
    got_M = pair_jaccard(array, left_M, right_M, ngram=ngram)
    expected = [np.float32(jaccard(texts[i], texts[j], ngram)) for i, j in pairs]
    assert got_M.tolist() == expected
    assert all(got == 1 for got, (i, j) in zip(got_M, pairs, strict=True) if texts[i] == texts[j])
