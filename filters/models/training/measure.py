"""What the training command measures: ranking, errors at a threshold, and the calibration."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.stats import rankdata

from sluice.schemas.arrays import Array

MAX_FALSE_ALARMS = 0.01
"""Share of good posts of the held-out slice that the default threshold may reject."""


class AtThreshold(NamedTuple):
    """Errors at a threshold; None where there is nothing to divide by."""

    precision: float | None
    recall: float | None
    f1: float | None
    false_alarms: float | None


def auc(labels_N: Array, scores_N: Array) -> float | None:
    """Returns the area under the ROC curve, ties counting half; None where a class is missing.

    Source: Mann-Whitney's U over the product of the class sizes.
    """
    positives = int(labels_N.sum())
    negatives = len(labels_N) - positives
    if not positives or not negatives:
        return None
    rank_sum = rankdata(scores_N)[labels_N == 1].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def at_threshold(labels_N: Array, scores_N: Array, max_score: float) -> AtThreshold:
    """Returns the errors where scores above `max_score` are rejected."""
    rejected_N = scores_N > max_score
    hits = int((rejected_N & (labels_N == 1)).sum())
    alarms = int(rejected_N.sum()) - hits
    positives = int(labels_N.sum())
    negatives = len(labels_N) - positives
    return AtThreshold(
        precision=hits / (hits + alarms) if hits + alarms else None,
        recall=hits / positives if positives else None,
        f1=2 * hits / (positives + hits + alarms) if positives + hits + alarms else None,
        false_alarms=alarms / negatives if negatives else None,
    )


def platt(labels_N: Array, log_odds_N: Array) -> tuple[float, float]:
    """Returns (slope, intercept) of the logistic curve from a model's log odds to the truth.

    Source: Platt 1999, with his targets (n + 1) / (n + 2) and 1 / (n + 2) in place of 1 and 0.
    """
    positives = labels_N.sum()
    negatives = len(labels_N) - positives
    targets_N = np.where(labels_N == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(line: Array) -> float:
        z_N = line[0] * log_odds_N + line[1]
        return float(np.mean(np.logaddexp(0, z_N) - targets_N * z_N))

    fit = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead", options={"xatol": 1e-7})
    slope, intercept = (round(float(v), 6) for v in fit.x)
    if slope <= 0:
        raise ValueError(f"the calibration turns the order of texts around: slope {slope}")
    return slope, intercept


def choose_threshold(labels_N: Array, scores_N: Array) -> float:
    """Returns the smallest multiple of 0.01 that rejects few enough good posts."""
    good_N = scores_N[labels_N == 0]
    for hundredths in range(50, 100):
        if float((good_N > hundredths / 100).mean()) <= MAX_FALSE_ALARMS:
            return hundredths / 100
    return 0.99


def thresholds_for(labels_N: Array, scores_N: Array, *, measure: str, least: float) -> float | None:
    """Returns the threshold with which the other measure is best; None where no threshold is good enough.

    Args:
        labels_N: (N,) 0 or 1.
        scores_N: (N,) scores; those above a threshold are rejected.
        measure: `precision`: the lowest threshold with at least so much; `recall`: the highest one.
        least: what it must reach.
    """
    order_N = np.argsort(-scores_N, kind="stable")
    falling_N = scores_N[order_N]
    hits_N = np.cumsum(labels_N[order_N])
    # a threshold rejects all of a run of equal scores or none of it
    last_N = np.append(falling_N[1:] < falling_N[:-1], True)
    share_N = hits_N / (np.arange(len(hits_N)) + 1 if measure == "precision" else hits_N[-1])
    good = np.flatnonzero(last_N & (share_N >= least))
    if not len(good):
        return None
    at = good[-1] if measure == "precision" else good[0]
    below = falling_N[at + 1] if at + 1 < len(falling_N) else 0.0
    return float(below)


def calibration_error(labels_N: Array, scores_N: Array, bins: int = 10) -> float:
    """Returns the expected calibration error: |mean score - share of positives|, over bins of equal width.

    Source: Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian
    Binning", AAAI 2015, section "Calibration measures".
    """
    bin_N = np.minimum((scores_N * bins).astype(np.int64), bins - 1)
    return sum(
        abs(float(labels_N[bin_N == b].mean()) - float(scores_N[bin_N == b].mean()))
        * float((bin_N == b).mean())
        for b in np.unique(bin_N)
    )
