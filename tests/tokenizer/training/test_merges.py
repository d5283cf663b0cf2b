"""Merges against the trainer of `tokenizers`, which is the rule."""

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from sluice.schemas.errors import LimitError
from sluice.tokenizer.training import kernels, merges
from sluice.tokenizer.training.merges import learn_merges

Counted = dict[str, int]
Merges = list[tuple[int, int]]
SYMBOLS = sorted(pre_tokenizers.ByteLevel.alphabet())
ID_OF_BYTE = np.zeros(256, np.int32)
"""Printable ASCII stands for itself in a byte-level vocabulary."""
for _byte in range(0x21, 0x7F):
    ID_OF_BYTE[_byte] = SYMBOLS.index(chr(_byte))
ID_OF_BYTE[0] = 255

few_letters = st.text(st.sampled_from("ab"), min_size=1, max_size=40)
some_letters = st.text(st.sampled_from("abcdefg"), min_size=1, max_size=12)
counted = st.dictionaries(few_letters | some_letters, st.integers(1, 9), max_size=60)


def library(words: Counted, *, size: int, min_frequency: int) -> tuple[Merges, int]:
    """Returns the merges of `tokenizers`, and how many entries its vocabulary has."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        initial_alphabet=SYMBOLS,
        show_progress=False,
    )
    texts = [" ".join([word] * count) for word, count in words.items()]
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    ids = model["vocab"]
    return [(ids[left], ids[right]) for left, right in model["merges"]], len(ids)


def ours(words: Counted, *, size: int, min_frequency: int, order: Any = None) -> Merges:
    """Returns our merges, the words taken in an order."""
    items = [list(words.items())[i] for i in (range(len(words)) if order is None else order)]
    data = np.frombuffer("".join(word for word, _ in items).encode(), np.uint8)
    offsets = np.cumsum([0, *(len(word) for word, _ in items)])
    counts = np.array([count for _, count in items], np.int64)
    found = learn_merges(
        data,
        offsets,
        counts,
        id_of_byte=ID_OF_BYTE,
        vocabulary_size=size,
        min_frequency=min_frequency,
    )
    return [(left, right) for left, right in found.tolist()]


@settings(max_examples=300, deadline=None)
@given(counted, st.sampled_from([256, 257, 300, 5000]), st.integers(0, 6))
def test_merges_are_those_of_tokenizers(words: Counted, size: int, min_frequency: int) -> None:
    """Ties, runs of one letter, full vocabularies and pairs that run out included; no entry is made twice."""
    expected, num_entries = library(words, size=size, min_frequency=min_frequency)
    assert ours(words, size=size, min_frequency=min_frequency) == expected
    assert num_entries == 256 + len(expected)


@settings(deadline=None)
@given(counted, st.randoms(use_true_random=False))
def test_the_order_of_words_does_not_matter(words: Counted, random: Any) -> None:
    """The same words in another order give the same merges."""
    order = random.sample(range(len(words)), len(words))
    assert ours(words, size=400, min_frequency=2, order=order) == ours(
        words, size=400, min_frequency=2
    )


@settings(deadline=None)
@given(counted, st.sampled_from([3, 256, 10**12]))
def test_the_unit_of_counts_does_not_matter(words: Counted, unit: int) -> None:
    """Counts and least count in another unit, beyond 32 bits too, give the same merges."""
    larger = {word: count * unit for word, count in words.items()}
    assert ours(larger, size=400, min_frequency=2 * unit) == ours(words, size=400, min_frequency=2)


def test_words_of_any_letters_with_little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where lists have no room to spare, they are compacted again and again, and nothing is lost."""
    draw = np.random.default_rng(1)
    words = {
        "".join(map(chr, draw.integers(97, 97 + draw.integers(1, 12), draw.integers(1, 30)))): int(
            n
        )
        for n in draw.integers(1, 40, 3000)
    }
    compactions = []

    def tight(pairs: kernels.Pairs, queue: kernels.Queue, sizes: Any, crowded: bool = True) -> Any:
        compactions.append(crowded)
        capacity = int(sizes[kernels.PAIRS] + sizes[kernels.MORE_PAIRS])
        places = int(sizes[kernels.PLACES] + 2 * sizes[kernels.MORE_PLACES])
        table = 1 << (2 * capacity).bit_length()
        kept: Any = [merges.longer(a, capacity) for a in pairs[:4]]
        place_A = merges.longer(pairs.place_A[: int(sizes[kernels.PLACES])], places)
        slots = merges.longer(pairs.slot_H, table)
        room = [merges.longer(a, capacity) for a in queue]
        return kernels.Pairs(*[*kept, slots, place_A]), kernels.Queue(*room)

    monkeypatch.setattr(merges, "with_room", tight)
    assert ours(words, size=3000, min_frequency=2) == library(words, size=3000, min_frequency=2)[0]
    assert compactions.count(True) > 10
    assert compactions.count(False) > 10


def test_no_words_give_no_merges() -> None:
    """Nothing, words of one letter, and words that never occur have no pair."""
    for words in ({}, {"a": 5, "b": 7}, {"abc": 0}):
        assert ours(words, size=300, min_frequency=1) == []


def test_too_many_words_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """More slots than 32 bits can name are an error that says what to do."""
    monkeypatch.setattr(merges, "MAX_SLOTS", 10)
    with pytest.raises(LimitError, match="need 12 slots, 10 at most; lower max_words"):
        ours({"abcde": 1, "fghi": 2}, size=300, min_frequency=1)


def test_each_merge_is_of_ids_that_are_there() -> None:
    """Merge m makes id 256 + m out of smaller ids, so that a vocabulary can be built in one pass."""
    found = ours({"abababab": 9, "ababcab": 5, "cab": 3}, size=300, min_frequency=2)
    assert all(max(pair) < 256 + m for m, pair in enumerate(found))
    assert len(found) > 3
    assert all(a != b for a, b in pairwise(found))
