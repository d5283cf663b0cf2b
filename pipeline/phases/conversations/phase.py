"""Phase conversations: survivors -> who answers whom -> trees -> the document of each post.

Where the recipe joins conversations, and nowhere else. Ids are hashed to partitions, where an answer meets
what it answers; one global step follows the edges to roots, on arrays of the posts that have one; the roots'
units name the documents, and a unit for each unit of clean has the places of its posts.
"""

from typing import Any, Final

from sluice.pipeline.phases.conversations.links import SendLinks
from sluice.pipeline.phases.conversations.match import MatchLinks
from sluice.pipeline.phases.conversations.names import NameDocuments
from sluice.pipeline.phases.conversations.numbers import PostNumbers
from sluice.pipeline.phases.conversations.places import SortPlaces
from sluice.pipeline.phases.conversations.resolve import Resolve
from sluice.pipeline.phases.job import Job, kept_columns, key_partitions
from sluice.pipeline.phases.names import CONVERSATIONS as PHASE
from sluice.pipeline.phases.planned import PhasePlan, Step, survivor_units, survivors_of
from sluice.pipeline.phases.results import Results
from sluice.pipeline.storage import files as storage
from sluice.pipeline.units import exchange
from sluice.pipeline.units.manifest import done_units, manifests
from sluice.schemas.counts import CleanCounts

VERSION: Final = 1
"""Raised when the same posts give other documents."""


def part(job: Job) -> list[Any]:
    """Returns what the phase depends on, beside the posts that are left."""
    return [VERSION, job.recipe.tokens.quotes, job.recipe.seed]


def plan(job: Job, results: Results, fingerprint: str) -> PhasePlan:
    """Returns the phase, over the survivors."""
    folder, posts = job.work(PHASE, fingerprint), post_numbers(job, results)

    def at(stage: str) -> str:
        return storage.join(folder, stage)

    wanted = ["alias_id", *["quoted_id"] * (job.recipe.tokens.quotes == "joined")]
    there = kept_columns(job.recipe, job.inventory)
    links = SendLinks(
        *(at("links"), job.output, survivors_of(job, results)),
        job.work("dedup", results.fingerprints["dedup"], "drop"),
        *(posts, key_partitions(job)),
        tuple(name for name in wanted if name in there),
    )
    steps = [
        Step(links),
        Step(MatchLinks(at("match")), exchange.Exchange("links", name="ids")),
        Step(Resolve(at("resolve"), posts), exchange.Exchange(None, name="all")),
        Step(
            NameDocuments(at("names"), posts, job.recipe.seed),
            exchange.Exchange("members", name="root"),
        ),
        Step(SortPlaces(at("places")), exchange.Exchange("named", name="unit")),
    ]
    units = survivor_units(job, results)
    return PhasePlan(PHASE, fingerprint, folder, units, steps, results.survivors.posts)


def post_numbers(job: Job, results: Results) -> PostNumbers:
    """Returns the dense numbers of what clean kept."""
    cleaned = done_units(job.work("clean", results.fingerprints["clean"], "clean"))
    first = [0]
    for manifest in manifests(cleaned):
        first.append(first[-1] + manifest.counted(CleanCounts).kept.posts)
    folder = cleaned[0].folder if cleaned else ""
    return PostNumbers(folder, tuple(done.unit for done in cleaned), tuple(first))


def places_of(job: Job, results: Results) -> str:
    """Returns the folder of the units that know the places of posts; "" where posts are documents."""
    fingerprint = results.fingerprints.get(PHASE)
    return "" if fingerprint is None else job.work(PHASE, fingerprint, "places")
