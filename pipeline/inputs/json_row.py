"""One line of JSON, read with the standard library, where the fast reader of `jsonl.py` cannot take it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from sluice.pipeline.inputs.record_shapes import DEEP, MAX_DEPTH, NOT_UTF8, TOO_LONG
from sluice.schemas.payloads.columns import ID_COLUMNS
from sluice.schemas.post import MEDIA

_BLANKS = b" \t\r\n"  # JSON's white space


class BadLineError(Exception):
    """What is wrong with a line: a reason of the reader's table, and a detail without text of the post."""

    def __init__(self, reason: str, detail: str | None = None):
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class _Integer(str):
    """The digits of a JSON integer: exact at any length."""

    __slots__ = ()


class Repeating(dict[str, Any]):
    """An object in which `repeated` keys occur more than once."""

    repeated: frozenset[str]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) == len(pairs):
        return row
    repeating = Repeating(row)
    keys = [key for key, _ in pairs]
    repeating.repeated = frozenset(key for key in row if keys.count(key) > 1)
    return repeating


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_Integer)


def check_shape(shape: int) -> None:
    """Raises BadLineError for a line whose shape alone says that it cannot be read."""
    if shape in _BAD_SHAPES:
        raise BadLineError(*_BAD_SHAPES[shape])


_BAD_SHAPES = {
    TOO_LONG: ("line_too_long",),
    NOT_UTF8: ("not_utf8",),
    DEEP: ("not_json", f"more than {MAX_DEPTH} brackets open"),
}


def decode(line: bytes) -> dict[str, Any]:
    """Returns the object of a line, integers as their digits.

    Raises:
        BadLineError: the line is not one JSON object.
    """
    try:
        row = _DECODER.decode(line.decode().strip(_BLANKS.decode()))
    except json.JSONDecodeError as error:
        raise BadLineError("not_json", f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise BadLineError("not_json", "nested too deeply") from None
    if not isinstance(row, dict):
        raise BadLineError("not_object", _kind(row))
    return row


def first_of(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Returns the first value that is not null among keys of an object, or None."""
    return next((row[name] for name in names if row.get(name) is not None), None)


def string_of(column: str, value: Any) -> str | None:
    """Returns the text of a value for a POST column; ids may be integers.

    Raises:
        BadLineError: the value is no text.
    """
    if isinstance(value, _Integer) and column in ID_COLUMNS:
        return "0" if value == "-0" else str(value)
    if value is not None and type(value) is not str:
        reason = "bad_time" if column == "created_at" else "wrong_type"
        raise BadLineError(reason, f"{column} is {_kind(value)}")
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise BadLineError("lone_surrogate", column) from None
    return value


def media_of(value: Any) -> list[dict[str, str | None] | None] | None:
    """Returns the media of a post with the fields of POST.

    Raises:
        BadLineError: the value is not a list of objects, or a field is no text.
    """
    if value is None:
        return None
    if not isinstance(value, list):
        raise BadLineError("wrong_type", f"media is {_kind(value)}")
    return [None if item is None else _medium(item) for item in value]


def _medium(item: Any) -> dict[str, str | None]:
    if not isinstance(item, dict):
        raise BadLineError("wrong_type", f"media[] is {_kind(item)}")
    for field in MEDIA.value_type:
        if isinstance(item, Repeating) and field.name in item.repeated:
            raise BadLineError("repeated_key", f"media[].{field.name}")
    return {
        field.name: string_of(f"media[].{field.name}", item.get(field.name))
        for field in MEDIA.value_type
    }


def _kind(value: Any) -> str:
    kinds = {bool: "a boolean", _Integer: "an integer", float: "a number", str: "a string"}
    kinds |= {list: "an array", type(None): "null"}
    return kinds.get(type(value), "an object")


def id_type(value: Any) -> pa.DataType:
    """Returns the type that Arrow's reader is to read an id column with, by one of its values."""
    if not isinstance(value, _Integer):
        return pa.string()
    return pa.int64() if len(value) < 19 or value.startswith("-") else pa.uint64()


def type_of(column: str) -> pa.DataType:
    """Returns the type of a POST column as it is read."""
    return MEDIA if column == "media" else pa.string()
