"""A finished vocabulary as later phases see it: its size and the ids of its special tokens.

Two kinds come here: one trained by `sluice.tokenizer.training.train`, and one that the user froze
(`vocabulary.tokenizer = PATH`), so that the next day's ids are those of the first day. A frozen one
is checked before a run begins, because an unsuitable one would be noticed hours later or never.
"""

import os
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from tokenizers import Tokenizer, pre_tokenizers

from sluice.schemas.errors import RecipeError
from sluice.tokenizer.vocabulary.special import BOD, EOD, PAD, TURN, VOCABULARY_SIZE, fillers

KEY = "vocabulary.tokenizer"
"""The recipe key that names a frozen vocabulary; its errors begin with it."""


class VocabularyIds(NamedTuple):
    """The size of a vocabulary and the ids of its special tokens: what packing and shards need.

    Attributes:
        size: entries; ids are 0 to size - 1.
        pad_id: fills sequences up.
        eod_id: ends every document.
        bod_id: begins a document, or None where the tokenizer has no such token.
        turn_id: separates the posts of a conversation, or None.
    """

    size: int
    pad_id: int
    eod_id: int
    bod_id: int | None
    turn_id: int | None


def load_vocabulary(path: str | os.PathLike[str]) -> VocabularyIds:
    """Returns what a tokenizer.json of any size says; raises RecipeError where it is none.

    The library `tokenizers` is not asked: a tokenizer of ours, or one that `load_frozen` has checked.
    """
    return _checked(path, vocabulary_size=None, loads=False)


def _checked(
    path: str | os.PathLike[str], *, vocabulary_size: int | None, loads: bool
) -> VocabularyIds:
    tokenizer = _read(path, loads=loads)
    problems = list(tokenizer.problems)
    if vocabulary_size is not None:
        problems = [*_wrong_size(tokenizer, vocabulary_size), *problems]
    if problems:
        raise RecipeError(f"{KEY}: {path}: " + "; ".join(problems))
    ids = tokenizer.added
    return VocabularyIds(tokenizer.size, ids[PAD], ids[EOD], ids.get(BOD), ids.get(TURN))


def load_frozen(
    path: str | os.PathLike[str], *, vocabulary_size: int = VOCABULARY_SIZE, loads: bool = True
) -> VocabularyIds:
    """Checks a tokenizer.json that the user brings.

    It must have exactly `vocabulary_size` entries with ids 0 to size - 1, `<|pad|>` and `<|eod|>`
    as special tokens, and be byte-level BPE without dropout, so that every text has ids, the same
    ones each time, and can be read back.

    Args:
        path: the file.
        vocabulary_size: entries that it must have.
        loads: whether the library `tokenizers` must load it, which takes a second of CPU time, too.

    Raises:
        RecipeError: it does not; the message lists everything that is missing.
    """
    return _checked(path, vocabulary_size=vocabulary_size, loads=loads)


class ParsedTokenizer:
    """A tokenizer.json; not to be changed, as it is shared.

    Attributes:
        added: the ids of added tokens.
        size: the number of entries, added tokens included.
        ids: all of them.
        problems: why later phases cannot use it; empty where they can.
    """

    def __init__(self, text: str):
        self._text = text
        spec = msgspec.json.decode(text, type=dict[str, Any])
        self.added = {token["content"]: int(token["id"]) for token in spec.get("added_tokens", ())}
        self.problems = (*_missing_specials(spec), *_not_byte_level(spec))
        entries = (spec.get("model") or {}).get("vocab") or {}
        vocabulary = (
            entries if isinstance(entries, dict) else {}
        )  # a list in models that are no BPE
        self.size = len(vocabulary.keys() | self.added.keys())
        self.ids = frozenset([*vocabulary.values(), *self.added.values()])

    @cached_property
    def engine(self) -> Tokenizer:
        """The object of the library `tokenizers`.

        Raises:
            Exception: the library does not load it, and raises nothing more exact.
        """
        return Tokenizer.from_str(self._text)

    @cached_property
    def num_reserved(self) -> int:
        """The number of added tokens that are named as the fillers of a vocabulary of this size."""
        return len(self.added.keys() & set(fillers(self.size)))


@lru_cache(maxsize=1)
def text_of(data: bytes) -> str:
    """Returns a tokenizer.json as text; the last one is kept: what was made of it is found at once."""
    return data.decode()


@lru_cache(maxsize=1)
def parsed(text: str) -> ParsedTokenizer:
    """Returns a tokenizer.json; the last one is kept.

    Raises:
        Exception: it is none.
    """
    return ParsedTokenizer(text)


def _read(path: str | os.PathLike[str], *, loads: bool) -> ParsedTokenizer:
    try:
        tokenizer = parsed(text_of(Path(path).read_bytes()))
        size = tokenizer.engine.get_vocab_size(with_added_tokens=True) if loads else tokenizer.size
        if size != tokenizer.size:
            raise ValueError(f"it names {tokenizer.size} entries, tokenizers loads {size} of them")
        return tokenizer
    except OSError as failure:
        raise RecipeError(f"{KEY}: {path}: cannot be read: {failure.strerror}") from failure
    except Exception as failure:  # tokenizers raises bare Exception on a file it cannot parse
        raise RecipeError(f"{KEY}: {path}: must be a tokenizer.json: {failure}") from failure


def _wrong_size(tokenizer: ParsedTokenizer, vocabulary_size: int) -> Iterator[str]:
    size, highest = len(tokenizer.ids), max(tokenizer.ids, default=-1)
    if size != vocabulary_size:
        yield f"must have {vocabulary_size} entries, got {size}"
    elif highest != vocabulary_size - 1:
        yield f"must have the ids 0 to {vocabulary_size - 1}, the highest is {highest}"


def _missing_specials(spec: dict[str, Any]) -> Iterator[str]:
    special = {token["content"] for token in spec.get("added_tokens", []) if token.get("special")}
    for token in (PAD, EOD):
        if token not in special:
            yield f"must have the special token {token}"


def _not_byte_level(spec: dict[str, Any]) -> Iterator[str]:
    model = spec.get("model") or {}
    if model.get("type") != "BPE":
        yield f"must be a BPE model, got {model.get('type')}"
        return
    if model.get("dropout"):
        yield "must have no dropout, which would give a text other ids each time"
    missing = set(pre_tokenizers.ByteLevel.alphabet()) - model.get("vocab", {}).keys()
    if missing:
        yield f"must have the symbols of all 256 bytes, {len(missing)} are missing"
    for part in ("pre_tokenizer", "decoder"):
        if "ByteLevel" not in _kinds(spec.get(part)):
            yield f"must have a ByteLevel {part}"


def _kinds(part: dict[str, Any] | None) -> set[str]:
    """Returns the types named in a pre-tokenizer or decoder and in the sequence it may be."""
    if not part:
        return set()
    nested = part.get("pretokenizers") or part.get("decoders") or []
    return {part["type"]}.union(*(_kinds(inner) for inner in nested))
