"""Tables of Markdown, and the parts of pages that benchmarks write."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Returns a table; whole numbers get thousands' commas."""
    cells = [[f"{c:,}" if isinstance(c, int) else str(c) for c in row] for row in rows]
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in cells),
    ]


class Aim(NamedTuple):
    """What was wanted, and what was measured."""

    what: str
    measured: str
    met: bool


def aim_table(aims: Sequence[Aim]) -> list[str]:
    """Returns the table of aims."""
    rows = [(aim.what, aim.measured, "yes" if aim.met else "**no**") for aim in aims]
    return table(("aim", "measured", "met"), rows)


def mib(num_bytes: float) -> str:
    """Returns bytes in MiB."""
    return f"{num_bytes / (1 << 20):,.0f}"


def share(part: float, whole: float, *, digits: int = 4) -> str:
    """Returns part / whole; what is less than 1 is not rounded up to it."""
    if not whole:
        return "-"
    shown = f"{part / whole:.{digits}f}"
    return f"0.{'9' * digits}" if float(shown) == 1 and part < whole else shown


def publish(figures: str, path: Path | None, *, name: str, title: str = "Figures") -> None:
    """Prints the figures of a benchmark, and writes them into a page if one is given."""
    print(figures, flush=True)
    if path:
        update(path, figures, name=name, title=title)


def update(path: Path, figures: str, *, name: str, title: str = "Figures") -> None:
    """Replaces the figures of one benchmark in a page, and nothing else.

    Args:
        path: of the page; a page without the two marker lines gets them, under the title, at its end.
        figures: Markdown.
        name: what the markers say, the module and what else distinguishes it from others.
        title: of the section.

    Raises:
        ValueError: the page has one of the two markers, or the end before the beginning.
    """
    begin, end = markers(name)
    old = path.read_text("utf-8") if path.exists() else ""
    if begin not in old and end not in old:
        old = f"{old.rstrip()}\n\n## {title}\n\n{begin}\n{end}\n".lstrip()
    before, has_begin, rest = old.partition(begin)
    _, has_end, after = rest.partition(end)
    if not (has_begin and has_end):
        raise ValueError(f"{path}: must hold the lines {begin!r} and {end!r}, in this order")
    path.write_text(f"{before}{begin}\n\n{figures}\n\n{end}{after}", "utf-8")


def markers(name: str) -> tuple[str, str]:
    """Returns the lines between which a benchmark's figures are."""
    return f"<!-- figures: written by benchmarks.{name} -->", f"<!-- end of figures: {name} -->"
