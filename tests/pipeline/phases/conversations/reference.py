"""Which posts are one document and in which order: the rule as it is told, post by post in Python."""

from collections.abc import Sequence
from typing import NamedTuple

LAST = float("inf")


class Post(NamedTuple):
    """A post of the run; `lost` says that it did not survive, `copy_of` for which post dedup dropped it."""

    post_id: str
    time: int | None = None
    parent: str | None = None
    conversation: str | None = None
    quoted: str | None = None
    lost: bool = False
    copy_of: str | None = None
    alias: str | None = None


def earliest(post: Post) -> tuple[float, str]:
    return (LAST if post.time is None else post.time, post.post_id)


def without_cycles(parents: dict[str, str], posts: dict[str, Post]) -> dict[str, str]:
    """Returns the parents, without that of the earliest post of each cycle."""
    left = dict(parents)
    for start in parents:
        chain = [start]
        while chain[-1] in left and left[chain[-1]] not in chain:
            chain.append(left[chain[-1]])
        if chain[-1] in left:
            cycle = chain[chain.index(left[chain[-1]]) :]
            del left[min(cycle, key=lambda p: earliest(posts[p]))]
    return left


def chain_of(post_id: str, parents: dict[str, str]) -> list[str]:
    """Returns the post and those before it, up to its root."""
    chain = [post_id]
    while chain[-1] in parents:
        chain.append(parents[chain[-1]])
    return chain


def documents(posts: Sequence[Post], *, quotes: bool) -> list[list[str]]:
    """Returns the ids of the posts of each document, in their order; documents in the order of their first.

    Ids are unique. What `copy_of` names is a survivor, or nothing that was read.
    """
    here = {p.post_id: p for p in posts if not p.lost}
    aliases = {p.alias: p for p in reversed(posts) if p.alias and not p.lost}
    known, alone = {p.post_id: p for p in posts} | aliases | here, set()
    parents: dict[str, str] = {}
    for post in here.values():
        found = known.get(post.parent or "")
        leader = here.get(found.copy_of or "") if found and found.lost else found
        if found and found.lost and (found.parent is not None or leader is None or leader.parent):
            leader = None
        if leader is not None:
            parents[post.post_id] = leader.post_id
        elif found is not None:
            alone.add(post.post_id)
    parents = without_cycles(parents, here)
    root = {p: chain_of(p, parents)[-1] for p in here}
    trees: dict[str, str] = {}
    for post in sorted(here.values(), key=earliest, reverse=True) if quotes else ():
        quoted = known[post.quoted].post_id if post.quoted in known else None
        if quoted in here and quoted != post.post_id and quoted not in parents:
            trees[quoted] = root[post.post_id]  # that of the first to quote it stays
    trees = without_cycles({t: to for t, to in trees.items() if to != t}, here)
    groups: dict[tuple[bool, str], list[str]] = {}
    for post_id in here:
        name = chain_of(root[post_id], trees)[-1]
        key = (True, name) if name in alone else (False, here[name].conversation or name)
        groups.setdefault(key, []).append(post_id)

    def place(post_id: str) -> tuple[float, int, str]:
        chain = chain_of(post_id, parents)
        return max(earliest(here[p])[0] for p in chain), len(chain), post_id

    return sorted(sorted(group, key=place) for group in groups.values())
