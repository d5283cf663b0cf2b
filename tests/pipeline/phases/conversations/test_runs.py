"""Conversations of any shape through whole runs: documents, their numbers, the report, resume and engines."""

import json
import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sluice
from sluice.pipeline import cli
from sluice.pipeline.outputs.verify import verify
from tests.pipeline.phases.conversations.reference import Post, documents
from tests.pipeline.runs import Job, contract_bytes, reject_rows

CONTRACT = ("tokens", "provenance", "leftover", "rejects")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
RECIPE = """
name = "threads"
[[filters]]
filter = "min_words"
[training]
sequence_length = 4096
global_batch_sequences = 2
data_parallel_ranks = 1
target_shard_bytes = 65536
[input.columns]
quoted_id = "quotes"
[tokens]
documents = "conversations"
partition_bytes = 65536
"""
LETTERS = "aeioubcdlmnrst"


def invented_posts(num_posts: int, *, seed: int) -> list[dict[str, Any]]:
    """Returns posts of which most answer one near them; some repeat a text, some say little."""
    draw = random.Random(seed)
    found: list[dict[str, Any]] = []
    for number in range(num_posts):
        words = ["".join(draw.choices(LETTERS, k=draw.randint(3, 9))) for _ in range(12)]
        text, kind = " ".join(words), draw.random()
        if kind < 0.1 and found:
            text = draw.choice(found)["text"]
        elif kind < 0.2:
            text = words[0]
        near = number + draw.randint(-12, 2)
        at = (EPOCH + timedelta(minutes=draw.randint(0, 500))).isoformat()
        post = {"id": f"p{number}", "text": text, "created_at": draw.choice([at, at, at, None])}
        post["in_reply_to_id"] = f"p{near}" if draw.random() < 0.7 else None
        post["conversation_id"] = f"c{number % 7}" if draw.random() < 0.1 else None
        post["quotes"] = f"p{draw.randrange(num_posts)}" if draw.random() < 0.2 else None
        found.append(post)
    return found


def write_posts(folder: Path, posts: list[dict[str, Any]]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "posts.jsonl"
    path.write_text("".join(json.dumps(post) + "\n" for post in posts))
    return str(path)


def run_on(job: Job, path: str, output: Path, *more: str) -> Path:
    """Runs the recipe with the tokenizer of the job; returns the output."""
    recipe = output.parent / "threads.toml"
    recipe.write_text(RECIPE)
    command = ["run", str(recipe), "--input", path, "--output", str(output)]
    command += ["--set", f"vocabulary.tokenizer={job.tokenizer}", *more]
    assert cli.main(command) == 0
    return output


def pieces_of(output: Path) -> list[dict[str, Any]]:
    """Returns the rows of the provenance, the leftover's too, in their order."""
    files = [*sorted(output.glob("provenance/*.parquet")), output / "leftover/provenance.parquet"]
    table = pa.concat_tables([pq.read_table(path) for path in files if path.exists()])
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def documents_of(output: Path) -> dict[int, list[str]]:
    """Returns document number -> the ids of its posts in their order; none of the documents is cut."""
    found: dict[int, list[str]] = {}
    for row in pieces_of(output):
        assert row["piece"] == 0
        found.setdefault(row["document"], []).append(row["post_id"])
    return found


def told(posts: list[dict[str, Any]], output: Path) -> list[Post]:
    """Returns the posts as the reference takes them, with what became of them."""
    rejects = {row["post_id"]: row for row in reject_rows(output)}
    found = []
    for post in posts:
        lost = rejects.get(post["id"])
        at = post["created_at"] and int(datetime.fromisoformat(post["created_at"]).timestamp())
        found.append(
            Post(
                *(post["id"], at, post["in_reply_to_id"], post["conversation_id"], post["quotes"]),
                lost=lost is not None,
                copy_of=lost["duplicate_of"] if lost else None,
            )
        )
    return found


@pytest.fixture(scope="module")
def posts() -> list[dict[str, Any]]:
    """A thousand posts that answer and quote each other."""
    return invented_posts(1000, seed=8)


@pytest.fixture(scope="module")
def joined(job: Job, posts: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that joins them, quotes too."""
    folder = tmp_path_factory.mktemp("threads")
    path = write_posts(folder, posts)
    return run_on(job, path, folder / "out", "--set", "tokens.quotes=joined")


def test_documents_are_what_the_rule_says(joined: Path, posts: list[dict[str, Any]]) -> None:
    """Rejects, duplicates, cycles, orphans and quotes of a run give the documents of the rule, in order."""
    found = documents_of(joined)
    told_posts = told(posts, joined)
    assert sum(p.copy_of is not None for p in told_posts) > 50
    assert sum(p.lost and p.copy_of is None for p in told_posts) > 50
    assert sorted(found.values()) == documents(told_posts, quotes=True)
    assert max(map(len, found.values())) > 5
    assert cli.main(["verify", str(joined)]) == 0


def test_documents_are_numbered_over_the_whole_output(joined: Path) -> None:
    """Numbers count from 0 without a gap, and the report has as many documents."""
    found = documents_of(joined)
    report = json.loads((joined / "report" / "report.json").read_text())
    assert sorted(found) == list(range(report["documents"]))


def test_quoted_posts_stand_apart_unless_asked(
    job: Job, joined: Path, posts: list[dict[str, Any]], tmp_path: Path
) -> None:
    """With `apart` no quote joins; clean and dedup are not done again for it, and nothing is for `posts`."""
    path = write_posts(tmp_path, posts)
    output = run_on(job, path, tmp_path / "out")
    assert sorted(documents_of(output).values()) == documents(told(posts, output), quotes=False)
    made = {folder.name for folder in (output / "work").glob("*-*")}
    run_on(job, path, output, "--set", "tokens.quotes=joined")
    again = {folder.name for folder in (output / "work").glob("*-*")} - made
    assert {name.partition("-")[0] for name in again} == {"conversations", "tokens"}
    assert contract_bytes(output, *CONTRACT) == contract_bytes(joined, *CONTRACT)
    run_on(job, path, output, "--set", "tokens.documents=posts")
    more = {folder.name for folder in (output / "work").glob("*-*")} - made - again
    assert {name.partition("-")[0] for name in more} == {"tokens"}
    assert {len(ids) for ids in documents_of(output).values()} == {1}


def test_units_do_not_show(
    job: Job, joined: Path, posts: list[dict[str, Any]], tmp_path: Path
) -> None:
    """The same bytes, however the input is cut; test_exclude_runs.py has both engines."""
    path, more = write_posts(tmp_path, posts), ("--set", "input.unit_bytes=65536")
    output = run_on(job, path, tmp_path / "out", "--set", "tokens.quotes=joined", *more)
    shared = CONTRACT[:3]
    assert contract_bytes(output, *shared) == contract_bytes(joined, *shared)
    assert len(list((output / "work").glob("clean-*/clean/unit-*.json"))) == 4


def test_nothing_is_joined_where_nothing_is_kept(job: Job, tmp_path: Path) -> None:
    """Posts that a rule rejects, all of them, leave no document and no conversation."""
    few = [
        {"id": f"p{k}", "text": "x", "in_reply_to_id": f"p{k - 1}", "quotes": "p0"}
        for k in range(3)
    ]
    output = run_on(job, write_posts(tmp_path, few), tmp_path / "out")
    report = json.loads((output / "report" / "report.json").read_text())
    assert report["documents"] == report["conversations"]["replies"] == 0
    assert cli.main(["verify", str(output)]) == 0


def test_the_report_tells_what_was_joined(
    joined: Path, posts: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """report.json counts what the rule joins; the terminal and the page say so."""
    found = json.loads((joined / "report" / "report.json").read_text())["conversations"]
    groups = [ids for ids in documents(told(posts, joined), quotes=True) if len(ids) > 1]
    assert (found["documents"], found["posts"]) == (len(groups), sum(map(len, groups)))
    joins = found["posts"] - found["documents"]
    assert found["by_links"] + found["by_quotes"] + found["by_id"] == joins
    assert found["by_links"] == sum(found["depths"].values())
    known = {post["id"] for post in posts}
    kept = [p for p in told(posts, joined) if not p.lost]
    assert found["replies"] == sum(p.parent is not None for p in kept)
    assert found["orphans"] == sum(p.parent is not None and p.parent not in known for p in kept)
    for count in ("by_quotes", "by_id", "subtrees_alone", "replaced", "cycles", "late_parents"):
        assert found[count] > 0, count
    assert cli.main(["report", str(joined)]) == 0
    assert f"conversations of {found['posts']:,} posts" in capsys.readouterr().out
    assert "<h2>Conversations</h2>" in (joined / "report" / "report.html").read_text()


def test_inspect_tells_the_document(joined: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`inspect` prints the number of a post's document, and the function has it."""
    number, ids = max(documents_of(joined).items(), key=lambda item: len(item[1]))
    assert [sluice.inspect(str(joined), i).placements[0].document for i in ids] == [number] * len(
        ids
    )
    assert cli.main(["inspect", str(joined), ids[0]]) == 0
    assert f"document {number}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda n: n + 1, "there are"),
        (lambda n: n // 2, "holds no piece of"),
        (lambda n: [k % 2 for k in range(len(n))], "do not follow each other"),
    ],
)
def test_verify_sees_wrong_numbers(
    joined: Path, tmp_path: Path, change: Callable[[Any], Any], said: str
) -> None:
    """A number that is no document's, a document without pieces, and one with pieces apart are problems."""
    output = Path(shutil.copytree(joined, tmp_path / "out"))
    path = min((output / "provenance").glob("*.parquet"))
    table = pq.read_table(path)
    at = table.schema.get_field_index("document")
    numbers = change(table["document"].to_numpy())
    if said == "there are":
        numbers[0] = 10**6
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array(numbers)), path)
    assert said in "\n".join(verify(str(output), say=lambda _: None))


def test_a_run_that_ended_in_the_phase_is_resumed(
    job: Job, joined: Path, posts: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Every second unit of the phase is done again, and the bytes are those of an undisturbed run."""
    path = write_posts(tmp_path, posts)
    output = Path(shutil.copytree(joined, tmp_path / "out"))
    (phase,) = (output / "work").glob("conversations-*")
    (phase / "phase.json").unlink()
    done = sorted(phase.glob("*/*.json"))
    for manifest in done[::2]:
        manifest.unlink()
    (tokens,) = (output / "work").glob("tokens-*")
    for folder in (tokens, *(output / name for name in ("tokens", "provenance", "leftover"))):
        shutil.rmtree(folder)
    for name in ("COMPLETED", "manifest.json"):
        (output / name).unlink()
    run_on(job, path, output, "--set", "tokens.quotes=joined")
    assert sorted(phase.glob("*/*.json")) == done
    assert contract_bytes(output, *CONTRACT) == contract_bytes(joined, *CONTRACT)
