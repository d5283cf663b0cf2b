r"""Where a text is cut into words before merges: the pattern, and what it asks of each code point.

A word is, in this order of preference:

1. letters that end in small ones or in ones without case, marks among them: `Word`, `word`, the scripts
   without case; with one character before them that is no letter, digit or newline (a blank, a mark),
   and an English ending behind (`'s`, `'t`, `'re`, `'ve`, `'m`, `'ll`, `'d`);
2. the same, but capital letters first: `WORD`, `WORDs`;
3. one to three digits;
4. other characters, a blank before them, newlines and slashes behind;
5. white space up to its last newline;
6. white space but the last blank, which goes to the word that follows;
7. white space.

Every character is in one word. Source: OpenAI tiktoken, `o200k_base`; gigatoken knows this string and no
variant of it.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

import numpy as np

from sluice.schemas.arrays import Uint8s
from sluice.tokenizer.vocabulary.unicode_classes import RUNS

_ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_CAPITALS = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_SMALL = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"

SPLIT: Final = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_CAPITALS}*{_SMALL}+{_ENDING}"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_CAPITALS}+{_SMALL}*{_ENDING}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""The pattern as tokenizer.json has it."""

CAPITAL, SMALL, FRONT, DIGIT, OTHER, BLANK, NEWLINE, BEHIND = (1 << bit for bit in range(8))
"""What a code point may be, one bit each:

- CAPITAL: Lu, Lt, and what has no case;
- SMALL: Ll, and what has no case;
- FRONT: may be before letters: no letter, digit or newline;
- DIGIT;
- OTHER: no letter, digit or white space; marks are among them;
- BLANK;
- NEWLINE: CR and LF;
- BEHIND: may be behind others: newlines and the slash.
"""

_FLAGS = {
    "u": CAPITAL,
    "l": SMALL,
    "o": CAPITAL | SMALL,
    "m": CAPITAL | SMALL | FRONT | OTHER,
    "n": DIGIT,
    "s": BLANK | FRONT,
    "x": OTHER | FRONT,
    "p": OTHER | FRONT,
}

TABLE_SIZE: Final = 1 << 21
"""All that four bytes of UTF-8 can say: a table of this size is safe to index."""


@cache
def char_flags() -> Uint8s:
    """Returns (TABLE_SIZE,) uint8, read-only: the flags of each code point, 0 behind the last."""
    table = _table(_FLAGS)
    table[[ord("\r"), ord("\n")]] = BLANK | NEWLINE | BEHIND
    table[ord("/")] |= BEHIND
    table.flags.writeable = False
    return table


@cache
def unassigned() -> Uint8s:
    """Returns (TABLE_SIZE,) uint8, read-only: 1 for the code points that Unicode 16.0 has not assigned.

    A library that follows a later version takes some of them for letters, and cuts other words.
    """
    table = _table({"x": 1})
    table.flags.writeable = False
    return table


def _table(flags: Mapping[str, int]) -> Uint8s:
    """Returns (TABLE_SIZE,) uint8, the flags of each code point by its kind; 0 for kinds without."""
    runs = re.findall(r"([a-z])(\d*)", RUNS)
    flags_R = np.array([flags.get(kind, 0) for kind, _ in runs], np.uint8)
    size_R = np.array([int(size or 1) for _, size in runs])
    table = np.zeros(TABLE_SIZE, np.uint8)
    table[: size_R.sum()] = np.repeat(flags_R, size_R)
    return table
