"""Which phases a run has, in what order, and what is done already.

Each phase has a fingerprint: its recipe sections, the versions of the filters and models it uses, and
the fingerprints of what it reads. Its work lies in a folder named by it, so that changing a threshold
reruns what depends on it and nothing else. Workers, memory and Beam flags are outside.
"""

import hashlib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec

from filters.language import LANGUAGE_VERSION, identifier_fingerprint
from filters.minhash import MinHashSpec
from filters.normalize import NORMALIZE_VERSION
from filters.text_views import TEXT_VIEWS_VERSION
from pipeline import clean, dedup, tokens, vocabulary
from pipeline.inputs import Inventory, cut
from pipeline.ledger import Counts, column, subtract
from pipeline.reading import ReadOptions
from pipeline.recipe import Recipe, canonical
from pipeline.survivors import Survivors
from pipeline.units import DoUnits, Stage, Unit, add_counts, done_units, write_json
from schemas.errors import InputError, RecipeError
from tokenizer.vocabulary import load_vocabulary

FORMAT = 1
"""Raised when the intermediate files change shape: finished units of another format are not reused."""

INPUT_EXPANSION = {"gz": 4.0, "zst": 5.0, "parquet": 3.0}
"""Bytes of JSON for a byte of a compressed input, about; only plans and partition counts use it."""
KEY_PARTITION_BYTES = 16 << 20
MAX_PARTITIONS = 4096
MAX_UNITS = 100_000
"""Units are named by five digits, so that the order of names is the order of rows."""
POSTS_IN_SETTLE_PARTITION = 100_000


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

    def work(self, phase: str, fingerprint: str, stage: str = "") -> str:
        """Returns the folder of a phase's or a stage's work."""
        return os.path.join(self.output, "work", f"{phase}-{fingerprint[:12]}", stage).rstrip("/")


@dataclass(frozen=True)
class Plan:
    """A phase, ready to run.

    Attributes:
        elements: what the graph starts from; the first stage has a unit for each.
        transform: the graph.
        stages: in order; where their units' manifests appear.
        posts: posts that the phase reads, about, for the progress display.
        zero: what the counts of stages begin from, where they must be there without a unit.
    """

    name: str
    fingerprint: str
    folder: str
    elements: Sequence[Any]
    transform: beam.PTransform
    stages: Sequence[Stage]
    posts: int
    zero: dict[str, Counts] = field(default_factory=dict)


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
        kept = self["clean"].total("clean", "kept")
        return subtract(kept, self["dedup"].total("dedup_drop", "lost"))


def fingerprint(phase: str, part: Any) -> str:
    """Returns the SHA-256, in hex, of what a phase depends on."""
    about = {"phase": phase, "format": FORMAT, "sluice": version("sluice"), "part": canonical(part)}
    return hashlib.sha256(msgspec.json.encode(about, order="sorted")).hexdigest()


def fingerprints(job: Job) -> dict[str, str]:
    """Returns the fingerprint of every phase, by name, in order; reads no data but frozen tokenizers."""
    recipe = job.recipe
    marks: dict[str, str] = {}
    marks["clean"] = fingerprint("clean", _clean_part(job))
    marks["dedup"] = fingerprint(
        "dedup",
        [marks["clean"], recipe.dedup.threshold, recipe.dedup.keep, recipe.dedup.max_checks],
    )
    frozen = recipe.vocabulary.tokenizer
    if frozen is None:
        part: list[Any] = [marks["dedup"], recipe.vocabulary, recipe.seed, version("tokenizers")]
    else:
        part = [hashlib.sha256(_bytes_of(frozen)).hexdigest()]
    marks["vocabulary"] = fingerprint("vocabulary", part)
    marks["tokens"] = fingerprint(
        "tokens",
        [marks["dedup"], marks["vocabulary"], recipe.tokens, recipe.training, recipe.seed],
    )
    return marks


def _bytes_of(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise RecipeError(f"vocabulary.tokenizer = {path!r}: {error.strerror}") from None


def _clean_part(job: Job) -> dict[str, Any]:
    recipe = job.recipe
    return {
        "inputs": [(f.path, f.bytes, f.sha256) for f in job.inventory.files],
        "columns": recipe.input.columns,
        "max_text_bytes": recipe.input.max_text_bytes,
        "unit_bytes": recipe.input.unit_bytes,
        "language": [LANGUAGE_VERSION, identifier_fingerprint(recipe.language.model)],
        "filters": [filter_mark(f) for f in recipe.filters],
        "texts": [NORMALIZE_VERSION, TEXT_VIEWS_VERSION],
        "minhash": job.minhash,
        "pyarrow": version("pyarrow"),
    }


def filter_mark(spec: Any) -> list[Any]:
    """Returns what a filter's scores and verdicts depend on: its spec, version and model."""
    return [spec, spec.version, getattr(spec, "model_sha256", "")]


def key_partitions(job: Job) -> int:
    """Returns the partitions of the key exchange: enough that each fits a small part of memory."""
    return min(MAX_PARTITIONS, max(8, math.ceil(job.input_bytes / KEY_PARTITION_BYTES)))


def plan_clean(job: Job, results: Results) -> Plan:
    """Returns the clean phase: one unit for each piece of the input."""
    mark = fingerprints(job)["clean"]
    folder = job.work("clean", mark)
    stage = clean.CleanStage(
        folder=os.path.join(folder, "clean"),
        output=job.output,
        root=job.inventory.root,
        options=read_options(job.recipe),
        filters=job.recipe.filters,
        language_model=job.recipe.language.model,
        minhash=job.minhash,
        num_partitions=key_partitions(job),
    )
    units = [Unit(f"unit-{i:05d}", msgspec.to_builtins(u)) for i, u in enumerate(input_units(job))]
    zero = {stage.name: clean.NO_COUNTS}
    return Plan("clean", mark, folder, units, clean.Clean(stage), [stage], 0, zero)


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


def plan_dedup(job: Job, results: Results) -> Plan:
    """Returns the dedup phase, over the finished clean units."""
    mark = fingerprints(job)["dedup"]
    folder = job.work("dedup", mark)
    cleaned = done_units(job.work("clean", results["clean"].fingerprint, "clean"))
    posts = _dense(cleaned[0].folder if cleaned else "", cleaned, input_units(job))
    d = job.recipe.dedup

    def at(stage: str) -> str:
        return os.path.join(folder, stage)

    planned = dedup.DedupPlan(
        dedup.Buckets(at("buckets"), posts),
        dedup.Join(at("join"), posts),
        dedup.Ship(
            at("ship"),
            posts,
            d.keep,
            max(4, math.ceil(posts.first[-1] / POSTS_IN_SETTLE_PARTITION)),
        ),
        dedup.Settle(at("settle"), posts, job.minhash, d.threshold, d.max_checks),
        dedup.Drop(at("drop"), posts, job.output, d.threshold),
    )
    stages: list[Stage] = [
        planned.buckets,
        planned.join,
        planned.ship,
        planned.settle,
        planned.drop,
    ]
    return Plan("dedup", mark, folder, cleaned, dedup.Dedup(planned), stages, posts.first[-1])


def _dense(folder: str, cleaned: Sequence[Any], units: Sequence[Any]) -> dedup.Posts:
    first = [0]
    for done in cleaned:
        first.append(first[-1] + done.manifest().counts["kept"].get("posts", 0))
    names = tuple(done.unit for done in cleaned)
    return dedup.Posts(folder, names, tuple(first), tuple(u.path for u in units))


def survivors_of(job: Job, results: Results) -> Survivors:
    """Returns where the posts that are left are; a phase that drops more adds its folder here."""
    return Survivors(
        job.work("clean", results["clean"].fingerprint, "clean"),
        (job.work("dedup", results["dedup"].fingerprint, "drop"),),
    )


def _survivor_units(job: Job, results: Results) -> list[Unit]:
    return [Unit(d.unit) for d in done_units(survivors_of(job, results).clean)]


def plan_vocabulary(job: Job, results: Results) -> Plan:
    """Returns the vocabulary phase: train a tokenizer, or take a frozen one."""
    mark, section = fingerprints(job)["vocabulary"], job.recipe.vocabulary
    folder = job.work("vocabulary", mark)
    if section.tokenizer is not None:
        freeze = vocabulary.Freeze(os.path.join(folder, "train"), job.output, section.tokenizer)
        graph = DoUnits(freeze)
        return Plan("vocabulary", mark, folder, [Unit("tokenizer")], graph, [freeze], 0)
    rates = vocabulary.sample_rates(
        column(results.survivors, "by_lang", "text_bytes"),
        sample_bytes=section.sample_bytes,
        exponent=section.language_exponent,
    )
    sample = vocabulary.Sample(
        os.path.join(folder, "sample"),
        survivors_of(job, results),
        tuple(sorted(rates.items())),
        job.recipe.seed,
    )
    train = vocabulary.Train(os.path.join(folder, "train"), job.output, section.strict)
    posts = results.survivors.get("posts", 0)
    units = _survivor_units(job, results)
    graph = vocabulary.Vocabulary(sample, train)
    return Plan("vocabulary", mark, folder, units, graph, [sample, train], posts)


def plan_tokens(job: Job, results: Results) -> Plan:
    """Returns the tokens phase, over the survivors."""
    mark, training = fingerprints(job)["tokens"], job.recipe.training
    folder = job.work("tokens", mark)
    text_bytes = results.survivors.get("text_bytes", 0)
    path = vocabulary.tokenizer_path(job.output)
    made = load_vocabulary(path)

    def at(stage: str) -> str:
        return os.path.join(folder, stage)

    planned = tokens.TokensPlan(
        tokens.Encode(
            at("encode"),
            survivors_of(job, results),
            path,
            hashlib.sha256(Path(path).read_bytes()).hexdigest(),
            max(1, math.ceil(text_bytes / job.recipe.tokens.partition_bytes)),
            job.recipe.seed,
        ),
        tokens.Pack(
            at("pack"), training.sequence_length, job.recipe.tokens.long_documents, made.pad_id
        ),
        tokens.Deal(
            at("deal"),
            training.sequence_length,
            training.data_parallel_ranks,
            training.global_batch_sequences,
            training.target_shard_bytes,
            job.recipe.seed,
        ),
        tokens.Shard(
            at("shard"),
            job.output,
            at("pack"),
            at("deal"),
            training.sequence_length,
            made,
        ),
    )
    units = _survivor_units(job, results)
    posts = results.survivors.get("posts", 0)
    graph = tokens.Tokens(planned)
    return Plan("tokens", mark, folder, units, graph, list(planned.stages()), posts)


PHASES: dict[str, Callable[[Job, Results], Plan]] = {
    "clean": plan_clean,
    "dedup": plan_dedup,
    "vocabulary": plan_vocabulary,
    "tokens": plan_tokens,
}
"""The phases of a run, in order. A transformer stage is one more entry between dedup and vocabulary,
whose drops `survivors_of` adds."""


def finished(job: Job, phase: str, mark: str) -> Result | None:
    """Returns the result of a phase that is done, or None; its contract files must be in place."""
    path = Path(job.work(phase, mark)) / "phase.json"
    try:
        result = msgspec.json.decode(path.read_bytes(), type=Result)
    except (OSError, msgspec.DecodeError):
        return None
    missing = [
        done
        for folder in _stage_folders(path.parent)
        for done in done_units(str(folder))
        if not _in_place(job.output, done)
    ]
    for done in missing:
        (Path(done.folder) / f"{done.unit}.json").unlink()
    if missing:
        path.unlink()
        return None
    return result


def _stage_folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir())


def _in_place(output: str, done: Any) -> bool:
    """Returns whether the contract files of a unit are there, with their sizes."""
    for entry in done.manifest().files.values():
        path = Path(output) / entry.name
        if entry.sha256 and not (path.is_file() and path.stat().st_size == entry.bytes):
            return False
    return True


def conclude(plan: Plan) -> Result:
    """Sums the counts of a phase's units and marks it done."""
    counts: dict[str, Counts] = {}
    for stage in plan.stages:
        total = counts.setdefault(stage.name, {})
        add_counts(total, plan.zero.get(stage.name, {}))
        for done in done_units(stage.folder):
            add_counts(total, done.manifest().counts)
    result = Result(plan.name, plan.fingerprint, counts)
    write_json(Path(plan.folder) / "phase.json", result)
    return result


def counts_by_file(job: Job, results: Results) -> dict[str, Counts]:
    """Returns the clean counts of every input file."""
    by_file: dict[str, Counts] = {}
    folder = job.work("clean", results["clean"].fingerprint, "clean")
    for done, unit in zip(done_units(folder), input_units(job), strict=True):
        counts = done.manifest().counts
        part = {"read": counts["read"], "malformed": counts["malformed"]}
        add_counts(by_file.setdefault(unit.path, {}), part)
    return by_file
