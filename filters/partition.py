"""A batch split by filters: the first that rejects a row gives the reason, and no row is lost."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sluice.filters.base import Filter, Scorer
from sluice.filters.batch import Batch, Mask, Scores
from sluice.filters.contract import accepted, details, scores_of
from sluice.filters.lists.decide import Listed
from sluice.filters.privacy.spans import Spans
from sluice.schemas.errors import FilterError
from sluice.schemas.reject import ERROR, ORIGIN, POLICY, reject_batch, rejects_of


class Screened(NamedTuple):
    """What a screen (a filter that runs a model) saw.

    Attributes:
        name: of the filter.
        batch: posts, among them all that reached it.
        scores_N: (N,) float32, their scores.
        reached_N: (N,) bool, true where no earlier filter rejected the post.
        rejected_N: (N,) bool, true where it reached the screen, which rejected it.
    """

    name: str
    batch: Batch
    scores_N: Scores
    reached_N: Mask
    rejected_N: Mask


class FilterStep(NamedTuple):
    """Posts that reached a filter, posts that passed it, and microseconds."""

    posts_in: int
    posts_out: int
    usec: int


class Verdicts(NamedTuple):
    """What filters decided on a batch: every row of it, once.

    Attributes:
        kept: the batch of kept rows, in their order.
        scores: filter name -> (len(kept),) float32.
        rejected: REJECT rows, in the order of the filters, then of the rows.
        steps: filter name -> its step, in the order of the filters.
        screened: what each screen saw, in the order of the filters.
        listed: what lists decided before the filters; None where there are none.
        masked: where personal data stood in the kept texts before it was masked; None where nothing is.
    """

    kept: Batch
    scores: dict[str, Scores]
    rejected: pa.RecordBatch
    steps: dict[str, FilterStep]
    screened: tuple[Screened, ...] = ()
    listed: Listed | None = None
    masked: Spans | None = None


Machine = tuple[Filter, Scorer]
SPARSE = 7 / 8
"""Before a model runs, rows already rejected are taken out where no more than this share is left."""


STAGE_NOTE = "sluice stage: "
"""Begins the note that names the failing stage on an exception."""


def partition(batch: Batch, machines: Sequence[Machine], *, phase: str) -> Verdicts:
    """Splits a batch: the first filter in order that rejects a post gives the reason.

    Args:
        batch: N posts.
        machines: filters with their scorers, in recipe order.
        phase: the phase that reject rows name.

    Raises:
        FilterError: a filter breaks the contract.

    >>> from sluice.filters.rules.min_words import MinWords
    >>> from sluice.schemas.post import POST
    >>> rows = [{"post_id": text, "text": text, "source_file": "a", "source_row": 0, "row_key": 0}
    ...         for text in ("one", "one two three")]
    >>> spec, batch = MinWords(min_words=2), Batch(pa.RecordBatch.from_pylist(rows, POST))
    >>> parts = partition(batch, [(spec, spec.build())], phase="clean")
    >>> parts.kept.text.to_pylist(), parts.rejected.column("reason").to_pylist()
    (['one two three'], ['too_few_words'])
    """
    alive_N = np.ones(len(batch), np.bool_)
    scores: dict[str, Scores] = {}
    rejected: list[pa.RecordBatch] = []
    steps: dict[str, FilterStep] = {}
    screened: list[Screened] = []
    for spec, score in machines:
        begun, posts_in = time.perf_counter_ns(), int(alive_N.sum())
        if spec.costly and posts_in <= SPARSE * len(alive_N):
            batch, scores = _only(batch, scores, alive_N)
            alive_N = np.ones(posts_in, np.bool_)
        scores_N, thresholds_N, accepted_N = _judged(batch, spec, score)
        rejected_N = alive_N & ~accepted_N
        if spec.screen:
            screened.append(Screened(spec.name, batch, scores_N, alive_N, rejected_N))
        if rejected_N.any():
            threshold = _threshold(spec, thresholds_N, rejected_N)
            rejected.append(_rejects(batch, rejected_N, spec, scores_N, threshold, phase=phase))
            alive_N = alive_N & ~rejected_N
        scores[spec.name] = scores_N
        usec = (time.perf_counter_ns() - begun) // 1000
        steps[spec.name] = FilterStep(posts_in, int(alive_N.sum()), usec)
    if not alive_N.all():
        batch, scores = _only(batch, scores, alive_N)
    return Verdicts(batch, scores, concat_rejects(rejected), steps, tuple(screened))


def _judged(batch: Batch, spec: Filter, score: Scorer) -> tuple[Scores, Scores | None, Mask]:
    """Returns scores, thresholds where they are not the same for all posts, and verdicts."""
    with stage_named(spec.name):
        scores_N = scores_of(spec, score, batch)
        thresholds_N = spec.thresholds(batch)
        return scores_N, thresholds_N, accepted(spec, scores_N, thresholds_N)


def _threshold(spec: Filter, thresholds_N: Scores | None, mask_N: Mask) -> float | pa.Array:
    """Returns what the rejects of a filter were compared with, as a reject row has it."""
    if thresholds_N is None:
        return float(getattr(spec, spec.bound))
    return pa.array(thresholds_N[mask_N])


@contextlib.contextmanager
def stage_named(name: str) -> Iterator[None]:
    """Notes the name of a stage, such as that of a filter, on an exception."""
    try:
        yield
    except Exception as failure:
        failure.add_note(f"{STAGE_NOTE}{name}")
        raise


def isolate_failures(
    batch: Batch, apply: Callable[[Batch], Verdicts], *, phase: str, stage: str
) -> Iterator[Verdicts]:
    """Applies a function to a batch so that a row that makes it raise takes no other row with it.

    Where `apply` raises, the batch is halved until the failing rows are alone; each becomes a dead
    letter of kind `error` that names the exception's type. Cost: one call where no row fails,
    2 k log2(N) calls for k failing rows.

    Args:
        batch: N posts.
        apply: raises on a bad row; pure. MemoryError and FilterError are not of a row, and are passed on.
        phase: the phase that dead letters name.
        stage: the stage that dead letters name.

    Yields:
        Partitions that together hold every row once, in the order of the rows.
    """
    try:
        yield apply(batch)
    except (MemoryError, FilterError):
        raise
    except Exception as failure:
        n = len(batch)
        if n <= 1:
            none = batch.filter(np.zeros(n, np.bool_))
            yield Verdicts(none, {}, _dead_letters(batch, failure, phase=phase, stage=stage), {})
            return
        first_N = np.arange(n) < n // 2
        for half in (batch.filter(first_N), batch.filter(~first_N)):
            yield from isolate_failures(half, apply, phase=phase, stage=stage)


def concat_rejects(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Returns the rows of all batches in one."""
    return pa.concat_batches([reject_batch(0, {}), *batches])


def _only(batch: Batch, scores: dict[str, Scores], mask_N: Mask) -> tuple[Batch, dict[str, Scores]]:
    return batch.filter(mask_N), {name: s[mask_N] for name, s in scores.items()}


def _rejects(
    batch: Batch,
    mask_N: Mask,
    spec: Filter,
    scores_N: Scores,
    threshold: float | pa.Array,
    *,
    phase: str,
) -> pa.RecordBatch:
    mask = pa.array(mask_N)
    with stage_named(spec.name):
        detail = details(spec, batch)
    return rejects_of(
        batch.posts.select(ORIGIN).filter(mask),
        kind=POLICY,
        phase=phase,
        stage=spec.name,
        reason=spec.reason,
        score=pa.array(scores_N[mask_N]),
        threshold=threshold,
        detail=None if detail is None else detail.filter(mask),
    )


def _dead_letters(batch: Batch, failure: Exception, *, phase: str, stage: str) -> pa.RecordBatch:
    notes = getattr(failure, "__notes__", [])
    stages = [n.removeprefix(STAGE_NOTE) for n in notes if n.startswith(STAGE_NOTE)]
    about = {"kind": ERROR, "phase": phase, "stage": [*stages, stage][0]}
    return rejects_of(batch.posts, **about, reason=type(failure).__name__)
