"""Reads the file of a supervised fastText model: `.bin`, and `.ftz`, which is pruned and quantised.

The file is a header, a dictionary, an input matrix with one row per word and one per hash bucket (of
subwords and word n-grams), and an output matrix. This file turns it into plain arrays; what they mean
for a text is in `sluice.filters.fasttext.kernels.rows`.

Source: fastText 0.9.3, `args.cc`, `dictionary.cc`, `quantmatrix.cc`, `productquantizer.cc` (MIT).
"""

import hashlib
import math
import os
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from sluice.schemas.arrays import Array
from sluice.schemas.errors import InputError

Loss = Literal["hs", "ns", "softmax", "ova"]

MAGIC = 793712314
NEWEST_VERSION = 12
SUPERVISED = 3
LOSSES: dict[int, Loss] = {1: "hs", 2: "ns", 3: "softmax", 4: "ova"}
LABEL_PREFIX = b"__label__"
CENTROIDS = 256
NOT_PRUNED = -1
_ENTRY = struct.Struct("<qb")  # what follows the name of a dictionary's entry: its count, its kind


@dataclass(frozen=True, eq=False, kw_only=True)
class FastTextModel:
    """A supervised fastText model as arrays. V words, L labels, B buckets kept, D dimensions.

    Attributes:
        path: the file it came from.
        sha256: of that file, in hexadecimal.
        dim: D.
        loss: how an output row becomes a probability.
        word_ngrams: the longest word n-gram; 1 is none.
        min_subword: characters of the shortest subword.
        max_subword: characters of the longest subword; 0 or less is none.
        num_buckets: what hashes are taken modulo.
        words: V words, as bytes, in the order of their rows.
        labels: L labels, without the prefix `__label__`.
        label_names: L labels as the dictionary spells them.
        label_counts_L: (L,) int64, how often training saw each label; they shape the tree of `hs`.
        kept_B: (B,) int64, ascending, the buckets that have a row.
        input_RD: (V + B, D) float32, rows of the words, then of `kept_B`.
        output_LD: (L, D) float32 (the first L - 1 rows are the inner nodes of the tree for `hs`).
        output_norms_L: (L,) float32, what a dot product with an output row is multiplied by.
    """

    path: str
    sha256: str
    dim: int
    loss: Loss
    word_ngrams: int
    min_subword: int
    max_subword: int
    num_buckets: int
    words: tuple[bytes, ...]
    labels: tuple[str, ...]
    label_names: tuple[bytes, ...]
    label_counts_L: Array
    kept_B: Array
    input_RD: Array
    output_LD: Array
    output_norms_L: Array


def read_model(path: str | Path) -> FastTextModel:
    """Reads a supervised fastText model; one that was read before and has not changed is shared.

    Args:
        path: a `.bin` or `.ftz` file of fastText 0.1 to 0.9.

    Raises:
        InputError: the file cannot be read, is no fastText model, is not supervised, is cut short, or
            contradicts itself. The message names the file.
    """
    try:
        status = os.stat(path)
        return _read(str(path), status.st_ino, status.st_mtime_ns, status.st_size)
    except OSError as failure:
        raise InputError(f"{path}: cannot read the model: {failure.strerror}") from failure
    except _UnreadableError as failure:
        raise InputError(f"{path}: {failure}") from None


def file_sha256(path: str | Path) -> str:
    """Returns the sha256 of a model's file, in hexadecimal, without reading what is in it.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as failure:
        raise InputError(f"{path}: cannot read the model: {failure.strerror}") from failure


@lru_cache(maxsize=4)
def _read(path: str, inode: int, mtime_ns: int, size: int) -> FastTextModel:
    data = Path(path).read_bytes()
    return _parse(_Reader(data), path=path, sha256=hashlib.sha256(data).hexdigest())


class _UnreadableError(Exception):
    """What is wrong with the bytes; `read_model` puts the file's name before it."""


class _DamagedModelError(_UnreadableError):
    """Bytes that contradict each other."""

    def __init__(self, message: str):
        super().__init__(f"the model is damaged: {message}")


class _Reader:
    """A cursor over the bytes of a file."""

    def __init__(self, data: bytes):
        self._data = data
        self._at = 0

    def numbers(self, layout: str) -> tuple[Any, ...]:
        """Returns little-endian numbers, by their `struct` letters."""
        return struct.unpack("<" + layout, self._take(struct.calcsize("<" + layout)))

    def array(self, dtype: str, count: int) -> Array:
        """Returns (count,) numbers, aligned and owned."""
        kind = np.dtype(dtype)
        return np.frombuffer(self._take(count * kind.itemsize), kind).copy()

    def entries(self, count: int) -> tuple[list[bytes], list[int]]:
        """Returns what each entry of a dictionary is, up to a zero byte, and how often it was seen."""
        names, counts, at = [], [], self._at
        for _ in range(count):
            end = self._data.find(b"\0", at)
            if end < 0 or end + 1 + _ENTRY.size > len(self._data):
                raise _UnreadableError("the model is cut short inside its dictionary")
            names.append(self._data[at:end])
            counts.append(_ENTRY.unpack_from(self._data, end + 1)[0])
            at = end + 1 + _ENTRY.size
        self._at = at
        return names, counts

    def _take(self, size: int) -> memoryview:
        left = len(self._data) - self._at
        _no_less_than_zero(size)
        if size > left:
            raise _UnreadableError(
                f"the model is cut short: must have {size:,} more bytes, has {left:,}"
            )
        self._at += size
        return memoryview(self._data)[self._at - size : self._at]


class _Header(NamedTuple):
    dim: int
    word_ngrams: int
    loss: Loss
    num_buckets: int
    min_subword: int
    max_subword: int


class _Dictionary(NamedTuple):
    words: tuple[bytes, ...]
    label_names: tuple[bytes, ...]
    label_counts_L: Array
    kept: Array | None  # (P, 2) int32: bucket, row; None where no bucket was pruned


def _parse(reader: _Reader, *, path: str, sha256: str) -> FastTextModel:
    header = _header(reader)
    dictionary = _dictionary(reader)
    quantised = bool(reader.numbers("B")[0])
    if dictionary.kept is not None and not quantised:
        raise _UnreadableError("the model is pruned but not quantised, which fastText refuses too")
    stored_RD, norms_R = (_quantised if quantised else _dense)(reader)
    quantised_output = bool(reader.numbers("B")[0]) and quantised
    output_LD, output_norms_L = (_quantised if quantised_output else _dense)(reader)
    with np.errstate(all="ignore"):  # numbers that are not finite are refused below
        input_RD = stored_RD * norms_R[:, None]
    kept_B, input_RD = _in_bucket_order(input_RD, header, dictionary)
    _same("output rows", len(output_LD), len(dictionary.label_names))
    _same("output columns", output_LD.shape[1], header.dim)
    _finite(input_RD, output_LD, output_norms_L)
    return FastTextModel(
        path=path,
        sha256=sha256,
        **header._asdict(),
        words=dictionary.words,
        labels=tuple(_text(name.removeprefix(LABEL_PREFIX)) for name in dictionary.label_names),
        label_names=dictionary.label_names,
        label_counts_L=dictionary.label_counts_L,
        kept_B=kept_B,
        input_RD=input_RD,
        output_LD=output_LD,
        output_norms_L=output_norms_L,
    )


def _header(reader: _Reader) -> _Header:
    try:
        magic, version = reader.numbers("ii")
    except _UnreadableError:
        magic, version = 0, 0
    if magic != MAGIC:
        raise _UnreadableError(
            "not a fastText model: it does not start with fastText's magic number"
        )
    if version > NEWEST_VERSION:
        raise _UnreadableError(
            f"fastText format {version} is newer than {NEWEST_VERSION}, the last known"
        )
    dim, _, _, _, _, word_ngrams, loss, kind = reader.numbers("8i")
    buckets, min_subword, max_subword, _ = reader.numbers("4i")
    reader.numbers("d")  # the sampling threshold, of use in training only
    if kind != SUPERVISED:
        raise _UnreadableError(
            "the model holds word vectors: it must be a supervised model (a classifier)"
        )
    if loss not in LOSSES or dim <= 0 or buckets < 0:
        raise _DamagedModelError(f"loss {loss}, dimension {dim}, buckets {buckets}")
    if version == 11:  # classifiers of that version were trained without subwords
        max_subword = 0
    return _Header(dim, word_ngrams, LOSSES[loss], buckets, min_subword, max_subword)


def _dictionary(reader: _Reader) -> _Dictionary:
    size, num_words, num_labels = reader.numbers("iii")
    _, pruned = reader.numbers("qq")
    if size != num_words + num_labels or num_words < 0 or num_labels <= 0:
        raise _DamagedModelError(f"{size} entries, {num_words} words, {num_labels} labels")
    names, counts = reader.entries(size)
    kept = None if pruned == NOT_PRUNED else reader.array("<i4", 2 * pruned).reshape(-1, 2)
    return _Dictionary(
        tuple(names[:num_words]),
        tuple(names[num_words:]),
        np.array(counts[num_words:], np.int64),
        kept,
    )


def _dense(reader: _Reader) -> tuple[Array, Array]:
    """Returns (R, D) float32 and (R,) float32 ones."""
    rows, columns = reader.numbers("qq")
    _no_less_than_zero(rows, columns)
    matrix_RD = reader.array("<f4", rows * columns).reshape(rows, columns)
    return matrix_RD, np.ones(rows, np.float32)


def _quantised(reader: _Reader) -> tuple[Array, Array]:
    """Returns (R, D) float32, each row put together from its centroids, and (R,) float32 norms."""
    has_norms, rows, columns, code_bytes = reader.numbers("Bqqi")
    _no_less_than_zero(rows, columns)
    codes = reader.array("u1", code_bytes)
    parts, width, last_width, centroids = _quantiser(reader, dim=columns)
    _same("codes", len(codes), rows * parts)
    codes_RP = codes.reshape(rows, parts)
    matrix_RD = np.empty((rows, columns), np.float32)
    for part in range(parts):
        wide = last_width if part == parts - 1 else width
        first = part * CENTROIDS * width
        table = centroids[first : first + CENTROIDS * wide].reshape(CENTROIDS, wide)
        matrix_RD[:, part * width : part * width + wide] = table[codes_RP[:, part]]
    if not has_norms:
        return matrix_RD, np.ones(rows, np.float32)
    norm_codes_R = reader.array("u1", rows)
    *_, norms = _quantiser(reader, dim=1)
    return matrix_RD, norms[norm_codes_R]


def _quantiser(reader: _Reader, *, dim: int) -> tuple[int, int, int, Array]:
    stated, parts, width, last_width = reader.numbers("iiii")
    _same("quantiser's dimension", stated, dim)
    if width <= 0 or parts != math.ceil(dim / width) or last_width != dim - (parts - 1) * width:
        raise _DamagedModelError(f"{parts} parts of {width} for dimension {dim}")
    return parts, width, last_width, reader.array("<f4", dim * CENTROIDS)


def _in_bucket_order(
    stored_RD: Array, header: _Header, dictionary: _Dictionary
) -> tuple[Array, Array]:
    """Returns the kept buckets, ascending, and the input rows in that order, words first."""
    num_words, kept = len(dictionary.words), dictionary.kept
    _same("input columns", stored_RD.shape[1], header.dim)
    if kept is None:
        _same("input rows", len(stored_RD), num_words + header.num_buckets)
        return np.arange(header.num_buckets, dtype=np.int64), stored_RD
    _same("input rows", len(stored_RD), num_words + len(kept))
    order = np.argsort(kept[:, 0], kind="stable")
    kept_B, rows_B = kept[order, 0].astype(np.int64), kept[order, 1].astype(np.int64)
    if not np.array_equal(np.sort(rows_B), np.arange(len(kept))):
        raise _DamagedModelError("kept buckets and input rows do not pair up")
    if len(kept) and (
        kept_B[0] < 0 or kept_B[-1] >= header.num_buckets or (np.diff(kept_B) == 0).any()
    ):
        raise _DamagedModelError(f"a kept bucket is not below {header.num_buckets}")
    return kept_B, np.concatenate([stored_RD[:num_words], stored_RD[num_words:][rows_B]])


def _no_less_than_zero(*sizes: int) -> None:
    if min(sizes) < 0:
        raise _DamagedModelError("it states a negative size")


def _finite(*matrices: Array) -> None:
    """Refuses what training that diverged leaves behind; the library fails at the first prediction."""
    if not all(np.isfinite(matrix).all() for matrix in matrices):
        raise _DamagedModelError("it holds numbers that are not finite")


def _same(what: str, got: int, must: int) -> None:
    if got != must:
        raise _DamagedModelError(f"{what} must be {must:,}, is {got:,}")


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise _DamagedModelError("a label is not UTF-8") from None
