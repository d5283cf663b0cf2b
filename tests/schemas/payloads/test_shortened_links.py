"""Labels of links that are their addresses, shortened."""

import numpy as np
import pyarrow as pa
import pytest

from sluice.schemas.payloads.shortened_links import whole_links

ADDRESS = "https://www.a.example/long/path"


@pytest.mark.parametrize(
    ("text", "spans", "whole"),
    [
        ("é a.example/lo... b", [(3, 18)], f"é {ADDRESS} b"),
        ("www.a.example/l…", [(0, 18)], ADDRESS),
        ("https://www.a.exa...", [(0, 20)], ADDRESS),
        ("a.example... a.example...", [(0, 12), (13, 25)], f"{ADDRESS} {ADDRESS}"),
        ("a.example/other...", [(0, 18)], None),
        ("read more...", [(0, 12)], None),
        ("...", [(0, 3)], None),
        ("a.example/lo", [(0, 12)], None),
        ("a.example...", [(0, 99)], None),
        ("a.example...", [(-5, 12)], None),
        ("a.example...", [(12, 0)], None),
        ("a.example...", [(0, 12), (0, 12)], ADDRESS),
    ],
)
def test_whole_links(text: str, spans: list[tuple[int, int]], whole: str | None) -> None:
    """A label that begins the address gives way to it; what is another text, or no span, stays."""
    texts = pa.array([None, text, "a.example..."])
    links = pa.array([ADDRESS] * len(spans))
    rows_M = np.ones(len(spans), np.int64)
    found = whole_links(texts, rows_M, np.array(spans, np.int64), links)
    assert found.to_pylist() == [None, text if whole is None else whole, "a.example..."]
