"""What the bytes of a JSON record look like, as the scans tell it and the readers ask."""

from typing import Final

MAX_DEPTH: Final = 200
"""Brackets and braces that may be open at once: the standard library's reader recurses."""
BLANK, OBJECT, ODD, DEEP, NOT_UTF8, TOO_LONG = range(6)
"""OBJECT: one balanced object; ODD: whatever is none of the others, and lines with NaN or Infinity."""
