"""The words of one text in order, by the compiled helpers that cut the texts of a training."""

from typing import Any

import numpy as np

from sluice.schemas.kernel import BYTES, kernel, types
from sluice.tokenizer.training.kernels import _read_chars, _word_end
from sluice.tokenizer.vocabulary import pattern

_PLACES = types.int64[::1]


def cut(text: str) -> list[str]:
    """Returns the words of one text, in order; together they are the text less its link tokens."""
    data = text.encode()
    size = len(data)
    starts_W, ends_W, at_C = (np.empty(size + 1, np.int64) for _ in range(3))
    flags_C = np.empty(size + 1, np.uint8)
    data_B = np.frombuffer(data, np.uint8)
    n = _cut(data_B, pattern.char_flags(), flags_C, at_C, starts_W, ends_W)
    places = zip(starts_W[:n].tolist(), ends_W[:n].tolist(), strict=True)
    return [data[start:end].decode() for start, end in places]


@kernel(types.int64(BYTES, BYTES, types.uint8[::1], _PLACES, _PLACES, _PLACES))
def _cut(data_B: Any, flags_F: Any, flags_C: Any, at_C: Any, starts_W: Any, ends_W: Any) -> Any:
    """Fills where the words of a text begin and end; returns how many they are."""
    num_words, start, end = 0, 0, len(data_B)
    while start < end:
        num_chars, start = _read_chars(data_B, start, end, flags_F, flags_C, at_C)
        i = 0
        while i < num_chars:
            starts_W[num_words] = at_C[i]
            i = _word_end(data_B, flags_C, at_C, i, num_chars)
            ends_W[num_words] = at_C[i]
            num_words += 1
    return num_words
