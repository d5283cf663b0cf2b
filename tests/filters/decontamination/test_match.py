"""Which texts hold an item: the compiled pass against plain Python, in all scripts."""

import gzip
import json
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.decontamination.match import held_parts
from sluice.filters.decontamination.table import Items, Table, table_of
from sluice.filters.decontamination.words import ngrams_of, words_of
from sluice.filters.text.normalize import normalize
from sluice.pipeline.sample.words import lexicon
from tests.filters.decontamination import reference

VOCABULARY = (
    *("harbour", "boat", "Lantern", "Straße", "café", "ΟΔΟΣ", "поезд", "مدرسة", "שלום", "नदी"),
    *(
        "don't",
        "rock’n’roll",
        "seven",
        "1984",
        "٤٢",
        "ｆｕｌｌ",
        "x2",
        "ﬁn",
        "a",
        "the",
        "of",
        "İzmir",
    ),
    *("mountain", "river", "window", "garden", "silver", "winter", "paper", "orange", "yellow"),
    *("山は高い", "東京都", "カタカナ", "ภาษาไทย", "สวัสดี", "한국어", "ñandú", "e\u0301cole"),
)
SEPARATORS = (" ", "  ", ", ", " — ", "\n", "? ", " 😀 ", "… ", "/", "_")


def items_of(*texts: str, is_answer: bool = False) -> Items:
    number = len(texts)
    return Items(
        ("tests",),
        pa.array([str(i) for i in range(number)], pa.string()),
        np.zeros(number, np.int32),
        pa.array(texts, pa.string()),
        np.arange(number, dtype=np.int32),
        np.full(number, is_answer),
    )


def table(*texts: str) -> Table:
    return table_of(items_of(*texts))


def shares(posts: list[str | None], of: Table) -> list[float]:
    return held_parts(pa.array(posts, pa.string()), of.arrays).share_N.tolist()


@st.composite
def items(draw: st.DrawFn, most: int = 30) -> list[str]:
    return draw(st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=most, unique=True))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[str, str]:
    """An item, and a text with pieces of it."""
    item = draw(items())
    pieces = []
    for _ in range(draw(st.integers(0, 3))):
        begin = draw(st.integers(0, len(item) - 1))
        pieces += item[begin : begin + draw(st.integers(1, 30))]
        pieces += draw(st.lists(st.sampled_from(VOCABULARY), max_size=2))
    text = "".join(word + draw(st.sampled_from(SEPARATORS)) for word in pieces)
    return " ".join(item), draw(st.sampled_from((text, text.upper(), text.lower())))


@given(
    st.lists(st.text(st.sampled_from("".join(VOCABULARY) + "'’ .,-\u200d\u00adÉ½ß😀"), max_size=20))
)
def test_words_are_those_of_plain_python(texts: list[str]) -> None:
    """Words, their weights and their letters are those of the reference, text by text."""
    words = words_of(pa.array(texts, pa.string()))
    expected = [reference.words_of(text) for text in texts]
    assert np.diff(words.start_N1).tolist() == [len(each) for each in expected]
    flat = [word for each in expected for word in each]
    assert words.weight_T.tolist() == [word.weight for word in flat]
    assert words.letters_T.tolist() == [word.letters for word in flat]
    hashes: dict[str, int] = {}
    for word, found in zip(flat, words.word_T.tolist(), strict=True):
        assert hashes.setdefault(word.text, found) == found
    assert len(set(hashes.values())) == len(hashes)


@given(items())
def test_ngrams_are_the_fewest_words_that_weigh_enough(item: list[str]) -> None:
    """The n-gram that ends at each word begins where the reference's does."""
    text = " ".join(item)
    found = ngrams_of(words_of(pa.array([text])))
    expected = dict.fromkeys(range(len(found.begin_T)), -1)
    expected |= {end - 1: begin for begin, end in reference.ngrams(reference.words_of(text))}
    assert found.begin_T.tolist() == list(expected.values())


@given(pairs())
def test_a_text_holds_what_plain_python_says(pair: tuple[str, str]) -> None:
    """How much of an item a text holds is what lists and sets give."""
    item, text = pair
    made = table(item)
    expected = reference.share_of(text, item) if made.figures[0].parts else 0.0
    assert shares([text], made) == pytest.approx([expected], abs=1e-6)


@given(st.lists(pairs(), min_size=1, max_size=4))
def test_other_texts_change_nothing(several: list[tuple[str, str]]) -> None:
    """What a text holds does not depend on the texts beside it."""
    made, posts = table(*(item for item, _ in several)), [text for _, text in several]
    alone = [held_parts(pa.array([post]), made.arrays) for post in posts]
    together = held_parts(pa.array(posts), made.arrays)
    assert together.part_N.tolist() == [int(each.part_N[0]) for each in alone]
    assert together.share_N.tolist() == [float(each.share_N[0]) for each in alone]


QUESTION = "Which of the boats in the harbour of Larvik leaves first in the morning?"
LONG = (
    "Maria picks fourteen apples from each of her five trees every morning and sells half of them "
    "at the market for two dollars each. How many dollars does she earn in a week of seven days?"
)


@pytest.mark.parametrize(
    "change",
    [
        str,
        str.upper,
        lambda text: text.replace(" ", "\n\n").replace("?", "!!!"),
        lambda text: f"lol look at this: {text} any idea, anyone?",
        lambda text: text.replace("market", "harbour"),
        lambda text: text.split(". ")[0],
    ],
    ids=["verbatim", "upper case", "punctuation", "text around", "one word changed", "half"],
)
def test_a_long_item_is_found_changed(change) -> None:
    """A long item is found in another case, with other punctuation, in other text, and in part."""
    assert shares([change(LONG)], table(LONG))[0] > 0.5


def test_a_short_item_is_found_whole_alone() -> None:
    """An item of up to twelve words is found where all of its words are, and not with one changed."""
    short = "Which boat of the harbour leaves first in the morning?"
    posts = [f"ok. {short.upper()} thanks", short.replace("boat", "ship"), short[:30], None, ""]
    assert shares(posts, table(short)) == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_items_of_scripts_without_spaces_are_found() -> None:
    """Chinese, Japanese and Thai items are found by their characters, whatever stands between them."""
    texts = (
        "世界上海拔最高的山峰位于哪两个国家之间",
        "日本で一番高い山の名前は何でしょうか教えてください",
        "ประเทศไทยมีภูเขาที่สูงที่สุดอยู่ที่จังหวัดใดและสูงกี่เมตร",
    )
    made = table(*texts)
    assert made.figures[0].parts == 3
    held = held_parts(pa.array([f"😀{text[:8]}, {text[8:]}!" for text in texts]), made.arrays)
    assert held.part_N.tolist() == [0, 1, 2]


def test_answers_of_a_few_words_are_not_looked_for() -> None:
    """An answer is looked for where it is long; `Paris, the capital of France` is in many posts."""
    short, long = "It is Paris, the old capital of France", LONG
    made = table_of(items_of(short, long, is_answer=True))
    assert made.figures[0].too_short == 1
    assert shares([short, long], made) == [0.0, 1.0]


@pytest.mark.parametrize(
    "text",
    [
        "a " * 100_000,
        "山" * 100_000,
        "'" * 200_000,
        "a" * 200_000,
        LONG * 1_000,
        (LONG[:60] + " ") * 3_000,
        "\u0301" * 100_000,
        "ﷺ" * 50_000,
    ],
    ids=["words", "han", "apostrophes", "letters", "item", "half", "marks", "ligatures"],
)
def test_time_is_linear_in_the_text(text: str) -> None:
    """Ten times the text takes about ten times as long, whatever it is made of."""
    made = table(LONG, QUESTION)
    held_parts(pa.array([text]), made.arrays)
    tenth, whole = (_least_seconds(part, made) for part in (text[: len(text) // 10], text))
    assert whole < 40 * tenth + 0.01


def _least_seconds(text: str, made: Table) -> float:
    def seconds() -> float:
        begun = time.thread_time()
        held_parts(pa.array([text]), made.arrays)
        return time.thread_time() - begun

    return min(seconds() for _ in range(3))


@pytest.mark.real
def test_words_of_real_posts_are_those_of_plain_python(data: Path) -> None:
    """Some thousand real posts, in the languages of the collections, are cut as the reference cuts them."""
    for part in ("part-03", "weibo-ced"):
        with gzip.open(data / "firehose" / f"{part}.jsonl.gz") as lines:
            texts = [json.loads(line)["text"] for line in islice(lines, 0, 40_000, 20)]
        posts = normalize(pa.array(texts))
        expected = [reference.words_of(text) for text in posts.to_pylist()]
        words = words_of(posts)
        assert np.diff(words.start_N1).tolist() == [len(each) for each in expected]
        assert words.weight_T.tolist() == [word.weight for each in expected for word in each]


@pytest.mark.real
def test_a_real_post_holds_itself(data: Path) -> None:
    """A real post that is an item is found in itself, and no post holds one of drawn words."""
    with gzip.open(data / "firehose" / "part-05.jsonl.gz") as lines:
        posts = normalize(
            pa.array([json.loads(line)["text"] for line in islice(lines, 0, 60_000, 30)])
        )
    random, words = np.random.default_rng(1), lexicon("en").forms.slice(0, 2000).to_pylist()
    drawn = [" ".join(random.choice(words, 14)) for _ in range(500)]
    own, other = table(*posts.to_pylist()), table(*drawn)
    held = held_parts(posts, own.arrays)
    of_parts = np.isin(np.asarray(posts), np.asarray(own.items.texts))
    assert (held.part_N[of_parts] >= 0).mean() > 0.98
    assert (held_parts(posts, other.arrays).part_N < 0).all()
