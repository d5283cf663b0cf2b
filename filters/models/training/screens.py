"""Makes the table of the shipped screens, their calibrations and their cards.

`make models` runs it as

    OMP_NUM_THREADS=1 python -m sluice.filters.models.training.screens --data DIR --teachers DIR

after the encoder. The second folder is that of `encoder/train.py`: `teacher-final` has the texts that the
encoder scored. Where `teacher-FOLD` is there, a table learns from the encoder that was trained without the
fold's sources, without them, and is measured on them. Labels of test files are read after training.
"""

import argparse
import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from sluice.filters.models.training import hashed, judgement_posts
from sluice.filters.models.training import screen_figures as figures
from sluice.filters.models.training.encoder import card as encoder_card
from sluice.filters.models.training.encoder.posts import labelled, read
from sluice.filters.models.training.encoder.sources import HEADS, SOURCES
from sluice.filters.models.training.screen_card import card
from sluice.filters.screens.hashed import HashedScreen
from sluice.filters.screens.screen import FOLDER, TABLE, Calibration
from sluice.filters.screens.shape import SHAPE_NAMES
from sluice.schemas.arrays import Array

LABELS = {"toxicity": "toxic", "spam": "spam", "quality": "quality"}
"""Head -> the label of a fastText model that takes its place."""


def made(
    data: Path, teacher: Path, *, fold: str | None, path: Path
) -> tuple[dict[str, HashedScreen], dict[str, figures.Row]]:
    """Trains and writes a table; returns its calibrated screens, and what each was trained on."""
    heads, scores = hashed.train(data, teacher, fold=fold)
    left_out = hashed.sources_of(fold)
    screens, about = {}, {}
    for name, raw in hashed.screens_of(heads, path).items():
        posts, ordinary = hashed.spared(data, teacher, name, left_out)
        screens[name] = hashed.calibrated(raw, posts)
        about[name] = {
            "taught": len(scores),
            "held_out": figures.held_out(screens[name], posts),
            "max_score": None
            if name == encoder_card.QUALITY
            else hashed.default_threshold(screens[name], posts, ordinary),
        }
    return screens, about


def as_encoder(screens: Mapping[str, HashedScreen]) -> encoder_card.Score:
    """Returns what says of texts what all screens say: (N,) normalised texts -> (N, heads)."""

    def score(texts: pa.StringArray) -> Array:
        return np.stack([figures.scores(screens[head], texts) for head in HEADS], axis=1)

    return score


def calibration(data: Path, name: str, screen: HashedScreen, about: figures.Row) -> Calibration:
    """Returns the calibration of a screen, with what was measured of it alone."""
    most, test_files = about["max_score"], SOURCES[name].test_files
    test = read(data, test_files) if test_files else None
    own = labelled(data, name)
    known: figures.Row = {"taught": about["taught"], "trained_on": figures.counts(own)}
    known |= {"held_out": about["held_out"], "test": [], "thresholds": [], "firehose": None}
    if test is not None and most is not None:
        known["test"] = figures.by_source(name, screen, test, max_score=most)
        known["thresholds"] = figures.thresholds(name, screen, test)
    if most is not None:
        known["firehose"] = figures.firehose(screen, data, max_score=most)
    return Calibration(
        label=LABELS[name],
        sha256="",
        slope=screen.slope,
        intercept=screen.intercept,
        shape=dict(zip(SHAPE_NAMES, screen.shape_K.tolist(), strict=False)),
        max_score=most,
        figures=known,
    )


def make(
    data: Path, teachers: Path, *, folder: Path, most: int, bounds: Mapping[str, float]
) -> None:
    """Trains, calibrates and measures; writes the table, NAME.json and NAME.md of each head."""
    path = folder / TABLE
    screens, about = made(data, teachers / "teacher-final", fold=None, path=path)
    for name, bound in bounds.items():
        about[name]["max_score"] = bound
    scores = {encoder_card.SHIPPED: as_encoder(screens)}
    with tempfile.TemporaryDirectory() as work:
        for fold in SOURCES["toxicity"].folds:
            teacher = teachers / f"teacher-{fold}"
            if teacher.is_dir():
                without, _ = made(data, teacher, fold=fold, path=Path(work) / f"{fold}.table")
                scores[fold] = as_encoder(without)
        told = {name: each["max_score"] for name, each in about.items() if each["max_score"]}
        judged = encoder_card.figures(data, scores, max_scores=told, most=most)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for name, screen in screens.items():
        known = calibration(data, name, screen, about[name])
        all_figures = known.figures | {"bytes": path.stat().st_size, "judged": judged[name]}
        known = msgspec.structs.replace(known, sha256=digest, figures=all_figures)
        content = msgspec.json.format(msgspec.json.encode(known)) + b"\n"
        (folder / f"{name}.json").write_bytes(content)
        (folder / f"{name}.md").write_text(card(name, known))
        summary: dict[str, Any] = judged[name]["summary"]
        print(f"{name}: max_score {known.max_score}, sources never seen {summary}")


def main() -> None:
    """Makes the table and its cards."""
    parser = argparse.ArgumentParser(description="Makes the table of the shipped screens.")
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled posts")
    parser.add_argument("--teachers", type=Path, required=True, help="folder of scored texts")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder to write to")
    parser.add_argument(
        "--max-score",
        type=encoder_card.bound,
        action="append",
        default=[],
        help="HEAD=MOST, in place of the threshold that is chosen",
    )
    parser.add_argument("--most", type=int, default=judgement_posts.MOST, help="posts of a source")
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    make(
        asked.data,
        asked.teachers,
        folder=asked.output,
        most=asked.most,
        bounds=dict(asked.max_score),
    )


if __name__ == "__main__":
    main()
