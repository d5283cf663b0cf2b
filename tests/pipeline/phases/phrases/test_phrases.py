"""A run with evaluation sets: which posts are rejected, by what, and what is told of them."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sluice.pipeline import cli
from sluice.pipeline.storage import files as storage
from tests.pipeline.runs import Job, contract_bytes, reject_rows, run
from tests.pipeline.test_kills import manifests

QUESTION = (
    "Maria picks fourteen apples from each of her five trees in the morning; how many has she?"
)
SHORT = "Which of the harbours freezes first in winter?"
COMMON = "what do you think of the weather"
COLOURS = ("red", "blue", "green", "grey", "black", "white", "brown", "pink", "gold", "teal")
HELD = {
    "1": (f"so here it is: {QUESTION.upper()} easy", "apples:apples.jsonl:0"),
    "2": (f"{SHORT} anyone", "seas:s1"),
}
SETS = {"apples": {"question": QUESTION, "answer": "70"}, "seas": {"id": "s1", "ask": SHORT}}


@pytest.fixture(scope="module")
def posts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with posts, some of which hold items, in files of few rows, and the items."""
    folder = tmp_path_factory.mktemp("contaminated")
    rows = [{"id": post_id, "text": text} for post_id, (text, _) in HELD.items()]
    rows += [{"id": f"c{c}", "text": f"{c} {c}s are fine, {COMMON} {c}ly {c}"} for c in COLOURS]
    rows += [
        {"id": "free", "text": "The boats of the harbour leave at six in the morning, all of them"}
    ]
    for number in range(3):
        lines = (json.dumps(row) + "\n" for row in rows[number::3])
        (folder / f"posts-{number}.jsonl").write_text("".join(lines))
    items = {**SETS, "talk": {"ask": COMMON}}
    for name, row in items.items():
        (folder / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    return folder


def recipe(folder: Path, posts: Path, *, sets: bool = True, review: bool = True) -> Path:
    """Writes a recipe without filters."""
    lines = ['name = "tested"', "[training]", "sequence_length = 64"]
    if sets:
        lines += ["[decontamination]", f"review = {str(review).lower()}"]
    for name in (*SETS, "talk") if sets else ():
        lines += ["[[decontamination.sets]]", f'name = "{name}"']
        lines += [f'files = ["{posts / name}.jsonl"]']
        lines += ['fields = ["ask"]'] if name != "apples" else []
    path = folder / "recipe.toml"
    path.write_text("\n".join(lines))
    return path


def outcome(job: Job, posts: Path, folder: Path, *more: str, **how: Any) -> Path:
    """Runs the recipe with a frozen tokenizer; returns the output."""
    folder.mkdir(exist_ok=True)
    own = job._replace(recipe=recipe(folder, posts, **how))
    frozen = f"vocabulary.tokenizer={job.tokenizer}"
    output = folder / "out"
    assert run(own, output, "--set", frozen, *more, inputs=str(posts / "posts-*.jsonl")) == 0
    return output


@pytest.fixture(scope="module")
def output(job: Job, posts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run with a review."""
    return outcome(job, posts, tmp_path_factory.mktemp("tested"))


def report(output: Path) -> dict[str, Any]:
    return json.loads((output / "report" / "report.json").read_text())


def test_posts_that_hold_items_are_rejected(output: Path) -> None:
    """Each has a reject row with set and item; a common phrase rejects nothing."""
    rows = {row["post_id"]: row for row in reject_rows(output) if row["reason"] == "contaminated"}
    assert {post_id: row["detail"] for post_id, row in rows.items()} == {
        post_id: detail for post_id, (_, detail) in HELD.items()
    }
    assert {(row["kind"], row["phase"], row["stage"]) for row in rows.values()} == {
        ("policy", "clean", "decontamination")
    }
    assert report(output)["posts"]["rejected"] == {"contaminated": 2}


def test_the_report_counts_by_set(output: Path) -> None:
    """Items, what is looked for, what is common, and the posts that were found stand by set."""
    told = report(output)["decontamination"]
    assert (told["posts"], told["sampled_posts"], told["common_parts"]) == (2, 13, 1)
    assert {name: of["posts"] for name, of in told["sets"].items()} == {
        "apples": 1,
        "seas": 1,
        "talk": 0,
    }
    assert told["sets"]["talk"] | {"ngrams": 0} == {
        **dict.fromkeys(("parts", "ngrams", "too_short", "repeated", "posts"), 0),
        "items": 1,
        "common": 1,
    }
    card = (output / "report" / "DATACARD.md").read_text()
    assert "| apples | 1 | 1 | 1 |" in card
    assert "Evaluation sets" in (output / "report" / "report.html").read_text()


def test_the_output_is_valid(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`verify` finds the output as its manifest says, the review among its files."""
    assert cli.main(["verify", str(output)]) == 0
    names = [entry["path"] for entry in json.loads((output / "manifest.json").read_text())["files"]]
    assert any(name.startswith("contaminated/") for name in names)


def test_a_review_shows_both_texts(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`inspect --review` prints each item above the post that holds it, of one id if one is given."""
    assert cli.main(["inspect", str(output), "--review"]) == 0
    shown = capsys.readouterr().out
    for text, detail in HELD.values():
        assert f"  post  {text}" in shown
        assert detail in shown
    assert f"  item  {QUESTION}" in shown
    assert cli.main(["inspect", str(output), "2", "--review", "--json"]) == 0
    hits = json.loads(capsys.readouterr().out)["hits"]
    assert [(hit["post_id"], hit["item_text"]) for hit in hits] == [("2", SHORT)]


def test_without_a_review_no_text_is_written(
    job: Job, posts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without `review` there is no such folder, and asking for it says which key to set."""
    made = outcome(job, posts, tmp_path / "quiet", review=False)
    assert not (made / "contaminated").exists()
    assert cli.main(["inspect", str(made), "--review"]) == 2
    assert "not `review = true` in [decontamination]" in capsys.readouterr().err


def test_workers_and_engines_change_no_byte(
    job: Job, posts: Path, output: Path, tmp_path: Path
) -> None:
    """Two processes and Beam give the bytes of one process."""
    folders = ("tokens", "provenance", "rejects", "contaminated", "leftover")
    for how in (["--workers", "2"], ["--engine", "beam", "--workers", "1"]):
        made = outcome(job, posts, tmp_path / how[1], *how)
        assert contract_bytes(made, *folders) == contract_bytes(output, *folders)


KILLED_RUN = """
import itertools, os, signal, sys
from sluice.pipeline import cli
from sluice.pipeline.phases.phrases import {stage} as stage

calls, original = itertools.count(1), stage.{write}

def dying(*arguments):
    if next(calls) == {at}:
        os.killpg(0, signal.SIGKILL)
    return original(*arguments)

stage.{write} = dying
cli.main(sys.argv[1:])
"""
"""A run that kills itself and its workers at the n-th write of a stage."""


@pytest.mark.parametrize(
    ("stage", "write", "at"), [("count", "write_rows", 2), ("learn", "packed_table", 1)]
)
def test_a_run_that_was_killed_in_the_phase_resumes(
    job: Job, posts: Path, output: Path, tmp_path: Path, stage: str, write: str, at: int
) -> None:
    """Run again it gives the bytes of a run that was not killed, and finished units are not redone."""
    words = ["run", str(recipe(tmp_path, posts)), "--input", str(posts / "posts-*.jsonl")]
    words += ["--output", str(tmp_path / "out"), "--set", f"vocabulary.tokenizer={job.tokenizer}"]
    program = KILLED_RUN.format(stage=stage, write=write, at=at)
    killed = subprocess.run(
        [sys.executable, "-c", program, *words, "--workers", "1"],
        start_new_session=True,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL
    before = manifests(tmp_path / "out")
    assert before
    made = outcome(job, posts, tmp_path)
    after = manifests(made)
    assert {path: after[path] for path in before} == before
    folders = ("tokens", "provenance", "rejects", "contaminated", "leftover", "tokenizer")
    assert contract_bytes(made, *folders) == contract_bytes(output, *folders)
    assert (made / "manifest.json").read_bytes() == (output / "manifest.json").read_bytes()
    assert not [path for path in made.rglob("*") if ".tmp" in path.name]


def test_a_changed_set_is_looked_for_again(job: Job, posts: Path, tmp_path: Path) -> None:
    """Other items are another fingerprint: the next run into the same output finds them."""
    items = tmp_path / "items"
    items.mkdir()
    for path in posts.iterdir():
        (items / path.name).write_bytes(path.read_bytes())
    made = outcome(job, items, tmp_path / "changed")
    (items / "seas.jsonl").write_text(
        json.dumps({"ask": "Another question that no post asks"}) + "\n"
    )
    outcome(job, items, tmp_path / "changed")
    assert report(made)["posts"]["rejected"] == {"contaminated": 1}


def test_recipes_without_sets_have_no_such_phase(job: Job, posts: Path, tmp_path: Path) -> None:
    """Without sets nothing is compared, and no phase is added."""
    made = outcome(job, posts, tmp_path / "none", sets=False)
    assert report(made)["decontamination"] is None
    assert not list((made / "work").glob("phrases-*"))
    assert (
        "were not compared with any evaluation set" in (made / "report" / "DATACARD.md").read_text()
    )


def test_a_wrong_field_ends_the_run_before_any_post(
    job: Job, posts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A set without its field is an error with the closest name, before the first phase."""
    path = recipe(tmp_path, posts)
    path.write_text(path.read_text().replace('"ask"', '"aks"'))
    own, files = job._replace(recipe=path), str(posts / "posts-*.jsonl")
    frozen = f"vocabulary.tokenizer={job.tokenizer}"
    assert run(own, tmp_path / "out", "--set", frozen, inputs=files) == 2
    assert "no row has a field 'aks'; did you mean 'ask'?" in capsys.readouterr().err
    assert not list((tmp_path / "out" / "work").glob("clean-*"))


def test_a_forgotten_post_leaves_the_review(output: Path, tmp_path: Path) -> None:
    """`forget` takes the text of a post out of the review, and its id; the output stays valid."""
    made = Path(shutil.copytree(output, tmp_path / "out"))
    (tmp_path / "key").write_bytes(bytes(range(32)))
    (tmp_path / "ids.txt").write_text("2\n")
    words = ["--ids", str(tmp_path / "ids.txt"), "--key-file", str(tmp_path / "key")]
    assert cli.main(["forget", str(made), *words]) == 0
    rows = pq.read_table(made / "contaminated").to_pylist()
    text, _ = HELD["2"]
    assert text not in [row["text"] for row in rows]
    assert "" in [row["text"] for row in rows]
    assert "2" not in [row["post_id"] for row in rows]
    assert cli.main(["verify", str(made)]) == 0


def test_sets_and_output_may_be_in_an_object_store(
    job: Job, posts: Path, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files of sets are read by URI, and the review of a remote output is as that of a local one."""
    local = recipe(tmp_path, posts).read_text()
    for path in posts.glob("*.jsonl"):
        storage.write_bytes(f"{bucket}/{path.name}", path.read_bytes())
    own = job._replace(recipe=tmp_path / "remote.toml")
    own.recipe.write_text(local.replace(str(posts), bucket))
    frozen, output = f"vocabulary.tokenizer={job.tokenizer}", f"{bucket}/out"
    assert run(own, output, "--set", frozen, inputs=f"{bucket}/posts-*.jsonl") == 0
    capsys.readouterr()
    assert cli.main(["inspect", output, "--review", "--json"]) == 0
    hits = json.loads(capsys.readouterr().out)["hits"]
    assert sorted((hit["post_id"], f"{hit['set']}:{hit['item']}") for hit in hits) == [
        (post_id, detail) for post_id, (_, detail) in HELD.items()
    ]
