"""A tree of settings as the text of a TOML file; the standard library reads TOML and writes none."""

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any


def of_tree(tree: dict[str, Any]) -> str:
    """Returns the TOML text of a tree of tables, lists, strings, numbers, truth values and dates.

    >>> print(of_tree({"name": "small", "filters": [{"filter": "spam", "max_spam": 0.9}]}), end="")
    name = "small"
    <BLANKLINE>
    [[filters]]
    filter = "spam"
    max_spam = 0.9
    """
    return "\n".join(_lines(tree, "")).lstrip("\n") + "\n"


def _lines(table: dict[str, Any], path: str) -> Iterator[str]:
    """Yields the lines of a table: its values first, then the tables in it."""
    tables = {key: value for key, value in table.items() if _is_table(value)}
    yield from (f"{_key(k)} = {_value(v)}" for k, v in table.items() if k not in tables)
    for key, value in tables.items():
        name = f"{path}{_key(key)}"
        for each in value if isinstance(value, list) else [value]:
            yield from ("", f"[[{name}]]" if isinstance(value, list) else f"[{name}]")
            yield from _lines(each, f"{name}.")


def _is_table(value: Any) -> bool:
    """Returns whether a value is a table, or a list of tables."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(each, dict) for each in value)
    return isinstance(value, dict)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _string(key)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else repr(value)


def _string(text: str) -> str:
    """Returns a basic string: JSON escapes as TOML does, but for the delete character and surrogates."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
