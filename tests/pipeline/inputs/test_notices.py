"""Notices among posts are counted by kind, and are no dead letters."""

import json
from pathlib import Path

import pytest

from sluice.pipeline.inputs.inventory import cut, find_inputs
from sluice.pipeline.inputs.notices import KINDS
from sluice.pipeline.inputs.reader import ReadOptions, read_unit
from sluice.schemas.counts import ReadTally

POSTS = [json.dumps({"id": str(i), "text": f"post {i}"}) for i in range(5)]
NO_POSTS = ['{"other":{"delete":1}}', '{"text":"x","delete":1}', '{"id":"9","limit":{}}', "[1]"]


def tallied(folder: Path, lines: list[str], **options: int) -> ReadTally:
    """Returns the counts of a file of lines."""
    (folder / "a.json").write_text("\n".join(lines))
    inventory, total = find_inputs([str(folder / "a.json")]), ReadTally()
    for unit in cut(inventory):
        for batch in read_unit(inventory.root, unit, ReadOptions(**options)):
            total += batch.counts
            assert batch.posts.num_rows == batch.counts.posts
            assert batch.rejected.num_rows == batch.counts.dead_letters
    return total


@pytest.mark.parametrize("name", KINDS)
def test_a_notice_of_each_kind(tmp_path: Path, name: str) -> None:
    """An object with the key of a notice, wherever it is among its own keys, is one of that kind."""
    notices = [f'{{"{name}":{{"a":[1,{{}}]}}}}', f'{{"time":"1 \\"}}","{name}":[]}}']
    total = tallied(tmp_path, [*POSTS, *notices, *POSTS], batch_rows=4)
    assert total.notices == {KINDS[name]: 2}
    assert (total.records, total.records_with_posts, total.dead_letters) == (12, 10, 0)


def test_what_is_no_notice(tmp_path: Path) -> None:
    """A key inside another object makes no notice, nor does one beside an id or a text."""
    total = tallied(tmp_path, [*POSTS, *NO_POSTS])
    assert (total.notices, total.dead_letters, total.records) == ({}, 4, 9)


def test_rows_around_notices(tmp_path: Path) -> None:
    """A notice is a record: the rows behind it are numbered as if it were a post."""
    (tmp_path / "a.json").write_text("\n".join([POSTS[0], '{"delete":{}}', POSTS[1], "{", ""]))
    inventory = find_inputs([str(tmp_path / "a.json")])
    (batch,) = read_unit(inventory.root, cut(inventory)[0], ReadOptions())
    assert batch.posts.column("source_row").to_pylist() == [0, 2]
    assert batch.rejected.column("source_row").to_pylist() == [3]
