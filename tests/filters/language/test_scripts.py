"""Scripts: which ones a text holds, by definition and by RE2's tables, and which languages they leave."""

import re
from collections import Counter
from unicodedata import category

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.language.codes import language_of
from sluice.filters.language.decide import NO_CANDIDATE, Decision, shares
from sluice.filters.language.pool import shipped_pool
from sluice.filters.language.scripts import (
    held_names,
    held_scripts,
    languages_of_scripts,
    script_names,
    written_in,
)

NAMES = script_names()
LETTERS = {
    "Latin": "aéñZ",
    "Cyrillic": "бЖї",
    "Arabic": "مچڑ",
    "Han": "日本東",
    "Hiragana": "のま",
    "Katakana": "カﾅ",
    "Hangul": "한글",
    "Thai": "ไท",
    "Devanagari": "हिं",
    "Cherokee": "ᏣᎳ",
}
SCRIPT_OF = {letter: name for name, letters in LETTERS.items() for letter in letters}
MIXED = st.text(st.sampled_from([*SCRIPT_OF, *"  #_7.,!🙂\u0301"]), max_size=40)


def held_by_definition(text: str) -> set[str]:
    """Returns the scripts that a text holds, as the documentation of `held_scripts` says it."""
    tags, rest = Counter[str](), Counter[str]()
    in_tag = False
    for character in text:
        if character == "#":
            in_tag = True
        elif character.isascii() and not re.match("[A-Za-z0-9_]", character):
            in_tag = False
        if character in SCRIPT_OF:
            (tags if in_tag else rest)[SCRIPT_OF[character]] += 1
    counts = rest or tags
    kana, total = counts["Hiragana"] + counts["Katakana"], sum(counts.values())
    east = kana + counts["Han"]
    held = set()
    for name, count in counts.items():
        share = east if name in ("Han", "Hiragana", "Katakana") else count
        if count and 4 * share >= total:
            held.add("Other" if name == "Cherokee" else name)
    return held - {"Han"} if kana and 10 * kana >= east else held


@given(text=MIXED)
def test_what_is_held_is_as_defined(text: str) -> None:
    """Shares, hashtags and kana in any mixture, against a loop over the characters."""
    held = held_scripts(pa.array([text]))
    assert set(held_names(held.masks_N[0])) == held_by_definition(text)


@given(text=MIXED)
def test_words_are_runs_of_letters(text: str) -> None:
    """The number of words is that of a regular expression; a combining mark is inside of its word."""
    letters = re.escape("".join(SCRIPT_OF))
    runs = re.findall(f"[{letters}][{letters}\u0301]*", text)
    assert held_scripts(pa.array([text])).words_N[0] == len(runs)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("", "Other")])
def test_ranges_are_those_of_re2(name: str) -> None:
    """Every letter and mark that Python knows has the script that RE2's own table gives it."""
    letters_P = pa.array([chr(c) for c in range(0x30000) if category(chr(c))[0] in "LM"])
    theirs_P = pc.match_substring_regex(letters_P, rf"\p{{{name}}}").to_numpy(zero_copy_only=False)
    ours_P = held_scripts(letters_P).masks_N == np.uint64(1 << NAMES.index(name))
    assert [hex(ord(letters_P[int(p)].as_py())) for p in np.flatnonzero(theirs_P != ours_P)] == []
    assert theirs_P.any()


def test_every_candidate_is_written_in_some_script_and_no_other_stands_in_the_table() -> None:
    """The table has each label of the models, and nothing else but romanised text that none names yet."""
    candidates = {label for labels in shipped_pool().groups.values() for label in labels}
    listed = frozenset[str]().union(*languages_of_scripts().values())
    assert candidates == listed


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("日本の政治経済新聞", ("Hiragana",)),
        ("東京都知事選挙で小池百合子氏当選", ("Hiragana", "Han")),
        ("сегодня хорошая погода #moscow", ("Cyrillic",)),
        ("#moscow", ("Latin",)),
        ("한국어 漢字", ("Han", "Hangul")),
        ("", ()),
        (None, ()),
    ],
)
def test_known_mixtures(text: str | None, names: tuple[str, ...]) -> None:
    """A little kana is Japanese, a Latin hashtag says nothing, and a third of a text is held."""
    found = held_names(held_scripts(pa.array([text], pa.string())).masks_N[0])
    assert sorted(found) == sorted(names)


CANDIDATES = ("en", "sco", "ru", "ar", "ary", "arz", "nb", "nn", "el", "he", "yi")
DECIDE = Decision(CANDIDATES, 0.9)
BITS = {name: 1 << NAMES.index(name) for name in NAMES if name}


def decided(scores: dict[str, float], *scripts: str) -> tuple[str | None, float, bool]:
    """Returns the code, the confidence and whether there was no rival, for the scores of one text."""
    score_NC = np.array([[scores.get(label, 0.0) for label in CANDIDATES]], np.float32)
    mask_N = np.array([sum(BITS[name] for name in scripts)], np.uint64)
    label_N, confidence_N = DECIDE(score_NC, mask_N)
    code = None if label_N[0] < 0 else DECIDE.codes[label_N[0]]
    return code, float(confidence_N[0]), bool(DECIDE.is_alone(mask_N)[0])


def test_a_language_of_another_script_is_never_named() -> None:
    """The best score counts for nothing where the language is not written so."""
    assert decided({"en": 50, "ru": 1}, "Cyrillic")[0] == "ru"
    assert decided({"en": 50, "ru": 1}, "Cyrillic", "Latin")[0] == "en"


def test_a_language_that_is_alone_with_its_script_needs_no_model() -> None:
    """Greek is Greek at confidence 1; Hebrew letters leave Yiddish as a rival."""
    assert decided({"en": 50}, "Greek") == ("el", 1.0, True)
    assert not decided({"he": 3}, "Hebrew")[2]


def test_a_script_without_a_language_names_none() -> None:
    """No label, whatever the scores are."""
    assert decided({"en": 50}, "Other")[0] is None
    assert decided({"en": 50})[0] is None


def test_relatives_share_their_confidence() -> None:
    """Two dialects at one half each are surely Arabic; Scots counts with English, Russian with nobody."""
    code, confidence, _ = decided({"ary": 9, "arz": 9.1}, "Arabic")
    assert (code, round(confidence, 3)) == ("arz", 1.0)
    assert decided({"en": 9.1, "sco": 9}, "Latin")[1] > 0.99
    assert decided({"en": 9, "ru": 9.1}, "Latin", "Cyrillic")[1] < 0.6


def test_undecided_norwegian_is_no() -> None:
    """Bokmål with less than the stated part of the two varieties is `no`, at the confidence of both."""
    code, confidence, _ = decided({"nb": 9, "nn": 8}, "Latin")
    assert (code, round(confidence, 2)) == ("no", 1.0)
    assert decided({"nb": 9, "nn": 5}, "Latin")[0] == "nb"


@given(st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=12))
def test_shares_are_a_distribution_in_the_order_of_the_scores(numbers: list[float]) -> None:
    """Shares are in [0, 1], sum to 1, and the best score has the largest share."""
    score_NC = np.array([numbers], np.float32)
    share_C = shares(score_NC.copy())[0]
    assert share_C.sum() == pytest.approx(1, abs=1e-5)
    assert ((share_C >= 0) & (share_C <= 1)).all()
    assert share_C[int(score_NC.argmax())] == share_C.max()


def test_masks_of_languages_are_those_of_the_table() -> None:
    """`written_in` is a look-up in the table, for each script alone and for two together."""
    labels = sorted(frozenset[str]().union(*languages_of_scripts().values()))
    table = languages_of_scripts()
    for name, bit in BITS.items():
        both = written_in(np.array([bit, bit | BITS["Latin"]], np.uint64), labels)
        assert {x for x, w in zip(labels, both[0], strict=True) if w} == table.get(name, set())
        assert both[1].sum() == len(table.get(name, set()) | table["Latin"])
    assert NO_CANDIDATE > 0
    assert all(language_of(label) for label in labels)
