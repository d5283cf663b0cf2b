"""`sluice forget --scan`: finds what is put back of a forgotten post, and nothing where none is."""

import json
import random
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sluice
from sluice.pipeline import cli
from sluice.pipeline.inputs.forgotten import ForgottenPosts
from sluice.pipeline.outputs.forgetting.scan import Scan
from sluice.pipeline.outputs.forgetting.scan_ids import named_posts
from sluice.schemas.errors import OutputError, RecipeError
from tests.pipeline.runs import SMALL_SHARDS, Job, linked_output
from tests.pipeline.tombstones import KEY, key_file

RECIPE = f"""
name = "scanned"{SMALL_SHARDS}packing = "concatenate"
[dedup]
max_copies = 2
"""
GONE = [f"p{number}" for number in (3, 40, 41, 77, 120, 399)]
TWIN = "p400"
"""Has the text of the first post that goes."""


def text_of(number: int) -> str:
    draw = random.Random(number)
    letters = "aeioubcdlmnrst"
    words = ("".join(draw.choices(letters, k=draw.randint(2, 8))) for _ in range(5 + number % 40))
    return " ".join(words)


class Scanned(NamedTuple):
    """A run with a history: its folders, and copies of both as they were before posts were forgotten."""

    folder: Path

    @property
    def output(self) -> Path:
        return self.folder / "out"

    @property
    def before(self) -> Path:
        return self.folder / "before"

    @property
    def history(self) -> Path:
        return self.folder / "history"

    def scan(self, **more: Any) -> Scan:
        key = key_file(self.folder)
        return sluice.scan_forgotten(self.output, key_file=key, history=self.history, **more)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, job: Job) -> Scanned:
    """Posts of which some are cut, and one has copies, a delivery and two others; six have been forgotten."""
    made = Scanned(tmp_path_factory.mktemp("scan"))
    posts = [
        {"id": f"p{n}", "text": text_of(n), "created_at": "2026-03-01T12:00:00Z"}
        for n in range(400)
    ]
    posts += [{"id": TWIN, "text": text_of(3), "created_at": "2026-03-02T12:00:00Z"}]
    posts += [{"id": "p3", "text": text_of(3), "created_at": "2026-02-01T12:00:00Z"}]
    posts += [{"id": "p401", "text": text_of(3), "created_at": "2026-03-03T12:00:00Z"}]
    (made.folder / "posts.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts))
    (made.folder / "scanned.toml").write_text(RECIPE)
    words = ["run", str(made.folder / "scanned.toml"), "--input", str(made.folder / "posts.jsonl")]
    sets = f"vocabulary.tokenizer={job.tokenizer}", f"dedup.history={made.history}"
    more = [part for value in sets for part in ("--set", value)]
    assert cli.main([*words, "--output", str(made.output), *more]) == 0
    linked_output(made.output, made.before)
    linked_output(made.history, made.folder / "history-before")
    (made.folder / "ids.txt").write_text("".join(f"{i}\n" for i in GONE))
    done = sluice.forget(
        made.output,
        ids=made.folder / "ids.txt",
        key_file=key_file(made.folder),
        history=made.history,
    )
    assert (done.kept, done.in_history) == (len(GONE), len(GONE))
    return made


@pytest.fixture
def again(made: Scanned, tmp_path: Path) -> Scanned:
    """A copy of the forgotten output and of its history, to put things back into."""
    copy = Scanned(tmp_path)
    linked_output(made.output, copy.output)
    linked_output(made.history, copy.history)
    return copy


def pieces(output: Path) -> list[dict[str, Any]]:
    """Returns the rows of all provenance, with the file's name and the row's number."""
    files = [*sorted(output.glob("provenance/*.parquet")), *output.glob("leftover/*.parquet")]
    return [
        {**row, "file": str(path.relative_to(output)), "row": number}
        for path in files
        for number, row in enumerate(pq.read_table(path).to_pylist())
    ]


def test_nothing_is_left_but_a_copy(made: Scanned) -> None:
    """The one finding is the copy under another id, whose tokens are those of a post that is gone."""
    found = made.scan()
    (twin,) = [row for row in pieces(made.output) if row["post_id"] == TWIN and row["piece"] == 0]
    assert [f._replace(file=Path(f.file).name) for f in found.findings] == [
        (Path(twin["file"]).name, twin["row"], "tokens", KEY.post(GONE[0]))
    ]
    assert found.tombstones == len(GONE)


def test_it_says_what_it_looked_at(made: Scanned) -> None:
    """Posts are those of the provenance, each once; ids are those of all tables and of the history."""
    found, rows = made.scan(workers=1), pieces(made.output)
    whole = {(row["document"], row["post_id"]) for row in rows if not row["forgotten_at"]}
    assert found.posts == len(whole)
    rejects = pq.ParquetDataset(made.output / "rejects").read(columns=["post_id", "duplicate_of"])
    named = sum(len(column) - column.null_count for column in rejects.columns)
    assert found.ids == len(rows) + named + 401
    assert any(row["piece"] for row in rows), "no post was cut"


def put_back(made: Scanned, again: Scanned, name: str) -> Path:
    """Puts a file of the output as it was before in the place of what is there now."""
    path = again.output / name
    path.unlink()
    shutil.copy(made.before / name, path)
    return path


def test_tokens_that_are_put_back_are_found(made: Scanned, again: Scanned) -> None:
    """Of every shard that held a post that is gone, exactly the rows of the posts are named."""
    before = [row for row in pieces(made.before) if row["post_id"] in GONE]
    for name in sorted({row["file"] for row in before}):
        shard = name.replace("provenance", "tokens").replace(".parquet", ".arrow")
        changed = put_back(made, again, shard)
        found = {(f.row, f.post_key) for f in again.scan().findings if f.file.endswith(name)}
        expected = {(row["row"], KEY.post(row["post_id"])) for row in before if row["file"] == name}
        assert expected <= found
        assert len(found - expected) <= 1  # the copy
        changed.unlink()
        shutil.copy(made.output / shard, changed)


def test_whole_posts_are_found_by_their_tokens_alone(made: Scanned, again: Scanned) -> None:
    """With old provenance beside old shards, cut posts and others are found by hashes."""
    for folder in ("tokens", "provenance", "leftover"):
        shutil.rmtree(again.output / folder, ignore_errors=True)
        if (made.before / folder).exists():
            shutil.copytree(made.before / folder, again.output / folder)
    found = again.scan().findings
    by_tokens = {f.post_key for f in found if f.what == "tokens"}
    assert by_tokens == {KEY.post(i) for i in GONE}
    rows = [row for row in pieces(made.before) if row["post_id"] in GONE]
    by_id = {(Path(f.file).name, f.row) for f in found if f.what == "id"}
    assert by_id == {(Path(row["file"]).name, row["row"]) for row in rows}


def test_ids_in_rejects_are_found(made: Scanned, again: Scanned) -> None:
    """A reject row names the post itself, another the post that it is a duplicate of."""
    (path,) = (made.before / "rejects").glob("dedup-*")
    put_back(made, again, f"rejects/{path.name}")
    rows = pq.read_table(path).to_pylist()
    expected = [
        (number, KEY.post(row[name]))
        for name in ("post_id", "duplicate_of")
        for number, row in enumerate(rows)
        if row[name] in GONE
    ]
    found = [(f.row, f.post_key) for f in again.scan().findings if "/rejects/" in f.file]
    assert sorted(found) == sorted(expected) != []


def test_intermediate_files_are_read(made: Scanned, again: Scanned) -> None:
    """Kept posts, rows that cross between machines, and pieces of packed sequences: whatever names a post."""
    shutil.rmtree(again.output / "work")
    shutil.copytree(made.before / "work", again.output / "work")
    found = [f for f in again.scan().findings if "/work/" in f.file]
    assert {"kept", "documents", "pieces"} <= {Path(f.file).name.split(".")[2] for f in found}
    kept = {f.post_key for f in found if ".kept." in f.file}
    assert kept == {KEY.post(i) for i in GONE}


def test_files_that_nothing_names_are_read(made: Scanned, again: Scanned) -> None:
    """What a killed program left in a folder, or in a segment of the history, counts as any other."""
    names = [row["file"] for row in pieces(made.before) if row["post_id"] in GONE]
    name = next(name for name in names if name.startswith("provenance/"))
    shutil.copy(made.before / name, again.output / "provenance" / ".tmp-1234-x.parquet")
    (segment,) = (made.folder / "history-before" / "segments").iterdir()
    shutil.copy(segment / "posts-00000.arrow", again.history / "segments" / segment.name)
    files = {Path(f.file).name for f in again.scan().findings}
    assert {"posts-00000.arrow", ".tmp-1234-x.parquet"} <= files


def test_the_command(made: Scanned, again: Scanned, capsys: pytest.CaptureFixture[str]) -> None:
    """It ends with 1 where it finds something and says where; with 0 where the copy went, too."""
    key = ["--key-file", str(key_file(again.folder)), "--history", str(again.history)]
    assert cli.main(["forget", str(again.output), "--scan", *key]) == 1
    out = capsys.readouterr().out
    assert f"its tokens, of post {KEY.post(GONE[0])}" in out
    assert "found 1 traces" not in out
    (again.folder / "ids.txt").write_text(TWIN)
    words = ["forget", str(again.output), "--ids", str(again.folder / "ids.txt"), *key]
    assert cli.main(words) == 0
    capsys.readouterr()
    assert cli.main(["forget", str(again.output), "--scan", *key]) == 0
    assert "found nothing of them" in capsys.readouterr().out


def test_what_a_scan_needs(made: Scanned, tmp_path: Path) -> None:
    """The key of the tombstones, the folder of the history, an output without a forget at work."""
    with pytest.raises(RecipeError, match="--key-file: is missing"):
        sluice.scan_forgotten(made.output, history="none")
    other = key_file(tmp_path, bytes(40))
    with pytest.raises(RecipeError, match="is not the key of the posts that were forgotten"):
        sluice.scan_forgotten(made.output, key_file=other, history="none")
    with pytest.raises(RecipeError, match="--history: is missing"):
        sluice.scan_forgotten(made.output, key_file=key_file(tmp_path))
    output = linked_output(made.output, tmp_path / "out")
    (output / "forgotten" / "pending.json").write_text("{}")
    with pytest.raises(OutputError, match="is at work here, or did not end"):
        sluice.scan_forgotten(output, key_file=key_file(tmp_path), history="none")


def test_streams_one_after_the_other(tmp_path: Path) -> None:
    """An exchanged file is streams; rows are counted through all of them."""
    path = tmp_path / "x.arrow"
    with path.open("wb") as file:
        for ids in (["a", "b"], ["c"], ["a"]):
            rows = pa.table({"post_id": ids, "n": range(len(ids))})
            with pa.ipc.new_stream(file, rows.schema) as stream:
                stream.write_table(rows)
    forgotten = ForgottenPosts(KEY.halves(pa.array(["a"])), KEY.check)
    named = named_posts(str(path), forgotten, KEY)
    assert (named.ids, [f.row for f in named.findings]) == (4, [0, 3])
