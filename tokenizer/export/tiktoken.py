"""A tokenizer.json as tiktoken wants it: a pattern, bytes with ranks, special tokens.

    import tiktoken
    encoding = tiktoken.Encoding("sluice", **tiktoken_vocabulary(PATH)._asdict())
    encoding.encode_ordinary(text)

`tokenizers` merges the pairs that its file lists, in the order of the list; tiktoken merges any two
neighbours whose bytes together have a rank, the lowest rank first. The two give equal ids where

1. the ids of merged entries ascend in the order of the merges, and
2. the merges make every entry from its own bytes.

Proof: suppose that tiktoken joins x and y to an entry t by a pair that is not listed. The bytes of t are
then between two edges that no merge has crossed, so what was merged between them, lower ranks first,
is what is merged where t is alone, and that by (2) ends with the pair that is listed. Both are
checked here, so that a vocabulary with which tiktoken would give other ids is refused. That it cuts
texts alike is not proved but tested, for all code points: both libraries have the same classes.

Added tokens that are not special, such as `special.LINK_TOKENS`, are found before the pattern cuts what
is between. tiktoken has no such step, so the pattern says it: these tokens come first, the longest
first, and nothing else in the pattern may match where one of them begins.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Regex, Tokenizer, normalizers

from sluice.schemas.errors import InputError
from sluice.tokenizer.vocabulary.special import byte_symbols


class TiktokenVocabulary(NamedTuple):
    """The arguments of `tiktoken.Encoding` but for its name.

    Attributes:
        pat_str: the pattern that cuts a text into pieces; merges do not cross a cut.
        mergeable_ranks: the bytes of every entry that is not special, with its id.
        special_tokens: name -> id; `encode_ordinary` never gives them.
    """

    pat_str: str
    mergeable_ranks: dict[bytes, int]
    special_tokens: dict[str, int]


def tiktoken_vocabulary(tokenizer_json: str | os.PathLike[str]) -> TiktokenVocabulary:
    """Returns a tokenizer.json as arguments of `tiktoken.Encoding`; about 2 s for 131,072 entries.

    Args:
        tokenizer_json: the file, as in OUTPUT/tokenizer.

    Raises:
        InputError: it cannot be read, or tiktoken would give other ids; the message says why.
    """
    spec = _read(Path(tokenizer_json))
    literals = _literals(spec)
    problems = [*_not_plain(spec), *_wrong_cuts(spec, literals)]
    problems = problems or [*_wrong_order(spec["model"]), *_out_of_reach(spec)]
    if problems:
        raise InputError(f"{tokenizer_json}: tiktoken would differ: " + "; ".join(problems))
    added = _added(spec)
    ranks = {_bytes(s): i for s, i in spec["model"]["vocab"].items() if s not in added}
    ranks |= {literal.encode(): added[literal] for literal in literals}
    special = {name: i for name, i in added.items() if name not in literals}
    return TiktokenVocabulary(_fenced(_regex(spec), literals), ranks, special)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        Tokenizer.from_str(text)
        return {"added_tokens": [], **json.loads(text)}
    except Exception as failure:  # tokenizers raises bare Exception on a file it cannot parse
        raise InputError(f"{path}: must be a tokenizer.json: {failure}") from failure


_BYTE_OF = {symbol: byte for byte, symbol in enumerate(byte_symbols())}


def _bytes(entry: str) -> bytes:
    return bytes(_BYTE_OF[symbol] for symbol in entry)


def _parts(spec: dict[str, Any]) -> list[dict[str, Any]]:
    part = spec.get("pre_tokenizer") or {}
    return list(part.get("pretokenizers", [part]))


def _added(spec: dict[str, Any]) -> dict[str, int]:
    """Returns added token -> id."""
    return {token["content"]: token["id"] for token in spec["added_tokens"]}


def _regex(spec: dict[str, Any]) -> str:
    return str(_parts(spec)[0]["pattern"]["Regex"])


def _not_plain(spec: dict[str, Any]) -> Iterator[str]:
    """Yields what tiktoken has no counterpart of, in the model and around it."""
    model = spec.get("model") or {}
    if model.get("type") != "BPE":
        yield f"the model must be BPE, got {model.get('type')}"
        return
    odd = ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix")
    yield from (f"model.{key} must be empty" for key in odd if model.get(key))
    if model.get("byte_fallback"):
        yield "model.byte_fallback must be false"
    if spec.get("normalizer"):
        yield "there must be no normalizer"
    if any(t.get(k) for t in spec["added_tokens"] for k in ("single_word", "lstrip", "rstrip")):
        yield "added tokens must be found anywhere, as they are"
    added = _added(spec)
    foreign = [s for s in model["vocab"] if s not in added and not _BYTE_OF.keys() >= set(s)]
    if foreign:
        yield f"{len(foreign)} entries are not byte-level"


def _wrong_cuts(spec: dict[str, Any], literals: list[str]) -> Iterator[str]:
    """Yields how texts are cut otherwise than by literals and one pattern whose matches are the pieces."""
    expected = [
        {"type": "Split", "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
    ]
    parts = _parts(spec)
    alike = len(parts) == len(expected) and all(
        part.get(key) == value
        for part, wanted in zip(parts, expected, strict=True)
        for key, value in wanted.items()
    )
    if not alike or "Regex" not in parts[0].get("pattern", {}):
        yield "the pre-tokenizer must be a Split by a Regex, isolated, and a ByteLevel without regex"
    elif literals and not _can_be_fenced(_regex(spec), literals):
        yield "added tokens that are not special need a pattern of classes, without groups"


def _wrong_order(model: dict[str, Any]) -> Iterator[str]:
    """Yields where a later merge gives a lower id; of merges to one entry the first counts."""
    pairs = (m if isinstance(m, list) else m.split(" ") for m in model["merges"])
    merged = dict.fromkeys(left + right for left, right in pairs)
    id_M = np.array([model["vocab"][entry] for entry in merged], np.int64)
    falls = np.flatnonzero(np.diff(id_M) < 0)
    if len(falls):
        yield f"ids must ascend with merges, {len(falls)} fall, the first to {id_M[falls[0] + 1]}"


def _out_of_reach(spec: dict[str, Any]) -> Iterator[str]:
    """Yields how many entries the merges do not make from their own bytes."""
    added = _added(spec)
    model = {**spec["model"], "ignore_merges": False}
    ids = {entry: i for entry, i in model["vocab"].items() if entry not in added}
    alone = Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], "model": model}))
    encodings = alone.encode_batch_fast(list(ids), add_special_tokens=False)
    lost = [i for i, e in zip(ids.values(), encodings, strict=True) if e.ids != [i]]
    if lost:
        yield f"merges do not make {len(lost)} entries, such as id {lost[0]}"


def _literals(spec: dict[str, Any]) -> list[str]:
    """Returns the added tokens that are not special, the longest first."""
    literals = [t["content"] for t in spec["added_tokens"] if not t.get("special")]
    return sorted(literals, key=len, reverse=True)


_ATOM = re.compile(
    r"(?P<fold>\(\?i:[^()\\]*\))|(?P<end>\(\?!\\S\))|(?P<sign>[|?*+]|\{\d+,?\d*\})"
    r"|(?P<one>\[(?:\\.|[^\]\\])*\]|\\[pP]\{\w+\}|\\.|[^()\[\]{}\\])"
)
"""The parts of the patterns that vocabularies have: a folded group, `(?!\\S)`, signs, and what matches one
character."""


def _can_be_fenced(pattern: str, literals: list[str]) -> bool:
    """Whether a pattern has only parts of _ATOM, and no literal begins as a folded group may."""
    atoms = list(_ATOM.finditer(pattern))
    folded = "".join(atom[0].removeprefix("(?i:") for atom in atoms if atom["fold"])
    letters = folded.lower() + folded.upper()
    known = "".join(atom[0] for atom in atoms) == pattern
    return known and not any(literal[0] in letters for literal in literals)


def _fenced(pattern: str, literals: list[str]) -> str:
    """Returns the pattern that matches literals first, and nothing else where one of them begins."""
    if not literals:
        return pattern
    # Where a literal begins, a shortest one does.
    shortest = [s for s in literals if not any(s != t and s.startswith(t) for t in literals)]
    fence = f"(?!{'|'.join(map(_escaped, shortest))})"
    firsts = {literal[0] for literal in literals}
    parts = [_fenced_atom(atom, firsts, fence) for atom in _ATOM.finditer(pattern)]
    return "|".join([*map(_escaped, literals), "".join(parts)])


def _fenced_atom(atom: re.Match[str], firsts: set[str], fence: str) -> str:
    if atom["end"]:
        return rf"(?!{fence}\S)"  # a literal ends the text before it
    if atom["one"] and any(_matches(atom[0], first) for first in firsts):
        return f"(?:{fence}{atom[0]})"
    return atom[0]


def _matches(one: str, character: str) -> bool:
    return bool(normalizers.Replace(Regex(one), "").normalize_str(character) == "")


def _escaped(literal: str) -> str:
    return re.sub(r"[][\\.+*?(){}|^$]", r"\\\g<0>", literal)
