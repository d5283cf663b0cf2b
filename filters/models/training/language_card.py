"""Writes the card of the shipped language model from measured figures."""

from typing import Any

import msgspec

from sluice.filters.language.pool import GROUPS, LanguagePool
from sluice.filters.models.training.cards import mean, render
from sluice.filters.models.training.language_sources import (
    CUTOFF,
    EXTRAS,
    FIT,
    LEFT_OUT,
    LID_LICENCE,
    MODEL_LICENCE,
    POSTS,
    UDHR,
    WORDFREQ,
)

_SOURCES = {s.name: s for s in (*POSTS, UDHR, WORDFREQ, *(extra.source for extra in EXTRAS))}
_NAMES = {"lid": "lid.176 alone", "own": "shipped model alone", "combined": "combined"}
_MEASURES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "accuracy_groups": "accuracy, dialects counted as their language",
    "macro_f1_groups": "macro-F1, dialects counted as their language",
}


def card(pool: LanguagePool) -> str:
    """Returns the model card as Markdown."""
    figures = pool.figures
    test = figures["test"]
    of_each = {
        f"{name}_{measure}": f"{_MEASURES[measure]}, {title}"
        for measure in ("accuracy", "macro_f1")
        for name, title in _NAMES.items()
    }
    return render(
        "language_card.md.jinja",
        pool=pool,
        figures=figures,
        test=test,
        names=_NAMES,
        measures=_MEASURES,
        measures_of_each=of_each,
        overall=[
            {"name": title, **{k: test[k][name] for k in _MEASURES}}
            for name, title in _NAMES.items()
        ],
        others={source: _means(figures["others"], source) for source in (UDHR.name, WORDFREQ.name)},
        hidden=figures["hidden"],
        weights=[
            {
                "group": group,
                **msgspec.structs.asdict(pool.weights[group]),
                "candidates": " ".join(pool.groups[group]),
            }
            for group in GROUPS
        ],
        sources=[{**row, **_SOURCES[row["source"]]._asdict()} for row in figures["trained_on"]],
        left_out=LEFT_OUT,
        fit=FIT,
        cutoff=CUTOFF,
        lid_licence=LID_LICENCE,
        model_licence=MODEL_LICENCE,
    )


def _means(rows: list[dict[str, Any]], source: str) -> dict[str, Any]:
    """Returns how many languages have generated texts of a source, and the mean accuracies on them."""
    known = [row for row in rows if row[f"{source}_texts"]]
    means = {name: mean(row[f"{source}_{name}"] for row in known) for name in ("lid", "combined")}
    return {"languages": len(known), **means}
