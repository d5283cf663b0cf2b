"""Writes a linear model as a fastText file: pruned, quantised, one dimension, the labels good and bad.

A fastText model of one dimension averages one number over the n-grams of a text and gives each label a
multiple of it: with +1/2 and -1/2 the log odds of the two labels are that mean. So the file is read by the
fastText library and by the kernel that reads the language models, and costs one float an n-gram. The only
word is `</s>`, which ends every text, so that no text is without a row.

Source: fastText 0.9.3, `args.cc`, `dictionary.cc`, `quantmatrix.cc`, `productquantizer.cc`.
"""

import struct
from pathlib import Path

import numpy as np

from sluice.filters.models.training.screen_ngrams import LONGEST, NUM_BUCKETS, SHORTEST
from sluice.schemas.arrays import Array

_MAGIC, _VERSION = 793712314, 12
_SUPERVISED, _SOFTMAX = 3, 3
_CENTROIDS = 256
_ROUNDS = 25


def write_linear(
    path: Path, *, buckets_B: Array, weights_B: Array, end_of_text: float, labels: tuple[str, str]
) -> None:
    """Writes the model.

    Args:
        path: of the file; 9 bytes an n-gram.
        buckets_B: (B,) the hash buckets that have a weight, ascending.
        weights_B: (B,) their weights.
        end_of_text: the weight of `</s>`, which every text has once.
        labels: (good, bad): the log odds are those of the second.
    """
    rows_R = np.concatenate([[end_of_text], weights_B])
    places_R, centroids_C = quantise(rows_R)
    kept_B2 = np.stack([buckets_B, np.arange(len(buckets_B))], axis=1).astype("<i4")
    names = [(b"</s>", 0), *((f"__label__{label}".encode(), 1) for label in labels)]
    parts = [
        struct.pack("<ii", _MAGIC, _VERSION),
        struct.pack("<8i", 1, 5, 1, 1, 5, 1, _SOFTMAX, _SUPERVISED),
        struct.pack("<4i", NUM_BUCKETS, SHORTEST, LONGEST, 100),
        struct.pack("<d", 1e-4),
        struct.pack("<iiiqq", len(names), 1, len(labels), len(names), len(buckets_B)),
        *(name + b"\0" + struct.pack("<qb", 1, kind) for name, kind in names),
        kept_B2.tobytes(),
        struct.pack("<??qqi", True, False, len(rows_R), 1, len(rows_R)),
        places_R.tobytes(),
        struct.pack("<iiii", 1, 1, 1, 1),
        centroids_C.astype("<f4").tobytes(),
        struct.pack("<?qqff", False, len(labels), 1, -0.5, 0.5),
    ]
    path.write_bytes(b"".join(parts))


def quantise(values_R: Array) -> tuple[Array, Array]:
    """Returns (R,) uint8 and (256,) float32: the centroid of each value, and the centroids, ascending.

    Source: Lloyd 1982 in one dimension, from equal steps over the range so that rare large weights, which
    decide most, have centroids near them.
    """
    centroids_C = np.linspace(values_R.min(), values_R.max(), _CENTROIDS)
    for _ in range(_ROUNDS):
        places_R = np.searchsorted((centroids_C[1:] + centroids_C[:-1]) / 2, values_R)
        counts_C = np.bincount(places_R, minlength=_CENTROIDS)
        sums_C = np.bincount(places_R, values_R, minlength=_CENTROIDS)
        centroids_C = np.where(counts_C > 0, sums_C / np.maximum(counts_C, 1), centroids_C)
        centroids_C = np.sort(centroids_C)
    centroids_C = centroids_C.astype(np.float32)
    places_R = np.searchsorted((centroids_C[1:] + centroids_C[:-1]) / 2, values_R)
    return places_R.astype(np.uint8), centroids_C
