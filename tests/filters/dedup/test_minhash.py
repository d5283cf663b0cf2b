"""MinHash against datasketch, against Python sets, and against what theory says of its errors."""

from collections.abc import Callable

import datasketch
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.filters.dedup import kernels, minhash
from sluice.filters.dedup.kernels import EMPTY, NO_KEY
from sluice.filters.dedup.minhash import (
    MinHashSpec,
    num_shingles,
    permutations,
    shingle_sets,
    signatures,
    text_band_keys,
)
from sluice.schemas.arrays import Array


def band_keys(signature_NP: Array, spec: MinHashSpec) -> Array:
    """Returns (N, K) uint64, the keys of signatures."""
    key_NK = np.empty((len(signature_NP), spec.bands), np.uint64)
    kernels.band_keys(signature_NP, spec.rows, key_NK)
    return key_NK


TEXTS = st.lists(st.text(max_size=40), max_size=12)
SPECS = st.builds(
    MinHashSpec,
    bands=st.integers(1, 7),
    rows=st.integers(1, 6),
    ngram=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
)


def shingles(text: str, ngram: int) -> set[str]:
    """The definition: code-point n-grams, or the whole text if it is shorter, or nothing."""
    return {text[i : i + ngram] for i in range(max(1, len(text) - ngram + 1))} if text else set()


def polynomial(shingle: str) -> int:
    """The documented x of a shingle, in Python integers."""
    x = 0
    for c in shingle:
        x = (x * 0x9E3779B97F4A7C15 + ord(c) + 1) % 2**64
    return x


def hash_32(shingle: str) -> int:
    """The documented h32 of a shingle, in Python integers."""
    x = polynomial(shingle)
    return ((x ^ (x >> 32)) * 0xD6E8FEB86659FD93 % 2**64) >> 32


def by_datasketch(text: str, spec: MinHashSpec) -> Array:
    sketch = datasketch.MinHash(num_perm=spec.bands * spec.rows, seed=spec.seed, hashfunc=hash_32)
    sketch.update_batch(shingles(text, spec.ngram))
    assert sketch.scheme == "affine32"
    return np.asarray(sketch.hashvalues)


def string_array(texts: list[str], before: int = 0) -> pa.StringArray:
    """Texts in a slice of a longer array, so that offsets do not start at 0."""
    return pa.array(["müßig"] * before + texts + ["after"], pa.string()).slice(before, len(texts))


@given(TEXTS, SPECS, st.integers(0, 2))
def test_signatures_are_those_of_datasketch(
    texts: list[str], spec: MinHashSpec, before: int
) -> None:
    """datasketch, given our 32-bit shingle hash, computes the same signature bit for bit."""
    got_NP = signatures(string_array(texts, before), spec)
    assert got_NP.shape == (len(texts), spec.num_permutations)
    assert got_NP.dtype == np.uint32
    for text, signature_P in zip(texts, got_NP, strict=True):
        np.testing.assert_array_equal(signature_P, by_datasketch(text, spec))


@pytest.mark.parametrize("seed", [0, 1, 42, 2**32 - 1])
@pytest.mark.parametrize("num", [1, 13, 100, 128])
def test_permutations_are_those_of_datasketch(seed: int, num: int) -> None:
    """The multipliers and addends come from the same random stream as datasketch's."""
    expected_P = datasketch.MinHash(num_perm=num, seed=seed).permutations
    np.testing.assert_array_equal(
        permutations(MinHashSpec(bands=num, rows=1, seed=seed)), expected_P
    )


@given(TEXTS, st.integers(1, 9), st.integers(0, 2))
def test_shingle_sets_are_the_sets_of_ngrams(texts: list[str], ngram: int, before: int) -> None:
    """Each text has one x for every distinct n-gram, ascending."""
    sets = shingle_sets(string_array(texts, before), ngram=ngram)
    assert len(sets.starts_N1) == len(texts) + 1
    assert len(sets.shingles_S) == sets.starts_N1[-1]
    for i, text in enumerate(texts):
        got = sets.shingles_S[sets.starts_N1[i] : sets.starts_N1[i + 1]].tolist()
        assert got == sorted(polynomial(s) for s in shingles(text, ngram))


@given(TEXTS, st.integers(1, 9), st.integers(0, 2), st.integers(1, 13))
def test_num_shingles_is_the_size_of_the_sets(
    texts: list[str], ngram: int, before: int, block_rows: int
) -> None:
    """Each text is counted as its set of n-grams is large, whatever the block it is in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minhash, "_BLOCK_ROWS", block_rows)
        num_N = num_shingles(string_array(texts, before), ngram=ngram)
    assert num_N.dtype == np.int64
    assert num_N.tolist() == [len(shingles(text, ngram)) for text in texts]


@given(TEXTS, SPECS, st.data())
def test_batch_boundaries_do_not_matter(
    texts: list[str], spec: MinHashSpec, data: st.DataObject
) -> None:
    """The keys of a batch are those of its two parts, wherever it is cut."""
    array = string_array(texts)
    cut = data.draw(st.integers(0, len(texts)))
    parts = [text_band_keys(array[:cut], spec), text_band_keys(array[cut:], spec)]
    np.testing.assert_array_equal(text_band_keys(array, spec), np.concatenate(parts))


@given(TEXTS, SPECS)
def test_the_fused_kernel_is_the_two_steps(texts: list[str], spec: MinHashSpec) -> None:
    """Band keys straight from texts equal band keys of the signatures."""
    array = string_array(texts)
    expected_NK = band_keys(signatures(array, spec), spec)
    np.testing.assert_array_equal(text_band_keys(array, spec), expected_NK)
    assert expected_NK.shape == (len(texts), spec.bands)


@given(st.lists(st.text("ab", min_size=1, max_size=9), min_size=2, max_size=12), st.integers(1, 5))
def test_a_key_is_shared_where_a_band_agrees(texts: list[str], rows: int) -> None:
    """Two texts have the same key in a band if and only if they agree on all its entries."""
    spec = MinHashSpec(bands=6, rows=rows, ngram=2)
    array = string_array(texts)
    band_NKR = signatures(array, spec).reshape(len(texts), 6, rows)
    key_NK = text_band_keys(array, spec)
    agree_NNK = (band_NKR[:, None] == band_NKR[None]).all(axis=3)
    np.testing.assert_array_equal(key_NK[:, None] == key_NK[None], agree_NNK)


def test_bands_with_equal_entries_have_different_keys() -> None:
    """The band's number is in its key, so that different bands do not meet."""
    signature_NP = np.tile(np.arange(4, dtype=np.uint32), (1, 50))
    assert len(np.unique(band_keys(signature_NP, MinHashSpec(bands=50, rows=4)))) == 50


def test_an_empty_text_has_no_key() -> None:
    """An empty text has an all-ones signature and NO_KEY; no other text has NO_KEY."""
    spec = MinHashSpec()
    array = pa.array(["", "a", "", "abcdef"], pa.string())
    assert (signatures(array, spec)[[0, 2]] == EMPTY).all()
    assert (text_band_keys(array, spec) == NO_KEY).all(axis=1).tolist() == [
        True,
        False,
        True,
        False,
    ]
    assert (text_band_keys(array, spec)[[1, 3]] != NO_KEY).all()


def test_a_short_text_is_one_shingle() -> None:
    """A text below n code points meets itself alone, not a longer text that ends in it."""
    sets = shingle_sets(pa.array(["日本", "x日本", "日本"]), ngram=5)
    assert sets.starts_N1.tolist() == [0, 1, 2, 3]
    assert sets.shingles_S[0] == sets.shingles_S[2] != sets.shingles_S[1]


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_nothing_in_gives_the_right_shape(texts: list[str]) -> None:
    """Empty batches and batches of empty texts need no special care."""
    array = pa.array(texts, pa.string())
    assert text_band_keys(array, MinHashSpec()).shape == (len(texts), 20)
    assert shingle_sets(array, ngram=5).starts_N1.tolist() == [0] * (len(texts) + 1)


def latin(rng: np.random.Generator, size: int) -> str:
    return "".join(rng.choice(list("etaoinshrdlucm  "), size))


def ideographs(rng: np.random.Generator, size: int) -> str:
    return "".join(map(chr, rng.integers(0x4E00, 0x9FA6, size)))


@pytest.mark.parametrize("draw", [latin, ideographs])
def test_the_estimate_has_no_bias_and_the_right_spread(
    draw: Callable[[np.random.Generator, int], str],
) -> None:
    """Agreement of signatures is distributed about the exact Jaccard index as theory says.

    A shingle hash that lost a character would be biased by 0.01 for every seed.
    """
    rng = np.random.default_rng(20)
    pairs = []
    for _ in range(4000):
        same, other = int(rng.integers(20, 80)), int(rng.integers(3, 20))
        stem = draw(rng, same)
        pairs.append((stem + draw(rng, other), draw(rng, other) + stem))
    left, right = (pa.array(side) for side in zip(*pairs, strict=True))
    sets = [(shingles(a, 5), shingles(b, 5)) for a, b in pairs]
    jaccard_M = np.array([len(a & b) / len(a | b) for a, b in sets])
    error_SM = np.array(
        [
            (signatures(left, spec) == signatures(right, spec)).mean(axis=1) - jaccard_M
            for spec in (MinHashSpec(bands=20, rows=5, seed=seed) for seed in range(1, 7))
        ]
    )
    spread_M = np.sqrt(jaccard_M * (1 - jaccard_M) / 100)
    assert abs(error_SM.mean()) < 0.0016
    assert 0.98 < (error_SM / spread_M).std() < 1.02


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_keys_are_shared_as_often_as_bands_and_rows_say(seed: int) -> None:
    """Pairs of index J share a key with probability 1 - (1 - J^rows)^bands."""
    rng = np.random.default_rng(seed)
    stems = [ideographs(rng, 36) for _ in range(3000)]
    left = pa.array([stem + ideographs(rng, 4) for stem in stems])
    right = pa.array([stem + ideographs(rng, 4) for stem in stems])
    spec = MinHashSpec(bands=10, rows=5, seed=seed)
    met = (text_band_keys(left, spec) == text_band_keys(right, spec)).any(axis=1).mean()
    jaccard = 32 / 40
    expected = 1 - (1 - jaccard**5) ** 10
    assert abs(met - expected) < 5 * np.sqrt(expected * (1 - expected) / 3000)
