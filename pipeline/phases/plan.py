"""Which phases a run has, in what order, and what is done already: see `job.py` for why."""

import dataclasses
import hashlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.options.pipeline_options import PipelineOptions

from sluice.pipeline.ledger.score_histograms import band_edge
from sluice.pipeline.ledger.tally import Counts, add_counts, column
from sluice.pipeline.phases.classify.cascade import Cascade
from sluice.pipeline.phases.clean import phase as clean
from sluice.pipeline.phases.dedup import phase as dedup
from sluice.pipeline.phases.dedup.candidates import Buckets, Join, Posts
from sluice.pipeline.phases.dedup.resolve import Rules
from sluice.pipeline.phases.edges import Survivors
from sluice.pipeline.phases.fingerprints import (
    Result,
    Results,
    fingerprints,
    history_read,
    read_result,
    run_day,
)
from sluice.pipeline.phases.history import phase as remember
from sluice.pipeline.phases.history.segments import View
from sluice.pipeline.phases.job import Job, fingerprint, input_units, key_partitions, read_options
from sluice.pipeline.phases.tokens import phase as tokens
from sluice.pipeline.phases.tokens.deal import Deal
from sluice.pipeline.phases.tokens.encode import Encode
from sluice.pipeline.phases.tokens.mixture import Mixture, plan_mixture
from sluice.pipeline.phases.tokens.pack import Pack
from sluice.pipeline.phases.tokens.shard import Shard
from sluice.pipeline.phases.vocabulary import phase as vocabulary
from sluice.pipeline.phases.vocabulary import sampling
from sluice.pipeline.recipes.schema import Classifier
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.output_folder import COMPLETED, CONTRACT_FOLDERS
from sluice.pipeline.storage.sealed import file_digest, write_sealed
from sluice.pipeline.units.manifest import (
    Unit,
    UnitManifest,
    done_units,
    found_manifests,
    manifests,
    take_back,
)
from sluice.pipeline.units.stage import DoUnits, Stage
from sluice.tokenizer.packing.documents import Marks, marks_of
from sluice.tokenizer.vocabulary.load import Vocabulary, load_frozen, load_vocabulary

POSTS_IN_SETTLE_PARTITION = 250_000


@dataclass(frozen=True)
class Plan:
    """A phase, ready to run.

    Attributes:
        elements: what the graph starts from; the first stage has a unit for each.
        transform: the graph.
        stages: in order; where their units' manifests appear.
        posts: posts that the phase reads, about, for the progress display.
        zero: what the counts of stages begin from, where they must be there without a unit.
        hints: Beam's resource hints for all steps of the graph; outside of the fingerprint.
    """

    name: str
    fingerprint: str
    folder: str
    elements: Sequence[Any]
    transform: beam.PTransform
    stages: Sequence[Stage]
    posts: int
    zero: dict[str, Counts] = field(default_factory=dict)
    hints: dict[str, str] = field(default_factory=dict)

    def build(self, options: PipelineOptions) -> beam.Pipeline:
        """Returns the pipeline that does the phase on the engine that the options name."""
        pipeline = beam.Pipeline(options=options)
        _ = (
            pipeline
            | beam.Create(list(self.elements))
            | self.transform.with_resource_hints(**self.hints)
        )
        return pipeline


def plan_clean(job: Job, results: Results) -> Plan:
    """Returns the clean phase: one unit for each piece of the input."""
    mark = fingerprints(job)["clean"]
    folder = job.work("clean", mark)
    stage = clean.CleanStage(
        folder=storage.join(folder, "clean"),
        output=job.output,
        root=job.inventory.root,
        options=read_options(job.recipe),
        filters=job.recipe.filters,
        language_model=job.recipe.language.model,
        minhash=job.minhash,
        num_partitions=key_partitions(job),
        seed=job.recipe.seed,
    )
    units = [Unit(f"unit-{i:05d}", msgspec.to_builtins(u)) for i, u in enumerate(input_units(job))]
    zero = {stage.name: clean.NO_COUNTS}
    return Plan("clean", mark, folder, units, clean.Clean(stage), [stage], 0, zero)


def plan_dedup(job: Job, results: Results) -> Plan:
    """Returns the dedup phase, over the finished clean units."""
    mark = fingerprints(job)["dedup"]
    folder = job.work("dedup", mark)
    cleaned = done_units(job.work("clean", results["clean"].fingerprint, "clean"))
    posts = _dense(job, cleaned)
    d = job.recipe.dedup

    def at(stage: str) -> str:
        return storage.join(folder, stage)

    partitions = max(4, math.ceil(posts.first[-1] / POSTS_IN_SETTLE_PARTITION))
    rules = Rules(
        minhash=job.minhash,
        threshold=d.threshold,
        max_checks=d.max_checks,
        max_copies=d.max_copies,
        count_copies=d.count_copies,
        memory_bytes=d.memory_bytes,
    )
    # Each stage stands in the graph, which engines bound: names of files go to the one stage that needs them.
    numbers = dataclasses.replace(posts, files=())
    planned = dedup.DedupPlan(
        Buckets(at("buckets"), numbers, key_partitions(job), d.max_checks),
        Join(at("join"), numbers),
        dedup.Ship(at("ship"), numbers, d.keep, d.ngram, partitions),
        dedup.Settle(at("settle"), numbers, rules),
        dedup.Drop(at("drop"), posts, job.output, d.threshold, job.screens),
    )
    stages: list[Stage] = [
        planned.buckets,
        planned.join,
        planned.ship,
        planned.settle,
        planned.drop,
    ]
    return Plan("dedup", mark, folder, cleaned, dedup.Dedup(planned), stages, posts.first[-1])


def _dense(job: Job, cleaned: Sequence[Any]) -> Posts:
    first = [0]
    for manifest in manifests(cleaned):
        first.append(first[-1] + manifest.counts["kept"].get("posts", 0))
    names = tuple(done.unit for done in cleaned)
    files = tuple(u.path for u in input_units(job))
    folder = cleaned[0].folder if cleaned else ""
    if job.recipe.dedup.history is None:
        return Posts(folder, names, tuple(first), files)
    read = history_read(job)
    view = View(os.path.abspath(job.recipe.dedup.history), tuple(s.name for s in read))
    return Posts(folder, names, tuple(first), files, view, tuple(s.day for s in read))


def survivors_of(job: Job, results: Results) -> Survivors:
    """Returns where the posts that are left are; a phase that drops more adds its folders here."""
    dropped = job.work("dedup", results["dedup"].fingerprint, "drop")
    copies = dropped if job.recipe.dedup.count_copies else ""
    folders = [dropped]
    if "classify" in results.by_phase:
        mark = results["classify"].fingerprint
        folders += [job.work("classify", mark, m.prefix) for m in job.recipe.transformers]
    return Survivors(
        job.work("clean", results["clean"].fingerprint, "clean"), tuple(folders), copies
    )


def _survivor_units(job: Job, results: Results) -> list[Unit]:
    return [Unit(d.unit) for d in done_units(survivors_of(job, results).clean)]


def plan_classify(job: Job, results: Results) -> Plan:
    """Returns the classify phase: each transformer over what those before it left."""
    from sluice.pipeline.phases.classify import (
        phase as classify,
    )  # Beam's inference imports torch: two seconds, 300 MB

    mark = fingerprints(job)["classify"]
    folder = job.work("classify", mark)
    files = tuple(u.path for u in input_units(job))
    left, stages = survivors_of(job, results), []
    for spec, located in zip(job.recipe.transformers, job.located, strict=True):
        edge = band_of(spec, results)
        cascade = Cascade(left, files, spec, edge, job.recipe.seed)
        at = storage.join(folder, spec.prefix)
        stages.append(classify.Classify(at, job.output, cascade, located))
        left = dataclasses.replace(left, drops=(*left.drops, at))
    posts = results.survivors.get("posts", 0)
    units = _survivor_units(job, results)
    return Plan("classify", mark, folder, units, classify.ClassifyUnits(stages), stages, posts)


def band_of(spec: Classifier, results: Results) -> float:
    """Returns the screen score from which on posts go to a transformer, 0 without a screen.

    The budget is a share of what duplicates left; a transformer that follows another sees fewer.
    """
    edge = spec.min_screen or 0.0
    if spec.screen is None or spec.max_share is None:
        return edge
    scores = results.survivors.get("screens", {}).get(spec.screen, {})
    return max(edge, band_edge(scores, max_share=spec.max_share))


def plan_vocabulary(job: Job, results: Results) -> Plan:
    """Returns the vocabulary phase: train a tokenizer, or take a frozen one."""
    mark, section = fingerprints(job)["vocabulary"], job.recipe.vocabulary
    folder = job.work("vocabulary", mark)
    if section.tokenizer is not None:
        freeze = vocabulary.Freeze(storage.join(folder, "train"), job.output, section.tokenizer)
        graph = DoUnits(freeze)
        return Plan("vocabulary", mark, folder, [Unit("tokenizer")], graph, [freeze], 0)
    text = column(results.survivors, "by_lang", "text_bytes")
    rates = sampling.sample_rates(
        text, sample_bytes=section.sample_bytes, exponent=section.language_exponent
    )
    found = sampling.language_weights(
        text, rates, exponent=section.language_exponent, max_weight=section.max_weight
    )
    weights = tuple(sorted(found.items()))
    sampled_bytes = min(section.sample_bytes, sum(text.values()))
    count = vocabulary.Count(
        storage.join(folder, "sample"),
        survivors_of(job, results),
        tuple(sorted(rates.items())),
        weights,
        max(1, math.ceil(sampled_bytes / vocabulary.PARTITION_BYTES)),
        job.recipe.seed,
        section.held_back,
    )
    merge = vocabulary.Merge(storage.join(folder, "words"))
    train = vocabulary.Train(
        storage.join(folder, "train"),
        job.output,
        merge.folder,
        weights,
        section.max_words,
        section.strict,
    )
    posts = results.survivors.get("posts", 0)
    units = _survivor_units(job, results)
    graph = vocabulary.Vocabulary(count, merge, train)
    return Plan("vocabulary", mark, folder, units, graph, [count, merge, train], posts)


def plan_tokens(job: Job, results: Results) -> Plan:
    """Returns the tokens phase, over the survivors."""
    mark, training = fingerprints(job)["tokens"], job.recipe.training
    folder = job.work("tokens", mark)
    text_bytes = results.survivors.get("text_bytes", 0)
    path, section = vocabulary.tokenizer_path(job.output), job.recipe.tokens
    made = load_vocabulary(local_copies.fetch(path))

    def at(stage: str) -> str:
        return storage.join(folder, stage)

    planned = tokens.TokensPlan(
        Encode(
            at("encode"),
            survivors_of(job, results),
            path,
            hashlib.sha256(storage.read_bytes(path)).hexdigest(),
            max(1, math.ceil(text_bytes / section.partition_bytes)),
            job.recipe.seed,
            section.documents,
            0.0 if job.recipe.vocabulary.tokenizer else job.recipe.vocabulary.held_back,
            mixture_of(job, results),
        ),
        Pack(
            at("pack"),
            training.sequence_length,
            section.documents,
            section.packing,
            section.long_documents,
            _marks(job, made),
            made,
        ),
        Deal(at("deal"), job.output, training, made, job.recipe.seed),
        Shard(
            at("shard"),
            job.output,
            at("pack"),
            at("deal"),
            training.sequence_length,
            made,
            job.recipe.dedup.count_copies,
        ),
    )
    units = _survivor_units(job, results)
    posts = results.survivors.get("posts", 0)
    graph = tokens.Tokens(planned)
    return Plan("tokens", mark, folder, units, graph, list(planned.stages()), posts)


def check_tokenizer(job: Job) -> None:
    """Raises RecipeError where a frozen tokenizer is not one that the run can use; none is well."""
    if job.recipe.vocabulary.tokenizer is not None:
        _marks(job, load_frozen(local_copies.fetch(job.recipe.vocabulary.tokenizer)))


def _marks(job: Job, made: Vocabulary) -> Marks:
    """Returns the special tokens that the recipe puts around documents."""
    section = job.recipe.tokens
    return marks_of(
        made,
        begin=section.begin_of_document,
        end=section.end_of_document,
        conversations=section.documents == "conversations",
    )


def mixture_of(job: Job, results: Results) -> Mixture | None:
    """Returns how often each post stands in the shards, or None where each stands once."""
    section = job.recipe.mixture
    if section.is_off:
        return None
    return plan_mixture(
        section,
        results.survivors,
        seed=job.recipe.seed,
        output=job.output,
        files=tuple(u.path for u in input_units(job)),
    )


def plan_history(job: Job, results: Results) -> Plan:
    """Returns the history phase: the survivors, remembered for later runs."""
    mark = fingerprints(job)["history"]
    planned = remember_plan(job, results)
    units = remember.units_left(planned, _survivor_units(job, results))
    graph, posts = remember.Remember(planned), max(1, results.survivors.get("posts", 0))
    folder, zero = job.work("history", mark), {planned.publish.name: remember.NO_COUNTS}
    return Plan("history", mark, folder, units, graph, planned.stages(), posts, zero)


def remember_plan(job: Job, results: Results) -> remember.RememberPlan:
    """Returns the stages that remember the survivors.

    The segment is named by what the survivors depend on, and so the same run has the same segment.
    """
    d, day = job.recipe.dedup, run_day(job, results["clean"])
    assert d.history is not None  # the phase is there for recipes that name one
    return remember.plan_stages(
        survivors_of(job, results),
        folder=os.path.abspath(d.history),
        name=fingerprint("segment", [_last(results).fingerprint, day])[:16],
        day=day,
        inputs=job.inputs_mark,
        days=d.history_days,
        minhash=job.minhash,
        num_posts=results.survivors.get("posts", 0),
    )


def _last(results: Results) -> Result:
    """Returns the last of the phases that drop posts."""
    return results.by_phase.get("classify", results["dedup"])


def is_remembered(job: Job, results: Results) -> bool:
    """Returns whether the history still has the run's posts: a version may have been taken back."""
    return remember_plan(job, results).publish.is_done()


PHASES: dict[str, Callable[[Job, Results], Plan]] = {
    "clean": plan_clean,
    "dedup": plan_dedup,
    "classify": plan_classify,
    "vocabulary": plan_vocabulary,
    "tokens": plan_tokens,
    "history": plan_history,
}
"""The phases of a run, in order; classify and history are left out where the recipe names none."""


def plan(job: Job, results: Results, name: str) -> Plan:
    """Returns a phase, ready to run, with what the recipe asks for its workers."""
    return dataclasses.replace(PHASES[name](job, results), hints=job.recipe.workers.hints(name))


def finished(job: Job, phase: str, mark: str) -> Result | None:
    """Returns the result of a phase that is done, or None; its contract files must be in place.

    Those of a run that did not finish are read: a machine that went down may have left them without their
    bytes. Units of which a file is missing or damaged are taken back.
    """
    result = read_result(job, phase, mark)
    if result is None:
        return None
    done = [d for stage in storage.folders(job.work(phase, mark)) for d in done_units(stage)]
    there = contract_sizes(job.output)
    whole = storage.is_file(storage.join(job.output, COMPLETED))
    found = zip(done, found_manifests(done), strict=True)
    missing = [d for d, m in found if m is None or not _in_place(job.output, there, m, whole=whole)]
    for unit in missing:
        take_back(unit.folder, unit.unit)
    return None if missing else result


def contract_sizes(output: str) -> dict[str, int]:
    """Returns the size of every file in the contract's folders, by its name in the output."""
    return {
        f"{folder}/{storage.name_of(file.path)}": file.bytes
        for folder in CONTRACT_FOLDERS
        for file in storage.listing(storage.join(output, folder))
    }


def _in_place(output: str, there: Mapping[str, int], unit: UnitManifest, *, whole: bool) -> bool:
    """Returns whether the contract files of a unit are there, with their sizes and, in doubt, their bytes."""
    return all(
        there.get(e.name) == e.bytes
        and (whole or file_digest(storage.join(output, e.name))[1] == e.sha256)
        for e in unit.files.values()
        if e.sha256
    )


def conclude(plan: Plan) -> Result:
    """Sums the counts of a phase's units and marks it done."""
    counts: dict[str, Counts] = {}
    for stage in plan.stages:
        total = counts.setdefault(stage.name, {})
        add_counts(total, plan.zero.get(stage.name, {}))
        for manifest in manifests(done_units(stage.folder)):
            add_counts(total, manifest.counts)
    result = Result(plan.name, plan.fingerprint, counts)
    write_sealed(storage.join(plan.folder, "phase.json"), result)
    return result


def counts_by_file(job: Job, results: Results) -> dict[str, Counts]:
    """Returns the clean counts of every input file."""
    by_file: dict[str, Counts] = {}
    folder = job.work("clean", results["clean"].fingerprint, "clean")
    found = manifests(done_units(folder))
    for manifest, unit in zip(found, input_units(job), strict=True):
        counts = manifest.counts
        part = {"read": counts["read"], "malformed": counts["malformed"]}
        add_counts(by_file.setdefault(unit.path, {}), part)
    return by_file
