"""`sluice.filter_table` gives what phase clean of a run gives, row for row, of any table."""

import gzip
import itertools
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import sluice
from sluice.errors import InputError, RecipeError
from sluice.filters.batch import Batch
from sluice.pipeline.inputs.inventory import cut, find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, read_unit
from sluice.pipeline.phases.clean import batches
from sluice.pipeline.phases.edges import SCORE
from sluice.schemas.arrays import Float32s
from sluice.schemas.post import POST
from sluice.schemas.reject import REJECT
from tests.pipeline.runs import Job

TEXT = "The boats of the harbour leave at six in the morning"
SAID = [n for n in REJECT.names if n not in ("source_file", "source_row")]
"""What a reject row says beside where the post is."""


def posts_of(*files: Path) -> pa.Table:
    """Returns the posts that a run reads of files, in its order."""
    inventory = find_inputs([str(file) for file in files])
    units = cut(inventory, unit_bytes=32 << 20)
    read = [b.posts for u in units for b in read_unit(inventory.root, u, ReadOptions())]
    return pa.Table.from_batches(read, POST)


def place_of(posts: pa.Table) -> list[tuple[str, int]]:
    """Returns file and row of each post."""
    columns = (posts["source_file"].to_pylist(), posts["source_row"].to_pylist())
    return list(zip(*columns, strict=True))


def rejects_of_clean(output: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """Returns what phase clean of a run said of each post that it rejected."""
    rows = pq.ParquetDataset(output / "rejects").read().to_pylist()
    chosen = [r for r in rows if r["phase"] == "clean" and r["kind"] != "malformed"]
    return {(r["source_file"], r["source_row"]): {n: r[n] for n in SAID} for r in chosen}


def scores_of_clean(output: Path) -> dict[int, dict[str, float]]:
    """Returns the scores of each post that phase clean of a run kept, by its row key."""
    files = [str(path) for path in (output / "work").glob("clean-*/clean/*.kept.arrow")]
    kept = ds.dataset(files, format="ipc").to_table()
    names = [n for n in kept.column_names if n.startswith(SCORE)]
    rows = kept.select(["row_key", *names]).to_pylist()
    return {r.pop("row_key"): {n.removeprefix(SCORE): v for n, v in r.items()} for r in rows}


def check_equal(posts: pa.Table, recipe: str | Path, output: Path) -> None:
    """Asserts that a table of posts is split as phase clean of a run split them."""
    parts = sluice.filter_table(
        posts.drop_columns(["source_file", "source_row", "row_key"]), recipe
    )
    places, expected = place_of(posts), rejects_of_clean(output)
    rejected = parts.rejected.to_pylist()
    got = {places[row["source_row"]]: {n: row[n] for n in SAID} for row in rejected}
    assert len(got) == len(rejected) > 0
    assert got == expected
    kept = [places[row] for row in parts.kept["source_row"].to_pylist()]
    assert kept == [place for place in places if place not in expected]
    assert parts.scores["post_id"].to_pylist() == parts.kept["post_id"].to_pylist()
    scores, keys = scores_of_clean(output), posts["row_key"].to_pylist()
    for row in parts.scores.to_pylist():
        of_run = scores[keys[row["source_row"]]]
        assert {name: row[name] for name in of_run} == of_run


def test_the_synthetic_sample(job: Job) -> None:
    """Kept posts, reasons, scores, thresholds and details are those of the run."""
    check_equal(posts_of(*sorted(job.sample.glob("posts-*.jsonl.gz"))), job.recipe, job.output)


def test_real_posts(data: Path, job: Job, tmp_path: Path) -> None:
    """The same on real posts, with all filters of the recipe `default`."""
    path = tmp_path / "posts.jsonl"
    with gzip.open(data / "firehose" / "part-03.jsonl.gz", "rt") as source:
        path.write_text("".join(itertools.islice(source, 1500)))
    changed = {"vocabulary.tokenizer": str(job.tokenizer)}
    sluice.run("default", inputs=path, output=tmp_path / "out", overrides=changed)
    check_equal(posts_of(path), "default", tmp_path / "out")


# --- kinds of tables -------------------------------------------------------------------------


class Frame:
    """What pandas, polars and others give: a stream of Arrow rows, and nothing else."""

    def __init__(self, table: pa.Table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def table_of(*texts: str | None, **columns: Any) -> pa.Table:
    ids = [str(number) for number in range(len(texts))]
    return pa.table({"id": ids, "text": pa.array(texts, pa.string()), **columns})


MANY = table_of(*[f"{TEXT} {number}" if number % 3 else "no" for number in range(100)])


@pytest.mark.parametrize(
    "posts",
    [
        pa.table({"before": [1], "id": ["x"], "text": ["x"]}).slice(0, 0),
        MANY.to_batches()[0],
        MANY.slice(7, 50),
        pa.concat_tables([MANY.slice(0, 3), MANY.slice(3, 0), MANY.slice(3)]),
        MANY.set_column(1, "text", MANY["text"].dictionary_encode()),
        MANY.set_column(1, "text", MANY["text"].cast(pa.large_string())),
        MANY.set_column(1, "text", MANY["text"].cast(pa.string_view())),
        MANY.set_column(0, "id", pa.array(range(100), pa.int64())),
        Frame(MANY),
    ],
    ids=["empty", "batch", "slice", "chunks", "dictionary", "large", "views", "integers", "frame"],
)
def test_any_table(posts: Any) -> None:
    """However Arrow holds the rows, they are split as the plain table is, and numbered from 0."""
    parts = sluice.filter_table(posts, "default")
    table = pa.table(posts) if isinstance(posts, Frame) else posts
    texts = [str(text) for text in table.column("text").to_pylist()]
    kept = [row for row, text in enumerate(texts) if text != "no" and text != "x"]
    assert parts.kept["source_row"].to_pylist() == kept
    assert parts.kept["text"].to_pylist() == [texts[row] for row in kept]
    rejected = [row for row, text in enumerate(texts) if text == "no"]
    assert parts.rejected["source_row"].to_pylist() == rejected
    assert parts.scores.num_rows == len(kept)
    assert (parts.kept.schema, parts.rejected.schema) == (POST, REJECT)


def test_what_can_be_no_post() -> None:
    """Rows that an input file would lose are rejected with its reasons; the others stay."""
    table = pa.table(
        {
            "id": ["0", None, "2", "3", "4", "5"],
            "text": [TEXT, TEXT, None, "x" * 300_000, TEXT, " \n "],
            "created_at": [None, None, None, None, "yesterday", None],
        }
    )
    parts = sluice.filter_table(table, "default")
    assert parts.kept["post_id"].to_pylist() == ["0", "4"]
    rows = parts.rejected.select(["source_row", "kind", "reason"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (1, "malformed", "missing_post_id"),
        (2, "malformed", "missing_text"),
        (3, "malformed", "text_too_long"),
        (5, "policy", "empty_text"),
    ]


def test_columns_of_other_names() -> None:
    """The recipe's mapping of columns is that of files."""
    table = table_of(TEXT).rename_columns(["tweet_id", "body"])
    changed = {"input.columns.post_id": "tweet_id", "input.columns.text": "body"}
    parts = sluice.filter_table(table, "default", overrides=changed)
    assert parts.kept["post_id"].to_pylist() == ["0"]


def test_a_poison_post_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A post that makes a filter raise is a dead letter of kind error; no other is lost."""
    recipe = sluice.Recipe.load("default")
    identify, machines = batches.load_machines(recipe.filters, recipe.language.model)

    def poisoned(batch: Batch) -> Float32s:
        if "poison" in batch.text.to_pylist():
            raise ZeroDivisionError
        return np.ones(len(batch), np.float32) * 100

    changed = [(f, poisoned if f.name == "min_words" else score) for f, score in machines]
    monkeypatch.setattr(batches, "load_machines", lambda *_: (identify, changed))
    parts = sluice.filter_table(table_of(*[TEXT] * 5, "poison", *[TEXT] * 5), recipe)
    (row,) = parts.rejected.to_pylist()
    assert (row["source_row"], row["kind"], row["stage"]) == (5, "error", "min_words")
    assert row["reason"] == "ZeroDivisionError"
    assert parts.kept.num_rows == parts.scores.num_rows == 10


# --- what is refused -------------------------------------------------------------------------


def test_errors_name_the_key() -> None:
    """A column that is missing or of another type is refused with the recipe's key."""
    with pytest.raises(
        InputError, match=r"table: no column 'post_id' or 'id'.*input\.columns\.post_id"
    ):
        sluice.filter_table(pa.table({"text": [TEXT]}), "default")
    with pytest.raises(
        InputError, match=r"table: column 'text' for text must be a string, got int64"
    ):
        sluice.filter_table(pa.table({"id": ["1"], "text": [1]}), "default")
    with pytest.raises(TypeError, match=r"must be a pyarrow Table .* got list"):
        sluice.filter_table(cast("Any", [json.dumps({"id": 1})]), "default")
    with pytest.raises(RecipeError, match="no shipped recipe"):
        sluice.filter_table(MANY, "defualt")


def test_a_column_of_no_use(caplog: pytest.LogCaptureFixture) -> None:
    """An optional column that no post can have is left out, with one warning that names it."""
    table = table_of(TEXT).append_column("source", pa.array([{"name": "web"}]))
    parts = sluice.filter_table(table, "default")
    assert parts.kept["source"].to_pylist() == [None]
    assert [r.getMessage().partition(":")[0] for r in caplog.records] == ["table"]
    assert "column 'source' left out" in caplog.text
