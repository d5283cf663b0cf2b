"""Fits the linear model of a screen: logistic regression on n-gram means and shape features."""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit

from sluice.schemas.arrays import Array

SCALE = 30.0
"""What n-gram means are multiplied by, so that one strength of regularisation suits posts of all lengths."""
MAX_ITERATIONS = 60


class Linear(NamedTuple):
    """A fitted model: log odds = means_NF @ ngrams_F + shape_NK @ shape_K + intercept."""

    ngrams_F: Array
    shape_K: Array
    intercept: float


def fit_logistic(
    means_NF: sparse.csr_matrix,
    shape_NK: Array,
    labels_N: Array,
    weights_N: Array,
    *,
    l2: float,
    l2_shape: float,
) -> Linear:
    """Returns the model with the smallest weighted cross-entropy plus L2 penalty.

    Args:
        means_NF: (N, F) n-gram means.
        shape_NK: (N, K) shape features, of any scale: they are brought to deviation 1 for the fit.
        labels_N: (N,) 0 or 1.
        weights_N: (N,) what each post weighs; only their shares count.
        l2: penalty on the weights of n-gram means times SCALE.
        l2_shape: penalty on the weights of shape features of deviation 1.

    Returns:
        Linear, on the features as given; deterministic with one BLAS thread.

    Source: L-BFGS (Liu & Nocedal 1989), stopped after MAX_ITERATIONS, from zero.
    """
    num = means_NF.shape[1]
    share_N = weights_N / weights_N.sum()
    mean_K = share_N @ shape_NK
    spread_K = np.sqrt(share_N @ (shape_NK - mean_K) ** 2) + 1e-9
    shape_NK = (shape_NK - mean_K) / spread_K
    scaled_NF = means_NF * SCALE
    scaled_FN = scaled_NF.T.tocsr()

    def loss(all_P: Array) -> tuple[float, Array]:
        ngrams_F, shape_K = all_P[:num], all_P[num:-1]
        z_N = scaled_NF @ ngrams_F + shape_NK @ shape_K + all_P[-1]
        wrong_N = share_N * (expit(z_N) - labels_N)
        by_ngrams_F = scaled_FN @ wrong_N + l2 * ngrams_F
        by_shape_K = wrong_N @ shape_NK + l2_shape * shape_K
        gradient_P = np.concatenate([by_ngrams_F, by_shape_K, [wrong_N.sum()]])
        penalty = l2 * (ngrams_F @ ngrams_F) + l2_shape * (shape_K @ shape_K)
        return float(share_N @ (np.logaddexp(0, z_N) - labels_N * z_N) + penalty / 2), gradient_P

    start_P = np.zeros(num + shape_NK.shape[1] + 1)
    most = {"maxiter": MAX_ITERATIONS}
    found_P = minimize(loss, start_P, jac=True, method="L-BFGS-B", options=most).x
    shape_K = found_P[num:-1] / spread_K
    return Linear(found_P[:num] * SCALE, shape_K, float(found_P[-1] - shape_K @ mean_K))


def block_weights(sources: Array, labels_N: Array, *, of: dict[str, float] | None = None) -> Array:
    """Returns (N,) float64: the posts of a source and label weigh 1 together, or what `of` says.

    Large sources do not drown small ones, nor does a source's share of positives become a sign.
    """
    weights_N = np.zeros(len(labels_N))
    for source in np.unique(sources):
        for label in (0, 1):
            own_N = (sources == source) & (labels_N == label)
            if own_N.any():
                weights_N[own_N] = (of or {}).get(str(source), 1.0) / own_N.sum()
    return weights_N
