"""Conversations and cuts anywhere, through whole runs."""

import json
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from sluice.filters.text.normalize import normalize
from sluice.pipeline import cli
from sluice.pipeline.outputs.verify import verify
from tests.pipeline.runs import Job, reject_rows

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

RECIPE = """
name = "documents"
[training]
sequence_length = 128
global_batch_sequences = 8
data_parallel_ranks = 2
target_shard_bytes = 65536
[tokens]
partition_bytes = 65536
"""
LETTERS = "aeioubcdlmnrst"


def invented_posts(num_posts: int, *, seed: int) -> list[dict[str, Any]]:
    """Returns posts of conversations of 1 to 30 posts, and of none, in no order of time."""
    draw = random.Random(seed)
    names: list[str | None] = [None]
    found = []
    for number in range(num_posts):
        if draw.random() < 0.1:
            names.append(f"c{number}")
        words = ["".join(draw.choices(LETTERS, k=draw.randint(2, 9))) for _ in range(12)]
        minutes = draw.choice([None, draw.randint(0, 9999)])
        at = None if minutes is None else (EPOCH + timedelta(minutes=minutes)).isoformat()
        about = {"id": f"p{number}", "text": " ".join(words), "created_at": at}
        found.append({**about, "conversation_id": draw.choice(names[-20:])})
    return found


def write_posts(path: Path, posts: list[dict[str, Any]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(post) + "\n" for post in posts))
    return str(path)


def run_on(job: Job, folder: Path, posts: list[dict[str, Any]], *settings: str) -> Path:
    """Runs a recipe without filters, with the tokenizer of the job; returns the output."""
    (folder / "documents.toml").write_text(RECIPE)
    path, output = write_posts(folder / "posts.jsonl", posts), folder / "out"
    command = ["run", str(folder / "documents.toml"), "--input", path, "--output", str(output)]
    for setting in (f"vocabulary.tokenizer={job.tokenizer}", *settings):
        command += ["--set", setting]
    assert cli.main(command) == 0
    return output


def parts_in(output: Path) -> Iterator[list[tuple[str, int, list[int]]]]:
    """Yields each part of a document by `doc_ends`: the (post id, piece, tokens) that tile it."""
    pairs = [(p, output / "provenance" / f"{p.stem}.parquet") for p in output.glob("tokens/*")]
    pairs.append((output / "leftover/tokens.arrow", output / "leftover/provenance.parquet"))
    for tokens, provenance in pairs:
        if not tokens.exists():
            continue
        shard = pa.ipc.open_file(tokens).read_all()
        places: dict[int, list[dict[str, Any]]] = {}
        for row in pq.read_table(provenance).to_pylist():
            places.setdefault(row["sequence"], []).append(row)
        for number, sequence in enumerate(shard.to_pylist()):
            ends, part = set(sequence["doc_ends"]), []
            for row in places[number]:
                stop = row["offset"] + row["length"]
                part.append(
                    (row["post_id"], row["piece"], sequence["tokens"][row["offset"] : stop])
                )
                if stop in ends:
                    yield part
                    part = []
            assert not part


def check_texts(output: Path, posts: list[dict[str, Any]], tokenizer: Path) -> None:
    """Every kept post reads back as its text."""
    encoding = Tokenizer.from_file(str(tokenizer))
    texts = dict(
        zip([p["id"] for p in posts], normalize(pa.array([p["text"] for p in posts])), strict=True)
    )
    rejected = {row["post_id"] for row in reject_rows(output)}
    read: dict[str, dict[int, list[int]]] = {}
    for part in parts_in(output):
        for post_id, piece, tokens in part:
            read.setdefault(post_id, {})[piece] = tokens
    assert set(read) == {p["id"] for p in posts} - rejected
    for post_id, pieces in read.items():
        tokens = [t for _, piece in sorted(pieces.items()) for t in piece]
        assert encoding.decode(tokens, skip_special_tokens=True) == texts[post_id].as_py()


def check_order(output: Path, posts: list[dict[str, Any]]) -> None:
    """A part holds posts of one conversation, in the order of their times."""
    last = datetime.max.replace(tzinfo=UTC)
    times = {
        p["id"]: datetime.fromisoformat(p["created_at"]) if p["created_at"] else last for p in posts
    }
    conversation = {p["id"]: p["conversation_id"] for p in posts}
    for part in parts_in(output):
        ids = [post_id for post_id, _, _ in part]
        assert len({conversation[i] for i in ids}) == 1
        assert conversation[ids[0]] is not None or len(ids) == 1
        assert ids == sorted(ids, key=lambda i: (times[i], i))


class Ran(NamedTuple):
    """A finished run and what it read."""

    posts: list[dict[str, Any]]
    output: Path


@pytest.fixture(scope="module")
def conversations(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run that joins conversations."""
    posts, folder = invented_posts(1500, seed=4), tmp_path_factory.mktemp("conversations")
    settings = ("tokens.documents=conversations", "tokens.begin_of_document=true")
    return Ran(posts, run_on(job, folder, posts, *settings))


def test_conversations_through_a_run(
    job: Job, conversations: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ledger balances, the output verifies, every post reads back and `inspect` finds it."""
    posts, output = conversations
    assert cli.main(["verify", str(output)]) == 0
    check_texts(output, posts, job.tokenizer)
    check_order(output, posts)
    report = json.loads((output / "report" / "report.json").read_text())
    books, kept = report["token_ledger"], report["posts"]["kept"]
    assert 0 < report["documents"] < kept
    assert books["turns"] == kept - report["documents"]
    assert books["begin_of_document"] == books["end_of_document"] == report["documents"]
    assert report["tokens"]["encoded"] == sum(report["tokens"]["by_lang"].values())
    assert cli.main(["inspect", str(output), "p7"]) == 0
    assert "sequence" in capsys.readouterr().out


def test_posts_cut_anywhere_through_a_run(job: Job, tmp_path: Path) -> None:
    """Without a token at their end, and cut where a sequence is full, posts still read back."""
    posts = invented_posts(1500, seed=6)
    settings = ("tokens.packing=concatenate", "tokens.end_of_document=false")
    output = run_on(job, tmp_path, posts, *settings)
    assert cli.main(["verify", str(output)]) == 0
    check_texts(output, posts, job.tokenizer)
    report = json.loads((output / "report" / "report.json").read_text())
    assert report["documents"] == report["posts"]["kept"]
    assert report["tokens"]["total"] == report["tokens"]["encoded"]
    partitions = len(list((output / "work").glob("tokens-*/pack/partition-*.json")))
    assert partitions > 1
    assert report["sequences"]["padding"] < partitions * 128


def test_verify_sees_documents_that_end_elsewhere(conversations: Ran, tmp_path: Path) -> None:
    """A document that ends inside of a piece is a problem."""
    output = Path(shutil.copytree(conversations.output, tmp_path / "out"))
    path = min((output / "provenance").glob("*.parquet"))
    table = pq.read_table(path)
    length, offset = (table[n].to_numpy().copy() for n in ("length", "offset"))
    shard = pa.ipc.open_file(output / "tokens" / f"{path.stem}.arrow").read_all()
    ends = shard["doc_ends"].to_pylist()
    sequence = table["sequence"].to_pylist()
    last = next(  # a document's last piece, with another behind it in its sequence
        k for k, stop in enumerate((offset + length).tolist()) if stop in ends[sequence[k]][:-1]
    )
    length[last : last + 2] += [1, -1]
    offset[last + 1] += 1
    for name, values in (("length", length), ("offset", offset)):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), pa.array(values))
    pq.write_table(table, path)
    found = "\n".join(verify(str(output), say=lambda _: None))
    assert f"provenance/{path.name}: does not say where the documents" in found
    assert "leave a gap" not in found


@pytest.mark.parametrize("plan", [[], ["--plan"]])
def test_a_tokenizer_without_turns_is_refused_before_anything_is_read(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str], plan: list[str]
) -> None:
    """Conversations need `<|turn|>`: a frozen tokenizer without it is an error that names the keys."""
    spec = job.tokenizer.read_text().replace("<|turn|>", "<|other|>")
    (tmp_path / "tokenizer.json").write_text(spec)
    sets = (f"vocabulary.tokenizer={tmp_path}/tokenizer.json", "tokens.documents=conversations")
    more = [part for value in sets for part in ("--set", value)]
    files, output = str(job.sample / "posts-*.jsonl.gz"), tmp_path / "out"
    code = cli.main(
        ["run", str(job.recipe), "--input", files, "--output", str(output), *more, *plan]
    )
    assert code == 2
    assert "tokens.documents" in (error := capsys.readouterr().err)
    assert "<|turn|>" in error
    assert not (output / "work").exists()
