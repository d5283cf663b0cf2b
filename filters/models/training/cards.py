"""Renders a model card from its template and measured figures; no number of a card is typed by hand."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2


def render(template: str, **values: Any) -> str:
    """Returns a card, Markdown.

    Args:
        template: the name of a file beside this one.
        values: what it names, beside the functions of this module.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    shown = {"table": table, "number": cell, "percent": percent, "mean": mean}
    return environment.get_template(template).render(values | shown)


def table(rows: Iterable[dict[str, Any]], **titles: str) -> str:
    """Returns a Markdown table: one line per row, the columns in the order of their titles.

    >>> print(table([{"posts": 12000, "auc": 0.5, "lang": "en"}], posts="posts", auc="AUC"))
    | posts | AUC |
    |---|---|
    | 12,000 | 0.500 |
    """
    lines = ["| " + " | ".join(titles.values()) + " |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(cell(row[name]) for name in titles) + " |" for row in rows]
    return "\n".join(lines)


def cell(value: Any) -> str:
    """Returns a value as people write it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def percent(share: float) -> str:
    """Returns a share in percent, to a tenth."""
    return f"{100 * share:.1f}%"


def mean(values: Iterable[float]) -> str:
    """Returns the mean of some figures to a thousandth; "-" of none."""
    figures = list(values)
    return f"{sum(figures) / len(figures):.3f}" if figures else "-"
