"""The first records of the files: what is refused before any work, and what is noted once."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluice.pipeline.inputs.inventory import find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, check_inputs
from sluice.schemas.errors import InputError
from sluice.schemas.payloads.mapping import Constant, Sources
from tests.pipeline.inputs.test_reader import read

Rows = list[dict[str, Any]]
KINDS = ["jsonl", "jsonl.gz", "json", "csv", "parquet", "arrow"]


def write(folder: Path, rows: Rows, kind: str, name: str = "a") -> Path:
    """Writes rows of one set of keys as a file of a kind."""
    path = folder / f"{name}.{kind}"
    table = pa.Table.from_pylist(rows)
    if kind == "parquet":
        pq.write_table(table, path)
    elif kind == "arrow":
        with pa.ipc.new_file(path, table.schema) as sink:
            sink.write_table(table)
    elif kind == "csv":
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    elif kind == "json":
        path.write_text(json.dumps(rows, indent=1))
    else:
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(data) if kind.endswith("gz") else data)
    return path


def check(path: Path, **options: Any) -> tuple[str, ...]:
    """Returns the notes on a file or folder."""
    return check_inputs(find_inputs([str(path)]), ReadOptions(**options))


@pytest.mark.parametrize("kind", KINDS)
def test_a_mapping_to_nothing(tmp_path: Path, kind: str) -> None:
    """A source that no file has in its first records is refused with the closest name, in every format."""
    write(tmp_path, [{"id": "1", "text": "x", "thread": "t"}] * 2, kind)
    with pytest.raises(InputError) as error:
        check(tmp_path, columns={"conversation_id": "tread"})
    message = str(error.value)
    assert "no file has 'tread' for conversation_id in its first records" in message
    assert message.endswith(
        " are id, text, thread: set input.columns.conversation_id = \"...\"; did you mean 'thread'?"
    )
    check(tmp_path, columns={"conversation_id": ("tread", "thread")})


def test_a_csv_without_a_header_tells_no_text(tmp_path: Path) -> None:
    """Its first post stands where names should: the error counts the fields that read as no names."""
    (tmp_path / "a.csv").write_text(
        '7,"What was said in secret, then",en\n8,Another thing was said,en\n'
    )
    with pytest.raises(InputError) as error:
        check(tmp_path)
    assert "the fields of a.csv are en and 2 that read as no names (CSV needs" in str(error.value)
    assert "secret" not in str(error.value)


def test_names_in_another_case_are_hinted_at(tmp_path: Path) -> None:
    """A required column that is there in capitals is named."""
    (tmp_path / "a.csv").write_text("ID,Text\n7,What was said\n")
    with pytest.raises(InputError, match="did you mean 'ID'"):
        check(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("column", ["post_id", "text"])
def test_a_required_column_is_missing(tmp_path: Path, kind: str, column: str) -> None:
    """Files without ids or texts are refused with the key that fixes it; made ids need no column."""
    rows = [{"text": "x", "z": "1"}] if column == "post_id" else [{"id": "1", "z": "1"}]
    write(tmp_path, rows, kind)
    with pytest.raises(
        InputError, match=rf'for {column}.*input\.columns\.{column} = "\.\.\."'
    ) as error:
        check(tmp_path)
    assert ("input.ids" in str(error.value)) == (column == "post_id")
    if column == "post_id":
        check(tmp_path, ids="content")


def test_one_file_with_the_column_is_enough(tmp_path: Path) -> None:
    """A column may be missing in some of the files."""
    write(tmp_path, [{"id": "1", "text": "x"}], "jsonl", "a")
    write(tmp_path, [{"id": "1", "text": "x", "site": "s"}], "jsonl.gz", "b")
    assert check(tmp_path, columns={"source": "site"}) == ()


@pytest.mark.parametrize(
    "source", ["user.name", ("nothing", "user"), ("nothing", Constant("forum"))]
)
def test_what_is_no_mapping_to_nothing(tmp_path: Path, source: Sources) -> None:
    """Fields inside others, keys whose values are null, fallbacks and constants are sources."""
    (tmp_path / "a.jsonl").write_text('{"id":1,"text":"x","user":{"name":null}}\n')
    check(tmp_path, columns={"source": source})


@pytest.mark.parametrize("kind", KINDS)
def test_ids_that_were_floats(tmp_path: Path, kind: str) -> None:
    """Ids as floats of 2**53 or more are refused with column and remedy; smaller ones are exact."""
    path = write(tmp_path, [{"id": 1.5e18, "text": "x"}], kind)
    with pytest.raises(InputError, match=r"'id' for post_id is a float of 2\*\*53.*input\.ids"):
        check(path)
    path = write(tmp_path, [{"id": 12.0, "text": "x"}], kind)
    assert check(path) == ()
    assert [row["post_id"] for row in read(path).posts] == ["12"]


def test_ids_that_were_floats_in_csv(tmp_path: Path) -> None:
    """Ids that CSV has as floats are exact where they can be, and else dead letters or unknown."""
    (tmp_path / "a.csv").write_text(
        "id,text,in_reply_to_id\n12.0,x,1.5e+18\n1.5e+18,y,\n1e2,z,a.b\n7,w, 8.0\n"
    )
    found = read(tmp_path / "a.csv")
    assert [(p["post_id"], p["in_reply_to_id"]) for p in found.posts] == [
        ("12", None),
        ("100", "a.b"),
        ("7", "8"),
    ]
    assert found.reasons() == [(1, "inexact_id")]


def test_a_column_of_no_use_is_noted_once(tmp_path: Path) -> None:
    """An optional field that is found by its name and holds nothing of use is one note."""
    for name in "abcde":
        rows = [{"id": "1", "text": "x", "source": {"name": "web"}}]
        write(tmp_path, rows, "parquet", name)
    (note,) = check(tmp_path)
    assert note.startswith("a.parquet, b.parquet, c.parquet and 2 more: column 'source' left out")
    (tmp_path / "f.jsonl").write_text('{"id":1,"text":"x","media":["u"]}\n')
    (note,) = check(tmp_path / "f.jsonl")
    assert note == (
        "f.jsonl: field 'media' for media must be a list of structs of strings, is an array: it is null; set "
        'input.columns.media = "..."'
    )


def test_notices_and_damage_say_nothing_of_columns(tmp_path: Path) -> None:
    """Files of notices, broken records or damaged bytes are left to the reader."""
    (tmp_path / "a.jsonl").write_text('{"delete":{"status":{"id":1}}}\nno JSON\n[]\n')
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b'{"id":1}\n' * 99)[:20])
    assert check(tmp_path) == ()


@pytest.mark.parametrize("kind", KINDS)
def test_folders_that_are_columns(tmp_path: Path, kind: str) -> None:
    """The key=value folders above a file are columns, where the file has no value of its own."""
    for lang in ("en", "pt%2DBR", "__HIVE_DEFAULT_PARTITION__"):
        folder = tmp_path / "posts" / "site=forum" / f"lang={lang}"
        folder.mkdir(parents=True)
        write(folder, [{"id": "1", "text": "x"}], kind)
    found = read(tmp_path, columns={"source": "site"}).posts
    languages = {(row["declared_lang"], row["source"]) for row in found}
    assert languages == {("en", "forum"), ("pt-BR", "forum"), (None, "forum")}
    check(tmp_path, columns={"source": "site"})
    alone = read(tmp_path / "posts" / "site=forum" / "lang=en")
    assert [row["declared_lang"] for row in alone.posts] == ["en"]


def test_a_value_of_its_own_comes_before_the_folder(tmp_path: Path) -> None:
    """A row's own value counts; the folder fills in where it is null."""
    folder = tmp_path / "lang=en"
    folder.mkdir()
    (folder / "a.jsonl").write_text(
        '{"id":1,"text":"x","lang":"de"}\n{"id":2,"text":"x","lang":null}\n'
    )
    assert [row["declared_lang"] for row in read(tmp_path).posts] == ["de", "en"]
