import re

import pyarrow as pa
import pytest
from hypothesis import given, settings

from sluice.filters.privacy.handles import handles
from sluice.filters.text.features import text_features
from tests.strategies import text_arrays

HANDLE = re.compile(
    r"(?<![A-Za-z0-9_])(?<![\uFDC0-\uFDFF])@[A-Za-z0-9_]+"
    r"(?:@(?:[A-Za-z0-9_][A-Za-z0-9_-]*\.)+[A-Za-z0-9_-]*[A-Za-z_](?![A-Za-z0-9_-])|\.bsky\.social)?"
)


@settings(deadline=None, max_examples=300)
@given(text_arrays())
def test_by_an_expression(texts: pa.StringArray) -> None:
    """Handles are those that a regular expression finds, in a slice of a column too."""
    spans = handles(texts)
    expected = [
        (row, len(text[: found.start()].encode()), len(text[: found.end()].encode()))
        for row, text in enumerate(text or "" for text in texts.to_pylist())
        for found in HANDLE.finditer(text)
    ]
    assert list(zip(*(c.tolist() for c in spans[:3]), strict=True)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@ann", ["@ann"]),
        (".@ann, @bob: (@c)", ["@ann", "@bob", "@c"]),
        ("ann@example.com", []),
        ("@ann@example.social.", ["@ann@example.social"]),
        ("@ann@a.b-c.example hi", ["@ann@a.b-c.example"]),
        ("@ann@bob", ["@ann"]),
        ("@ann.bsky.social!", ["@ann.bsky.social"]),
        ("@ann.example", ["@ann"]),
        ("@@ann", ["@ann"]),
        ("@", []),
        ("@é", []),
        ("谢谢@ann谢谢", ["@ann"]),
    ],
)
def test_examples(text: str, expected: list[str]) -> None:
    """Names of other servers belong to a handle; an e-mail address is none."""
    spans = handles(pa.array([text]))
    found = [text.encode()[a:b].decode() for a, b in zip(spans.start_M, spans.end_M, strict=True)]
    assert found == expected


def test_as_mentions_are_counted() -> None:
    """A text without links has as many handles as `num_mentions` counts."""
    texts = pa.array(["RT @a: @b @c_d, x@y @@z", "@a@b", "hi"])
    mentions = text_features(texts.slice(0, 1)).num_mentions.tolist()
    assert mentions == [(handles(texts).row_M == 0).sum()]
