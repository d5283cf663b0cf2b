"""Scorers of texts by name: a filter of the registry, or a label of a transformer."""

import argparse
from collections.abc import Callable
from typing import NamedTuple, get_args

import numpy as np
import pyarrow as pa

from sluice.filters.batch import Batch
from sluice.filters.registry import AnyFilter
from sluice.filters.text.normalize import normalize
from sluice.filters.transformers.load import Transformer, load, locate
from sluice.pipeline.recipes.loader import load as load_recipe
from sluice.schemas.arrays import Array
from sluice.schemas.errors import did_you_mean
from sluice.testing import posts_of

BATCH = 16_384  # posts
Score = Callable[[pa.StringArray], Array]


class Scorer(NamedTuple):
    """What scores texts.

    Attributes:
        name: a filter's, or MODEL.LABEL of a transformer.
        score: texts as published -> (N,) float32, higher is worse.
        max_score: the threshold of the default recipe; of a transformer, or another score, 0.5.
    """

    name: str
    score: Score
    max_score: float


def add_scorer(parser: argparse.ArgumentParser, default: str) -> None:
    """Adds what names a scorer."""
    parser.add_argument("--filter", default=default, help=f"the filter that scores, {default!r}")
    parser.add_argument("--model", help="a transformer in its place, as in a recipe")
    parser.add_argument("--label", help="of the transformer; by default what the filter is called")
    parser.add_argument("--max-score", type=float, help="threshold, for shares right and rejected")
    parser.add_argument("--low-is-bad", action="store_true", help="1 less the transformer's scores")


def add_version(parser: argparse.ArgumentParser) -> None:
    """Adds what tells figures of one version of a model from those of another on the same page."""
    parser.add_argument("--version", default="", help="of the model, a part of the section's title")


def scorer_of(arguments: argparse.Namespace) -> Scorer:
    """Returns the scorer that the arguments name."""
    found = (
        by_transformer(arguments.model, arguments.label or arguments.filter)
        if arguments.model
        else by_filter(arguments.filter)
    )
    if arguments.model and arguments.low_is_bad:
        found = turned(found)
    if arguments.max_score is None:
        return found
    return found._replace(max_score=arguments.max_score)


def by_filter(name: str) -> Scorer:
    """Returns the scorer of a filter, as the default recipe has it, or else as it is by itself."""
    known = {spec.name: spec for spec in load_recipe("default").filters}
    kinds = {kind.__struct_config__.tag: kind for kind in get_args(AnyFilter)}
    if name not in kinds:
        raise SystemExit(f"there is no filter {name!r}{did_you_mean(name, kinds)}")
    spec = known.get(name) or kinds[name]()
    scorer = spec.build()

    def score(texts: pa.StringArray) -> Array:
        parts = [
            scorer(Batch(posts_of(normalize(texts.slice(first, BATCH)).to_pylist())))
            for first in range(0, len(texts), BATCH)
        ]
        return np.concatenate([np.zeros(0, np.float32), *parts])

    found = Scorer(name, score, float(spec.threshold))
    return found if spec.bound.startswith("max_") else turned(found)


def turned(scorer: Scorer) -> Scorer:
    """Returns the scorer with 1 less its scores: of quality, what is rejected scores low."""
    return Scorer(scorer.name, lambda texts: 1 - scorer.score(texts), 1 - scorer.max_score)


def by_transformer(model: str, label: str) -> Scorer:
    """Returns the scorer of one label of a transformer."""
    spec = Transformer(model=model)
    machine = load(spec, locate(spec))
    if label not in machine.labels:
        raise SystemExit(f"{model} has no label {label!r}{did_you_mean(label, machine.labels)}")
    place = machine.labels.index(label)

    def score(texts: pa.StringArray) -> Array:
        return machine.score(normalize(texts)).scores_NL[:, place]

    return Scorer(f"{spec.prefix}.{label}", score, 0.5)
