"""The fastText reader and kernel against the fastText library itself (its prediction-only build)."""

import contextlib
import gzip
import hashlib
import itertools
import json
import random
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from sluice.filters.fasttext.classifier import read_together
from sluice.filters.fasttext.model import read_model
from sluice.schemas.errors import InputError
from tests.filters.fasttext.model_files import Kind, write
from tests.filters.fasttext.oracle import (
    KINDS,
    SHIPPED,
    TRAPS,
    assert_like_library,
    by_library,
    classifier,
    column,
    write_models,
)
from tests.strategies import sliced_texts, text_arrays, texts

LANGUAGES = """
ar bg bn bs ca cs da de el en es fa fi fil fr he hi hr hu id is it ja ko lt lv mk ms nb nl pl pt
ro ru sk sl sr sv ta tr uk ur vi zh
"""
LINES = st.one_of(
    texts().map(str.encode),
    st.text().map(str.encode),
    st.binary(max_size=40),
    st.lists(st.sampled_from((*TRAPS, b" ", b"the", b"free")), max_size=5).map(b"".join),
).map(lambda row: row.replace(b"\n", b" "))
"""Posts of awkward words, any Unicode, any bytes, and traps side by side."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The shipped models, and a model file of every kind."""
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("name", [*SHIPPED, *KINDS])
def test_every_kind_of_model_predicts_what_the_library_predicts(
    name: str, models: dict[str, Path]
) -> None:
    """Label for label, over traps and random lines, for every loss, quantisation and n-gram setting."""
    dice = random.Random(name)
    words = [
        "the",
        "free",
        "a",
        "日本語",
        "привет",
        "x",
        "ab",
        "abc",
        "ß",
        "</s>",
        "__label__a",
        "🙂🙂",
    ]
    lines = [" ".join(dice.choices(words, k=dice.randint(1, 9))) for _ in range(150)]
    lines += ["".join(dice.choices("abcdeßж日🙂 ", k=dice.randint(1, 40))) for _ in range(150)]
    assert_like_library(models[name], [*TRAPS, *map(str.encode, lines)])


@pytest.mark.parametrize("name", SHIPPED)
def test_words_of_44_languages_are_labelled_as_by_the_library(name: str) -> None:
    """The shipped models agree with the library on 1,760 lines of frequent words of 44 languages."""
    from wordfreq import top_n_list

    dice = random.Random(3)
    lines = []
    for language in LANGUAGES.split():
        words = top_n_list(language, 800)
        lines += [" ".join(dice.choices(words, k=dice.randint(1, 20))) for _ in range(40)]
    assert_like_library(SHIPPED[name], [line.encode() for line in lines])


@given(rows=st.lists(LINES, max_size=6))
@pytest.mark.parametrize("name", SHIPPED)
@settings(max_examples=150)
def test_any_bytes_are_labelled_as_by_the_library(name: str, rows: list[bytes]) -> None:
    """Posts of awkward words, any Unicode, and any bytes at all."""
    assert_like_library(SHIPPED[name], rows)


@given(rows=st.lists(LINES, max_size=6), name=st.sampled_from(list(KINDS)))
@settings(max_examples=200)
def test_every_kind_of_model_reads_any_bytes_as_the_library_does(
    models: dict[str, Path], rows: list[bytes], name: str
) -> None:
    """The same for models of all losses, dictionaries and ranges of subwords and n-grams."""
    assert_like_library(models[name], rows)


@pytest.mark.parametrize("unit", ["a", "ж", "日", "🙂", "ab\x00"])
def test_words_of_64_kib_have_no_limit(unit: str, models: dict[str, Path]) -> None:
    """A word longer than any buffer, in every width of character, gives what the library gives."""
    row = (unit * (65_536 // len(unit.encode()) + 1)).encode()
    for name in ("language", "softmax, subwords, n-grams", "hs, quantised"):
        assert_like_library(models[name], [row, b"the " + row + b" free"])


def test_words_that_hash_alike_are_told_apart(models: dict[str, Path]) -> None:
    """Words of 8 bytes that differ in the first bit of the last have one key in the table of words."""
    rows = [b"abcdefgh", b"abcdefg\xe8", b"abcdefg\xe8 abcdefgh abcdefg\xe8 abcdefg"]
    path = models["softmax, subwords, n-grams"]
    assert_like_library(path, rows)
    (hidden,) = read_together(column(rows), [classifier(path)])
    assert not np.array_equal(hidden.mean_NS[0], hidden.mean_NS[1])


@given(rows=text_arrays(), cut=st.integers(0, 8))
def test_batch_boundaries_do_not_matter(rows: pa.StringArray, cut: int) -> None:
    """A column gives, bit for bit, what its parts give, wherever it is cut or begins in its buffer."""
    machine = classifier(SHIPPED["language"])
    whole = machine.predict(rows)
    halves = machine.predict(rows[:cut]), machine.predict(rows[cut:])
    for together, *parts in zip(whole, *halves, strict=True):
        np.testing.assert_array_equal(together, np.concatenate(parts))


def test_a_line_end_reads_as_a_blank() -> None:
    """A text is one line, so what follows a line end counts too."""
    machine = classifier(SHIPPED["language"])
    label_N, probability_N = machine.predict(
        pa.array(["so what\nis it then", "so what is it then"])
    )
    assert label_N[0] == label_N[1]
    assert probability_N[0] == probability_N[1]


def test_a_null_reads_as_an_empty_text() -> None:
    """A null row has the prediction of the empty text, and an empty column has none."""
    machine = classifier(SHIPPED["language"])
    label_N, probability_N = machine.predict(pa.array([None, ""], pa.string()))
    assert label_N[0] == label_N[1]
    assert probability_N[0] == probability_N[1]
    assert [len(a) for a in machine.predict(pa.array([], pa.string()))] == [0, 0]


@pytest.mark.parametrize("name", [*SHIPPED, *KINDS])
def test_the_probability_of_a_label_is_the_library_s(name: str, models: dict[str, Path]) -> None:
    """`probability_of` gives, for each label, what the library lists when asked for all of them."""
    rows = [r.encode() for r in ("the free 日本語", "привет", "a b c", "free " * 30, "</s>")]
    listed = [{label: p for p, label in row} for row in by_library(models[name], rows, k=-1)]
    machine = classifier(models[name])
    for label, full_name in itertools.islice(
        zip(machine.labels, machine.model.label_names, strict=True), 12
    ):
        got_N = machine.probability_of(column(rows), label=label)
        want_N = [min(1.0, row.get(full_name.decode(), 0.0)) for row in listed]
        np.testing.assert_allclose(got_N, want_N, atol=2e-5)


def test_an_unknown_label_is_refused() -> None:
    """Asking for a label that the model has not got says which it has."""
    with pytest.raises(ValueError, match=r"no label 'eggs'; has "):
        classifier(SHIPPED["posts"]).probability_of(pa.array(["x"]), label="eggs")


def test_the_fingerprint_is_that_of_the_file() -> None:
    """`sha256` is the file's."""
    for path in SHIPPED.values():
        assert read_model(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a fastText model"),
        (b"{}\n" * 40, "not a fastText model"),
        (b"PK\x03\x04" + b"\0" * 200, "not a fastText model"),
    ],
)
def test_a_file_that_is_no_model_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    """The error names the file and says that it is no fastText model."""
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"model\.bin: {message}"):
        read_model(path)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    """The error names the file and says that there is none."""
    with pytest.raises(InputError, match=r"none\.bin: cannot read the model: No such file"):
        read_model(tmp_path / "none.bin")


@pytest.mark.parametrize("kind", ["hs, quantised, norms, pruned", "softmax, subwords, n-grams"])
def test_a_model_cut_short_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    """Every proper prefix of a model is an InputError that names the file, never another error."""
    whole = write(tmp_path / "whole.bin", KINDS[kind]).read_bytes()
    path = tmp_path / "cut.bin"
    steps = [*range(0, min(len(whole), 600), 7), *range(600, len(whole), 97), len(whole) - 1]
    for size in steps:
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut\.bin: "):
            read_model(path)


@given(at=st.integers(8, 400), value=st.integers(0, 255))
def test_a_damaged_model_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int
) -> None:
    """Whatever byte of the head is wrong, reading ends with a model or an InputError."""
    folder = tmp_path_factory.mktemp("damaged")
    data = bytearray(write(folder / "m.bin", KINDS["hs, quantised, norms, pruned"]).read_bytes())
    data[at] = value
    path = folder / "damaged.bin"
    path.write_bytes(data)
    with contextlib.suppress(InputError):
        read_model(path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Kind(supervised=False), "word vectors: it must be a supervised model"),
        (Kind(version=13), "format 13 is newer than 12"),
        (Kind(bucket=20, kept=5, minn=1, maxn=2), "pruned but not quantised"),
        (Kind(scale=np.inf), "holds numbers that are not finite"),
    ],
)
def test_a_model_that_cannot_be_used_says_why(tmp_path: Path, kind: Kind, message: str) -> None:
    """Word vectors, a later format, pruned but not quantised, not finite: each is refused by name."""
    path = write(tmp_path / "model.bin", kind)
    with pytest.raises(InputError, match=message):
        read_model(path)


def test_a_slice_reads_its_own_rows() -> None:
    """Offsets that do not start at 0 are honoured."""
    rows = ["das ist ein Satz", "это предложение", "c'est une phrase"]
    machine = classifier(SHIPPED["language"])
    label_N, _ = machine.predict(sliced_texts(rows, before=2))
    assert [machine.labels[label] for label in label_N] == ["de", "ru", "fr"]


@pytest.mark.real
@pytest.mark.parametrize("name", SHIPPED)
def test_real_posts_are_labelled_as_by_the_library(name: str, data: Path) -> None:
    """20,000 posts of the firehose, as they are but for line ends, and not one label differs."""
    with gzip.open(data / "firehose" / "part-03.jsonl.gz", "rt") as lines:
        rows = [
            json.loads(row)["text"].replace("\n", " ").encode()
            for row in itertools.islice(lines, 20_000)
        ]
    assert_like_library(SHIPPED[name], rows)
