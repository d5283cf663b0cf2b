"""What `sluice export` writes is what the shards hold, as we read it and as the libraries do."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.pipeline import cli
from sluice.pipeline.outputs.export import ExportCounts, export
from sluice.pipeline.outputs.reassemble import Sources
from sluice.pipeline.phases.tokens.packed_files import PROVENANCE
from sluice.pipeline.storage.output_folder import COMPLETED
from sluice.pipeline.storage.sealed import file_digest
from sluice.schemas.counts import PhaseCounts
from sluice.schemas.errors import LedgerError, OutputError
from sluice.schemas.manifest import ContractFile, Manifest, ShardFile, TokenFormat
from sluice.schemas.report import PostReport, TokenLedger, TokenReport
from sluice.schemas.token_shard import ShardFormat
from tests.tokenizer.shard_files import write_shard

PAD = 0

Tokens = list[int]


class Piece(NamedTuple):
    """A run of tokens of one post that stands in one sequence."""

    post_id: str
    number: int
    tokens: Tokens


Part = list[Piece]
"""What of a document stands together in one sequence."""
Document = list[Part]


# --- made outputs --------------------------------------------------------------------------------


@st.composite
def cut_documents(draw: st.DrawFn) -> list[Document]:
    """Documents of one or more posts, cut inside of posts into parts of at most 8 tokens."""
    made = []
    for number in range(draw(st.integers(1, 8))):
        document: Document = [[]]
        for post in range(draw(st.integers(1, 3))):
            lengths = draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))
            for piece, length in enumerate(lengths):
                room = 8 - sum(len(p.tokens) for p in document[-1])
                if piece or length > room:
                    if not piece and document[-1]:
                        break  # a cut between posts leaves no trace in the provenance
                    document += [[]] * bool(document[-1])
                    document[-1] = []
                tokens = draw(st.lists(st.integers(3, 99), min_size=length, max_size=length))
                document[-1].append(Piece(f"{number}-{post}", piece, tokens))
        made.append(document)
    return made


def packed(parts: list[Part], length: int = 8) -> list[list[Part]]:
    """Returns sequences of parts, next fit."""
    sequences: list[list[Part]] = []
    room = 0
    for part in parts:
        size = sum(len(piece.tokens) for piece in part)
        if size > room:
            sequences.append([])
            room = length
        sequences[-1].append(part)
        room -= size
    return sequences


def write_sequences(folder: Path, stem: str, sequences: list[list[Part]], shard: int) -> int:
    """Writes a shard, or the leftover, with its provenance; returns its tokens."""
    rows, tokens, ends = [], [], []
    for number, parts in enumerate(sequences):
        row: Tokens = []
        ends.append([])
        for part in parts:
            for piece in part:
                place = (shard, number, len(row), len(piece.tokens))
                rows.append((*place, piece.post_id, piece.number, 0))
                row += piece.tokens
            ends[-1].append(len(row))
        tokens.append(row + [PAD] * (8 - len(row)))
    names = ("tokens", "provenance") if shard >= 0 else ("leftover", "leftover")
    path = folder / names[0] / f"{stem}.arrow"
    path.parent.mkdir(exist_ok=True)
    column = pa.array(ends, pa.list_(pa.field("item", pa.int32())))
    write_shard(path, [(np.array(tokens, np.int32), column)], format=ShardFormat(8, 100, PAD, 2))
    table = pa.table(
        {name: [row[i] for row in rows] for i, name in enumerate(PROVENANCE.names)}, PROVENANCE
    )
    path = folder / names[1] / f"{stem if shard >= 0 else 'provenance'}.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table, path)
    return sum(row[3] for row in rows)


def contract_file(folder: Path, path: Path) -> ContractFile:
    name = str(path.relative_to(folder))
    return ContractFile(path=name, bytes=path.stat().st_size, sha256="")


def write_output(
    folder: Path,
    shards: list[list[list[Part]]],
    leftover: list[list[Part]],
    *,
    shared_ids: int = 0,
) -> Path:
    """Writes as much of an output as an export reads."""
    folder.mkdir()
    written = []
    for number, sequences in enumerate(shards):
        stem = f"tokens-{number:05d}-of-{len(shards):05d}"
        tokens = write_sequences(folder, stem, sequences, number)
        file = contract_file(folder, folder / "tokens" / f"{stem}.arrow")
        written.append(
            ShardFile(**msgspec.structs.asdict(file), sequences=len(sequences), tokens=tokens)
        )
    outside = write_sequences(folder, "tokens", leftover, -1) if leftover else 0
    manifest = Manifest(
        manifest_version=1,
        sluice="",
        recipe={},
        fingerprints={"tokens": "0" * 64},
        inputs=[],
        models=[],
        phases=PhaseCounts(),
        posts=PostReport(),
        tokens=TokenReport(),
        token_ledger=TokenLedger(),
        format=TokenFormat(
            sequence_length=8, vocabulary_size=100, pad_id=PAD, eod_id=2, sequences_per_shard=0
        ),
        shards=written,
        files=[contract_file(folder, path) for path in sorted(folder.glob("*/*"))],
    )
    manifest.phases.tokens.shard.leftover.tokens = outside
    manifest.phases.dedup.resolve.shared_ids = shared_ids
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    (folder / COMPLETED).write_text("")
    return folder


def flat(parts: list[Part]) -> Tokens:
    return [token for part in parts for piece in part for token in piece.tokens]


def read_megatron(prefix: Path) -> list[Tokens]:
    """Returns the items of a dataset, by the lengths in its index."""
    tokens_T = np.fromfile(prefix.with_suffix(".bin"), "<i4")
    index = prefix.with_suffix(".idx").read_bytes()
    (num_items,) = np.frombuffer(index, "<u8", 1, 18)
    lengths_I = np.frombuffer(index, "<i4", num_items, 34)
    return [row.tolist() for row in np.split(tokens_T, np.cumsum(lengths_I)[:-1])]


def exported(output: Path, folder: Path, **options: Any) -> list[Tokens]:
    """Exports documents for Megatron and reads them."""
    export(str(output), "megatron", str(folder), items="documents", **options)
    return read_megatron(folder / "documents")


def placed(sequences: list[list[Part]]) -> list[Part]:
    """Returns the parts in the order of their places."""
    return [part for parts in sequences for part in parts]


class Made(NamedTuple):
    """A made output and what it was made from."""

    output: Path
    documents: list[Document]
    shards: list[list[list[Part]]]
    leftover: list[list[Part]]


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[Document], list[list[list[Part]]], list[list[Part]]]:
    """Documents, and their parts in any order in shards and leftover."""
    documents = draw(cut_documents())
    sequences = packed(draw(st.permutations([part for doc in documents for part in doc])))
    num_shards = draw(st.integers(1, min(3, len(sequences))))
    each = draw(st.integers(1, len(sequences) // num_shards))
    shards = [sequences[k * each : (k + 1) * each] for k in range(num_shards)]
    return documents, shards, sequences[num_shards * each :]


@given(layout=layouts())
def test_documents_come_back(layout: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With the leftover, the items are the documents, in the order of their first parts."""
    documents, shards, leftover = layout
    folder = tmp_path_factory.mktemp("export")
    output = write_output(folder / "out", shards, leftover)
    places = {
        id(part): at for at, part in enumerate(placed([*itertools.chain(*shards), *leftover]))
    }
    expected = sorted(documents, key=lambda parts: places[id(parts[0])])
    assert exported(output, folder / "to", leftover=True) == [flat(parts) for parts in expected]


@given(layout=layouts())
def test_documents_of_the_shards_alone(
    layout: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Without the leftover, an item is as many parts as follow each other in the shards."""
    documents, shards, leftover = layout
    folder = tmp_path_factory.mktemp("export")
    output = write_output(folder / "out", shards, leftover)
    places = {id(part): at for at, part in enumerate(placed([*itertools.chain(*shards)]))}
    items: list[list[Part]] = []
    for document in documents:
        previous = False
        for part in document:
            inside = id(part) in places
            if inside and previous:
                items[-1].append(part)
            elif inside:
                items.append([part])
            previous = inside
    expected = sorted(items, key=lambda parts: places[id(parts[0])])
    assert exported(output, folder / "to") == [flat(parts) for parts in expected]


def one_by_one(*parts: Part) -> list[list[Part]]:
    """Returns sequences of one part each."""
    return [[part] for part in parts]


FIRST, SECOND = [Piece("x", 0, [5] * 8)], [Piece("x", 1, [6, 2])]


def test_a_document_that_stands_twice(tmp_path: Path) -> None:
    """Copies of a document that are cut alike are each put together."""
    sequences = one_by_one(SECOND, FIRST, [Piece("y", 0, [7])], FIRST, SECOND)
    output = write_output(tmp_path / "out", [sequences], [])
    whole = [*[5] * 8, 6, 2]
    assert exported(output, tmp_path / "to") == [whole, [7], whole]


def test_copies_that_are_cut_otherwise_are_refused(tmp_path: Path) -> None:
    """Where nothing says which pieces belong together, no document is invented."""
    other = [Piece("x", 0, [5] * 7)], [Piece("x", 1, [5, 6, 2])]
    output = write_output(tmp_path / "out", [one_by_one(FIRST, SECOND, *other)], [])
    with pytest.raises(OutputError, match=r"post 'x' is in several documents .* --items seq"):
        exported(output, tmp_path / "to")
    assert not (tmp_path / "to").exists()
    exported_sequences = export(str(output), "megatron", str(tmp_path / "to"), items="sequences")
    assert exported_sequences.counts == ExportCounts(4, 20)


def test_cut_posts_that_share_an_id_are_refused(tmp_path: Path) -> None:
    """Pieces of equal lengths may be of two posts of one id: they are not put together by guess."""
    other = [Piece("x", 0, [4] * 8)], [Piece("x", 1, [3, 2])]
    sequences = one_by_one(FIRST, SECOND, *other)
    output = write_output(tmp_path / "out", [sequences], [], shared_ids=1)
    with pytest.raises(OutputError, match=r"post 'x' is in several documents .* of several posts"):
        exported(output, tmp_path / "to")
    uncut = one_by_one(FIRST, SECOND, [Piece("y", 0, [4])], [Piece("y", 0, [3])])
    output = write_output(tmp_path / "whole", [uncut], [], shared_ids=1)
    assert exported(output, tmp_path / "whole-to") == [[*[5] * 8, 6, 2], [4], [3]]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An output of two documents, one of them cut, and a leftover."""
    return write_output(
        tmp_path / "out", [one_by_one(FIRST, SECOND)], one_by_one([Piece("z", 0, [9, 2])])
    )


def test_the_folder_must_be_empty(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that holds something, or a file, is left alone; an empty folder is taken."""
    folder = tmp_path / "to"
    folder.mkdir()
    assert cli.main(["export", str(small), "mds", str(folder)]) == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert cli.main(["export", str(small), "megatron", str(folder)]) == 2
    assert "must be new or empty" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert cli.main(["export", str(small), "mds", str(small / COMPLETED)]) == 2


def test_another_export_at_work(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What another export, or a killed one, is writing is not touched, and the message names it."""
    (tmp_path / "to.part").mkdir()
    assert cli.main(["export", str(small), "mds", str(tmp_path / "to")]) == 2
    assert f"delete {tmp_path / 'to.part'}" in capsys.readouterr().err
    assert (tmp_path / "to.part").exists()


def test_a_failure_leaves_nothing(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export that fails half-way leaves neither the folder nor its beginnings."""

    def fail(self: Sources) -> Iterator[Any]:
        raise OSError(28, "no space left")

    monkeypatch.setattr(Sources, "batches", fail)
    assert cli.main(["export", str(small), "mds", str(tmp_path / "to")]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_tokens_must_be_those_of_the_manifest(small: Path, tmp_path: Path) -> None:
    """Other tokens than the manifest counts are an error, and no folder appears."""
    path = small / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["shards"][0]["tokens"] += 1
    path.write_text(json.dumps(manifest))
    with pytest.raises(LedgerError, match="10 tokens were exported, the manifest says 11"):
        export(str(small), "mds", str(tmp_path / "to"))
    assert not (tmp_path / "to").exists()


def test_what_cannot_be_exported(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shard that was cut, a run that did not finish, a folder without one: exit code 2 and why."""
    to = ["mds", str(tmp_path / "to")]
    shard = small / "tokens" / "tokens-00000-of-00001.arrow"
    shard.write_bytes(shard.read_bytes()[:-1])
    assert cli.main(["export", str(small), *to]) == 2
    assert "tokens-00000-of-00001.arrow: has" in capsys.readouterr().err
    (small / COMPLETED).unlink()
    assert cli.main(["export", str(small), *to]) == 2
    assert "no COMPLETED: the run did not finish" in capsys.readouterr().err
    (small / "manifest.json").unlink()
    assert cli.main(["export", str(small), *to]) == 2
    assert "no manifest.json" in capsys.readouterr().err


def test_all_is_left_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no shard holds a token, the message names the option; with it, all is exported."""
    output = write_output(tmp_path / "out", [], one_by_one(FIRST, SECOND))
    arguments = ["export", str(output), "megatron", str(tmp_path / "to")]
    assert cli.main(arguments) == 2
    assert "see `--leftover`" in capsys.readouterr().err
    assert cli.main([*arguments, "--leftover"]) == 0
    assert read_megatron(tmp_path / "to" / "documents") == [[*[5] * 8, 6, 2]]


def test_export_json_and_what_is_printed(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Counts and files are those of what was written, and are printed."""
    arguments = ["export", str(small), "mds", str(tmp_path / "to"), "--leftover"]
    assert cli.main(arguments) == 0
    about = json.loads((tmp_path / "to" / "export.json").read_text())
    assert about["counts"] == {"items": 3, "tokens": 12, "padding": 12, "emptied": 0}
    assert (about["format"], about["items"], about["leftover"]) == ("mds", "sequences", True)
    assert [entry["path"] for entry in about["files"]] == ["index.json", "shard.00000.mds"]
    for entry in about["files"]:
        found = file_digest(str(tmp_path / "to" / entry["path"]))
        assert found == (entry["bytes"], entry["sha256"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:2] for line in lines[:3]] == [
        ["sequences", "3"],
        ["tokens", "12"],
        ["padding", "12"],
    ]


# --- the main job, read by the libraries themselves ------------------------------------------------
