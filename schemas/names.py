"""Names that others wrote: whether they stay inside their folder, and how they are safe to print."""

import re
from collections.abc import Sequence

_DRIVE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_FIELD = re.compile(r"[^\W\d][\w.:@$/-]*(?: [\w.:@$/-]+){0,2}")  # three words at most
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def inside(name: str) -> str:
    r"""Returns a relative name of a file, unchanged.

    Args:
        name: with forward slashes, as manifests and indexes have it.

    >>> inside("tokens/tokens-00000-of-00016.arrow")
    'tokens/tokens-00000-of-00016.arrow'

    Raises:
        ValueError: joined to a folder it could lead out of it, or to another storage: it is empty or
            absolute, begins with a drive or scheme, has an empty part, `.`, `..`, a backslash or a NUL.
    """
    parts = name.split("/")
    if {"", ".", ".."} & set(parts) or "\\" in name or "\0" in name or _DRIVE.match(name):
        raise ValueError(f"{name!r} must be a name inside its folder")
    return name


def visible(text: str) -> str:
    r"""Returns a text as it is safe to print: what would move the cursor, or turn text around, is escaped.

    Control characters but the tab and the line feed, separators of lines, and signs of direction become
    `\x1b` or `\u202e`; file names and post ids are written by others.

    >>> visible("a" + chr(27) + "[31mb")
    'a\\x1b[31mb'
    """
    return _HIDDEN.sub(lambda match: ascii(match[0])[1:-1], text)


def is_field_name(name: str) -> bool:
    """Returns whether a text reads as the name of a field: three words at most, a letter first."""
    return _FIELD.fullmatch(name) is not None and len(name) <= 64


def told_fields(names: Sequence[str]) -> str:
    """Returns names of fields for an error, and the number of those that may be texts.

    Where a CSV file has no header, its first post stands in the header's place.

    >>> told_fields(["id", "lang", "What a day, again!", "2024"])
    'id, lang and 2 that read as no names (CSV needs a header)'
    """
    named = list(filter(is_field_name, names))
    others = len(names) - len(named)
    told = [", ".join(named)[:500]] if named else []
    told += [f"{others} that read as no names (CSV needs a header)"] if others else []
    return " and ".join(told) or "none"
