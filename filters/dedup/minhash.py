"""MinHash over code-point n-grams: signatures, band keys, and the shingle sets they sketch.

The shingles of a text are the set of its code-point n-grams; a text shorter than n code points has
one shingle, the whole text, and an empty text has none. A shingle c_1 .. c_n is known by

    x   = sum of (c_i + 1) * GOLDEN_RATIO^(n - i)  mod 2^64           what shingles are compared by
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
from typing import Annotated

import msgspec
import numpy as np
import pyarrow as pa

from sluice.filters.dedup import kernels
from sluice.filters.dedup.kernels import ShingleSets
from sluice.schemas.arrays import Int64s, Uint32s, Uint64s
from sluice.schemas.hashing import GOLDEN_RATIO
from sluice.schemas.kernel import utf8_view

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


@cache
def permutations(spec: MinHashSpec) -> tuple[Uint32s, Uint32s]:
    """Returns (a_P, b_P), uint32, a odd: those of `datasketch.MinHash(num_perm=P, seed=seed)`."""
    stream = np.random.RandomState(spec.seed)
    half_P = stream.randint(0, 1 << 31, spec.num_permutations, dtype=np.uint32)
    b_P = stream.randint(0, 1 << 32, spec.num_permutations, dtype=np.uint32)
    return half_P * np.uint32(2) + np.uint32(1), b_P


def signatures(texts: pa.StringArray, spec: MinHashSpec) -> Uint32s:
    """Returns (N, P) uint32: the least permuted hash of each text; EMPTY for an empty text.

    The share of equal entries estimates the Jaccard index of the shingles:

    >>> texts = pa.array(["the quick brown fox jumps over", "the quick brown fox jumped over"])
    >>> first_P, second_P = signatures(texts, MinHashSpec(bands=100, rows=10))
    >>> bool(0.6 < (first_P == second_P).mean() < 0.8)
    True
    """
    data_B, offsets_N1 = utf8_view(texts)
    signature_NP = np.empty((len(texts), spec.num_permutations), np.uint32)
    a_P, b_P = permutations(spec)
    kernels.signatures(data_B, offsets_N1, spec.ngram, _leaving(spec.ngram), a_P, b_P, signature_NP)
    return signature_NP


def text_band_keys(texts: pa.StringArray, spec: MinHashSpec) -> Uint64s:
    """Returns (N, K) uint64: a hash of each band's number and entries; NO_KEY for an empty text.

    Bands that differ in number or entries have the same key by chance alone: over M texts of K
    keys about (M K)^2 / 2^65 times. The price of one is a comparison that finds nothing. Signatures of
    8,192 texts are held at a time.
    """
    key_NK = np.empty((len(texts), spec.bands), np.uint64)
    for first in range(0, len(texts), _BLOCK_ROWS):
        signature_BP = signatures(texts.slice(first, _BLOCK_ROWS), spec)
        kernels.band_keys(signature_BP, spec.rows, key_NK[first : first + _BLOCK_ROWS])
    return key_NK


def shingle_sets(texts: pa.StringArray, *, ngram: int) -> ShingleSets:
    """Returns the distinct shingles of each text; 8 bytes per byte of text are held while it runs.

    Different shingles have the same x by chance alone, 2^-64 a pair: two posts of 300 shingles each
    seem to share one too many with probability 5e-15.
    """
    data_B, offsets_N1 = utf8_view(texts)
    shingles_S = np.empty(int(offsets_N1[-1]) - int(offsets_N1[0]), np.uint64)
    starts_N1 = np.zeros(len(texts) + 1, np.int64)
    kernels.shingle_sets(data_B, offsets_N1, ngram, _leaving(ngram), shingles_S, starts_N1)
    return ShingleSets(shingles_S[: starts_N1[-1]], starts_N1)


def num_shingles(texts: pa.StringArray, *, ngram: int) -> Int64s:
    """Returns (N,) int64, the distinct shingles of each text; holds those of 8,192 texts at a time."""
    num_N = np.empty(len(texts), np.int64)
    for first in range(0, len(texts), _BLOCK_ROWS):
        sets = shingle_sets(texts.slice(first, _BLOCK_ROWS), ngram=ngram)
        num_N[first : first + _BLOCK_ROWS] = np.diff(sets.starts_N1)
    return num_N


def _leaving(ngram: int) -> np.uint64:
    """GOLDEN_RATIO^n: the weight of the code point that leaves when the next one rolls in."""
    return np.uint64(pow(int(GOLDEN_RATIO), ngram, 2**64))
