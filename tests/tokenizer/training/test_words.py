"""Cutting against the library that runs the pattern, counting against a dictionary."""

import gzip
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from sluice.schemas.kernel import utf8_array
from sluice.tokenizer.training import kernels
from sluice.tokenizer.training import words as counting
from sluice.tokenizer.training.words import WordCounter, WordCounts
from sluice.tokenizer.vocabulary.pattern import SPLIT
from sluice.tokenizer.vocabulary.special import LINK_TOKENS
from sluice.tokenizer.vocabulary.tricky_texts import TRICKY
from tests.tokenizer.training.cutting import cut

SPLITTER = pre_tokenizers.Split(Regex(SPLIT), "isolated")
TELLING = list(
    "aAbBsStTrReEvVlLdDmM'''  \n\r\t/!.1239é\u0301\u0300ǅʰªא漢ſ\u212a٣²\u00a0\u3000😀\ufe0f\u200d_-"
)
"""Characters of every class, and those of English endings."""
LINKS = re.compile("|".join(re.escape(x) for x in sorted(LINK_TOKENS, key=len, reverse=True)))
PIECES = ["http", "https", "://", ":", "//", "www.", "t.co/", " ", "  ", "a", "\n", "é", "h", "!"]
"""Parts of link tokens, and what may stand beside them."""
CONTEXTS = ("a{0}A{0}{0}1 {0}'{0}e!{0}/{0}\n x{0}  {0}b'{0}'s", "{0} '{0}\r\n{0}\u0301{0}AB{0}1{0}")

link_texts = st.lists(st.sampled_from([*PIECES, *LINK_TOKENS]), max_size=12).map("".join)
telling_texts = st.text(st.sampled_from(TELLING), max_size=30)
texts = st.lists(telling_texts | link_texts | st.text(max_size=20) | st.none(), max_size=30)


def library_cut(text: str) -> list[str]:
    """Returns the words as `tokenizers` cuts what lies between link tokens."""
    parts = LINKS.split(text)
    return [word for part in parts for word, _ in SPLITTER.pre_tokenize_str(part)]


def counted(words: WordCounts) -> dict[str, tuple[int, int]]:
    """Returns word -> (occurrences, weight)."""
    rows = zip(
        words.words.to_pylist(), words.count_W.tolist(), words.weight_W.tolist(), strict=True
    )
    return {word: (count, weight) for word, count, weight in rows}


@pytest.mark.parametrize("text", TRICKY)
def test_tricky_texts_are_cut_as_the_library_cuts_them(text: str) -> None:
    """Blanks, digits, endings, links, marks, scripts, long runs."""
    assert cut(text) == library_cut(text)


@settings(max_examples=1000, deadline=None)
@given(telling_texts | link_texts | st.text())
def test_any_text_is_cut_as_the_library_cuts_it(text: str) -> None:
    """Characters of every class in any order, links whole and in parts, and any characters."""
    assert cut(text) == library_cut(text)


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("plane", range(17))
def test_every_code_point_is_cut_as_the_library_cuts_it(plane: int, context: str) -> None:
    """Between letters, digits, blanks, marks, newlines, and inside English endings."""
    first = plane << 16
    points = [c for c in range(first, first + 0x10000) if not 0xD800 <= c < 0xE000]
    if plane > 1:
        points = points[:1024] + points[-256:]  # ideographs, marks, private use, nothing
    for start in range(0, len(points), 4096):
        text = "".join(context.format(chr(c)) for c in points[start : start + 4096])
        assert cut(text) == library_cut(text)


@pytest.mark.parametrize("link", LINK_TOKENS)
def test_link_tokens_are_no_words(link: str) -> None:
    """Each is taken out, whatever stands beside it; its blank belongs to it, a second blank does not."""
    assert cut(link) == []
    assert cut(f"see{link}abc {link}{link}") == library_cut(f"see{link}abc {link}{link}")
    assert cut(f"see {link}abc") == ["see", *([" "] if link[0] == " " else []), "abc"]


@settings(deadline=None)
@given(texts, st.integers(0, 30), st.data())
def test_counts_are_those_of_a_dictionary(
    found: list[str | None], place: int, data: st.DataObject
) -> None:
    """Occurrences and weights, of slices and batches as of the whole; a null has no words."""
    weights = data.draw(st.lists(st.integers(0, 10**6), min_size=len(found), max_size=len(found)))
    occurrences: Counter[str] = Counter()
    weighed: Counter[str] = Counter()
    for text, weight in zip(found, weights, strict=True):
        for word in library_cut(text or ""):
            occurrences[word] += 1
            weighed[word] += weight
    column, weight_N = pa.array(found, pa.string()), np.array(weights, np.int64)
    counter = WordCounter()
    counter.add_texts(column.slice(0, place), weight_N[:place])
    counter.add_texts(column.slice(place), weight_N[place:])
    assert counted(counter.counts()) == {w: (n, weighed[w]) for w, n in occurrences.items()}
    assert counter.num_words == len(occurrences)
    assert counter.num_bytes == sum(len(word.encode()) for word in occurrences)


@settings(deadline=None)
@given(texts, texts)
def test_counted_words_add_up(one: list[str | None], other: list[str | None]) -> None:
    """Words counted apart and added are those of all texts; first seen, first named."""
    apart, together, summed = WordCounter(), WordCounter(), WordCounter()
    for part in (one, other):
        column = pa.array(part, pa.string())
        together.add_texts(column)
        apart = WordCounter()
        apart.add_texts(column)
        summed.add(apart.counts())
    expected, got = together.counts(), summed.counts()
    assert got.words.equals(expected.words)
    assert np.array_equal(got.count_W, expected.count_W)
    assert np.array_equal(got.weight_W, expected.weight_W)


def test_many_words_grow_the_table() -> None:
    """Tables, texts and counts move together when room is made: 200,000 words, three times each."""
    words = [f" {'long' * (i % 5)}{'abcdefghij'[i % 10]}" for i in range(50)]
    unlike = [chr(0x4E00 + i % 20_000) * (1 + i // 20_000) for i in range(200_000)]
    counter = WordCounter()
    for _ in range(3):
        counter.add_texts(pa.array(["".join(words)], pa.string()))
        for start in range(0, len(unlike), 50_000):
            counter.add_texts(pa.array(unlike[start : start + 50_000], pa.string()))
    found = counted(counter.counts())
    assert found == {word: (3 * n, 3 * n) for word, n in Counter([*words, *unlike]).items()}


def test_words_of_one_key_are_told_apart() -> None:
    """Two words whose hash tables' keys are equal by construction keep their own counts."""
    pair = [b"12345678abcdefg\x21", b"12345678abcdefg\xa1"]  # unlike in the bit that marks hashes
    data = np.frombuffer(b"".join([*pair, *pair]), np.uint8)
    key_of: Any = kernels._key_of.dispatcher
    key = numba.njit(lambda data_B: key_of(data_B, 0, 16))
    keys = {int(key(np.frombuffer(word, np.uint8))) for word in pair}
    assert len(keys) == 1
    counter = WordCounter()
    words = utf8_array(data, np.arange(0, 65, 16, dtype=np.int32))
    counter.add(WordCounts(words, np.array([1, 10, 100, 1000]), np.array([2, 20, 200, 2000])))
    assert counter.counts().count_W.tolist() == [101, 1010]
    assert counter.counts().weight_W.tolist() == [202, 2020]


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text whose words could be too long for a slot, and words too many for 32-bit offsets."""
    with pytest.raises(ValueError, match=r"at most 268435455 bytes, got 268435456"):
        counting._check_size(1 << 28)
    monkeypatch.setattr(counting, "MAX_CHUNK_BYTES", 3)
    counter = WordCounter()
    counter.add_texts(pa.array(["word"]))
    with pytest.raises(ValueError, match="distinct words must have at most 3 bytes, got 4"):
        counter.counts()


@pytest.mark.real
def test_real_posts_are_cut_as_the_library_cuts_them(data: Path) -> None:
    """100,000 posts of the firehose, word by word."""
    num_posts = 0
    for path in sorted((data / "firehose").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                text = json.loads(line)["text"]
                assert cut(text) == library_cut(text), path.name
                num_posts += 1
        if num_posts >= 100_000:
            break
    assert num_posts >= 100_000
