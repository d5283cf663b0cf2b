"""Texts with placeholders: their segments, and their ids."""

from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from sluice.schemas import placeholders
from sluice.tokenizer.encode import Encoder
from sluice.tokenizer.placeholders import encode, segments

MARKS = "".join(map(placeholders.character, placeholders.TOKENS))
TEXTS = st.lists(st.none() | st.text(st.sampled_from(f"ab é{MARKS}﷏﷐"), max_size=8), max_size=6)


@given(texts=TEXTS)
def test_segments(texts: list[str | None]) -> None:
    """A text is cut at each placeholder, and nothing else of it is lost."""
    found = segments(pa.array([None, *texts], pa.string()).slice(1))
    expected: list[str] = []
    numbers: list[int] = []
    for at, text in enumerate(texts):
        assert found.first_N1[at] == len(expected)
        expected.append("")
        for character in text or "":
            if character in MARKS:
                numbers.append(MARKS.index(character))
                expected.append("")
            else:
                expected[-1] += character
    assert found.texts.to_pylist() == expected
    assert found.number_K.tolist() == numbers
    assert found.first_N1[-1] == len(expected)


@given(texts=TEXTS)
def test_ids(tokenizer_json: Path, texts: list[str | None]) -> None:
    """The ids are those of the segments, with one id for each placeholder between them."""
    encoder = Encoder(tokenizer_json, engine="tokenizers")
    ids = tuple(range(7, 7 + len(MARKS)))
    found = encode(encoder, pa.array(texts, pa.string()), ids)
    for text, ids_T in zip(texts, found.rows(), strict=True):
        expected: list[int] = []
        part = ""
        for character in [*(text or ""), ""]:
            if character and character not in MARKS:
                part += character
                continue
            expected += encoder.encode(pa.array([part])).tokens_T.tolist()
            part = ""
            if character:
                expected.append(7 + MARKS.index(character))
        assert ids_T.tolist() == expected
