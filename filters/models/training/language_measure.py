"""Fits the pool's weights and measures language identifiers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.optimize import minimize

from sluice.filters.batch import Languages
from sluice.filters.language.codes import group_of
from sluice.filters.language.pool import GROUPS, Evidence, Group, Weights
from sluice.schemas.arrays import Array

LENGTHS = (0, 20, 40, 80, 160)
"""Where the classes of length begin, in characters of the classifier text."""
THRESHOLDS = (0.0, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
RIDGE = 1e-4


def f1(gold_N: Array, found_N: Array) -> dict[str, dict[str, Any]]:
    """Returns posts, precision, recall and F1 of each label that `gold_N` has."""
    rows = {}
    for label in sorted(set(gold_N.tolist())):
        is_N, says_N = gold_N == label, found_N == label
        both, posts, said = int((is_N & says_N).sum()), int(is_N.sum()), int(says_N.sum())
        rows[label] = {
            "posts": posts,
            "precision": both / said if said else 0.0,
            "recall": both / posts,
            "f1": 2 * both / (posts + said),
        }
    return rows


def macro_f1(gold_N: Array, found_N: Array) -> float:
    """Returns the mean F1 of the labels that `gold_N` has."""
    return float(np.mean([row["f1"] for row in f1(gold_N, found_N).values()]))


def mean_by(right_N: Array, gold_N: Array) -> float:
    """Returns the mean of the labels' shares of what is right."""
    return float(np.mean([right_N[gold_N == label].mean() for label in np.unique(gold_N)]))


def groups(codes_N: Array) -> Array:
    """Returns the macrolanguages of codes: dialects of Arabic and varieties of Norwegian as one language."""
    names_U, place_N = np.unique(codes_N, return_inverse=True)
    return np.array([group_of(name) for name in names_U.tolist()], np.str_)[place_N]


def by_length(
    texts: pa.StringArray, gold_N: Array, codes: dict[str, Array]
) -> list[dict[str, Any]]:
    """Returns one row per class of length: posts, and accuracy and macro-F1 of each identifier."""
    chars_N = pc.utf8_length(texts).to_numpy()
    rows = []
    for first, end in zip(LENGTHS, (*LENGTHS[1:], None), strict=True):
        in_N = (chars_N >= first) & (chars_N < (end or np.inf))
        row: dict[str, Any] = {
            "characters": f"{first} to {end - 1}" if end else f"{first} and more",
            "posts": int(in_N.sum()),
        }
        for name, found_N in codes.items():
            row[f"{name}_accuracy"] = float((found_N[in_N] == gold_N[in_N]).mean())
            row[f"{name}_macro_f1"] = macro_f1(gold_N[in_N], found_N[in_N])
        rows.append(row)
    return rows


def by_threshold(right_N: Array, confidence_N: Array) -> list[dict[str, float]]:
    """Returns one row per threshold: the share of posts kept, of those right, and what is lost."""

    def row(threshold: float) -> dict[str, float]:
        kept_N = confidence_N >= np.float32(threshold)
        return {
            "min_confidence": threshold,
            "coverage": float(kept_N.mean()),
            "accuracy": float(right_N[kept_N].mean()),
            "right_kept": float((right_N & kept_N).sum() / right_N.sum()),
            "wrong_kept": float((~right_N & kept_N).sum() / (~right_N).sum()),
        }

    return list(map(row, THRESHOLDS))


def codes(found: Languages) -> Array:
    """Returns (N,) str, the languages as a NumPy array."""
    return np.array(found.language.to_pylist(), np.str_)


def fit_weights(
    evidence: Evidence,
    own_NL: Array,
    lid_label_NK: Array,
    lid_probability_NK: Array,
    short_NS: Array | None,
    *,
    written_NC: Array,
    gold_N: Array,
    weight_N: Array,
) -> dict[Group, Weights]:
    """Returns the weights of the groups under which held-out texts are likeliest (with a small ridge).

    Args:
        evidence: the candidates.
        own_NL: (N, L) float32, the shipped model's probabilities.
        lid_label_NK: (N, K) int32, lid.176's best labels.
        lid_probability_NK: (N, K) float32, their probabilities.
        short_NS: (N, S) float32, probabilities of the model of short texts; None where it is not asked.
        written_NC: (N, C) bool, the candidates that each text's scripts allow.
        gold_N: (N,) int64, the places of the right candidates.
        weight_N: (N,) float64, what a text counts for; sums to 1.
    """
    lid_NC = evidence.lid_dense(lid_label_NK, lid_probability_NK)
    said_PNC = [evidence.own(own_NL), lid_NC]
    if short_NS is not None:
        said_PNC.append(evidence.short(short_NS))
    rows_N, num_said = np.arange(len(gold_N)), len(said_PNC)
    is_none_NC = (lid_NC == 0) & (evidence.group_C == GROUPS.index("lid")) | ~written_NC
    base_NC = np.where(is_none_NC, np.float32(-1e3), evidence.prior_C)
    member_CG = np.eye(len(GROUPS))[evidence.group_C]
    weight_N1 = weight_N[:, None].astype(np.float32)

    def loss(flat: Array) -> tuple[float, Array]:
        weights_PC = (flat.reshape(num_said + 1, -1) @ member_CG.T).astype(np.float32)
        share_NC = base_NC + weights_PC[-1]
        for said_NC, weights_C in zip(said_PNC, weights_PC, strict=False):
            share_NC += said_NC * weights_C
        share_NC -= share_NC.max(axis=1, keepdims=True)
        np.exp(share_NC, out=share_NC)
        share_NC /= share_NC.sum(axis=1, keepdims=True)
        likelihood = float((weight_N * np.log(share_NC[rows_N, gold_N] + 1e-30)).sum())
        share_NC[rows_N, gold_N] -= 1
        share_NC *= weight_N1
        share_NC[is_none_NC] = 0
        slopes = [*((said_NC * share_NC).sum(0) for said_NC in said_PNC), share_NC.sum(0)]
        gradient = np.concatenate([slope_C @ member_CG for slope_C in slopes])
        return RIDGE * float(flat @ flat) - likelihood, gradient + 2 * RIDGE * flat

    start = np.repeat([*[0.7, 0.5, 0.5][:num_said], 0.0], len(GROUPS))
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 100}).x
    names = (*("own", "lid", "short")[:num_said], "offset")
    columns = dict(zip(names, np.round(best, 4).reshape(num_said + 1, -1), strict=True))
    return {
        group: Weights(**{name: float(column[g]) for name, column in columns.items()})
        for g, group in enumerate(GROUPS)
    }


def text_weights(labels: Sequence[str], sources: Sequence[str], generated: set[str]) -> Array:
    """Returns (N,) float64 that sum to 1: half for posts, half for generated texts.

    A language counts as much as any other of its half, however many texts it has; a source of generated
    texts counts as much as a language.
    """
    is_generated_N = np.isin(sources, sorted(generated))
    keys = [
        f"{label} {source}" if generated_text else label
        for label, source, generated_text in zip(labels, sources, is_generated_N, strict=True)
    ]
    _, place_N, count = np.unique(np.array(keys), return_inverse=True, return_counts=True)
    weight_N = 1.0 / count[place_N]
    for half_N in (is_generated_N, ~is_generated_N):
        weight_N[half_N] *= 0.5 / weight_N[half_N].sum()
    return np.asarray(weight_N)
