"""What is found in single texts, as (kind, value) pairs."""

import pyarrow as pa

from sluice.filters.privacy.find import find
from sluice.filters.privacy.kinds import KINDS
from sluice.filters.privacy.masking import values
from sluice.filters.privacy.spans import Spans


def spans_of(texts: list[str], language: str | None = None) -> Spans:
    """Returns the spans of texts of one language."""
    return find(
        pa.array(texts, pa.string()), languages=pa.array([language] * len(texts), pa.string())
    )


def found(text: str, language: str | None = None) -> list[tuple[str, str]]:
    """Returns what is found in a text, handles apart."""
    spans = spans_of([text], language).of_kinds([kind for kind in KINDS if kind != "handle"])
    words = values(pa.array([text]), spans).to_pylist()
    return [(KINDS[kind], word) for kind, word in zip(spans.kind_M.tolist(), words, strict=True)]
