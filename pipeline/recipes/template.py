"""Templates: texts with names of columns in braces, as `tokens.header` has them."""

from collections.abc import Collection
from string import Formatter
from typing import NamedTuple

from sluice.schemas.errors import did_you_mean
from sluice.schemas.post import TIME_COLUMNS


class Field(NamedTuple):
    """A piece of a template.

    Attributes:
        text: what stands before the column.
        column: its name; None at the end of the template.
        format: how a time is written, as strftime has it; empty for ISO 8601.
    """

    text: str
    column: str | None
    format: str


def fields_of(template: str, columns: Collection[str]) -> tuple[Field, ...]:
    """Returns the pieces of a template.

    >>> fields_of("{platform}, {created_at:%Y}: ", ["platform", "created_at"])[1]
    Field(text=', ', column='created_at', format='%Y')

    Args:
        template: braces that stand for themselves are doubled.
        columns: what may be named.

    Raises:
        ValueError: a brace is not closed, a name is none of the columns, or has a format and is no time.
    """
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"header: {error}; a brace that stands for itself is doubled") from None
    found = []
    for text, column, format, conversion in parsed:
        if column is not None and (column not in columns or conversion):
            raise ValueError(
                f"header: no column {column!r} can be named{did_you_mean(column, columns)}; "
                f"there are {', '.join(columns)}"
            )
        if format and column not in TIME_COLUMNS:
            raise ValueError(f"header: {{{column}:{format}}}: only a time has a format")
        found.append(Field(text, column, format or ""))
    return tuple(found)
