"""Real threads: joined as the rule says, and read back."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import sluice
from sluice.pipeline import cli
from tests.pipeline.phases.conversations.reference import documents
from tests.pipeline.phases.conversations.test_runs import pieces_of, told
from tests.pipeline.phases.tokens.test_conversations import RECIPE, check_texts, run_on
from tests.pipeline.runs import Job


def thread_posts(data: Path, *names: str) -> list[dict[str, Any]]:
    """Returns the posts of files of real threads."""
    posts = []
    for name in names:
        with gzip.open(data / "threads" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            posts += [json.loads(line) | {"quotes": None} for line in lines]
    return posts


def joined_posts(output: Path) -> list[list[str]]:
    """Returns the ids of the posts of each document, each once; documents in the order of their first."""
    found: dict[int, dict[str, None]] = {}
    rows = sorted(pieces_of(output), key=lambda r: (r["document"], r["post_id"], r["piece"]))
    for row in rows:
        found.setdefault(row["document"], {})[row["post_id"]] = None
    return sorted(sorted(ids) for ids in found.values())


JOINED = ("documents", "posts", "by_links", "by_quotes", "by_id", "orphans")
REAL = {
    "reddit": (20, 577, 517, 0, 40, 413),
    "x_v1": (7, 14, 0, 7, 0, 34),
    "x_v2": (53, 116, 44, 19, 0, 23),
    "mastodon": (14, 41, 27, 0, 0, 112),
    "bluesky_postview": (17, 41, 6, 16, 2, 7),
}
"""Payload -> what of it is joined with `quotes = "joined"`, as JOINED."""


def told_in(output: Path) -> dict[str, Any]:
    """Returns what the report says of conversations."""
    found: dict[str, Any] = json.loads((output / "report" / "report.json").read_text())
    return dict(found["conversations"])


def run_payload(job: Job, path: Path, folder: Path) -> Path:
    """Runs a recipe without filters on a payload, with quotes; returns the output."""
    (folder / "documents.toml").write_text(RECIPE)
    command = ["run", str(folder / "documents.toml"), "--input", str(path)]
    command += ["--output", str(folder / "out"), "--set", "tokens.documents=conversations"]
    command += ["--set", "tokens.quotes=joined", "--set", f"vocabulary.tokenizer={job.tokenizer}"]
    assert cli.main(command) == 0
    return folder / "out"


@pytest.mark.real
def test_real_threads_are_joined(job: Job, data: Path, tmp_path: Path) -> None:
    """9,519 real posts of two collections stand in the documents of the rule; what is kept reads back."""
    posts = thread_posts(data, "rumoureval2017", "twcs")
    output = run_on(job, tmp_path, posts, "tokens.documents=conversations")
    check_texts(output, posts, job.tokenizer)
    wanted = documents(told(posts, output), quotes=False)
    assert joined_posts(output) == sorted(sorted(ids) for ids in wanted)
    found = told_in(output)
    assert (found["documents"], found["posts"], found["orphans"]) == (1584, 8915, 6)
    assert (found["subtrees_alone"], found["replaced"]) == (119, 6)
    assert found["depths"]["65-128"] == 65


@pytest.mark.real
@pytest.mark.parametrize("platform", REAL)
def test_payloads_are_joined(job: Job, data: Path, tmp_path: Path, platform: str) -> None:
    """What platforms send stands in as many documents as told, by links, quotes and ids."""
    output = run_payload(job, data / "payloads" / f"{platform}.jsonl", tmp_path)
    found = told_in(output)
    assert tuple(found[name] for name in JOINED) == REAL[platform]
    assert sluice.verify(str(output)) == []
