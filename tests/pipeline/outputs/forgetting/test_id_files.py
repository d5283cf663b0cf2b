"""Files of ids: every form gives the same ids, exactly; what is none is named."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.pipeline.outputs.forgetting.id_files import read_authors, read_post_ids
from sluice.schemas.errors import InputError
from sluice.schemas.notice import DELETIONS

IDS = ["1", "18446744073709551617", "at://did:plc:a/app.bsky.feed.post/3", "t3_ä"]
LETTERS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1)


def _parquet(path: Path, ids: list[str], name: str) -> None:
    pq.write_table(pa.table({"other": [0] * len(ids), name: ids}), path)


def _csv(path: Path, ids: list[str], name: str) -> None:
    quoted = ['"' + i.replace('"', '""') + '"' for i in ids]
    path.write_text(f"other,{name}\n" + "".join(f"0,{i}\n" for i in quoted))


def _json(path: Path, ids: list[str], name: str) -> None:
    path.write_text("".join(json.dumps({"other": {}, name: i}) + "\n" for i in ids))


def _text(path: Path, ids: list[str], name: str) -> None:
    path.write_text("".join(f" {i}\r\n\n" for i in ids))


FORMS: dict[str, Callable[[Path, list[str], str], None]] = {
    "parquet": _parquet,
    "csv": _csv,
    "jsonl": _json,
    "ndjson": _json,
    "txt": _text,
    "list": _text,
}


@pytest.mark.parametrize("ending", FORMS)
@pytest.mark.parametrize("name", ["post_id", "id"])
def test_forms(tmp_path: Path, ending: str, name: str) -> None:
    """Text, CSV, JSON Lines and Parquet; an id that is there twice is one; the order stays."""
    FORMS[ending](tmp_path / f"ids.{ending}", [*IDS, IDS[0]], name)
    assert read_post_ids(str(tmp_path / f"ids.{ending}")).to_pylist() == IDS


@given(st.lists(LETTERS, min_size=1, unique=True), st.sampled_from(["csv", "jsonl", "txt"]))
def test_any_ids(tmp_path_factory: pytest.TempPathFactory, ids: list[str], ending: str) -> None:
    """Whatever letters ids have, they come back."""
    path = tmp_path_factory.mktemp("ids") / f"ids.{ending}"
    FORMS[ending](path, ids, "id")
    assert read_post_ids(str(path)).to_pylist() == ids


def test_integers(tmp_path: Path) -> None:
    """Whole numbers are ids, digit for digit; floats are refused, as they may have lost some."""
    big = 2**63 - 1
    (tmp_path / "a.jsonl").write_text(f'{{"id": {big}}}\n')
    pq.write_table(pa.table({"id": [big]}), tmp_path / "b.parquet")
    for name in ("a.jsonl", "b.parquet"):
        assert read_post_ids(str(tmp_path / name)).to_pylist() == [str(big)]
    pq.write_table(pa.table({"id": [1.0]}), tmp_path / "c.parquet")
    (tmp_path / "d.jsonl").write_text('{"id": 1}\n{"id": 1.5}\n')
    with pytest.raises(InputError, match=r"c\.parquet: id is of type float"):
        read_post_ids(str(tmp_path / "c.parquet"))
    with pytest.raises(InputError, match=r"d\.jsonl: line 2: .*\$\.id"):
        read_post_ids(str(tmp_path / "d.jsonl"))


def test_folders_globs_and_packed_files(tmp_path: Path) -> None:
    """A folder and a glob are all of their files; the name says that a file is packed."""
    (tmp_path / "1.txt").write_text("a\nb\n")
    (tmp_path / "2.csv.gz").write_bytes(gzip.compress(b"id\nb\nc\n"))
    assert read_post_ids(str(tmp_path)).to_pylist() == ["a", "b", "c"]
    assert read_post_ids(f"{tmp_path}/*.gz").to_pylist() == ["b", "c"]


def test_deletions_of_a_run(tmp_path: Path) -> None:
    """What a run writes is a file of posts and one of authors: rows with an id, rows without."""
    rows = [
        {"platform": "x", "id": "7", "author_id": "1", "time": None},
        {"platform": "x", "id": None, "author_id": "2", "time": None},
    ]
    path = tmp_path / "deletions-00000.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=DELETIONS), path)
    assert read_post_ids(str(path)).to_pylist() == ["7"]
    assert read_authors(str(path)).to_pylist() == [
        {"platform": "x", "author_id": "2", "author_key": None}
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("author_id,platform\n1,x\n1,x\n1,bluesky\n", [("x", "1", None), ("bluesky", "1", None)]),
        ("author_key\nab\n", [(None, None, "ab")]),
        ("id\n1\n", [(None, "1", None)]),
        ("author_id,author_key\n1,\n,ab\n,\n", [(None, "1", None), (None, None, "ab")]),
    ],
)
def test_authors(
    tmp_path: Path, text: str, wanted: list[tuple[str | None, str | None, str | None]]
) -> None:
    """By id and platform, by key, or by an id alone; a row that names nobody is left out."""
    (tmp_path / "authors.csv").write_text(text)
    rows = read_authors(str(tmp_path / "authors.csv")).to_pylist()
    assert [tuple(row.values()) for row in rows] == wanted


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "a.csv",
            b"name,age\nx,1\n",
            r"a\.csv: must have a column post_id or id; it has name, age",
        ),
        ("a.txt", b"\n \n", r"a\.txt: holds no id; --ids names a file of posts' ids"),
        ("a.txt", b"\xff\n", r"a\.txt: cannot be read as ids: .*utf-8"),
        ("a.parquet", b"PAR1", r"a\.parquet: cannot be read as ids"),
        ("a.txt.gz", b"plain", r"a\.txt\.gz: cannot be read as ids"),
        ("a.jsonl", b"{}\n", r"a\.jsonl: must have a column post_id or id"),
        ("a.jsonl", b"[1]\n", r"a\.jsonl: line 1: "),
    ],
)
def test_what_is_no_file_of_ids(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    """The error names the file, the line where there is one, and what is asked for."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_post_ids(str(tmp_path / name))


def test_no_file(tmp_path: Path) -> None:
    """A path that names nothing is an error with the names that are there."""
    (tmp_path / "ids.txt").write_text("1\n")
    with pytest.raises(InputError, match=r"did you mean 'ids\.txt'"):
        read_post_ids(str(tmp_path / "idz.txt"))
