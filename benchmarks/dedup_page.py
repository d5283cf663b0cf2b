"""Tables of Markdown, and the parts of DEDUP.md that benchmarks write."""

from collections.abc import Sequence
from pathlib import Path


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Returns a table; whole numbers get thousands' commas."""
    cells = [[f"{c:,}" if isinstance(c, int) else str(c) for c in row] for row in rows]
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in cells),
    ]


def share(part: float, whole: float, *, digits: int = 4) -> str:
    """Returns part / whole without a rounding up to 1 of what is less."""
    if not whole:
        return "-"
    shown = f"{part / whole:.{digits}f}"
    return f"0.{'9' * digits}" if float(shown) == 1 and part < whole else shown


def update(path: Path, figures: str, *, name: str = "dedup_recall", title: str = "") -> None:
    """Replaces the figures of one benchmark in a page; the rest of it is a person's, or another's.

    Args:
        path: of the page; a page without the marks gets them, under the title, at its end.
        figures: Markdown.
        name: what the marks say, the module and what else tells it from others.
        title: of the section.

    Raises:
        ValueError: the page has one of the two marks, or the end before the beginning.
    """
    begin, end = marks(name)
    old = path.read_text("utf-8") if path.exists() else ""
    if begin not in old and end not in old:
        old = f"{old.rstrip()}\n\n## {title}\n\n{begin}\n{end}\n".lstrip()
    before, found, rest = old.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"{path}: must hold the lines {begin!r} and {end!r}, in this order")
    path.write_text(f"{before}{begin}\n\n{figures}\n\n{end}{after}", "utf-8")


def marks(name: str) -> tuple[str, str]:
    """Returns the lines between which a benchmark's figures stand."""
    return f"<!-- figures: written by benchmarks.{name} -->", f"<!-- end of figures: {name} -->"
