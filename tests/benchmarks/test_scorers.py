"""Scorers by name: filters of the default recipe, on texts as they were published."""

import argparse

import numpy as np
import pyarrow as pa
import pytest

from benchmarks import judgement
from benchmarks.scorers import add_scorer, by_filter, scorer_of
from sluice.filters.batch import Batch
from sluice.filters.models.training.encoder.sources import SOURCES
from sluice.filters.models.training.judgement import disagreements
from sluice.filters.rules.alphabetic_words_ratio import AlphabeticWordsRatio
from sluice.filters.rules.toxicity import Toxicity
from sluice.pipeline.recipes.loader import load
from sluice.testing import posts_of

TEXTS = ["good morning to you all", "you are a stupid bitch", "Fish &amp; chips, two of them", ""]
NORMALISED = ["good morning to you all", "you are a stupid bitch", "Fish & chips, two of them", ""]


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_scorer(parser, "toxicity")
    return parser.parse_args(given)


def test_a_filter_scores_texts_as_the_pipeline_does() -> None:
    """The texts are normalised first; the threshold is that of the default recipe."""
    scorer = scorer_of(arguments())
    want_N = Toxicity().build()(Batch(posts_of(NORMALISED)))
    np.testing.assert_array_equal(scorer.score(pa.array(TEXTS)), want_N)
    assert scorer.name == "toxicity"
    (own,) = (spec for spec in load("default").filters if spec.name == "toxicity")
    assert scorer.max_score == own.threshold
    assert scorer_of(arguments("--max-score", "0.5")).max_score == 0.5


def test_no_texts_have_no_scores() -> None:
    """An empty column gives an empty one."""
    assert len(by_filter("spam").score(pa.array([], pa.string()))) == 0


def test_a_filter_that_rejects_low_scores_is_turned_around() -> None:
    """High is worse of every scorer, so that a post is rejected where it is above the bound."""
    scorer = by_filter("alphabetic_words_ratio")
    texts = pa.array(["one two three", "1 2 3 4", "one 2"])
    rejected_N = scorer.score(texts) > scorer.max_score
    spec = AlphabeticWordsRatio()
    kept_N = spec.accepts(spec.build()(Batch(posts_of(texts.to_pylist()))))
    assert rejected_N.tolist() == (~kept_N).tolist()
    assert rejected_N.any()
    assert not rejected_N.all()


def test_labels_of_quality_are_turned_around() -> None:
    """What is vacuous has label 1, as what is spam has."""
    posts = pa.table(
        {"text": ["a", "b"], "lang": ["en"] * 2, "source": ["s"] * 2, "label": [1.0, 0.25]}
    )
    assert judgement.turned_labels(posts)["label"].to_pylist() == [0.0, 0.75]
    assert judgement.not_ordinary("quality") == set()


def test_an_unknown_filter_is_refused() -> None:
    """With the name that it may have meant."""
    assert by_filter("digit_ratio").score(pa.array(["12 34"]))[0] == 1
    with pytest.raises(SystemExit, match="no filter 'toxicty'; did you mean 'toxicity'"):
        by_filter("toxicty")


def test_sources_that_a_model_saw_are_named() -> None:
    """Those that a head is trained on; those that are held are not ordinary either."""
    assert judgement.seen("toxicity") == {source.name for source in SOURCES["toxicity"].sources}
    assert "olid2019" not in judgement.seen("toxicity")
    assert {"olid2019", "vk-toxicity"} <= judgement.not_ordinary("toxicity")


def test_posts_to_read_are_those_that_label_and_score_see_otherwise() -> None:
    """An insult that is labelled good and a greeting that is labelled bad; not what both find good."""
    columns = {"text": TEXTS[:3], "lang": ["en"] * 3, "source": ["a"] * 3, "label": [1.0, 0.0, 0.0]}
    found = judgement.judged(by_filter("toxicity"), pa.table(columns))
    taken = disagreements(found, max_score=0.89)
    assert taken["text"].to_pylist() == [TEXTS[1], TEXTS[0]]
