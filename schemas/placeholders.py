"""Placeholders: what stands in a text for a medium or a masked value, from clean to the tokens.

A placeholder is one of the noncharacters U+FDD0 to U+FDEF, which Unicode keeps for such use inside a program.
Normalisation removes them from what people write, so that no text can imitate one. The texts that models
read and that duplicates are compared by have a blank in its place, and in the tokens it is a special token.

Source: The Unicode Standard, section 23.7, "Noncharacters".
"""

from typing import Final

IMAGE: Final = "<|image|>"
VIDEO: Final = "<|video|>"
AUDIO: Final = "<|audio|>"
EMAIL: Final = "<|email|>"
PHONE: Final = "<|phone|>"
IP: Final = "<|ip|>"
ACCOUNT: Final = "<|account|>"
HANDLE: Final = "<|handle|>"
NATIONAL_ID: Final = "<|national_id|>"
KEY: Final = "<|key|>"
WALLET: Final = "<|wallet|>"
COORDINATES: Final = "<|coordinates|>"
URL_SECRET: Final = "<|url_secret|>"

FIRST: Final = 0xFDD0
LAST: Final = 0xFDEF
"""The first and the last code point that a placeholder may be."""

MEDIA: Final = (IMAGE, VIDEO, AUDIO)
"""The special tokens of media."""
VALUES: Final = (
    *(EMAIL, PHONE, IP, ACCOUNT, HANDLE),
    *(NATIONAL_ID, KEY, WALLET, COORDINATES, URL_SECRET),
)
"""The special tokens of masked values: of personal data."""
TOKENS: Final = (*MEDIA, *VALUES)
"""The special token of each placeholder, in the order of their code points."""
FIRST_VALUE: Final = FIRST + len(MEDIA)
LAST_VALUE: Final = FIRST + len(TOKENS) - 1
"""The first and the last placeholder of a masked value."""

KINDS: Final[dict[str, str]] = {
    **dict.fromkeys(("photo", "image", "sticker", "gif"), IMAGE),
    **dict.fromkeys(("video", "animated_gif", "gifv", "animation"), VIDEO),
    **dict.fromkeys(("video_file", "video_message"), VIDEO),
    **dict.fromkeys(("audio", "audio_file", "voice_message"), AUDIO),
}
"""Kind of a medium, as platforms call it -> the special token. A medium of another kind has none."""


def character(token: str) -> str:
    """Returns the placeholder of a special token.

    >>> hex(ord(character(VIDEO)))
    '0xfdd1'
    """
    return chr(FIRST + TOKENS.index(token))
