"""Writes the card of the shipped language model from measured figures."""

from typing import Any

import msgspec

from sluice.filters.language.pool import GROUPS, WORDS, LanguagePool
from sluice.filters.models.training.cards import mean, render
from sluice.filters.models.training.language_sources import (
    CUTOFF,
    CUTOFF_SHORT,
    EXTRAS,
    FIT,
    FIT_SHORT,
    LEFT_OUT,
    LID_LICENCE,
    MODEL_LICENCE,
    PACKAGES,
    POSTS,
    RETRAINED,
    RETRAINED_SHORT,
    UDHR,
    WORDFREQ,
)
from sluice.filters.rules.language_confidence import LanguageConfidence

SHOWN = (0.3, 0.4, 0.5, 0.7, 0.9)
"""Thresholds of the table of posts that a platform has labelled."""
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
            {"words": words, "group": group, **msgspec.structs.asdict(pool.weights[words][group])}
            for words in WORDS
            for group in GROUPS
        ],
        candidates=[
            {
                "group": group,
                "candidates": " ".join(f"{x} {pool.prior[x]:.2f}" for x in pool.groups[group]),
            }
            for group in GROUPS
        ],
        platform=figures["platform"]["by_language"],
        platform_columns={
            f"{what}_{threshold}": f"{title} at {threshold}"
            for threshold in SHOWN
            for what, title in (("uncertain", "uncertain"), ("wrong", "otherwise"))
        },
        default=LanguageConfidence().min_confidence,
        packages=[msgspec.structs.asdict(package) for package in PACKAGES.values()],
        fit_short=FIT_SHORT,
        cutoff_short=CUTOFF_SHORT,
        retrained=RETRAINED,
        retrained_short=RETRAINED_SHORT,
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
