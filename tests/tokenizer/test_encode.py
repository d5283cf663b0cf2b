import gzip
import itertools
import json
import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from sluice.tokenizer import encode as bpe
from sluice.tokenizer.encode import Encoded, Encoder
from sluice.tokenizer.vocabulary.pattern import unassigned
from sluice.tokenizer.vocabulary.special import SPECIAL_TOKENS
from sluice.tokenizer.vocabulary.tricky_texts import TRICKY

MARKS = [chr(c) for c in (0, 9, 10, 13, 32, 39, 46, 64, 0xA0, 0xAD, 0x301, 0x200D, 0x2019, 0x3000)]
EDGES = [
    chr(c) for c in (0x17F, 0x2028, 0xFE0F, 0xFEFF, 0xFFFD, 0xFFFF, 0x1F600, 0x1F3FD, 0x10FFFF)
]
ATOMS = [*MARKS, *EDGES, *"abszABSZ019é中かกа١", "'s", "'LL", "<|eod|>", "http://", "  ", "\r\n"]


@pytest.fixture(scope="module", params=["columns", "rows"])
def encoder(tokenizer_json: Path, request: pytest.FixtureRequest) -> Encoder:
    """The encoder of the small vocabulary, as it is with much text and with little."""
    made = Encoder(tokenizer_json)
    assert made.engine == "gigatoken"
    assert made._fast is not None
    made._fast._num_bytes = bpe.LITTLE_TEXT_BYTES if request.param == "columns" else -(1 << 40)
    return made


def test_the_check_is_made_once(
    tokenizer_json: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tokenizer that was compared before is not loaded by `tokenizers` again; another one is."""
    monkeypatch.setenv("SLUICE_CACHE_DIR", str(tmp_path / "cache"))
    loads = []

    def expected(data: bytes, worked_out: Any = bpe._expected.__wrapped__) -> Any:
        loads.append(data)
        return worked_out(data)

    monkeypatch.setattr(bpe, "_expected", expected)
    for _ in range(2):
        assert Encoder(tokenizer_json).engine == "gigatoken"
    assert len(loads) == 1
    (tmp_path / "other.json").write_text(tokenizer_json.read_text() + " ")
    assert Encoder(tmp_path / "other.json").engine == "gigatoken"
    assert len(loads) == 2


@pytest.fixture(scope="module")
def oracle(tokenizer_json: Path) -> Callable[[list[str]], list[list[int]]]:
    """Ids by `tokenizers`, used directly."""
    tokenizer = Tokenizer.from_file(str(tokenizer_json))
    tokenizer.encode_special_tokens = True
    return lambda texts: [tokenizer.encode(t, add_special_tokens=False).ids for t in texts]


def rows(encoded: Encoded) -> list[list[int]]:
    """Returns the ids of each text."""
    return [row.tolist() for row in encoded.rows()]


def decoded(tokenizer_json: Path, encoded: Encoded) -> list[str]:
    """Returns the text of each row, by `tokenizers`, with the names of special tokens in it."""
    tokenizer = Tokenizer.from_file(str(tokenizer_json))
    return list(tokenizer.decode_batch(rows(encoded), skip_special_tokens=False))


def adversarial(num_texts: int, *, seed: int) -> list[str]:
    """Returns strings of marks, blanks, contractions, edge code points and random ones."""
    random = np.random.default_rng(seed)
    texts = []
    for _ in range(num_texts):
        picks = random.integers(0, len(ATOMS) + 12, size=random.integers(0, 40)).tolist()
        codes = random.integers(0, 0x110000, size=len(picks)).tolist()
        texts.append(
            "".join(
                ATOMS[k] if k < len(ATOMS) else chr(c) if not 0xD800 <= c < 0xE000 else "?"
                for k, c in zip(picks, codes, strict=True)
            )
        )
    return texts


def test_equals_tokenizers_on_adversarial_texts(encoder: Encoder, tokenizer_json: Path) -> None:
    """The fast engine gives the ids of `tokenizers` on 20,000 strings made to tell engines apart."""
    texts = pa.array(adversarial(20_000, seed=3))
    fast, exact = encoder.encode(texts), Encoder(tokenizer_json, engine="tokenizers").encode(texts)
    assert encoder.engine == "gigatoken"
    np.testing.assert_array_equal(fast.offsets_N1, exact.offsets_N1)
    np.testing.assert_array_equal(fast.tokens_T, exact.tokens_T)


def test_equals_tokenizers_on_every_code_point(encoder: Encoder, tokenizer_json: Path) -> None:
    """Each assigned code point between letters, digits and blanks, and a tenth of the others."""
    codes = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and not c >= 0xF0000]
    found = [c for c in codes if not unassigned()[c] or c % 10 == 0]
    assert len(found) > 150_000
    texts = pa.array([f"a{chr(c)}b 1{chr(c)}2 {chr(c)}{chr(c)}" for c in found])
    fast, exact = encoder.encode(texts), Encoder(tokenizer_json, engine="tokenizers").encode(texts)
    assert encoder.engine == "gigatoken"
    np.testing.assert_array_equal(fast.offsets_N1, exact.offsets_N1)
    np.testing.assert_array_equal(fast.tokens_T, exact.tokens_T)


LATER = "a\U00032ab5b"


@pytest.mark.parametrize(
    "texts", [["x", LATER, "y"], [LATER, LATER], [LATER, "", None, "z"], ["x" * 9, None, LATER]]
)
def test_a_text_of_a_later_unicode_leaves_its_neighbours_to_the_fast_engine(
    encoder: Encoder, tokenizer_json: Path, monkeypatch: pytest.MonkeyPatch, texts: list[str | None]
) -> None:
    """Texts with a letter of Unicode 17 get the ids of `tokenizers`, they alone, wherever they stand."""
    batch = pa.array(["cut off", *texts], pa.string()).slice(1)
    exact = Encoder(tokenizer_json, engine="tokenizers").encode(batch)
    asked, encode = [], encoder._exact.encode

    def listening(part: pa.StringArray) -> Encoded:
        asked.append(len(part))
        return encode(part)

    monkeypatch.setattr(encoder._exact, "encode", listening)
    encoded = encoder.encode(batch)
    assert asked == [texts.count(LATER)]
    np.testing.assert_array_equal(encoded.offsets_N1, exact.offsets_N1)
    np.testing.assert_array_equal(encoded.tokens_T, exact.tokens_T)


def test_equals_tokenizers_on_words(
    encoder: Encoder,
    oracle: Callable[[list[str]], list[list[int]]],
    texts_of: Callable[..., list[str]],
) -> None:
    """On texts like those of the training, where merges are many, the ids are those of the oracle."""
    texts = texts_of(2000, seed=9)
    assert rows(encoder.encode(pa.array(texts))) == oracle(texts)


@pytest.mark.real
@pytest.mark.skipif("SLUICE_DATA" not in os.environ, reason="needs SLUICE_DATA")
def test_equals_tokenizers_on_real_posts(encoder: Encoder, tokenizer_json: Path) -> None:
    """The fast engine gives the ids of `tokenizers` on 50,000 real posts."""
    path = Path(os.environ["SLUICE_DATA"]) / "firehose" / "part-03.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        first = itertools.islice(lines, 50_000)
        texts = pa.array([json.loads(line)["text"] for line in first])
    fast, exact = encoder.encode(texts), Encoder(tokenizer_json, engine="tokenizers").encode(texts)
    assert len(texts) == 50_000
    np.testing.assert_array_equal(fast.offsets_N1, exact.offsets_N1)
    np.testing.assert_array_equal(fast.tokens_T, exact.tokens_T)


@pytest.mark.parametrize("engine", ["gigatoken", "tokenizers"])
def test_typed_special_tokens_stay_text(tokenizer_json: Path, engine: bpe.Engine) -> None:
    """No text gives the id of a special token, and what was typed reads back as typed."""
    encoder = Encoder(tokenizer_json, engine=engine)
    names = [*SPECIAL_TOKENS, "a<|eod|>b", "<|eod|><|eod|>", " <|pad|> ", "<|EOD|>"]
    encoded = encoder.encode(pa.array(names))
    assert encoded.tokens_T.min() >= len(SPECIAL_TOKENS)
    assert decoded(tokenizer_json, encoded) == names


@pytest.mark.parametrize("engine", ["gigatoken", "tokenizers"])
def test_shapes_and_types(tokenizer_json: Path, engine: bpe.Engine) -> None:
    """Ids are contiguous int32 and offsets int64 from 0, also for no texts, empty ones and nulls."""
    encoder = Encoder(tokenizer_json, engine=engine)
    for texts, lengths in (([], []), ([""], [0]), (["", "a", None], [0, 1, 0])):
        tokens_T, offsets_N1 = encoder.encode(pa.array(texts, pa.string()))
        assert tokens_T.dtype == np.int32
        assert offsets_N1.dtype == np.int64
        assert tokens_T.flags.c_contiguous
        assert offsets_N1[0] == 0
        assert offsets_N1[-1] == len(tokens_T)
        assert np.diff(offsets_N1).tolist() == lengths


def test_other_columns_are_refused(encoder: Encoder) -> None:
    """A large_string or chunked column is a TypeError, not wrong ids."""
    for texts in (pa.array(["a"], pa.large_string()), pa.chunked_array([["a"]])):
        with pytest.raises(TypeError, match=r"must be a pa\.StringArray"):
            encoder.encode(texts)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), texts=st.lists(st.text(max_size=30), min_size=1, max_size=12))
def test_cuts_of_batches_do_not_matter(encoder: Encoder, data: Any, texts: list[str]) -> None:
    """Any slice of a batch gives the ids that its rows have in the whole batch."""
    start = data.draw(st.integers(0, len(texts)))
    stop = data.draw(st.integers(start, len(texts)))
    column = pa.array(texts)
    whole, part = encoder.encode(column), encoder.encode(column.slice(start, stop - start))
    assert rows(part) == rows(whole)[start:stop]


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(max_size=60), max_size=8))
def test_decoding_gives_the_text_back(
    encoder: Encoder, tokenizer_json: Path, texts: list[str]
) -> None:
    """Encoding loses nothing: every text reads back exactly."""
    assert decoded(tokenizer_json, encoder.encode(pa.array(texts, pa.string()))) == texts


def test_forgetting_changes_no_id(tokenizer_json: Path, texts_of: Callable[..., list[str]]) -> None:
    """An encoder that renews the fast engine at every batch gives the same ids."""
    texts = texts_of(300, seed=5)
    forgetful, mindful = Encoder(tokenizer_json, cache_text_bytes=0), Encoder(tokenizer_json)
    assert forgetful._fast is not None
    before = forgetful._fast._tokenizer
    for start in range(0, 300, 100):
        batch = pa.array(texts[start : start + 100])
        assert rows(forgetful.encode(batch)) == rows(mindful.encode(batch))
    assert forgetful._fast._tokenizer is not before
    assert forgetful._fast._text_bytes <= sum(len(t.encode()) for t in texts[200:])


def test_threads_may_share_an_encoder(encoder: Encoder, texts_of: Callable[..., list[str]]) -> None:
    """Two threads on one encoder get the ids that one thread gets."""
    batches = [pa.array(texts_of(500, seed=seed)) for seed in range(8)]
    alone = [rows(encoder.encode(batch)) for batch in batches]
    with ThreadPoolExecutor(2) as threads:
        assert [rows(e) for e in threads.map(encoder.encode, batches)] == alone


def test_missing_gigatoken_falls_back(
    tokenizer_json: Path,
    encoder: Encoder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without gigatoken the encoder says so and gives the same ids."""
    monkeypatch.setitem(sys.modules, "gigatoken", None)
    without = Encoder(tokenizer_json)
    assert without.engine == "tokenizers"
    assert "gigatoken cannot be used (ModuleNotFoundError)" in caplog.text
    texts = pa.array(TRICKY)
    assert rows(without.encode(texts)) == rows(encoder.encode(texts))


def test_refused_tokenizer_falls_back(
    tokenizer_json: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A split that gigatoken does not know makes the encoder exact, not wrong."""
    spec = json.loads(tokenizer_json.read_text())
    spec["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\p{L}{1,2}|[^\p{L}]"
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    encoder = Encoder(tmp_path / "tokenizer.json")
    assert encoder.engine == "tokenizers"
    assert "gigatoken cannot be used" in caplog.text
    encoded = encoder.encode(pa.array(["abcdef"]))
    assert decoded(tmp_path / "tokenizer.json", encoded) == ["abcdef"]


@pytest.mark.parametrize("way", ["_rows", "_columns"])
def test_difference_in_the_self_check_falls_back(
    tokenizer_json: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    way: str,
) -> None:
    """An engine that is wrong on one text of the check, row by row or by columns, gives no id."""
    monkeypatch.setenv("SLUICE_CACHE_DIR", str(tmp_path / "cache"))
    honest = getattr(bpe._Gigatoken, way)

    def wrong_once(self: bpe._Gigatoken, texts: pa.StringArray) -> Encoded:
        tokens_T, offsets_N1 = honest(self, texts)
        tokens_T = tokens_T.copy()
        tokens_T[-1] ^= 1
        return Encoded(tokens_T, offsets_N1)

    monkeypatch.setattr(bpe, "LITTLE_TEXT_BYTES", 10)
    right = Encoder(tokenizer_json, engine="tokenizers")
    for _ in range(2):  # what failed is not remembered
        monkeypatch.setattr(bpe._Gigatoken, way, wrong_once)
        encoder = Encoder(tokenizer_json)
        for texts in (pa.array(["short"]), pa.array(["a text that is long"])):
            assert rows(encoder.encode(texts)) == rows(right.encode(texts))
        assert encoder.engine == "tokenizers"
        assert "differs on 1 of" in caplog.text
        caplog.clear()


class PanicException(BaseException):
    """What a panic in Rust code looks like from Python."""


@pytest.mark.parametrize("failure", [RuntimeError("boom"), PanicException("boom")])
def test_failure_in_the_middle_falls_back(
    tokenizer_json: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: BaseException,
) -> None:
    """An engine that fails on a batch is left for good, that batch is encoded, no text is logged."""
    encoder = Encoder(tokenizer_json)

    def fail(self: bpe._Gigatoken, texts: pa.StringArray) -> Encoded:
        raise failure

    texts = pa.array(["some private text"])
    expected = rows(encoder.encode(texts))
    monkeypatch.setattr(bpe._Gigatoken, "encode", fail)
    assert rows(encoder.encode(texts)) == expected
    assert encoder.engine == "tokenizers"
    assert "tokenizers encodes from here on" in caplog.text
    assert "private" not in caplog.text


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), MemoryError()])
def test_interrupts_are_not_taken_for_failures(
    tokenizer_json: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    """Ctrl-C and a full memory pass through, and the engine stays."""
    encoder = Encoder(tokenizer_json)

    def fail(self: bpe._Gigatoken, texts: pa.StringArray) -> Encoded:
        raise failure

    monkeypatch.setattr(bpe._Gigatoken, "encode", fail)
    with pytest.raises(type(failure)):
        encoder.encode(pa.array(["a"]))
    assert encoder.engine == "gigatoken"


def test_truncation_and_padding_of_the_file_are_ignored(
    tokenizer_json: Path, tmp_path: Path, encoder: Encoder
) -> None:
    """A tokenizer.json that truncates or pads gives whole texts all the same, with either engine."""
    tokenizer = Tokenizer.from_file(str(tokenizer_json))
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(tmp_path / "t.json"))
    texts = pa.array(["a long text with more than three tokens", "b"])
    for engine in get_args(bpe.Engine):
        other = Encoder(tmp_path / "t.json", engine=engine)
        assert rows(other.encode(texts)) == rows(encoder.encode(texts))


def test_no_warning_where_engines_agree(
    tokenizer_json: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A usable fast engine is taken in silence."""
    caplog.set_level(logging.DEBUG, "sluice.tokenizer.encode")
    assert Encoder(tokenizer_json).engine == "gigatoken"
    assert caplog.text == ""
