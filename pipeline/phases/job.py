"""A job: a recipe, its inputs and its output; and what each of its phases depends on.

Each phase has a fingerprint: its recipe sections, the versions of the filters and models it uses, and
the fingerprints of what it reads. Its work lies in a folder named by it, so that changing a threshold
reruns what depends on it and nothing else. Workers, memory and Beam flags are outside.
"""

import hashlib
import math
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from importlib.metadata import version
from typing import Any

import msgspec

from sluice.filters.language.identify import LANGUAGE_VERSION, identifier_fingerprint
from sluice.filters.dedup.minhash import MinHashSpec
from sluice.filters.text.normalize import NORMALIZE_VERSION
from sluice.filters.text.views import TEXT_VIEWS_VERSION
from sluice.filters.transformers.load import Located, locate
from sluice.pipeline.phases.history import versions as history
from sluice.pipeline.storage import files as storage
from sluice.pipeline.inputs.inventory import Inventory, cut
from sluice.pipeline.ledger.balance import UNKNOWN, Counts, column, subtract
from sluice.pipeline.inputs.reader import ReadOptions
from sluice.pipeline.recipes.schema import Classifier, Recipe, canonical
from sluice.pipeline.units.stage import read_sealed
from sluice.schemas.errors import InputError, RecipeError, did_you_mean

FORMAT = 5
"""Raised when the intermediate files change shape: finished units of another format are not reused."""

INPUT_EXPANSION = {"gz": 4.0, "zst": 5.0, "parquet": 3.0}
"""Bytes of JSON for a byte of a compressed input, about; only plans and partition counts use it."""
KEY_PARTITION_BYTES = 32 << 20
MAX_PARTITIONS = 4096
MAX_UNITS = 100_000
"""Units are named by five digits, so that the order of names is the order of rows."""


@dataclass(frozen=True)
class Job:
    """What is to be done, to which files, and where the result goes."""

    recipe: Recipe
    inventory: Inventory
    output: str

    @cached_property
    def input_bytes(self) -> int:
        """Bytes of JSON that the inputs hold, about."""
        total = 0.0
        for file in self.inventory.files:
            total += file.bytes * INPUT_EXPANSION.get(str(file.format).rpartition(".")[2], 1.0)
        return int(total)

    @property
    def minhash(self) -> MinHashSpec:
        """How duplicates are looked for."""
        d = self.recipe.dedup
        return MinHashSpec(bands=d.bands, rows=d.rows, ngram=d.ngram, seed=self.recipe.seed)

    @cached_property
    def inputs_mark(self) -> str:
        """Returns a hash of the inputs' names and contents."""
        files = [f.identity for f in self.inventory.files]
        return fingerprint("inputs", files)

    @cached_property
    def remembered(self) -> tuple[history.Segment, ...]:
        """The segments of the history that this run may read, as they stood at the first look.

        A run holds the history's lock from before that look to its end.
        """
        folder = self.recipe.dedup.history
        version = history.current(folder) if folder is not None else None
        if folder is None or version is None:
            return ()
        history.check_sketch(version, self.sketch, folder=folder)
        return history.before(version, inputs=self.inputs_mark)

    @cached_property
    def language_mark(self) -> str:
        """The fingerprint of the language models, read once: they are large."""
        return identifier_fingerprint(self.recipe.language.model)

    @property
    def sketch(self) -> history.Sketch:
        """What the keys and texts of a history depend on."""
        return history.sketch(self.minhash)

    @cached_property
    def located(self) -> tuple[Located, ...]:
        """The files of each transformer, found and checked.

        Raises:
            InputError: the packages are missing, or a file is missing or not the one that was pinned.
            RecipeError: a threshold is of a label that the model does not have.
        """
        return tuple(map(_located, self.recipe.transformers))

    @property
    def screens(self) -> tuple[str, ...]:
        """The filters that run a model, in recipe order."""
        return tuple(f.name for f in self.recipe.filters if f.screen)

    def work(self, phase: str, fingerprint: str, stage: str = "") -> str:
        """Returns the folder of a phase's or a stage's work."""
        folder = storage.join(self.output, "work", f"{phase}-{fingerprint[:12]}")
        return storage.join(folder, stage) if stage else folder


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


def fingerprint(phase: str, part: Any) -> str:
    """Returns the SHA-256, in hex, of what a phase depends on."""
    about = {"phase": phase, "format": FORMAT, "sluice": version("sluice"), "part": canonical(part)}
    return hashlib.sha256(msgspec.json.encode(about, order="sorted")).hexdigest()


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


def _located(spec: Classifier) -> Located:
    found = locate(spec)
    for key in ("max_scores", "min_scores"):
        for label in getattr(spec, key):
            if label not in found.labels:
                raise RecipeError(
                    f"transformers.{spec.prefix}.{key}.{label}: the model has no such label"
                    f"{did_you_mean(label, found.labels)}; it has {', '.join(found.labels)}"
                )
    return found


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


def key_partitions(job: Job) -> int:
    """Returns the partitions of the key exchange: enough that each fits a small part of memory."""
    return min(MAX_PARTITIONS, max(8, math.ceil(job.input_bytes / KEY_PARTITION_BYTES)))


def read_options(recipe: Recipe) -> ReadOptions:
    """Returns how the reader is to read."""
    return ReadOptions(columns=recipe.input.columns, max_text_bytes=recipe.input.max_text_bytes)


def input_units(job: Job) -> list[Any]:
    """Returns the pieces that the input is cut into, in the order of their rows."""
    units = list(cut(job.inventory, unit_bytes=job.recipe.input.unit_bytes))
    if len(units) > MAX_UNITS:
        raise InputError(
            f"{len(units):,} units are more than {MAX_UNITS:,}: raise input.unit_bytes, or give Sluice "
            f"fewer and larger files"
        )
    return units
