"""Platt's curve for each head, on posts that were held out of training."""

import numpy as np

from sluice.filters.models.training import measure
from sluice.filters.models.training.encoder.examples import Examples
from sluice.schemas.arrays import Array


def lines(found: Examples, logits_NH: Array) -> list[tuple[float, float]]:
    """Returns (slope, intercept) of each head: what makes a probability of its logit.

    Posts of a head's sources count as they are, so that a probability is that of a post of these
    collections, of which far more are bad than of a firehose.
    """
    made = []
    for label_N, logit_N in zip(found.labels_NH.T, logits_NH.T, strict=True):
        known_N = ~np.isnan(label_N)
        labels = (label_N[known_N] > 0.5).astype(np.int64)
        made.append(measure.platt(labels, logit_N[known_N].astype(np.float64)))
    return made
