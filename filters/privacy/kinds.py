"""The kinds of personal data that are told apart."""

from typing import Final

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
