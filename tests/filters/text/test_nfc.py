import unicodedata

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.text.nfc import to_nfc
from tests.strategies import text_arrays

MARKS = st.characters(categories=("Mn", "Mc"), max_codepoint=0x20000)
JAMO = st.characters(min_codepoint=0x1100, max_codepoint=0x11FF)


def plain(texts: pa.StringArray) -> list[str]:
    return [unicodedata.normalize("NFC", text) for text in texts.to_pylist()]


def test_every_character_alone_and_after_a_letter() -> None:
    """No character that NFC changes, or composes with a Latin, Greek or Indic letter, is missed."""
    assigned = [
        c
        for c in map(chr, (*range(0xD800), *range(0xE000, 0x30000)))
        if unicodedata.category(c) != "Cn"
    ]
    for before in ("", "a", "\u03b9", "\u09c7", "\u1025", "\u1100"):
        texts = pa.array([before + c for c in assigned])
        assert to_nfc(texts).to_pylist() == plain(texts)


@given(
    st.lists(st.text(st.one_of(MARKS, JAMO, st.sampled_from("aeoıῳ가각")), max_size=8), max_size=6)
)
def test_marks_in_any_order(rows: list[str]) -> None:
    """Marks are reordered and composed as unicodedata does it."""
    texts = pa.array(rows, pa.string())
    assert to_nfc(texts).to_pylist() == plain(texts)


@given(text_arrays())
def test_slices_and_awkward_texts(texts: pa.StringArray) -> None:
    """N rows in, N rows out, slices included."""
    assert to_nfc(texts).to_pylist() == plain(texts)


def test_what_is_in_nfc_is_not_copied() -> None:
    """Where no row needs it the argument itself comes back."""
    texts = pa.array(["plain", "été", "한국어", "नमस्ते", "مَرحبا"])
    assert to_nfc(texts) is texts
