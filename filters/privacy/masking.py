"""Texts in which personal data is replaced: by a placeholder for each value, or handles by pseudonyms."""

from collections.abc import Collection
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.privacy.find import find
from sluice.filters.privacy.keyed_ids import IdKey
from sluice.filters.privacy.kinds import HANDLE, KINDS, NUMBER_OF_KIND, TOKENS
from sluice.filters.privacy.pseudonyms import pseudonyms
from sluice.filters.privacy.spans import Spans
from sluice.schemas import placeholders
from sluice.schemas.kernel import BYTES, OFFSETS, kernel, types, utf8_array, utf8_view

_INTS, _OUT = types.int32[::1], types.uint8[::1]
_WORDS: Final = pa.array([placeholders.character(TOKENS[kind]) for kind in KINDS], pa.string())


class Masked(NamedTuple):
    """N texts in which values are masked, and where those stood before."""

    texts: pa.StringArray
    spans: Spans


class Masking(NamedTuple):
    """What is masked, and how.

    Attributes:
        kinds: some of `KINDS`.
        handle_key: where it is given, a handle is replaced by its pseudonym.
    """

    kinds: Collection[str]
    handle_key: IdKey | None = None

    def __call__(self, texts: pa.StringArray, languages: pa.StringArray) -> Masked:
        """Returns (N,) texts, normalised, without the personal data that is found in them."""
        spans = find(texts, languages=languages, kinds=self.kinds)
        return Masked(mask(texts, spans, handle_key=self.handle_key), spans)


def mask(texts: pa.StringArray, spans: Spans, *, handle_key: IdKey | None = None) -> pa.StringArray:
    r"""Returns the texts with the placeholder of its special token for each value.

    Args:
        texts: (N,) string; they hold no placeholder of a value.
        spans: of these texts.
        handle_key: where it is given, a handle is replaced by its pseudonym (`pseudonyms`).

    Returns:
        (N,) string, in the order of the rows; texts without a value as they are, a null as the empty text.

    >>> from sluice.filters.privacy.find import find
    >>> texts = pa.array(["mail ann@example.com!", "hi"])
    >>> spans = find(texts, languages=pa.array(["en", "en"]))
    >>> [ascii(text) for text in mask(texts, spans).to_pylist()]
    ["'mail \\ufdd3!'", "'hi'"]
    """
    if not spans.num_spans:
        return texts
    words = _WORDS.take(pa.array(spans.kind_M))
    if handle_key is not None:
        words = _with_pseudonyms(texts, spans, words, handle_key)
    return _replaced(texts, spans, words)


def values(texts: pa.StringArray, spans: Spans) -> pa.StringArray:
    """Returns (M,) string: what stands in the texts at each span."""
    data_B, offsets_N1 = utf8_view(texts)
    begin_M = offsets_N1[spans.row_M] + spans.start_M
    pieces = zip(begin_M.tolist(), (begin_M + spans.end_M - spans.start_M).tolist(), strict=True)
    return pa.array([data_B[a:b].tobytes().decode() for a, b in pieces], pa.string())


def _with_pseudonyms(
    texts: pa.StringArray, spans: Spans, words: pa.StringArray, key: IdKey
) -> pa.StringArray:
    is_handle_M = spans.kind_M == NUMBER_OF_KIND[HANDLE]
    handles = spans.where(is_handle_M)
    names = pseudonyms(values(texts, handles), key=key)
    return pc.replace_with_mask(words, pa.array(is_handle_M), names)


def _replaced(texts: pa.StringArray, spans: Spans, words: pa.StringArray) -> pa.StringArray:
    data_B, offsets_N1 = utf8_view(texts)
    word_B, word_offsets_M1 = utf8_view(words)
    begin_M = offsets_N1[spans.row_M] + spans.start_M
    end_M = offsets_N1[spans.row_M] + spans.end_M
    grown_N1 = np.zeros(len(offsets_N1), np.int64)
    np.add.at(grown_N1, spans.row_M + 1, np.diff(word_offsets_M1) - (end_M - begin_M))
    out_offsets_N1 = (offsets_N1 - offsets_N1[0] + np.cumsum(grown_N1)).astype(np.int32)
    out_B = np.empty(int(out_offsets_N1[-1]), np.uint8)
    kept_B = data_B[: offsets_N1[-1]]
    _splice(kept_B, int(offsets_N1[0]), begin_M, end_M, word_B, word_offsets_M1, out_B)
    return utf8_array(out_B, out_offsets_N1)


@kernel(types.void(BYTES, types.int64, _INTS, _INTS, BYTES, OFFSETS, _OUT))
def _splice(
    data_B: Any, begin: Any, begin_M: Any, end_M: Any, word_B: Any, word_offsets_M1: Any, out_B: Any
) -> None:
    """Writes the bytes from `begin` on with a word in place of each span, those between in one piece."""
    j, o = begin, 0
    for m in range(len(begin_M) + 1):
        stop = begin_M[m] if m < len(begin_M) else len(data_B)
        out_B[o : o + stop - j] = data_B[j:stop]
        o += stop - j
        if m < len(begin_M):
            word, n = word_offsets_M1[m], word_offsets_M1[m + 1] - word_offsets_M1[m]
            out_B[o : o + n] = word_B[word : word + n]
            o += n
            j = np.int64(end_M[m])
