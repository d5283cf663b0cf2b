"""What lists decide, by the order of the recipe: one example a rule, and brute force over any lists."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.batch import Batch, Languages
from sluice.filters.lists.decide import Lists, ListStep, apply_lists
from sluice.filters.lists.entries import entries_of
from sluice.filters.lists.search import search
from sluice.filters.lists.spec import Action, ListSpec
from sluice.filters.lists.table import ListFile, build
from sluice.testing import posts_of
from tests.filters.lists.reference import named


def lists_of(*made: tuple[ListSpec, str]) -> Lists:
    """Returns lists of one file each, by their lines."""
    files = [
        ListFile(place, spec.kind, entries_of(text.encode(), kind=spec.kind, where="f"))
        for place, (spec, text) in enumerate(made)
    ]
    return Lists(tuple(spec for spec, _ in made), tuple("f.txt" for _ in made), build(files))


def spec(name: str, kind: Any, action: Action = "block", **keys: Any) -> ListSpec:
    return ListSpec(name=name, kind=kind, action=action, files=("f.txt",), **keys)


def decided(posts: pa.RecordBatch, lists: Lists) -> dict[str, tuple[str, str]]:
    """Returns (reason, detail) of each post that is rejected, by id."""
    found = apply_lists(Batch(posts), lists, phase="clean")
    rows = found.rejected.to_pylist()
    assert {row["stage"] for row in rows} <= {"lists"}
    ids = [*found.kept.posts.column("post_id").to_pylist(), *(row["post_id"] for row in rows)]
    assert sorted(ids) == sorted(posts.column("post_id").to_pylist())
    return {row["post_id"]: (row["reason"], row["detail"]) for row in rows}


def test_the_first_list_gives_the_reason() -> None:
    """A post that two lists name has the reason of the first; the detail is its first entry in the text."""
    lists = lists_of(
        (spec("a", "phrase"), "late\nsoon"), (spec("b", "phrase", reason="b"), "soon\nx")
    )
    posts = posts_of(["soon, late", "x soon", "x", "y"])
    assert decided(posts, lists) == {
        "0": ("blocked_phrase", "a f.txt:2"),
        "1": ("blocked_phrase", "a f.txt:2"),
        "2": ("b", "b f.txt:2"),
    }
    steps = apply_lists(Batch(posts), lists, phase="clean").steps
    assert steps == {"a": ListStep(4, 2, 2), "b": ListStep(2, 1, 1)}


def test_an_allowed_author_is_out_of_all_lists_behind() -> None:
    """Lists before an exception count, those behind it do not, whatever their action is."""
    lists = lists_of(
        (spec("before", "id"), "0"),
        (spec("friends", "author", "allow"), "ann"),
        (spec("words", "phrase"), "bad"),
        (spec("ours", "domain", "only"), "our.org"),
    )
    posts = posts_of(
        ["bad", "bad", "bad", "https://our.org/"], author_id=["ann", "ann", "bob", None]
    )
    assert decided(posts, lists) == {
        "0": ("blocked_id", "before f.txt:1"),
        "2": ("blocked_phrase", "words f.txt:1"),
    }


def test_an_allowed_link_is_not_counted_and_others_are() -> None:
    """An allowed domain takes its links out of lists of domains and URLs behind it, and out of no other."""
    lists = lists_of(
        (spec("good", "domain", "allow"), "good.bad.org"),
        (spec("bad", "domain"), "bad.org"),
        (spec("page", "url"), "good.bad.org/x"),
        (spec("words", "phrase"), "free"),
    )
    texts = [
        "https://good.bad.org/x",
        "https://good.bad.org/x https://bad.org/y",
        "free https://good.bad.org/x",
    ]
    assert decided(posts_of(texts), lists) == {
        "1": ("blocked_domain", "bad f.txt:1"),
        "2": ("blocked_phrase", "words f.txt:1"),
    }


def test_a_phrase_inside_of_an_allowed_one_is_allowed() -> None:
    """Words of an allowed phrase do not count; the same words elsewhere, or more words, do."""
    lists = lists_of(
        (spec("ok", "phrase", "allow"), "sleeping pills"),
        (spec("no", "phrase"), "pills\npills now"),
    )
    texts = ["sleeping pills", "pills", "sleeping pills now", "sleeping pills and pills"]
    assert sorted(decided(posts_of(texts), lists)) == ["1", "2", "3"]


def test_only_asks_for_a_name() -> None:
    """What no entry names goes; an exception for links before it takes nothing away from it."""
    lists = lists_of(
        (spec("ok", "domain", "allow"), "a.org"), (spec("ours", "domain", "only"), "a.org\nb.org")
    )
    texts = ["https://a.org/", "https://c.org/ https://b.org/", "https://c.org/", "no link"]
    assert decided(posts_of(texts), lists) == {
        "2": ("domain_not_listed", "ours"),
        "3": ("domain_not_listed", "ours"),
    }


def test_platforms_and_languages_narrow_a_list() -> None:
    """Posts of other platforms and languages are not looked at, and pass a list of `only` too."""
    batch = Batch(
        posts_of(["gift", "gift", "x", "x"], platform=["x", "reddit", "x", None]),
        {"languages": _languages},
    )
    en = lists_of((spec("words", "phrase", languages=("en",)), "gift"))
    assert apply_lists(batch, en, phase="clean").rejected.column("post_id").to_pylist() == ["0"]
    on_x = lists_of((spec("words", "phrase", "only", platforms=("x",)), "gift"))
    found = apply_lists(batch, on_x, phase="clean")
    assert found.rejected.column("post_id").to_pylist() == ["2"]
    assert found.steps["words"] == ListStep(2, 1, 1)


def _languages(batch: Batch) -> Languages:
    """Names the language of each post by its id: that of even ones is English."""
    codes = [
        "en" if int(name) % 2 == 0 else "de" for name in batch.posts.column("post_id").to_pylist()
    ]
    return Languages(pa.array(codes), pa.array(codes), np.ones(len(codes), np.float32))


WORDS = ("a", "b", "a b", "b a", "https://a.org/", "https://b.org/x")
made_lists = st.lists(
    st.tuples(
        st.sampled_from(["phrase", "domain", "id"]),
        st.sampled_from(["block", "allow", "only"]),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=4,
)
ENTRIES = {
    "phrase": ("a", "b a", "a b a"),
    "domain": ("a.org", "b.org", "c.org"),
    "id": ("0", "1", "5"),
}


@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join), max_size=6), made_lists)
def test_any_lists_decide_as_brute_force(
    texts: list[str], made: Sequence[tuple[Any, Action, int]]
) -> None:
    """Of any lists in any order, each post has the verdict and reason of a loop over posts and lists."""
    pairs = [
        (spec(f"l{place}", kind, action, reason=None), "\n".join(ENTRIES[kind][:number]))
        for place, (kind, action, number) in enumerate(made)
    ]
    lists = lists_of(*pairs)
    posts = posts_of(texts)
    whole = {key: reason for key, (reason, _) in decided(posts, lists).items()}
    expected = {
        str(row): reason
        for row, text in enumerate(texts)
        if (reason := verdict(str(row), text, pairs))
    }
    assert whole == expected
    cut = {}
    for first in range(0, len(texts), 2):
        part = decided(posts.slice(first, 2), lists)
        cut |= {key: reason for key, (reason, _) in part.items()}
    assert cut == expected


def verdict(post_id: str, text: str, pairs: Sequence[tuple[ListSpec, str]]) -> str | None:
    """Returns why a post is rejected, list by list."""
    allowed: list[tuple[bool, int, int]] = []
    for each, lines in pairs:
        entries = entries_of(lines.encode(), kind=each.kind, where="f")
        if each.kind == "id":
            if post_id in {entry.key for entry in entries}:
                if each.action == "allow":
                    return None
                if each.action == "block":
                    return each.why
            elif each.action == "only":
                return each.why
            continue
        sort = each.kind == "phrase"
        spans = []
        for entry in entries:
            for _, _, start in named(text, [ListFile(0, each.kind, [entry])]):
                shown = len(entry.key) if sort else len(text[start:].split(" ")[0])
                spans.append((start, start + shown))
        if each.action == "allow":
            allowed += [(sort, *span) for span in spans]
        elif each.action == "only":
            if not spans:
                return each.why
        elif any(
            not any(s == sort and a <= start and stop <= b for s, a, b in allowed)
            for start, stop in spans
        ):
            return each.why
    return None


@pytest.mark.parametrize("text", ["a " * 20_000, "https://a.org/" * 5_000, "a.b." * 20_000])
def test_hits_are_no_more_than_words(text: str) -> None:
    """Phrases that are nested in each other, and texts that repeat them, make a hit a word at most."""
    nested = "\n".join(" ".join(["a"] * number) for number in range(1, 65))
    lists = lists_of((spec("n", "phrase"), nested), (spec("d", "domain"), "a.org\nb.org"))
    posts = posts_of([text])
    assert len(search(posts, lists.table).row_H) <= text.count(" ") + text.count(".")
    assert len(decided(posts, lists)) == 1
