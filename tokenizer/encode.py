"""Text columns to ids, exactly as `tokenizers` would, at 0.7 to 2.3 us per post.

The fast engine is gigatoken on Arrow's own buffers, reached through awkward without a copy. It is
young, so it is never trusted: before the first post it is compared with `tokenizers` on tricky texts
(once for a tokenizer, their versions and the machine), and where they differ, or gigatoken is missing,
refuses the tokenizer or fails, the encoder uses `tokenizers` (45 us per post) and says so in the log and in
`Encoder.engine`. A text with a
code point that Unicode 16.0 has not assigned goes to `tokenizers` in any case: gigatoken seems to follow
a later version, and takes some of them for letters or marks.

A post that holds the letters of a special token gets the ids of letters: neither engine is given
the names of special tokens to look for.

What was measured of gigatoken 0.10 (526,000 real posts, 61 MB; one core):

- It releases the GIL while it encodes: another Python thread never waited more than 8 ms of a call
  of 430 ms.
- One tokenizer may be shared by threads, and the ids stay right, but a lock lets one call in at a
  time: 200 posts waited 379 ms for a call of 400 ms by another thread, and 1.6 ms where each thread
  had its own. So: one Encoder per thread, where threads are to encode at the same time.
- It remembers every distinct word with its ids and never forgets: 1 M posts of 12 random words each
  took 0.7 GB, 10 M took 5.4 GB, with 7 GB while the table doubles; the real posts took 70 MB. So
  the encoder replaces it after `cache_text_bytes` of text (0.5 s).
"""

import itertools
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from sluice.schemas.arrays import Int32s, Int64s
from sluice.schemas.cache_folder import remembered
from sluice.schemas.kernel import BYTES, OFFSETS, decode_at, kernel, types, utf8_view
from sluice.schemas.kernel_cache import source_digest
from sluice.tokenizer.vocabulary.load import libraries_identity, parsed
from sluice.tokenizer.vocabulary.pattern import unassigned
from sluice.tokenizer.vocabulary.tricky_texts import TRICKY

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Engine = Literal["gigatoken", "tokenizers"]

CACHE_TEXT_BYTES = 512 << 20
"""Text between two renewals of gigatoken's memory: 5 M posts, at worst 2.7 GB of random words."""

LITTLE_TEXT_BYTES = 1 << 20
"""Text that gigatoken encodes row by row: to hand it columns, awkward is imported, which takes 0.4 s."""

_ROWS_AT_ONCE = 4096
"""Texts that `tokenizers` gets in one call; its encodings take about 1 KB per post."""

_log = logging.getLogger(__name__)


class Encoded(NamedTuple):
    """The ids of N texts, one after the other.

    Attributes:
        tokens_T: (T,) int32, contiguous.
        offsets_N1: (N + 1,) int64, from 0 to T: where text i starts, and the one behind the last.
    """

    tokens_T: Int32s
    offsets_N1: Int64s

    def rows(self) -> Iterator[Int32s]:
        """Yields the ids of each text."""
        bounds = itertools.pairwise(self.offsets_N1.tolist())
        return (self.tokens_T[start:stop] for start, stop in bounds)


@kernel(types.int64(BYTES, OFFSETS, BYTES, types.boolean[::1]))
def _rows_with(data_B: Any, offsets_N1: Any, flags_F: Any, has_N: Any) -> Any:
    """Fills whether a text has a code point with a flag; returns how many texts have."""
    num_rows = 0
    for i in range(len(has_N)):
        has_N[i] = False
        j, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        while j < end:
            if data_B[j] < 0x80:
                j += 1
                continue
            code, size = decode_at(data_B, j, end)
            if flags_F[code]:
                has_N[i] = True
                num_rows += 1
                break
            j += size
    return num_rows


class Encoder:
    """Encodes text columns with the vocabulary of a tokenizer.json.

    Threads may share one and then wait for each other (see above). It does not pickle: make one
    where it is used.
    """

    def __init__(
        self,
        tokenizer_json: str | os.PathLike[str],
        *,
        engine: Engine = "gigatoken",
        cache_text_bytes: int = CACHE_TEXT_BYTES,
    ):
        """Loads the vocabulary: 0.1 s for 131,072 entries; 0.8 s where engines are to be compared.

        Args:
            tokenizer_json: the file; `vocabulary.load_frozen` has checked it if it is the user's.
            engine: the engine to prefer; "tokenizers" never falls back.
            cache_text_bytes: see CACHE_TEXT_BYTES.
        """
        self._json = Path(tokenizer_json).read_bytes()
        self._fast: _Gigatoken | None = None
        if engine == "gigatoken":
            self._fast = _checked_gigatoken(self._json, cache_text_bytes)

    @cached_property
    def _exact(self) -> "_Exact":
        """What encodes where gigatoken does not: most processes never load it."""
        return _exact(self._json)

    @property
    def engine(self) -> Engine:
        """The engine in use."""
        return "tokenizers" if self._fast is None else "gigatoken"

    def encode(self, texts: pa.StringArray) -> Encoded:
        """Returns the ids of (N,) `pa.string()` texts, without special tokens; a null has none.

        Row i depends on text i alone. The batch may be a slice.
        """
        if not isinstance(texts, pa.StringArray):
            raise TypeError(f"texts must be a pa.StringArray, got {type(texts).__name__}")
        fast = self._fast
        if fast is not None:
            try:
                return self._encode(texts, fast)
            except BaseException as failure:
                _reraise_if_ours(failure)
                _log.warning(
                    "gigatoken failed (%s): tokenizers encodes from here on", _name(failure)
                )
                self._fast = None
        return self._exact.encode(texts)

    def _encode(self, texts: pa.StringArray, fast: "_Gigatoken") -> Encoded:
        """Returns the ids of (N,) texts; `tokenizers` takes those that gigatoken may cut otherwise."""
        exact_N = np.empty(len(texts), np.bool_)
        if not _rows_with(*utf8_view(texts), unassigned(), exact_N):
            return fast.encode(texts)
        by_exact = self._exact.encode(texts.filter(pa.array(exact_N)))
        by_fast = fast.encode(texts.filter(pa.array(~exact_N)))
        lengths_N = np.empty(len(texts), np.int64)
        lengths_N[exact_N] = np.diff(by_exact.offsets_N1)
        lengths_N[~exact_N] = np.diff(by_fast.offsets_N1)
        offsets_N1 = np.concatenate([[0], np.cumsum(lengths_N)])
        tokens_T, exact_T = np.empty(offsets_N1[-1], np.int32), np.repeat(exact_N, lengths_N)
        tokens_T[exact_T] = by_exact.tokens_T
        tokens_T[~exact_T] = by_fast.tokens_T
        return Encoded(tokens_T, offsets_N1)


class _Exact:
    """The `tokenizers` library: what the ids mean, and the fallback."""

    def __init__(self, tokenizer_json: bytes):
        self.tokenizer = parsed(tokenizer_json).engine
        self.tokenizer.encode_special_tokens = True  # a typed <|eod|> is text
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()

    def encode(self, texts: pa.StringArray) -> Encoded:
        ids: list[list[int]] = []
        for start in range(0, len(texts), _ROWS_AT_ONCE):
            rows = [text or "" for text in texts.slice(start, _ROWS_AT_ONCE).to_pylist()]
            encodings = self.tokenizer.encode_batch_fast(rows, add_special_tokens=False)
            ids.extend(encoding.ids for encoding in encodings)
        offsets_N1 = np.zeros(len(ids) + 1, np.int64)
        np.cumsum([len(row) for row in ids], out=offsets_N1[1:])
        tokens = itertools.chain.from_iterable(ids)
        return Encoded(np.fromiter(tokens, np.int32, int(offsets_N1[-1])), offsets_N1)


class _DiffersError(Exception):
    """gigatoken gives other ids than `tokenizers`."""


class _Gigatoken:
    """gigatoken: row by row as long as there is little text, then on Arrow buffers.

    Raises:
        _DiffersError: it is wrong on texts of the check, which is made of each way before its first text.
    """

    def __init__(self, tokenizer_json: bytes, cache_text_bytes: int):
        import gigatoken

        self._make = gigatoken.Tokenizer.from_json
        self._whole_json = tokenizer_json
        self._json = without_special_tokens(tokenizer_json)
        self._cache_text_bytes = cache_text_bytes
        self._num_bytes = 0  # of text since the first
        self._renew()
        self._check(self._rows)

    def _renew(self) -> None:
        self._tokenizer = self._make(self._json)
        self._text_bytes = 0

    def encode(self, texts: pa.StringArray) -> Encoded:
        if self._text_bytes > self._cache_text_bytes:
            self._renew()
        offsets_N1 = utf8_view(texts).offsets_N1
        num_bytes = int(offsets_N1[-1] - offsets_N1[0])
        self._text_bytes += num_bytes
        if self._num_bytes + num_bytes < LITTLE_TEXT_BYTES:
            self._num_bytes += num_bytes
            return self._rows(texts)
        if self._num_bytes < LITTLE_TEXT_BYTES:
            self._check(self._columns)
            self._num_bytes = LITTLE_TEXT_BYTES
        return self._columns(texts)

    def _rows(self, texts: pa.StringArray) -> Encoded:
        rows = [self._tokenizer.encode(text or "") for text in texts.to_pylist()]
        offsets_N1 = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets_N1[1:])
        tokens_T = np.concatenate([np.empty(0, np.uint32), *rows])
        return Encoded(tokens_T.view(np.int32), offsets_N1)

    def _columns(self, texts: pa.StringArray) -> Encoded:
        # parallel=False stays on this thread: the workers of a pipeline share the cores already.
        rows = self._tokenizer.encode_batch(_strings(*utf8_view(texts)), parallel=False).layout
        row_offsets_N1 = np.asarray(rows.offsets.data).astype(np.int64, copy=False)
        first, last = row_offsets_N1[0], row_offsets_N1[-1]
        tokens_T = np.ascontiguousarray(rows.content.data[first:last]).view(np.int32)
        return Encoded(tokens_T, row_offsets_N1 - first if first else row_offsets_N1)

    def _check(self, encode: Callable[[pa.StringArray], Encoded]) -> None:
        """Compares one way with `tokenizers`, where nobody did so before."""

        def agrees() -> bool:
            texts, expected = _expected(self._whole_json)
            pairs = zip(encode(texts).rows(), expected.rows(), strict=True)
            differing = sum(not np.array_equal(a_T, b_T) for a_T, b_T in pairs)
            if differing:
                raise _DiffersError(f"differs on {differing} of {len(texts)} texts of its check")
            return True

        libraries = libraries_identity(self._whole_json, "gigatoken", "tokenizers", "awkward")
        identity = libraries, source_digest(__name__)
        remembered(f"gigatoken{encode.__name__}", identity, bool, agrees)


def _strings(data_B: Any, offsets_N1: Any) -> Any:
    """Returns texts as awkward strings: views of the buffers; it wants int64 offsets."""
    import awkward

    contents, index = awkward.contents, awkward.index
    characters = contents.NumpyArray(data_B, parameters={"__array__": "char"})
    offsets = index.Index64(offsets_N1.astype(np.int64))
    layout = contents.ListOffsetArray(offsets, characters, parameters={"__array__": "string"})
    return awkward.Array(layout)


@lru_cache(maxsize=1)
def without_special_tokens(tokenizer_json: bytes) -> bytes:
    """Returns the tokenizer.json less its special tokens, so that no text can give their ids.

    It equals `encode_special_tokens=True` of `tokenizers`. Added tokens that are not special stay:
    a text that holds them has their ids.
    """
    spec = msgspec.json.decode(tokenizer_json, type=dict[str, msgspec.Raw])
    added = msgspec.json.decode(spec.get("added_tokens", b"[]"), type=list[dict[str, Any]])
    kept = [token for token in added if not token.get("special")]
    return msgspec.json.encode({**spec, "added_tokens": kept})


@lru_cache(maxsize=1)
def _exact(tokenizer_json: bytes) -> _Exact:
    """Returns the exact engine of a vocabulary, one for all threads: it keeps no state."""
    return _Exact(tokenizer_json)


@lru_cache(maxsize=1)
def _expected(tokenizer_json: bytes) -> tuple[pa.StringArray, Encoded]:
    """Returns the texts of the check and their ids, worked out once for all threads."""
    exact = _exact(tokenizer_json)
    texts = pa.array([*TRICKY, *_imitations(exact.tokenizer)], pa.string())
    return texts, exact.encode(texts)


def _checked_gigatoken(data: bytes, cache_text_bytes: int) -> _Gigatoken | None:
    """Returns the fast engine, or None and a line in the log where it cannot be used."""
    try:
        return _Gigatoken(data, cache_text_bytes)
    except BaseException as failure:
        _reraise_if_ours(failure)
        _log.warning("gigatoken cannot be used (%s): tokenizers encodes", _name(failure))
        return None


def _imitations(tokenizer: "Tokenizer") -> list[str]:
    """Returns texts that hold the names of added tokens; of thousands of fillers, a few."""
    added: Sequence[Any] = list(tokenizer.get_added_tokens_decoder().values())[:128]
    names = [token.content for token in added]
    return [*names, *(f"a{name}b {name} ." for name in names)]


def _reraise_if_ours(failure: BaseException) -> None:
    """Lets out what is not the engine's fault; a panic of Rust code is a BaseException too."""
    if isinstance(failure, MemoryError) or (
        not isinstance(failure, Exception) and type(failure).__name__ != "PanicException"
    ):
        raise failure


def _name(failure: BaseException) -> str:
    """Returns what failed without the text that it failed on."""
    return str(failure) if isinstance(failure, _DiffersError) else type(failure).__name__
