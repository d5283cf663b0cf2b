"""The kinds of personal data that are told apart."""

from collections.abc import Mapping
from typing import Final

from sluice.schemas import placeholders

URL_SECRET: Final = "url_secret"
KEY: Final = "key"
EMAIL: Final = "email"
IBAN: Final = "iban"
CARD: Final = "card"
NATIONAL_ID: Final = "national_id"
IP: Final = "ip"
WALLET: Final = "wallet"
COORDINATES: Final = "coordinates"
PHONE: Final = "phone"
HANDLE: Final = "handle"

KINDS: Final = (
    URL_SECRET,
    KEY,
    EMAIL,
    IBAN,
    CARD,
    NATIONAL_ID,
    IP,
    WALLET,
    COORDINATES,
    PHONE,
    HANDLE,
)
"""All kinds; where two claim the same characters, the earlier one has them."""

NUMBER_OF_KIND: Final = {kind: number for number, kind in enumerate(KINDS)}
MASKED: Final = tuple(kind for kind in KINDS if kind != HANDLE)
"""The kinds that a recipe may name in `privacy.mask`; handles have a key of their own."""
TOKENS: Final[Mapping[str, str]] = {
    URL_SECRET: placeholders.URL_SECRET,
    KEY: placeholders.KEY,
    EMAIL: placeholders.EMAIL,
    IBAN: placeholders.ACCOUNT,
    CARD: placeholders.ACCOUNT,
    NATIONAL_ID: placeholders.NATIONAL_ID,
    IP: placeholders.IP,
    WALLET: placeholders.WALLET,
    COORDINATES: placeholders.COORDINATES,
    PHONE: placeholders.PHONE,
    HANDLE: placeholders.HANDLE,
}
"""Kind -> the special token that a masked value becomes."""
