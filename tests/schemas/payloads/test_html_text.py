"""HTML of posts to plain text."""

import html
import json
import os
import string
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.schemas.payloads.html_scan import scan_html
from sluice.schemas.payloads.html_text import html_text, html_texts

MASTODON_LINK = (
    '<a href="https://example.org/a/long/path" rel="nofollow noopener" target="_blank">'
    '<span class="invisible">https://</span><span class="ellipsis">example.org/a/lo</span>'
    '<span class="invisible">ng/path</span></a>'
)
MENTION = (
    '<span class="h-card"><a href="https://example.org/@ann" class="u-url mention">'
    "@<span>ann</span></a></span>"
)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("one<p>two<p>three", "one\n\ntwo\n\nthree"),
        ("<p>one<br>two<br />three</p>", "one\ntwo\nthree"),
        ("<p>one<br><br><br>two</p>", "one\n\n\ntwo"),
        ("<p>one<br></p>\n<p>two</p>", "one\n\ntwo"),
        ("<p> one \n two\t</p>", "one two"),
        ("a <b> b</b> c", "a b c"),
        ("a<b>b</b>c", "abc"),
        ("<p>see " + MASTODON_LINK + "!</p>", "see https://example.org/a/long/path!"),
        ("<p>" + MENTION + " hello</p>", "@ann hello"),
        ('<a href="https://t.example/tags/x" class="mention hashtag">#<span>x</span></a>', "#x"),
        ('<a href="https://a.example/b">here</a>', "here"),
        (
            '<a href="https://a.example/very/long">https://a.example/ve...</a> x',
            "https://a.example/very/long x",
        ),
        (
            'x <a href="https://www.a.example/long">a.example/lo…</a>',
            "x https://www.a.example/long",
        ),
        ('<a href="https://a.example">more...</a>', "more..."),
        ("<p>hi :blobcat:</p>", "hi :blobcat:"),
        ('hi <img class="emoji" alt=":cat:" src="x.png"> there', "hi :cat: there"),
        ("<ul><li>one</li><li>two</li></ul>after", "one\ntwo\n\nafter"),
        ("<blockquote><p>said</p></blockquote><p>so</p>", "said\n\nso"),
        ("<p>x</p><pre><code>  a  b\n\n    c\n</code></pre>", "x\n\n  a  b\n\n    c"),
        ("1 &lt; 2 &amp;amp; 3 &gt; 2 &#x27;q&#39; &quot;", "1 < 2 &amp; 3 > 2 'q' \""),
        ("1 < 2 and 3 > 2, a<3, <3", "1 < 2 and 3 > 2, a<3, <3"),
        ("a<!-- no -->b<script>no</script><style>no</style>c", "abc"),
        ('<p class="quote-inline">RE: <a href="https://x.example">x</a></p><p>mine</p>', "mine"),
        ('<p>mine<span class="quote-inline"><br>RE: <span>y</span></span> end</p>', "mine end"),
        (
            "<p>not closed <a href='https://a.example/bcd'>a.example/b...",
            "not closed https://a.example/bcd",
        ),
        ("<p></p>", ""),
        ("  plain \n text ", "plain text"),
    ],
)
def test_text_of_html(source: str, text: str) -> None:
    """What a reader of the page sees is the text: blank lines, line breaks, whole links, no markup."""
    assert html_text(source) == text
    assert html_texts(pa.array([source])).to_pylist() == [text]


def test_columns_keep_their_nulls() -> None:
    """A null stays null, and texts without markup stand beside those with it."""
    texts = html_texts(pa.array([None, "a  b", "<p>c</p>", None, "d &amp; e"]))
    assert texts.to_pylist() == [None, "a b", "c", None, "d & e"]


@given(st.lists(st.one_of(st.none(), st.text(string.printable + "é日😀\xa0"))))
def test_escaped_text_comes_back(texts: list[str | None]) -> None:
    """Any text that was escaped for HTML comes back, but for its white space, and once only."""
    escaped = [None if text is None else html.escape(text) for text in texts]
    wanted = [None if text is None else _words(text) for text in texts]
    assert html_texts(pa.array(escaped, pa.string())).to_pylist() == wanted


@given(st.text(alphabet="<>/ab p=\"'&;!-#x1\n", max_size=60))
def test_any_text_is_read(source: str) -> None:
    """Damaged HTML gives some text, of one blank between words outside `pre`, and never an error."""
    text = html_texts(pa.array([source]))[0].as_py()
    assert text == text.strip("\n ") or "<pre" in source
    assert len(text) <= len(source)


PIECES = (
    *(
        "<p>",
        "</p>",
        "<br>",
        "<br />",
        "<a href='https://www.a.b/cd'>",
        '<a href="a.b/c&amp;d">',
        "</a>",
    ),
    *(
        "<b class='x'>",
        "</b>",
        "<LI>",
        "<img alt=':c:'/>",
        "<a>",
        "&amp;",
        "&#x41;",
        "&#128512;",
        "&lt",
    ),
    *(
        "a.b/c...",
        "a.b/…",
        "a",
        " ",
        "\n",
        "<",
        "&",
        "é",
        '<i class="quote-inline">',
        "<!-- x -->",
        "<a-b>",
    ),
    *('<p class="quote-inline">', "<span class='a quote-inline'>", "<span>", "</span>"),
    *("<pre>", "<hr>", "&nbsp;", "&#32;", "&x;", "<p data-a = 'b'>", "<p x>", "</p >", "<"),
)


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_both_parsers_agree(source: str) -> None:
    """The compiled parser gives the text that the standard library's does, or none."""
    texts, refused_N = scan_html(pa.array([source, source]))
    assert texts.to_pylist() == (["", ""] if refused_N[0] else [html_text(source)] * 2)


@given(st.text(alphabet="<>/ab p=\"'&;!-#x1\n.", max_size=40))
def test_both_parsers_agree_on_anything(source: str) -> None:
    """So it is for any characters of markup."""
    texts, refused_N = scan_html(pa.array([source]))
    assert texts.to_pylist() == [""] if refused_N[0] else [html_text(source)]


@pytest.mark.real
def test_servers_html_is_taken_by_the_compiled_parser() -> None:
    """No status of the recorded ones is left to the slow parser, and both give one text."""
    lines = Path(os.environ["SLUICE_DATA"], "payloads/mastodon.jsonl").read_bytes().splitlines()
    contents = [json.loads(line)["content"] for line in lines]
    texts, refused_N = scan_html(pa.array(contents))
    assert not refused_N.any()
    assert texts.to_pylist() == [html_text(content) for content in contents]


def _words(text: str) -> str:
    for blank in "\t\n\r\f":
        text = text.replace(blank, " ")
    return " ".join(word for word in text.split(" ") if word)
