"""What the pattern asks of code points, against the library that runs it."""

import numpy as np
import pytest
from tokenizers import Regex, pre_tokenizers

from sluice.schemas.arrays import Bools
from sluice.tokenizer.vocabulary import pattern
from sluice.tokenizer.vocabulary.pattern import char_flags, unassigned

CODE_POINTS = np.array([c for c in range(0x110000) if not 0xD800 <= c < 0xE000])
ALL = "".join(map(chr, CODE_POINTS.tolist()))

FLAGS = {
    r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]": pattern.CAPITAL,
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]": pattern.SMALL,
    r"[^\r\n\p{L}\p{N}]": pattern.FRONT,
    r"\p{N}": pattern.DIGIT,
    r"[^\s\p{L}\p{N}]": pattern.OTHER,
    r"\s": pattern.BLANK,
    r"[\r\n]": pattern.NEWLINE,
    r"[\r\n/]": pattern.BEHIND,
}


def matching(part: str) -> Bools:
    """Returns which code points `tokenizers` takes a part of the pattern to mean."""
    mask = np.ones(len(CODE_POINTS), np.bool_)
    for _, (start, stop) in pre_tokenizers.Split(Regex(part), "removed").pre_tokenize_str(ALL):
        mask[start:stop] = False
    return mask


@pytest.mark.parametrize("part", FLAGS)
def test_flags_are_those_of_the_library(part: str) -> None:
    """Every code point has a flag exactly where the library lets that part of the pattern match it."""
    differing = CODE_POINTS[matching(part) != (char_flags()[CODE_POINTS] & FLAGS[part] != 0)]
    assert differing.size == 0, [hex(c) for c in differing[:10]]


def test_unassigned_code_points_are_those_of_the_library() -> None:
    """What is unassigned to the library is unassigned here, and nothing else."""
    differing = CODE_POINTS[matching(r"\p{Cn}") != (unassigned()[CODE_POINTS] != 0)]
    assert differing.size == 0, [hex(c) for c in differing[:10]]
    assert not unassigned()[0x110000:].any()


def test_every_code_point_has_a_flag() -> None:
    """0 ends a text, so no code point may have it; behind the last one there is nothing else."""
    assert (char_flags()[:0x110000] != 0).all()
    assert not char_flags()[0x110000:].any()


def test_the_pattern_is_that_of_o200k_base() -> None:
    """It is the string that gigatoken knows."""
    assert pattern.SPLIT == (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
