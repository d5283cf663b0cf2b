"""Numbers as they are written: groups of letters and digits with single signs between.

The *shape* of some groups is their text with 9 for each digit and A for each letter: "999.999.999-99".
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

_GROUP = re.compile(r"[0-9A-Za-z]+")
_LONGEST_LETTERS = 6
"""Letters of a group without a digit, at most: longer ones are words."""
_SHAPE = {
    **{ord(c): "9" for c in "0123456789"},
    **dict.fromkeys((*range(65, 91), *range(97, 123)), "A"),
}
_JOINS = frozenset("-./_&#@%$€£+,'\\")


class WrittenNumber(NamedTuple):
    """Some groups of a text that may be one number.

    Attributes:
        first: the first character.
        last: the one after the last.
        shape: of the groups.
        compact: letters and digits alone, in upper case.
        is_alone: no other group stands one blank before or after.
    """

    first: int
    last: int
    shape: str
    compact: str
    is_alone: bool


def beginnings(shapes: Collection[str]) -> dict[str, bool]:
    """Returns the shapes, and what they begin with up to the end of a group: true for whole shapes.

    >>> beginnings(["99-A", "99"])
    {'99-A': True, '99': True}
    >>> beginnings(["9 9(9)"])
    {'9 9(9)': True, '9': False, '9 9': False, '9 9(9': False}
    """
    ends = [shape[: group.end()] for shape in shapes for group in _GROUP.finditer(shape)]
    return dict.fromkeys(shapes, True) | {end: False for end in ends if end not in shapes}


def written(text: str, known: Mapping[str, bool]) -> Iterator[WrittenNumber]:
    """Yields the stretches of groups of known shapes that are not a part of a longer word.

    Args:
        text: with digits of all scripts as ASCII ones.
        known: as `beginnings` has them.

    >>> [each.compact for each in written("CPF 529.982.247-25", beginnings(["999.999.999-99"]))]
    ['52998224725']
    """
    places = [found.span() for found in _GROUP.finditer(text)]
    for i, (first, end) in enumerate(places):
        if end - first > _LONGEST_LETTERS and text[first:end].isalpha():
            continue
        if text[first:end].translate(_SHAPE) not in known or _is_joined(text, first - 1, -1):
            continue
        for n in range(i, len(places)):
            last = places[n][1]
            shape = text[first:last].translate(_SHAPE)
            is_whole = known.get(shape)
            if not is_whole and text[last : last + 1] == ")":
                last, shape = last + 1, f"{shape})"
                is_whole = known.get(shape, is_whole)
            if is_whole is None:
                break
            if is_whole and not _is_joined(text, last, 1):
                compact = "".join(text[a:b] for a, b in places[i : n + 1]).upper()
                yield WrittenNumber(first, last, shape, compact, _is_alone(text, first, last))


def _is_joined(text: str, at: int, step: int) -> bool:
    """Returns whether the sign at `at` joins a group to another letter or digit beyond it."""
    if not 0 <= at < len(text):
        return False
    if text[at].isalnum() and text[at].isascii():
        return True
    beyond = at + step
    if text[at] in "#@$€£_" or (text[at] == "+" and step < 0):
        return True
    is_inside = 0 <= beyond < len(text) and text[beyond].isascii() and text[beyond].isalnum()
    return text[at] in _JOINS and is_inside


def _is_alone(text: str, first: int, last: int) -> bool:
    """Returns whether no digit is one sign away on either side."""
    before, after = text[max(0, first - 2) : first], text[last : last + 2]
    return not ((before[:1].isdigit() and len(before) == 2) or after[1:].isdigit())
