"""What a filter is: a frozen spec with one score, one threshold and one reason, applied to columns.

A spec says what to measure and where to draw the line; `build()` makes the machine that measures
(and may load a model). Score, then decide: the same scorer serves `sluice score`, which decides
nothing, and `sluice run`, so that thresholds can be chosen from data.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Protocol

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.fasttext.classifier import FastTextClassifier, read_together
from sluice.filters.fasttext.output import Hidden
from sluice.filters.text.features import TextFeatures, text_features
from sluice.filters.text.views import classifier_text, dedup_text
from sluice.schemas.reject import ERROR, POLICY, reject_batch

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Scores = np.ndarray[Any, np.dtype[np.float32]]

SCORE_GRID = 2.0**-16
"""Scores and thresholds are rounded to this grid before they are compared, so that the last bits of a
floating-point sum, which may differ between machines, decide nothing."""


def on_grid(values: Any) -> Scores:
    """Returns float32 values rounded to the grid; from 256 upward float32 itself is coarser."""
    rounded = np.rint(np.asarray(values, np.float64) / SCORE_GRID) * SCORE_GRID
    return np.asarray(rounded, np.float32)


class Languages(NamedTuple):
    """The predicted language of N texts.

    Attributes:
        language: (N,) string, ISO 639-1 where there is one, else 639-3; never null.
        language_group: (N,) string, the macrolanguage (ar, no, zh) or the language itself.
        confidence_N: (N,) float32 in [0, 1], the probability of `language`.
    """

    language: pa.StringArray
    language_group: pa.StringArray
    confidence_N: Scores

    def filter(self, mask_N: Mask) -> "Languages":
        """Returns the rows where the mask is true."""
        mask = pa.array(mask_N)
        return Languages(
            self.language.filter(mask), self.language_group.filter(mask), self.confidence_N[mask_N]
        )


Hiddens = Mapping[FastTextClassifier, Hidden]
"""What some fastText models make of the same texts; a model that is not there reads them itself."""


class LanguageIdentifier(Protocol):
    """A machine that names languages; `sluice.filters.language.identify` has the shipped one.

    One that runs fastText models names them in an attribute `classifiers`, so that a batch reads its
    texts for all models at once.
    """

    def __call__(self, texts: pa.StringArray, hidden: Hiddens = ..., /) -> Languages:
        """Returns the language of each text (classifier text), a pure function of that text.

        `hidden` is what models of the machine make of the texts, where that is known already.
        """
        ...


class Batch:
    """A POST batch and what is derived from it: computed when first asked for, shared by all filters.

    Attributes:
        posts: the rows, of POST schema, with text already normalised.

    Args:
        identify: names languages.
        classifiers: fastText models that will read the classifier text: all do at once.
    """

    def __init__(
        self,
        posts: pa.RecordBatch,
        identify: LanguageIdentifier | None = None,
        classifiers: Sequence[FastTextClassifier] = (),
    ):
        self.posts = posts
        self._identify = identify
        self._classifiers = classifiers

    def __len__(self) -> int:
        return int(self.posts.num_rows)

    @property
    def text(self) -> pa.StringArray:
        """(N,) string, the normalised text."""
        return self.posts.column("text")

    @cached_property
    def features(self) -> TextFeatures:
        """Counts of characters, words and marks, from one pass over the text."""
        return text_features(self.text)

    @cached_property
    def classifier_text(self) -> pa.StringArray:
        """(N,) string, what language, spam and toxicity models read."""
        return classifier_text(self.text)

    @cached_property
    def dedup_text(self) -> pa.StringArray:
        """(N,) string, the text that duplicates are compared by."""
        return dedup_text(self.text)

    @cached_property
    def languages(self) -> Languages:
        """The predicted language of each text."""
        if self._identify is None:
            raise TypeError("this batch has no language identifier: pass one to Batch()")
        return self._identify(self.classifier_text, self.hidden)

    @cached_property
    def hidden(self) -> Hiddens:
        """What each of the batch's models makes of the classifier text."""
        if not self._classifiers:
            return {}
        read = read_together(self.classifier_text, self._classifiers)
        return dict(zip(self._classifiers, read, strict=True))

    def filter(self, mask_N: Mask) -> "Batch":
        """Returns the rows where the mask is true, with what was already derived."""
        kept = Batch(self.posts.filter(pa.array(mask_N)), self._identify, self._classifiers)
        for name in ("classifier_text", "dedup_text"):
            if name in self.__dict__:
                kept.__dict__[name] = self.__dict__[name].filter(pa.array(mask_N))
        for name in ("features", "languages"):
            if name in self.__dict__:
                kept.__dict__[name] = self.__dict__[name].filter(mask_N)
        if "hidden" in self.__dict__:
            kept.__dict__["hidden"] = {
                model: Hidden(found.mean_NS[mask_N], found.num_rows_N[mask_N])
                for model, found in self.hidden.items()
            }
        return kept


Scorer = Callable[[Batch], Scores]
"""(N,) float32 on the grid, never NaN; pure: row i depends on row i alone."""


class Filter(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="filter"
):
    """Base of all filters. A subclass sets `tag` (its name), the class variables, one bound and `build`.

    Attributes:
        reason: what was wrong with a post that the filter rejects.
        version: raised whenever the same spec gives other scores or verdicts.
        bound: the field that holds the threshold; `min_*` and `max_*` are inclusive.
        costly: the scorer runs a model, so rows already rejected are taken out before it.
        screen: a model that judges posts, with scores in [0, 1]: they are counted by language, and a
            transformer can take the posts that it is unsure of.
    """

    reason: ClassVar[str]
    version: ClassVar[int] = 1
    bound: ClassVar[str]
    costly: ClassVar[bool] = False
    screen: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The filter's name in recipes, rejects and score columns."""
        return str(type(self).__struct_config__.tag)

    @property
    def threshold(self) -> float:
        """The bound, on the score grid."""
        return float(on_grid(getattr(self, self.bound)))

    def build(self) -> Scorer:
        """Returns the machine that scores; raises SluiceError where a model cannot be loaded."""
        raise TypeError(f"{type(self).__name__} does not define build()")

    def accepts(self, scores_N: Scores) -> Mask:
        """Returns (N,) bool, true where the score is on the right side of the threshold."""
        if self.bound.startswith("max_"):
            return np.asarray(scores_N <= np.float32(self.threshold))
        return np.asarray(scores_N >= np.float32(self.threshold))

    def detail(self, batch: Batch) -> pa.StringArray | None:
        """Returns what a reject row says beside the score, or None; never post text."""
        return None


class Screened(NamedTuple):
    """What a screen (a filter that runs a model) saw.

    Attributes:
        name: of the filter.
        batch: posts, among them all that reached it.
        scores_N: (N,) float32, their scores.
        reached_N: (N,) bool, true where no earlier filter had said no.
        rejected_N: (N,) bool, true where it reached the screen, and that said no.
    """

    name: str
    batch: Batch
    scores_N: Scores
    reached_N: Mask
    rejected_N: Mask


class Partition(NamedTuple):
    """Every row of a batch, once.

    Attributes:
        kept: the batch of kept rows, in their order.
        scores: filter name -> (len(kept),) float32.
        rejected: REJECT rows, in the order of the filters, then of the rows.
        steps: filter name -> {"posts_in", "posts_out", "usec"}, in the order of the filters.
        screened: what each screen saw, in the order of the filters.
    """

    kept: Batch
    scores: dict[str, Scores]
    rejected: pa.RecordBatch
    steps: dict[str, dict[str, int]]
    screened: tuple[Screened, ...] = ()


Machine = tuple[Filter, Scorer]
SPARSE = 7 / 8
"""Before a model runs, rows already rejected are taken out where no more than this share is left."""


def classifiers_of(*machines: Any) -> tuple[FastTextClassifier, ...]:
    """Returns the fastText models of identifiers and scorers, each once, in order."""
    found = [model for machine in machines for model in getattr(machine, "classifiers", ())]
    return tuple(dict.fromkeys(found))


STAGE_NOTE = "sluice stage: "
"""Begins the note that names the failing filter on an exception."""


def partition(batch: Batch, machines: Sequence[Machine], *, phase: str) -> Partition:
    """Splits a batch: the first filter in order that says no gives the reason.

    Args:
        batch: N posts.
        machines: filters with their scorers, in recipe order.
        phase: the phase that reject rows name.
    """
    alive_N = np.ones(len(batch), np.bool_)
    scores: dict[str, Scores] = {}
    rejected: list[pa.RecordBatch] = []
    steps: dict[str, dict[str, int]] = {}
    screened: list[Screened] = []
    for spec, score in machines:
        begun, posts_in = time.perf_counter_ns(), int(alive_N.sum())
        if spec.costly and posts_in <= SPARSE * len(alive_N):
            batch, scores = _only(batch, scores, alive_N)
            alive_N = np.ones(posts_in, np.bool_)
        scores_N = _scored(batch, spec, score)
        said_no_N = alive_N & ~spec.accepts(scores_N)
        if spec.screen:
            screened.append(Screened(spec.name, batch, scores_N, alive_N, said_no_N))
        if said_no_N.any():
            rejected.append(_rejects(batch, said_no_N, spec, scores_N, phase=phase))
            alive_N = alive_N & ~said_no_N
        scores[spec.name] = scores_N
        usec = (time.perf_counter_ns() - begun) // 1000
        steps[spec.name] = {"posts_in": posts_in, "posts_out": int(alive_N.sum()), "usec": usec}
    if not alive_N.all():
        batch, scores = _only(batch, scores, alive_N)
    return Partition(batch, scores, concat_rejects(rejected), steps, tuple(screened))


def _scored(batch: Batch, spec: Filter, score: Scorer) -> Scores:
    try:
        return score(batch)
    except Exception as failure:
        failure.add_note(f"{STAGE_NOTE}{spec.name}")
        raise


def isolate_failures(
    batch: Batch, apply: Callable[[Batch], Partition], *, phase: str, stage: str
) -> Iterator[Partition]:
    """Applies a function to a batch so that a row that makes it raise takes no other row with it.

    Where `apply` raises, the batch is halved until the failing rows stand alone; each becomes a dead
    letter of kind `error` that names the exception's type. Cost: one call where all is well,
    2 k log2(N) calls for k failing rows.

    Args:
        batch: N posts.
        apply: raises on a bad row; pure.
        phase: the phase that dead letters name.
        stage: the stage that dead letters name.

    Yields:
        Partitions that together hold every row once, in the order of the rows.
    """
    try:
        yield apply(batch)
    except MemoryError:
        raise
    except Exception as failure:
        n = len(batch)
        if n <= 1:
            nobody = batch.filter(np.zeros(n, np.bool_))
            yield Partition(nobody, {}, _dead_letters(batch, failure, phase=phase, stage=stage), {})
            return
        first_N = np.arange(n) < n // 2
        for half in (batch.filter(first_N), batch.filter(~first_N)):
            yield from isolate_failures(half, apply, phase=phase, stage=stage)


def concat_rejects(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Returns the rows of all batches in one."""
    if not batches:
        return reject_batch(0, {})
    return pa.concat_batches(batches)


def _only(batch: Batch, scores: dict[str, Scores], mask_N: Mask) -> tuple[Batch, dict[str, Scores]]:
    return batch.filter(mask_N), {name: s[mask_N] for name, s in scores.items()}


def _rejects(
    batch: Batch, mask_N: Mask, spec: Filter, scores_N: Scores, *, phase: str
) -> pa.RecordBatch:
    detail = spec.detail(batch)
    return reject_batch(
        int(mask_N.sum()),
        {
            **_origin(batch, mask_N),
            "kind": POLICY,
            "phase": phase,
            "stage": spec.name,
            "reason": spec.reason,
            "score": pa.array(scores_N[mask_N]),
            "threshold": float(getattr(spec, spec.bound)),
            "detail": None if detail is None else detail.filter(pa.array(mask_N)),
        },
    )


def _dead_letters(batch: Batch, failure: Exception, *, phase: str, stage: str) -> pa.RecordBatch:
    everyone_N = np.ones(len(batch), np.bool_)
    notes = getattr(failure, "__notes__", [])
    return reject_batch(
        len(batch),
        {
            **_origin(batch, everyone_N),
            "kind": ERROR,
            "phase": phase,
            "stage": next(
                (n.removeprefix(STAGE_NOTE) for n in notes if n.startswith(STAGE_NOTE)), stage
            ),
            "reason": type(failure).__name__,
        },
    )


def _origin(batch: Batch, mask_N: Mask) -> dict[str, Any]:
    columns = ("post_id", "source_file", "source_row")
    mask = pa.array(mask_N)
    return {name: pc.filter(batch.posts.column(name), mask) for name in columns}
