import random
import time

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from sluice.filters.privacy.find import find
from sluice.filters.privacy.kinds import KINDS
from tests.filters.privacy.found import found, spans_of
from tests.strategies import text_arrays

VALUES = (
    "ann.b@example.com",
    "+371 6700 0000",
    "(212) 555-0123",
    "93.184.216.34",
    "2a00:1450:4001:81b::200e",
    "4111 1111 1111 1111",
    "GB29 NWBK 6016 1331 9268 19",
    "529.982.247-25",
    "AKIA" + "ABCDEFGH23456723",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "56.94965, 24.10518",
    "https://ann:pass@example.com/?token=abcdef&page=2",
    "@ann",
)
ORDINARY = (
    "won 3-1 and 21-19 21-15 15-8",
    "the game is 2012-2014, not 1998 - 2003",
    "2016-11-30 12:30:45.123, 30.11.2016, 11/30/2016 and 20161130",
    "costs $1,299.99 or 1 299 000 kr or 12.500,00 €",
    "iOS 10.3.2, Chrome 91.0.4472.124, version 1.2.3.4 and v10.20.30.40",
    "ISBN 978-3-16-148410-0 or ISBN-10: 0-306-40615-2",
    "order 1234567890123, tracking 1Z999AA10123456784",
    "#2016Election #1234567890 @user12345678",
    "at 10:17am: 24.7334 -0.1566 (-0.63%)",
    "EURUSD 1.0843, 1.0877",
    "1280x840 and 1920 x 1080",
    "https://example.com/2016/10/26/13418304/a-story.html?page=2&id=1234567890",
    "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
    "sha 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    "std::vector a::b ::1 fe80::1 192.168.1.1 10.0.0.1 2001:db8::1",
    "icon@2x.png and react@18.2.0",
    "@ann@example.social and @bob.bsky.social",
    "1️⃣ 2️⃣ 3️⃣ 4️⃣ 5️⃣ 6️⃣ 7️⃣ 8️⃣",
    "0000 0000 0000 0000, 1234 5678 9012 3456",
    "12,345,678 people, 0.123456789 and 3.14159265358979",
    "id 00000000-0000-4000-8000-000000000000",
    "$GE 17.23 $AAPL 110.88 $T 36.42 $F 12.11",
    "pop. 1 234 567 890",
    "2017年10月16日 2016年3月",
    "on tour 04/05.11.2016, multicast is 224.0.0.0/4",
    "red = {0.800000012, 0.100000001, 0, 1}",
    "https://docs.google.com/spreadsheet/viewform?formkey=dEabc1N6eF96cGFFMS1GeUFJaTNJ",
    "docs.google.com/spreadsheet/ccc?key=0Aqabc6SQ8a3bgdG1ENkZTMHB",
    "https://docs.google.com/spreadsheet/ccc?key=0Aqabc6SQ8a3bgdG1ENkZTMHB",
    "https://example.qualtrics.com/SE/?SID=SV_bAbcIhjuYAC4BIFv",
)


@pytest.mark.parametrize("text", ORDINARY)
def test_what_stays(text: str) -> None:
    """Scores, dates, prices, versions, ISBNs, orders, hashtags, times, sizes, hashes and links stay."""
    assert found(text, "en") == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "handle"])
def test_every_kind_has_a_value(kind: str) -> None:
    """The values of this module's list have every kind."""
    kinds = {each for value in VALUES for each, _ in found(value, "en")}
    assert kind in kinds


@settings(deadline=None)
@given(text_arrays(), st.data())
def test_spans_are_in_texts(texts: pa.StringArray, data: st.DataObject) -> None:
    """In any texts, spans are sorted, apart, in their row, and begin and end at characters."""
    rows = [
        f"{text or ''} {data.draw(st.sampled_from(VALUES))}{data.draw(st.sampled_from((' ', '.', ')')))}"
        for text in texts.to_pylist()
    ]
    spans = spans_of(rows, "en")
    last = (-1, 0)
    for row, start, end, kind in zip(*(column.tolist() for column in spans), strict=True):
        assert (row, start) >= last
        assert 0 <= start < end <= len(rows[row].encode())
        assert rows[row].encode()[start:end].decode()
        assert kind < len(KINDS)
        last = (row, end)


def test_kinds_are_independent() -> None:
    """What is found of a kind is the same whether other kinds are asked for or not."""
    rng = random.Random(5)
    rows = [" ".join(rng.sample(VALUES, 3)) for _ in range(200)]
    texts, languages = pa.array(rows), pa.array(["en"] * len(rows))
    whole = find(texts, languages=languages)
    for kind in KINDS:
        alone, part = find(texts, languages=languages, kinds=[kind]), whole.of_kinds([kind])
        assert [c.tolist() for c in alone] == [c.tolist() for c in part]


def test_rows_are_independent() -> None:
    """A slice of a column, or a text alone, has the spans that it has in the column."""
    rows = [*VALUES, *ORDINARY, "", *VALUES]
    whole, cut = spans_of(rows), spans_of(rows[7:])
    mask_M = whole.row_M >= 7
    assert (whole.row_M[mask_M] - 7).tolist() == cut.row_M.tolist()
    assert whole.start_M[mask_M].tolist() == cut.start_M.tolist()
    sliced = find(pa.array(rows).slice(7), languages=pa.nulls(len(rows) - 7, pa.string()))
    assert sliced.end_M.tolist() == cut.end_M.tolist()


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("filler", ["word ", "слово ", "字。 ", "longwordwithoutblank" * 3 + " "])
def test_long_texts_are_read_around_places(value: str, filler: str) -> None:
    """In a long text a value is found as in a short one."""
    words = filler * 200
    short, long = spans_of([f"x {value} y"]), spans_of([f"{words} x {value} y {words}"])
    assert short.kind_M.tolist() == long.kind_M.tolist()
    moved = len(f"{words} ".encode())
    assert (short.start_M + moved).tolist() == long.start_M.tolist()


def test_null_has_nothing() -> None:
    """A null text and an empty column have no spans."""
    assert find(pa.array([None], pa.string()), languages=pa.nulls(1, pa.string())).num_spans == 0
    assert find(pa.array([], pa.string()), languages=pa.array([], pa.string())).num_spans == 0


@pytest.mark.parametrize(
    "piece",
    [
        *("1", "a", "@", "a@", "12.", "1.1.", "1 ", "(1) ", "=", "a=", "?token=", "://", "2a00:"),
        *("-----BEGIN ", "call 212 555 0123 ", "тел 212 555 0123 ", "a@b.co "),
    ],
)
def test_linear(piece: str) -> None:
    """A text that is twenty times as long takes some twenty times as long, whatever piece is repeated."""

    def seconds(num_bytes: int) -> float:
        text = piece * (num_bytes // len(piece))
        begin = time.thread_time()
        spans_of([text])
        return time.thread_time() - begin

    seconds(1_000)
    short = min(seconds(10_000) for _ in range(3))
    assert any(seconds(200_000) < 50 * short + 0.05 for _ in range(3))


def test_digits_of_other_scripts() -> None:
    """Digits of all scripts, full-width signs and other dashes and blanks read as ASCII ones."""
    plain = "+371 6700-0000"
    for first in (0x660, 0x6F0, 0x966, 0x9E6, 0xE50, 0xFF10):
        text = plain.translate({ord("0") + digit: first + digit for digit in range(10)})
        assert found(f"call {text}!") == [("phone", text)]
    assert found("＋３７１　６７００－００００") == [("phone", "＋３７１　６７００－００００")]
    assert np.all(spans_of(["+371\u00a06700\u20110000"]).start_M == 0)
