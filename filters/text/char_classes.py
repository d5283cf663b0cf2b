"""What kind of character each code point is: one byte for each, built once from `unicodedata`."""

import unicodedata
from collections.abc import Iterator
from functools import cache

import numpy as np

from sluice.filters.text import kernels as k
from sluice.schemas import placeholders
from sluice.schemas.arrays import Uint8s

TABLE_SIZE = 1 << 21
"""All that four bytes can say: a table of this size is safe to index with whatever is decoded."""


def ranges(text: str) -> tuple[tuple[int, int], ...]:
    """Returns the first and last code point of each range of a text.

    >>> ranges("2049 2194-2199")
    ((8265, 8265), (8596, 8601))
    """
    pairs = (part.partition("-") for part in text.split())
    return tuple((int(first, 16), int(last or first, 16)) for first, _, last in pairs)


PICTOGRAPHS = ranges("""
203C 2049 2139 2194-2199 21A9-21AA 231A-231B 2328 2388 23CF 23E9-23F3 23F8-23FA 24C2 25AA-25AB 25B6 25C0
25FB-25FE 2600-2605 2607-2612 2614-2685 2690-2705 2708-2712 2714 2716 271D 2721 2728 2733-2734 2744 2747
274C 274E 2753-2755 2757 2763-2767 2795-2797 27A1 27B0 27BF 2934-2935 2B05-2B07 2B1B-2B1C 2B50 2B55 3030
303D 3297 3299 1F000-1F0FF 1F10D-1F10F 1F12F 1F16C-1F171 1F17E-1F17F 1F18E 1F191-1F19A 1F1AD-1F1E5
1F201-1F20F 1F21A 1F22F 1F232-1F23A 1F23C-1F23F 1F249-1F3FA 1F400-1F53D 1F546-1F64F 1F680-1F6FF
1F774-1F77F 1F7D5-1F7FF 1F80C-1F80F 1F848-1F84F 1F85A-1F85F 1F888-1F88F 1F8AE-1F8FF 1F90C-1F93A
1F93C-1F945 1F947-1FAFF 1FC00-1FFFD
""")
"""Extended_Pictographic of emoji-data 14.0, less the three marks ©, ® and ™, which are text."""

CJK_BLOCKS = ranges("""
3005-3007 3021-3029 3031-30FF 3100-312F 31A0-31BF 31F0-31FF 3400-4DBF 4E00-9FFF A000-A48C F900-FAFF
FF66-FF9F 1B000-1B16F 20000-3FFFD
""")
"""Han, kana, bopomofo and Yi: written without spaces, about two characters a word."""

UNSPACED_BLOCKS = ranges("""
0E00-0FFF 1000-109F 1780-17FF 1950-19DF 1A20-1AAF A980-A9FF AA60-AADF
""")
"""Thai, Lao, Tibetan, Myanmar, Khmer, Tai and Javanese: no spaces, about four characters a word."""

_UNIFORM = (
    *((0x3400, 0x4DBF, "Lo"), (0x4E00, 0x9FFF, "Lo"), (0xAC00, 0xD7A3, "Lo")),
    *((0x20000, 0x3FFFD, "Lo"), (0xD800, 0xF8FF, "Cs")),
)
"""Blocks of one category, not asked code point by code point; unassigned ideographs count as Lo."""

_MARKS_ON_EMOJI = ranges("034F 20E3 FE00-FE0F E0100-E01EF")
"""Joiners, the key cap and variation selectors: category M, but they spell nothing."""


@cache
def char_classes() -> Uint8s:
    """Returns (TABLE_SIZE,) uint8, read-only: the class of each code point, by `kernels.OTHER` to `PUNCT`.

    Letters L* and marks M* are letters: in Arabic, Indic and Thai script, marks spell the vowels.
    Placeholders (`sluice.schemas.placeholders`) are white space.
    Takes about 20 ms, once a process.
    """
    classes_U = np.full(TABLE_SIZE, k.OTHER, np.uint8)
    of_category = np.vectorize(_class_of, otypes=[np.uint8])
    for start, categories in category_runs():
        names, inverse = np.unique(categories, return_inverse=True)
        classes_U[start : start + len(categories)] = of_category(names)[inverse]
    classes_U[[*range(0x09, 0x0E), *range(0x1C, 0x20), 0x85]] = k.SPACE
    classes_U[placeholders.FIRST : placeholders.LAST + 1] = k.SPACE
    is_letter_U = (classes_U >= k.UPPER) & (classes_U <= k.LETTER)
    for blocks, kind in ((CJK_BLOCKS, k.CJK), (UNSPACED_BLOCKS, k.UNSPACED)):
        for first, last in blocks:
            classes_U[first : last + 1][is_letter_U[first : last + 1]] = kind
    for first, last in _MARKS_ON_EMOJI:
        classes_U[first : last + 1] = k.OTHER
    for first, last in PICTOGRAPHS:
        classes_U[first : last + 1] = k.EMOJI
    classes_U[0x1F1E6:0x1F200] = k.REGIONAL
    classes_U.flags.writeable = False
    return classes_U


def category_runs() -> Iterator[tuple[int, list[str]]]:
    """Yields (first code point, general categories) of stretches that cover what is assigned."""
    at = 0
    for first, last, category in (*sorted(_UNIFORM), (0xE0000, 0xE01FF, "")):
        if first - at < 0x4000 or at < 0x20000:
            yield at, list(map(unicodedata.category, map(chr, range(at, first))))
        if category:
            yield first, [category] * (last + 1 - first)
        else:
            yield first, list(map(unicodedata.category, map(chr, range(first, last + 1))))
        at = last + 1


def _class_of(category: str) -> int:
    if category in ("Lu", "Lt"):
        return k.UPPER
    if category == "Ll":
        return k.LOWER
    major = {"L": k.LETTER, "M": k.LETTER, "N": k.NUMBER, "P": k.PUNCT, "S": k.PUNCT, "Z": k.SPACE}
    return k.DIGIT if category == "Nd" else major.get(category[0], k.OTHER)
