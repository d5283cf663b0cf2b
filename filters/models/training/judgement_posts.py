"""The posts that a score is judged by: of sources that its model never saw, and ordinary ones."""

from collections.abc import Collection
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.models.training.encoder.posts import read
from sluice.filters.models.training.posts import SPLIT_SEED
from sluice.filters.text.hashing import hash_texts

FILES: Final = {
    "toxicity": ("toxicity/test.jsonl.gz", "toxicity_more/*.jsonl.gz"),
    "spam": ("spam/test.jsonl.gz", "spam/x_test.jsonl.gz", "spam_more/*.jsonl.gz"),
    "quality": ("quality/*.jsonl.gz",),
}
"""Head -> files with its labels, below the data folder."""
FUNCTIONAL: Final = ("hatemoji-check",)
"""Functional tests: what they say of a score stands apart (`benchmarks/JUDGEMENT.md`)."""
ORDINARY_FILE: Final = "langid/test.jsonl.gz"
MOST = 1_000
"""Posts of a source, those with the lowest hashes of their text."""


def unseen(data: Path, head: str, *, seen: Collection[str], most: int = MOST) -> pa.Table:
    """Returns labelled posts of the sources that a model never saw: `text`, `lang`, `source`, `label`.

    Args:
        data: the folder of labelled posts.
        head: `toxicity`, `spam` or `quality`.
        seen: the sources that the model was trained on, which are left out.
        most: posts of a source; labels have no part in which.
    """
    return _first(_without(read(data, FILES[head]), [*seen, *FUNCTIONAL]), most)


def ordinary(data: Path, *, left_out: Collection[str]) -> pa.Table:
    """Returns posts collected for another purpose, of many languages, without those of some sources."""
    return _without(read(data, (ORDINARY_FILE,)), left_out)


def _without(posts: pa.Table, sources: Collection[str]) -> pa.Table:
    named = pc.is_in(posts["source"], pa.array(list(sources), pa.string()))
    return posts.filter(pc.invert(named)).combine_chunks()


def _first(posts: pa.Table, most: int) -> pa.Table:
    hashes_N = hash_texts(posts["text"].combine_chunks(), seed=SPLIT_SEED)
    posts = posts.take(pa.array(np.argsort(hashes_N, kind="stable")))
    source_N = np.array(posts["source"].to_pylist())
    places = [np.flatnonzero(source_N == name)[:most] for name in np.unique(source_N)]
    return posts.take(pa.array(np.concatenate(places)))
