"""What screens are fitted on: weights and shape features, each against a plain account."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.models.training.hashed import block_weights
from sluice.filters.screens.shape import SHAPE_NAMES, shape_features
from sluice.filters.text.features import text_features


@given(rows=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1)), min_size=1, max_size=30))
def test_a_source_s_posts_of_one_label_weigh_1_together(rows: list[tuple[str, int]]) -> None:
    """However many there are; a source that is named weighs what is said."""
    sources, labels_N = (np.array(column) for column in zip(*rows, strict=True))
    weights_N = block_weights(sources, labels_N, of={"c": 5.0})
    for source, label in set(rows):
        own_N = (sources == source) & (labels_N == label)
        assert weights_N[own_N].sum() == pytest.approx(5.0 if source == "c" else 1.0)


def test_shape_features_are_what_their_names_say() -> None:
    """Counted by hand for one post; all 0 for an empty one."""
    found_NK = shape_features(text_features(pa.array(["WIN win 100 http://a.b", ""])))
    one = dict(zip(SHAPE_NAMES, found_NK[0], strict=True))
    assert one["log_urls"] == pytest.approx(np.log(2))
    assert one["log_digits"] == pytest.approx(np.log(4))
    assert one["digit_ratio"] == pytest.approx(3 / 22)
    assert one["url_chars_ratio"] == pytest.approx(10 / 22)
    assert one["uppercase_ratio"] == pytest.approx(3 / 6)
    assert one["repeated_words_ratio"] == pytest.approx(1 / 3)
    assert not found_NK[1].any()
