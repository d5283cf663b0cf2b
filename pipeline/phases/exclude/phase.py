"""Phase exclude: clean posts, notices -> posts that were deleted, superseded, or too many of their author.

Posts, the versions that clean rejected, and notices meet by the hashes of ids, in whatever order they came.
It stands before dedup, so that a cluster never loses its representative to a notice. A run that reads no
payload and no deletions of earlier days, and has no cap for authors, does without it.
"""

import math
from typing import Any

from sluice.filters.rules.no_consent import NoConsent
from sluice.pipeline.phases.exclude.cap import CapAuthors
from sluice.pipeline.phases.exclude.deletions import WriteDeletions
from sluice.pipeline.phases.exclude.drop import DropExcluded
from sluice.pipeline.phases.exclude.match import Match
from sluice.pipeline.phases.exclude.send import SendIds
from sluice.pipeline.phases.job import Job, kept_columns
from sluice.pipeline.phases.names import EXCLUDE
from sluice.pipeline.phases.planned import PhasePlan, Step
from sluice.pipeline.phases.results import Results
from sluice.pipeline.storage import files as storage
from sluice.pipeline.units.exchange import Exchange
from sluice.pipeline.units.manifest import Unit, done_units, numbered_unit
from sluice.schemas.counts import CleanCounts
from sluice.schemas.payloads.format import OF_AUTHORS
from sluice.schemas.payloads.known_formats import ROWS

EXCLUDE_VERSION = 1
"""Raised where the same posts and notices exclude others."""
POSTS_IN_PARTITION = 500_000


def part(job: Job) -> list[Any]:
    """Returns what the phase depends on, beside what clean depends on."""
    earlier = [file.identity for file in job.deletions.files] if job.deletions else []
    return [EXCLUDE_VERSION, earlier, job.recipe.authors.max_posts_per_day, _refusals(job)]


def plan(job: Job, results: Results, fingerprint: str) -> PhasePlan:
    """Returns the phase: a unit for each of clean, and for each file of earlier deletions."""
    folder, counts = job.work(EXCLUDE, fingerprint), results.phases.clean.clean
    clean = job.work("clean", results.fingerprints["clean"], "clean")
    cleaned = done_units(clean)
    cap, num_units = job.recipe.authors.max_posts_per_day, len(cleaned)
    partitions = max(1, math.ceil(counts.kept.posts / POSTS_IN_PARTITION))
    num_authors = partitions if cap is not None else 0

    def at(stage: str) -> str:
        return storage.join(folder, stage)

    send = SendIds(
        folder=at("send"),
        clean=clean,
        kept=kept_columns(job.recipe, job.inventory),
        payloads=frozenset(i for i, u in enumerate(job.input_units) if u.payload != ROWS),
        ids=_meet_by_ids(job, counts),
        authors=_meet_by_authors(job, counts),
        refusals=_refusals(job),
        max_per_day=cap,
        num_partitions=partitions,
        num_authors=num_authors,
        privacy=job.privacy,
    )
    match = Match(at("match"), num_units, num_authors)
    found: tuple[Any, ...] = (match,)
    steps = [Step(send), Step(match, Exchange("sent", name="ids"))]
    if cap is not None:
        capped = CapAuthors(at("cap"), cap, num_units)
        steps.append(Step(capped, Exchange("authors", name="authors"), of=(send, match)))
        found = (match, capped)
    deletions = WriteDeletions(at("deletions"), job.output)
    steps.append(Step(deletions, Exchange(None, name="all"), of=(send, match)))
    files = tuple(u.path for u in job.input_units)
    drop = DropExcluded(at("drop"), job.output, clean, files, cap, job.screens)
    steps.append(Step(drop, Exchange("found", name="unit"), of=found))
    elements = [Unit(done.unit, index=i) for i, done in enumerate(cleaned)] + _earlier(job)
    return PhasePlan(EXCLUDE, fingerprint, folder, elements, steps, counts.kept.posts)


def _earlier(job: Job) -> list[Unit]:
    """Returns a unit for each file of earlier deletions."""
    if job.deletions is None:
        return []
    paths = [storage.join(job.deletions.root, file.path) for file in job.deletions.files]
    return [numbered_unit("deletions", i, path) for i, path in enumerate(paths)]


def _meet_by_ids(job: Job, counts: CleanCounts) -> bool:
    """Returns whether any post may meet a notice or a version by an id."""
    return job.deletions is not None or bool(counts.acting) or bool(counts.versions)


def _meet_by_authors(job: Job, counts: CleanCounts) -> bool:
    """Returns whether any post may meet a notice by its author."""
    told = counts.acting or {}
    return job.deletions is not None or bool(told.keys() & set(OF_AUTHORS))


def _refusals(job: Job) -> bool:
    """Returns whether the recipe heeds what authors say of training: its filter `no_consent` does."""
    rules = [spec for spec in job.recipe.filters if isinstance(spec, NoConsent)]
    return any("no_training" in rule.signals and not rule.max_refusals for rule in rules)
