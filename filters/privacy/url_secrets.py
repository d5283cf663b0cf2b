"""What is secret in links: user names and passwords before the host, and parameters that give access."""

import re
from collections.abc import Iterator

_LINK = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s\"<>]+")
_USER = re.compile("[^/?#\\s@\ufdd0-\ufdef]+(?=@)")
_PARAMETER = re.compile(r"[?&;#]([A-Za-z][\w.-]{0,40})=([\w.~%+/!$'()*,:@-]{4,})", re.ASCII)
_AFTER = ".,!?':)"
"""What may follow a link without being a part of it."""
_SURE = re.compile(
    r"(?:.*[_.-])?(?:pass|passwd|password|pwd|secret|token|authtoken|accesstoken|apikey|api_?key|access_?key|"
    r"auth|sig|signature|jwt|credential|credentials|otp|sessionid|phpsessid|jsessionid)\Z",
    re.IGNORECASE,
)
_PERHAPS = re.compile(r"(?:key|code|sid|session|hash|hmac|ticket|nonce|private)\Z", re.IGNORECASE)
_DOCUMENT = re.compile(r"[a-z]+://(?:docs|drive|spreadsheets\d?)\.google\.com/", re.IGNORECASE)
"""Beginnings of links whose `key` names a document."""
_SURVEY = "SV_"
"""Begins what Qualtrics names a survey by, as `SID`."""
_RANDOM = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[\w.%~+/-]{16,}\Z")


def url_secrets(text: str) -> Iterator[tuple[int, int]]:
    """Yields the characters [first, last) of each secret in the links of a text.

    >>> list(url_secrets("https://ann:pass@example.com/?token=abcdef&page=2"))
    [(8, 16), (36, 42)]
    """
    for link in _LINK.finditer(text):
        authority = text.index("://", link.start()) + 3
        user = _USER.match(text, authority, link.end())
        if user and user[0].lower() != "git":
            yield user.span()
        for parameter in _PARAMETER.finditer(text, authority, link.end()):
            if _gives_access(parameter[1], parameter[2], link[0]):
                value = parameter[2].rstrip(_AFTER)
                yield parameter.start(2), parameter.start(2) + len(value)


def _gives_access(name: str, value: str, link: str) -> bool:
    if _SURE.match(name):
        return True
    is_name = _DOCUMENT.match(link) or value.startswith(_SURVEY)
    return bool(_PERHAPS.match(name) and _RANDOM.match(value) and not is_name)
