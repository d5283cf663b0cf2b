"""The structure is what docs/architecture.md says: its rooms, and no circle between them."""

import sys

import pytest

from tests.docs.pages import table
from tests.repository import ROOT

sys.path.insert(0, str(ROOT / ".ci"))
import structure


def test_the_page_has_every_room() -> None:
    """The table has one row per room, with the first sentence of what the room's `__init__` says."""
    listed = [f"| {room} | {said} |" for room, said in table("rooms")]
    assert listed == list(structure.rooms())


def test_every_room_says_what_it_may_import() -> None:
    """A room's `__init__` is a paragraph; those of the phases are held by the floors of the phases alone."""
    for init in ROOT.glob("*/*/__init__.py"):
        folder = init.parent.relative_to(ROOT)
        if folder.parts[0] in structure.PACKAGES:
            assert "mport" in init.read_text("utf-8") or "Nothing in a run" in init.read_text(
                "utf-8"
            ), init


def test_no_circles() -> None:
    """No parts of a package import each other, directly or not."""
    for package in structure.packages():
        assert package.circles() == set(), package.name


def test_the_count_sees_a_circle() -> None:
    """Two parts that import each other are a circle, and a part that only imports them is not in it."""
    package = structure.Package("p", {"a": {"b"}, "b": {"a"}, "c": {"a"}})
    assert package.circles() == {frozenset({"a", "b"})}
    assert structure.Package("p", {"a": set(), "b": {"a"}, "c": {"b"}}).floors() == 3


@pytest.mark.parametrize(
    ("text", "lines"),
    [('"""Says."""\n\nimport os  # why\n# alone\nx = """\na"""\n', 3), ("", 0)],
)
def test_code_lines(tmp_path, text: str, lines: int) -> None:
    """Blanks, comments and docstrings do not count; a string that is a value does."""
    path = tmp_path / "module.py"
    path.write_text(text)
    assert structure.code_lines(path) == lines
