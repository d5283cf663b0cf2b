"""Rows of JSONL that no reader can take for a post, a function a kind."""

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
    return json.dumps(row | changes, ensure_ascii=False).encode()


def without(row: Row, name: str) -> Row:
    """Returns the row less one field."""
    return {key: value for key, value in row.items() if key != name}


def _cut_off(row: Row) -> bytes:
    line = as_line(row)
    return line[: line.index(b'"text"') + 9]


def _not_json(row: Row) -> bytes:
    return b"<html><head><title>503 Service Unavailable</title></head></html>"


def _python_literal(row: Row) -> bytes:
    return repr(without(row, "text")).encode("ascii", "replace")


def _two_objects(row: Row) -> bytes:
    return as_line(row) + as_line(row)


def _not_utf8(row: Row) -> bytes:
    return as_line(row, text="caf\u00e9 @@").replace(b"@@", b"\xe9\xff\xfe")


def _cut_character(row: Row) -> bytes:
    return as_line(row, text="@@").replace(b"@@", "😂".encode()[:3])


def _lone_surrogate(row: Row) -> bytes:
    return as_line(row, text="@@").replace(b"@@", b"\\ud83d and no more")


def _repeated_key(row: Row) -> bytes:
    return as_line(row)[:-1] + b', "text": "again"}'


def _text_number(row: Row) -> bytes:
    return as_line(row, text=len(row["text"]))


def _text_list(row: Row) -> bytes:
    return as_line(row, text=[row["text"]])


def _text_object(row: Row) -> bytes:
    return as_line(row, text={"full": row["text"]})


def _null_text(row: Row) -> bytes:
    return as_line(row, text=None)


def _missing_text(row: Row) -> bytes:
    return as_line(without(row, "text"))


def _missing_id(row: Row) -> bytes:
    return as_line(without(row, "id"))


def _not_an_object(row: Row) -> bytes:
    return json.dumps([row["id"], row["text"]], ensure_ascii=False).encode()


BREAKAGES: dict[str, Breakage] = {
    "cut_off": Breakage(14, _cut_off),
    "not_json": Breakage(8, _not_json, has_id=False),
    "python_literal": Breakage(4, _python_literal),
    "two_objects": Breakage(8, _two_objects),
    "not_utf8": Breakage(10, _not_utf8),
    "cut_character": Breakage(6, _cut_character),
    "lone_surrogate": Breakage(10, _lone_surrogate),
    "repeated_key": Breakage(6, _repeated_key),
    "text_number": Breakage(6, _text_number),
    "text_list": Breakage(4, _text_list),
    "text_object": Breakage(4, _text_object),
    "null_text": Breakage(8, _null_text),
    "missing_text": Breakage(8, _missing_text),
    "missing_id": Breakage(6, _missing_id, has_id=False),
    "not_an_object": Breakage(4, _not_an_object, has_id=False),
}
"""Kind -> how it is broken."""
