"""A finished vocabulary as later phases see it: its size and the ids of its special tokens.

Two kinds come here: one trained by `sluice.tokenizer.training.train`, and one that the user froze
(`vocabulary.tokenizer = PATH`), so that the next day's ids are those of the first day. A frozen one
is checked before a run begins, because an unsuitable one would be noticed hours later or never.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from sluice.schemas import placeholders
from sluice.schemas.cache_folder import remembered
from sluice.schemas.errors import RecipeError
from sluice.schemas.kernel_cache import source_digest
from sluice.tokenizer.vocabulary.special import (
    BOD,
    EOD,
    LINK_TOKENS,
    NUM_SPECIAL,
    PAD,
    SPECIAL_TOKENS,
    TURN,
    VOCABULARY_SIZE,
    byte_symbols,
    fillers,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

KEY = "vocabulary.tokenizer"
"""The recipe key that names a frozen vocabulary; its errors begin with it."""
NO_ID: Final = -1
"""The id of a placeholder that a vocabulary does not have."""


class VocabularyIds(NamedTuple):
    """The size of a vocabulary and the ids of its special tokens: what packing and shards need.

    Attributes:
        size: entries; ids are 0 to size - 1.
        pad_id: fills sequences up.
        eod_id: ends every document.
        bod_id: begins a document, or None where the tokenizer has no such token.
        turn_id: separates the posts of a conversation, or None.
        placeholder_ids: those of `sluice.schemas.placeholders.TOKENS`, NO_ID for each that it does not have.
    """

    size: int
    pad_id: int
    eod_id: int
    bod_id: int | None
    turn_id: int | None
    placeholder_ids: tuple[int, ...] = (NO_ID,) * len(placeholders.TOKENS)

    @property
    def media_ids(self) -> tuple[int, ...]:
        """Those of the placeholders of media."""
        return self.placeholder_ids[: len(placeholders.MEDIA)]

    def missing(self, tokens: Iterable[str]) -> list[str]:
        """Returns those of `placeholders.TOKENS` that it does not have, of some."""
        there = dict(zip(placeholders.TOKENS, self.placeholder_ids, strict=True))
        return [token for token in tokens if there[token] == NO_ID]


def around_posts(ids: VocabularyIds) -> tuple[int, ...]:
    """Returns the ids of the tokens that begin and end documents and part posts: they are no post's."""
    return tuple(i for i in (ids.bod_id, ids.turn_id, ids.eod_id) if i is not None)


def load_vocabulary(path: str | os.PathLike[str]) -> VocabularyIds:
    """Returns what a tokenizer.json of any size says; raises RecipeError where it is none.

    The library `tokenizers` is not asked: a tokenizer of ours, or one that `load_frozen` has checked.
    """
    return _checked(path, vocabulary_size=None, loads=False)


def _checked(
    path: str | os.PathLike[str], *, vocabulary_size: int | None, loads: bool
) -> VocabularyIds:
    facts = read_facts(path, loads=loads)
    problems = facts.problems
    if vocabulary_size is not None:
        problems = (*_wrong_size(facts, vocabulary_size), *problems)
    if problems:
        raise RecipeError(f"{KEY}: {path}: " + "; ".join(problems))
    ids = facts.named
    in_texts = tuple(ids.get(token, NO_ID) for token in placeholders.TOKENS)
    return VocabularyIds(facts.size, ids[PAD], ids[EOD], ids.get(BOD), ids.get(TURN), in_texts)


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


class TokenizerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What later phases ask of a tokenizer.json.

    Attributes:
        size: the number of entries, added tokens included.
        num_ids: the number of different ids.
        highest_id: of all entries; -1 where there are none.
        num_added: added tokens.
        num_reserved: added tokens that are named as the fillers of a vocabulary of this size, behind the
            special ones: an earlier version reserved more of these.
        named: the ids of the special and link tokens of ours that it has.
        problems: why later phases cannot use it; empty where they can.
    """

    size: int
    num_ids: int
    highest_id: int
    num_added: int
    num_reserved: int
    named: dict[str, int]
    problems: tuple[str, ...]


class ParsedTokenizer:
    """A tokenizer.json; not to be changed, as it is shared."""

    def __init__(self, data: bytes):
        self._data = data

    @cached_property
    def engine(self) -> "Tokenizer":
        """The object of the library `tokenizers`.

        Raises:
            Exception: the library does not load it, and raises nothing more exact.
        """
        from tokenizers import Tokenizer

        return Tokenizer.from_buffer(self._data)

    def facts(self) -> TokenizerFacts:
        """Returns what the file says of itself; its merges are not looked at."""
        spec = msgspec.json.decode(self._data, type=dict[str, msgspec.Raw])
        tokens = _part(spec, "added_tokens", list[dict[str, Any]] | None) or []
        model = _part(spec, "model", dict[str, msgspec.Raw] | None) or {}
        entries = _part(model, "vocab", Any)
        vocabulary = (
            entries if isinstance(entries, dict) else {}
        )  # a list in models that are no BPE
        added = {token["content"]: int(token["id"]) for token in tokens}
        ids = {*vocabulary.values(), *added.values()}
        size = len(vocabulary.keys() | added.keys())
        ours = {*SPECIAL_TOKENS, *LINK_TOKENS} & added.keys()
        return TokenizerFacts(
            size=size,
            num_ids=len(ids),
            highest_id=max(ids, default=-1),
            num_added=len(added),
            num_reserved=sum(added.get(name, 0) >= NUM_SPECIAL for name in fillers(size)),
            named={name: added[name] for name in sorted(ours)},
            problems=(*_missing_specials(tokens), *_not_byte_level(spec, model, vocabulary)),
        )


def _part(spec: dict[str, msgspec.Raw], name: str, kind: Any) -> Any:
    """Returns a part of JSON that is not decoded yet; None where there is none."""
    return msgspec.json.decode(spec[name], type=kind) if name in spec else None


def libraries_identity(data: bytes, *libraries: str) -> tuple[Any, ...]:
    """Returns all that decides what libraries make of a tokenizer.json: it, their versions, this machine."""
    return _digest(data), [*map(version, libraries)], os.uname()


@lru_cache(maxsize=1)
def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def loaded_entries(data: bytes) -> int:
    """Returns how many entries the library `tokenizers` loads, remembered of the same bytes.

    Raises:
        Exception: it does not load them, and raises nothing more exact.
    """
    identity = libraries_identity(data, "tokenizers")
    return remembered("entries", identity, int, lambda: parsed(data).engine.get_vocab_size())


def read_facts(path: str | os.PathLike[str], *, loads: bool) -> TokenizerFacts:
    """Returns the facts of a tokenizer.json, remembered of the same bytes.

    Args:
        path: the file.
        loads: whether the library `tokenizers` must load it and find as many entries.

    Raises:
        RecipeError: it cannot be read, or is none.
    """
    try:
        data = Path(path).read_bytes()
        tokenizer, source = parsed(data), source_digest(__name__)
        facts = remembered("tokenizer", (_digest(data), source), TokenizerFacts, tokenizer.facts)
        if loads:
            size = loaded_entries(data)
            if size != facts.size:
                raise ValueError(f"it names {facts.size} entries, tokenizers loads {size} of them")
        return facts
    except OSError as failure:
        raise RecipeError(f"{KEY}: {path}: cannot be read: {failure.strerror}") from failure
    except MemoryError:
        raise
    except Exception as failure:  # tokenizers raises bare Exception on a file it cannot parse
        raise RecipeError(f"{KEY}: {path}: must be a tokenizer.json: {failure}") from failure


@lru_cache(maxsize=1)
def parsed(data: bytes) -> ParsedTokenizer:
    """Returns what a tokenizer.json becomes when it is asked; the last one is kept."""
    return ParsedTokenizer(data)


def _wrong_size(facts: TokenizerFacts, vocabulary_size: int) -> Iterator[str]:
    if facts.num_ids != vocabulary_size:
        yield f"must have {vocabulary_size} entries, got {facts.num_ids}"
    elif facts.highest_id != vocabulary_size - 1:
        highest = facts.highest_id
        yield f"must have the ids 0 to {vocabulary_size - 1}, the highest is {highest}"


def _missing_specials(tokens: list[dict[str, Any]]) -> Iterator[str]:
    special = {token["content"] for token in tokens if token.get("special")}
    for token in (PAD, EOD):
        if token not in special:
            yield f"must have the special token {token}"


def _not_byte_level(
    spec: dict[str, msgspec.Raw], model: dict[str, msgspec.Raw], vocabulary: dict[str, int]
) -> Iterator[str]:
    kind = _part(model, "type", Any)
    if kind != "BPE":
        yield f"must be a BPE model, got {kind}"
        return
    if _part(model, "dropout", Any):
        yield "must have no dropout, which would give a text other ids each time"
    missing = set(byte_symbols()) - vocabulary.keys()
    if missing:
        yield f"must have the symbols of all 256 bytes, {len(missing)} are missing"
    for part in ("pre_tokenizer", "decoder"):
        if "ByteLevel" not in _kinds(_part(spec, part, Any)):
            yield f"must have a ByteLevel {part}"


def _kinds(part: dict[str, Any] | None) -> set[str]:
    """Returns the types named in a pre-tokenizer or decoder and in the sequence it may be."""
    if not part:
        return set()
    nested = part.get("pretokenizers") or part.get("decoders") or []
    return {part["type"]}.union(*(_kinds(inner) for inner in nested))
