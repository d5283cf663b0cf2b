"""Scores columns of text with a transformer: batches of like lengths, tokens made while the model works."""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from sluice.filters.base import on_grid
from sluice.filters.batch import Mask, Scores
from sluice.filters.text.media import without_placeholders
from sluice.filters.transformers.batches import pad_rows, padded, plan_batches
from sluice.filters.transformers.forward import Forward
from sluice.filters.transformers.tokens import ColumnTokens
from sluice.schemas.arrays import Array
from sluice.schemas.errors import InputError

CHUNK = 32_768
"""Texts that are sorted by length together; the next ones are tokenised meanwhile."""
CUDA_BATCH_TOKENS, CPU_BATCH_TOKENS = 16_384, 1_024
"""Tokens in a batch: enough to keep a GPU busy between launches; what stays in a CPU's caches."""


class Scored(NamedTuple):
    """What a transformer says of N texts, with L labels.

    Attributes:
        scores_NL: (N, L) float32 on the grid: in [0, 1], but the model's own output for a regression.
        tokens_N: (N,) int32, tokens that the model read, special tokens among them.
        truncated_N: (N,) bool, the text was longer than the model reads, and cut.
        seconds: that the model was busy with them.
    """

    scores_NL: Scores
    tokens_N: Array
    truncated_N: Mask
    seconds: float


class Encoding(Protocol):
    """What makes tokens of texts.

    Attributes:
        pad_id: what fills rows of a batch.
        max_tokens: of a text.
    """

    pad_id: int
    max_tokens: int

    def encode(self, texts: pa.StringArray) -> ColumnTokens:
        """Returns the tokens of (N,) string, without placeholders; a null reads as an empty text."""
        ...


class TransformerScorer:
    """A sequence classifier that scores columns. Threads may share it: the model serves one at a time.

    Args:
        forward: the model.
        encoder: its tokenizer.
        labels: L labels, of the columns of the scores.
        batch_tokens: tokens in a batch, padding counted; None for what suits the device.
    """

    def __init__(
        self,
        forward: Forward,
        encoder: Encoding,
        *,
        labels: tuple[str, ...],
        batch_tokens: int | None = None,
    ):
        self.labels = labels
        self._forward = forward
        self._encoder = encoder
        self._pad_id = encoder.pad_id
        usual = CUDA_BATCH_TOKENS if forward.device == "cuda" else CPU_BATCH_TOKENS
        self._batch_tokens = max(batch_tokens or usual, padded(encoder.max_tokens))
        self._lock = Lock()

    @property
    def dtype(self) -> str:
        """What it computes with: "float32", "bfloat16", or "int8" of the encoder."""
        return self._forward.dtype

    def score(self, texts: pa.StringArray) -> Scored:
        """Returns the scores of texts, in their order.

        The same texts in the same call get the same bits on the same device with the same number of
        threads. In other company a text is in another batch, and sums differ in their last bits:
        docs/transformers.md has the bounds.

        Args:
            texts: (N,) string; a null reads as an empty text, a placeholder as a blank.

        Raises:
            InputError: a score is not a number.
        """
        texts = without_placeholders(texts)
        nothing = np.empty((0, len(self.labels)), np.float32)
        chunks = [Scored(nothing, np.empty(0, np.int32), np.empty(0, np.bool_), 0.0)]
        chunks += [self._score(tokens) for tokens in self._tokens_ahead(texts)]
        scores_NL, tokens_N, truncated_N = map(np.concatenate, list(zip(*chunks, strict=True))[:3])
        scored = Scored(scores_NL, tokens_N, truncated_N, sum(chunk.seconds for chunk in chunks))
        if not np.isfinite(scored.scores_NL).all():
            raise InputError(f"the model gives scores that are no numbers in {self.dtype}")
        return scored

    def _tokens_ahead(self, texts: pa.StringArray) -> Iterator[ColumnTokens]:
        """Yields the tokens of each chunk, the next one in the making."""
        coming: deque[Future[ColumnTokens]] = deque()
        with ThreadPoolExecutor(1, thread_name_prefix="tokenise") as ahead:
            for begin in range(0, len(texts), CHUNK):
                coming.append(ahead.submit(self._encoder.encode, texts.slice(begin, CHUNK)))
                if len(coming) > 1:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()

    def _score(self, tokens: ColumnTokens) -> Scored:
        """Returns the scores of a chunk."""
        starts_N = tokens.starts()
        plan = plan_batches(
            tokens.lengths_N, batch_tokens=self._batch_tokens, multiple=self._forward.multiple
        )
        with self._lock:
            begun = time.perf_counter()
            batches = []
            for rows_B, width in plan.batches():
                starts_B, lengths_B = starts_N[rows_B], tokens.lengths_N[rows_B]
                ids_BW = pad_rows(
                    tokens.ids_T, starts_B, lengths_B, width=width, pad_id=self._pad_id
                )
                batches.append(self._forward(ids_BW, lengths_B))
            sorted_NL = self._forward.gathered(batches)
            seconds = time.perf_counter() - begun
        scores_NL = np.empty_like(sorted_NL)
        scores_NL[plan.order_N] = on_grid(sorted_NL)
        return Scored(scores_NL, tokens.lengths_N, tokens.truncated_N, seconds)
