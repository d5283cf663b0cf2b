"""Measures the encoder on sources that it never saw, and writes its card.

    python -m sluice.filters.models.training.encoder.card --data DIR --folder DIR --output DIR

The folder is that of `train.py`. A source of a fold is scored by the encoder that was trained without the
fold, a source that is held by the one that ships, and so are ordinary posts; each is calibrated on what was
held out of its own training, and thresholds are chosen there. Writes `figures.json`, all
figures, beside the encoders, and `card.md`. A fold whose encoder is not there leaves its sources out.

Shape suffixes: N posts, H heads.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from sluice.filters.models.training import judgement, judgement_posts
from sluice.filters.models.training.cards import render
from sluice.filters.models.training.encoder.calibrate import lines
from sluice.filters.models.training.encoder.examples import ORDINARY, Examples, examples
from sluice.filters.models.training.encoder.sources import HEADS, SOURCES
from sluice.filters.models.training.encoder.teach import teacher
from sluice.filters.models.training.encoder.train import read
from sluice.filters.models.training.judgement import Judged
from sluice.filters.models.training.judgement_card import readings, section, tenths_section
from sluice.filters.models.training.measure import choose_threshold
from sluice.filters.models.training.screen_sources import ORDINARY as ORDINARY_POSTS
from sluice.schemas.arrays import Array

SHIPPED: Final = "final"
QUALITY: Final = "quality"
MAX_SCORE: Final = 0.9
"""The threshold of quality, turned around, for which none is chosen."""

Score = Callable[[pa.StringArray], Array]
"""(N,) texts -> (N, H) in [0, 1], as the heads mean them: high is toxic, spam, or of quality."""


class Calibrated(NamedTuple):
    """An encoder's scores, and thresholds of its heads chosen on posts held out of its training."""

    score: Score
    thresholds: dict[str, float]


def calibrated(data: Path, folder: Path, name: str, *, threads: int) -> Calibrated:
    """Returns the encoder of a fold, or the one that ships, as it runs, calibrated as by `ship.py`."""
    log_odds = teacher(
        read(folder / f"encoder-{name}.pt"),
        tokenizer=folder / "tokenizer.json",
        folder=folder / f"run-{name}",
        threads=threads,
    )

    def raw(texts: pa.StringArray) -> Array:
        return log_odds(texts).astype(np.float64)

    found = examples(data, fold=None if name == SHIPPED else name, held_out=True)
    logits_NH = raw(found.texts)
    made = lines(found, logits_NH)

    def score(texts: pa.StringArray) -> Array:
        return probabilities(raw(texts), made)

    return Calibrated(score, chosen(found, probabilities(logits_NH, made)))


def probabilities(logits_NH: Array, made: Sequence[tuple[float, float]]) -> Array:
    """Returns (N, H) float64: of each logit, the logistic function of (slope, intercept) of its head."""
    slopes_H, intercepts_H = np.array(made).T
    return np.asarray(1 / (1 + np.exp(-(logits_NH * slopes_H + intercepts_H))))


def chosen(found: Examples, scores_NH: Array) -> dict[str, float]:
    """Returns head -> the smallest hundredth that spares 99% of the good posts, but for quality.

    That is of the good posts of labelled sources and of the ordinary ones alike.
    """
    ordinary_N = found.source_N == found.sources.index(ORDINARY)
    best = {}
    for h, head in enumerate(HEADS):
        if head == QUALITY:
            continue
        known_N = ~np.isnan(found.labels_NH[:, h])
        bad_N = (found.labels_NH[:, h] > 0.5).astype(np.int64)
        groups = (known_N & ordinary_N, known_N & ~ordinary_N)
        best[head] = max(choose_threshold(bad_N[own], scores_NH[own, h]) for own in groups)
    return best


def unseen(data: Path, head: str, scores: Mapping[str, Score], *, most: int) -> Judged:
    """Returns posts of sources with the scores of an encoder that never saw them; of quality turned around.

    Args:
        data: the folder of labelled posts.
        head: one of HEADS.
        scores: of the encoder that ships, by the name SHIPPED, and of those of folds, by theirs.
        most: posts of a source.
    """
    posts = judgement_posts.unseen(data, head, seen=(), most=most)
    source_N = np.array(posts["source"].to_pylist(), np.str_)
    by = {SHIPPED: list(SOURCES[head].held), **SOURCES[head].folds}
    scores_N = np.full(len(posts), np.nan)
    for name, score in scores.items():
        own_N = np.isin(source_N, by.get(name, []))
        own = posts.filter(pa.array(own_N))["text"].combine_chunks()
        if len(own):
            scores_N[own_N] = score(own)[:, HEADS.index(head)]
    known_N = ~np.isnan(scores_N)
    return turned(Judged(posts.filter(pa.array(known_N)), scores_N[known_N]), head)


def turned(judged: Judged, head: str) -> Judged:
    """Returns scores and labels of which high ones are bad: those of quality are turned around."""
    if head != QUALITY:
        return judged
    at = judged.posts.schema.get_field_index("label")
    label_N = 1 - judged.posts["label"].to_numpy()
    return Judged(
        judged.posts.set_column(at, "label", pa.array(label_N)), (1 - judged.scores_N).round(6)
    )


def not_ordinary() -> set[str]:
    """Returns the sources whose posts were gathered for a model of toxicity or spam."""
    names = {name for known in ORDINARY_POSTS.values() for name in known.not_ordinary}
    for head in SOURCES.values():
        names |= {source.name for source in head.sources} | set(head.held)
    return names


def figures(
    data: Path, scores: Mapping[str, Score], *, max_scores: Mapping[str, float], most: int
) -> dict[str, Any]:
    """Returns head -> all figures of `judgement.figures`."""
    ordinary = judgement_posts.ordinary(data, left_out=not_ordinary())
    ordinary_NH = scores[SHIPPED](ordinary["text"].combine_chunks())
    found = {}
    for h, head in enumerate(HEADS):
        own = turned(Judged(ordinary, ordinary_NH[:, h]), head)
        found[head] = judgement.figures(
            unseen(data, head, scores, most=most),
            own,
            max_score=max_scores.get(head, MAX_SCORE),
        )
    return found


def card(found: dict[str, Any]) -> str:
    """Returns the card, Markdown."""
    known = readings()
    sections = {}
    for head in HEADS:
        name = f"encoder.{head}"
        parts = (section(name, found[head], known.get(name)), tenths_section(name))
        sections[head] = "\n\n".join(part.strip() for part in parts if part)
    return render("encoder_card.md.jinja", figures=found, sections=sections)


def bound(text: str) -> tuple[str, float]:
    """Returns a head and its threshold, of an argument."""
    head, _, most = text.partition("=")
    if head not in HEADS:
        raise argparse.ArgumentTypeError(f"must be HEAD=MOST with one of {', '.join(HEADS)}")
    return head, float(most)


def main() -> None:
    """Measures the encoders of a folder and writes figures and card."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of labelled posts")
    parser.add_argument("--folder", type=Path, required=True, help="of the trained encoders")
    parser.add_argument("--output", type=Path, required=True, help="where the card is written")
    parser.add_argument("--max-score", type=bound, action="append", default=[], help="HEAD=MOST")
    parser.add_argument("--most", type=int, default=judgement_posts.MOST, help="posts of a source")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    names = [SHIPPED, *SOURCES["toxicity"].folds]
    there = [name for name in names if (asked.folder / f"encoder-{name}.pt").is_file()]
    made = {
        name: calibrated(asked.data, asked.folder, name, threads=asked.threads) for name in there
    }
    bounds = made[SHIPPED].thresholds | dict(asked.max_score)
    scores = {name: one.score for name, one in made.items()}
    found = figures(asked.data, scores, max_scores=bounds, most=asked.most)
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.folder / "figures.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    (asked.output / "card.md").write_text(card(found))


if __name__ == "__main__":
    main()
