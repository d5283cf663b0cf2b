"""A stable 64-bit hash of every text: XXH64, compiled, straight from the Arrow buffers."""

from typing import Any

import numpy as np
import pyarrow as pa

from sluice.schemas.arrays import Uint64s
from sluice.schemas.kernel import BYTES, OFFSETS, kernel, types, utf8_view

_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_P4 = np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)
_BITS = np.uint64(64)


def hash_texts(texts: pa.StringArray, *, seed: int = 0) -> Uint64s:
    """Returns the XXH64 of the UTF-8 bytes of each text.

    The same bytes give the same hash on every machine and in every release, so the hashes may be
    stored. Equal hashes of different texts are expected once in 2**32 distinct texts (birthday
    bound): whoever must not err compares the texts as well.

    Args:
        texts: (N,) string; a null hashes as the empty text.
        seed: in [0, 2**64).

    Returns:
        (N,) uint64, in the order of the rows.

    >>> [f"{h:016x}" for h in hash_texts(pa.array(["", "abc"])).tolist()]
    ['ef46db3751d8e999', '44bc2cf5ad770999']

    Source: Yann Collet, "xxHash fast digest algorithm", version 0.1.1.
    """
    hashes_N = np.empty(len(texts), np.uint64)
    _hash_rows(*utf8_view(texts), np.uint64(seed), hashes_N)
    return hashes_N


@kernel()
def _rotl(x: Any, bits: Any) -> Any:
    return (x << np.uint64(bits)) | (x >> (_BITS - np.uint64(bits)))


@kernel()
def _word(data_B: Any, j: Any, num_bytes: Any) -> Any:
    """Returns up to 8 bytes from `j` as a little-endian integer; LLVM makes one load of it."""
    x = np.uint64(0)
    for k in range(num_bytes):
        x |= np.uint64(data_B[j + k]) << np.uint64(8 * k)
    return x


@kernel()
def _round(lane: Any, x: Any) -> Any:
    return _rotl(lane + x * _P2, 31) * _P1


@kernel()
def _merge(h: Any, lane: Any) -> Any:
    return (h ^ _round(np.uint64(0), lane)) * _P1 + _P4


@kernel()
def _long(data_B: Any, j: Any, end: Any, seed: Any) -> Any:
    """Returns (hash, position) after the 32-byte stripes of a text of 32 bytes or more."""
    a, b, c, d = seed + _P1 + _P2, seed + _P2, seed, seed - _P1
    while j + 32 <= end:
        a = _round(a, _word(data_B, j, 8))
        b = _round(b, _word(data_B, j + 8, 8))
        c = _round(c, _word(data_B, j + 16, 8))
        d = _round(d, _word(data_B, j + 24, 8))
        j += 32
    h = _rotl(a, 1) + _rotl(b, 7) + _rotl(c, 12) + _rotl(d, 18)
    return _merge(_merge(_merge(_merge(h, a), b), c), d), j


@kernel()
def _tail(data_B: Any, j: Any, end: Any, h: Any) -> Any:
    """Returns the hash after the last 0 to 31 bytes."""
    while j + 8 <= end:
        h = _rotl(h ^ _round(np.uint64(0), _word(data_B, j, 8)), 27) * _P1 + _P4
        j += 8
    if j + 4 <= end:
        h = _rotl(h ^ (_word(data_B, j, 4) * _P1), 23) * _P2 + _P3
        j += 4
    while j < end:
        h = _rotl(h ^ (np.uint64(data_B[j]) * _P5), 11) * _P1
        j += 1
    return h


@kernel(types.void(BYTES, OFFSETS, types.uint64, types.uint64[::1]))
def _hash_rows(data_B: Any, offsets_N1: Any, seed: Any, hashes_N: Any) -> None:
    for i in range(len(hashes_N)):
        j, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        num_bytes = np.uint64(end - j)
        h = seed + _P5
        if end - j >= 32:
            h, j = _long(data_B, j, end, seed)
        h = _tail(data_B, j, end, h + num_bytes)
        h = (h ^ (h >> np.uint64(33))) * _P2
        h = (h ^ (h >> np.uint64(29))) * _P3
        hashes_N[i] = h ^ (h >> np.uint64(32))
