"""The fastText library (its prediction-only build) as the oracle, and model files of every kind for it."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa

from sluice.filters.fasttext.classifier import FastTextClassifier
from sluice.filters.fasttext.model import read_model
from sluice.filters.language.identify import OWN_FILE, SHORT_FILE, shipped_identifier_path
from sluice.schemas.arrays import Array
from sluice.schemas.kernel import utf8_array
from tests.filters.fasttext.model_files import Kind, write

SHIPPED = {
    "language": shipped_identifier_path(),
    "posts": OWN_FILE,
    "short": SHORT_FILE,
}
FIVE = ("a", "b", "c", "d", "e")
MANY = tuple(f"l{i}" for i in range(37))
KINDS = {
    "softmax, words alone": Kind(),
    "softmax, words and n-grams": Kind(word_ngrams=3, bucket=50),
    "softmax, subwords, old version": Kind(minn=2, maxn=4, bucket=100, version=11),
    "softmax, subwords, n-grams": Kind(minn=1, maxn=3, bucket=100, word_ngrams=2, labels=FIVE),
    "softmax, no </s>": Kind(words=("the", "free"), minn=3, maxn=3, bucket=40),
    "softmax, labels of its own prefix": Kind(
        words=("the",),
        minn=1,
        maxn=2,
        bucket=30,
        word_ngrams=2,
        labels=("free", "привет"),
        prefix="",
    ),
    "softmax, wide": Kind(dim=43, minn=0, maxn=2, bucket=64, labels=MANY),
    "softmax, all equal": Kind(minn=2, maxn=3, bucket=64, labels=MANY, scale=0.0),
    "hs, subwords": Kind(loss="hs", minn=2, maxn=5, bucket=64, labels=FIVE),
    "hs, equal counts": Kind(loss="hs", minn=2, maxn=3, bucket=77, labels=FIVE, counts=(7,) * 5),
    "hs, quantised": Kind(loss="hs", minn=1, maxn=6, bucket=99, quantised=True, labels=FIVE),
    "hs, quantised, norms, pruned": Kind(
        loss="hs", minn=2, maxn=4, bucket=200, kept=70, quantised=True, norms=True, labels=FIVE
    ),
    "hs, many labels, n-grams": Kind(loss="hs", bucket=80, word_ngrams=5, labels=MANY, dim=16),
    "hs, all equal": Kind(loss="hs", minn=2, maxn=3, bucket=64, labels=MANY[:8], scale=0.0),
    "softmax, all quantised": Kind(
        minn=2, maxn=4, bucket=130, quantised=True, norms=True, quantised_output=True, labels=FIVE
    ),
    "softmax, all buckets pruned": Kind(
        minn=2, maxn=4, bucket=130, kept=0, quantised=True, word_ngrams=2
    ),
    "softmax, n-grams, pruned": Kind(
        minn=3, maxn=4, bucket=500, kept=200, quantised=True, word_ngrams=4, dim=7
    ),
    "one versus all": Kind(loss="ova", minn=2, maxn=3, bucket=90, labels=FIVE),
    "one versus all, many at 0 and 1": Kind(
        loss="ova", minn=1, maxn=2, bucket=90, labels=MANY, scale=9.0
    ),
    "one versus all, all quantised": Kind(
        loss="ova", minn=2, maxn=4, bucket=200, quantised=True, quantised_output=True, labels=MANY
    ),
    "negative sampling": Kind(loss="ns", word_ngrams=2, bucket=90, labels=FIVE),
    "negative sampling, all equal": Kind(loss="ns", labels=MANY, scale=0.0),
    "one label": Kind(loss="hs", labels=("only",)),
}
TRAPS = (
    b"",
    b" ",
    b" \t\r\v\f ",
    b"\x00",
    b"a\x00b",
    b"the </s> free",
    b"</s>",
    b"the</s> free",
    b"the __label__spam free",
    b"__label__spam",
    b"__label__unknown the",
    b"__label__",
    b"__label",
    b"<the>",
    b"the" * 300,
    "日本語 日本語 привет".encode(),
    "\u0301\u0301".encode(),
    "free\u00a0the\u3000a".encode(),
    "the free a 日本語 </s".encode(),
    "🏴\U000e0067\U000e007f the".encode(),
    b"\x80",
    b"\x80\x80the",
    b"\xbf \x80a \xffa the",
    b"the\xe3\x81 free\xf0\x9f",
    b"\xed\xa0\x80 \xed\xb0\x80",  # surrogates
    b"\xc0\xaf \xf8\x88\x80\x80\x80",  # overlong
    "日本語".encode()[1:],
)
"""Blanks, the library's own marks, and bytes that are no UTF-8."""


def write_models(folder: Path) -> dict[str, Path]:
    """Returns the shipped models, and a model file of every kind."""
    return {
        **SHIPPED,
        **{n: write(folder / f"{i}.bin", k) for i, (n, k) in enumerate(KINDS.items())},
    }


@cache
def classifier(path: Path) -> FastTextClassifier:
    """Returns the model under test."""
    return FastTextClassifier(read_model(path))


@cache
def library(path: Path) -> Any:
    """Returns the library's model."""
    return fasttext.load_model(str(path))


def column(rows: Sequence[bytes]) -> pa.StringArray:
    """Returns bytes as a text column, valid UTF-8 or not, as a buffer from elsewhere may hold them."""
    data_B = np.frombuffer(b"".join(rows), np.uint8)
    return utf8_array(data_B, np.cumsum([0, *map(len, rows)], dtype=np.int32))


def by_library(
    path: Path, rows: Sequence[bytes], *, k: int = 1, threshold: float = 0.0
) -> list[list[tuple[float, str]]]:
    """Returns (probability, label name) of the best k labels of each row, as the library predicts.

    The library takes bytes for a string; its own loop over texts is broken with NumPy 2.
    """
    model = library(path).f
    return [model.predict(row + b"\n", k, threshold, "strict") for row in rows]


def assert_like_library(path: Path, rows: Sequence[bytes]) -> None:
    """Asserts that the best label is the library's, and its probability to 0.000001."""
    machine = classifier(path)
    label_N, probability_N = machine.predict(column(rows))
    assert_row_like_library(machine, path, rows, label_N[:, None], probability_N[:, None])


def assert_row_like_library(
    machine: FastTextClassifier,
    path: Path,
    rows: Sequence[bytes],
    label_NK: Array,
    probability_NK: Array,
    *,
    threshold: float = 0.0,
) -> None:
    """Asserts that labels, in their order, and probabilities are the library's."""
    k = label_NK.shape[1]
    listed = by_library(path, rows, k=k, threshold=threshold)
    for row, label_K, probability_K, found in zip(
        rows, label_NK, probability_NK, listed, strict=True
    ):
        names = [machine.model.label_names[label].decode() for label in label_K if label >= 0]
        assert names == [name for _, name in found], ascii(row[:80])
        want_K = [min(p, 1.0) for p, _ in found] + [0.0] * (k - len(found))
        np.testing.assert_allclose(
            probability_K, want_K, rtol=0, atol=1e-6, err_msg=ascii(row[:80])
        )
