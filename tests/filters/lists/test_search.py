"""What lists name in texts, against brute force, and one example a rule."""

import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.filters.lists.entries import ListEntry, entries_of
from sluice.filters.lists.search import search
from sluice.filters.lists.spec import Kind
from sluice.filters.lists.table import ListFile, build
from sluice.filters.text.normalize import normalize
from sluice.schemas.mapped_arrays import packed, unpacked_arrays
from sluice.testing import posts_of
from tests.filters.lists.reference import Named, named
from tests.strategies import BLANKS, WORDS, texts

DOMAINS = (
    "example.org",
    "a.example.org",
    "q.org",
    "co.example.org",
    "github.io",
    "foo.com",
    "org.example",
)
URLS = ("example.org/a", "example.org/a/b", "q.org?x=1", "foo.com/x", "a.example.org/a")
LINKS = (
    "https://example.org/a",
    "http://A.Example.org./a/",
    "www.example.org/a/b?c#d",
    "http://user@example.org:80/a&b).",
    "https://x.github.io/",
    "https://github.io",
    "http://www.github.io/y",
    "http://notexample.org/ab",
    "http://example.org.evil.net/a",
    "https://q.org?x=1&y=2",
    "https://example.org@evil.net/a",
    "http://.org",
    "http://...",
    "HTTP://WWW.FOO.COM/X",
    "http://www.foo.com/x",
)
PIECES = (
    "a",
    "b",
    "B",
    "ab",
    "c",
    "a b",
    "\u6771\u4eac",
    "\u6771",
    "\u4eac",
    "\U0001f602",
    "s&m",
    "#a",
    "-",
    "\u2019",
    "'",
    "\u200d",
)


def hits_of(text: str, files: list[ListFile]) -> set[Named]:
    """Returns what the search names in a text, places as bytes from its start."""
    hits = search(posts_of([text]), build(files))
    return set(
        zip(*(each.tolist() for each in (hits.list_H, hits.line_H, hits.start_H)), strict=True)
    )


def entries(keys: list[str]) -> list[ListEntry]:
    return [ListEntry(line, key) for line, key in enumerate(keys, 1)]


pieces = st.tuples(
    st.one_of(st.sampled_from(PIECES), st.sampled_from(LINKS), st.sampled_from(WORDS)),
    st.sampled_from((*BLANKS, "", "")),
).map("".join)
some_texts = st.one_of(st.lists(pieces, max_size=14).map("".join), texts())
some_phrases = st.lists(
    st.lists(st.sampled_from((*PIECES, " ", " ")), min_size=1, max_size=5).map("".join), max_size=8
)


@given(some_texts, some_phrases)
@settings(max_examples=400)
def test_phrases_are_those_of_brute_force(text: str, phrases: list[str]) -> None:
    """Each place of a text where all words of a phrase follow each other is found, and no other."""
    read = []
    for phrase in phrases:
        kept = "".join(phrase.split("\u200d")).strip()
        if kept and not kept.startswith("# ") and kept != "#":
            read += entries_of(phrase.encode(), kind="phrase", where="p")
    files = [ListFile(0, "phrase", entries([each.key for each in read]))]
    text = normalize(pa.array([text]))[0].as_py()
    assert hits_of(text, files) == named_once(text, files)


def named_once(text: str, files: list[ListFile]) -> set[Named]:
    """Returns what brute force names; of equal entries of a list the first."""
    first: dict[tuple[int, str], int] = {}
    for file in files:
        for entry in file.entries:
            first.setdefault((file.place, entry.key), entry.line)
    once = [
        file._replace(entries=[e for e in file.entries if first[file.place, e.key] == e.line])
        for file in files
    ]
    return named(text, once)


@given(
    some_texts,
    st.lists(st.tuples(st.sampled_from(DOMAINS), st.booleans()), unique_by=lambda d: d[0]),
    st.lists(st.sampled_from(URLS), unique=True),
)
@settings(max_examples=400)
def test_links_are_those_of_brute_force(
    text: str, domains: list[tuple[str, bool]], urls: list[str]
) -> None:
    """Of any domains and URLs, those are found that a link of a text is of, whatever stands around it."""
    files = [
        ListFile(0, "domain", [ListEntry(i, d, alone) for i, (d, alone) in enumerate(domains, 1)]),
        ListFile(1, "url", entries(urls)),
    ]
    assert hits_of(text, files) == named(text, files)


@pytest.mark.parametrize(
    ("kind", "entry", "text", "is_named"),
    [
        ("phrase", "new york", "NEW\nYork!", True),
        ("phrase", "new york", "new yorker", False),
        ("phrase", "new york", "new, york", False),
        ("phrase", "stra\u00dfe", "STRASSE", False),
        ("phrase", "\u00e9t\u00e9", "E\u0301TE\u0301", True),
        ("phrase", "don't", "Don\u2019t", True),
        ("phrase", "abc", "\uff21\uff22\uff23", True),
        ("phrase", "\u6771\u4eac", "\u79c1\u306f\u6771\u4eac\u306b", True),
        ("phrase", "\u0e20\u0e32\u0e29\u0e32", "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22", True),
        ("phrase", "ad", "see https://ad.org/ad @ad", False),
        ("phrase", "#ad", "so good #AD", True),
        ("phrase", "ad", "so good #ad", True),
        ("phrase", "c++", "C++ or c", True),
        ("phrase", "\U0001f595", "\U0001f595\U0001f3fd", True),
        ("domain", "example.co.uk", "https://a.example.co.uk/x", True),
        ("domain", "example.co.uk", "https://example.co.uk.org", False),
        ("domain", "Example.ORG.", "www.EXAMPLE.org", True),
        ("domain", "github.io", "https://ann.github.io", False),
        ("domain", "github.io", "https://www.github.io", True),
        ("domain", "*.github.io", "https://ann.github.io", True),
        ("domain", "*.tk", "http://free.tk", True),
        ("domain", "m\u00fcller.de", "http://xn--mller-kva.de", True),
        ("domain", "xn--mller-kva.de", "http://M\u00dcLLER.de/", True),
        ("domain", "example.org", "mail@example.org example.org", False),
        ("domain", "evil.net", "https://example.org@evil.net/", True),
        ("domain", "10.0.0.1", "http://10.0.0.1:8080/x", True),
        ("url", "https://www.example.org/ann/", "(http://example.org/ann).", True),
        ("url", "example.org/ann", "http://example.org/ann/posts?x", True),
        ("url", "example.org/ann", "http://example.org/anna", False),
        ("url", "example.org/ann", "http://example.org/Ann", False),
        ("url", "example.org/?id=1", "http://EXAMPLE.org/?id=1&b=2", True),
    ],
)
def test_one_rule_each(kind: Kind, entry: str, text: str, is_named: bool) -> None:
    """Case, width, blanks, boundaries, scripts without spaces, links, suffixes and what lies below a URL."""
    files = [ListFile(0, kind, entries_of(entry.encode(), kind=kind, where="list.txt"))]
    assert bool(hits_of(normalize(pa.array([text]))[0].as_py(), files)) == is_named


def test_ids_and_authors_are_exact() -> None:
    """An id is compared byte by byte, and an author's list is not asked about ids."""
    files = [
        ListFile(0, "id", entries_of(b"17\nat://x/1\n", kind="id", where="i")),
        ListFile(1, "author", entries_of(b"Ann\n 0 \n", kind="author", where="a")),
    ]
    posts = posts_of(["a"] * 4)
    for name, values in (
        ("post_id", ["17", "170", "at://x/1", "0"]),
        ("author_id", ["ann", None, "Ann", "17"]),
    ):
        at = posts.schema.get_field_index(name)
        posts = posts.set_column(at, posts.schema.field(name), pa.array(values))
    hits = search(posts, build(files))
    assert sorted(
        zip(hits.row_H.tolist(), hits.list_H.tolist(), hits.line_H.tolist(), strict=True)
    ) == [
        (0, 0, 1),
        (2, 0, 2),
        (2, 1, 1),
    ]


@pytest.mark.parametrize("same", ["New\u00a0 York", "new york\u200d", "NEW\tYORK"])
def test_a_phrase_written_in_two_ways_is_one(same: str) -> None:
    """Phrases of two lists that differ in case, blanks or characters that do not show name the same posts."""
    files = [
        ListFile(place, "phrase", entries_of(text.encode(), kind="phrase", where="p"))
        for place, text in enumerate(["new york", same])
    ]
    assert hits_of("in new york", files) == {(0, 1, 3), (1, 1, 3)}


@pytest.mark.parametrize(
    "piece",
    [
        "a ",
        "a",
        "https://a.org/a ",
        "a/",
        "https://a.",
        "a.",
        "w",
        "@",
        "http",
        "a.b.",
        "\u6771",
        "\u200d",
    ],
)
def test_the_search_is_linear(piece: str) -> None:
    """A text twenty times as long takes some twenty times as long, with entries that are nested."""
    nested = {
        "phrase": "\n".join("a " * number for number in range(1, 65)),
        "domain": "\n".join("a." * number + "org" for number in range(1, 65)),
        "url": "\n".join("a.org/" + "a/" * number + "a" for number in range(400)),
    }
    kinds: tuple[Kind, ...] = ("phrase", "domain", "url")
    table = build(
        ListFile(place, kind, entries_of(nested[kind].encode(), kind=kind, where=kind))
        for place, kind in enumerate(kinds)
    )

    def seconds(num_chars: int) -> float:
        posts = posts_of(["https://a.org/" * (piece == "a/") + piece * (num_chars // len(piece))])
        begin = time.thread_time()
        search(posts, table)
        return time.thread_time() - begin

    seconds(1_000)
    short = min(seconds(10_000) for _ in range(3))
    assert seconds(200_000) < 50 * short + 0.05


def test_an_id_names_reposts_too() -> None:
    """A post is named by its id, by another id of it, and by that of the post whose text it repeats."""
    files = [ListFile(0, "id", entries_of(b"17", kind="id", where="i"))]
    posts = posts_of(
        ["a"] * 4,
        post_id=["17", "2", "3", "4"],
        reposted_id=[None, "17", None, "5"],
        alias_id=["1", "2", "17", None],
    )
    assert sorted(search(posts, build(files)).row_H.tolist()) == [0, 1, 2]


def test_a_phrase_in_two_lists_is_of_both() -> None:
    """Equal entries of two lists are two hits, of one list the first line alone."""
    both = [
        ListFile(0, "phrase", entries(["b", "a", "a"])),
        ListFile(3, "phrase", entries(["a"])),
    ]
    assert hits_of("x A", both) == {(0, 2, 2), (3, 1, 2)}


def test_cuts_of_batches_change_nothing() -> None:
    """A slice of a batch has the hits of its rows, more than there is room for at first."""
    rows = ["a b a b a b http://q.org/a"] * 200 + ["b"] * 50
    table = build(
        [ListFile(0, "phrase", entries(["a b", "b"])), ListFile(1, "domain", entries(["q.org"]))]
    )
    whole = search(posts_of(rows), table)
    assert len(whole.row_H) == 200 * 4 + 50
    cut = search(posts_of(rows).slice(150, 75), table)
    at_H = (whole.row_H >= 150) & (whole.row_H < 225)
    assert sorted((cut.row_H + 150).tolist()) == sorted(whole.row_H[at_H].tolist())
    assert np.bincount(cut.list_H).tolist() == np.bincount(whole.list_H[at_H]).tolist()


def test_a_table_is_the_same_from_a_file() -> None:
    """Arrays that were written and read again find what those in memory do, and are read-only."""
    table = build([ListFile(0, "phrase", entries(["a b", "b"]))])
    again = unpacked_arrays(packed(table))
    assert {n: (a.dtype, a.tolist()) for n, a in again.items()} == {
        n: (a.dtype, a.tolist()) for n, a in table.items()
    }
    assert (
        search(posts_of(["a b"]), again).line_H.tolist()
        == search(posts_of(["a b"]), table).line_H.tolist()
    )
    with pytest.raises(ValueError, match="read-only"):
        again["names_B"][0] = 1
    assert packed(table) == packed(build([ListFile(0, "phrase", entries(["a b", "b"]))]))
