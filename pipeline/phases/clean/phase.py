"""Phase clean: input units -> clean posts with scores, rejects, and the keys that duplicates meet by.

Nothing crosses machines here: see `stage.py` for what a unit does.
"""

from typing import Any

from sluice.filters.base import Filter
from sluice.filters.carried import carried
from sluice.filters.language.identify import LANGUAGE_VERSION
from sluice.filters.origin import origin_of
from sluice.filters.privacy.find import PRIVACY_VERSION
from sluice.filters.text.media import MEDIA_VERSION
from sluice.filters.text.normalize import NORMALIZE_VERSION
from sluice.filters.text.views import TEXT_VIEWS_VERSION
from sluice.pipeline.phases.clean.batches import PHASE
from sluice.pipeline.phases.clean.stage import CleanStage
from sluice.pipeline.phases.job import (
    Job,
    carried_lists,
    installed,
    kept_columns,
    key_partitions,
    optional_columns,
    read_options,
)
from sluice.pipeline.phases.names import PHRASES
from sluice.pipeline.phases.planned import PhasePlan, Step, units_of_input
from sluice.pipeline.phases.results import Results
from sluice.pipeline.storage import files as storage
from sluice.pipeline.units.manifest import Done, done_units
from sluice.schemas.payloads.columns import READ_VERSION
from sluice.schemas.payloads.known_formats import FORMATS, PAYLOAD_VERSION
from sluice.schemas.payloads.mapping import folder_keys

NOTICES_VERSION = 1
"""Raised where the same payloads give phase exclude other notices or versions."""


def part(job: Job) -> dict[str, Any]:
    """Returns what the phase depends on, beside the phase that learns common phrases of evaluation sets."""
    recipe = job.recipe
    notices = {"notices": NOTICES_VERSION} if job.has_payloads else {}
    forgotten = {"forgotten": job.forgotten.digest} if len(job.forgotten) else {}
    lists = {} if job.lists is None else {"lists": job.lists.part}
    return {
        **notices,
        **lists,
        **texts_part(job),
        "carried": [
            optional_columns(recipe, job.inventory),
            kept_columns(recipe, job.inventory),
        ],
        "language": [LANGUAGE_VERSION, job.language_fingerprint],
        "filters": [filter_part(f) for f in recipe.filters],
        "minhash": job.minhash,
        **_privacy_part(job),
        **forgotten,
    }


def texts_part(job: Job) -> dict[str, Any]:
    """Returns what the texts of posts depend on: what is read, and how it is normalised."""
    recipe = job.recipe
    return {
        "inputs": [f.identity for f in job.inventory.files],
        "read": READ_VERSION,
        "payloads": [recipe.input.payload, PAYLOAD_VERSION, *sorted(FORMATS)],
        "columns": recipe.input.columns,
        "folder_keys": folder_keys(storage.join(job.inventory.root, "")),
        "time_format": recipe.input.time_format,
        "ids": recipe.input.ids,
        "max_text_bytes": recipe.input.max_text_bytes,
        "unit_bytes": recipe.input.unit_bytes,
        "texts": [NORMALIZE_VERSION, TEXT_VIEWS_VERSION],
        "media": [MEDIA_VERSION, recipe.media] if recipe.media.placeholders else None,
        "pyarrow": installed("pyarrow"),
    }


def _privacy_part(job: Job) -> dict[str, Any]:
    """Returns what the texts of kept posts and the ids of authors depend on, where a recipe changes them."""
    privacy, key = job.recipe.privacy, None if job.key is None else job.key.check
    part: dict[str, Any] = {}
    if privacy.author_key:
        part["author_key"] = key
    if privacy.author_id != "keep":
        part["author_id"] = [privacy.author_id, key if privacy.author_id == "hash" else None]
    if privacy.kinds:
        of_handles = [privacy.handle, key if privacy.handle == "pseudonym" else None]
        versions = [PRIVACY_VERSION, installed("phonenumbers")]
        part["privacy"] = [privacy.kinds, *of_handles, *versions]
    return part


def filter_part(spec: Filter) -> list[Any]:
    """Returns what a filter's scores and verdicts depend on: its spec, version, model and distribution."""
    origin = origin_of(type(spec))
    part = [spec, spec.version, getattr(spec, "model_sha256", "")]
    return part if origin is None else [*part, origin]


def learned_items(job: Job, results: Results) -> Done | None:
    """Returns the unit that wrote the table of evaluation sets; None where the recipe has none."""
    fingerprint = results.fingerprints.get(PHRASES)
    if fingerprint is None:
        return None
    return next(iter(done_units(job.work(PHRASES, fingerprint, "learn"))), None)


def plan(job: Job, results: Results, fingerprint: str) -> PhasePlan:
    """Returns the phase: one unit for each piece of the input."""
    folder = job.work(PHASE, fingerprint)
    stage = CleanStage(
        folder=storage.join(folder, "clean"),
        output=job.output,
        root=job.inventory.root,
        options=read_options(job.recipe, job.inventory),
        filters=carried(job.recipe.filters),
        language_model=job.recipe.language.model,
        minhash=job.minhash,
        num_partitions=key_partitions(job),
        seed=job.recipe.seed,
        kept=kept_columns(job.recipe, job.inventory),
        media=job.recipe.media,
        excludes=job.has_payloads,
        forgotten=job.forgotten.digest if len(job.forgotten) else "",
        lists=carried_lists(job),
        items=learned_items(job, results),
        review=job.recipe.decontamination.review,
        privacy=job.privacy,
    )
    return PhasePlan(PHASE, fingerprint, folder, units_of_input(job), [Step(stage)])
