"""HTML of posts to plain text: what a reader of the page would see, and no markup.

Mastodon's statuses, Hacker News' items and Fediverse posts in general are HTML that their servers made or
cleaned. A compiled parser takes what servers write (`html_scan`), the standard library's all the rest: it
takes any text, and what is not closed ends with the text.

    paragraph, quote, list, heading, `pre`     a blank line between it and what is beside it
    `br`, list item, table row, `div`          a new line
    white space                                one blank, but in `pre`, where it stands as it is
    link                                       its label; the address where the label is that, shortened
    mention, hashtag                           as shown: `@name`, `#tag`
    custom emoji                               its short code, `:name:`
    `img`                                      its `alt`
    what has the class `quote-inline`          nothing: it is the link to a quoted post, for old programs
    `script`, `style`, `head`, comments        nothing

Source: WHATWG HTML, "Parsing HTML documents" (13.2) and, for blank lines, "The innerText getter"; classes as
in docs.joinmastodon.org/spec/activitypub, "Sanitization".
"""

from html.parser import HTMLParser
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from sluice.schemas.payloads.html_elements import LEFT_OUT, LINES, PARAGRAPHS, QUOTE_LINK, VOID
from sluice.schemas.payloads.html_scan import scan_html

_BLANKS: Final = " \t\n\r\f"


def html_texts(htmls: pa.StringArray) -> pa.StringArray:
    r"""Returns the plain text of each HTML text; null stays null.

    Args:
        htmls: (N,) string.

    >>> html_texts(pa.array(["<p>Hi <a href='https://a.b/@c'>@<span>c</span></a><br>1 &lt; 2"])).to_pylist()
    ['Hi @c\n1 < 2']
    """
    texts, refused_N = scan_html(htmls)
    if refused_N.any():
        is_refused = pa.array(refused_N)
        parsed = [html_text(html) for html in htmls.filter(is_refused).to_pylist()]
        texts = pc.replace_with_mask(texts, is_refused, pa.array(parsed, pa.string()))
    return pc.if_else(htmls.is_valid(), texts, None) if htmls.null_count else texts


def html_text(html: str) -> str:
    """Returns the plain text of one HTML text."""
    parser = _Text()
    parser.feed(html)
    parser.close()
    return parser.text()


class _Text(HTMLParser):
    """Collects text: blanks and line breaks are written when something follows them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._pieces: list[str] = []
        self._breaks, self._blank = 0, False
        self._preformatted = 0
        self._left_out: list[str] = []  # the tags that are open inside what is left out
        self._link: tuple[int, str] | None = None  # where its label begins, its address

    def text(self) -> str:
        """Returns what was collected."""
        self._end_link()
        return "".join(self._pieces)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._left_out:
            if tag == self._left_out[0]:
                self._left_out.append(tag)
            return
        values = dict(attrs)
        if tag in LEFT_OUT or QUOTE_LINK in (values.get("class") or "").split():
            if tag not in VOID:
                self._left_out.append(tag)
        elif tag == "br":
            self._breaks, self._blank = self._breaks + 1, False
        elif tag == "img":
            self.handle_data(values.get("alt") or "")
        elif tag == "a":
            self._end_link()
            self._link = (len(self._pieces), values.get("href") or "")
        else:
            self._preformatted += tag == "pre"
            self._edge(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._left_out:
            if tag == self._left_out[-1]:
                self._left_out.pop()
        elif tag == "a":
            self._end_link()
        else:
            self._edge(tag)
            self._preformatted -= tag == "pre" and self._preformatted > 0

    def handle_data(self, data: str) -> None:
        if self._left_out:
            return
        if self._preformatted:
            self._write_lines(data)
            return
        words = [word for word in _blanks_as_one(data).split(" ") if word]
        if not words:
            self._blank = self._blank or bool(data)
            return
        self._blank = self._blank or data[0] in _BLANKS
        self._write(" ".join(words))
        self._blank = data[-1] in _BLANKS

    def _edge(self, tag: str) -> None:
        """Begins or ends an element."""
        if tag in PARAGRAPHS:
            self._breaks, self._blank = max(self._breaks, 2), False
        elif tag in LINES:
            self._breaks, self._blank = max(self._breaks, 1), False

    def _write_lines(self, data: str) -> None:
        """Writes preformatted text; blank lines at its end are left out where nothing follows."""
        for number, line in enumerate(data.replace("\r\n", "\n").split("\n")):
            self._breaks += number > 0
            if line:
                self._write(line)

    def _write(self, text: str) -> None:
        if self._pieces and self._breaks:
            self._pieces.append("\n" * self._breaks)
        elif self._pieces and self._blank:
            self._pieces.append(" ")
        self._pieces.append(text)
        self._breaks, self._blank = 0, False

    def _end_link(self) -> None:
        """Puts the address for a label that is the address, shortened."""
        if self._link is None:
            return
        first, address = self._link
        self._link = None
        label = "".join(self._pieces[first:])
        if _is_shortened(label.lstrip(" \n"), address):
            lead = label[: len(label) - len(label.lstrip(" \n"))]
            self._pieces[first:] = [lead, address]


def _blanks_as_one(data: str) -> str:
    """Returns a text with HTML's white space as blanks; other blanks, such as U+00A0, are text."""
    return data.translate(_AS_BLANK)


_AS_BLANK: Final = str.maketrans(dict.fromkeys(_BLANKS, " "))


def _is_shortened(label: str, address: str) -> bool:
    """Returns whether a label is the beginning of an address and three points or an ellipsis.

    >>> _is_shortened("example.org/a...", "https://www.example.org/abc"), _is_shortened("more...", "https://a.b")
    (True, False)
    """
    for end in ("...", "…"):
        if label.endswith(end) and len(label) > len(end):
            shown = label.removesuffix(end)
            bare = address.removeprefix("https://").removeprefix("http://")
            return any(
                whole.startswith(shown) for whole in (address, bare, bare.removeprefix("www."))
            )
    return False
