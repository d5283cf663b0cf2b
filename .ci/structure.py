"""The structure in numbers, and the table of rooms of docs/architecture.md: `make structure`.

A room is a sub-package. Rooms, and files beside them, are the parts of a package; an arrow leads from a
part to one that it imports. A part is one floor above the highest that it imports. A circle is a
set of parts that import each other, directly or not: there must be none.

    python .ci/structure.py            numbers, a line a package
    python .ci/structure.py --rooms    the rooms, as the table of the page
"""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import grimp

PACKAGES = ("schemas", "filters", "tokenizer", "pipeline", "pipeline.phases")
ROOT = Path(__file__).parents[1]


class Package(NamedTuple):
    """A package: its parts, and what each of them imports."""

    name: str
    parts: dict[str, set[str]]

    def rooms(self) -> list[str]:
        """Returns the parts that are folders."""
        return [part for part in self.parts if path_of(f"{self.name}.{part}").is_dir()]

    def reached(self, part: str) -> set[str]:
        """Returns what a part imports, directly or not."""
        seen: set[str] = set()
        left = [part]
        while left:
            new = self.parts[left.pop()] - seen
            seen |= new
            left += new
        return seen

    def circles(self) -> set[frozenset[str]]:
        """Returns the sets of parts that import each other."""
        reached = {part: self.reached(part) for part in self.parts}
        return {
            frozenset(other for other in reached[part] if part in reached[other])
            for part in self.parts
            if part in reached[part]
        }

    def floors(self) -> int:
        """Returns how many floors there are; only where there is no circle."""

        @cache
        def floor(part: str) -> int:
            return 1 + max(map(floor, self.parts[part]), default=0)

        return max(map(floor, self.parts), default=0)

    def code_lines(self) -> int:
        """Returns lines without blanks, comments and docstrings."""
        return sum(map(code_lines, sorted(path_of(self.name).rglob("*.py"))))


def path_of(name: str) -> Path:
    """Returns the folder of a package or room, or the path of a module without its ending."""
    return ROOT.joinpath(*name.split("."))


def code_lines(path: Path) -> int:
    """Returns the lines of a file that hold code: no blanks, comments or docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    texts = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = enumerate(path.read_text("utf-8").splitlines(), 1)
    return sum(
        bool(line.strip()) and not line.lstrip().startswith("#") and n not in texts
        for n, line in lines
    )


def packages() -> list[Package]:
    """Returns the packages, with the imports that their code has."""
    graph = grimp.build_graph("sluice", cache_dir=None)
    return [package(graph, name) for name in PACKAGES]


def package(graph: grimp.ImportGraph, name: str) -> Package:
    """Returns a package, with what its parts import of each other."""
    prefix = f"sluice.{name}."

    def part_of(module: str) -> str:
        return module.removeprefix(prefix).split(".")[0]

    parts: dict[str, set[str]] = {}
    for module in sorted(m for m in graph.modules if m.startswith(prefix)):
        imported = graph.find_modules_directly_imported_by(module)
        own = {part_of(m) for m in imported if m.startswith(prefix)} - {part_of(module)}
        parts.setdefault(part_of(module), set()).update(own)
    return Package(name, parts)


def numbers() -> Iterator[str]:
    """Yields one line for each package."""
    yield "package            rooms parts floors arrows circles files    code"
    for found in packages():
        circles = found.circles()
        files = len(list(path_of(found.name).rglob("*.py")))
        arrows = sum(map(len, found.parts.values()))
        floors = "-" if circles else str(found.floors())
        yield (
            f"{found.name:<18}{len(found.rooms()):>6}{len(found.parts):>6}{floors:>7}{arrows:>7}"
            f"{len(circles):>8}{files:>6}{found.code_lines():>8,}"
        )


def rooms() -> Iterator[str]:
    """Yields the rows of the table of rooms: each with the first sentence of what its `__init__` says."""
    for init in sorted(ROOT.glob("*/**/__init__.py")):
        folder = init.parent.relative_to(ROOT)
        if folder.parts[0] in PACKAGES:
            said = ast.get_docstring(ast.parse(init.read_text("utf-8"))) or ""
            yield f"| `{folder}/` | {said.splitlines()[0]} |"


if __name__ == "__main__":
    print("\n".join(rooms() if "--rooms" in sys.argv[1:] else numbers()))
