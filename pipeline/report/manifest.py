"""manifest.json: what was read and made, with sizes, SHA-256, counts and fingerprints."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from sluice.filters.language.identify import identifier_models
from sluice.filters.origin import origin_of
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.results import Results
from sluice.pipeline.phases.vocabulary.train import tokenizer_path
from sluice.pipeline.recipes.schema import Classifier, Recipe, canonical
from sluice.pipeline.report.sources import sources_report
from sluice.pipeline.report.totals import input_report, post_report, token_ledger, token_report
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.sealed import file_digest
from sluice.pipeline.storage.tombstones import FOLDER, tombstone_files
from sluice.pipeline.units.manifest import FileEntry, UnitManifest, done_units, manifests
from sluice.schemas.counts import ShardCounts
from sluice.schemas.manifest import (
    MANIFEST_VERSION,
    ContractFile,
    FilterVersion,
    ForgottenCounts,
    InputEntry,
    ListFileEntry,
    Manifest,
    ShardFile,
    TokenFormat,
)
from sluice.schemas.report import ModelFile
from sluice.tokenizer.vocabulary.load import load_vocabulary

_T = TypeVar("_T", bound=msgspec.Struct)
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
    shards = [w for w in written if w.stage == "shard" and w.entry.name.startswith("tokens/")]
    tombstones = tombstone_files(storage.join(job.output, FOLDER))
    entries = load_vocabulary(local_copies.fetch(tokenizer_path(job.output)))
    return Manifest(
        manifest_version=MANIFEST_VERSION,
        sluice=version("sluice"),
        recipe=canonical(_without_paths(job.recipe)),
        fingerprints=results.fingerprints,
        inputs=[msgspec.convert(file.about(), InputEntry) for file in job.inventory.files],
        sources=sources_report(job, results),
        lists=list(list_files(job)),
        filters=[
            FilterVersion(name=f.name, version=f.version, origin=origin_of(type(f)))
            for f in job.recipe.filters
        ],
        models=list(model_files(job)),
        phases=results.phases,
        input=input_report(job, results),
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
        shards=sorted(map(_shard_file, shards), key=lambda s: s.path),
        files=sorted(
            [
                *(ContractFile(**_about(w.entry)) for w in written),
                *map(_tombstone_file, tombstones),
            ],
            key=lambda f: f.path,
        ),
        forgotten=_forgotten_before(len(tombstones)),
        key_check=None if job.key is None else job.key.check,
    )


def list_files(job: Job) -> Iterator[ListFileEntry]:
    """Yields the files of lists, in recipe order."""
    for source in job.lists.sources if job.lists else ():
        yield ListFileEntry(
            list=job.recipe.lists[source.place].name,
            path=source.name,
            bytes=len(source.data),
            sha256=source.sha256,
        )


def _tombstone_file(path: str) -> ContractFile:
    size, sha256 = file_digest(path)
    return ContractFile(path=f"{FOLDER}/{storage.name_of(path)}", bytes=size, sha256=sha256)


def _forgotten_before(times: int) -> ForgottenCounts | None:
    """Returns what was forgotten before the run, which left it out; None where nothing was."""
    return ForgottenCounts(times=times, earlier=times) if times else None


def _about(entry: FileEntry) -> dict[str, Any]:
    """Returns what `ContractFile` holds."""
    return {"path": entry.name, "bytes": entry.bytes, "sha256": entry.sha256}


def _shard_file(written: Written) -> ShardFile:
    counts = written.unit.counted(ShardCounts).in_shards
    return ShardFile(**_about(written.entry), sequences=counts.sequences, tokens=counts.tokens)


def _without_paths(recipe: Recipe) -> Recipe:
    """Returns the recipe without the input globs and the workers' number, with names in place of paths."""
    return replace(
        recipe,
        input=replace(
            recipe.input,
            files=(),
            deletions=_names(recipe.input.deletions),
            forgotten=_names(recipe.input.forgotten),
        ),
        lists=tuple(replace(spec, files=_names(spec.files)) for spec in recipe.lists),
        vocabulary=_by_name(recipe.vocabulary, "tokenizer"),
        privacy=_by_name(recipe.privacy, "key_file"),
        dedup=_by_name(recipe.dedup, "history"),
        workers=replace(recipe.workers, processes=None),
        transformers=tuple(
            replace(_by_name(spec, "checkpoint", "base"), model=model_name(spec))
            for spec in recipe.transformers
        ),
    )


def _names(patterns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(storage.name_of(pattern) for pattern in patterns)


def _by_name(table: _T, *keys: str) -> _T:
    """Returns a table of the recipe with names in place of paths; of files, a sha256 says what they are."""
    names = {k: Path(v).name for k in keys if (v := getattr(table, k)) is not None}
    return replace(table, **names)


def model_name(spec: Classifier) -> str:
    """Returns the model's name on the hub, or that of its folder."""
    return Path(spec.model).name if Path(spec.model).is_dir() else spec.model


def model_files(job: Job) -> Iterator[ModelFile]:
    """Yields the models that the run used, by who used them, with the licence where it is known."""
    for file, digest, licence in identifier_models(job.recipe.language.model):
        yield ModelFile(name="language", model=file, sha256=digest, licence=licence)
    for spec in job.recipe.filters:
        if sha256 := getattr(spec, "model_sha256", None):
            own = getattr(spec, "model", None)
            is_shipped = not own and origin_of(type(spec)) is None
            model, terms = Path(own or spec.name).name, OWN_LICENCE if is_shipped else None
            yield ModelFile(name=spec.name, model=model, sha256=sha256, licence=terms)
    for transformer, located in zip(job.recipe.transformers, job.located, strict=True):
        for part in located.files:
            model = f"{model_name(transformer)} {part.name}"
            yield ModelFile(name=transformer.prefix, model=model, sha256=part.sha256)
