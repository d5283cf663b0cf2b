import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import sluice
from sluice.pipeline.inputs.forgotten import ForgottenPosts
from sluice.pipeline.phases.clean.forgotten import without_forgotten
from sluice.pipeline.storage import files as storage
from sluice.schemas.counts import ReadTally
from sluice.schemas.payloads.columns import ReadBatch
from sluice.schemas.reject import reject_batch
from tests.pipeline.runs import Job, contract_bytes, linked_output, reject_rows, run
from tests.pipeline.tombstones import KEY, key_file, write_tombstones


def kept_ids(output: Path) -> list[str]:
    """Returns the ids of the posts in shards and leftover."""
    files = [
        str(path)
        for part in ("provenance", "leftover")
        for path in (output / part).glob("*.parquet")
    ]
    return ds.dataset(files).to_table(columns=["post_id"])["post_id"].to_pylist()


def work_ids(output: Path) -> set[str]:
    """Returns the ids of all posts in intermediate files that have a column of them."""
    found: set[str] = set()
    for path in (output / "work").rglob("*.kept.arrow"):
        with pa.memory_map(str(path)) as file:
            found |= set(pa.ipc.open_file(file).read_all()["post_id"].to_pylist())
    return found


def written(output: Path) -> dict[Path, int]:
    """Returns when each file of an output was written; its lock is opened by every run."""
    files = (path for path in output.rglob("*") if path.is_file() and path.name != "lock")
    return {path: path.stat().st_mtime_ns for path in files}


def again(job: Job, output: Path | str, tmp_path: Path, *more: str) -> int:
    settings = [f"vocabulary.tokenizer={job.tokenizer}", f"privacy.key_file={key_file(tmp_path)}"]
    return run(job, output, *(part for one in (*settings, *more) for part in ("--set", one)))


def report_of(output: Path) -> dict[str, Any]:
    return json.loads((output / "report" / "report.json").read_text())


def test_posts_of_tombstones_stay_out(job: Job, frozen: Job, tmp_path: Path) -> None:
    """A run leaves them out by `input.forgotten`: rejected by the hashes of their ids, nowhere in work/."""
    gone = sorted(set(kept_ids(frozen.output)))[::100]
    folder = write_tombstones(tmp_path / "tombstones", [*gone, "never there"])
    output = tmp_path / "out"
    assert again(job, output, tmp_path, f"input.forgotten=['{folder}']") == 0
    assert not set(kept_ids(output)) & set(gone)
    assert not work_ids(output) & set(gone)
    rows = [row for row in reject_rows(output) if row["reason"] == "forgotten"]
    assert {row["post_id"] for row in rows} == {KEY.post(i) for i in gone}
    assert {(row["kind"], row["phase"], row["stage"]) for row in rows} == {
        ("policy", "clean", "forgotten")
    }
    assert report_of(output)["posts"]["rejected"]["forgotten"] == len(rows) >= len(gone)
    assert not {row["post_id"] for row in reject_rows(output)} & set(gone)


def test_reposts_go_with_what_they_repeat() -> None:
    """A post that repeats one that was forgotten is out under its own id; a malformed row bears a hash."""
    ids, repeated = ["1", "2", "3", "4"], [None, "1", "4", None]
    columns = {"post_id": ids, "text": ["t"] * 4, "source_file": ["f"] * 4, "reposted_id": repeated}
    posts = pa.record_batch(columns).append_column("source_row", pa.array(range(4), pa.int64()))
    rows = {"post_id": ["1", None], "kind": "malformed", "phase": "clean", "stage": "read"}
    rows |= {"reason": "text_missing", "source_file": "f", "source_row": [5, 6]}
    forgotten = ForgottenPosts(np.unique(KEY.halves(pa.array(["1"])), axis=0), KEY.check)
    read = ReadBatch(posts, reject_batch(2, rows), ReadTally())
    left = without_forgotten(read, forgotten, KEY)
    assert left.posts["post_id"].to_pylist() == ["3", "4"]
    assert left.rejected["post_id"].to_pylist() == [KEY.post("1"), None, KEY.post("1"), "2"]
    assert left.rejected["reason"].to_pylist() == [*["text_missing"] * 2, *["forgotten"] * 2]


def test_tombstones_of_posts_that_are_not_there_change_no_token(
    job: Job, frozen: Job, tmp_path: Path
) -> None:
    """Shards are the same bytes, and so are rejects and provenance."""
    folder = write_tombstones(tmp_path / "tombstones", ["never there"])
    assert again(job, tmp_path / "out", tmp_path, f"input.forgotten=['{folder}']") == 0
    folders = ("tokens", "provenance", "leftover", "rejects")
    assert contract_bytes(tmp_path / "out", *folders) == contract_bytes(frozen.output, *folders)


@pytest.fixture
def forgotten(frozen: Job, tmp_path: Path) -> tuple[Path, list[str]]:
    """An output from which five posts were forgotten, and their ids."""
    output = linked_output(frozen.output, tmp_path / "out")
    gone = sorted(set(kept_ids(output)))[:5]
    forget(output, gone, tmp_path)
    return output, gone


def forget(output: Path, gone: list[str], tmp_path: Path) -> None:
    """Forgets posts; the output is as its manifest says afterwards, and has no intermediate file."""
    (tmp_path / "ids.txt").write_text("".join(f"{i}\n" for i in gone))
    done = sluice.forget(output, ids=tmp_path / "ids.txt", key_file=key_file(tmp_path))
    assert done.kept == len(gone)
    assert sluice.verify(output) == []
    assert not list((output / "work").rglob("*.arrow"))


def test_a_run_with_nothing_changed_does_nothing(
    job: Job, forgotten: tuple[Path, list[str]], tmp_path: Path
) -> None:
    """No file of the output is touched, with the key and without it."""
    output, _ = forgotten
    files = written(output)
    for more in ((), ("--set", f"privacy.key_file={key_file(tmp_path)}")):
        assert run(job, output, "--set", f"vocabulary.tokenizer={job.tokenizer}", *more) == 0
    assert written(output) == files


def test_a_changed_recipe_leaves_out_what_was_forgotten(
    job: Job, forgotten: tuple[Path, list[str]], tmp_path: Path
) -> None:
    """The run begins at the input; afterwards it is as if it had known the tombstones from the start."""
    output, gone = forgotten
    assert again(job, output, tmp_path, "dedup.threshold=0.9") == 0
    assert not set(kept_ids(output)) & set(gone)
    assert not work_ids(output) & set(gone)
    assert sluice.verify(output) == []
    fresh = tmp_path / "fresh"
    tombstones = f"input.forgotten=['{output / 'forgotten'}']"
    assert again(job, fresh, tmp_path, "dedup.threshold=0.9", tombstones) == 0
    folders = ("tokens", "provenance", "leftover", "rejects")
    assert contract_bytes(fresh, *folders) == contract_bytes(output, *folders)
    # From here on the tombstones are among what the run depends on, and its phases are reused as any others.
    before = contract_bytes(output, "report")
    assert again(job, output, tmp_path, "dedup.threshold=0.9") == 0
    assert contract_bytes(output, "report")["report/report.json"] == before["report/report.json"]
    forget(output, sorted(set(kept_ids(output)))[:3], tmp_path)
    assert again(job, output, tmp_path, "dedup.threshold=0.9") == 0
    assert len(list((output / "forgotten").glob("*.parquet"))) == 2


def test_a_file_that_is_lost_is_made_again_without_what_was_forgotten(
    job: Job, forgotten: tuple[Path, list[str]], tmp_path: Path
) -> None:
    """An output that is not whole is no reason to do nothing."""
    output, gone = forgotten
    next(iter((output / "tokens").iterdir())).unlink()
    assert again(job, output, tmp_path) == 0
    assert sluice.verify(output) == []
    assert not set(kept_ids(output)) & set(gone)


@pytest.mark.parametrize(
    ("secret", "message"), [(None, "must be set"), (bytes(40), "is another key")]
)
def test_the_key_is_needed(
    job: Job,
    forgotten: tuple[Path, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    secret: bytes | None,
    message: str,
) -> None:
    """Without the key, or with another, a changed recipe is refused before anything of the output changes."""
    output, _ = forgotten
    key = [] if secret is None else ["--set", f"privacy.key_file={key_file(tmp_path, secret)}"]
    tokenizer = f"vocabulary.tokenizer={job.tokenizer}"
    assert run(job, output, "--set", tokenizer, "--set", "dedup.threshold=0.9", *key) == 2
    assert f"privacy.key_file: {message}: 5 posts were forgotten" in capsys.readouterr().err
    assert (output / "COMPLETED").exists()


def test_folders_without_tombstones_are_refused(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of `input.forgotten` that holds none is a mistake, not nothing."""
    assert again(job, tmp_path / "out", tmp_path, f"input.forgotten=['{tmp_path / 'no'}']") == 2
    assert "input.forgotten: " in (err := capsys.readouterr().err)
    assert "holds no tombstones" in err


def test_on_an_object_store(job: Job, bucket: str, tmp_path: Path) -> None:
    """A run leaves posts out, others are forgotten, a scan finds none, and a run has nothing to do."""
    output, folder = f"{bucket}/out", write_tombstones(tmp_path / "tombstones", ["never there"])
    assert again(job, output, tmp_path, f"input.forgotten=['{folder}']") == 0
    done = sluice.open_output(output)
    gone = done.provenance.to_table(columns=["post_id"])["post_id"].to_pylist()[:3]
    (tmp_path / "ids.txt").write_text("".join(f"{i}\n" for i in gone))
    key = key_file(tmp_path)
    assert sluice.forget(output, ids=tmp_path / "ids.txt", key_file=key).posts == 3
    assert sluice.verify(output) == []
    assert sluice.scan_forgotten(output, key_file=key).findings == ()
    there = [file.path for file in storage.listing(output, recursive=True)]
    assert not [path for path in there if "/work/" in path and path.endswith(".arrow")]
    assert again(job, output, tmp_path, f"input.forgotten=['{folder}']") == 0
    assert [file.path for file in storage.listing(output, recursive=True)] == there
    assert sluice.open_output(output).manifest.forgotten.posts == 3
