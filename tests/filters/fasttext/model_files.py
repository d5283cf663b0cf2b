"""Writes fastText model files of invented numbers, every kind that the format has.

Independent of the reader under test: fields in the order of fastText 0.9.3's `save` functions. The
library itself reads the files too, which is what makes them an oracle.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

LOSS = {"hs": 1, "ns": 2, "softmax": 3, "ova": 4}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What kind of model to write; the numbers in it are drawn from `seed`, with deviation `scale`."""

    loss: str = "softmax"
    dim: int = 8
    word_ngrams: int = 1
    minn: int = 0
    maxn: int = 0
    bucket: int = 0
    quantised: bool = False
    norms: bool = False
    quantised_output: bool = False
    kept: int | None = None
    labels: tuple[str, ...] = ("spam", "ham")
    words: tuple[str, ...] = ("</s>", "the", "free", "日本語", "привет", "a")
    supervised: bool = True
    version: int = 12
    seed: int = 0
    counts: tuple[int, ...] = field(default=())
    scale: float = 1.5
    prefix: str = "__label__"


def write(path: Path, kind: Kind) -> Path:
    """Writes a model of a kind and returns its path."""
    rng = np.random.default_rng(kind.seed)
    rows = len(kind.words) + (kind.bucket if kind.kept is None else kind.kept)
    parts = [struct.pack("<ii", 793712314, kind.version), _args(kind), _dictionary(kind, rng)]
    parts += [struct.pack("<?", kind.quantised), _matrix(kind, rng, rows, kind.quantised, dsub=3)]
    quantised_output = kind.quantised and kind.quantised_output
    parts += [struct.pack("<?", quantised_output)]
    parts += [_matrix(kind, rng, len(kind.labels), quantised_output, dsub=2)]
    path.write_bytes(b"".join(parts))
    return path


def _args(kind: Kind) -> bytes:
    numbers = (kind.dim, 5, 5, 1, 5, kind.word_ngrams, LOSS[kind.loss], 3 if kind.supervised else 2)
    return struct.pack("<12id", *numbers, kind.bucket, kind.minn, kind.maxn, 100, 1e-4)


def _dictionary(kind: Kind, rng: np.random.Generator) -> bytes:
    words, labels = kind.words, [kind.prefix + label for label in kind.labels]
    counts = kind.counts or sorted(rng.integers(1, 1000, len(labels)).tolist(), reverse=True)
    pruned = -1 if kind.kept is None else kind.kept
    out = [struct.pack("<iii", len(words) + len(labels), len(words), len(labels))]
    out += [struct.pack("<qq", 1000, pruned)]
    out += [word.encode() + b"\0" + struct.pack("<qb", 10, 0) for word in words]
    out += [
        label.encode() + b"\0" + struct.pack("<qb", n, 1)
        for label, n in zip(labels, counts, strict=True)
    ]
    if kind.kept:
        buckets = rng.choice(kind.bucket, kind.kept, replace=False)
        out += [struct.pack("<ii", bucket, row) for row, bucket in enumerate(buckets.tolist())]
    return b"".join(out)


def _matrix(
    kind: Kind, rng: np.random.Generator, rows: int, quantised: bool, *, dsub: int
) -> bytes:
    dim = kind.dim
    if not quantised:
        return struct.pack("<qq", rows, dim) + _floats(kind, rng, rows * dim)
    parts = -(-dim // dsub)
    out = struct.pack("<?qqi", kind.norms, rows, dim, rows * parts) + rng.bytes(rows * parts)
    out += struct.pack("<iiii", dim, parts, dsub, dim % dsub or dsub) + _floats(
        kind, rng, dim * 256
    )
    if kind.norms:
        out += rng.bytes(rows) + struct.pack("<iiii", 1, 1, 1, 1) + _floats(kind, rng, 256)
    return out


def _floats(kind: Kind, rng: np.random.Generator, count: int) -> bytes:
    return rng.normal(scale=kind.scale, size=count).astype("<f4").tobytes()
