"""Adds to the posts that an encoder learns from what is written for it: tricks of spelling, and contrasts."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from sluice.filters.models.training.encoder.bad_words import bad_words
from sluice.filters.models.training.encoder.contrasts import KINDS, contrast_posts
from sluice.filters.models.training.encoder.examples import SOFT, Examples
from sluice.filters.models.training.encoder.sources import HEADS
from sluice.filters.models.training.encoder.spelling import respell

RESPELLED = 0.12
"""Share of the posts, of each label, in which words are respelled."""
MADE = {"toxicity": 0.07, "spam": 0.03, "quality": 0.03}
"""Head -> what made posts are of all weight."""
MOST_MADE = 600
"""Of a language."""


def with_tricks(found: Examples, data: Path, *, seed: int) -> Examples:
    """Returns the examples with a share of the texts respelled, insults by preference."""
    rng = np.random.default_rng(seed)
    texts = respell(found.texts.to_pylist(), rng, RESPELLED, bad_words(data))
    return found._replace(texts=pa.array(texts, pa.string()))


def with_made(found: Examples, *, seed: int) -> Examples:
    """Returns the examples and the made posts of each head, which have no line of their own."""
    for head in KINDS:
        made = contrast_posts(seed, MOST_MADE, head)
        bad_M = made["label"].to_numpy().astype(np.float32)
        h = HEADS.index(head)
        labels_MH = np.full((len(made), len(HEADS)), np.nan, np.float32)
        good_M = 1 - bad_M if head == "quality" else bad_M  # the head says how good a post is
        labels_MH[:, h] = SOFT + (1 - 2 * SOFT) * good_M
        share = MADE[head]
        found = Examples(
            pa.concat_arrays([found.texts, made["text"].combine_chunks()]),
            np.concatenate([found.labels_NH, labels_MH]),
            np.append(found.source_N, np.full(len(made), len(found.sources))),
            np.append(found.weight_N * (1 - share), np.full(len(made), share / len(made))),
            (*found.sources, f"{head}:(made)"),
            np.append(found.biased_S, False),
        )
    return found
