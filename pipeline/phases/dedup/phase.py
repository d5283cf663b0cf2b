"""Phase dedup: band keys -> candidates -> components -> verified duplicates -> what to drop.

A shared key makes posts candidates only. Posts that any chain of keys connects form a component; a component
is brought together once, with its texts, and resolved there by exact comparison (`resolve.py`), so that every
text of a candidate crosses machines once, whatever number of bands it has. Posts that earlier runs kept are
candidates too, where the recipe names a history; they stay.
"""

import dataclasses
import math
import os
from collections.abc import Sequence
from typing import Any

from sluice.pipeline.history import versions as history
from sluice.pipeline.history.segments import View
from sluice.pipeline.phases.clean import phase as clean
from sluice.pipeline.phases.dedup.candidates import (
    PHASE,
    CandidateNumbers,
    Join,
    LinkPosts,
)
from sluice.pipeline.phases.dedup.drop import Drop
from sluice.pipeline.phases.dedup.resolve import ResolveComponents, Rules
from sluice.pipeline.phases.dedup.send import SendTexts
from sluice.pipeline.phases.job import Job, fingerprint_of, key_partitions
from sluice.pipeline.phases.planned import PhasePlan, Step, excluded_folders
from sluice.pipeline.phases.results import Results, read_result, run_day
from sluice.pipeline.storage import files as storage
from sluice.pipeline.units import exchange
from sluice.pipeline.units.manifest import Done, done_units, manifests
from sluice.schemas.counts import CleanCounts, CleanPhase

POSTS_IN_PARTITION = 250_000


def part(job: Job) -> list[Any]:
    """Returns what the phase depends on, beside what clean depends on."""
    d = job.recipe.dedup
    rules = [d.threshold, d.keep, d.max_copies, d.count_copies, d.max_checks, d.id_conflicts]
    return rules if d.history is None else [*rules, [s.name for s in history_read(job)]]


def history_read(job: Job) -> tuple[history.Segment, ...]:
    """Returns the segments of the history that the run reads: those in the window of its day.

    The day is known when clean is done; before that, all that the window may hold.
    """
    if not job.remembered:
        return ()
    cleaned = read_result(job, "clean", fingerprint_of("clean", clean.part(job)))
    if cleaned is None:
        return job.remembered
    day = run_day(job, cleaned.counted(CleanPhase).clean)
    return history.in_window(job.remembered, day=day, days=job.recipe.dedup.history_days)


def plan(job: Job, results: Results, fingerprint: str) -> PhasePlan:
    """Returns the phase, over the finished clean units."""
    folder = job.work(PHASE, fingerprint)
    cleaned = done_units(job.work("clean", results.fingerprints["clean"], "clean"))
    posts, d = candidate_numbers(job, cleaned), job.recipe.dedup

    def at(stage: str) -> str:
        return storage.join(folder, stage)

    partitions = max(4, math.ceil(posts.first[-1] / POSTS_IN_PARTITION))
    # Each stage is in the graph, which engines bound: names of files go to the one stage that needs them.
    numbers = dataclasses.replace(posts, files=())
    link = LinkPosts(at("buckets"), numbers, key_partitions(job), d.max_checks)
    excluded = excluded_folders(job, results)
    send = SendTexts(at("ship"), numbers, d.keep, d.ngram, partitions, excluded)
    resolve = ResolveComponents(at("settle"), numbers, Rules(job.minhash, d))
    drop = Drop(at("drop"), posts, job.output, d.threshold, job.screens)
    steps = [
        Step(link, exchange.Exchange("keys", name="bucket")),
        Step(Join(at("join"), numbers), exchange.Exchange(None, name="all")),
        Step(send, exchange.Exchange("components", name="candidates")),
        Step(resolve, exchange.Exchange("candidates", name="component")),
        Step(drop, exchange.Exchange("found", name="unit")),
    ]
    return PhasePlan(
        *(PHASE, fingerprint, folder, cleaned, steps, posts.first[-1]), reads=posts.folder
    )


def candidate_numbers(job: Job, cleaned: Sequence[Done]) -> CandidateNumbers:
    """Returns the dense numbers of what finished clean units kept, and of what the run reads of a history."""
    first = [0]
    for manifest in manifests(cleaned):
        first.append(first[-1] + manifest.counted(CleanCounts).kept.posts)
    names = tuple(done.unit for done in cleaned)
    files = tuple(u.path for u in job.input_units)
    folder = cleaned[0].folder if cleaned else ""
    if job.recipe.dedup.history is None:
        return CandidateNumbers(folder, names, tuple(first), files)
    read = history_read(job)
    view = View(os.path.abspath(job.recipe.dedup.history), tuple(s.name for s in read))
    return CandidateNumbers(folder, names, tuple(first), files, view, tuple(s.day for s in read))
