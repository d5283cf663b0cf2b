"""The filters that a recipe can name, as a table for the terminal: `sluice filters`."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sluice.filters.listing import FilterInfo
from sluice.schemas.names import visible

WIDE = 140
"""Columns of a terminal from which on there is room for what is scored."""
HEADS = ("filter", "keeps scores", "reason of rejects", "reads")
WIDE_HEADS = (
    "filter",
    "score",
    "keeps scores",
    "other keys",
    "reason of rejects",
    "reads",
    "version",
)
MAX_FIXED = 24
"""A cell up to this long is not folded where there is room: in a wide table the score gives way, else what
is read."""
_GAP, _LEAST = 2, 5  # characters between columns, and of the one that gives way


def show(filters: Sequence[FilterInfo], console: Console) -> None:
    """Prints a table for each distribution, then the filters that are refused, with the reasons."""
    usable = [f for f in filters if not f.refused]
    for title, group in groupby(sorted(usable, key=_distribution), key=lambda f: str(f.origin)):
        of = list(group)
        console.print(Text(f"{visible(title)}: {_count(len(of))}", style="bold"))
        console.print(_table(of, width=console.width))
        console.print()
    for info in filters:
        if info.refused:
            line = f"refused: {info.name} of {info.origin}: {info.refused}"
            console.print(Text(visible(line), style="red"))


def _distribution(info: FilterInfo) -> tuple[bool, str, str]:
    return info.origin.distribution != "sluice", str(info.origin), info.name


def _count(n: int) -> str:
    return f"{n} filter" + "s" * (n != 1)


def _table(filters: Sequence[FilterInfo], *, width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    wide = width >= WIDE
    rows = [list(_wide(info) if wide else _narrow(info)) for info in filters]
    heads, gives_way = (WIDE_HEADS, "score") if wide else (HEADS, "reads")
    widths = dict(zip(heads, map(_longest, zip(*rows, strict=True)), strict=True))
    fixed = {
        head: max(len(head), min(longest, MAX_FIXED))
        for head, longest in widths.items()
        if head != gives_way
    }
    room = width - sum(fixed.values()) - _GAP * len(fixed)
    if _LEAST <= room < widths[gives_way]:
        fixed[gives_way] = room
    for head in heads:
        most = fixed[head] if gives_way in fixed else None
        table.add_column(head, min_width=fixed.get(head), max_width=most, overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


def _longest(cells: Sequence[str]) -> int:
    """Returns the characters of the longest first line of the cells of a column."""
    return max(len(cell.partition("\n")[0]) for cell in cells)


def _cell(text: str) -> Text:
    """Returns a cell of plain text: what others wrote is neither markup nor terminal control."""
    return Text("\n").join(Text(visible(line)) for line in text.split("\n"))


def _wide(info: FilterInfo) -> Iterator[str]:
    yield from (info.name, info.score, keeps(info), "\n".join(_other_keys(info)), info.reason)
    yield from ("\n".join(info.columns), str(info.version))


def _narrow(info: FilterInfo) -> Iterator[str]:
    yield info.name
    yield "\n".join([keeps(info), *_other_keys(info)])
    yield info.reason
    yield "\n".join(info.columns)


def keeps(info: FilterInfo) -> str:
    """Returns which scores a filter keeps by default, and the key of its threshold.

    >>> from sluice.filters.listing import list_filters
    >>> [keeps(f) for f in list_filters() if f.name in ("min_words", "truncated_retweet")]
    ['>= 2 (min_words)', '<= 0 (fixed)']
    """
    sign = "<=" if info.keeps == "at_most" else ">="
    if info.threshold is None:
        return f"{sign} {info.bound} (required)"
    return f"{sign} {info.threshold:.6g} ({'fixed' if info.is_fixed else info.bound})"


def _other_keys(info: FilterInfo) -> Iterator[str]:
    for key, value in info.keys.items():
        yield f"{key} = {'none' if value is None else json.dumps(value, ensure_ascii=False)}"
    for key in info.required:
        if key != info.bound:
            yield f"{key} (required)"
