"""A class name has one meaning in the four packages."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.repository import ROOMS, ROOT


def classes(sources: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yields (name, file and line) of every class of some (path, source), nested ones too."""
    for path, source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                yield node.name, f"{path}:{node.lineno}"


def shared_names(sources: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Returns the names that several classes have, with their places."""
    places: dict[str, list[str]] = defaultdict(list)
    for name, place in classes(sources):
        places[name].append(place)
    return {name: sorted(where) for name, where in places.items() if len(where) > 1}


def sources() -> Iterator[tuple[str, str]]:
    """Yields (path, source) of every module of the packages."""
    for room in ROOMS:
        for path in sorted(Path(ROOT / room).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text("utf-8")


def test_one_meaning_a_class_name() -> None:
    """No two classes have one name."""
    assert shared_names(sources()) == {}


def test_the_check_sees_two() -> None:
    """Two classes of a name are found in two files or in one, and with their lines."""
    assert shared_names([("a.py", "class A: ..."), ("b.py", "x = 1\nclass A: ...")]) == {
        "A": ["a.py:1", "b.py:2"]
    }
    assert shared_names([("a.py", "class A:\n  class B: ...\nclass B: ...")]) == {
        "B": ["a.py:2", "a.py:3"]
    }
