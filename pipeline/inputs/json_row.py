"""One line of JSON, read with the standard library, where the compiled reader refuses it."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sluice.pipeline.inputs.record_shapes import DEEP, MAX_DEPTH, NOT_UTF8, TOO_LONG
from sluice.schemas.payloads.ids import EXACT

_BLANKS = b" \t\r\n"  # JSON's white space


class BadLineError(Exception):
    """What is wrong with a line: a reason of the reader's table, and a detail without text of the post."""

    def __init__(self, reason: str, detail: str | None = None):
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class _Number(str):
    """A number as it stands in the line: exact at any length."""

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


def _constant(name: str) -> Any:
    return None if name == "NaN" else _Number(name)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_Number, parse_float=_Number, parse_constant=_constant
)


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
    """Returns the object of a line, numbers as they stand.

    Raises:
        BadLineError: the line is not one JSON object.
    """
    try:
        row = _DECODER.decode(line.decode().strip(_BLANKS.decode()))
    except json.JSONDecodeError as error:
        raise BadLineError(
            "not_json", f"{error.msg.removesuffix(' at')} at character {error.pos}"
        ) from None
    except RecursionError:
        raise BadLineError("not_json", "nested too deeply") from None
    if not isinstance(row, dict):
        raise BadLineError("not_object", kind_of(row))
    return row


def plain_line(row: dict[str, Any], names: Sequence[str], *, required: Collection[str]) -> bytes:
    """Returns a line that the compiled reader takes: an object with the values of some names.

    A value whose key is in its object twice becomes one that no column takes.

    Args:
        row: a decoded line.
        names: as a mapping has them.
        required: those whose keys must not be repeated.

    Raises:
        BadLineError: the key of a required one is.
    """
    pairs = []
    for name in names:
        value, repeated = _found(row, name)
        if repeated and name in required:
            raise BadLineError("repeated_key", name)
        text = "true" if repeated else _text(value)
        pairs.append(f"{json.dumps(name, ensure_ascii=False)}:{text}")
    return ("{" + ",".join(pairs) + "}").encode()


def whole_line(row: Mapping[str, Any]) -> bytes:
    """Returns all of a decoded line, as the compiled reader takes it.

    Of a key that is repeated the last value stays, and no key that is written with escapes.

    Raises:
        BadLineError: it is nested too deeply.
    """
    try:
        return _whole(row).encode()
    except RecursionError:
        raise BadLineError("not_json", "nested too deeply") from None


def _whole(value: Any) -> str:
    if isinstance(value, dict):
        keys = ((json.dumps(key, ensure_ascii=False), v) for key, v in value.items())
        return "{" + ",".join(f"{k}:{_whole(v)}" for k, v in keys if "\\" not in k) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_whole, value)) + "]"
    return _text(value)


def id_of(row: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Returns the id of a line that is a dead letter, where it has a sound one."""
    found = (_found(row, name) for name in names)
    value, repeated = next(((v, r) for v, r in found if v is not None or r), (None, False))
    if repeated or not isinstance(value, str) or not value.isprintable():
        return None
    return value


def value_at(row: Mapping[str, Any], name: str) -> Any:
    """Returns the value of a name as it stands, or as keys of nested objects; None where there is none."""
    return _found(row, name)[0]


def is_number(value: Any) -> bool:
    """Returns whether a decoded value is a number."""
    return isinstance(value, _Number)


def is_exact_id(value: Any) -> bool:
    """Returns false for a float that may stand for several ids.

    >>> [is_exact_id(value) for value in ("1.5e18", _Number("1.5e+18"), _Number("12"), 1.5e18, None)]
    [True, False, True, False, True]
    """
    if isinstance(value, float):
        return abs(value) < EXACT or value != value
    if not isinstance(value, _Number) or value.lstrip("-").isdigit():
        return True
    return abs(float(value)) < EXACT


def _found(row: Mapping[str, Any], name: str) -> tuple[Any, bool]:
    """Returns (the value of a name as it stands or as keys of nested objects, whether a key was repeated)."""
    if row.get(name) is not None:
        return row[name], isinstance(row, Repeating) and name in row.repeated
    value: Any = row
    for key in name.split("."):
        if not isinstance(value, dict):
            return None, False
        if isinstance(value, Repeating) and key in value.repeated:
            return None, True
        value = value.get(key)
    return value, False


def _text(value: Any) -> str:
    """Returns a value as JSON; objects outside arrays are empty, as no column takes them."""
    if isinstance(value, list):
        return "[" + ",".join(map(_item, value)) + "]"
    if isinstance(value, dict):
        return "{}"
    return str(value) if isinstance(value, _Number) else json.dumps(value)


def _item(item: Any) -> str:
    """Returns an item of an array as JSON, an object with what is simple in it."""
    if not isinstance(item, dict):
        return _text(item) if not isinstance(item, list) else "[]"
    if isinstance(item, Repeating):
        return "true"
    pairs = (f"{json.dumps(key, ensure_ascii=False)}:{_simple(v)}" for key, v in item.items())
    return "{" + ",".join(pairs) + "}"


def _simple(value: Any) -> str:
    return "[]" if isinstance(value, list) else _text(value)


def kind_of(value: Any) -> str:
    """Returns what errors call a decoded value."""
    kinds = {bool: "a boolean", str: "a string", list: "an array", type(None): "null"}
    if isinstance(value, _Number):
        return "an integer" if value.lstrip("-").isdigit() else "a number"
    return kinds.get(type(value), "an object")
