"""Posts that a platform has labelled: what a least confidence leaves out, and what it keeps wrong.

The posts are those of the firehose whose label is not null, of FEWEST words or more, each text once, none
of which stands in what a model is trained on. Labels are automatic or those of a collection, and not
gold: of the posts that are named otherwise at a confidence of .9 and more, most are labelled wrongly, so
that differences count, not levels.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.language.codes import UNDETERMINED
from sluice.filters.language.scripts import held_scripts
from sluice.filters.language.views import LanguageIdentifier
from sluice.filters.models.training import language_measure as measure
from sluice.filters.models.training.language_texts import letters
from sluice.filters.models.training.posts import read_posts
from sluice.schemas.arrays import Array

FEWEST = 6
FILES = "firehose/part-*.jsonl.gz"
LEAST_POSTS = 250
"""A language with fewer has no row of its own."""
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def labelled_posts(data: Path, trained: pa.Table) -> pa.Table:
    """Returns the posts, with `text` and `lang`."""
    posts = read_posts(data, [FILES])
    posts = posts.filter(pc.not_equal(posts["lang"], UNDETERMINED)).combine_chunks()
    plain = letters(posts["text"]).combine_chunks()
    _, first_N = np.unique(np.array(plain.to_pylist()), return_index=True)
    words_N = held_scripts(posts["text"].combine_chunks()).words_N
    known_N = pc.is_in(plain, letters(trained["text"]).unique()).to_numpy(zero_copy_only=False)
    kept_N = np.zeros(len(posts), np.bool_)
    kept_N[first_N] = True
    return posts.filter(pa.array(kept_N & ~known_N & (words_N >= FEWEST)))


def platform(posts: pa.Table, identify: LanguageIdentifier) -> dict[str, Any]:
    """Returns the shares of all posts and of each language: what is uncertain, and what is kept wrong."""
    found = identify(posts["text"].combine_chunks())
    label_N = np.array(posts["lang"].to_pylist())
    wrong_N = np.array(found.language_group.to_pylist()) != measure.groups(label_N)
    names, counts = np.unique(label_N, return_counts=True)
    rows = [
        {
            "language": str(name),
            "posts": int(count),
            **_shares(found.confidence_N[is_N], wrong_N[is_N]),
        }
        for name, count in zip(names, counts, strict=True)
        if count >= LEAST_POSTS
        for is_N in [label_N == name]
    ]
    whole = {"language": "all", "posts": len(posts), **_shares(found.confidence_N, wrong_N)}
    return {"by_language": [whole, *rows]}


def _shares(confidence_N: Array, wrong_N: Array) -> dict[str, float]:
    shares = {}
    for threshold in THRESHOLDS:
        kept_N = confidence_N >= np.float32(threshold)
        shares[f"uncertain_{threshold}"] = float(1 - kept_N.mean())
        shares[f"wrong_{threshold}"] = float((wrong_N & kept_N).mean())
    return shares
