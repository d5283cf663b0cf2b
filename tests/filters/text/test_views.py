import re
import unicodedata
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings

from sluice.filters.text.views import MOST_CHARACTERS, classifier_text, dedup_text, encoder_text
from tests.strategies import text_arrays, texts

View = Callable[[pa.StringArray], pa.StringArray]
HANDLE = re.compile(r"(?<![A-Za-z0-9_])@[A-Za-z0-9_]+")
PLACEHOLDER = re.compile("[\ufdd0-\ufdef]")
SHELL = re.compile(r"rt(?=[\s:@]|\Z)[\s:]*(?:@[A-Za-z0-9_]+[\s:]*)?")
UNSPACED = re.compile(
    "[\u0e00-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u3000-\u9fff\ua000-\ua48c\ua980-\ua9ff"
    "\uaa60-\uaadf\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
MARKS_ON_EMOJI = re.compile("[\u034f\u20e3\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def one(view: View, text: str) -> str:
    return str(view(pa.array([text]))[0].as_py())


def blank_urls(text: str) -> str:
    """URLs to a blank by a regular expression for the head and a walk for the rest."""
    while head := re.search(r"https?://|(?<![A-Za-z0-9_])www\.(?=[A-Za-z0-9])", text, re.A):
        j = head.end()
        while j < len(text):
            c = text[j]
            spaced = unicodedata.category(c)[0] in "LMN" and not MARKS_ON_EMOJI.match(c)
            spaced = spaced or bool(PLACEHOLDER.match(c))
            if c in '"<>\x7f' or c <= " " or (c > "\x7f" and (not spaced or is_unspaced(c))):
                break
            j += 1
        text = text[: head.start()] + "\n" + text[j:]
    return text


def is_unspaced(c: str) -> bool:
    return bool(UNSPACED.match(c)) and unicodedata.category(c)[0] in "LMC"


def plain_view(text: str, *, drop_retweet: bool) -> str:
    """The views by regular expressions, as their docstrings say."""
    text = str(pc.utf8_lower(pa.scalar(text)))
    if drop_retweet:
        text = unicodedata.normalize("NFC", text)
        stripped = text.lstrip()
        while found := SHELL.match(stripped):
            text = stripped = stripped[found.end() :]
    plain = PLACEHOLDER.sub(" ", HANDLE.sub(" ", blank_urls(text)))
    return " ".join(plain.split())


@pytest.mark.parametrize(
    ("raw", "read", "compared"),
    [
        ("Hello  WORLD\n\tx", "hello world x", "hello world x"),
        ("see HTTP://t.co/aBc now", "see now", "see now"),
        ("www.foo.com/x awww.x www.", "awww.x www.", "awww.x www."),
        ("看http://t.cn/ab很好", "看 很好", "看 很好"),
        ("cut http://t.…", "cut …", "cut …"),
        ("(@Ann) me@mail.org @", "( ) me@mail.org @", "( ) me@mail.org @"),
        ("RT @bob: hi", "rt : hi", "hi"),
        ("RT: @bob hi", "rt: hi", "hi"),
        ("rt hi", "rt hi", "hi"),
        ("RT @a: RT @b: hi RT @c", "rt : rt : hi rt", "hi rt"),
        ("RTs are art", "rts are art", "rts are art"),
        ("RT @bob: http://t.co/x", "rt :", ""),
        ("#Tag 😂 &amp;", "#tag 😂 &amp;", "#tag 😂 &amp;"),
        ("E\u0301", "e\u0301", "é"),
        ("", "", ""),
    ],
)
def test_what_each_rule_does(raw: str, read: str, compared: str) -> None:
    """One example a rule: case, white space, URLs, handles, RT, NFC, and what is kept."""
    assert one(classifier_text, raw) == read
    assert one(dedup_text, raw) == compared


@settings(max_examples=300)
@given(texts())
@example("RT@a@b www.x.y")
@example("see http://a.b/q?k=\ufdd3&z=1 y")
@example("one \ufdd0two\ufdd4 www.\ufdd3.x")
def test_views_equal_the_plain_reference(text: str) -> None:
    """The kernels write what regular expressions would."""
    assert one(classifier_text, text) == plain_view(text, drop_retweet=False)
    assert one(dedup_text, text) == plain_view(text, drop_retweet=True)


@pytest.mark.parametrize("view", [classifier_text, dedup_text])
@given(column=text_arrays())
def test_rows_do_not_touch_each_other(view: View, column: pa.StringArray) -> None:
    """N rows in, N valid rows out, and each is what it is alone, slices included."""
    result = view(column)
    result.validate(full=True)
    assert result.to_pylist() == [one(view, text) for text in column.to_pylist()]


@given(texts())
def test_copies_that_differ_in_links_are_compared_as_equal(text: str) -> None:
    """Reposts of one text under other links, handles and case compare as equal."""
    text = text.strip() or "x"
    first, second = (
        f"RT @one: {text} http://t.co/a",
        f"RT @two:  {text.upper().lower()} @x http://t.co/b",
    )
    if text.upper().lower() == text.lower() == text:
        assert one(dedup_text, first) == one(dedup_text, second)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("see HTTP://www.Example.com/a?b=c#d now", "see http Example.com now"),
        ("https://x.co", "http x.co"),
        ("@ann @bob_2 hi", "@user @user hi"),
        ("write to ann@example.com", "write to ann@example.com"),
        ("example.social/@ann", "example.social/@ann"),
        ("\U0001d5ea\U0001d5dc\U0001d5e1 now", "~\U0001d5ea\U0001d5dc\U0001d5e1 now"),
        ("x" * 2_000, "x" * MOST_CHARACTERS),
        (None, ""),
    ],
)
def test_what_an_encoder_reads(text: str | None, read: str) -> None:
    """Hosts of URLs, that there is a handle, marks at styled letters, the start alone."""
    assert encoder_text(pa.array([text], pa.string())).to_pylist() == [read]
