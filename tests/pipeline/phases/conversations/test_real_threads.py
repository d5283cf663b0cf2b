"""Real threads: joined as the rule says, and read back."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.phases.conversations.reference import documents
from tests.pipeline.phases.conversations.test_runs import pieces_of, told
from tests.pipeline.phases.tokens.test_conversations import check_texts, run_on
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


@pytest.mark.real
def test_real_threads_are_joined(job: Job, data: Path, tmp_path: Path) -> None:
    """9,519 real posts of two collections stand in the documents of the rule; what is kept reads back."""
    posts = thread_posts(data, "rumoureval2017", "twcs")
    output = run_on(job, tmp_path, posts, "tokens.documents=conversations")
    check_texts(output, posts, job.tokenizer)
    wanted = documents(told(posts, output), quotes=False)
    assert joined_posts(output) == sorted(sorted(ids) for ids in wanted)
    found = json.loads((output / "report" / "report.json").read_text())["conversations"]
    print(found)
