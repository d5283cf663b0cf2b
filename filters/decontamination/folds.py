"""What each character is in a normalised word: NFKC without case and accents, digits as ASCII."""

import unicodedata
from collections.abc import Iterator
from functools import cache

import numpy as np

from sluice.filters.decontamination import kernels as k
from sluice.filters.decontamination.layout import Folds
from sluice.filters.text import kernels as classes
from sluice.filters.text.char_classes import category_runs, char_classes
from sluice.schemas.arrays import Uint8s, Uint32s

_APOSTROPHES = (0x27, 0x2018, 0x2019, 0x02BC, 0x00B4, 0xFF07)
_UNCHANGED = ((0x3400, 0xA000), (0xAC00, 0xD7A4), (0xD800, 0xF900), (0x20000, 0x2F800))
"""Blocks of characters that are their own NFKC and have no case."""
_POINTS = (
    *(
        (0x300, 0x36F),
        (0x591, 0x5BD),
        (0x5BF, 0x5BF),
        (0x5C1, 0x5C2),
        (0x5C4, 0x5C5),
        (0x5C7, 0x5C7),
    ),
    *((0x610, 0x61A), (0x640, 0x640), (0x64B, 0x65F), (0x670, 0x670)),
)
"""Accents, and what is written above and below Hebrew and Arabic letters: many leave them out."""
_KIND_OF_CLASS = {classes.CJK: k.CJK, classes.UNSPACED: k.UNSPACED, classes.DIGIT: k.FIGURE}


@cache
def folds() -> Folds:
    """Returns the folds of all code points; made once a process, in a quarter of a second."""
    classes_U = char_classes()
    folds_U = _of_classes(classes_U)
    expansions: list[int] = []
    for cp in _may_change(len(classes_U)):
        text = folded(chr(cp))
        if classes_U[cp] == classes.DIGIT:
            text = str(unicodedata.decimal(chr(cp)))
        if text == chr(cp):
            continue
        if not text:
            folds_U[cp] = k.JOINS
        elif len(text) == 1:
            folds_U[cp] = _fold_of(classes_U, ord(text))
        else:
            folds_U[cp] = k.EXPANDS | len(expansions)
            expansions += [len(text), *(_fold_of(classes_U, ord(c)) for c in text)]
    folds_U[[*_APOSTROPHES]] = k.JOINS
    expansions_E = np.array(expansions, np.uint32)
    made = Folds(folds_U, expansions_E)
    for array in made:
        array.flags.writeable = False
    return made


def folded(text: str) -> str:
    """Returns NFKC of the text without case, accents and the points of Arabic and Hebrew.

    >>> folded("ＦＩＦＴＹ ½ Straße, café")
    'fifty 1⁄2 strasse, cafe'
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    letters = (c for c in unicodedata.normalize("NFKD", plain) if not _is_point(c))
    return unicodedata.normalize("NFKC", "".join(letters))


def _is_point(char: str) -> bool:
    return any(first <= ord(char) <= last for first, last in _POINTS)


def _of_classes(classes_U: Uint8s) -> Uint32s:
    """Returns the folds of characters that are their own."""
    code_U = np.arange(len(classes_U), dtype=np.uint32)
    folds_U = np.zeros(len(classes_U), np.uint32)
    known_U = (classes_U >= classes.UPPER) & (classes_U <= classes.NUMBER)
    folds_U[known_U] = code_U[known_U]
    for kind, bit in _KIND_OF_CLASS.items():
        folds_U[classes_U == kind] |= np.uint32(bit)
    for start, categories in category_runs():
        is_format = np.isin(np.array(categories), ("Cf", "Mn", "Me"))
        of_run = slice(start, start + len(categories))
        folds_U[of_run][is_format & (classes_U[of_run] == classes.OTHER)] = k.JOINS
    return folds_U


def _may_change(size: int) -> Iterator[int]:
    at = 0x41
    for first, last in (*_UNCHANGED, (0x2FA20, size)):
        yield from range(at, first)
        at = last


def _fold_of(classes_U: Uint8s, cp: int) -> int:
    kind = int(classes_U[cp])
    if not classes.UPPER <= kind <= classes.NUMBER:
        return k.SEPARATES
    return cp | _KIND_OF_CLASS.get(kind, 0)
