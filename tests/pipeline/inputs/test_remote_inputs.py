"""Inputs in an S3-compatible store: the same posts, rows and rejects as from local files."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluice.pipeline.inputs.inventory import cut, find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, check_inputs, read_unit
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.schemas.errors import InputError
from tests.pipeline.runs import Job, contract_bytes, run

OPTIONS = ReadOptions(block_bytes=1 << 16, batch_rows=500)


@pytest.fixture
def tree(job: Job, tmp_path: Path) -> Path:
    """The sample's posts in every format, some of them broken, in folders."""
    folder = tmp_path / "tree"
    (folder / "day-1").mkdir(parents=True)
    (folder / "day-2" / "hour").mkdir(parents=True)
    (folder / "_temporary").mkdir()
    packed = sorted(job.sample.glob("posts-*.jsonl.gz"))[0].read_bytes()
    (folder / "day-1" / "a.jsonl.gz").write_bytes(packed)
    (folder / "day-1" / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    lines = [f'{{"id": "{i}", "text": "a post with the number {i}"}}' for i in range(3000)]
    lines[7] = "not json"
    (folder / "day-2" / "b.jsonl").write_text("\n".join(lines))
    table = pa.table({"id": list(range(2000)), "text": [f"row {i}" for i in range(2000)]})
    pq.write_table(table, folder / "day-2" / "hour" / "c.parquet", row_group_size=700)
    with pa.ipc.new_file(folder / "day-2" / "d.arrow", table.schema) as file:
        file.write_table(table, max_chunksize=600)
    with pa.ipc.new_stream(folder / "day-2" / "e.arrow", table.schema) as stream:
        stream.write_table(table, max_chunksize=600)
    (folder / "_temporary" / "x.jsonl").write_text("{}")
    return folder


def upload(folder: Path, to: str) -> None:
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        storage.write_bytes(f"{to}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def everything(pattern: str, *, identity: str = "sha256") -> tuple[list, list, list]:
    """All that reading a pattern gives: the files, the posts and the rejects."""
    inventory = find_inputs([pattern], identity=identity)
    check_inputs(inventory, OPTIONS)
    posts, rejected = [], []
    for unit in cut(inventory, unit_bytes=1 << 15):
        with local_copies.scope():
            for read in read_unit(inventory.root, unit, OPTIONS):
                posts += read.posts.to_pylist()
                rejected += read.rejected.to_pylist()
    return [(f.path, f.bytes, f.sha256, f.format) for f in inventory.files], posts, rejected


def test_a_bucket_reads_like_a_folder(tree: Path, bucket: str) -> None:
    """Every format, broken files too, gives the same files, posts and rejects from S3 as from a disk."""
    upload(tree, f"{bucket}/in")
    files, posts, rejected = everything(f"{bucket}/in")
    assert (files, posts, rejected) == everything(str(tree))
    assert len(files) == 6
    assert {r["reason"] for r in rejected} >= {"not_json", "truncated_input"}


def test_patterns_on_a_bucket(tree: Path, bucket: str) -> None:
    """Wildcards mean on S3 what they mean on a disk, and a miss says what is there."""
    upload(tree, f"{bucket}/in")
    for pattern in ("*/*.jsonl*", "day-?/**/*.parquet", "**", "day-[!1]/b.jsonl"):
        found = [f.path for f in find_inputs([f"{bucket}/in/{pattern}"]).files]
        assert found == [f.path for f in find_inputs([f"{tree}/{pattern}"]).files]
    with pytest.raises(InputError, match=r"did you mean 'day-1'"):
        find_inputs([f"{bucket}/in/dax-1*/x.jsonl"])
    with pytest.raises(InputError, match="no such file, and no folder"):
        find_inputs([f"{bucket}/nothing"])


def test_a_listing_is_an_identity_that_reads_only_first_bytes(
    tree: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With identity = listing a compressed input is looked at first, not read, and a change shows."""
    upload(tree / "day-1", f"{bucket}/in")
    inventory = find_inputs([f"{bucket}/in"], identity="listing")
    with monkeypatch.context() as patch:
        patch.setattr(storage, "open_input", lambda path: pytest.fail(f"{path} was opened"))
        cut(inventory)
    assert all(f.sha256 == "" and f.modified_ns > 0 for f in inventory.files)
    assert [f.about()["path"] for f in inventory.files] == ["a.jsonl.gz", "cut.jsonl.gz"]
    storage.write_bytes(f"{bucket}/in/a.jsonl.gz", b"shorter")
    again = find_inputs([f"{bucket}/in"], identity="listing")
    assert again.files[0].identity != inventory.files[0].identity
    assert again.files[1].identity == inventory.files[1].identity


@pytest.mark.slow
def test_the_job_over_a_bucket_has_the_same_bytes(job: Job, bucket: str, tmp_path: Path) -> None:
    """Inputs in S3, output on a disk: not a byte of the output differs from that of local inputs."""
    upload(job.sample, f"{bucket}/day")
    out = tmp_path / "out"
    assert run(job, out, inputs=f"{bucket}/day/posts-*.jsonl.gz") == 0
    folders = ("tokens", "provenance", "leftover", "rejects", "tokenizer")
    assert contract_bytes(out, *folders) == contract_bytes(job.output, *folders)
    assert (out / "manifest.json").read_bytes() == (job.output / "manifest.json").read_bytes()
