"""International bank account numbers: the length of their country, and the remainder by 97 (ISO 13616)."""

import re
from collections.abc import Iterator

from sluice.filters.privacy.digits import mod_97

_LENGTHS = {
    code: int(length)
    for length, codes in (
        line.split(" ", 1)
        for line in """15 NO
16 BE
18 DK FI FK FO GL NL SD
19 MK SI
20 AT BA EE KZ LT LU MN XK
21 CH HR LI LV
22 BG BH CR DE GB GE IE ME RS VA
23 AE GI IL IQ OM SO TL
24 AD CZ ES MD PK RO SA SE SK TN VG
25 LY PT ST
26 IS TR
27 BI DJ FR GR IT MC MR SM
28 AL AZ BY CY DO GT HN HU LB NI PL SV
29 BR EG PS QA UA
30 JO KW MU YE
31 MT SC
32 LC
33 RU""".splitlines()
    )
    for code in codes.split()
}
"""Characters by country, from SWIFT's registry."""
_BEGINNING = re.compile(r"(?<![A-Za-z0-9])([A-Z]{2}) ?\d{2}(?=[ -]?[A-Z0-9])", re.IGNORECASE)
_REST = re.compile(r"(?:[ -]?[A-Z0-9])+", re.IGNORECASE)
_LONGEST = 48


def ibans(text: str) -> Iterator[tuple[int, int]]:
    """Yields the characters [first, last) of each account number of a text.

    >>> list(ibans("pay to GB29 NWBK 6016 1331 9268 19 today"))
    [(7, 34)]
    """
    for beginning in _BEGINNING.finditer(text):
        length = _LENGTHS.get(beginning[1].upper())
        rest = _REST.match(text, beginning.start(), beginning.start() + _LONGEST)
        last = _end(text, *rest.span(), length) if length and rest else -1
        if last > 0 and _is_iban(text[beginning.start() : last]):
            yield beginning.start(), last


def _end(text: str, first: int, last: int, length: int) -> int:
    """Returns where so many letters and digits end that no other follows; -1 where there are fewer."""
    for at in range(first, last):
        length -= text[at].isalnum()
        if length == 0:
            return -1 if text[at + 1 : at + 2].isalnum() and text[at + 1].isascii() else at + 1
    return -1


def _is_iban(value: str) -> bool:
    compact = re.sub(r"[ -]", "", value).upper()
    if value[:2].islower() and len(compact) < len(value):
        return False  # "so 60 11 ..." is no beginning
    return mod_97(compact[4:] + compact[:4]) == 1
