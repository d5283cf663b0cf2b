"""Writes the card of a screen from measured figures."""

from sluice.filters.hashed.kernels import LONGEST, SHORTEST
from sluice.filters.hashed.table import EMPTY_ROWS
from sluice.filters.models.training.cards import render
from sluice.filters.models.training.encoder.sources import SOURCES
from sluice.filters.models.training.hashed import (
    BITS,
    LABELS,
    MADE_WEIGHT,
)
from sluice.filters.models.training.judgement_card import readings, section, tenths_section
from sluice.filters.screens.screen import Calibration


def card(name: str, calibration: Calibration) -> str:
    """Returns the model card, Markdown."""
    figures = calibration.figures
    sources = [
        {"source": source.name, **source._asdict(), **figures["trained_on"][source.name]}
        for source in SOURCES[name].sources
        if source.name in figures["trained_on"]
    ]
    return render(
        "screen_card.md.jinja",
        name=name,
        calibration=calibration,
        figures=figures,
        summary=figures["judged"]["summary"],
        held=SOURCES[name].held,
        sources=sources,
        judged=section(name, figures["judged"], readings().get(name)).strip(),
        tenths=tenths_section(name).strip(),
        rows=1 << BITS,
        shortest=SHORTEST,
        longest=LONGEST,
        empty_rows=EMPTY_ROWS,
        weight=LABELS[name],
        made_weight=MADE_WEIGHT,
    )
