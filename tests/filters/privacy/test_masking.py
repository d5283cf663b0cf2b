import random

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from sluice.filters.privacy.find import find
from sluice.filters.privacy.keyed_ids import IdKey
from sluice.filters.privacy.kinds import KINDS, MASKED, TOKENS
from sluice.filters.privacy.masking import mask
from sluice.filters.privacy.pseudonyms import pseudonyms
from sluice.filters.privacy.spans import Spans, ValueSpan, joined
from sluice.filters.text.views import classifier_text, dedup_text
from sluice.schemas.placeholders import VALUES as TOKENS_OF_VALUES
from sluice.schemas.placeholders import character
from tests.filters.privacy.found import found, spans_of
from tests.filters.privacy.test_find import ORDINARY, VALUES
from tests.strategies import texts

KEY = IdKey(bytes(range(32)))
MARKS = {kind: character(token) for kind, token in TOKENS.items()}


def masked(text: str, spans: list[ValueSpan]) -> str:
    """The text with marks, cut and joined in Python."""
    raw, parts, at = text.encode(), [], 0
    for _, start, end, kind in sorted(spans):
        parts += [raw[at:start].decode(), MARKS[KINDS[kind]]]
        at = end
    return "".join(parts) + raw[at:].decode()


@settings(deadline=None)
@given(st.lists(texts(), max_size=6), st.randoms(use_true_random=False), st.integers(0, 2))
def test_any_spans(rows: list[str], rng: random.Random, offset: int) -> None:
    """Any spans between characters are replaced, in a slice of a column too, and nothing else is changed."""
    spans: list[ValueSpan] = []
    for row, text in enumerate(rows):
        ends = [len(text[:i].encode()) for i in range(len(text) + 1)]
        cuts = sorted(rng.sample(ends, min(len(ends), 4)))
        spans += [
            ValueSpan(row, a, b, rng.randrange(len(KINDS)))
            for a, b in zip(cuts[::2], cuts[1::2], strict=False)
        ]
    column = pa.array(["y" * 5] * offset + rows, pa.string()).slice(offset)
    expected = [masked(text, [s for s in spans if s.row == i]) for i, text in enumerate(rows)]
    assert mask(column, Spans.of(spans)).to_pylist() == expected


def test_marks() -> None:
    """Each kind has a special token, whose placeholder is a noncharacter; cards and IBANs are accounts."""
    assert set(TOKENS) == set(KINDS)
    assert set(TOKENS.values()) == set(TOKENS_OF_VALUES)
    assert [k for k in KINDS if TOKENS[k] == "<|account|>"] == ["iban", "card"]
    assert all(0xFDD0 <= ord(mark) <= 0xFDEF for mark in MARKS.values())


def test_nothing_is_left() -> None:
    """A text with a value of each kind has none after it is masked, and what is between stays."""
    rng = random.Random(1)
    for _ in range(50):
        words = [
            piece
            for pair in zip(rng.sample(VALUES, 4), rng.sample(ORDINARY, 4), strict=True)
            for piece in pair
        ]
        column = pa.array([" | ".join(words)])
        text = mask(column, spans_of(column.to_pylist(), "en"))
        assert find(text, languages=pa.array(["en"])).num_spans == 0
    assert [
        ascii(c) for c in mask(pa.array(["a b@c.org d"]), spans_of(["a b@c.org d"])).to_pylist()
    ] == ["'a \\ufdd3 d'"]


def test_without_spans_nothing_is_copied() -> None:
    """A column without values is returned itself."""
    column = pa.array(["a", None])
    assert mask(column, spans_of(["a", ""])) is column


def test_pseudonyms_are_of_people() -> None:
    """One person has one pseudonym, in either case; another person or key has another one."""
    rows = ["hi @ann", "@Ann: @bob", "me@ann.org"]
    texts_ = mask(pa.array(rows), spans_of(rows), handle_key=KEY).to_pylist()
    ann, bob = pseudonyms(pa.array(["@ann", "@BOB"]), key=KEY).to_pylist()
    assert texts_ == [f"hi {ann}", f"{ann}: {bob}", MARKS["email"]]
    assert ann != bob
    assert ann != pseudonyms(pa.array(["@ann"]), key=IdKey(bytes(32)))[0].as_py()


def test_a_pseudonym_is_a_handle() -> None:
    """A pseudonym is read as a handle, which duplicates and models do not see, and holds no value."""
    name = pseudonyms(pa.array(["@ann"]), key=KEY)[0].as_py()
    assert spans_of([f"hi {name}, you"]).counts() == {"handle": 1}
    assert found(name) == []


@given(
    st.lists(st.sampled_from([v for v in VALUES if "://" not in v] + list(ORDINARY)), max_size=5)
)
def test_duplicates_see_blanks(words: list[str]) -> None:
    """A masked text is compared as the same text with blanks in the place of its values."""
    text = " | ".join(words)
    values_ = [value for _, value in found(text, "en")]
    blank = text
    for value in sorted(values_, key=len, reverse=True):
        blank = blank.replace(value, " ")
    column = pa.array([text])
    spans = spans_of([text], "en").of_kinds(MASKED)
    assert dedup_text(mask(column, spans)) == dedup_text(pa.array([blank]))


@pytest.mark.parametrize(
    "link",
    [
        "https://ann:pass@example.com/?token=abcdef&page=2",
        "http://93.184.216.34/view?user=ann@example.com#top",
        "https://wa.me/37167000000",
    ],
)
def test_masked_links_are_links(link: str) -> None:
    """A link in which something is masked is a link for duplicates, up to its end."""
    column = pa.array([f"Before {link} behind"])
    masked_ = mask(column, spans_of(column.to_pylist(), "en"))
    assert masked_ != column
    assert dedup_text(masked_).to_pylist() == ["before behind"]
    assert classifier_text(masked_).to_pylist() == ["before behind"]


def test_of_rows() -> None:
    """Of some rows, spans are those of a column that has no others."""
    rows = ["a@b.org", "none", "c@d.org, e@f.org", "g@h.org"]
    mask_N = np.array([False, True, True, False])
    some = spans_of([row for row, is_there in zip(rows, mask_N, strict=True) if is_there])
    found_ = spans_of(rows).of_rows(mask_N)
    assert [c.tolist() for c in found_] == [c.tolist() for c in some]


def test_joined() -> None:
    """Of other spans those are taken that overlap none; touching is no overlap."""
    first = Spans.of([ValueSpan(0, 4, 8, 2), ValueSpan(2, 0, 3, 1)])
    others = Spans.of(
        [
            ValueSpan(0, 0, 4, 10),
            ValueSpan(0, 7, 9, 10),
            ValueSpan(0, 8, 9, 10),
            ValueSpan(1, 4, 8, 10),
            ValueSpan(2, 1, 2, 10),
        ]
    )
    both = joined(first, others)
    assert list(zip(*(c.tolist() for c in both), strict=True)) == [
        (0, 0, 4, 10),
        (0, 4, 8, 2),
        (0, 8, 9, 10),
        (1, 4, 8, 10),
        (2, 0, 3, 1),
    ]
