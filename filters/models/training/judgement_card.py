"""The part of a card that says how fair and how well calibrated a score is, of measured figures."""

from pathlib import Path
from typing import Any, Final

import msgspec

from sluice.filters.models.training.cards import render
from sluice.filters.models.training.judgement import (
    BINS,
    EVEN_RATE,
    MIN_BAD,
    MIN_GOOD,
    MIN_ORDINARY,
)

READ_FILE: Final = Path(__file__).with_name("disagreements.toml")
TENTHS_FILE: Final = Path(__file__).with_name("tenths.toml")


class DisagreementsRead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody found who read posts on which a model and their labels disagree: counts alone.

    Attributes:
        model: what gave the scores.
        rejected_good: verdict -> posts, of good posts above the threshold.
        kept_bad: verdict -> posts, of bad posts with low scores.
        kinds: what they are -> posts.
        seen: what there is to say of them, in words.
    """

    model: str
    rejected_good: dict[str, int]
    kept_bad: dict[str, int]
    kinds: dict[str, int]
    seen: str


class TenthsRead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody found who read posts of each tenth of a score, the lowest first: counts alone.

    Attributes:
        model: what gave the scores.
        nothing: posts of each tenth that say nothing to who is not there: reactions, greetings, fragments.
        some: posts that say something, without what it is about.
        facts: posts that a stranger learns from.
        seen: what there is to say of them, in words.
    """

    model: str
    nothing: tuple[int, ...]
    some: tuple[int, ...]
    facts: tuple[int, ...]
    seen: str


VERDICTS: Final = ("label wrong", "model wrong", "depends")


def readings() -> dict[str, DisagreementsRead]:
    """Returns name -> what was read, of `disagreements.toml`."""
    return msgspec.toml.decode(READ_FILE.read_bytes(), type=dict[str, DisagreementsRead])


def tenths() -> dict[str, TenthsRead]:
    """Returns name -> what was read, of `tenths.toml`."""
    return msgspec.toml.decode(TENTHS_FILE.read_bytes(), type=dict[str, TenthsRead])


def tenths_section(name: str) -> str:
    """Returns what was read of the tenths of a score, Markdown; empty where nobody read any."""
    read = tenths().get(name)
    return "" if read is None else render("tenths_card.md.jinja", name=name, read=read)


def section(name: str, figures: dict[str, Any], reading: DisagreementsRead | None = None) -> str:
    """Returns the tables, Markdown, with titles of the second level.

    Args:
        name: of the score: `toxicity`, `encoder.spam`.
        figures: of `judgement.figures`.
        reading: of disagreements with this model; None where nobody read any.
    """
    return render(
        "judgement_card.md.jinja",
        name=name,
        figures=figures,
        reading=reading,
        verdicts=VERDICTS,
        bins=BINS,
        rate=EVEN_RATE,
        min_good=MIN_GOOD,
        min_bad=MIN_BAD,
        min_ordinary=MIN_ORDINARY,
    )
