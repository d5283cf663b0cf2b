"""The special tokens, ids 0 to 63; the link tokens behind them; the reserved ones that fill up.

The layout of a vocabulary trained here, by id: 64 special tokens, 12 link tokens, 256 byte symbols,
merges in the order of training, and, where the texts gave too few merges, more reserved tokens up to
exactly `VOCABULARY_SIZE`. The ids are fixed, so that a model's embedding rows keep their meaning when a
vocabulary is trained again. A frozen vocabulary may have others: `vocabulary.load_vocabulary`.

No text becomes a special token, however it is spelled. A link token is text: the beginning of a link,
as every second post has one, which the pattern would cut into four or five pieces.
"""

from typing import Final

from sluice.schemas import placeholders

VOCABULARY_SIZE: Final = 131_072
"""Entries of every vocabulary, special tokens included; 2**17."""

NUM_SPECIAL: Final = 64
NUM_BYTES: Final = 256

PAD: Final = "<|pad|>"
BOD: Final = "<|bod|>"
EOD: Final = "<|eod|>"
TURN: Final = "<|turn|>"

_NAMED = (
    *(PAD, BOD, EOD, TURN, placeholders.EMAIL, placeholders.PHONE),
    *(placeholders.IMAGE, placeholders.VIDEO, placeholders.IP, placeholders.ACCOUNT),
    *(placeholders.HANDLE, "<|url|>", placeholders.AUDIO, placeholders.NATIONAL_ID),
    *(placeholders.KEY, placeholders.WALLET, placeholders.COORDINATES, placeholders.URL_SECRET),
)
"""Bounds of documents and turns; then what replaces masked values, and pictures, films and sounds that a
post has, in the order in which they came to be: an id keeps its meaning. Nothing gives <|url|>."""


_NUM_RESERVED = NUM_SPECIAL - len(_NAMED)
SPECIAL_TOKENS: Final = (*_NAMED, *(f"<|reserved_{n}|>" for n in range(_NUM_RESERVED)))
"""(64,) names; the index is the id. A reserved token has an id and no meaning yet."""

LINK_TOKENS: Final = tuple(
    blank + scheme + rest
    for blank in ("", " ")
    for scheme in ("https://", "http://")
    for rest in ("", "www.", "t.co/")
)
"""(12,) literal beginnings of links; their ids follow those of the special tokens.

They are found in a text before the pattern cuts it, leftmost first, the longest of those that begin at
the same place; what is between them is cut on its own.
"""

NUM_LINKS: Final = len(LINK_TOKENS)


def fillers(count: int) -> list[str]:
    """Returns `count` reserved names that follow those of `SPECIAL_TOKENS`.

    >>> fillers(2)
    ['<|reserved_46|>', '<|reserved_47|>']
    """
    return [f"<|reserved_{_NUM_RESERVED + n}|>" for n in range(count)]


def byte_symbols() -> list[str]:
    """Returns (256,) the character that represents each byte in a byte-level tokenizer.json.

    Source: OpenAI GPT-2, `bytes_to_unicode`: printable Latin-1 characters represent themselves, the other
    bytes the characters from U+0100 on.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(b if b in printable else next(others)) for b in range(NUM_BYTES)]
