"""Ids that are made: unique within a file, by file and row, or by content."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.pipeline.filter_table import filter_table
from sluice.pipeline.inputs.inventory import cut, find_inputs
from sluice.pipeline.inputs.made_ids import content_ids
from sluice.pipeline.inputs.reader import ReadOptions, check_inputs, read_unit
from sluice.pipeline.recipes.schema import Recipe
from sluice.schemas.errors import RecipeError
from tests.strategies import texts

ROWS = [
    {"id": 0, "text": "rain", "in_reply_to_id": None, "conversation_id": 0},
    {"id": 1, "text": "sun", "in_reply_to_id": 0, "conversation_id": 0},
    {"id": 2, "text": "rain", "in_reply_to_id": "", "conversation_id": None},
]


def posts_of(folder: Path, rule: str) -> list[dict]:
    """Returns the posts of all files of a folder."""
    inventory = find_inputs([str(folder)])
    options = ReadOptions(ids=rule)
    check_inputs(inventory, options)
    units = cut(inventory, unit_bytes=1 << 20)
    batches = (b for u in units for b in read_unit(inventory.root, u, options))
    return [row for batch in batches for row in batch.posts.to_pylist()]


@pytest.fixture(params=["jsonl", "parquet"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Two files of the same ids."""
    for name in ("a", "b"):
        path = tmp_path / f"{name}.{request.param}"
        if request.param == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        else:
            rows = [{k: None if v is None else str(v) for k, v in row.items()} for row in ROWS]
            pq.write_table(pa.Table.from_pylist(rows), path)
    return tmp_path


def test_ids_that_count_within_a_file_are_told_apart(folder: Path) -> None:
    """With `per_file` the file stands before the ids of posts; null and empty ones stay as they are."""
    rows = posts_of(folder, "per_file")
    ending = next(folder.iterdir()).suffix
    assert [row["post_id"] for row in rows] == [f"{f}{ending}:{i}" for f in "ab" for i in range(3)]
    assert rows[4]["in_reply_to_id"] == rows[3]["post_id"] == rows[4]["conversation_id"]
    assert [row["in_reply_to_id"] for row in rows[3::2]] == [None, ""]
    assert rows[5]["conversation_id"] is None


def test_a_row_has_an_id_by_its_place(folder: Path) -> None:
    """With `file_row` an id is the file and the row, whatever column `id` says."""
    rows = posts_of(folder, "file_row")
    assert [r["post_id"] for r in rows] == [f"{r['source_file']}:{r['source_row']}" for r in rows]
    assert rows[1]["in_reply_to_id"] == "0"


def test_a_text_has_one_id(folder: Path) -> None:
    """With `content` posts of equal texts have equal ids, in every file."""
    ids = [row["post_id"] for row in posts_of(folder, "content")]
    assert ids[:3] == ids[3:]
    assert ids[0] == ids[2] != ids[1]


@pytest.mark.parametrize("rule", ["file_row", "content"])
def test_texts_without_ids_are_posts(tmp_path: Path, rule: str) -> None:
    """Where ids are made no id is missing, in lines and in tables; a row without a text still is none."""
    (tmp_path / "a.jsonl").write_text('{"text": "rain"}\n{"text": null}\n{"text": "sun"}\n')
    pq.write_table(pa.table({"text": ["rain", None, "sun"]}), tmp_path / "b.parquet")
    assert [row["text"] for row in posts_of(tmp_path, rule)] == ["rain", "sun"] * 2


def test_a_table_in_memory_has_made_ids() -> None:
    """`filter_table` makes the ids that a run would make of a file of the table's name."""
    recipe = Recipe(name="made")
    parts = filter_table(
        pa.table({"text": ["rain in may"]}), recipe, overrides={"input.ids": "file_row"}
    )
    assert [i.rpartition(":")[2] for i in parts.kept["post_id"].to_pylist()] == ["0"]


@pytest.mark.parametrize("rule", ["file_row", "content"])
def test_a_column_that_is_not_read_is_refused(rule: str) -> None:
    """A column for ids that are made is an option without effect, and refused by its key."""
    overrides = {"input.ids": rule, "input.columns.post_id": "key"}
    with pytest.raises(RecipeError, match=r"columns\.post_id has no effect with ids"):
        Recipe.load("default", overrides=overrides)


@given(st.lists(texts(), max_size=20))
def test_ids_of_contents_are_equal_where_texts_are(some: list[str]) -> None:
    """Ids of contents are 32 hexadecimal digits, equal for equal texts and only for them, in any slice."""
    array = pa.array(["before", *some], pa.string())
    ids = content_ids(array.slice(1))
    ids.validate(full=True)
    assert ids.to_pylist() == content_ids(array).to_pylist()[1:]
    assert all(len(i) == 32 and int(i, 16) >= 0 for i in ids.to_pylist())
    assert len(set(ids.to_pylist())) == len(set(some))
