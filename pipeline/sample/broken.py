"""Rows of JSONL that no reader can take for a post, one function per kind."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

Row = dict[str, Any]


class Breakage(NamedTuple):
    """A way to break a row.

    Attributes:
        weight: how often, against the others.
        line: (row) -> the line's bytes, without a line feed.
        has_id: the line still holds the row's id as a string.
    """

    weight: float
    line: Callable[[Row], bytes]
    has_id: bool = True


def as_line(row: Row, **changes: Any) -> bytes:
    """Returns a row as a line of UTF-8 JSON, with some fields changed."""
    return _encoded(row | changes)


def _encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def without(row: Row, name: str) -> Row:
    """Returns the row less one field."""
    return {key: value for key, value in row.items() if key != name}


def _cut_off(row: Row) -> bytes:
    line = as_line(row)
    return line[: line.index(b'"text"') + 9]


def _with_text(text: bytes) -> Callable[[Row], bytes]:
    """Returns a breakage that writes bytes as the text, whether they are JSON in UTF-8 or not."""
    return lambda row: as_line(row, text="@@").replace(b"@@", text)


_ERROR_PAGE = b"<html><head><title>503 Service Unavailable</title></head></html>"

BREAKAGES: dict[str, Breakage] = {
    "cut_off": Breakage(14, _cut_off),
    "not_json": Breakage(8, lambda row: _ERROR_PAGE, has_id=False),
    "python_literal": Breakage(
        4, lambda row: repr(without(row, "text")).encode("ascii", "replace")
    ),
    "text_behind": Breakage(8, lambda row: as_line(row) + b" and no more"),
    "not_utf8": Breakage(10, _with_text(b"caf\xc3\xa9 \xe9\xff\xfe")),
    "cut_character": Breakage(6, _with_text("😂".encode()[:3])),
    "control_character": Breakage(10, _with_text(b"\x01 and no more")),
    "repeated_key": Breakage(6, lambda row: as_line(row)[:-1] + b', "text": "again"}'),
    "text_number": Breakage(6, lambda row: as_line(row, text=len(row["text"]))),
    "text_list": Breakage(4, lambda row: as_line(row, text=[row["text"]])),
    "text_object": Breakage(4, lambda row: as_line(row, text={"full": row["text"]})),
    "null_text": Breakage(8, lambda row: as_line(row, text=None)),
    "missing_text": Breakage(8, lambda row: as_line(without(row, "text"))),
    "missing_id": Breakage(6, lambda row: as_line(without(row, "id")), has_id=False),
    "not_an_object": Breakage(4, lambda row: _encoded([row["id"], row["text"]]), has_id=False),
}
"""Kind -> how it is broken."""
