"""Conversations are what the rule says of any posts, told post by post, however they come."""

import random
from collections import Counter
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sluice.pipeline.phases.conversations.links import Linking, link_rows, rejected_posts
from sluice.pipeline.phases.conversations.match import Matched, match
from sluice.pipeline.phases.conversations.names import (
    NAME_COLUMNS,
    PLACE,
    document_hashes,
    root_names,
)
from sluice.pipeline.phases.conversations.places import UnitPlaces
from sluice.pipeline.phases.conversations.resolve import QUOTED, ResolvedLinks, resolve
from sluice.pipeline.phases.conversations.trees import trees, without_cycles
from sluice.schemas.hashing import partition_of
from tests.pipeline.phases.conversations.reference import Post, documents

IDS = [f"p{k}" for k in range(12)]
SEED = 5


@st.composite
def graphs(draw: st.DrawFn) -> list[Post]:
    """Posts that answer and quote each other, themselves, or what was never read, at any times."""
    ids = draw(st.permutations(IDS[: draw(st.sampled_from([1, 3, 6, 9, len(IDS)]))]))
    links = st.sampled_from([None, "p99", *ids])
    found = []
    for post_id in ids:
        lost = draw(st.integers(0, 3)) == 0
        post = Post(
            post_id,
            time=draw(st.one_of(st.none(), st.integers(0, 3))),
            parent=draw(links),
            conversation=draw(st.one_of(st.none(), st.sampled_from(["c0", "c1", "p0"]))),
            quoted=draw(st.one_of(links, st.sampled_from(["p0", "p1"]))),
            lost=lost,
            copy_of=draw(links) if lost else None,
            alias=draw(st.one_of(st.none(), st.none(), links)),
        )
        found.append(post)
    here = {p.post_id for p in found if not p.lost}
    # What dedup names stayed.
    return [p if p.copy_of in here else p._replace(copy_of=None) for p in found]


def posts_batch(posts: list[Post], *, quotes: bool) -> pa.RecordBatch:
    columns = {
        "post_id": pa.array([p.post_id for p in posts], pa.string()),
        "in_reply_to_id": pa.array([p.parent for p in posts], pa.string()),
        "created_at": pa.array([p.time for p in posts], pa.timestamp("us", tz="UTC")),
        "conversation_id": pa.array([p.conversation for p in posts], pa.string()),
    }
    if any(p.alias for p in posts):
        columns["alias_id"] = pa.array([p.alias for p in posts], pa.string())
    if quotes:
        columns["quoted_id"] = pa.array([p.quoted for p in posts], pa.string())
    return pa.RecordBatch.from_pydict(columns)


class Found(NamedTuple):
    """What the stages make of posts: documents as the reference gives them, and what was counted."""

    documents: list[list[str]]
    matched: list[Matched]
    resolved: ResolvedLinks


def found_in(
    posts: list[Post], *, quotes: bool, partitions: int = 1, seed: int = 0, cuts: int = 1
) -> Found:
    """Returns what the stages make of posts; half of what was lost was rejected by clean."""
    never_kept = [p for p in posts if p.lost and p.copy_of is None and int(p.post_id[1:]) % 2]
    kept = [p for p in posts if p not in never_kept]
    batch = posts_batch(kept, quotes=quotes)
    numbers = np.arange(len(kept), dtype=np.uint32)
    lost = np.array([p.lost for p in kept], np.bool_)
    leader = pa.array([p.copy_of for p in kept], pa.string())
    sent = []
    for start in range(0, len(kept), cuts):
        at = slice(start, start + cuts)
        sent += link_rows(
            Linking(batch.slice(start, cuts), numbers[at], lost[at], leader.slice(start, cuts))
        )
    sent += link_rows(rejected_posts(pa.array([p.post_id for p in never_kept], pa.string())))
    random.Random(seed).shuffle(sent)
    rows = pa.concat_batches(sent)
    partition = partition_of(np.asarray(rows.column("high")), partitions)
    matched = [match(rows.filter(pa.array(partition == p))) for p in range(partitions)]
    edges = [m.edges for m in matched]
    random.Random(seed).shuffle(edges)
    resolved = resolve(
        pa.Table.from_batches(edges), lambda numbers: batch.column("post_id").take(numbers)
    )
    return Found(in_documents(kept, batch, resolved.members), matched, resolved)


def in_documents(
    kept: list[Post], batch: pa.RecordBatch, members: pa.RecordBatch
) -> list[list[str]]:
    root, flags = members.column("root"), np.asarray(members.column("flags"))
    names = root_names(batch.select(NAME_COLUMNS).take(root), np.asarray(root), flags)
    hashes = [pa.array(h) for h in document_hashes(names, seed=SEED)]
    moved = pa.Table.from_arrays(
        [
            members.column("post"),
            *hashes,
            members.column("time"),
            members.column("depth"),
            pa.array((flags & QUOTED) != 0),
        ],
        schema=PLACE,
    )
    left = np.array([k for k, p in enumerate(kept) if not p.lost], np.uint32)
    survivors = batch.take(pa.array(left))
    places = UnitPlaces(moved, SEED).of(survivors, left).to_pylist()
    ids = survivors.column("post_id").to_pylist()
    groups: dict[tuple[int, int], list[tuple[int, int, str]]] = {}
    for place, post_id in zip(places, ids, strict=True):
        group = groups.setdefault((place["order"], place["name"]), [])
        group.append((place["time"], place["depth"], post_id))
    return sorted([post_id for *_, post_id in sorted(group)] for group in groups.values())


def chain(length: int, **about: object) -> list[Post]:
    return [Post(f"p{k}", k, f"p{k - 1}" if k else None) for k in range(length)]


@example(posts=chain(12), quotes=False, partitions=2, seed=0, cuts=3)
@example(
    posts=[Post("p1", 1, "p0"), Post("p0", 1, "p1"), Post("p2", 0, "p0")],
    quotes=False,
    partitions=1,
    seed=0,
    cuts=1,
)  # two posts that answer each other at one time: the lower id is the first
@example(
    posts=[Post(f"p{k}", k % 2, f"p{k ^ 1}") for k in range(6)],
    quotes=False,
    partitions=1,
    seed=0,
    cuts=1,
)  # three circles
@example(
    posts=[Post("p0", 5, quoted="p3"), Post("p1", 4, quoted="p3"), Post("p3", 9)],
    quotes=True,
    partitions=1,
    seed=0,
    cuts=1,
)  # the first to quote it is not the first in the input, and has the higher id
@example(
    posts=[Post("p0", 0, quoted="p1"), Post("p1", 3, quoted="p0"), Post("p2", 1, "p1")],
    quotes=True,
    partitions=1,
    seed=0,
    cuts=1,
)  # two trees that quote each other
@example(
    posts=[Post("p0", 0), Post("p2", 1, "p4"), Post("p4", lost=True, copy_of="p0")],
    quotes=False,
    partitions=3,
    seed=0,
    cuts=2,
)  # an answer to a duplicate
@settings(max_examples=400, deadline=None)
@given(
    posts=graphs(),
    quotes=st.booleans(),
    partitions=st.integers(1, 3),
    seed=st.integers(0, 3),
    cuts=st.integers(1, 5),
)
def test_documents_are_what_the_rule_says(
    posts: list[Post], quotes: bool, partitions: int, seed: int, cuts: int
) -> None:
    """Any answers, quotes, losses and times, however cut and dealt, give the documents of the rule."""
    found = found_in(posts, quotes=quotes, partitions=partitions, seed=seed, cuts=cuts)
    assert found.documents == documents(posts, quotes=quotes)


def test_what_was_found_is_counted() -> None:
    """Orphans, cycles, late parents, lone subtrees, replaced parents, quoted trees and depths, by hand."""
    posts = [
        Post("p0", 5),
        Post("p2", 6, "p0"),
        Post("p4", 4, "p2"),  # older than what it answers
        Post("p6", 7, "p1"),  # p1 was never read
        Post("p3", lost=True),
        Post("p8", 8, "p3"),
        Post("p10", 9, "p11"),
        Post("p11", 9, "p10"),
        Post("p12", lost=True, copy_of="p0"),
        Post("p14", 8, "p12"),
        Post("p16", 9, quoted="p20"),
        Post("p20", 1),
        Post("p18", 1, "p18"),
        Post("p22", 1, "p0", lost=True),  # did not survive: it answers nothing
    ]
    found = found_in(posts, quotes=True)
    assert found.documents == [
        *(["p0", "p2", "p4", "p14"], ["p10", "p11"], ["p18"], ["p20", "p16"], ["p6"], ["p8"]),
    ]
    (matched,) = found.matched
    assert (matched.counts.replies, matched.counts.orphans) == (8, 1)
    counts = found.resolved.counts
    assert counts.answers == 4
    assert counts.replaced == 1
    assert counts.quoted == 1
    assert counts.cycles == 2
    assert counts.late_parents == 1
    assert counts.subtrees_alone == 1
    assert counts.depths == {"1": 3, "2": 1}


def test_posts_are_answered_by_another_id_of_theirs() -> None:
    """An alias names a survivor where no survivor has the id itself, and before a lost post that has it."""
    posts = [
        Post("p0", 0, alias="7"),
        Post("p1", 1, "7"),
        Post("p2", 2, "p3"),
        Post("p3", lost=True),
    ]
    posts += [Post("p4", 0, alias="p3"), Post("p5", 0, alias="p0"), Post("p6", 9, "p0")]
    assert found_in(posts, quotes=False).documents == [["p0", "p1", "p6"], ["p4", "p2"], ["p5"]]


def test_posts_that_share_an_id_are_not_joined_by_it() -> None:
    """Of two survivors of one id answers mean the first; the second is a document of its own."""
    posts = [Post("p0", 0), Post("p0", 1), Post("p1", 2, "p0"), Post("p0", 3, conversation="c")]
    posts += [Post("p2", 4, conversation="c")]
    found = found_in(posts, quotes=False, cuts=2)
    assert found.documents == [["p0"], ["p0", "p1"], ["p0", "p2"]]


@pytest.mark.parametrize("length", [1, 2, 3, 64, 100_000])
def test_a_chain_of_any_depth_has_one_root(length: int) -> None:
    """Each post is as deep as there are posts before it, and no earlier than any of them."""
    order = np.random.default_rng(length).permutation(length)
    parent = np.empty(length, np.int64)
    parent[order[1:]], parent[order[0]] = order[:-1], order[0]
    time = np.arange(length, dtype=np.int64)
    cut, cycles = without_cycles(parent, rank=lambda posts: posts)
    grown = trees(cut, time)
    assert cycles == 0
    assert (grown.root_K == order[0]).all()
    assert grown.depth_K[order].tolist() == list(range(length))
    assert grown.time_K[order].tolist() == np.maximum.accumulate(order).tolist()


@pytest.mark.parametrize("length", [1, 2, 3, 64, 1000, 4096])
def test_a_ring_is_cut_at_its_earliest_post(length: int) -> None:
    """A cycle of any length, with tails that lead into it, is cut once."""
    order = np.random.default_rng(length).permutation(length)
    ring = np.empty(length, np.int64)
    ring[order] = np.roll(order, 1)
    parent = np.concatenate([ring, np.arange(length)])  # a tail for each post of the ring
    cut, cycles = without_cycles(parent, rank=lambda posts: (posts + 7) % length)
    first = (length - 7) % length
    assert cycles == (length > 1)
    assert np.flatnonzero(cut != parent).tolist() == ([first] if length > 1 else [])
    assert Counter(trees(cut, parent).root_K.tolist()) == {first: 2 * length}
