"""What holds a filter to the rules that all filters follow, for the tests of whoever writes one.

`check_filter(spec, posts)` raises an AssertionError that names the rule which a filter breaks. Sluice's own
filters are held to the same rules by the same function, on posts that Hypothesis draws.
"""

import pickle
import re
import sys

import msgspec
import numpy as np
import pyarrow as pa

from sluice.filters.base import SCORE_GRID, Filter, Scorer, on_grid
from sluice.filters.batch import Batch, Views

__all__ = ["check_filter", "check_scores", "check_spec"]


def check_filter(spec: Filter, posts: pa.RecordBatch, *, views: Views | None = None) -> None:
    """Holds a filter to the contract of `sluice.filters.base`.

    Args:
        spec: a filter with its settings.
        posts: a POST batch that its scorer is tried on, whole, cut in two, and with rows taken out.
        views: views of a batch that models make, where the filter asks for them.

    Raises:
        AssertionError: a rule is broken; the message says which.
    """
    check_spec(spec)
    check_scores(spec, spec.build(), posts, views=views)


def check_spec(spec: Filter) -> None:
    """Raises an AssertionError unless a spec is a value, documented, with a bound that is inclusive."""
    kind = type(spec)
    assert spec == pickle.loads(pickle.dumps(spec)), f"{spec.name}: is not equal after pickling"
    assert hash(spec) == hash(pickle.loads(pickle.dumps(spec))), f"{spec.name}: hashes differently"
    assert re.fullmatch(r"[a-z_][a-z0-9_]*", spec.reason), (
        f"{spec.name}: reason {spec.reason!r} must be a name in lower case"
    )
    assert spec.version >= 1, f"{spec.name}: version must be at least 1"
    assert spec.bound.startswith(("min_", "max_")), (
        f"{spec.name}: bound {spec.bound!r} must begin with min_ or max_"
    )
    assert "Score:" in str(kind.__doc__), f"{spec.name}: the docstring must say what is scored"
    assert sys.modules[kind.__module__].__doc__, f"{spec.name}: its module has no docstring"
    for field in msgspec.structs.fields(kind):
        assert f"{field.name}:" in str(kind.__doc__), (
            f"{spec.name}: {field.name} is not in the docstring"
        )
    _check_bound(spec)


def _check_bound(spec: Filter) -> None:
    step = max(SCORE_GRID, float(np.spacing(np.float32(spec.threshold))))
    beyond = step if spec.bound.startswith("max_") else -step
    scores = on_grid([spec.threshold, spec.threshold + beyond, spec.threshold - beyond])
    assert spec.accepts(scores).tolist() == [True, False, True], (
        f"{spec.name}: a score at the threshold must be accepted, and one beyond it rejected"
    )


def check_scores(
    spec: Filter, score: Scorer, posts: pa.RecordBatch, *, views: Views | None = None
) -> None:
    """Raises an AssertionError unless scores are finite, on the grid, and those of each post alone.

    Args:
        spec: of the filter.
        score: what its `build` returned.
        posts: a POST batch of N rows.
        views: views of a batch that models make.
    """
    batch, name, n = Batch(posts, views), spec.name, posts.num_rows
    scores_N = score(batch)
    assert getattr(scores_N, "dtype", None) == np.float32, (
        f"{name}: scores must be a NumPy array of float32"
    )
    assert scores_N.shape == (n,), f"{name}: {n} posts have scores of shape {scores_N.shape}"
    assert np.isfinite(scores_N).all(), f"{name}: a score is not a finite number"
    assert (scores_N == on_grid(scores_N)).all(), f"{name}: scores must be rounded by `on_grid`"
    parts = [score(Batch(posts.slice(0, n // 2), views)), score(Batch(posts.slice(n // 2), views))]
    assert np.concatenate(parts).tolist() == scores_N.tolist(), (
        f"{name}: scores depend on how posts are cut into batches"
    )
    odd_N = np.arange(n) % 2 == 1
    assert score(batch.filter(odd_N)).tolist() == scores_N[odd_N].tolist(), (
        f"{name}: scores depend on the other posts of a batch"
    )
    copied = pa.RecordBatch.from_pylist(posts.to_pylist(), schema=posts.schema)
    assert score(Batch(copied, views)).tolist() == scores_N.tolist(), (
        f"{name}: scores depend on where the posts are in memory"
    )
