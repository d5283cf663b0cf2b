"""IP addresses that are reachable from everywhere; private, local and documentation ranges stay.

Four numbers after a word such as "version" or "v" are a version, and so are four small ones that nothing
calls an address. Of IPv6, only global unicast (2000::/3).
"""

import ipaddress
import re
from collections.abc import Iterator

_V4 = re.compile(r"(?<![\w.-])(?<!\w[/:])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\w)", re.ASCII)
_V6 = re.compile(r"(?<![\w.])(?<!\w:)[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{2,35}(?![\w:])", re.ASCII)
_NAMED = re.compile(r"\b(?:ip|ipv4|host|server|ping|addr|address|адрес)\W{0,3}\Z", re.IGNORECASE)
_SMALL = 32
_VERSION = re.compile(
    r"(?:\bv(?:er)?\.?|version|versión|versão|версия|版本|バージョン|build|release|firmware|update|patch|"
    r"chrome|firefox|safari|android|ios|windows|section|chapter|§)[ :/-]{0,2}\Z",
    re.IGNORECASE,
)


def ips(text: str) -> Iterator[tuple[int, int]]:
    """Yields the characters [first, last) of each public IP address of a text.

    >>> list(ips("from 93.184.216.34, not 192.168.1.1"))
    [(5, 18)]
    """
    if text.count(".") >= 3:
        for four in _V4.finditer(text):
            before = text[max(0, four.start() - 16) : four.start()]
            small = max(map(int, four[0].split("."))) < _SMALL and not _NAMED.search(before)
            if _is_public(four[0]) and not small and not _VERSION.search(before):
                yield four.span()
    if text.count(":") >= 2:
        for six in _V6.finditer(text):
            address = six[0].rstrip(":") if not six[0].endswith("::") else six[0]
            if _is_public(address):
                yield six.start(), six.start() + len(address)


def _is_public(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
        return found.is_global and not found.is_multicast and not address.startswith("0")
    except ValueError:
        return False
