"""What each phase of a job depends on, as a hash: work that lies under the same hash is reused."""

import hashlib
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from typing import Any

import msgspec

from sluice.filters.language.identify import LANGUAGE_VERSION
from sluice.filters.text.normalize import NORMALIZE_VERSION
from sluice.filters.text.views import TEXT_VIEWS_VERSION
from sluice.pipeline.ledger.tally import UNKNOWN, Counts, column, subtract
from sluice.pipeline.phases.history import versions as history
from sluice.pipeline.phases.job import Job, fingerprint
from sluice.pipeline.recipes.schema import Classifier, Recipe
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.sealed import read_sealed
from sluice.schemas.errors import RecipeError


class Result(msgspec.Struct, frozen=True):
    """A finished phase: the sums of its units' counts, by stage."""

    phase: str
    fingerprint: str
    counts: dict[str, Counts]

    def total(self, *keys: str) -> Any:
        """Returns the counts of a stage, or what lies at a path in them; {} where there is none."""
        node: Any = self.counts
        for key in keys:
            node = node.get(key, {})
        return node


@dataclass
class Results:
    """The finished phases of a run, by name."""

    by_phase: dict[str, Result] = field(default_factory=dict)

    def __getitem__(self, phase: str) -> Result:
        return self.by_phase[phase]

    @property
    def survivors(self) -> Counts:
        """What clean kept less what dedup dropped: totals and `by_*` tables of posts and text bytes."""
        left = subtract(
            self["clean"].total("clean", "kept"), self["dedup"].total("dedup_drop", "lost")
        )
        for stage in self.transformers:
            left = subtract(left, stage["lost"])
        return left

    @property
    def transformers(self) -> list[Counts]:
        """The counts of the transformers, in no order of meaning; none before they have run."""
        return (
            list(self.by_phase["classify"].counts.values()) if "classify" in self.by_phase else []
        )


def fingerprints(job: Job) -> dict[str, str]:
    """Returns the fingerprint of every phase, by name, in order; reads no data but frozen tokenizers."""
    recipe = job.recipe
    marks: dict[str, str] = {}
    marks["clean"] = fingerprint("clean", _clean_part(job))
    marks["dedup"] = fingerprint("dedup", [marks["clean"], *_dedup_part(job)])
    left = marks["dedup"]
    if recipe.transformers:
        left = marks["classify"] = fingerprint("classify", [left, *_classify_part(job)])
    frozen = recipe.vocabulary.tokenizer
    if frozen is None:
        part: list[Any] = [left, recipe.vocabulary, recipe.seed, version("tokenizers")]
    else:
        part = [hashlib.sha256(_bytes_of(frozen)).hexdigest()]
    marks["vocabulary"] = fingerprint("vocabulary", part)
    marks["tokens"] = fingerprint(
        "tokens",
        [left, marks["vocabulary"], *_tokens_part(recipe), recipe.seed],
    )
    if recipe.dedup.history is not None:
        marks["history"] = fingerprint("history", [left, marks["tokens"]])
    return marks


def _tokens_part(recipe: Recipe) -> list[Any]:
    """Returns what sequences and shards depend on; epochs and the model are for the report alone."""
    t = recipe.training
    readers = [t.data_parallel_ranks, t.workers_per_rank]
    sizes = [t.sequence_length, t.global_batch_sequences, t.target_shard_bytes, t.tokens]
    mixture = None if recipe.mixture.is_off else recipe.mixture
    return [recipe.tokens, mixture, readers, sizes]


def _bytes_of(path: str) -> bytes:
    try:
        return storage.read_bytes(path)
    except OSError as error:
        raise RecipeError(f"vocabulary.tokenizer = {path!r}: {error.strerror}") from None


def _clean_part(job: Job) -> dict[str, Any]:
    recipe = job.recipe
    return {
        "inputs": [f.identity for f in job.inventory.files],
        "columns": recipe.input.columns,
        "max_text_bytes": recipe.input.max_text_bytes,
        "unit_bytes": recipe.input.unit_bytes,
        "language": [LANGUAGE_VERSION, job.language_mark],
        "filters": [filter_mark(f) for f in recipe.filters],
        "texts": [NORMALIZE_VERSION, TEXT_VIEWS_VERSION],
        "minhash": job.minhash,
        "pyarrow": version("pyarrow"),
    }


def filter_mark(spec: Any) -> list[Any]:
    """Returns what a filter's scores and verdicts depend on: its spec, version and model."""
    return [spec, spec.version, getattr(spec, "model_sha256", "")]


def _dedup_part(job: Job) -> list[Any]:
    d = job.recipe.dedup
    rules = [d.threshold, d.keep, d.max_copies, d.count_copies, d.max_checks]
    return rules if d.history is None else [*rules, [s.name for s in history_read(job)]]


def _classify_part(job: Job) -> list[Any]:
    """Returns what transformers depend on: where the files lie is outside, what they hold is not."""
    models = [
        [_without_places(spec), located.fingerprint]
        for spec, located in zip(job.recipe.transformers, job.located, strict=True)
    ]
    return [models, job.recipe.seed, version("torch"), version("transformers")]


def _without_places(spec: Classifier) -> Classifier:
    return msgspec.structs.replace(spec, model=spec.prefix, checkpoint=None, base=None)


def history_read(job: Job) -> tuple[history.Segment, ...]:
    """Returns the segments of the history that the run reads: those in the window of its day.

    The day is known when clean is done; before that, all that the window may hold.
    """
    if not job.remembered:
        return ()
    cleaned = read_result(job, "clean", fingerprint("clean", _clean_part(job)))
    if cleaned is None:
        return job.remembered
    day = run_day(job, cleaned)
    return history.in_window(job.remembered, day=day, days=job.recipe.dedup.history_days)


def run_day(job: Job, cleaned: Result) -> date:
    """Returns the day of the run's posts: the recipe's, or the median of their times.

    Raises:
        RecipeError: the recipe names no day, and no post that clean kept has a time.
    """
    if job.recipe.dedup.history_day is not None:
        return job.recipe.dedup.history_day
    days = column(cleaned.total("clean", "kept"), "by_day", "posts")
    days.pop(UNKNOWN, None)
    before, half = 0, sum(days.values()) / 2
    for day, posts in days.items():
        before += posts
        if before >= half:
            return date.fromisoformat(day)
    raise RecipeError(
        "dedup.history_day: must be set to the day of the posts, YYYY-MM-DD: the history forgets by "
        "days, and none of the posts that were kept has a `created_at`"
    )


def read_result(job: Job, phase: str, mark: str) -> Result | None:
    """Returns the result that a phase wrote when it was done, or None."""
    try:
        return read_sealed(storage.join(job.work(phase, mark), "phase.json"), Result)
    except (FileNotFoundError, ValueError):
        return None
