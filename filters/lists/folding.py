"""What characters are compared as in lists: case, width and the shape of quotes and dashes do not count."""

import unicodedata
from functools import cache
from typing import Final

import numpy as np

from sluice.filters.text.char_classes import TABLE_SIZE
from sluice.schemas.arrays import Int32s

_LAST_FOLDED: Final = 0x20000
_SAME: Final = ((0x3400, 0xA000), (0xAC00, 0xF900), (0x18000, 0x1B000))
"""Blocks in which nothing has a case or another width: they are not asked."""
_MARKS: Final = {"'": "\u2018\u2019", '"': "\u201c\u201d", "-": "\u2010\u2011\u2012\u2013\u2014"}


@cache
def folds() -> Int32s:
    """Returns (TABLE_SIZE,) int32, read-only: the code point that each one is compared as.

    It is what NFKC and case folding make of it, where that is one character; else the lower case; else
    itself. Takes about 60 ms, once a process.

    >>> [chr(folds()[ord(c)]) for c in "Aß\uff21\u03a3\u2019"]
    ['a', 'ß', 'a', 'σ', "'"]
    """
    folds_U = np.arange(TABLE_SIZE, dtype=np.int32)
    at = 0
    for first, after in (*_SAME, (_LAST_FOLDED, _LAST_FOLDED)):
        for cp in range(at, first):
            folds_U[cp] = ord(fold(chr(cp)))
        at = after
    for sign, others in _MARKS.items():
        folds_U[[ord(other) for other in others]] = ord(sign)
    folds_U.flags.writeable = False
    return folds_U


def fold(char: str) -> str:
    """Returns the one character that a character is compared as, quotes and dashes apart."""
    wide = unicodedata.normalize("NFKC", char)
    base = wide if len(wide) == 1 else char
    for form in (base.casefold(), base.lower()):
        if len(form) == 1:
            return form
    return base


def folded(text: str) -> str:
    """Returns a text with each character as it is compared."""
    return "".join(chr(folds()[ord(char)]) for char in text)
