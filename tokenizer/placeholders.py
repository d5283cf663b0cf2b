"""Texts with placeholders to ids and words: each is cut at its placeholders, which become special tokens.

Shape suffixes: N texts, K placeholders of all of them, T tokens, S segments, B bytes.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sluice.schemas.arrays import Array, Int64s
from sluice.schemas.kernel import BYTES, OFFSETS, kernel, types, utf8_array, utf8_view
from sluice.tokenizer.encode import Encoded, Encoder

_SIZE = 3
"""Bytes of a placeholder: EF B7 and one of 90 to AF."""


class Segments(NamedTuple):
    """N texts, cut at their placeholders.

    Attributes:
        texts: (N + K,) string, what stands between them; a text with k placeholders gives k + 1.
        first_N1: (N + 1,) int64, the first segment of each text.
        number_K: (K,) int64, the placeholder behind each segment that is not the last of its text.
    """

    texts: pa.StringArray
    first_N1: Int64s
    number_K: Int64s


def segments(texts: pa.StringArray) -> Segments:
    r"""Returns texts, cut at their placeholders; a null reads as the empty text.

    >>> found = segments(pa.array(["a\ufdd1\ufdd0", "b"]))
    >>> found.texts.to_pylist(), found.first_N1.tolist(), found.number_K.tolist()
    (['a', '', '', 'b'], [0, 3, 4], [1, 0])
    """
    view = utf8_view(texts)
    count_N = np.zeros(len(texts), np.int64)
    _count(*view, count_N)
    first_N1 = np.concatenate([[0], np.cumsum(count_N + 1)])
    if not count_N.any():
        return Segments(utf8_array(*view), first_N1, np.empty(0, np.int64))
    num = int(count_N.sum())
    out_B = np.empty(int(view.offsets_N1[-1] - view.offsets_N1[0]) - _SIZE * num, np.uint8)
    offsets_S1, number_K = np.zeros(len(texts) + num + 1, np.int32), np.empty(num, np.int64)
    _cut(*view, out_B, offsets_S1, number_K)
    return Segments(utf8_array(out_B, offsets_S1), first_N1, number_K)


def encode(encoder: Encoder, texts: pa.StringArray, ids: tuple[int, ...]) -> Encoded:
    """Returns the ids of (N,) texts: those of their segments, and special tokens for placeholders.

    Args:
        encoder: of the vocabulary.
        texts: with placeholders.
        ids: of `sluice.schemas.placeholders.TOKENS`, in their order.
    """
    cut = segments(texts)
    found = encoder.encode(cut.texts)
    if not len(cut.number_K):
        return found
    is_last_S = np.zeros(len(cut.texts), np.bool_)
    is_last_S[cut.first_N1[1:] - 1] = True
    behind_K = found.offsets_N1[1:][~is_last_S]
    tokens_T = np.insert(found.tokens_T, behind_K, np.array(ids, np.int32)[cut.number_K])
    before_N1 = cut.first_N1 - np.arange(len(cut.first_N1))
    return Encoded(tokens_T, found.offsets_N1[cut.first_N1] + before_N1)


@kernel()
def _is_placeholder(data_B: Any, j: Any, end: Any) -> Any:
    return (
        data_B[j] == 0xEF
        and j + 2 < end
        and data_B[j + 1] == 0xB7
        and 0x90 <= data_B[j + 2] <= 0xAF
    )


@kernel(types.void(BYTES, OFFSETS, types.int64[::1]))
def _count(data_B: Array, offsets_N1: Array, count_N: Array) -> None:
    """Counts the placeholders of each text."""
    for i in range(len(count_N)):
        end = np.int64(offsets_N1[i + 1])
        for j in range(np.int64(offsets_N1[i]), end):
            count_N[i] += _is_placeholder(data_B, j, end)


@kernel(types.void(BYTES, OFFSETS, types.uint8[::1], types.int32[::1], types.int64[::1]))
def _cut(
    data_B: Array, offsets_N1: Array, out_B: Array, offsets_S1: Array, number_K: Array
) -> None:
    """Writes the segments of each text, and the number of each placeholder."""
    o, s, k = np.int64(0), 0, 0
    for i in range(len(offsets_N1) - 1):
        j, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        while j < end:
            if _is_placeholder(data_B, j, end):
                number_K[k] = data_B[j + 2] - 0x90
                k += 1
                s += 1
                offsets_S1[s] = o
                j += 3
                continue
            out_B[o] = data_B[j]
            o += 1
            j += 1
        s += 1
        offsets_S1[s] = o
