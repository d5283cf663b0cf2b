"""Hypothesis strategies: posts as they come, with all that makes them hard."""

from typing import Any

import hypothesis.strategies as st
import pyarrow as pa

from sluice.schemas.post import POST

WORDS = (
    "the",
    "The",
    "and",
    "with",
    "free",
    "FREE",
    "Free!",
    "naïve",
    "Straße",
    "ǅ",
    "été",
    "rt",
    "RT",
    "RT:",
    "rt@x",
    "hello,",
    "...",
    "....",
    "......",
    "…",
    "end…",
    "end...",
    "-",
    "•",
    "*",
    "1",
    "2026",
    "３",
    "½",
    "Ⅷ",
    "Привет",
    "привет",
    "σίγμα",
    "日本語",
    "東京タワー",
    "かな",
    "中",
    "，",
    "한국어",
    "สวัสดี",
    "ขอบคุณครับ",
    "ຂອບໃຈ",
    "မင်္ဂလာပါ",
    "مرحبا",
    "می\u200cخواهم",
    "שלום",
    "नमस्ते",
    "क्\u200dष",
    "😂",
    "😂😂",
    "❤",
    "❤\ufe0f",
    "👩\u200d👩\u200d👧",
    "👍🏽",
    "🇱🇻",
    "🇱🇻🇪🇪",
    "🇱",
    "©",
    "1\ufe0f\u20e3",
    "a#b",
    "🏴\U000e0067\U000e0062\U000e007f",
    "#tag",
    "#Tag2",
    "#1",
    "#_",
    "#_a",
    "＃日本",
    "#话题#内容",
    "##x",
    "&#x",
    "@bob",
    "@Bob_1:",
    "(@ann)",
    ".@x,",
    "me@mail.org",
    "@",
    "@@y",
    "@日本",
    "é@q",
    "http://t.co/Ab1",
    "HTTPS://x.org/a?b=c#d",
    "http://",
    "https://t.…",
    "看http://t.cn/ab很好",
    "www.a.org",
    "www.…",
    "wwww.x",
    "awww.x",
    '"http://q.org"',
    "<http://q.org>",
    "http://пример.рф/путь",
    "hTTp:/",
    "x://y",
    "aaaaaa",
    "!!!!!!",
    "$5.00",
    "a_b",
    "_",
    "&amp;",
    "&lt;b&gt;",
    "&amp;lt;",
    "&notit;",
    "&#39;",
    "&#x1F600;",
    "&#0;",
    "&",
    "AT&T",
    "&eacute",
    "&nbsp;",
    "e\u0301",
    "a\u0323\u0302",
    "\u1100\u1161",
    "\u212b",
    "\u0301",
    "\u200b",
    "a\u200bb",
    "\ufeff",
    "\u202e",
    "\u00ad",
    "\x00",
    "\x07",
    "\u2060",
    "\x1c",
    "\u200d",
    "\u200c",
)
"""Invented; every rule of the kernels has a word here that keeps it and one that nearly does."""

BLANKS = (
    " ",
    " ",
    " ",
    "  ",
    "\t",
    "\n",
    "\n\n",
    "\n\n\n",
    "\r\n",
    "\r",
    "\u00a0",
    "\u3000",
    "\u2028",
    "\u0085",
    "",
)


def texts(max_words: int = 12) -> st.SearchStrategy[str]:
    """Posts of awkward words and blanks, single characters of any script between them."""
    characters = st.characters(exclude_categories=("Cs",))
    word = st.one_of(
        st.sampled_from(WORDS), st.sampled_from(WORDS), st.text(characters, max_size=4)
    )
    piece = st.tuples(word, st.sampled_from(BLANKS)).map("".join)
    start = st.sampled_from(("", "", "", "RT @bob: ", "RT ", " rt RT @a: ", "RT@a@b ", "\n"))
    return st.tuples(start, st.lists(piece, max_size=max_words).map("".join)).map("".join)


def text_arrays(max_size: int = 8) -> st.SearchStrategy[pa.StringArray]:
    """Text columns, among them empty ones and slices that do not begin at the buffer's start."""
    rows = st.lists(texts(), max_size=max_size)
    return st.tuples(rows, st.integers(0, 2), st.integers(0, 2)).map(lambda r: sliced_texts(*r))


def sliced_texts(rows: list[str], before: int = 1, after: int = 1) -> pa.StringArray:
    """Returns the rows as a slice of a longer array, so that offsets do not start at 0."""
    padded = ["RT @pad http://pad.org/"] * before + rows + ["tail…"] * after
    return pa.array(padded, pa.string()).slice(before, len(rows))


def post_batch(rows: list[str], *, columns: dict[str, list[Any]] | None = None) -> pa.RecordBatch:
    """Returns a POST batch of these texts; `columns` replace what is made up."""
    made_up: dict[str, list[Any]] = {
        "post_id": [str(i) for i in range(len(rows))],
        "text": rows,
        "source_file": ["posts.jsonl"] * len(rows),
        "source_row": list(range(len(rows))),
        "row_key": list(range(len(rows))),
    }
    filled = {**made_up, **(columns or {})}
    arrays = [pa.array(filled.get(f.name, [None] * len(rows)), f.type) for f in POST]
    return pa.RecordBatch.from_arrays(arrays, schema=POST)


def post_batches(max_size: int = 8) -> st.SearchStrategy[pa.RecordBatch]:
    """POST batches, among them empty ones and slices."""
    rows = st.lists(texts(), max_size=max_size)
    return st.tuples(rows, st.integers(0, 2), st.integers(0, 2)).map(
        lambda r: post_batch(["pad @x"] * r[1] + r[0] + ["tail…"] * r[2]).slice(r[1], len(r[0]))
    )
