"""Writes the ranges of `filters/language/scripts.toml` from the Unicode Character Database.

    python -m sluice.filters.models.training.language_scripts Scripts.txt

`Scripts.txt` is the file of the Unicode Character Database (Debian's package unicode-data has it). The
table of languages below the ranges is kept by hand and stays as it is.
"""

import re
import sys
from pathlib import Path

TABLE = Path(__file__).parents[2] / "language" / "scripts.toml"
OTHER = "Other"
"""Letters of all scripts that no language of the table is written in."""
_LINE = re.compile(r"([0-9A-F]+)(?:\.\.([0-9A-F]+))?\s*; (\w+) # ([LM])")
_WIDTH = 110
_INHERITED = {"Common", "Inherited"}


def ranges(scripts_txt: str, names: list[str]) -> dict[str, list[tuple[int, int]]]:
    """Returns script -> the first and last code point of each stretch of its letters and marks.

    Args:
        scripts_txt: the text of Scripts.txt.
        names: scripts that have an entry of their own; all others are OTHER.
    """
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in [*names, OTHER]}
    for first, last, script, _ in sorted(
        _LINE.findall(scripts_txt), key=lambda match: int(match[0], 16)
    ):
        if script in _INHERITED:
            continue
        stretches = found[script if script in found else OTHER]
        start, end = int(first, 16), int(last or first, 16)
        if stretches and stretches[-1][1] == start - 1:
            start = stretches.pop()[0]
        stretches.append((start, end))
    return found


def toml(stretches: dict[str, list[tuple[int, int]]], version: str) -> str:
    """Returns the part of the table that is made: the version and the ranges."""
    lines = [f'unicode = "{version}"', "", "[ranges]"]
    for name, pairs in stretches.items():
        words = [f"{a:X}" if a == b else f"{a:X}-{b:X}" for a, b in pairs]
        rows, row = [], ""
        for word in words:
            if row and len(row) + len(word) >= _WIDTH:
                rows.append(row)
                row = ""
            row = f"{row} {word}".strip()
        text = "\n".join([*rows, row])
        lines.append(f'{name} = """\n{text}"""' if rows else f'{name} = "{row}"')
    return "\n".join(lines) + "\n"


def main(scripts_txt: str) -> None:
    """Writes the ranges again, of the scripts that the table has languages for."""
    head, _, rest = TABLE.read_text("utf-8").partition('unicode = "')
    languages = rest[rest.index("\n[languages]") :]
    names = re.findall(r"(?m)^(\w+) =", languages)
    version = scripts_txt.split("\n", 1)[0].removeprefix("# Scripts-").removesuffix(".txt")
    TABLE.write_text(head + toml(ranges(scripts_txt, names), version) + languages, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text("utf-8"))
