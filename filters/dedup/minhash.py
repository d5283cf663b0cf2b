"""MinHash over code-point n-grams: signatures, band keys, and the shingle sets they stand for.

The shingles of a text are the set of its code-point n-grams; a text shorter than n code points has
one shingle, the whole text, and an empty text has none. A shingle c_1 .. c_n is known by

    x   = sum of (c_i + 1) * BASE^(n - i)  mod 2^64           what shingles are compared by
    h32 = high 32 bits of (x ^ x >> 32) * SPREAD mod 2^64     what permutations are applied to

x rolls along the text in two multiplications a code point; `c + 1` keeps a short text apart from a
longer shingle that ends in it. Permutation p maps h32 to `a_p * fmix32(h32) + b_p mod 2^32`, and
the signature holds the minimum of each over the shingles: the scheme `affine32` of datasketch 2.0,
bit for bit. Two texts of Jaccard index J agree in an entry with probability J, and share at least
one band key with probability 1 - (1 - J^rows)^bands.

Shape suffixes: N texts, P permutations, K bands (keys a text has), S shingles, C code points.

Source: Broder 1997, "On the resemblance and containment of documents"; Leskovec, Rajaraman and
Ullman, "Mining of Massive Datasets", section 3.4 (bands); MurmurHash3 (fmix32); the shingle hash
is ours.
"""

from functools import cache
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numba import types

from sluice.schemas.arrays import Int64s, Uint32s, Uint64s
from sluice.schemas.kernel import BYTES, OFFSETS, decode_at, kernel, utf8_view

BASE = np.uint64(0x9E3779B97F4A7C15)
SPREAD = np.uint64(0xD6E8FEB86659FD93)

EMPTY = np.uint32(0xFFFFFFFF)
"""Every entry of an empty text's signature, as in datasketch."""

NO_KEY = np.uint64(0)
"""Every band key of an empty text: no bucket, so that empty texts are never near duplicates."""

_FIRST_32 = types.Array(types.uint32, 1, "C", readonly=True)
_SECOND_32 = types.Array(types.uint32, 2, "C")
_SIGNATURES = types.Array(types.uint32, 2, "C", readonly=True)
_KEYS = types.Array(types.uint64, 2, "C")
_HASHES = types.Array(types.uint64, 1, "C")
_STARTS = types.Array(types.int64, 1, "C")

_BLOCK_ROWS = 8192

Size = Annotated[int, msgspec.Meta(ge=1, le=1024)]


class MinHashSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How texts are sketched.

    Attributes:
        bands: keys a text has; more bands find more pairs, and more that are no duplicates.
        rows: signature entries in a key; more rows find fewer pairs.
        ngram: code points in a shingle.
        seed: of the permutations, as datasketch's `seed`.
    """

    bands: Size = 20
    rows: Size = 5
    ngram: Size = 5
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] = 1

    @property
    def num_permutations(self) -> int:
        """Entries of a signature."""
        return self.bands * self.rows


class ShingleSets(NamedTuple):
    """The shingles of N texts.

    Attributes:
        shingles_S: uint64, the x of each shingle; within a text ascending and distinct.
        starts_N1: int64, text i has `shingles_S[starts_N1[i]:starts_N1[i + 1]]`.
    """

    shingles_S: Uint64s
    starts_N1: Int64s


@cache
def permutations(spec: MinHashSpec) -> tuple[Uint32s, Uint32s]:
    """Returns (a_P, b_P), uint32, a odd: those of `datasketch.MinHash(num_perm=P, seed=seed)`."""
    stream = np.random.RandomState(spec.seed)
    half_P = stream.randint(0, 1 << 31, spec.num_permutations, dtype=np.uint32)
    b_P = stream.randint(0, 1 << 32, spec.num_permutations, dtype=np.uint32)
    return half_P * np.uint32(2) + np.uint32(1), b_P


def signatures(texts: pa.StringArray, spec: MinHashSpec) -> Uint32s:
    """Returns (N, P) uint32: the least permuted hash of each text; EMPTY for an empty text."""
    data_B, offsets_N1 = utf8_view(texts)
    signature_NP = np.empty((len(texts), spec.num_permutations), np.uint32)
    a_P, b_P = permutations(spec)
    _signatures(data_B, offsets_N1, spec.ngram, _leaving(spec.ngram), a_P, b_P, signature_NP)
    return signature_NP


def band_keys(signature_NP: Uint32s, spec: MinHashSpec) -> Uint64s:
    """Returns (N, K) uint64: a hash of each band's number and entries; NO_KEY for an empty text.

    Bands that differ in number or entries have the same key by chance alone: over M texts of K
    keys about (M K)^2 / 2^65 times. The price of one is a comparison that finds nothing.
    """
    key_NK = np.empty((len(signature_NP), spec.bands), np.uint64)
    _band_keys(np.ascontiguousarray(signature_NP), spec.rows, key_NK)
    return key_NK


def text_band_keys(texts: pa.StringArray, spec: MinHashSpec) -> Uint64s:
    """Returns (N, K) uint64, `band_keys(signatures(texts))`, without keeping the signatures."""
    data_B, offsets_N1 = utf8_view(texts)
    key_NK = np.empty((len(texts), spec.bands), np.uint64)
    a_P, b_P = permutations(spec)
    _text_band_keys(
        data_B, offsets_N1, spec.ngram, _leaving(spec.ngram), a_P, b_P, spec.rows, key_NK
    )
    return key_NK


def shingle_sets(texts: pa.StringArray, *, ngram: int) -> ShingleSets:
    """Returns the distinct shingles of each text; 8 bytes a byte of text are held while it runs.

    Different shingles have the same x by chance alone, 2^-64 a pair: two posts of 300 shingles each
    seem to share one too many with probability 5e-15.
    """
    data_B, offsets_N1 = utf8_view(texts)
    shingles_S = np.empty(int(offsets_N1[-1]) - int(offsets_N1[0]), np.uint64)
    starts_N1 = np.zeros(len(texts) + 1, np.int64)
    _shingle_sets(data_B, offsets_N1, ngram, _leaving(ngram), shingles_S, starts_N1)
    return ShingleSets(shingles_S[: starts_N1[-1]], starts_N1)


def num_shingles(texts: pa.StringArray, *, ngram: int) -> Int64s:
    """Returns (N,) int64, the distinct shingles of each text; holds those of 8,192 texts at a time."""
    num_N = np.empty(len(texts), np.int64)
    for first in range(0, len(texts), _BLOCK_ROWS):
        sets = shingle_sets(texts.slice(first, _BLOCK_ROWS), ngram=ngram)
        num_N[first : first + _BLOCK_ROWS] = np.diff(sets.starts_N1)
    return num_N


def _leaving(ngram: int) -> np.uint64:
    """BASE^n: the weight of the code point that leaves when the next one rolls in."""
    return np.uint64(pow(int(BASE), ngram, 2**64))


@kernel()
def _longest(offsets_N1):  # type: ignore[no-untyped-def]  # numba types it
    longest = 0
    for i in range(len(offsets_N1) - 1):
        longest = max(longest, offsets_N1[i + 1] - offsets_N1[i])
    return longest


@kernel()
def _roll(data_B, start, end, ngram, leaving, code_C, x_S):  # type: ignore[no-untyped-def]  # numba types it
    """Writes the x of every n-gram to x_S, in order and with repetitions; returns how many."""
    num_codes = 0
    j = start
    while j < end:
        code, width = decode_at(data_B, j, end)
        code_C[num_codes] = np.uint64(code) + np.uint64(1)
        num_codes += 1
        j += width
    if num_codes == 0:
        return 0
    first = min(ngram, num_codes)
    x = np.uint64(0)
    for c in range(first):
        x = x * BASE + code_C[c]
    x_S[0] = x
    for c in range(first, num_codes):
        x = x * BASE + code_C[c] - leaving * code_C[c - first]
        x_S[c - first + 1] = x
    return num_codes - first + 1


@kernel()
def _premix(x_S, num_shingles, mixed_S):  # type: ignore[no-untyped-def]  # numba types it
    """Writes fmix32(h32) of each shingle, padded to a multiple of four by repeating the first."""
    for s in range(num_shingles):
        h = np.uint32(((x_S[s] ^ (x_S[s] >> np.uint64(32))) * SPREAD) >> np.uint64(32))
        h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
        h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
        mixed_S[s] = h ^ (h >> np.uint32(16))
    padded = (num_shingles + 3) // 4 * 4
    for s in range(num_shingles, padded):
        mixed_S[s] = mixed_S[0]
    return padded


@kernel()
def _least(mixed_S, padded, a_P, b_P, least_P):  # type: ignore[no-untyped-def]  # numba types it
    """Writes the minimum of a * h + b over the shingles, for every permutation.

    Four shingles a pass, so that a, b and the minimum are loaded once for four multiplications; the
    loop over permutations is the one that LLVM turns into vector instructions (uint32 throughout).
    """
    for p in range(len(a_P)):
        least_P[p] = EMPTY
    for s in range(0, padded, 4):
        h0, h1, h2, h3 = mixed_S[s], mixed_S[s + 1], mixed_S[s + 2], mixed_S[s + 3]
        for p in range(len(a_P)):
            a, b = a_P[p], b_P[p]
            low = min(np.uint32(h0 * a + b), np.uint32(h1 * a + b))
            high = min(np.uint32(h2 * a + b), np.uint32(h3 * a + b))
            least_P[p] = min(least_P[p], min(low, high))


@kernel()
def _write_keys(signature_P, rows, key_K):  # type: ignore[no-untyped-def]  # numba types it
    for k in range(len(key_K)):
        h = np.uint64(k + 1) * BASE
        all_empty = True
        for p in range(k * rows, (k + 1) * rows):
            all_empty &= signature_P[p] == EMPTY
            h = (h ^ np.uint64(signature_P[p])) * SPREAD
            h ^= h >> np.uint64(32)
        key_K[k] = NO_KEY if all_empty else max(h, np.uint64(1))


@kernel(types.void(BYTES, OFFSETS, types.int64, types.uint64, _FIRST_32, _FIRST_32, _SECOND_32))
def _signatures(data_B, offsets_N1, ngram, leaving, a_P, b_P, signature_NP):  # type: ignore[no-untyped-def]  # numba types it
    longest = _longest(offsets_N1)
    code_C = np.empty(longest, np.uint64)
    x_S = np.empty(longest, np.uint64)
    mixed_S = np.empty(longest + 3, np.uint32)
    for i in range(len(offsets_N1) - 1):
        num = _roll(data_B, offsets_N1[i], offsets_N1[i + 1], ngram, leaving, code_C, x_S)
        _least(mixed_S, _premix(x_S, num, mixed_S), a_P, b_P, signature_NP[i])


@kernel(types.void(_SIGNATURES, types.int64, _KEYS))
def _band_keys(signature_NP, rows, key_NK):  # type: ignore[no-untyped-def]  # numba types it
    for i in range(len(signature_NP)):
        _write_keys(signature_NP[i], rows, key_NK[i])


@kernel(
    types.void(BYTES, OFFSETS, types.int64, types.uint64, _FIRST_32, _FIRST_32, types.int64, _KEYS)
)
def _text_band_keys(data_B, offsets_N1, ngram, leaving, a_P, b_P, rows, key_NK):  # type: ignore[no-untyped-def]  # numba types it
    longest = _longest(offsets_N1)
    code_C = np.empty(longest, np.uint64)
    x_S = np.empty(longest, np.uint64)
    mixed_S = np.empty(longest + 3, np.uint32)
    signature_P = np.empty(len(a_P), np.uint32)
    for i in range(len(offsets_N1) - 1):
        num = _roll(data_B, offsets_N1[i], offsets_N1[i + 1], ngram, leaving, code_C, x_S)
        _least(mixed_S, _premix(x_S, num, mixed_S), a_P, b_P, signature_P)
        _write_keys(signature_P, rows, key_NK[i])


@kernel(types.void(BYTES, OFFSETS, types.int64, types.uint64, _HASHES, _STARTS))
def _shingle_sets(data_B, offsets_N1, ngram, leaving, shingles_S, starts_N1):  # type: ignore[no-untyped-def]  # numba types it
    longest = _longest(offsets_N1)
    code_C = np.empty(longest, np.uint64)
    x_S = np.empty(longest, np.uint64)
    used = 0
    for i in range(len(offsets_N1) - 1):
        num = _roll(data_B, offsets_N1[i], offsets_N1[i + 1], ngram, leaving, code_C, x_S)
        x_S[:num].sort()
        for s in range(num):
            if s == 0 or x_S[s] != x_S[s - 1]:
                shingles_S[used] = x_S[s]
                used += 1
        starts_N1[i + 1] = used
