"""Changed decisions between two outputs of `sluice score`: which posts, by what, and a sample."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import changed_decisions

RECIPE = """
name = "two"

[[filters]]
filter = "min_words"
min_words = 3

[[filters]]
filter = "toxicity"
max_toxicity = 0.5
"""


def output(folder: Path, *, words: list[int], toxicity: list[float], ids: str = "p") -> Path:
    columns = {
        "post_id": [f"{ids}{i}" for i in range(len(words))],
        "language": ["en"] * len(words),
        "language_group": ["en"] * len(words),
        "min_words": np.array(words, np.float32),
        "toxicity": np.array(toxicity, np.float32),
    }
    (folder / "scores").mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "scores" / "scores-00000.parquet")
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "two.toml"
    path.write_text(RECIPE)
    return str(path)


def test_the_first_filter_that_rejects_decides(tmp_path: Path, recipe: str) -> None:
    """Short posts go by the first filter whatever the second says; the bound itself is kept."""
    folder = output(tmp_path / "a", words=[2, 2, 3, 3], toxicity=[0.1, 0.9, 0.5, 0.6])
    found = changed_decisions.decided(folder, recipe)
    assert found.by_N.tolist() == ["min_words", "min_words", "kept", "toxicity"]


def test_changes_are_listed_with_the_scores_that_changed(tmp_path: Path, recipe: str) -> None:
    """Only posts that are decided otherwise, with scores of the filter that changed alone."""
    words = [2, 5, 5, 5]
    before = output(tmp_path / "a", words=words, toxicity=[0.1, 0.9, 0.2, 0.3])
    after = output(tmp_path / "b", words=words, toxicity=[0.9, 0.25, 0.75, 0.4])
    both = [changed_decisions.decided(folder, recipe) for folder in (before, after)]
    rows = changed_decisions.changed(*both)
    assert rows.to_pylist() == [
        {
            "row": 1,
            "post_id": "p1",
            "language": "en",
            "before": "toxicity",
            "after": "kept",
            "toxicity before": pytest.approx(0.9),
            "toxicity after": 0.25,
        },
        {
            "row": 2,
            "post_id": "p2",
            "language": "en",
            "before": "kept",
            "after": "toxicity",
            "toxicity before": pytest.approx(0.2),
            "toxicity after": 0.75,
        },
    ]
    text = "\n".join(changed_decisions.markdown(*both, rows))
    assert "2 of 4 posts (0.5000) are decided otherwise." in text
    assert "| min_words | 1 | 1 |" in text
    assert "| kept | toxicity | 1 |" in text


def test_the_sample_takes_each_kind_in_turn() -> None:
    """Of a hundred changes of one kind and two of another, four are two of each."""
    rows = pa.table(
        {
            "post_id": [str(i) for i in range(102)],
            "before": ["kept"] * 100 + ["spam"] * 2,
            "after": ["toxicity"] * 100 + ["kept"] * 2,
        }
    )
    taken = changed_decisions.some(rows, 4)
    assert Counter(taken["before"].to_pylist()) == {"kept": 2, "spam": 2}
    assert len(set(taken["post_id"].to_pylist())) == 4


def test_a_label_beside_the_filters_decides_after_them(tmp_path: Path, recipe: str) -> None:
    """Where a post is kept by all filters, and its label is above what is allowed."""
    folder = output(tmp_path / "a", words=[2, 3, 3], toxicity=[0.9, 0.9, 0.4])
    file = folder / "scores" / "scores-00000.parquet"
    scores = pq.read_table(file).append_column("e.spam", pa.array([0.9, 0.9, 0.9], pa.float32()))
    pq.write_table(scores, file)
    found = changed_decisions.decided(folder, recipe, also=[("e.spam", 0.8)])
    assert found.by_N.tolist() == ["min_words", "toxicity", "e.spam"]


def test_outputs_of_other_posts_are_refused(tmp_path: Path, recipe: str) -> None:
    """So is a folder without scores, and one without those of a filter of the recipe."""
    one = output(tmp_path / "a", words=[3], toxicity=[0.1])
    other = output(tmp_path / "b", words=[3], toxicity=[0.1], ids="q")
    both = [changed_decisions.decided(folder, recipe) for folder in (one, other)]
    with pytest.raises(SystemExit, match="must have scored the same posts"):
        changed_decisions.changed(*both)
    with pytest.raises(SystemExit, match="has no folder scores"):
        changed_decisions.decided(tmp_path, recipe)
    with pytest.raises(SystemExit, match=r"has no scores of '\w+', which 'default' decides by"):
        changed_decisions.decided(one, "default")
