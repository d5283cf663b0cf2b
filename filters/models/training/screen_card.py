"""Writes the card of a screen from measured figures."""

from typing import Any

from sluice.filters.models.training.cards import render
from sluice.filters.models.training.screen_linear import MAX_ITERATIONS
from sluice.filters.models.training.screen_ngrams import LONGEST, SHORTEST, WORDY
from sluice.filters.models.training.screen_sources import ScreenRecipe
from sluice.filters.screens.screen import Calibration


def card(recipe: ScreenRecipe, calibration: Calibration) -> str:
    """Returns the model card, Markdown."""
    figures = calibration.figures
    unseen = figures["unseen"]
    sources = [
        {
            "source": source.name,
            **source._asdict(),
            "role": "clean" if source.as_clean else "labelled",
            **figures["trained_on"][source.name],
        }
        for source in recipe.sources
    ]
    return render(
        "screen_card.md.jinja",
        recipe=recipe,
        calibration=calibration,
        figures=figures,
        held_out=figures["held_out"],
        near=[row["auc"] for row in unseen if row["language_seen"]],
        far=[_far(row) for row in unseen if _far(row) is not None],
        sources=sources,
        shortest=SHORTEST,
        longest=LONGEST,
        wordy=WORDY,
        max_iterations=MAX_ITERATIONS,
    )


def _far(row: dict[str, Any]) -> float | None:
    """Returns the AUC on a source whose language the model never saw; None where that was not measured."""
    if row["lang"] == "mul":
        return None
    auc: float | None = row["auc_language_unseen" if row["language_seen"] else "auc"]
    return auc
