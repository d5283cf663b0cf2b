"""Words that docs/glossary.md lists as not used are in no file of the project, names in code included."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.docs.pages import quoted, table
from tests.repository import ROOMS, ROOT

FOLDERS = (*ROOMS, "sluice", "benchmarks", "docs", "tests", ".ci")
ENDINGS = (".py", ".md", ".html", ".toml", ".sh", "Makefile")
NAMES_THAT_ARE_OUT = ("dedup_settle", "held_back", r"[\"/]settle(?=[\"/.])")
"""Of stages in manifest.json (and the folders of their units), recipes and report.json: they stay."""
FIGURES = r"(?s:<!-- figures.*?<!-- end of figures)"
"""What benchmarks write into pages has the names of stages as manifest.json has them."""
HISTORY = ("CHANGELOG.md", "pipeline/DESIGN.md")
"""Pages that may have former names of modules and functions, in backquotes."""
LEFT_OUT = ("docs/glossary.md", "tests/docs/test_glossary.py")
"""The list itself, and its test."""


class Unwanted(NamedTuple):
    """An entry of the table and the expression that finds it."""

    entry: str
    beginning: str
    pattern: re.Pattern[str]

    @classmethod
    def of(cls, entry: str) -> "Unwanted":
        """Returns the expression: whole words, or parts of a name (`dedup_spool`, `DedupSpool`).

        The words of a phrase may be on two lines, of a comment or a table too.
        """
        ending = r"[a-z]*" if entry.endswith("*") else ""
        words = [re.escape(word) for word in re.split(r"[ _]", entry.rstrip("*"))]
        lower = r"[\s#_|]+".join(words) + ending
        upper = "".join(word[:1].upper() + word[1:] for word in words) + ending
        alone = rf"(?<![^\W_])(?i:{lower})(?![^\W\d_])"
        pattern = re.compile(rf"{alone}|(?<=[a-z]){upper}(?![a-z])")
        return cls(entry, words[0].lower(), pattern)

    def places(self, text: str, lower: str) -> Iterator[re.Match[str]]:
        """Returns where it is in a text, of which `lower` is the lower case: that is searched fast."""
        return self.pattern.finditer(text) if self.beginning in lower else iter(())


def unwanted() -> list[Unwanted]:
    """Returns the entries of the page's table."""
    return [Unwanted.of(entry) for row in table("words") for entry in quoted(row[0])]


def checked() -> list[str]:
    """Returns the paths of the project's text files, without what links lead to."""
    top = [path.name for path in ROOT.iterdir() if path.is_file()]
    below = [
        str((Path(folder) / name).relative_to(ROOT))
        for start in FOLDERS
        for folder, _, names in os.walk(ROOT / start)
        for name in names
    ]
    return [path for path in sorted(top + below) if path.endswith(ENDINGS) and path not in LEFT_OUT]


def blanked(text: str, patterns: list[str]) -> str:
    """Returns the text with blanks where a pattern matches, on the same lines."""
    for pattern in patterns:
        text = re.sub(pattern, lambda match: re.sub(r"\S", " ", match[0]), text)
    return text


def places(path: str, text: str, words: list[Unwanted]) -> Iterator[str]:
    """Yields file, line and entry of each unwanted word of a text."""
    text = blanked(text, [FIGURES, *(rf"(?i:{name})" for name in NAMES_THAT_ARE_OUT)])
    if path in HISTORY:
        text = blanked(text, [r"`[^`\n]+`"])
    lower = text.lower()
    for word in words:
        for match in word.places(text, lower):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path}:{line}: {word.entry} ({match[0]!r})"


def test_words_that_are_not_used() -> None:
    """No file has one; docs/glossary.md says what to write instead."""
    words = unwanted()
    assert [
        place
        for path in checked()
        for place in places(path, (ROOT / path).read_text("utf-8"), words)
    ] == []


@pytest.mark.parametrize(
    ("path", "text", "lines"),
    [
        ("docs/a.md", "one\nthe unit is done anew\n", [2]),
        ("docs/a.md", "these are taken\n# back by the driver", [1]),
        ("pipeline/a.py", "def open_spool():\n    spooledFile = 1\n    MySpooled()", [1, 2, 3]),
        ("pipeline/a.py", "OBITUARY = 1", [1]),
        ("docs/a.md", "recommended, amends, mended_at", [1]),
        ("docs/a.md", "recommend, tremendous, unsettled, Mendel", []),
        ("docs/a.md", "`dedup_settle`, `vocabulary.held_back`, vocabulary_held_back", []),
        ("docs/a.md", "<!-- figures: x -->\n| settle |\n<!-- end of figures -->\nsettle", [4]),
        ("docs/a.md", "`rejoin`", [1]),
        ("CHANGELOG.md", "`rejoin` is now `reassemble`\nrejoined", [2]),
    ],
)
def test_the_check_sees_them(path: str, text: str, lines: list[int]) -> None:
    """It finds words in text and in names, over the end of a line, and passes over what it should."""
    assert sorted(int(place.split(":")[1]) for place in places(path, text, unwanted())) == lines


def test_every_folder_is_read() -> None:
    """Files of each folder, and of the top, are among those that are checked."""
    read = {path.rpartition("/")[0].split("/")[0] for path in checked()}
    assert set(FOLDERS) <= read
