"""Payment cards: a length and first digits that an issuer has, grouped as on a card, and the sum of Luhn."""

from sluice.filters.privacy.digits import luhn
from sluice.filters.privacy.groups import WrittenNumber

CARD_SHAPES = frozenset(
    {
        *("9" * n for n in range(13, 20)),
        *(sign.join(("9999",) * 4) for sign in " -."),
        *(sign.join(("9999", "999999", "99999")) for sign in " -"),
        *(sign.join(("9999", "999999", "9999")) for sign in " -"),
        *(sign.join(("9999",) * 4) + sign + "999" for sign in " -"),
        "999999 9999999999999",
        "99999999 99999999",
    }
)
"""As cards are written."""
_ISSUERS = (
    ((4, 4), (13, 16, 19)),
    ((51, 55), (16,)),
    ((2221, 2720), (16,)),
    ((34, 34), (15,)),
    ((37, 37), (15,)),
    ((6011, 6011), (16, 19)),
    ((644, 659), (16, 19)),
    ((300, 305), (14,)),
    ((36, 36), (14,)),
    ((38, 39), (14, 16)),
    ((3528, 3589), (16, 19)),
    ((62, 62), (16, 17, 18, 19)),
    ((2200, 2204), (16,)),
    ((508, 508), (16,)),
    ((60, 60), (16,)),
    ((81, 82), (16,)),
    ((9792, 9792), (16,)),
    ((5018, 5018), (16,)),
    ((5020, 5020), (16,)),
    ((5038, 5038), (16,)),
    ((56, 58), (16,)),
)
"""First digits, from and to, and lengths (ISO/IEC 7812-1, and what networks publish)."""


def is_card(number: WrittenNumber) -> bool:
    """Returns whether some groups are the number of a card.

    >>> from sluice.filters.privacy.groups import beginnings, written
    >>> [is_card(each) for each in written("4111111111111111", beginnings(CARD_SHAPES))]
    [True]
    """
    if number.shape not in CARD_SHAPES:
        return False
    digits = number.compact
    return luhn(digits) and len(set(digits)) > 1 and _has_issuer(digits)


def _has_issuer(digits: str) -> bool:
    for (first, last), lengths in _ISSUERS:
        if len(digits) in lengths and first <= int(digits[: len(str(first))]) <= last:
            return True
    return False
