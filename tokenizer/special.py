"""The special tokens: their names, their ids 0 to 63, and the reserved ones that fill up.

The layout of a vocabulary trained here, by id: 64 special tokens, 256 byte symbols, merges in the
order of training, and, where the texts gave too few merges, more reserved tokens up to exactly
`VOCABULARY_SIZE`. The ids are fixed, so that a model's embedding rows keep their meaning when a
vocabulary is trained again. A frozen vocabulary may have others: `vocabulary.load_vocabulary`.
"""

from typing import Final

VOCABULARY_SIZE: Final = 131_072
"""Entries of every vocabulary, special tokens included; 2**17."""

NUM_SPECIAL: Final = 64
NUM_BYTES: Final = 256

PAD: Final = "<|pad|>"
BOD: Final = "<|bod|>"
EOD: Final = "<|eod|>"
TURN: Final = "<|turn|>"
EMAIL: Final = "<|email|>"
PHONE: Final = "<|phone|>"
IMAGE: Final = "<|image|>"
VIDEO: Final = "<|video|>"

PAD_ID: Final = 0
BOD_ID: Final = 1
EOD_ID: Final = 2
TURN_ID: Final = 3

_NAMED = (PAD, BOD, EOD, TURN, EMAIL, PHONE, IMAGE, VIDEO)


def reserved(number: int) -> str:
    """Returns the name of a token that has an id and no meaning yet."""
    return f"<|reserved_{number}|>"


SPECIAL_TOKENS: Final = _NAMED + tuple(reserved(n) for n in range(NUM_SPECIAL - len(_NAMED)))
"""(64,) names; the index is the id."""


def fillers(count: int) -> list[str]:
    """Returns `count` reserved names that follow those of `SPECIAL_TOKENS`."""
    first = NUM_SPECIAL - len(_NAMED)
    return [reserved(first + n) for n in range(count)]
