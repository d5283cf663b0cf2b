"""manifest.json: what was read and made, with sizes, SHA-256, counts and fingerprints."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import msgspec

from sluice.filters.language.identify import identifier_models
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.results import Results
from sluice.pipeline.phases.vocabulary.train import tokenizer_path
from sluice.pipeline.recipes.schema import Classifier, Recipe, canonical
from sluice.pipeline.report.totals import post_report, token_ledger, token_report
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.units.manifest import FileEntry, UnitManifest, done_units, manifests
from sluice.schemas.counts import ShardCounts
from sluice.schemas.manifest import (
    MANIFEST_VERSION,
    ContractFile,
    InputEntry,
    Manifest,
    ShardFile,
    TokenFormat,
)
from sluice.schemas.report import ModelFile
from sluice.tokenizer.vocabulary.load import load_vocabulary

OWN_LICENCE = "Apache-2.0"
"""Of the shipped screens, which are trained on data that sets no condition but attribution."""


class Written(NamedTuple):
    """A file of the output contract, with the stage and the manifest of the unit that wrote it."""

    stage: str
    entry: FileEntry
    unit: UnitManifest


def contract_files(job: Job, results: Results) -> Iterator[Written]:
    """Yields every file of the output contract, by stage and unit."""
    for phase, fingerprint in results.fingerprints.items():
        for stage in storage.folders(job.work(phase, fingerprint)):
            for unit in manifests(done_units(stage)):
                for entry in unit.files.values():
                    if entry.sha256:
                        yield Written(storage.name_of(stage), entry, unit)


def manifest(job: Job, results: Results) -> Manifest:
    """Returns manifest.json."""
    written = list(contract_files(job, results))
    entries = load_vocabulary(local_copies.fetch(tokenizer_path(job.output)))
    return Manifest(
        manifest_version=MANIFEST_VERSION,
        sluice=version("sluice"),
        recipe=canonical(_without_paths(job.recipe)),
        fingerprints=results.fingerprints,
        inputs=[msgspec.convert(file.about(), InputEntry) for file in job.inventory.files],
        models=model_files(job),
        phases=results.phases,
        posts=post_report(results),
        tokens=token_report(results),
        token_ledger=token_ledger(results),
        format=TokenFormat(
            sequence_length=job.recipe.training.sequence_length,
            vocabulary_size=entries.size,
            pad_id=entries.pad_id,
            eod_id=entries.eod_id,
            sequences_per_shard=results.phases.tokens.deal.sequences_per_shard,
        ),
        shards=sorted(map(_shard_file, filter(_is_shard, written)), key=lambda s: s.path),
        files=sorted((_contract_file(w.entry) for w in written), key=lambda f: f.path),
    )


def _contract_file(entry: FileEntry) -> ContractFile:
    return ContractFile(path=entry.name, bytes=entry.bytes, sha256=entry.sha256)


def _is_shard(written: Written) -> bool:
    return written.stage == "shard" and written.entry.name.startswith("tokens/")


def _shard_file(written: Written) -> ShardFile:
    counts, entry = written.unit.counted(ShardCounts).in_shards, written.entry
    return ShardFile(
        path=entry.name,
        bytes=entry.bytes,
        sha256=entry.sha256,
        sequences=counts.sequences,
        tokens=counts.tokens,
    )


def _without_paths(recipe: Recipe) -> Recipe:
    """Returns the recipe without the input globs, and the folders of a tokenizer and a history."""
    vocabulary = recipe.vocabulary
    if vocabulary.tokenizer is not None:
        name = Path(vocabulary.tokenizer).name
        vocabulary = msgspec.structs.replace(vocabulary, tokenizer=name)
    inputs = msgspec.structs.replace(recipe.input, files=())
    dedup = recipe.dedup
    if dedup.history is not None:
        dedup = msgspec.structs.replace(dedup, history=Path(dedup.history).name)
    transformers = tuple(map(_by_name, recipe.transformers))
    return msgspec.structs.replace(
        recipe, input=inputs, vocabulary=vocabulary, dedup=dedup, transformers=transformers
    )


def _by_name(spec: Classifier) -> Classifier:
    """Returns the table of a transformer with names in place of paths; its files' sha256 say what it is."""
    names = {k: Path(v).name for k in ("checkpoint", "base") if (v := getattr(spec, k)) is not None}
    return msgspec.structs.replace(spec, model=model_name(spec), **names)


def model_name(spec: Classifier) -> str:
    """Returns the model's name on the hub, or that of its folder."""
    return Path(spec.model).name if Path(spec.model).is_dir() else spec.model


def model_files(job: Job) -> list[ModelFile]:
    """Returns the models that the run used, by who used them, with the licence where it is known."""
    found = [
        ModelFile(name="language", model=file, sha256=sha256, licence=licence)
        for file, sha256, licence in identifier_models(job.recipe.language.model)
    ]
    for spec in job.recipe.filters:
        sha256 = getattr(spec, "model_sha256", None)
        if sha256:
            own = getattr(spec, "model", None)
            file = ModelFile(name=spec.name, model=Path(own or spec.name).name, sha256=sha256)
            file.licence = None if own else OWN_LICENCE
            found.append(file)
    for transformer, located in zip(job.recipe.transformers, job.located, strict=True):
        name = model_name(transformer)
        for part in located.files:
            model = f"{name} {part.name}"
            found.append(ModelFile(name=transformer.prefix, model=model, sha256=part.sha256))
    return found
