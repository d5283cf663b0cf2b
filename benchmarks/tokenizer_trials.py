"""Trials of what could make a vocabulary better: patterns, link tokens, merges across words.

Each trial trains 131,072 entries with the trainer of `tokenizers` on the same posts and counts the tokens
of the same holdout. Merges across words are SuperBPE's second stage: Liu et al. 2025,
"SuperBPE: Space Travel for Language Models" (arXiv:2503.13423), section 2.2; here the posts, cut into the
tokens of the first stage, are trained on again, a token a letter.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, trainers

from sluice.tokenizer.vocabulary.pattern import SPLIT
from sluice.tokenizer.vocabulary.special import (
    LINK_TOKENS,
    NUM_BYTES,
    NUM_LINKS,
    NUM_SPECIAL,
    VOCABULARY_SIZE,
)

ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
BLANKS = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
PATTERNS = {
    "o200k": SPLIT,
    "cl100k": ENDING + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + BLANKS,
    "letters and marks, no case": r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+"
    + ENDING
    + r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*"
    + BLANKS,
    "Qwen 3.5 (one digit)": ENDING
    + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    + BLANKS,
    "whole links, tags and handles": r"https?://\S+|[@#][\p{L}\p{M}\p{N}_]+| ?[@#]?[\p{L}\p{M}]+"
    + ENDING
    + r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*"
    + BLANKS,
}
FIRST_STAGE = 100_000
"""Merges within words before merges across words begin."""

LINKS = re.compile("|".join(re.escape(x) for x in sorted(LINK_TOKENS, key=len, reverse=True)))

Count = Callable[[Sequence[str]], list[int]]


class Trial(NamedTuple):
    """A vocabulary, and how it counts tokens."""

    name: str
    count: Count


def trials(texts: pa.ChunkedArray) -> Iterator[Trial]:
    """Yields the trials, each trained on (N,) texts; about a minute each for 42 MB."""
    for name, pattern in PATTERNS.items():
        trained = _trained(texts, pattern, links=False)
        yield Trial(name, _counter(trained))
    for name in ("o200k", "cl100k"):
        trained = _trained(texts, PATTERNS[name], links=True)
        yield Trial(f"{name} and link tokens", _counter(trained))
        if name == "o200k":
            with_links = trained
    for longest in (4, 1000):
        limit = f"{longest} tokens of a word at most" if longest == 4 else "of any length"
        yield Trial(
            f"o200k, link tokens, and {VOCABULARY_SIZE - FIRST_STAGE:,} across words, {limit}",
            across_words(with_links, texts, longest=longest),
        )


def unseen_sources(
    texts: pa.ChunkedArray,
) -> tuple[Trial, Trial]:
    """Returns o200k with link tokens, without and with merges across words, trained on (N,) texts."""
    trained = _trained(texts, SPLIT, links=True)
    return Trial("words", _counter(trained)), Trial(
        "across", across_words(trained, texts, longest=4)
    )


def _untrained(pattern: str) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return made


def _trained(texts: pa.ChunkedArray, pattern: str, *, links: bool) -> Tokenizer:
    made = _untrained(pattern)
    size = VOCABULARY_SIZE - NUM_SPECIAL - (NUM_LINKS if links else 0)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    parts = (_between_links(chunk) if links else chunk.to_pylist() for chunk in texts.chunks)
    made.train_from_iterator(parts, trainer)
    if links:
        made.add_tokens([AddedToken(link, normalized=False) for link in LINK_TOKENS])
    return made


def _between_links(texts: pa.StringArray) -> list[str]:
    return [part for text in texts.to_pylist() for part in LINKS.split(text) if part]


def _counter(made: Tokenizer) -> Count:
    def count(texts: Sequence[str]) -> list[int]:
        return [len(e.ids) for e in made.encode_batch_fast(texts, add_special_tokens=False)]

    return count


def across_words(made: Tokenizer, texts: pa.ChunkedArray, *, longest: int) -> Count:
    """Returns how a vocabulary counts whose last merges may cross words, but no link, number or newline.

    Args:
        made: a vocabulary with link tokens; its first `FIRST_STAGE` merges are taken.
        texts: (N,), what it is trained on.
        longest: tokens of the first stage that an entry holds at most.
    """
    first, closed = _first_stage(made)
    letters = [chr(c) for c in range(0x100, 0x110000) if not 0xD800 <= c < 0xE000]
    letters = letters[: first.get_vocab_size()]

    def spelled(encodings: Iterable[list[int]]) -> list[str]:
        return [
            "".join(letters[i] if i not in closed else f"\n{letters[i]}\n" for i in ids)
            for ids in encodings
        ]

    def ids_of(parts: list[str]) -> list[list[int]]:
        return [e.ids for e in first.encode_batch_fast(parts, add_special_tokens=False)]

    second = Tokenizer(models.BPE())
    second.pre_tokenizer = pre_tokenizers.Split("\n", "removed")
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - NUM_SPECIAL - NUM_LINKS,
        min_frequency=2,
        initial_alphabet=letters,
        limit_alphabet=len(letters),
        max_token_length=longest,
        show_progress=False,
    )
    chunks = (spelled(ids_of(_between_links(chunk))) for chunk in texts.chunks)
    second.train_from_iterator(chunks, trainer)

    def count(posts: Sequence[str]) -> list[int]:
        return [
            len(LINKS.findall(post))
            + sum(
                len(e.ids)
                for e in second.encode_batch_fast(
                    spelled(ids_of([p for p in LINKS.split(post) if p])), add_special_tokens=False
                )
            )
            for post in posts
        ]

    return count


def _first_stage(made: Tokenizer) -> tuple[Tokenizer, set[int]]:
    """Returns the vocabulary of the first merges, and the ids that no merge may cross."""
    spec = json.loads(made.to_str())
    model = spec["model"]
    kept = sorted(model["vocab"], key=model["vocab"].get)[: NUM_BYTES + FIRST_STAGE]
    model["vocab"] = {entry: i for i, entry in enumerate(kept)}
    model["merges"] = [m for m in model["merges"] if _makes(m, model["vocab"])]
    spec["added_tokens"] = []
    closed = {
        i
        for entry, i in model["vocab"].items()
        if re.search("[\u010a\u010d]", entry) or re.fullmatch("\u0120?[0-9]+", entry)
    }
    return Tokenizer.from_str(json.dumps(spec)), closed


def _makes(merge: list[str], vocab: dict[str, int]) -> bool:
    return "".join(merge) in vocab and all(part in vocab for part in merge)


def num_bytes(texts: pa.ChunkedArray) -> int:
    """Returns the bytes of (N,) texts."""
    return int(pc.sum(pc.binary_length(texts)).as_py())
