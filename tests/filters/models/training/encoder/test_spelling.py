"""Respelling: posts of either label with words in disguise, and nothing else changed."""

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.models.training.encoder import spelling_tricks
from sluice.filters.models.training.encoder.bad_words import bad_words
from sluice.filters.models.training.encoder.romanize import FOREIGN, romanize
from sluice.filters.models.training.encoder.spelling import ROMANIZED, respell
from sluice.filters.models.training.encoder.spelling_tricks import BARED, TRICKS

LETTERS = "abcdefghijklmnopqrstuvwxyzäéñßıłøабвгдежзийклмнопαβγδεжهمنبتكकखगघामिীকখ白痴バカไทยก้"
MANY_SCRIPTS = ["idiot", "дурак", "βλακα", "غبي", "ชั่ว", "हरामी", "白痴"]
WORDS = st.text(LETTERS, min_size=2, max_size=12).filter(lambda word: word[0].isalpha())
POSTS = st.lists(st.text(LETTERS + " 1.,!?@#\n", max_size=60), max_size=8)


def rng(seed: int = 7) -> np.random.Generator:
    """Returns a generator of a fixed seed."""
    return np.random.default_rng(seed)


@given(POSTS, st.integers(0, 99))
def test_a_text_stays_a_text_and_the_same_seed_gives_the_same_texts(
    posts: list[str], seed: int
) -> None:
    respelled = respell(posts, rng(seed), 1.0)
    assert respelled == respell(posts, rng(seed), 1.0)
    assert [bool(text.strip()) for text in respelled] == [bool(text.strip()) for text in posts]


@given(POSTS)
def test_nothing_changes_where_the_share_is_zero(posts: list[str]) -> None:
    assert respell(posts, rng(), 0.0) == posts


@given(st.lists(WORDS, min_size=1, max_size=9), st.integers(0, 99))
def test_addresses_mentions_hashtags_and_numbers_stay_where_words_change(
    words: list[str], seed: int
) -> None:
    kept = ["https://sluice.example/Wild?a=b", "@some_name", "#HashTag", "<url>", "&amp;", "12.50"]
    text = " ".join(piece for pair in zip(words, kept, strict=False) for piece in pair)
    (respelled,) = respell([text], rng(seed), 1.0)
    at = -1
    for piece in kept[: len(words)]:
        at = respelled.index(piece, at + 1)


@given(
    st.lists(
        st.sampled_from(["lorem", "ipsum", "dolor", "amet", "elit", "sed"]), min_size=4, max_size=20
    )
)
def test_three_words_change_at_most(words: list[str]) -> None:
    (respelled,) = respell([" ".join(words)], rng(), 1.0)
    whole = re.findall(r"[^ ]+", respelled)
    assert sum(word in whole for word in words) >= len(words) - 3


def test_the_share_says_how_many_posts_change() -> None:
    posts = ["some perfectly ordinary words of a post"] * 4000
    changed = np.mean([a != b for a, b in zip(respell(posts, rng(), 0.3), posts, strict=True)])
    assert 0.27 < changed < 0.33


def test_the_labels_of_posts_cannot_be_told_from_how_often_they_change() -> None:
    insults = ["you are an idiot"] * 2000
    ordinary = ["you are an engineer"] * 2000
    shares = [
        np.mean([a != b for a, b in zip(respell(posts, rng(), 0.5, {"idiot"}), posts, strict=True)])
        for posts in (insults, ordinary)
    ]
    assert abs(shares[0] - shares[1]) < 0.04


def gone(word: str, post: str, listed: set[str]) -> float:
    """Returns the share of 1,000 respelled posts that no longer hold a word."""
    return float(np.mean([word not in text for text in respell([post] * 1000, rng(), 1.0, listed)]))


@pytest.mark.parametrize(
    ("word", "post"),
    [("idiot", "what an idiot he is to have said so"), ("白痴", "我不知道你是不是个白痴吗朋友")],
    ids=["with-blanks", "without-blanks"],
)
def test_listed_words_change_by_preference(word: str, post: str) -> None:
    assert gone(word, post, set()) < 0.5 < 0.6 < gone(word, post, {word})


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick.__name__)
@given(WORDS, st.integers(0, 99))
def test_a_trick_never_empties_a_word(trick: spelling_tricks.Trick, word: str, seed: int) -> None:
    assert trick(word, Random(seed)).strip()


@pytest.mark.parametrize(
    ("name", "undone"),
    [
        ("spaced", lambda text: re.sub(r"[ .\-_*]", "", text)),
        ("unseen", lambda text: re.sub("[\u200b-\u200d\u2060\u00ad]", "", text)),
        ("with_emoji", lambda text: "".join(c for c in text if unicodedata.category(c) != "So")),
        ("drawn_out", lambda text: re.sub(r"(.)\1+", r"\1", text)),
        ("swapped", lambda text: "".join(sorted(text))),
        ("cased", str.lower),
    ],
)
@given(word=st.sampled_from(MANY_SCRIPTS), seed=st.integers(0, 99))
def test_a_trick_does_what_it_says_and_no_more(
    name: str, undone: Callable[[str], str], word: str, seed: int
) -> None:
    respelled = getattr(spelling_tricks, name)(word, Random(seed))
    assert undone(respelled) == undone(word)


@given(st.integers(0, 999))
def test_signs_look_like_the_letters_that_they_stand_for(seed: int) -> None:
    signs = str.maketrans("4@831!059$72|+", "aabeiiosgstzlt")
    assert spelling_tricks.leet("abezgost", Random(seed)).translate(signs) == "abezgost"
    covered = spelling_tricks.starred("idiot", Random(seed))
    assert re.fullmatch(r"i(?=.*[#*._-])[d#*._-][i#*._-][o#*._-]t", covered)
    letters = spelling_tricks.look_alike("соре", Random(seed))
    assert letters != "соре"
    assert len(letters) == 4


def test_vowels_and_accents_can_be_left_out() -> None:
    shorter = {spelling_tricks.without_vowels("badword", Random(seed)) for seed in range(20)}
    assert shorter == {"bdwrd", "bdword"}
    words = ("Straße", "imbécile", "gerizekalı", "ё", "غَبيّ")
    bare = [spelling_tricks.bare(word, Random(1)) for word in words]
    assert bare == ["Strasse", "imbecile", "gerizekali", "е", "غبي"]
    assert BARED.search("हरामी") is None


@pytest.mark.parametrize(
    ("text", "latin"),
    [
        ("मैं बाजार जा रहा हूँ", "main bajar ja raha hun"),
        ("कमल करना मत भूलना।", "kamal karna mat bhulna."),
        ("ज़रूर पढ़ना", "zarur parhna"),
        ("আমি ভালো আছি বন্ধু", "ami bhalo achi bondhu"),
        ("Ты совсем дурак, Щука", "Ty sovsem durak, Schuka"),
        ("Πού είσαι φίλε", "Poy eisai file"),
        ("plain 12 ok 白痴", "plain 12 ok 白痴"),
    ],
)
def test_five_scripts_are_written_in_latin_letters(text: str, latin: str) -> None:
    assert romanize(text, Random(1)) == latin


def test_arabic_is_written_with_the_digits_of_chat_or_without() -> None:
    assert {romanize("حبيبي عمر", Random(seed)) for seed in range(20)} == {"hbibi amr", "7bibi 3mr"}


@given(st.text("кириллица ελληνικά हिन्दी বাংলা عربي فارسی", max_size=40), st.integers(0, 9))
def test_no_letter_of_the_five_scripts_is_left(text: str, seed: int) -> None:
    assert FOREIGN.search(romanize(text, Random(seed))) is None


def test_a_share_of_the_posts_of_these_scripts_becomes_latin() -> None:
    posts = respell(["совсем обычные слова этого сообщения"] * 2000, rng(), 1.0)
    latin = np.mean([FOREIGN.search(text) is None for text in posts])
    assert abs(latin - ROMANIZED) < 0.04


def test_lists_of_words_are_read_but_for_share_alike_ones(tmp_path: Path) -> None:
    folder = tmp_path / "toxicity_more" / "lexicons"
    folder.mkdir(parents=True)
    (folder / "en.txt").write_text("Plonker\ntwo words\nab\n4r5e\n白痴\n", encoding="utf-8")
    (folder / "tr.by-sa.txt").write_text("nottaken\n", encoding="utf-8")
    words = bad_words(tmp_path)
    assert {"plonker", "白痴", "idiot"} <= words
    assert not {"two words", "two", "ab", "4r5e", "nottaken"} & words


def test_a_data_folder_without_lists_is_refused_with_its_fix(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="set SLUICE_DATA"):
        bad_words(tmp_path)
