"""Common phrases stand for no item, and a table is the same from its file."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from sluice.filters.batch import Batch
from sluice.filters.decontamination.common import (
    common_of,
    distinct,
    surroundings,
    without_common,
)
from sluice.filters.decontamination.decide import decide
from sluice.filters.decontamination.match import held_parts
from sluice.filters.decontamination.table import table_of
from sluice.filters.decontamination.table_file import mapped_table, packed_table
from sluice.schemas.post import POST
from tests.filters.decontamination.test_match import LONG, items_of, shares, table

PHRASE = "What do you think of the weather today?"
WORDS = ("red", "blue", "green", "grey", "black", "white", "brown", "pink", "gold", "teal")


def posts_with(text: str) -> list[str]:
    """Ten posts in which other words stand around a text."""
    return [f"{word} {word}s {text} {word}ish {word}" for word in WORDS]


def learned(made, posts: list[str], *, most: int = 8):
    """The table without what is common in posts, found in one batch."""
    return without_common(
        made, common_of(surroundings(pa.array(posts), made.arrays), made, most=most)
    )


def test_a_phrase_of_many_posts_is_no_item() -> None:
    """A short question that many different posts hold is not looked for, and is counted as common."""
    left = learned(table(PHRASE, LONG), posts_with(PHRASE))
    assert left.figures[0]._asdict() | {"ngrams": 0} == {
        "items": 2,
        "parts": 1,
        "ngrams": 0,
        "too_short": 0,
        "common": 1,
        "repeated": 0,
    }
    assert shares([PHRASE, LONG], left) == [0.0, 1.0]


def test_a_copied_item_stays_one() -> None:
    """A question that is pasted often, alone or as part of one text, is no phrase: its posts are the same."""
    left = learned(table(PHRASE, LONG), [PHRASE, f"Hi. {LONG}", LONG] * 50)
    assert shares([PHRASE, LONG], left) == [1.0, 1.0]


def test_ngrams_that_are_common_stand_for_no_long_item() -> None:
    """A long item is not found by what many posts say, and by its other words it is."""
    left = learned(table(LONG), posts_with(LONG[:95]))
    assert left.figures[0].ngrams < table(LONG).figures[0].ngrams
    assert shares([LONG[:95], LONG], left)[1] == 1.0


def test_batches_change_no_surroundings() -> None:
    """What is found does not depend on how posts are cut into batches, or on their order."""
    made, posts = table(PHRASE, LONG), [*posts_with(PHRASE), *posts_with(LONG), "", "no item"]
    whole = surroundings(pa.array(posts), made.arrays)
    parts = [surroundings(pa.array(posts[i : i + 3]), made.arrays) for i in range(0, len(posts), 3)]
    for one, other in zip(whole, distinct(parts[::-1]), strict=True):
        assert one.tolist() == other.tolist()


def test_a_table_is_the_same_from_its_file(tmp_path: Path) -> None:
    """A mapped table has the items and figures of the one that was written, and finds the same."""
    made, path = table(PHRASE, LONG, "no"), tmp_path / "table"
    path.write_bytes(packed_table(made))
    mapped = mapped_table(str(path))
    assert packed_table(mapped) == packed_table(made)
    assert mapped.figures == made.figures
    assert not any(array.flags.writeable or array.flags.owndata for array in mapped.arrays)
    posts = pa.array([*posts_with(LONG), PHRASE, None])
    for one, other in zip(
        held_parts(posts, mapped.arrays), held_parts(posts, made.arrays), strict=True
    ):
        assert one.tolist() == other.tolist()


def test_a_table_of_nothing_finds_nothing() -> None:
    """Sets whose items are all too short leave a table that no post meets."""
    assert shares([PHRASE, LONG], table("yes", "no")) == [0.0, 0.0]
    assert shares([PHRASE], table()) == [0.0]


def test_a_post_is_rejected_by_the_name_of_its_item() -> None:
    """The reject row names set and item, and a row to read has both texts."""
    rows = [
        {"post_id": str(i), "text": text, "source_file": "a", "source_row": i, "row_key": i}
        for i, text in enumerate(["nothing", f"so: {LONG}", PHRASE])
    ]
    batch = Batch(pa.RecordBatch.from_pylist(rows, POST))
    found = decide(batch, table(PHRASE, LONG), phase="clean")
    assert found.clean_N.tolist() == [True, False, False]
    assert found.rejected.column("detail").to_pylist() == ["tests:1", "tests:0"]
    assert found.by_set == {"tests": 2}
    assert found.review.column("item_text").to_pylist() == [LONG, PHRASE]
    assert found.review.column("text").to_pylist() == [f"so: {LONG}", PHRASE]


def test_texts_that_several_sets_have_are_counted_once() -> None:
    """A question that an earlier item has is `repeated`, and answers are looked for where they are long."""
    items = items_of(LONG, LONG.upper(), "It is six")
    answers = items._replace(is_answer_P=np.array([False, False, True]))
    figures = table_of(answers).figures[0]
    assert (figures.parts, figures.repeated, figures.too_short) == (1, 1, 1)
