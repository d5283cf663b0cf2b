"""Texts to tokens of a transformer: flat arrays, without padding, cut to what the model reads."""

from collections.abc import Iterator
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.schemas.arrays import Array
from sluice.schemas.errors import InputError

PIECE = 1024
"""Texts tokenised in one call: what the library holds of a text is far larger than its tokens."""
PROBE = "a b"


class ColumnTokens(NamedTuple):
    """The tokens of N texts, T in all.

    Attributes:
        ids_T: (T,) int32, special tokens among them.
        lengths_N: (N,) int32, tokens of each text, at least 1.
        truncated_N: (N,) bool, the text had more tokens than the model reads.
    """

    ids_T: Array
    lengths_N: Array
    truncated_N: Array

    def starts(self) -> Array:
        """Returns (N,) int64, where each text starts in `ids_T`."""
        ends_N = np.cumsum(self.lengths_N, dtype=np.int64)
        return ends_N - self.lengths_N


class ColumnTokenizer:
    """A tokenizer of the library tokenizers, called on columns. Threads may share it.

    Args:
        backend: the tokenizer; its truncation and padding are set here.
        pad_id: the padding token.
        max_tokens: longer texts are cut, special tokens stay.
        cut: the end of a text that is cut.
    """

    def __init__(
        self,
        backend: Any,
        *,
        pad_id: int,
        max_tokens: int,
        cut: Literal["left", "right"] = "right",
    ):
        self.pad_id = pad_id
        self.max_tokens = max_tokens
        self._backend = backend
        self._backend.no_padding()
        self._backend.enable_truncation(max_tokens, direction=cut)

    def encode(self, texts: pa.StringArray) -> ColumnTokens:
        """Returns the tokens of (N,) string; a null reads as an empty text.

        A text without any token reads as one padding token.
        """
        parts = [self._encode(piece) for piece in _pieces(texts)]
        if not parts:
            return ColumnTokens(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.bool_))
        return ColumnTokens(*map(np.concatenate, zip(*parts, strict=True)))

    def _encode(self, texts: list[str]) -> ColumnTokens:
        rows = self._backend.encode_batch_fast(texts)
        ids = [row.ids or [self.pad_id] for row in rows]
        lengths_N = np.fromiter(map(len, ids), np.int32, len(ids))
        truncated_N = lengths_N >= self.max_tokens
        for place in np.flatnonzero(truncated_N).tolist():
            truncated_N[place] = bool(rows[place].overflowing)
        ids_T = np.fromiter(chain.from_iterable(ids), np.int32, int(lengths_N.sum()))
        return ColumnTokens(ids_T, lengths_N, truncated_N)


def column_tokenizer(tokenizer: Any, *, max_tokens: int) -> ColumnTokenizer:
    """Returns a fast Hugging Face tokenizer for columns.

    Args:
        tokenizer: of transformers, with a padding token.
        max_tokens: longer texts are cut as the tokenizer cuts, special tokens stay.

    Raises:
        InputError: it is not a fast one, has no padding token, or gives segments that the model needs.
    """
    check_tokenizer(tokenizer)
    return ColumnTokenizer(
        tokenizer.backend_tokenizer,
        pad_id=int(tokenizer.pad_token_id),
        max_tokens=max_tokens,
        cut=tokenizer.truncation_side,
    )


def check_tokenizer(tokenizer: Any) -> None:
    """Raises InputError where a tokenizer of transformers cannot serve an `ColumnTokenizer`."""
    if not getattr(tokenizer, "is_fast", False):
        fault = "it has no fast tokenizer (tokenizer.json), which is what runs here"
    elif tokenizer.pad_token_id is None:
        fault = "its tokenizer has no padding token: set pad_token in tokenizer_config.json"
    elif any(tokenizer.backend_tokenizer.encode(PROBE).type_ids):
        fault = "its tokenizer marks the segments of a single text, which is not supported"
    else:
        return
    raise InputError(f"{tokenizer.name_or_path}: {fault}")


def _pieces(texts: pa.StringArray) -> Iterator[list[str]]:
    filled = pc.fill_null(texts, "")
    for begin in range(0, len(filled), PIECE):
        yield filled.slice(begin, PIECE).to_pylist()
