"""The contract of filters, checked where a filter is used: what its scorer, `accepts` and `detail` return.

An exception is of a post, which becomes a dead letter. A wrong length, type or value is of the filter: it
cannot be trusted about any post, and the run stops. `sluice.testing` has the rules that one batch
cannot show.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from sluice.filters.base import Filter, Scorer
from sluice.filters.batch import Batch, Mask, Scores
from sluice.filters.origin import origin_of
from sluice.schemas.errors import FilterError, SluiceError

_REMEDY = "sluice.testing.check_filter shows it; install a version that is repaired, or leave the filter out"


def title(spec: Filter) -> str:
    """Returns what messages call a filter: its name and its distribution."""
    return f"filter {spec.name!r} of {origin_of(type(spec)) or 'sluice'}"


def built(spec: Filter) -> Scorer:
    """Returns the filter's scorer.

    Raises:
        SluiceError: a model cannot be loaded.
        FilterError: a filter of another distribution fails otherwise.
    """
    try:
        scorer = spec.build()
    except (SluiceError, MemoryError):
        raise
    except Exception as error:
        if origin_of(type(spec)) is None:
            raise
        raise FilterError(
            f"{title(spec)}: build() raised {type(error).__name__}: {error}; {_REMEDY}"
        ) from error
    if not callable(scorer):
        raise _breach(spec, f"build() returned {_kind(scorer)}; must be a function of a batch")
    return scorer


def scores_of(spec: Filter, score: Scorer, batch: Batch) -> Scores:
    """Returns the scores of a batch: (N,) float32, finite.

    Raises:
        FilterError: the scorer returned something else, or lacks a library: no post is to blame.
    """
    try:
        scores_N: Any = score(batch)
    except ImportError as error:
        raise FilterError(
            f"{title(spec)} cannot be used here: {type(error).__name__}: {error}; install what it needs"
        ) from error
    wrong = wrong_scores(scores_N, len(batch))
    if wrong:
        raise _breach(spec, wrong)
    if spec.screen and len(scores_N) and not (scores_N.min() >= 0 and scores_N.max() <= 1):
        raise _breach(spec, "scores of a screen must be in [0, 1]")
    checked: Scores = scores_N
    return checked


def wrong_scores(scores: Any, num_posts: int) -> str | None:
    """Returns what is wrong with the scores of some posts, or None."""
    if isinstance(scores, pa.Array | pa.ChunkedArray) and scores.null_count:
        return f"{scores.null_count} of {len(scores)} scores are null; must be one number per post"
    if not isinstance(scores, np.ndarray) or scores.dtype != np.float32:
        return f"scores are {_kind(scores)}; must be a NumPy array of float32, as on_grid makes it"
    if scores.shape != (num_posts,):
        return f"scores of {num_posts} posts have shape {scores.shape}; must be ({num_posts},)"
    bad = int(np.count_nonzero(~np.isfinite(scores)))
    if bad:
        return (
            f"{bad} of {num_posts} scores are NaN or infinite (a null becomes NaN); must be finite"
        )
    return None


def accepted(spec: Filter, scores_N: Scores, thresholds_N: Scores | None = None) -> Mask:
    """Returns the filter's verdicts: (N,) bool, true where a post is kept.

    Args:
        spec: the filter.
        scores_N: (N,) float32, its scores.
        thresholds_N: (N,) float32, what it compares them with; None for its own threshold.

    Raises:
        FilterError: `accepts` returned something else.
    """
    if thresholds_N is not None:
        is_upper = spec.bound.startswith("max_")
        return np.asarray(scores_N <= thresholds_N if is_upper else scores_N >= thresholds_N)
    mask: Any = spec.accepts(scores_N)
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != scores_N.shape:
        raise _breach(
            spec, f"accepts() returned {_kind(mask)}; must be {len(scores_N)} bools, one per score"
        )
    verdicts: Mask = mask
    return verdicts


def details(spec: Filter, batch: Batch) -> pa.StringArray | None:
    """Returns what the filter's rejects say beside the score: (N,) string, or None.

    Raises:
        FilterError: `detail` returned something else.
    """
    said: Any = spec.detail(batch)
    if said is None:
        return None
    if not isinstance(said, pa.StringArray) or len(said) != len(batch):
        raise _breach(
            spec, f"detail() returned {_kind(said)}; must be {len(batch)} strings, or None"
        )
    return said


def _breach(spec: Filter, wrong: str) -> FilterError:
    return FilterError(f"{title(spec)} breaks the contract of filters: {wrong}; {_REMEDY}")


def _kind(value: Any) -> str:
    """Returns what a value is: its type, with the type and the number of its entries where it has some."""
    package = type(value).__module__.partition(".")[0]
    kind = type(value).__name__ if package == "builtins" else f"{package}.{type(value).__name__}"
    dtype = getattr(value, "dtype", getattr(value, "type", None))
    shape = getattr(value, "shape", None) or (len(value) if hasattr(value, "__len__") else None)
    of = f" of {dtype}" if dtype is not None else ""
    return f"a {kind}{of}" + (f", {shape}" if shape is not None else "")
