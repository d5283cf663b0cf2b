"""manifest.json: what was read and made, with sizes, SHA-256, counts and fingerprints."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from sluice.filters.language.identify import identifier_models
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.results import Results
from sluice.pipeline.phases.vocabulary.train import tokenizer_path
from sluice.pipeline.recipes.schema import Classifier, Recipe, canonical
from sluice.pipeline.report.totals import posts_section, token_ledger, tokens_section
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.units.manifest import FileEntry, UnitManifest, done_units, manifests
from sluice.tokenizer.vocabulary.load import load_vocabulary

MANIFEST_VERSION = 1
OWN_LICENCE = "Apache-2.0"
"""Of the shipped screens, which are trained on data that sets no condition but attribution."""


def contract_files(job: Job, results: Results) -> Iterator[tuple[str, FileEntry, UnitManifest]]:
    """Yields (stage, file, its unit's manifest) for every file of the output contract, by stage and unit."""
    for phase, result in results.by_phase.items():
        for stage in storage.folders(job.work(phase, result.fingerprint)):
            for unit in manifests(done_units(stage)):
                for entry in unit.files.values():
                    if entry.sha256:
                        yield storage.name_of(stage), entry, unit


def manifest(job: Job, results: Results) -> dict[str, Any]:
    """Returns manifest.json."""
    files, shards = [], []
    for stage, entry, unit in contract_files(job, results):
        about = {"path": entry.name, "bytes": entry.bytes, "sha256": entry.sha256}
        files.append(about)
        if stage == "shard" and entry.name.startswith("tokens/"):
            shards.append(about | {k: unit.counts["in_shards"][k] for k in ("sequences", "tokens")})
    deal = results["tokens"].total("tokens_deal")
    made = load_vocabulary(local_copies.fetch(tokenizer_path(job.output)))
    return {
        "manifest_version": MANIFEST_VERSION,
        "sluice": version("sluice"),
        "recipe": canonical(_without_paths(job.recipe)),
        "fingerprints": {name: r.fingerprint for name, r in results.by_phase.items()},
        "inputs": [file.about() for file in job.inventory.files],
        "models": models_section(job),
        "phases": {name: r.counts for name, r in results.by_phase.items()},
        "posts": posts_section(results),
        "tokens": tokens_section(results),
        "token_ledger": token_ledger(results),
        "format": {
            "sequence_length": job.recipe.training.sequence_length,
            "vocabulary_size": made.size,
            "pad_id": made.pad_id,
            "eod_id": made.eod_id,
            "sequences_per_shard": deal.get("sequences_per_shard", 0),
        },
        "shards": sorted(shards, key=lambda s: s["path"]),
        "files": sorted(files, key=lambda f: f["path"]),
    }


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


def models_section(job: Job) -> list[dict[str, str | None]]:
    """Returns the models that the run used, by who used them, with the licence where we know it."""
    found: list[dict[str, str | None]] = [
        {"name": "language", "model": file, "sha256": sha256, "licence": licence}
        for file, sha256, licence in identifier_models(job.recipe.language.model)
    ]
    for spec in job.recipe.filters:
        sha256 = getattr(spec, "model_sha256", None)
        if sha256:
            own = getattr(spec, "model", None)
            about = {"model": Path(own or spec.name).name, "sha256": sha256}
            found.append({"name": spec.name, "licence": None if own else OWN_LICENCE} | about)
    for transformer, located in zip(job.recipe.transformers, job.located, strict=True):
        name = model_name(transformer)
        for file in located.files:
            about = {"name": transformer.prefix, "model": f"{name} {file.name}"}
            found.append({**about, "sha256": file.sha256, "licence": None})
    return found
