"""What the encoder learns from: posts of all heads in one table, what each weighs, and its source."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from sluice.filters.models.training.encoder import posts
from sluice.filters.models.training.encoder.posts import Pieces
from sluice.filters.models.training.encoder.sources import HEADS, SOURCES
from sluice.schemas.arrays import Array

SOFT = 0.03
"""How far labels are from 0 and 1: annotators disagree on more than that."""
POWER = 0.6
"""A source of n posts weighs n to this power; its two labels weigh the same."""
ORDINARY_SHARE = 0.12
"""Of all weight, that ordinary posts have."""
HEAD_SHARE = {"toxicity": 1.0, "spam": 0.5, "quality": 0.3}


class Examples(NamedTuple):
    """N texts with what is known of them, and S sources.

    Attributes:
        texts: (N,) string, normalised.
        labels_NH: (N, heads) float32 in [0, 1], not a number where a head has no label.
        source_N: (N,) int64, the source, an index into `sources`.
        weight_N: (N,) float64, sums to 1.
        sources: their names.
        biased_S: (S,) bool, true for the sources that have both labels: where these draw the line is learnt.
    """

    texts: pa.StringArray
    labels_NH: Array
    source_N: Array
    weight_N: Array
    sources: tuple[str, ...]
    biased_S: Array


def examples(data: Path, *, fold: str | None, held_out: bool = False) -> Examples:
    """Returns what an encoder learns from: all sources but those of a fold; or the tenth that is held out."""
    texts, labels, names, weights, biased = [], [], [], [], {ORDINARY: False}
    for h, head in enumerate(HEADS):
        found = posts.labelled(data, head)
        out = set(SOURCES[head].folds[fold]) if fold else set()
        name_N = np.array(found["source"].to_pylist())
        keep_N = (posts.is_held_out(found) == held_out) & ~np.isin(name_N, list(out))
        found, name_N = found.filter(pa.array(keep_N)), name_N[keep_N]
        label_N = found["label"].to_numpy().astype(np.float32)
        label_NH = np.full((len(found), len(HEADS)), np.nan, np.float32)
        label_NH[:, h] = SOFT + (1 - 2 * SOFT) * label_N
        weight_N = source_weights(name_N, label_N >= 0.5)
        texts.append(found["text"].combine_chunks())
        labels.append(label_NH)
        names.append(np.char.add(f"{head}:", name_N))
        weights.append(HEAD_SHARE[head] * weight_N / weight_N.sum())
        for name in np.unique(name_N):
            biased[f"{head}:{name}"] = len(np.unique(label_N[name_N == name] >= 0.5)) == 2
    total = sum(float(w.sum()) for w in weights) * ORDINARY_SHARE / (1 - ORDINARY_SHARE)
    for h, head in enumerate(("toxicity", "spam")):
        found = posts.ordinary(data, head)
        found = found.filter(pa.array(posts.is_held_out(found) == held_out))
        label_NH = np.full((len(found), len(HEADS)), np.nan, np.float32)
        label_NH[:, h] = posts.ORDINARY_LABEL
        texts.append(found["text"].combine_chunks())
        labels.append(label_NH)
        names.append(np.full(len(found), ORDINARY))
        weights.append(np.full(len(found), total / 2 / len(found)))
    sources, source_N = np.unique(np.concatenate(names), return_inverse=True)
    weight_N = np.concatenate(weights)
    return Examples(
        pa.concat_arrays(texts),
        np.concatenate(labels),
        source_N,
        weight_N / weight_N.sum(),
        tuple(sources.tolist()),
        np.array([biased[name] for name in sources]),
    )


ORDINARY = posts.ORDINARY


def source_weights(name_N: Array, bad_N: Array) -> Array:
    """Returns (N,) float64: sources weigh by POWER of their number of posts, their labels the same."""
    weight_N = np.zeros(len(name_N))
    for name in np.unique(name_N):
        own_N = name_N == name
        for bad in (False, True):
            group_N = own_N & (bad_N == bad)
            if group_N.any():
                weight_N[group_N] = own_N.sum() ** POWER / group_N.sum()
    return weight_N


def pieces_of(texts: pa.StringArray, tokenizer: Tokenizer) -> Pieces:
    """Returns the pieces of the examples' texts."""
    return posts.in_pieces(texts, tokenizer)
