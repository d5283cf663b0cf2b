"""E-mail addresses.

A local part of letters that have a case, digits and a few signs; a domain of at least two
labels whose last is letters. `@ann@example.social` is a handle, and `icon@2x.png` a file. Addresses that
are spelled out ("ann at example dot com") are not found.
"""

import re
from collections.abc import Iterator

_LOCAL_SIGNS, _NOT_FIRST = frozenset("._%+'-"), frozenset(".'%+-")
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}", re.UNICODE)
_TOP = re.compile(r"[A-Za-z]{2,24}(?![A-Za-z0-9_])|xn--[A-Za-z0-9-]{2,59}(?![A-Za-z0-9_])")
_OTHER_TOP = re.compile(
    "рф|бг|бел|укр|срб|мкд|мон|қаз|ею|ελ|ευ"
    "|中国|中國|香港|台湾|台灣|公司|网络|한국|みんな|भारत|ไทย|السعودية|امارات|مصر|ایران|קום"
)
_FILES = re.compile(
    "png|jpe?g|gif|svg|webp|bmp|ico|pdf|css|js|html?|php|mp[34]|avi|zip|txt|json|xml", re.IGNORECASE
)
_LONGEST = 64


def emails(text: str) -> Iterator[tuple[int, int]]:
    """Yields the characters [first, last) of each e-mail address of a text.

    >>> list(emails("write to ann.b@example.com, or not"))
    [(9, 26)]
    """
    at = text.find("@")
    while at >= 0:
        first, last = _local_start(text, at), _domain_end(text, at + 1)
        if first < at and last > at + 1 and not _is_other(text, first, at):
            yield first, last
        at = text.find("@", at + 1)


def _local_start(text: str, at: int) -> int:
    """Returns where the local part before `at` begins; `at` where there is none."""
    first = at
    while first > max(0, at - _LONGEST) and _is_local(text[first - 1]):
        first -= 1
    first = max(first, text.rfind("..", first, at) + 2) if ".." in text[first:at] else first
    while first < at and text[first] in _NOT_FIRST:
        first += 1
    return first


def _is_local(c: str) -> bool:
    """Returns whether a local part may have the character; letters beyond ASCII are those with a case."""
    return c in _LOCAL_SIGNS or (c.isalnum() if c.isascii() else c.lower() != c.upper())


def _domain_end(text: str, start: int) -> int:
    """Returns where the domain that begins at `start` ends; `start` where there is none."""
    labels = _DOMAIN.match(text, start, start + 255)
    end = labels.end() if labels else start
    while end > start:
        top = _TOP.match(text, end) or _OTHER_TOP.match(text, end)
        if top and not _FILES.fullmatch(top[0]) and text[top.end() : top.end() + 1] != "@":
            return top.end()
        end = text.rfind(".", start, end - 1) + 1
    return start


def _is_other(text: str, first: int, at: int) -> bool:
    """Returns whether it is a handle on another server, or the user of a repository's address."""
    return text[first - 1 : first] == "@" or text[first:at].lower() == "git"
