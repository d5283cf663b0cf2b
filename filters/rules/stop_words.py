"""Stop words: drops posts that are not English prose, as Gopher tells it."""

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from sluice.filters.base import Filter, Scorer, on_grid
from sluice.filters.rules.bounds import Count
from sluice.schemas.arrays import Uint8s
from sluice.schemas.kernel import BYTES, OFFSETS, kernel, read_only, types, utf8_view

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")

_PACKED_W = np.array([int.from_bytes(word.encode(), "big") for word in STOP_WORDS], np.uint32)
_PACKED_W.flags.writeable = False


class StopWords(Filter, frozen=True, kw_only=True, tag="stop_words"):
    """Drops a post with few English stop words. Score: how many of eight it has, each counted once.

    A rule for English alone: put the language filter before it.

    Attributes:
        min_stop_words: of the, be, to, of, and, that, have, with.

    Source: Gopher (Rae et al. 2021, arXiv:2112.11446, A1.1).
    """

    reason: ClassVar[str] = "too_few_stop_words"
    bound: ClassVar[str] = "min_stop_words"

    min_stop_words: Count = 2

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, 0 to 8."""
        return lambda batch: on_grid(num_stop_words(batch.classifier_text))


def num_stop_words(texts: pa.StringArray) -> Uint8s:
    """Returns (N,) uint8, how many of STOP_WORDS each lower-case text has.

    A word is a run of ASCII letters with no letter or digit of any script, nor "_", beside it.
    """
    counts_N = np.zeros(len(texts), np.uint8)
    _count_rows(*utf8_view(texts), _PACKED_W, counts_N)
    return counts_N


@kernel()
def _is_word_byte(c: Any) -> Any:
    return 97 <= c <= 122 or c >= 128 or 48 <= c <= 57 or c == 95 or 65 <= c <= 90


@kernel(types.void(BYTES, OFFSETS, read_only(types.uint32), types.uint8[::1]))
def _count_rows(data_B: Any, offsets_N1: Any, packed_W: Any, counts_N: Any) -> None:
    for i in range(len(counts_N)):
        j, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        seen = 0
        while j < end:
            word, start = np.int64(0), j
            while j < end and _is_word_byte(data_B[j]):
                word = ((word << 8) | data_B[j]) & 0xFFFFFFFF
                j += 1
            if 2 <= j - start <= 4:
                for w in range(len(packed_W)):
                    if packed_W[w] == word and not (seen >> w) & 1:
                        seen |= 1 << w
                        counts_N[i] += 1
            j += 1
