import html
import re
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import example, given, settings

from sluice.filters.text.normalize import normalize
from tests.strategies import WORDS, sliced_texts, text_arrays, texts

FAMILY = "👩\u200d👩\u200d👧 ❤\ufe0f\u200d🔥 🏳\ufe0f\u200d🌈"
POST = "RT @Bob: See HTTP://t.co/Ab1 #Tag 👍🏽 1\ufe0f\u20e3"


def one(text: str) -> str:
    return str(normalize(pa.array([text]))[0].as_py())


def plain_spaces(text: str) -> str:
    """White space as the docstring says, by regular expressions."""
    text = re.sub("\r\n|[\r\v\f\x85\u2028\u2029]", "\n", text)
    text = re.sub(r"[^\S\n\x1c-\x1f]+", " ", text)
    text = re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202e\u00ad\ufeff\u2060]", "", text)
    text = re.sub(" *\n *", "\n", re.sub(" +", " ", text))
    return re.sub("\n{3,}", "\n\n", text).strip(" \n")


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("a &amp; b", "a & b"),
        ("&amp;lt;", "&lt;"),
        ("&lt;b&gt; &quot;q&quot; &#39;s&#39; &#x1F600;", "<b> \"q\" 's' 😀"),
        ("&eacute;t&eacute &notit; &hearts;", "été ¬it; ♥"),
        ("AT&T R&D &; &#; & x&", "AT&T R&D &; &#; & x&"),
        ("&#128; &#0; &#xD800; &#x110000;", "€ \ufffd \ufffd \ufffd"),
        ("a&nbsp;&nbsp;b", "a b"),
        (" a \t b\u3000c\u00a0 ", "a b c"),
        ("a\r\nb\rc\u2028d\x85e", "a\nb\nc\nd\ne"),
        ("a \n \n \n b\n", "a\n\nb"),
        ("a\u200bb\ufeffc\u00add\u2060e\u202ef\x00g\x07h", "abcdefgh"),
        ("e\u0301 \u212b \u1100\u1161", "é Å 가"),
        ("e\u200b\u0301", "é"),
        (FAMILY, FAMILY),
        ("می\u200cخواهم क्\u200dष", "می\u200cخواهم क्\u200dष"),
        ("a\u200db می\u200c x 👩\u200d", "ab می x 👩"),
        ("م\u200d\u200c\u200dم", "م\u200dم"),
        ("🏴\U000e0067\U000e0062\U000e007f x\U000e0067", "🏴\U000e0067\U000e0062\U000e007f x"),
        (POST, POST),
        ("", ""),
        (" \n\u200b ", ""),
    ],
)
def test_what_each_rule_does(raw: str, clean: str) -> None:
    """One example a rule: entities, white space, invisible characters, joiners, NFC, what is kept."""
    assert one(raw) == clean


@given(text_arrays())
def test_rows_do_not_touch_each_other(column: pa.StringArray) -> None:
    """N rows in, N rows out, and each is what it is alone, slices included."""
    assert normalize(column).to_pylist() == [one(text) for text in column.to_pylist()]


@settings(max_examples=300)
@given(texts())
@example("&\u200bamp;")
@example("م\u200d\u200c\u200dم\u200d")
def test_normalising_again_changes_nothing(text: str) -> None:
    """The result is a fixed point, unless it still holds an & (the text was escaped twice)."""
    once = one(text)
    if "&" not in once:
        assert one(once) == once


@settings(max_examples=300)
@given(texts())
def test_result_is_clean(text: str) -> None:
    """The result is in NFC, holds no control character, no double blank and no third line end."""
    clean = one(text)
    normalize(pa.array([text])).validate(full=True)
    assert clean == unicodedata.normalize("NFC", clean)
    assert not re.search("  |\n\n\n| \n|\n |^[ \n]|[ \n]$|\t|\r|\u200b|\ufeff|\u202e|\x00", clean)
    assert all(c == "\n" or unicodedata.category(c) != "Cc" for c in clean)


@settings(max_examples=300)
@given(texts())
def test_equals_the_plain_reference(text: str) -> None:
    """Without joiners and tags the result is html.unescape, regular expressions, and NFC."""
    text = re.sub("[\u200c\u200d\U000e0000-\U000e007f]", "", text)
    formats = "".join(c for c in set(html.unescape(text)) if unicodedata.category(c) == "Cf")
    if not set(formats) - set("\u200b\u202e\u00ad\ufeff\u2060"):
        assert one(text) == unicodedata.normalize("NFC", plain_spaces(html.unescape(text)))


@given(texts())
def test_entities_are_those_of_html(text: str) -> None:
    """What is escaped comes back: the result of an escaped text is the result of the text."""
    if "&" not in text:
        numeric = "".join(f"&#{ord(c)};" if c.isprintable() else c for c in text)
        assert one(html.escape(text)) == one(numeric) == one(text)


@pytest.mark.parametrize("word", WORDS)
def test_clean_rows_are_not_touched(word: str) -> None:
    """A row that is clean keeps its bytes beside one that is rewritten."""
    clean = one(one(word))
    assert normalize(sliced_texts([clean, " a  b", clean])).to_pylist() == [
        one(clean),
        "a b",
        one(clean),
    ]
