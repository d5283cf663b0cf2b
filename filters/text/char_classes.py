"""What kind of character each code point is: one byte for each, built once from `unicodedata`."""

import unicodedata
from collections.abc import Iterator
from functools import cache

import numpy as np

from sluice.filters.text import kernels as k
from sluice.schemas.arrays import Uint8s

TABLE_SIZE = 1 << 21
"""All that four bytes can say: a table of this size is safe to index with whatever is decoded."""

PICTOGRAPHS = (
    (0x203C, 0x203C), (0x2049, 0x2049), (0x2139, 0x2139), (0x2194, 0x2199), (0x21A9, 0x21AA),
    (0x231A, 0x231B), (0x2328, 0x2328), (0x2388, 0x2388), (0x23CF, 0x23CF), (0x23E9, 0x23F3),
    (0x23F8, 0x23FA), (0x24C2, 0x24C2), (0x25AA, 0x25AB), (0x25B6, 0x25B6), (0x25C0, 0x25C0),
    (0x25FB, 0x25FE), (0x2600, 0x2605), (0x2607, 0x2612), (0x2614, 0x2685), (0x2690, 0x2705),
    (0x2708, 0x2712), (0x2714, 0x2714), (0x2716, 0x2716), (0x271D, 0x271D), (0x2721, 0x2721),
    (0x2728, 0x2728), (0x2733, 0x2734), (0x2744, 0x2744), (0x2747, 0x2747), (0x274C, 0x274C),
    (0x274E, 0x274E), (0x2753, 0x2755), (0x2757, 0x2757), (0x2763, 0x2767), (0x2795, 0x2797),
    (0x27A1, 0x27A1), (0x27B0, 0x27B0), (0x27BF, 0x27BF), (0x2934, 0x2935), (0x2B05, 0x2B07),
    (0x2B1B, 0x2B1C), (0x2B50, 0x2B50), (0x2B55, 0x2B55), (0x3030, 0x3030), (0x303D, 0x303D),
    (0x3297, 0x3297), (0x3299, 0x3299), (0x1F000, 0x1F0FF), (0x1F10D, 0x1F10F),
    (0x1F12F, 0x1F12F), (0x1F16C, 0x1F171), (0x1F17E, 0x1F17F), (0x1F18E, 0x1F18E),
    (0x1F191, 0x1F19A), (0x1F1AD, 0x1F1E5), (0x1F201, 0x1F20F), (0x1F21A, 0x1F21A),
    (0x1F22F, 0x1F22F), (0x1F232, 0x1F23A), (0x1F23C, 0x1F23F), (0x1F249, 0x1F3FA),
    (0x1F400, 0x1F53D), (0x1F546, 0x1F64F), (0x1F680, 0x1F6FF), (0x1F774, 0x1F77F),
    (0x1F7D5, 0x1F7FF), (0x1F80C, 0x1F80F), (0x1F848, 0x1F84F), (0x1F85A, 0x1F85F),
    (0x1F888, 0x1F88F), (0x1F8AE, 0x1F8FF), (0x1F90C, 0x1F93A), (0x1F93C, 0x1F945),
    (0x1F947, 0x1FAFF), (0x1FC00, 0x1FFFD),
)  # fmt: skip
"""Extended_Pictographic of emoji-data 14.0, less the three marks ©, ® and ™, which are text."""

CJK_BLOCKS = (
    (0x3005, 0x3007), (0x3021, 0x3029), (0x3031, 0x30FF), (0x3100, 0x312F), (0x31A0, 0x31BF),
    (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA000, 0xA48C), (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F), (0x1B000, 0x1B16F), (0x20000, 0x3FFFD),
)  # fmt: skip
"""Han, kana, bopomofo and Yi: written without spaces, about two characters a word."""

UNSPACED_BLOCKS = (
    (0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF),
    (0xA980, 0xA9FF), (0xAA60, 0xAADF),
)  # fmt: skip
"""Thai, Lao, Tibetan, Myanmar, Khmer, Tai and Javanese: no spaces, about four characters a word."""

_UNIFORM = ((0x3400, 0x4DBF, "Lo"), (0x4E00, 0x9FFF, "Lo"), (0xAC00, 0xD7A3, "Lo"),
            (0x20000, 0x3FFFD, "Lo"), (0xD800, 0xF8FF, "Cs"))  # fmt: skip
"""Blocks of one category, not asked code point by code point; unassigned ideographs count as Lo."""

_MARKS_ON_EMOJI = ((0x034F, 0x034F), (0x20E3, 0x20E3), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
"""Joiners, the key cap and variation selectors: category M, but they spell nothing."""


@cache
def char_classes() -> Uint8s:
    """Returns (TABLE_SIZE,) uint8, read-only: the class of each code point, by `kernels.OTHER` to `PUNCT`.

    Letters L* and marks M* are letters: in Arabic, Indic and Thai script, marks spell the vowels.
    Takes about 20 ms, once a process.
    """
    classes_U = np.full(TABLE_SIZE, k.OTHER, np.uint8)
    of_category = np.vectorize(_class_of, otypes=[np.uint8])
    for start, categories in category_runs():
        names, inverse = np.unique(categories, return_inverse=True)
        classes_U[start : start + len(categories)] = of_category(names)[inverse]
    classes_U[[*range(0x09, 0x0E), *range(0x1C, 0x20), 0x85]] = k.SPACE
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
