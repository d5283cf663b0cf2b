"""Ids that were numbers: exact, or known to be lost."""

import numpy as np
import pyarrow as pa

from sluice.schemas.arrays import Bools, Float64s

EXACT = 2.0**53
"""Whole numbers below it are exact as 64-bit floats; above it, several share one."""


def ids_of_floats(floats_N: Float64s) -> tuple[pa.StringArray, Bools, Bools]:
    """Returns whole numbers below 2**53 as their digits.

    Args:
        floats_N: (N,) float64; NaN is no id.

    Returns:
        (N,) string, null where there is no id; (N,) bool, true for what is no whole number; (N,) bool, true
        for whole numbers that are no longer told apart.

    >>> ids, odd_N, inexact_N = ids_of_floats(np.array([7.0, np.nan, 1.5, 1.5e18]))
    >>> ids.to_pylist(), odd_N.tolist(), inexact_N.tolist()
    (['7', None, None, None], [False, False, True, False], [False, False, False, True])
    """
    there_N = ~np.isnan(floats_N)
    inexact_N = there_N & (np.abs(floats_N) >= EXACT)
    whole_N = there_N & ~inexact_N & (np.floor(floats_N) == floats_N)
    digits = pa.array(np.where(whole_N, floats_N, 0).astype(np.int64), mask=~whole_N)
    return digits.cast(pa.string()), there_N & ~whole_N & ~inexact_N, inexact_N
