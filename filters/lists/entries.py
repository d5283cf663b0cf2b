"""Lines of list files as entries: each in the one form that it is compared in, or an error that names it."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from publicsuffixlist import PublicSuffixList

from sluice.filters.lists import kernels
from sluice.filters.lists.folding import folded, folds
from sluice.filters.lists.spec import Kind
from sluice.filters.text.char_classes import char_classes
from sluice.filters.text.kernels import OTHER
from sluice.schemas.errors import RecipeError
from sluice.schemas.names import visible

MAX_ENTRY: Final = 2000
"""Characters of an entry at most."""
MAX_WORDS: Final = 64
"""Words and signs of a phrase at most: what a word of a text may cost where phrases are nested."""
_MAX_FAULTS = 5
_LABEL = re.compile(r"[^\W_](?:[\w-]*\w)?|_[\w-]+")
_SCHEME = re.compile(r"(?i)https?://")
_CLOSING = "!'()*,./:;?[]{}"


_Keys = list[tuple[str, bool]]
"""What an entry is compared as, and whether what lies below it is not of it."""


class ListEntry(NamedTuple):
    """An entry of a list.

    Attributes:
        line: its line in the file, from 1.
        key: what is compared.
        alone: of a domain: what lies below it is not of it.
    """

    line: int
    key: str
    alone: bool = False


class _EntryError(ValueError):
    """What is wrong with an entry."""


def entries_of(data: bytes, *, kind: Kind, where: str) -> list[ListEntry]:
    r"""Returns the entries of a file, in order.

    A line is an entry, white space at its ends apart. Blank lines are none, and lines that begin with # are
    comments; in lists of phrases the # needs a blank behind it, since a hashtag is a phrase.

    Args:
        data: UTF-8, with any line ends.
        kind: what the entries are.
        where: names the file in errors.

    >>> entries_of(b"# mail\nExample.co.uk\n\n*.github.io\n", kind="domain", where="a.txt")
    [ListEntry(line=2, key='example.co.uk', alone=False), ListEntry(line=4, key='github.io', alone=False)]

    Raises:
        RecipeError: some lines are no entries, or there is none; the message names file, line and entry.
    """
    read = _READERS[kind]
    found: list[ListEntry] = []
    faults: list[str] = []
    for line, text in _lines(data, where):
        if text.startswith("#") and (kind != "phrase" or text[1:2] in ("", " ", "\t")):
            continue
        try:
            if len(text) > MAX_ENTRY:
                raise _EntryError(f"has more than {MAX_ENTRY:,} characters")
            found += [ListEntry(line, *each) for each in read(text)]
        except _EntryError as fault:
            faults.append(f"{where}: line {line}: '{visible(text[:80])}' {fault}")
    if faults:
        more = f"; {len(faults) - _MAX_FAULTS:,} more" if len(faults) > _MAX_FAULTS else ""
        raise RecipeError("; ".join(faults[:_MAX_FAULTS]) + more)
    if not found:
        raise RecipeError(f"{where}: has no entry; leave the list out, or give it a file with some")
    return found


def _lines(data: bytes, where: str) -> Iterator[tuple[int, str]]:
    """Yields the number and the text of each line that is not blank."""
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        try:
            text = raw.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise RecipeError(f"{where}: line {number}: is not UTF-8") from None
        if text:
            yield number, text


def _id(text: str) -> _Keys:
    """Reads the id of a post: exactly as it is written."""
    return [(text, False)]


def _author(text: str) -> _Keys:
    """Reads the id of an author: exactly as it is written.

    A handle is none: a refusal that no post can ever meet must not pass unnoticed.
    """
    if text.startswith("@"):
        raise _EntryError(
            "is a handle; must be the author's id as it is in the column author_id, which most platforms "
            "write as a number or URI; where your posts have handles there, write it without the @"
        )
    return [(text, False)]


def _domain(text: str) -> _Keys:
    """Reads a domain; `*.` before a public suffix means all that is registered below it."""
    wildcard = text.startswith("*.")
    host = text.removeprefix("*.").removeprefix(".")
    if " " in host or "\t" in host:
        raise _EntryError(
            "has a blank in it; must be a domain such as example.org, and nothing else"
        )
    if "/" in host:
        raise _EntryError('is a URL; must be a domain such as example.org, or kind = "url"')
    host = _host(host)
    if wildcard or not public_suffixes().is_public(host):
        return [(form, False) for form in _forms(host)]
    if public_suffixes(of_registries=True).is_public(host):
        raise _EntryError(
            f"is a public suffix, below which anybody registers names: write *.{host} to name all of them"
        )
    return [(form, True) for form in _forms(host)]


def _host(host: str) -> str:
    """Returns a host as it is compared; international labels are written with their letters."""
    labels = folded(host.removesuffix(".")).split(".")
    try:
        labels = [
            folded(label.encode().decode("idna")) if label.startswith("xn--") else label
            for label in labels
        ]
    except UnicodeError:
        raise _EntryError("has a label that is no international name") from None
    host = ".".join(labels)
    if not all(map(_LABEL.fullmatch, labels)) or len(host.encode()) > 253:
        raise _EntryError("is no domain; must be one such as example.org")
    return host


def _forms(host: str) -> list[str]:
    """Returns a host with its letters and, where these are not ASCII, as the domain system writes it."""
    if host.isascii():
        return [host]
    try:
        return [host, host.encode("idna").decode()]
    except UnicodeError:
        return [host]


def _url(text: str) -> _Keys:
    """Reads a URL: host and path without scheme, `www.`, user, port and closing signs."""
    if re.search(r"\s", text):
        raise _EntryError(
            "has a blank in it; must be a URL such as example.org/path, and nothing else"
        )
    rest = _SCHEME.sub("", text, count=1)
    before = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    path = rest[len(before) :].rstrip(_CLOSING)
    host = _host(before.rpartition("@")[2].partition(":")[0]).removeprefix("www.")
    if not path:
        raise _EntryError('has no path; must be a URL such as example.org/path, or kind = "domain"')
    return [(form + path, False) for form in _forms(host)]


def _phrase(text: str) -> _Keys:
    """Reads a phrase: its words and signs with a blank between each, so that equal phrases are equal keys."""
    shown = (c for c in unicodedata.normalize("NFC", text) if char_classes()[ord(c)] != OTHER)
    text = folded("".join(shown))
    words = _words(text)
    if not words:
        raise _EntryError("has no character that shows; must be a word or several")
    if len(words) > MAX_WORDS:
        raise _EntryError(
            f"has {len(words):,} words and signs; must be a phrase of {MAX_WORDS} at most"
        )
    data_B = np.frombuffer(text.encode(), np.uint8)
    if kernels.find_mark(data_B, 0, len(data_B), char_classes()) >= 0:
        raise _EntryError(
            "has a link or a handle in it, which are not read as words; must be words alone: for links there "
            'is kind = "domain" and kind = "url"'
        )
    return [(" ".join(words), False)]


def _words(text: str) -> list[str]:
    """Returns the words of a text, as texts of posts are cut."""
    data, words, j = text.encode(), [], 0
    data_B = np.frombuffer(data, np.uint8)
    while j < len(data):
        _, first, j, _ = kernels.next_word(data_B, j, 0, len(data), char_classes(), folds(), False)
        words.append(data[first:j].decode())
    return [word for word in words if word]


_READERS: Final[dict[Kind, Callable[[str], _Keys]]] = {
    "author": _author,
    "id": _id,
    "domain": _domain,
    "url": _url,
    "phrase": _phrase,
}


@cache
def public_suffixes(*, of_registries: bool = False) -> PublicSuffixList:
    """Returns the list that the package publicsuffixlist has in it; nothing is fetched.

    Args:
        of_registries: only rules of those who run a part of the domain system (`com`, `co.uk`), without those
            of owners of domains who let others have names below (`github.io`).
    """
    return PublicSuffixList(only_icann=of_registries)
