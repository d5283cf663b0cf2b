"""Columns of posts that go with them to the provenance."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sluice
from sluice.filters.privacy.keyed_ids import IdKey
from sluice.pipeline import cli
from sluice.schemas.errors import RecipeError
from tests.pipeline.runs import Job

RECIPE = """
name = "carried"
[training]
sequence_length = 64
global_batch_sequences = 1
data_parallel_ranks = 1
target_shard_bytes = 65536
[tokens]
documents = "{documents}"
provenance = ["like_count", "platform", "created_at", "author_automated", "language"]
"""


def toot(number: int) -> dict[str, Any]:
    """Returns an invented post with numbers of its own."""
    return {
        "id": f"p{number}",
        "text": f"this is post number {number} and it says a word {number * 7919}",
        "created_at": f"2026-01-01T00:{number:02d}:00Z",
        "conversation_id": f"c{number % 5}",
        "likes": number if number % 3 else None,
        "site": "a place",
        "bot": bool(number % 2),
    }


@pytest.mark.parametrize("documents", ["posts", "conversations"])
def test_provenance_has_the_columns_of_its_posts(tmp_path: Path, job: Job, documents: str) -> None:
    """Each row has the values of its post, in shards and leftover, and `open_output` knows the columns."""
    posts = [toot(number) for number in range(60)]
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts))
    (tmp_path / "carried.toml").write_text(RECIPE.format(documents=documents))
    output = tmp_path / "out"
    command = ["run", str(tmp_path / "carried.toml"), "--input", str(tmp_path / "posts.jsonl")]
    command += ["--output", str(output), "--set", f"vocabulary.tokenizer={job.tokenizer}"]
    columns = {"like_count": "likes", "platform": "site", "author_automated": "bot"}
    for name, source in columns.items():
        command += ["--set", f"input.columns.{name}={source}"]
    assert cli.main(command) == 0
    assert cli.main(["verify", str(output)]) == 0
    files = [*output.glob("provenance/*.parquet"), output / "leftover" / "provenance.parquet"]
    table = pa.concat_tables(pq.read_table(path) for path in files if path.exists())
    by_id = {post["id"]: post for post in posts}
    assert set(table["post_id"].to_pylist()) == set(by_id)
    for row in table.to_pylist():
        post = by_id[row["post_id"]]
        assert {name: row[name] for name in columns} == {n: post[s] for n, s in columns.items()}
        assert row["created_at"].isoformat() == post["created_at"].replace("Z", "+00:00")
        assert row["language"]
    assert sluice.open_output(str(output)).provenance.schema.names[-5:] == table.column_names[-5:]


def test_provenance_has_keyed_hashes_of_authors(tmp_path: Path, job: Job) -> None:
    """One author of a platform is one `author_key`, another platform's is another, and no id is there."""
    sites = ["x", "bluesky", None]
    posts = [toot(n) | {"author": f"person-{n % 4}", "site": sites[n % 3]} for n in range(48)]
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts))
    (tmp_path / "carried.toml").write_text(RECIPE.format(documents="posts"))
    (tmp_path / "key").write_bytes(bytes(range(32)))
    output = tmp_path / "out"
    command = ["run", str(tmp_path / "carried.toml"), "--input", str(tmp_path / "posts.jsonl")]
    command += ["--output", str(output), "--set", f"vocabulary.tokenizer={job.tokenizer}"]
    command += ["--set", "input.columns.platform=site", "--set", "tokens.provenance=[]"]
    command += ["--set", f"privacy.key_file={tmp_path / 'key'}", "--set", "privacy.author_key=true"]
    assert cli.main(command) == 0
    assert cli.main(["verify", str(output)]) == 0
    files = [*output.glob("provenance/*.parquet"), output / "leftover" / "provenance.parquet"]
    rows = pa.concat_tables(pq.read_table(path) for path in files if path.exists()).to_pylist()
    key, by_id = IdKey(bytes(range(32))), {post["id"]: post for post in posts}
    assert len(rows) == len(by_id)
    for row in rows:
        post = by_id[row["post_id"]]
        assert row["author_key"] == key.author(post["site"], post["author"])
    assert len({row["author_key"] for row in rows}) == 12
    assert str(tmp_path) not in (output / "manifest.json").read_text()


def test_a_key_is_there_before_anything_is_read(tmp_path: Path, job: Job) -> None:
    """A missing key file, one that is too short, and author_key without one are refused with the remedy."""
    with pytest.raises(RecipeError, match="author_key needs key_file"):
        sluice.Recipe.load("default", overrides={"privacy.author_key": True})
    (tmp_path / "short").write_bytes(b"x" * 31)
    inputs = [str(path) for path in job.sample.glob("*.gz")]
    for name, why in (("absent", "No such file"), ("short", "at least 32 bytes, got 31")):
        recipe = sluice.Recipe.load("sample", overrides={"privacy.key_file": str(tmp_path / name)})
        with pytest.raises(RecipeError, match=rf"privacy.key_file = .*{name}.*{why}.*head -c 32"):
            sluice.run(recipe, inputs=inputs, output=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_only_columns_of_posts_can_be_carried() -> None:
    """A name that is no column is refused with the closest one; a text is none."""
    with pytest.raises(RecipeError, match="'like_count'"):
        sluice.Recipe.load("default", overrides={"tokens.provenance": ["like_counts"]})
    with pytest.raises(RecipeError, match="no column 'text' can be carried"):
        sluice.Recipe.load("default", overrides={"tokens.provenance": ["text"]})
