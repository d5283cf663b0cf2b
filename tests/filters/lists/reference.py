"""Lists by brute force: every entry is looked for at every place of a text, by loops over characters."""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from sluice.filters.lists.folding import folded
from sluice.filters.lists.table import ListFile
from sluice.filters.text import kernels as k
from sluice.filters.text.char_classes import char_classes
from tests.filters.text.test_views import HANDLE, MARKS_ON_EMOJI, is_unspaced

HEAD = re.compile(r"(?i:https?://|(?<![A-Za-z0-9_])www\.(?=[A-Za-z0-9]))", re.A)
CLOSING = "!'()*,./:;?[]{}"
Named = tuple[int, int, int]
"""The place of the list, the line of the entry, and the first byte of what it names in the text."""


def url_end(text: str, j: int) -> int:
    """Returns where the URL ends whose head ends at a place."""
    while j < len(text):
        c = text[j]
        is_spaced = unicodedata.category(c)[0] in "LMN" and not MARKS_ON_EMOJI.match(c)
        if c in '"<>\x7f' or c <= " " or (c > "\x7f" and (not is_spaced or is_unspaced(c))):
            break
        j += 1
    return j


def marks(text: str) -> Iterator[tuple[int, int]]:
    """Yields where URLs and handles are, by the expressions of the views' tests."""
    j = 0
    while j < len(text):
        head, handle = HEAD.match(text, j), HANDLE.match(text, j)
        end = url_end(text, head.end()) if head else handle.end() if handle else j
        if end > j:
            yield j, end
        j = max(j + 1, end)


def words(text: str) -> list[tuple[str, int, int]]:
    """Returns each word as it is compared, with its first character and its end."""
    found: list[tuple[str, int, int]] = []
    is_open = False
    for j, char in enumerate(text):
        kind = char_classes()[ord(char)]
        if kind == k.OTHER:
            continue
        is_letter = k.UPPER <= kind <= k.LETTER or k.DIGIT <= kind <= k.NUMBER
        if is_letter and is_open:
            word, first, _ = found[-1]
            found[-1] = (word + folded(char), first, j + 1)
        elif kind != k.SPACE:
            found.append((folded(char), j, j + 1))
        is_open = is_letter
    return found


def phrases_in(text: str, key: str) -> Iterator[tuple[int, int]]:
    """Yields where a phrase begins and ends in a text, outside of URLs and handles."""
    wanted = [word for word, _, _ in words(key)]
    edges = [0, *(edge for mark in marks(text) for edge in mark), len(text)]
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        there = words(text[first:last])
        for at in range(len(there) - len(wanted) + 1):
            if [word for word, _, _ in there[at : at + len(wanted)]] == wanted:
                yield first + there[at][1], first + there[at + len(wanted) - 1][2]


def host_and_rest(link: str) -> tuple[str, str]:
    """Returns the host of a link as it is compared, and what follows it, port apart."""
    found = re.match(r"(?:[hH][tT][tT][pP][sS]?://)?([^/?#\\]*)(.*)", link, re.DOTALL)
    assert found is not None
    authority = found[1].rpartition("@")[2]
    host = re.match(r"(?:[A-Za-z0-9._-]|[^\x00-\x7f])*", authority)
    assert host is not None
    return folded(host[0].rstrip(".")), found[2]


def names_domain(link: str, key: str, *, alone: bool) -> bool:
    """Returns whether a link is of a domain."""
    host, _ = host_and_rest(link)
    if alone:
        return host in (key, f"www.{key}")
    return host == key or host.endswith(f".{key}")


def names_url(link: str, key: str) -> bool:
    """Returns whether a link is a URL of a list or lies below it."""
    host, rest = host_and_rest(link)
    rest = rest.rstrip(CLOSING)
    whole = host.removeprefix("www.") + rest if len(host) > 4 else host + rest
    if not host or not whole.startswith(key) or not rest:
        return False
    return whole == key or whole[len(key)] in "/?#&"


def named(text: str, files: Sequence[ListFile]) -> set[Named]:
    """Returns what entries name in a text, places as bytes from its start.

    Of the phrases of a list that end at one place, the longest counts.
    """
    found: set[Named] = set()
    phrases: dict[tuple[int, int], tuple[int, int]] = {}
    links = [(a, text[a:b]) for a, b in marks(text) if text[a] != "@"]
    for file in files:
        for entry in file.entries:
            at: list[int] = []
            if file.kind == "phrase":
                for a, end in phrases_in(text, entry.key):
                    place = (file.place, end)
                    phrases[place] = min(phrases.get(place, (a, entry.line)), (a, entry.line))
            elif file.kind == "domain":
                at = [a for a, link in links if names_domain(link, entry.key, alone=entry.alone)]
            elif file.kind == "url":
                at = [a for a, link in links if names_url(link, entry.key)]
            found |= {(file.place, entry.line, len(text[:a].encode())) for a in at}
    for (place_of_list, _), (a, line) in phrases.items():
        found.add((place_of_list, line, len(text[:a].encode())))
    return found
