"""A screen of the hashed table: its curve, its shape features, and batches."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from sluice.filters.base import SCORE_GRID
from sluice.filters.batch import Batch
from sluice.filters.hashed.table import quantised
from sluice.filters.hashed.views import hashed_view
from sluice.filters.screens.hashed import HashedScreen
from sluice.filters.screens.shape import SHAPE_NAMES, shape_features
from tests.strategies import post_batch, text_arrays

RNG = np.random.default_rng(1)
TABLE = quantised({head: RNG.normal(size=1 << 10) for head in ("spam", "toxicity")})
PLAIN = HashedScreen(TABLE, "toxicity", slope=3.0, intercept=-0.5)
SHAPED = HashedScreen(TABLE, "spam", shape_K=RNG.normal(size=len(SHAPE_NAMES)) / 10)


@given(column=text_arrays())
@pytest.mark.parametrize("screen", [PLAIN, SHAPED], ids=["plain", "shaped"])
def test_scores_are_probabilities_of_each_text_alone(
    screen: HashedScreen, column: pa.StringArray
) -> None:
    """Scores are float32 on the grid in [0, 1]; a batch with the view gives what its rows give without."""
    rows = column.to_pylist()
    scores_N = screen(Batch(post_batch(rows), hashed_view(PLAIN, SHAPED)))
    assert scores_N.dtype == np.float32
    assert ((scores_N >= 0) & (scores_N <= 1)).all()
    np.testing.assert_array_equal(scores_N / SCORE_GRID, np.rint(scores_N / SCORE_GRID))
    alone = [screen(Batch(post_batch([row])))[0] for row in rows]
    np.testing.assert_array_equal(scores_N, np.array(alone, np.float32))


def test_the_curve_is_the_logistic_one() -> None:
    """A score is 1 / (1 + exp(-(slope * mean + intercept + shape))), on the grid."""
    batch = Batch(post_batch(["a plain post", "WIN 100 now http://a.org/b"]))
    means_N = TABLE.means(TABLE.read(batch.classifier_text), head="toxicity")
    want_N = 1 / (1 + np.exp(-(3 * means_N - 0.5)))
    np.testing.assert_allclose(PLAIN(batch), want_N, atol=SCORE_GRID)
    shape_N = shape_features(batch.features) @ SHAPED.shape_K
    spam_N = TABLE.means(TABLE.read(batch.classifier_text), head="spam") + shape_N
    np.testing.assert_allclose(SHAPED.logits(batch.classifier_text, batch.features), spam_N)


@pytest.mark.parametrize("blank", ["", " ", "\n", "https://a.org/b @bob"])
def test_a_post_without_a_word_scores_0(blank: str) -> None:
    """Blanks, and posts of nothing but links and handles, are not held against anyone."""
    assert PLAIN(Batch(post_batch([blank, "words"])))[0] == 0


def test_a_screen_with_shape_features_asks_for_them() -> None:
    """Texts alone do not say how many links a post had."""
    with pytest.raises(TypeError, match="pass those of the posts"):
        SHAPED.score(pa.array(["see you there"]))
