"""The keys of a report as the pages list them."""

import re
from collections.abc import Iterator
from typing import Any


def leaves(node: Any, path: str = "") -> Iterator[str]:
    """Yields the path of everything in a report that is no table or list."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value, f"{path}[]")
    else:
        yield path


def pattern(key: str) -> re.Pattern[str]:
    """Returns the expression of a key whose parts in capitals stand for any key."""
    parts = [r"[^.]+" if p.isupper() else re.escape(p) for p in key.split(".")]
    return re.compile(r"\.".join(parts))
