"""Which phases a run has and in what order, what each depends on, and which of them are done already.

Each phase has a fingerprint: its recipe sections, the versions of the filters and models that it uses, and
the fingerprints of what it reads. Its work is in a folder named by it, so that changing a threshold
reruns what depends on it and nothing else.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from sluice.pipeline.ledger.limits import FileCounts
from sluice.pipeline.phases.classify import phase as classify
from sluice.pipeline.phases.clean import phase as clean
from sluice.pipeline.phases.conversations import phase as conversations
from sluice.pipeline.phases.dedup import phase as dedup
from sluice.pipeline.phases.exclude import phase as exclude
from sluice.pipeline.phases.history import phase as history
from sluice.pipeline.phases.job import Job, fingerprint_of
from sluice.pipeline.phases.phrases import phase as phrases
from sluice.pipeline.phases.planned import PhasePlan
from sluice.pipeline.phases.results import Result, Results, read_result
from sluice.pipeline.phases.tokens import phase as tokens
from sluice.pipeline.phases.vocabulary import phase as vocabulary
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.output_folder import COMPLETED, CONTRACT_FOLDERS
from sluice.pipeline.storage.sealed import file_digest, write_sealed
from sluice.pipeline.units.manifest import (
    UnitManifest,
    done_units,
    found_manifests,
    invalidate,
    manifests,
)
from sluice.schemas.counts import CleanCounts

Planner = Callable[[Job, Results, str], PhasePlan]
"""Returns a phase, by the job, the results of the phases before it, and its fingerprint."""


PHASES: dict[str, Planner] = {
    "phrases": phrases.plan,
    "clean": clean.plan,
    "exclude": exclude.plan,
    "dedup": dedup.plan,
    "classify": classify.plan,
    "vocabulary": vocabulary.plan,
    "conversations": conversations.plan,
    "tokens": tokens.plan,
    "history": history.plan,
}
"""The phases of a run, in order; exclude is left out where nothing asks for it (`Job.excludes`), phrases,
classify, conversations and history where the recipe does not."""


def fingerprints(job: Job) -> dict[str, str]:
    """Returns the fingerprint of every phase, by name, in order; reads no data but frozen tokenizers."""
    of_phase: dict[str, str] = {}

    def add(phase: str, part: Any) -> str:
        of_phase[phase] = fingerprint_of(phase, part)
        return of_phase[phase]

    cleaned: Any = clean.part(job)
    if job.sets is not None:
        learned = add("phrases", phrases.part(job))
        cleaned = {**cleaned, "phrases": learned, "review": job.recipe.decontamination.review}
    left = add("clean", cleaned)
    if job.excludes:
        left = add("exclude", [left, *exclude.part(job)])
    left = add("dedup", [left, *dedup.part(job)])
    if job.recipe.transformers:
        left = add("classify", [left, *classify.part(job)])
    tokenizer = add("vocabulary", vocabulary.part(job, left))
    read = [left, tokenizer]
    if job.recipe.tokens.documents == "conversations":
        read.append(add("conversations", [left, *conversations.part(job)]))
    packed = add("tokens", [*read, *tokens.part(job)])
    if job.recipe.dedup.history is not None:
        add("history", [left, packed])
    return of_phase


def plan(job: Job, results: Results, name: str) -> PhasePlan:
    """Returns a phase, ready to run, with what the recipe asks for its workers."""
    planned = PHASES[name](job, results, fingerprints(job)[name])
    return dataclasses.replace(planned, hints=job.recipe.workers.hints(name))


def finished(job: Job, phase: str, fingerprint: str) -> Result | None:
    """Returns the result of a phase that is done, or None; its contract files must be in place.

    Those of a run that did not finish are read: a machine that went down may have left them without their
    bytes. Units of which a file is missing or damaged are invalidated.
    """
    result = read_result(job, phase, fingerprint)
    if result is None:
        return None
    done = [d for stage in storage.folders(job.work(phase, fingerprint)) for d in done_units(stage)]
    if phase == "clean" and not done:  # what was forgotten took its units away
        return None
    there = contract_sizes(job.output)
    whole = storage.is_file(storage.join(job.output, COMPLETED))
    found = zip(done, found_manifests(done), strict=True)
    missing = [d for d, m in found if m is None or not _in_place(job.output, there, m, whole=whole)]
    for unit in missing:
        invalidate(unit.folder, unit.unit)
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


def conclude(plan: PhasePlan) -> Result:
    """Sums the counts of a phase's units and writes that it is done."""
    counts = {}
    for stage in plan.stages:
        counts[stage.name] = total = stage.counts()
        for manifest in manifests(done_units(stage.folder)):
            total += manifest.counted(stage.counts)
    encoded = msgspec.json.encode(counts, order="deterministic")
    result = Result(plan.name, plan.fingerprint, msgspec.Raw(encoded))
    write_sealed(storage.join(plan.folder, "phase.json"), result)
    return result


def counts_by_file(job: Job, results: Results) -> dict[str, FileCounts]:
    """Returns the rows of every input file."""
    by_file: dict[str, FileCounts] = {}
    folder = job.work("clean", results.fingerprints["clean"], "clean")
    found = manifests(done_units(folder))
    for manifest, unit in zip(found, job.input_units, strict=True):
        counts = manifest.counted(CleanCounts)
        total = by_file.setdefault(unit.path, FileCounts())
        total += FileCounts(counts.read, counts.malformed)
    return by_file
