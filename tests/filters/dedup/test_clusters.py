"""Leader clustering against a plain-Python reading of its rules."""

import random
import time
import tracemalloc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.filters.dedup import clusters
from sluice.filters.dedup.clusters import (
    EXACT_CODE,
    KEPT_CODE,
    NEAR_CODE,
    REDELIVERED_CODE,
    Clusters,
    cluster,
    pair_jaccard,
)
from sluice.filters.dedup.exact_hash import content_hash
from sluice.filters.dedup.minhash import MinHashSpec, text_band_keys

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
    fixed: Sequence[bool] | None = None,
) -> Clusters:
    array = pa.array(["before"] * before + list(texts), pa.string()).slice(before)
    return cluster(
        array,
        post_code_N=np.array(range(len(texts)) if ids is None else ids, np.int64),
        content_hash_N=np.zeros(len(texts), np.uint64) if collide else content_hash(array),
        band_keys_NK=text_band_keys(array, spec),
        threshold=threshold,
        ngram=spec.ngram,
        max_checks=max_checks,
        fixed_N=None if fixed is None else np.array(fixed, np.bool_),
    )


def rows_of(found: Clusters) -> list[tuple[int, int, float]]:
    """(reason, leader, similarity) of every row."""
    return list(
        zip(
            found.reason_N.tolist(),
            found.leader_N.tolist(),
            found.similarity_N.tolist(),
            strict=True,
        )
    )


def reference(
    texts: Sequence[str],
    ids: Sequence[int],
    *,
    threshold: float,
    max_checks: int,
    spec: MinHashSpec,
    fixed: Sequence[bool],
) -> tuple[list[tuple[int, int, float]], int, int]:
    """The rules of `sluice.filters.dedup.clusters`, one row at a time."""
    keys = text_band_keys(pa.array(texts, pa.string()), spec).tolist()
    out: list[tuple[int, int, float]] = []
    speakers: dict[int, int] = {}
    seen: dict[str, int] = {}
    leaders: list[int] = []
    unverified, checks = 0, 0
    for i, (text, post) in enumerate(zip(texts, ids, strict=True)):
        if fixed[i]:
            speakers.setdefault(post, i)
            seen.setdefault(text, i)
            leaders.append(i)
            out.append((KEPT_CODE, i, 1.0))
            continue
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
            checks += 1
            similarity = float(np.float32(jaccard(text, texts[j], spec.ngram)))
            if similarity >= float(np.float32(threshold)):
                out.append((NEAR_CODE, j, similarity))
                break
        else:
            unverified += len(met) > max_checks
            leaders.append(i)
            out.append((KEPT_CODE, i, 1.0))
    return out, unverified, checks


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


NUM_FIXED = st.one_of(st.just(0), st.integers(0, 24))


def first_fixed(num_fixed: int, num_rows: int) -> list[bool]:
    """The fixed rows first, as a caller gives those of a component."""
    return [i < num_fixed for i in range(num_rows)]


@given(
    posts=POSTS,
    before=st.integers(0, 2),
    num_fixed=NUM_FIXED,
    block_rows=st.sampled_from([1, 2, 3, 5, 8192]),
    **SETTINGS,
)
def test_clusters_follow_the_rules(
    posts: list[tuple[str, int]],
    before: int,
    num_fixed: int,
    block_rows: int,
    threshold: float,
    max_checks: int,
    spec: MinHashSpec,
) -> None:
    """Leaders, reasons, similarities, checks and the unverified are those of the reference."""
    texts, ids = [t for t, _ in posts], [i for _, i in posts]
    rules: dict[str, Any] = {"threshold": threshold, "max_checks": max_checks, "spec": spec}
    rules["fixed"] = first_fixed(num_fixed, len(posts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "_BLOCK_ROWS", block_rows)
        found = run(texts, ids, before=before, **rules)
    assert (rows_of(found), found.num_unverified, found.num_checks) == reference(
        texts, ids, **rules
    )


@given(posts=POSTS, fixed=st.lists(st.booleans(), min_size=24, max_size=24), **SETTINGS)
def test_fixed_rows_may_stand_anywhere(
    posts: list[tuple[str, int]],
    fixed: list[bool],
    threshold: float,
    max_checks: int,
    spec: MinHashSpec,
) -> None:
    """Fixed rows among others, as components follow one another, fare as the reference says."""
    texts, ids = [t for t, _ in posts], [i for _, i in posts]
    rules: dict[str, Any] = {"threshold": threshold, "max_checks": max_checks, "spec": spec}
    rules["fixed"] = fixed[: len(posts)]
    found = run(texts, ids, **rules)
    assert (rows_of(found), found.num_unverified, found.num_checks) == reference(
        texts, ids, **rules
    )


@given(posts=POSTS)
def test_no_fixed_rows_is_none(posts: list[tuple[str, int]]) -> None:
    """A mask without a fixed row changes nothing."""
    texts, ids = [t for t, _ in posts], [i for _, i in posts]
    assert rows_of(run(texts, ids, fixed=[False] * len(posts))) == rows_of(run(texts, ids))


@given(posts=POSTS, threshold=SETTINGS["threshold"], num_fixed=NUM_FIXED)
def test_what_holds_of_every_clustering(
    posts: list[tuple[str, int]], threshold: float, num_fixed: int
) -> None:
    """A leader is a kept row before its followers; near rows reach the threshold, exact ones 1."""
    texts, ids = [t for t, _ in posts], [i for _, i in posts]
    fixed = first_fixed(num_fixed, len(posts))
    found = run(texts, ids, threshold=threshold, fixed=fixed)
    for i, (reason, leader, similarity) in enumerate(rows_of(found)):
        assert found.reason_N[leader] == KEPT_CODE
        assert (leader == i) if reason == KEPT_CODE else (leader < i)
        assert similarity == pytest.approx(jaccard(texts[i], texts[leader], SPEC.ngram), abs=1e-7)
        if reason == EXACT_CODE:
            assert texts[i] == texts[leader] != ""
        if reason == NEAR_CODE:
            assert similarity >= np.float32(threshold)
    kept = [i for i, (reason, *_) in enumerate(rows_of(found)) if reason == KEPT_CODE]
    assert kept[: sum(fixed)] == [i for i in range(len(posts)) if fixed[i]]
    new = [i for i in kept if not fixed[i]]
    assert len({ids[i] for i in new} - {ids[i] for i in kept if fixed[i]}) == len(new)
    assert found.num_checks <= len(posts) * 64


@given(posts=POSTS, num_fixed=NUM_FIXED)
def test_equal_hashes_of_different_texts_do_no_harm(
    posts: list[tuple[str, int]], num_fixed: int
) -> None:
    """Texts are compared byte for byte: with one hash for all, the result is the same."""
    texts, ids = [t for t, _ in posts], [i for _, i in posts]
    fixed = first_fixed(num_fixed, len(posts))
    assert rows_of(run(texts, ids, fixed=fixed, collide=True)) == rows_of(
        run(texts, ids, fixed=fixed)
    )


def families(mix: random.Random, *, num_families: int, num_rows: int) -> list[str]:
    """Texts of a few families each, more and less alike, in the order in which families end."""
    texts = []
    for family in range(num_families):
        frame = [
            chr(0x4E00 + 100 * family + mix.randrange(60)) for _ in range(mix.randrange(4, 30))
        ]
        for _ in range(mix.randrange(1, 2 * num_rows // num_families)):
            edited = list(frame)
            for _ in range(mix.randrange(4)):
                edited[mix.randrange(len(frame))] = chr(0x3041 + mix.randrange(60))
            place = family * 10 + mix.randrange(mix.choice([10, 40]))
            texts.append((place, "".join(edited)))
    return [text for _, text in sorted(texts, key=lambda t: t[0])]


@settings(max_examples=25)
@given(
    mix=st.randoms(use_true_random=False),
    block_rows=st.integers(1, 9),
    max_checks=st.sampled_from([1, 2, 4, 64]),
)
def test_blocks_do_not_matter(mix: random.Random, block_rows: int, max_checks: int) -> None:
    """However few rows a block has, and however often leaders are let go, the rules hold."""
    texts = families(mix, num_families=12, num_rows=150)
    fixed = [mix.random() < 0.1 for _ in texts]
    ids = [mix.choice([i, mix.randrange(len(texts))]) for i in range(len(texts))]
    rules: dict[str, Any] = {"threshold": 0.6, "max_checks": max_checks, "spec": SPEC}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "_BLOCK_ROWS", block_rows)
        found = run(texts, ids, fixed=fixed, **rules)
    expected = reference(texts, ids, fixed=fixed, **rules)
    assert (rows_of(found), found.num_unverified, found.num_checks) == expected


def test_a_leader_is_held_until_its_last_row_has_come() -> None:
    """Pairs in blocks of a row each: the first of a pair is needed when room is made for the second."""
    pages = [[chr(0x4E00 + 100 * i + c) for c in range(20 + i)] for i in range(50)]
    texts = ["".join(page[:end]) for page in pages for end in (-2, None)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "_BLOCK_ROWS", 1)
        found = run(texts, spec=MinHashSpec(bands=60, rows=1, ngram=2))
    assert found.leader_N.tolist() == [i - i % 2 for i in range(100)]


@given(posts=POSTS, num_fixed=NUM_FIXED, mix=st.randoms(use_true_random=False))
def test_unrelated_components_do_not_touch(
    posts: list[tuple[str, int]], num_fixed: int, mix: random.Random
) -> None:
    """Rows that share nothing with others fare as if alone, however the two are interleaved."""
    shadow = [("".join(chr(0x10000 + ord(c)) for c in t), 100 + i) for t, i in posts]
    places = sorted(mix.sample(range(2 * len(posts)), len(posts)))
    both = dict(zip(places, posts, strict=True))
    rest = iter(shadow)
    merged = [both.get(i) or next(rest) for i in range(2 * len(posts))]
    fixed = first_fixed(num_fixed, len(posts))
    flags = dict(zip(places, fixed, strict=True))
    found = rows_of(
        run(
            [t for t, _ in merged],
            [i for _, i in merged],
            fixed=[flags.get(i, i % 2 == 0) for i in range(len(merged))],
        )
    )
    alone = rows_of(run([t for t, _ in posts], [i for _, i in posts], fixed=fixed))
    assert [found[p] for p in places] == [(r, places[leader], s) for r, leader, s in alone]


def test_each_reason() -> None:
    """A redelivery, a copy and a near copy of one post all name the post itself."""
    found = run(["good morning", "good morning", "good morning", "good morning!"], [1, 1, 2, 3])
    assert found.reason_N.tolist() == [KEPT_CODE, REDELIVERED_CODE, EXACT_CODE, NEAR_CODE]
    assert found.leader_N.tolist() == [0, 0, 0, 0]
    assert found.similarity_N.tolist() == [1, 1, 1, pytest.approx(11 / 12)]


def test_fixed_rows_stay_and_lead() -> None:
    """Three fixed rows of one id and text stay; what comes later goes for the first that fits."""
    texts = [
        "good morning",
        "good morning",
        "good morning!",
        "good morning",
        "good morning!!",
        "hi",
    ]
    found = run(texts, [1, 1, 2, 3, 4, 2], fixed=[True, True, True, False, False, False])
    reasons = [KEPT_CODE] * 3 + [EXACT_CODE, NEAR_CODE, REDELIVERED_CODE]
    assert found.reason_N.tolist() == reasons
    assert found.leader_N.tolist() == [0, 1, 2, 0, 0, 2]
    expected = [1, 1, 1, 1, jaccard(texts[4], texts[0], 2), jaccard(texts[5], texts[2], 2)]
    assert found.similarity_N.tolist() == pytest.approx(expected)
    assert (found.num_checks, found.num_unverified) == (1, 0)


def test_a_fixed_row_may_speak_with_an_edited_text() -> None:
    """An earlier run's text of an id speaks for its redelivery, which names nobody else."""
    texts = ["sunset over the bay", "good morning", "good morning"]
    found = run(texts, [1, 2, 1], fixed=[True, True, False])
    assert found.reason_N.tolist() == [KEPT_CODE, KEPT_CODE, REDELIVERED_CODE]
    assert found.leader_N.tolist() == [0, 1, 0]
    assert found.similarity_N[2] == jaccard(texts[0], texts[2], 2) == 0


def test_fixed_rows_use_up_checks_like_others() -> None:
    """A row that meets more fixed rows than it may be compared with counts as unverified."""
    texts = ["aaaa1111", "aaaa2222", "aaaa3333", "aaaa4444"]
    spec = MinHashSpec(bands=60, rows=1, ngram=2)
    found = run(texts, fixed=[True] * 3 + [False], threshold=0.7, spec=spec, max_checks=2)
    assert found.reason_N.tolist() == [KEPT_CODE] * 4
    assert (found.num_unverified, found.num_checks) == (1, 2)


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


def peak_bytes(texts: list[str]) -> int:
    """The most that NumPy holds at once while texts are resolved, beside the arguments."""
    array = pa.array(texts)
    arguments: dict[str, Any] = {
        "post_code_N": np.arange(len(texts)),
        "content_hash_N": content_hash(array),
        "band_keys_NK": text_band_keys(array, MinHashSpec()),
    }
    tracemalloc.start()
    cluster(array, **arguments, threshold=0.8, ngram=5, max_checks=64)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_leaders_that_no_later_row_meets_are_dropped() -> None:
    """Pairs of near copies, 1,000 code points a post: the shingles of all would be 8 KB a row."""
    rng = np.random.default_rng(7)
    texts = []
    for page in rng.integers(97, 123, (4000, 1000)):
        text = "".join(map(chr, page))
        texts += [text, text[:-100]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "_BLOCK_ROWS", 256)
        assert peak_bytes(texts) < 1_500 * len(texts)


def test_nothing_in_gives_nothing_out() -> None:
    """A partition without rows is resolved too."""
    found = run([], fixed=[])
    assert len(found.leader_N) == 0
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
