import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from sluice.filters.privacy import kernels as k
from sluice.filters.privacy.candidates import Stretch, _ascii_signs, candidates, stretches
from sluice.filters.privacy.find import _spans
from sluice.filters.privacy.spans import Spans
from tests.filters.privacy.found import spans_of
from tests.filters.privacy.test_find import ORDINARY, VALUES
from tests.filters.privacy.test_national_ids import EXAMPLES
from tests.strategies import texts

ALL = k.NUMBER | k.TOKEN | k.ADDRESS | k.LINK | k.ASSIGNED | k.BLOCK
PIECES = (*VALUES, *ORDINARY, *(text for _, text in EXAMPLES), "\n", ":", "(", " x ", "，", "тел. ")


def judged_whole(text: str, language: str) -> Spans:
    """The checks on the whole text, without the pass that picks places."""
    stretch = Stretch(0, 0, text, text.translate(_ascii_signs()), ALL)
    return Spans.of(_spans(stretch, language))


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.sampled_from(PIECES) | texts(), max_size=4), st.sampled_from(["", " ", ", ", " - "])
)
def test_the_pass_leaves_nothing_out(pieces: list[str], between: str) -> None:
    """What the checks find in a whole text is found where they see the places alone that the pass picks."""
    text = between.join(pieces)
    spans = spans_of([text], "en")
    kept = spans.where(spans.kind_M != 10)
    assert [c.tolist() for c in kept] == [c.tolist() for c in judged_whole(text, "en")]


@pytest.mark.parametrize(
    "text", ["won 3-1", "see you at 12:30", "@ann2016 said 42", "https://t.co/a1B2c3D4e5", ""]
)
def test_few_places(text: str) -> None:
    """Ordinary numbers, handles and short links are not even looked at."""
    assert len(candidates(pa.array([text])).row_M) == 0


@settings(deadline=None)
@given(st.lists(st.sampled_from(VALUES), max_size=40), st.integers(0, 3))
def test_stretches(pieces: list[str], offset: int) -> None:
    """Stretches are pieces of their texts, in order and apart, and hold every place."""
    column = pa.array(
        ["x"] * offset + ["word " * 60 + " ".join(pieces) + " word" * 60, "", *pieces], pa.string()
    )
    column = column.slice(offset)
    found = candidates(column)
    last = (-1, 0)
    places = list(zip(*(c.tolist() for c in found), strict=True))
    for stretch in stretches(column, found):
        whole = column[stretch.row].as_py().encode()
        raw = stretch.raw.encode()
        end = stretch.start + len(raw)
        assert (stretch.row, stretch.start) >= last
        assert whole[stretch.start : end] == raw
        assert len(stretch.text) == len(stretch.raw)
        inside = [
            p for p in places if p[0] == stretch.row and stretch.start <= p[1] and p[2] <= end
        ]
        assert inside
        places = [p for p in places if p not in inside]
        last = (stretch.row, end)
    assert places == []
