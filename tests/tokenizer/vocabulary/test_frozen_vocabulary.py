import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from sluice.schemas import placeholders
from sluice.schemas.errors import RecipeError
from sluice.tokenizer.vocabulary.load import (
    ParsedTokenizer,
    TokenizerFacts,
    VocabularyIds,
    load_frozen,
    load_vocabulary,
)
from sluice.tokenizer.vocabulary.special import SPECIAL_TOKENS

SIZE = 2000


def changed(tokenizer_json: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Writes a copy of the tokenizer with a change and returns its path."""
    spec = json.loads(tokenizer_json.read_text())
    change(spec)
    path = folder / "changed.json"
    path.write_text(json.dumps(spec))
    return path


def test_own_vocabulary_is_accepted(tokenizer_json: Path) -> None:
    """What training writes passes as a frozen vocabulary, with the fixed ids."""
    in_texts = tuple(map(SPECIAL_TOKENS.index, placeholders.TOKENS))
    expected = VocabularyIds(SIZE, 0, 2, bod_id=1, turn_id=3, placeholder_ids=in_texts)
    assert load_frozen(tokenizer_json, vocabulary_size=SIZE) == expected
    assert load_vocabulary(tokenizer_json) == expected


def test_specials_may_have_other_ids(tokenizer_json: Path, tmp_path: Path) -> None:
    """The special tokens may stand anywhere; only pad and eod are needed."""

    def move(spec: dict[str, Any]) -> None:
        spec["added_tokens"] = []
        for name in ("<|pad|>", "<|bod|>", "<|eod|>", "<|turn|>"):
            del spec["model"]["vocab"][name]
        for name, i in (("<|first|>", 0), ("<|second|>", 1), ("<|third|>", 2), ("<|fourth|>", 3)):
            spec["model"]["vocab"][name] = i

    path = changed(tokenizer_json, tmp_path, move)
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.add_special_tokens(["<|eod|>", "<|pad|>"])
    tokenizer.save(str(path))
    found = load_frozen(path, vocabulary_size=SIZE + 2)
    assert found == VocabularyIds(SIZE + 2, pad_id=SIZE + 1, eod_id=SIZE, bod_id=None, turn_id=None)


def drop_special(spec: dict[str, Any]) -> None:
    spec["added_tokens"] = [t for t in spec["added_tokens"] if t["content"] != "<|eod|>"]


def make_plain(spec: dict[str, Any]) -> None:
    spec["added_tokens"][0]["special"] = False


def drop_byte(spec: dict[str, Any]) -> None:
    spec["model"]["vocab"]["<|not a byte|>"] = spec["model"]["vocab"].pop("Ġ")
    spec["model"]["merges"] = []


def drop_decoder(spec: dict[str, Any]) -> None:
    spec["decoder"] = None


def whitespace_only(spec: dict[str, Any]) -> None:
    spec["pre_tokenizer"] = {"type": "Whitespace"}


def set_dropout(spec: dict[str, Any]) -> None:
    spec["model"]["dropout"] = 0.1


def word_level(spec: dict[str, Any]) -> None:
    vocab = spec["model"]["vocab"]
    spec["model"] = {"type": "WordLevel", "vocab": vocab, "unk_token": "<|pad|>"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_special, r"must have the special token <\|eod\|>"),
        (make_plain, r"must have the special token <\|pad\|>"),
        (drop_byte, "all 256 bytes, 1 are missing"),
        (drop_decoder, "must have a ByteLevel decoder"),
        (whitespace_only, "must have a ByteLevel pre_tokenizer"),
        (set_dropout, "must have no dropout"),
        (word_level, "must be a BPE model, got WordLevel"),
    ],
)
def test_unsuitable_vocabularies_are_refused(
    tokenizer_json: Path,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], None],
    message: str,
) -> None:
    """Each thing that a vocabulary must have is missed by name, with the recipe key in front."""
    path = changed(tokenizer_json, tmp_path, change)
    with pytest.raises(RecipeError, match=f"^vocabulary.tokenizer: .*{message}"):
        load_frozen(path, vocabulary_size=SIZE)


def test_wrong_size_is_refused(tokenizer_json: Path) -> None:
    """The size must be exact: the product's by default."""
    with pytest.raises(RecipeError, match="must have 131072 entries, got 2000"):
        load_frozen(tokenizer_json)


def test_holes_in_the_ids_are_refused(tokenizer_json: Path, tmp_path: Path) -> None:
    """As many entries as asked for, but an id beyond them, would overflow the embedding."""

    def lift(spec: dict[str, Any]) -> None:
        vocab = spec["model"]["vocab"]
        vocab[max(vocab, key=vocab.__getitem__)] = SIZE + 7

    with pytest.raises(RecipeError, match="the highest is 2007"):
        load_frozen(changed(tokenizer_json, tmp_path, lift), vocabulary_size=SIZE)


def test_all_problems_are_said_at_once(tokenizer_json: Path, tmp_path: Path) -> None:
    """Two faults give one message with both."""

    def both(spec: dict[str, Any]) -> None:
        drop_special(spec)
        set_dropout(spec)

    with pytest.raises(RecipeError, match=r"eod.*; must have no dropout"):
        load_frozen(changed(tokenizer_json, tmp_path, both), vocabulary_size=SIZE)


def test_files_that_are_no_tokenizer_are_refused(tmp_path: Path) -> None:
    """A missing file and a file of something else are RecipeErrors that name the path."""
    with pytest.raises(RecipeError, match=r"absent\.json: cannot be read"):
        load_frozen(tmp_path / "absent.json")
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(RecipeError, match=r"other\.json: must be a tokenizer\.json"):
        load_frozen(tmp_path / "other.json")


def test_a_full_memory_is_not_blamed_on_the_file(
    tokenizer_json: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where memory ends while the file is read, that is said, not that the file is none."""

    def fails(tokenizer: ParsedTokenizer) -> TokenizerFacts:
        raise MemoryError

    monkeypatch.setenv("SLUICE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(ParsedTokenizer, "facts", fails)
    with pytest.raises(MemoryError):
        load_frozen(tokenizer_json, vocabulary_size=SIZE)
