"""The texts of a few words that models are trained and measured on."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.models.training.language_short import (
    _serbian_and_croatian,
    held_out_runs,
    to_cyrillic,
)

WORDS = st.lists(st.sampled_from(["hello", "world", "a", "#tag", "x9y", "добро"]), max_size=9)


@given(texts=st.lists(WORDS, min_size=1, max_size=4))
def test_runs_are_words_in_a_row_of_a_held_out_text(texts: list[list[str]]) -> None:
    """Each run has as many telling words as it says, in the order of a text of the part."""
    table = pa.table(
        {
            "text": [" ".join(["hello", *words]) for words in texts] + ["never used here"],
            "label": ["en"] * (len(texts) + 1),
            "source": ["liga"] * (len(texts) + 1),
            "part": ["test"] * len(texts) + ["train"],
        }
    )
    telling = [
        [w for w in ["hello", *words] if w in ("hello", "world", "добро")] for words in texts
    ]
    for row in held_out_runs(table, "test", (1, 2), most=5).to_pylist():
        run = row["text"].split(" ")
        assert len(run) == row["words"]
        assert any(f" {row['text']} " in f" {' '.join(words)} " for words in telling)


def test_words_of_one_list_are_told_apart_by_their_twins() -> None:
    """A word with an Ekavian twin is Croatian, its twin Serbian, and all others are both."""
    words = {"vrijeme": 3.0, "vreme": 2.0, "kuća": 1.0, "мир": 1.0}
    serbian, croatian = _serbian_and_croatian(words)
    assert set(serbian) == {"vreme", "kuća"}
    assert set(croatian) == {"vrijeme", "kuća"}


def test_serbian_is_written_in_cyrillic_letters() -> None:
    """Pairs of letters that are one are one."""
    assert to_cyrillic("njegov džep, ljubav") == "његов џеп, љубав"
