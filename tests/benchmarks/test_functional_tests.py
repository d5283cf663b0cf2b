"""Functional tests of toxicity: the cases are what their files say, and nothing is trained on them."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import (
    functional_cases,
    functional_nearness,
    functional_tests,
    ordinary_speech,
)
from benchmarks.functional_cases import HARMLESS, HATEFUL, SPELLING, TRICKS, Templates
from benchmarks.scorers import by_filter
from sluice.filters.models.training.encoder.sources import SOURCES
from sluice.filters.models.training.screen_sources import ORDINARY
from tests.repository import ROOT

LANGS = functional_cases.languages()
SOME = ("romanised_hate", "romanised_harmless")
"""Only languages that people write in Latin letters, too, have these."""
PLAIN = Templates(
    lang="en", forms=(), names=(), groups=(), tricks=(), substitutes={"i": "1"}, cases={}
)


def plain_functionalities() -> set[str]:
    names = functional_cases.functionalities()
    return {name for name in names if not name.startswith(SPELLING) and name not in SOME}


def test_there_are_eleven_languages() -> None:
    """Those of Multilingual HateCheck, and English."""
    assert LANGS == ["ar", "de", "en", "es", "fr", "hi", "it", "nl", "pl", "pt", "zh"]


@pytest.mark.parametrize("lang", LANGS)
def test_a_language_has_every_functionality(lang: str) -> None:
    """At least five templates of each, several hundred texts, each once, and none with a slot left open."""
    known, cases = functional_cases.templates(lang), functional_cases.cases(lang)
    assert plain_functionalities() <= set(known.cases) <= plain_functionalities() | set(SOME)
    assert min(map(len, known.cases.values())) >= 5
    assert len(known.groups) >= 7
    assert 800 <= len(cases) <= 1000
    texts = [case.text for case in cases]
    assert len(set(texts)) == len(texts)
    assert not [text for text in texts if re.search(r"[\[\]{}]", text)]
    assert {case.lang for case in cases} == {lang}
    labels = Counter(case.label for case in cases)
    assert labels[HARMLESS] >= 290
    assert labels[HATEFUL] >= 290


@pytest.mark.parametrize("lang", LANGS)
def test_cases_are_the_templates_filled_in(lang: str) -> None:
    """Counted apart: a template with a slot gives a text for each group, another gives one."""
    known = functional_cases.templates(lang)
    found = Counter(case.functionality for case in functional_cases.cases(lang))
    for name, rows in known.cases.items():
        texts = {
            re.sub(r"[\[\]]", "", row).format(**dict(zip(known.forms, group, strict=True)))
            for row in rows
            for group in known.groups
        }
        assert found[name] == len(texts)
    assert {SPELLING + trick for trick in known.tricks} | {"spelling_harmless"} == {
        name for name in found if name.startswith(SPELLING)
    }


@pytest.mark.parametrize(
    ("trick", "word", "want"),
    [
        ("swapped", "vermin", "verimn"),
        ("swapped", "aa", "aa"),
        ("missing", "idiot", "idt"),
        ("missing", "कुत्ते", "कत्त"),
        ("spaced", "scum", "s c u m"),
        ("spaced", "नीच", "नी च"),
        ("substituted", "idiot", "1d1ot"),
        ("drawn_out", "stupid", "stupiiiiid"),
        ("drawn_out", "垃圾", "垃圾圾圾圾圾"),
    ],
)
def test_tricks_of_spelling(trick: str, word: str, want: str) -> None:
    """What each trick makes of a word, by hand."""
    assert TRICKS[trick](word, PLAIN) == want


@given(word=st.text("abcdefgäйक्षा字", min_size=1, max_size=12))
def test_tricks_keep_the_letters(word: str) -> None:
    """Swapping and blanks keep all letters, leaving vowels out and drawing out keep their order."""
    assert sorted(TRICKS["swapped"](word, PLAIN)) == sorted(word)
    assert TRICKS["spaced"](word, PLAIN).replace(" ", "") == word
    rest = iter(word)
    assert all(char in rest for char in TRICKS["missing"](word, PLAIN))
    longer = iter(TRICKS["drawn_out"](word, PLAIN))
    assert all(char in longer for char in word)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cases": {"insults": ["x"]}}, "no functionality has the name 'insults'"),
        ({"tricks": ["rot13"]}, "no trick has the name 'rot13'"),
        ({"cases": {"insult": ["{every}"]}}, "no slot has the name 'every'"),
        ({"groups": [["Muslims"]]}, "group 'Muslims' must have 2 forms"),
        ({"names": ["Muslims"]}, "there must be as many names as groups, 0"),
    ],
)
def test_a_wrong_file_is_refused(
    change: dict[str, object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file and what is wrong in it."""
    tree = {
        "lang": "qq",
        "forms": ["all", "one"],
        "names": [],
        "groups": [],
        "tricks": [],
        "cases": {},
    }
    (tmp_path / "qq.toml").write_bytes(msgspec.toml.encode(tree | change))
    monkeypatch.setattr(functional_cases, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=rf"qq\.toml: {message}"):
        functional_cases.templates("qq")


def test_figures_of_a_perfect_and_of_an_opposite_scorer() -> None:
    """The label as the score has AUC 1 and is always right; its opposite has 0, and never is."""
    cases = functional_cases.table(["en", "zh"])
    labels_N = cases["label"].to_numpy()
    for scores_N, want in ((labels_N * 1.0, 1.0), (1.0 - labels_N, 0.0)):
        rows = functional_tests.by_functionality(cases, scores_N, 0.5)
        here = [row for row in rows if row.cases]
        assert {row.auc for row in here} == {want}
        assert {value for row in here for value in row.right if value is not None} == {want}
        assert functional_tests.mean_auc(functional_tests.by_language(cases, scores_N, 0.5)) == want


def test_a_group_whose_name_looks_hateful_is_the_most_suspected() -> None:
    """A scorer that is right, but for all cases that name one group, which it finds hateful."""
    cases = functional_cases.table(["de"])
    group_N = np.array(cases["group"].to_pylist())
    labels_N = cases["label"].to_numpy()
    found = functional_tests.by_group(cases, np.where(group_N == "Jews", 2.0, labels_N), "de")
    assert {row.group for row in found} == set(functional_cases.templates("de").names)
    for row in found:
        want = (0.5, 0.0) if row.group == "Jews" else (1.0, 1.0)
        assert (row.own, row.suspected) == want
    (row,) = functional_tests.group_rows(cases, np.where(group_N == "Jews", 2.0, labels_N))
    assert row[:3] == ("de", "Jews 0.500", "Jews 0.000")


def test_a_case_names_its_group() -> None:
    """Where a case has a group, it was made with its words; swearing at nobody names none."""
    for case in functional_cases.cases("nl"):
        if case.functionality == "neutral_identity":
            assert case.group in functional_cases.templates("nl").names
        if case.functionality == "profanity_harmless":
            assert case.group == ""


def test_the_page_has_every_functionality_and_language() -> None:
    """The shipped screen's tables: a row for each, and the mean of the languages."""
    scorer, cases = by_filter("toxicity"), functional_cases.table(["nl", "pl"])
    scores_N = scorer.score(pa.array(cases["text"].to_pylist(), pa.string()))
    assert scores_N.dtype == np.float32
    text = "\n".join(functional_tests.markdown(scorer, cases, scores_N))
    for name in ("nl", "pl", functional_tests.ALL, *functional_cases.functionalities()):
        assert f"| {name} |" in text


def test_nothing_is_trained_on_functional_tests() -> None:
    """What is shipped or trains names none of their files, and no head is trained on HatemojiCheck."""
    read = [
        path
        for folder in ("filters", "pipeline", "schemas", "tokenizer")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".toml")
    ]
    assert len(read) > 300
    for path in [*read, ROOT / "Makefile"]:
        text = path.read_text("utf-8")
        assert not re.search(r"functional[/_]|functional_cases|ordinary_speech", text), path
        assert not re.search(r"^\s*(from|import) benchmarks", text, re.M), path
    trained = [s.name for head in SOURCES.values() for s in head.sources]
    trained += [s.name for known in ORDINARY.values() for s in known.sources]
    assert "hatemoji-check" not in trained
    assert "hatemoji-check" in SOURCES["toxicity"].held


def letters(template: str) -> str:
    """The letters of a template, without what fills its slots."""
    return re.sub(r"[\W\d_]+", "", functional_cases.SLOT.sub("", template).lower())


def strings(tree: object) -> Iterator[str]:
    """Every string of a TOML file, line by line."""
    if isinstance(tree, str):
        yield from tree.splitlines()
    elif isinstance(tree, dict | list):
        for node in tree.values() if isinstance(tree, dict) else tree:
            yield from strings(node)


def test_no_sentence_was_written_for_training_too() -> None:
    """No template of a case, and no post of ordinary speech, is a line of what models are trained on."""
    files = sorted((ROOT / "filters" / "models" / "training").rglob("*.toml"))
    lines = [line for path in files for line in strings(tomllib.loads(path.read_text("utf-8")))]
    assert len(lines) > 100
    tested = [row for lang in LANGS for rows in cases_of(lang) for row in rows]
    tested += ordinary_speech.table(list(ordinary_speech.kinds()))["text"].to_pylist()
    trained = {letters(line) for line in lines}
    assert [row for row in tested if len(letters(row)) > 8 and letters(row) in trained] == []


def cases_of(lang: str) -> Iterator[tuple[str, ...]]:
    yield from functional_cases.templates(lang).cases.values()


def test_nearness_is_the_largest_jaccard_index() -> None:
    """By hand: the same text is at 1, one that shares three of four n-grams at 3 / 4, another one at 0."""
    others = ["abcdefg", "xyzxyzxyz"]
    found_N = functional_nearness.nearness(["ABCDEFG!", "abcdefgh", "mnopq", ""], others, "en")
    np.testing.assert_allclose(found_N, [1.0, 3 / 4, 0.0, 0.0])
    assert functional_nearness.nearness(["垃圾食品"], ["垃圾食物"], "zh")[0] == pytest.approx(1 / 3)
    assert functional_nearness.nearness(["a"], [], "en").tolist() == [0.0]


def test_few_cases_are_near_to_what_was_written_for_training() -> None:
    """Less than a hundredth of the cases share half of their n-grams with a made post."""
    cases = functional_cases.table(["de", "en", "es"])
    near_N = functional_nearness.near_training(cases)
    assert (near_N >= 0.5).mean() < 0.01
    assert near_N.max() > 0.2
