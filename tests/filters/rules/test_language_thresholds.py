"""Thresholds by language: what they keep, what reject rows say, and which ones a recipe cannot have."""

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.base import on_grid
from sluice.filters.batch import Batch, Languages
from sluice.filters.partition import partition
from sluice.filters.rules.language_confidence import LanguageConfidence
from sluice.schemas.post import POST

CODES = st.sampled_from(["en", "de", "sco", "und"])
ROWS = st.lists(st.tuples(CODES, st.floats(0, 1, width=32)), max_size=20)


def batch_of(rows: list[tuple[str, float]]) -> Batch:
    """Returns a batch of posts that are named so, at such confidences."""
    posts = [
        {"post_id": str(i), "text": "x", "source_file": "a", "source_row": i, "row_key": i}
        for i in range(len(rows))
    ]
    codes = pa.array([code for code, _ in rows], pa.string())
    found = Languages(codes, codes, np.array([share for _, share in rows], np.float32))
    return Batch(pa.RecordBatch.from_pylist(posts, POST), {"languages": lambda _: found})


@given(rows=ROWS, least=st.floats(0, 1), own=st.dictionaries(CODES.filter(len), st.floats(0, 1)))
def test_a_post_is_compared_with_the_threshold_of_its_language(
    rows: list[tuple[str, float]], least: float, own: dict[str, float]
) -> None:
    """Kept posts and the thresholds of reject rows are those of a loop over the posts."""
    spec = LanguageConfidence(min_confidence=least, by_language=own)
    found = partition(batch_of(rows), [(spec, spec.build())], phase="clean")
    bounds = [float(on_grid(own.get(code, least))) for code, _ in rows]
    kept = [on_grid(share) >= bound for (_, share), bound in zip(rows, bounds, strict=True)]
    ids = found.kept.posts.column("post_id").to_pylist()
    assert ids == [str(i) for i, is_kept in enumerate(kept) if is_kept]
    if own:
        thresholds = found.rejected.column("threshold").to_pylist()
        assert thresholds == [b for b, is_kept in zip(bounds, kept, strict=True) if not is_kept]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"en": 1.5}, r"by_language.en must be in \[0, 1\], got 1.5"),
        (
            {"eng": 0.5},
            "by_language must be two letters where ISO 639-1 has a code: 'en', got 'eng'",
        ),
        ({"English": 0.5}, "by_language must be ISO 639 codes"),
    ],
)
def test_a_threshold_that_could_never_count_is_refused(own: dict[str, float], message: str) -> None:
    """A recipe with a misspelt language or a share outside of its range fails when it is read."""
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert({"filter": "language_confidence", "by_language": own}, LanguageConfidence)


def test_equal_specs_have_equal_hashes() -> None:
    """Machines are kept by their specs, whatever the order of the languages is."""
    one = LanguageConfidence(by_language={"en": 0.5, "de": 0.3})
    other = LanguageConfidence(by_language={"de": 0.3, "en": 0.5})
    assert one == other
    assert hash(one) == hash(other)
    assert hash(one) != hash(LanguageConfidence())
