"""A finished vocabulary as later phases see it: its size and the ids of its special tokens.

Two kinds come here: one trained by `sluice.tokenizer.training.train`, and one that the user froze
(`vocabulary.tokenizer = PATH`), so that the next day's ids are those of the first day. A frozen one
is checked before a run begins, because an unsuitable one would be noticed hours later or never.
"""

import json
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer, pre_tokenizers

from sluice.schemas.errors import RecipeError
from sluice.tokenizer.vocabulary.special import BOD, EOD, PAD, TURN, VOCABULARY_SIZE

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
    """Returns what a tokenizer.json of any size says; raises RecipeError where it is none."""
    try:
        status = Path(path).stat()
    except OSError as error:
        raise RecipeError(f"{KEY}: {path}: {error.strerror}") from None
    return _load(os.fspath(path), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=2)
def _load(path: str, mtime_ns: int, size: int) -> VocabularyIds:
    """Reads a file that has not changed once: it takes half a second."""
    tokenizer, spec = _read(Path(path))
    _refuse(path, [*_missing_specials(spec), *_not_byte_level(spec)])
    ids = {token["content"]: int(token["id"]) for token in spec["added_tokens"]}
    return VocabularyIds(
        size=tokenizer.get_vocab_size(with_added_tokens=True),
        pad_id=ids[PAD],
        eod_id=ids[EOD],
        bod_id=ids.get(BOD),
        turn_id=ids.get(TURN),
    )


def load_frozen(
    path: str | os.PathLike[str], *, vocabulary_size: int = VOCABULARY_SIZE
) -> VocabularyIds:
    """Checks a tokenizer.json that the user brings.

    It must have exactly `vocabulary_size` entries with ids 0 to size - 1, `<|pad|>` and `<|eod|>`
    as special tokens, and be byte-level BPE without dropout, so that every text has ids, the same
    ones each time, and can be read back.

    Raises:
        RecipeError: it does not; the message lists everything that is missing.
    """
    tokenizer, spec = _read(Path(path))
    wrong_size = _wrong_size(tokenizer, vocabulary_size)
    _refuse(path, [*wrong_size, *_missing_specials(spec), *_not_byte_level(spec)])
    return load_vocabulary(path)


def _refuse(path: str | os.PathLike[str], problems: list[str]) -> None:
    if problems:
        raise RecipeError(f"{KEY}: {path}: " + "; ".join(problems))


def _read(path: Path) -> tuple[Tokenizer, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        return Tokenizer.from_str(text), json.loads(text)
    except OSError as failure:
        raise RecipeError(f"{KEY}: {path}: cannot be read: {failure.strerror}") from failure
    except Exception as failure:  # tokenizers raises bare Exception on a file it cannot parse
        raise RecipeError(f"{KEY}: {path}: must be a tokenizer.json: {failure}") from failure


def _wrong_size(tokenizer: Tokenizer, vocabulary_size: int) -> Iterator[str]:
    ids = set(tokenizer.get_vocab(with_added_tokens=True).values())
    if len(ids) != vocabulary_size:
        yield f"must have {vocabulary_size} entries, got {len(ids)}"
    elif max(ids) != vocabulary_size - 1:
        yield f"must have the ids 0 to {vocabulary_size - 1}, the highest is {max(ids)}"


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
