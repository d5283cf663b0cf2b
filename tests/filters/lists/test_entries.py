"""What a line of a list is read as, and what is said where it is no entry."""

import pytest

from sluice.filters.lists.entries import MAX_ENTRY, entries_of
from sluice.filters.lists.spec import Kind
from sluice.schemas.errors import RecipeError


def keys(text: str, kind: Kind) -> list[tuple[int, str, bool]]:
    """Returns line, key and whether it stands alone of each entry."""
    return [tuple(entry) for entry in entries_of(text.encode(), kind=kind, where="list.txt")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_lines_of_any_editor(mark: str, end: str) -> None:
    """Line ends, a byte order mark, blanks and comments change nothing but the numbers of lines."""
    text = mark + end.join(["a.org", "", "  # why", "\tb.org  ", "A.ORG"])
    assert keys(text, "domain") == [
        (1, "a.org", False),
        (4, "b.org", False),
        (5, "a.org", False),
    ]


@pytest.mark.parametrize(
    ("kind", "line", "expected"),
    [
        ("domain", "Example.ORG.", [("example.org", False)]),
        ("domain", ".example.org", [("example.org", False)]),
        ("domain", "*.example.org", [("example.org", False)]),
        ("domain", "a_b.example.org", [("a_b.example.org", False)]),
        ("domain", "github.io", [("github.io", True)]),
        ("domain", "x.ck", None),
        ("domain", "www.ck", [("www.ck", False)]),
        ("domain", "*.co.uk", [("co.uk", False)]),
        ("domain", "*.tk", [("tk", False)]),
        (
            "domain",
            "M\u00fcller.de",
            [("m\u00fcller.de", False), ("xn--mller-kva.de", False)],
        ),
        (
            "domain",
            "XN--MLLER-KVA.de",
            [("m\u00fcller.de", False), ("xn--mller-kva.de", False)],
        ),
        ("url", "HTTPS://ann:x@WWW.Example.org:443/Ann/", [("example.org/Ann", False)]),
        ("url", "example.org?q=1", [("example.org?q=1", False)]),
        ("author", "https://server.example/users/ann", None),
        ("id", "#1", None),
        ("phrase", "New\u00a0  York", [("new york", False)]),
        ("phrase", "#Ad", [("# ad", False)]),
        ("phrase", "\u6771\u4eac", [("\u6771 \u4eac", False)]),
        ("phrase", "E\u0301te\u0301 \u200d!", [("\u00e9t\u00e9 !", False)]),
    ],
)
def test_one_form_each(kind: Kind, line: str, expected: list[tuple[str, bool]] | None) -> None:
    """An entry has the form that it is compared in; None where it is an error, or stays as it is."""
    if kind == "id":
        assert entries_of(b"17\n#1\n", kind=kind, where="list.txt")[-1].key == "17"
    elif kind == "author":
        assert keys(line, kind) == [(1, line, False)]
    elif expected is None:
        with pytest.raises(RecipeError, match="public suffix"):
            keys(line, kind)
    else:
        assert [(key, alone) for _, key, alone in keys(line, kind)] == expected


@pytest.mark.parametrize(
    ("kind", "line", "fault"),
    [
        ("domain", "https://example.org/a", "is a URL"),
        ("domain", "example.org bad", "has a blank in it"),
        ("domain", "exa!mple.org", "is no domain"),
        ("domain", "co.uk", r"write \*.co.uk to name all of them"),
        ("domain", "com", r"write \*.com"),
        ("domain", "xn--a--.de", "is no international name|is no domain"),
        ("url", "example.org", "has no path"),
        ("url", "example.org/a b", "has a blank in it"),
        ("author", "@ann", "is a handle; must be the author's id"),
        ("phrase", "\u200d", "has no character that shows"),
        ("phrase", "see https://a.org/", "has a link or a handle in it"),
        ("phrase", "hello @ann", "has a link or a handle in it"),
        ("phrase", "a " * 65, "has 65 words and signs"),
        ("id", "a" * (MAX_ENTRY + 1), "more than 2,000 characters"),
    ],
)
def test_what_is_no_entry(kind: Kind, line: str, fault: str) -> None:
    """The error names the file, the line and what must be there instead."""
    with pytest.raises(RecipeError, match=rf"^list\.txt: line 2: '.*' .*({fault})"):
        keys(f"# first\n{line}\n", kind)


def test_many_faults_are_told_at_once() -> None:
    """Five faults are named, and the number of the others."""
    with pytest.raises(RecipeError, match=r"line 5: .*; 3 more$"):
        keys("co.uk\n" * 8, "domain")


@pytest.mark.parametrize("data", [b"", b"\n \n", b"# nothing\n", b"\xef\xbb\xbf"])
def test_a_list_without_entries_is_an_error(data: bytes) -> None:
    """A file that names nothing is refused, because an empty list hides that it was not filled."""
    with pytest.raises(RecipeError, match=r"list\.txt: has no entry"):
        entries_of(data, kind="domain", where="list.txt")


def test_bytes_that_are_no_text() -> None:
    """The line that is not UTF-8 is named."""
    with pytest.raises(RecipeError, match=r"list\.txt: line 2: is not UTF-8"):
        entries_of(b"a.org\n\xff\xfe\n", kind="domain", where="list.txt")
