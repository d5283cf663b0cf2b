"""Coordinates of a place, to four decimals (some ten metres) or more, or in degrees, minutes and seconds.

Two prices look alike. Unless a name, the letter of a direction or a link says what they are, two numbers are
coordinates with a comma between them alone, and not where both are small and nearly equal.
"""

import re
from collections.abc import Iterator

_NAMES = r"(?:lat(?:itude)?|lon(?:g(?:itude)?)?|lng)[^\w+-]{0,4}"
_PAIR = re.compile(
    rf"(?<![\w.])({_NAMES})?([+-]?\d{{1,3}}\.\d{{4,16}})(?![\d.])\s?°?\s?([NS])?"
    rf"(?:\s?[,;/|&]\s{{0,2}}|\s{{1,2}}|,)({_NAMES})?([+-]?\d{{1,3}}\.\d{{4,16}})(?!\.?\d)(?:\s?°?\s?([EWO])(?!\w))?",
    re.IGNORECASE | re.ASCII,
)
_DEGREES = re.compile(
    r"(?<!\w)\d{1,2}\s?°\s?\d{1,2}\s?['′’]\s?\d{1,2}(?:\.\d{1,6})?\s?(?:[\"″”]|'')\s?[NS]"
    r"[\s,;/]{0,3}\d{1,3}\s?°\s?\d{1,2}\s?['′’]\s?\d{1,2}(?:\.\d{1,6})?\s?(?:[\"″”]|'')\s?[EWO](?!\w)",
    re.ASCII,
)
_SMALL, _NEAR = 10.0, 0.5


def coordinates(text: str) -> Iterator[tuple[int, int]]:
    """Yields the characters [first, last) of each pair of coordinates of a text.

    >>> list(coordinates("meet at 56.94965, 24.10518 tonight"))
    [(8, 26)]
    """
    if text.count(".") >= 2:
        for pair in _PAIR.finditer(text):
            if _is_place(pair):
                yield pair.start(2), pair.end()
    if "°" in text:
        yield from (found.span() for found in _DEGREES.finditer(text))


def _is_place(pair: re.Match[str]) -> bool:
    named, latitude, north, other, longitude, east = pair.groups()
    if abs(float(latitude)) > 90 or abs(float(longitude)) > 180:
        return False
    before = pair.string[max(0, pair.start() - 4) : pair.start()]
    if named or north or other or east or before.endswith(("@", "=", "geo:", "/")):
        return True
    if not set(",;") & set(pair[0]):
        return False
    if abs(float(latitude)) < 1 and abs(float(longitude)) < 1:
        return False  # shares, colours; as a place it is in the sea
    near = abs(float(latitude) - float(longitude)) < _NEAR
    return not (near and abs(float(latitude)) < _SMALL)
