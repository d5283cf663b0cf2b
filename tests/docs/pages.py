"""The pages of the documentation as tests read them: fenced blocks, command lines, and tables by name."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from tests.repository import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"(<!-- run -->\n)?^```(\w*)\n(.*?)^```$", re.M | re.S)


def name_of(page: Path) -> str:
    """Returns a page's path in the repository."""
    return str(page.relative_to(ROOT))


def fences(page: Path, *languages: str) -> Iterator[tuple[bool, str]]:
    """Yields (marked to be run, text) of the fenced blocks in some languages."""
    for marked, language, text in FENCE.findall(page.read_text("utf-8")):
        if language in languages:
            yield bool(marked), text


def commands(page: Path) -> list[list[str]]:
    """Returns the arguments of every `sluice` command line of a page."""
    arguments = []
    for _, text in fences(page, "sh"):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["sluice"]:
                arguments.append(words[1:])
    return arguments


def table(name: str) -> list[list[str]]:
    """Returns the cells of the table that a page marks with `<!-- checked: NAME -->`, without its head."""
    for page in PAGES:
        _, marked, rest = page.read_text("utf-8").partition(f"<!-- checked: {name} -->\n")
        if marked:
            rows = rest.split("\n\n")[0].splitlines()[2:]
            return [[c.strip() for c in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    raise AssertionError(f"no page has a table marked {name}")


def quoted(cell: str) -> list[str]:
    """Returns what is in backquotes in a cell."""
    return re.findall(r"`([^`]+)`", cell)
