"""What a file is: its first bytes say, its name where they do not, and notes tell of the rest."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.pipeline.inputs.first_bytes import look_into
from sluice.pipeline.inputs.inventory import find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, check_inputs
from sluice.pipeline.inputs.sources import pieces_source
from sluice.schemas.errors import InputError
from tests.pipeline.inputs.containers import CODECS, archive, arrow, json_lines, parquet

MARK = b"\xef\xbb\xbf"


def told(data: bytes, name: str = "posts") -> str:
    """Returns what bytes of a name are, or why they are no data."""
    found, _ = look_into(pieces_source(iter([data])), name)
    return str(found.format) if found.format is not None else found.reason


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (json_lines(0, 3), "json"),
        (b'\n  {\n "id": 1\n}', "json"),
        (b'[{"id": 1}]', "json"),
        (b"[\n", "json"),
        (MARK * 2 + b'{"id": 1}', "json"),
        (b'broken"}\n{"id": 1}\n', "json"),
        ('\ufeff{"id": 1}'.encode("utf-16-be"), "json (utf-16-be)"),
        ('{"id": 1}'.encode("utf-16-le"), "json (utf-16-le)"),
        (b"id,text\n1,one\n", "csv"),
        (MARK + b'"id";"text"\r\n1;"a ""b""\nc"\r\n', "csv"),
        ("\ufeffid,text\n1,one\n".encode("utf-16-le"), "csv (utf-16-le)"),
        (b"id\ttext\n1\tone, two\n", "tsv"),
        (parquet(0, 3), "parquet"),
        (arrow(0, 3, stream=False), "arrow"),
        (arrow(0, 3, stream=True), "arrow_stream"),
        (archive([("a.json", b"{}")]), "tar"),
        (b"PK\x03\x04 and more", "a zip archive, which is not read"),
        ('{"id": 1}'.encode("utf-32"), "UTF-32 text, which is not read"),
        (b"# Posts\n\nThese are posts, and more.\n", "neither JSON nor CSV"),
        (b"[section]\nkey = 1\n", "neither JSON nor CSV"),
        (b"[tool.ruff]\nkey = 1\n", "neither JSON nor CSV"),
        (b"[null, 1]", "json"),
        (bytes(99) + b'\n{"id": 1}\n', "json"),
        (b"0123abc  a.jsonl\n4567def  b.jsonl\n", "neither JSON nor CSV"),
        (b"One, two, three\nand no more\n", "neither JSON nor CSV"),
    ],
)
def test_what_bytes_are(data: bytes, what: str) -> None:
    """A file without a telling name is what its bytes are, plain and in every codec."""
    assert told(data).startswith(what)
    for codec, packed in CODECS.items():
        layered = what.replace("json", f"json.{codec}").replace("csv", f"csv.{codec}")
        if what in ("json", "csv", "tsv", "parquet", "arrow", "arrow_stream", "tar"):
            assert told(packed(data)) == f"{what}.{codec}"
        else:
            assert told(packed(data)).startswith(layered)


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("a.jsonl", b"not json", "json"),
        ("a.csv", b"text\none\n", "csv"),
        ("a.tsv", b"text\none\n", "tsv"),
        ("a.csv", b"id\ttext\n1\tone\n", "tsv"),
        ("a.csv", b'{"id": 1}\n', "json"),
        ("a.jsonl.gz", b"\0\1\2\3", "json.gz"),
        ("a.jsonl.gz", b"\x1f", "json.gz"),
        ("a.jsonl.gz", b'{"id": 1}\n', "json"),
        ("a.gz", gzip.compress(b'{"id": 1}\n', mtime=0), "json.gz"),
        ("a.parquet", b"\0\1\2", "parquet"),
        ("a.arrow", b"\0\1\2", "arrow_stream"),
        ("a.txt", b"\n \n", "json"),
    ],
)
def test_what_names_decide(name: str, data: bytes, what: str) -> None:
    """A name decides between contents that bytes do not tell apart, and what damaged bytes were to be."""
    assert told(data, name) == what


@given(
    st.binary(max_size=2000),
    st.sampled_from(["a", "a.jsonl", "a.csv.gz", "a.tar.zst", "a.parquet"]),
)
def test_any_bytes_are_something(data: bytes, name: str) -> None:
    """Looking at bytes never fails: they are data, or there is a reason why not."""
    assert told(data, name)


def test_layers_are_bounded() -> None:
    """Compression in compression is taken off four times, and refused beyond."""
    data = json_lines(0, 1)
    for depth in range(6):
        assert told(data) == (
            "json" + ".gz" * depth if depth <= 4 else "more than 4 layers of compression"
        )
        data = gzip.compress(data)


# --- folders and notes -----------------------------------------------------------------------

BESIDE = {
    "README.md": b"# Posts, in JSON",
    "LICENSE": b"Be kind",
    "SHA256SUMS": b"0123  a.jsonl",
    "a.jsonl.crc": b"crc",
    "dataset_info.json": b'{"splits": {}}',
    "state.json": b'{"_data_files": []}',
    "_SUCCESS": b"",
    ".hidden.json": b"{}",
    "_temporary/0/part.jsonl": json_lines(0, 1),
    "notes.txt": b"Dear reader,\nthis is prose.\n",
    "all.zip": b"PK\x03\x04",
}


def written(folder: Path, files: dict[str, bytes]) -> Path:
    """Writes files into a folder."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_a_folder_is_its_data_files(tmp_path: Path) -> None:
    """What else is in a folder is left out, and named once."""
    written(tmp_path, {**BESIDE, "a.jsonl": json_lines(0, 2), "deep/b": json_lines(2, 4)})
    inventory = find_inputs([str(tmp_path)])
    assert [file.path for file in inventory.files] == ["a.jsonl", "deep/b"]
    misnamed, left_out = inventory.notes
    assert misnamed.endswith("read as json by the first bytes: deep/b")
    assert left_out.startswith(
        "11 files left out, as no data: .hidden.json, LICENSE, README.md and 6 more;"
    )
    assert "all.zip: a zip archive, which is not read" in left_out
    assert "notes.txt: neither JSON nor CSV" in left_out
    inventory = find_inputs([f"{tmp_path}/*"])
    assert [file.path for file in inventory.files] == ["a.jsonl"]
    assert inventory.notes[0].startswith("9 files left out, as no data: LICENSE, README.md")


def test_what_is_named_outright_is_data_or_an_error(tmp_path: Path) -> None:
    """A path or a pattern that names what is no data is an error with the reason."""
    written(tmp_path, {**BESIDE, "a.jsonl": json_lines(0, 2)})
    for name, reason in (("all.zip", "a zip archive"), ("*.txt", "neither JSON nor CSV")):
        with pytest.raises(InputError, match=f"{reason}.*; read are JSON, CSV"):
            find_inputs([str(tmp_path / "a.jsonl"), str(tmp_path / name)])
    assert [f.path for f in find_inputs([f"{tmp_path}/state.json"]).files] == ["state.json"]


def test_a_folder_without_data(tmp_path: Path) -> None:
    """A folder that holds no data file says what it holds."""
    with pytest.raises(
        InputError, match=r"no posts in the input: 11 files left out, as no data: .*"
    ):
        find_inputs([str(written(tmp_path, BESIDE))])


def test_files_of_no_bytes(tmp_path: Path) -> None:
    """Empty files beside others are a note; an input of nothing else is an error that names them."""
    written(tmp_path, {"a.jsonl.gz": b"", "b.parquet": b"", "c.jsonl": b" \n", "d.zst": b""})
    inventory = find_inputs([str(tmp_path)])
    assert inventory.notes == (
        "4 files without a record: a.jsonl.gz, b.parquet, c.jsonl and 1 more",
    )
    check_inputs(inventory, ReadOptions())
    (tmp_path / "c.jsonl").unlink()
    with pytest.raises(
        InputError, match=r"no posts in the input: 3 files without a record: a\.jsonl"
    ):
        check_inputs(find_inputs([str(tmp_path)]), ReadOptions())


def test_a_damaged_file_is_not_called_empty(tmp_path: Path) -> None:
    """A file of which nothing can be decoded has its dead letter, and no note that there is no record."""
    packed = CODECS["bz2"](json_lines(0, 9))
    written(tmp_path, {"a.json.bz2": packed[:-20], "b.json.gz": gzip.compress(b"")})
    assert find_inputs([str(tmp_path)]).notes == ("1 file without a record: b.json.gz",)


def test_notes_are_one_a_kind(tmp_path: Path) -> None:
    """Files that are misnamed in the same way are one note, with the first three names."""
    written(tmp_path, {f"{i}.jsonl.gz": json_lines(i, i + 1) for i in range(5)})
    assert find_inputs([str(tmp_path)]).notes == (
        "5 files named as json.gz, read as json by the first bytes: "
        "0.jsonl.gz, 1.jsonl.gz, 2.jsonl.gz and 2 more",
    )
