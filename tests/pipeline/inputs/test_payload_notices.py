"""Notices of payloads say which post or author they are about, and what they do."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sluice.pipeline.inputs.inventory import cut, find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, read_unit
from sluice.schemas.notice import NOTICES

Json = dict[str, Any]

TWEET = {
    "id_str": "100",
    "text": "a post",
    "created_at": "Sat Mar 10 14:03:15 +0000 2018",
    "user": {"id_str": "7"},
}
STATUS = {
    "uri": "https://a.test/users/b/statuses/11",
    "id": "11",
    "content": "<p>a post</p>",
    "visibility": "public",
    "account": {"acct": "b", "id": "3"},
}
STORY = {"type": "story", "id": 5, "by": "b", "time": 1700000000, "title": "a post"}
VIEW = {"uri": "at://did:a/app.bsky.feed.post/1", "author": {"did": "did:a"}}
EVENT = {"did": "did:a", "time_us": 1700000000000000}


def commit(operation: str, collection: str = "app.bsky.feed.post") -> Json:
    """Returns an event of a commit."""
    named = {"operation": operation, "collection": collection, "rkey": "1"}
    return {**EVENT, "kind": "commit", "commit": named}


AI = "community.lexicon.preference.ai"


def declared(preferences: Json, **more: Json) -> Json:
    """Returns an event in which an author says what their posts may be used for."""
    event = commit("update", AI)
    record = {"preferences": preferences, **more}
    return {**event, "commit": {**event["commit"], "record": record}}


CASES: dict[str, tuple[Json, Json, tuple[str, str, str | None, str | None]]] = {
    "x_v1 delete": (
        TWEET,
        {"delete": {"status": {"id": 1, "id_str": "1", "user_id_str": "7"}, "timestamp_ms": "9"}},
        ("delete", "delete", "1", "7"),
    ),
    "x_v1 drop": (TWEET, {"drop": {"status": {"id": 1}}}, ("drop", "delete", "1", None)),
    "x_v1 undrop": (TWEET, {"undrop": {"status": {"id": 1}}}, ("undrop", "restore", "1", None)),
    "x_v1 user_protect": (
        TWEET,
        {"user_protect": {"id": 7}},
        ("user_protect", "delete_author", None, "7"),
    ),
    "x_v2 delete": (
        {"data": {"id": "100", "text": "a post"}},
        {"data": {"delete": {"tweet": {"id": "1", "author_id": "7"}, "event_at": "2023-01-01"}}},
        ("delete", "delete", "1", "7"),
    ),
    "x_v2 user_undelete": (
        {"data": {"id": "100", "text": "a post"}},
        {"data": {"user_undelete": {"user": {"id": "7"}}}},
        ("user_undelete", "restore_author", None, "7"),
    ),
    "mastodon delete": (
        STATUS,
        {"event": "delete", "payload": "11"},
        ("delete", "delete", "11", None),
    ),
    "bluesky delete": (
        {**VIEW, "record": {"text": "a post"}},
        commit("delete"),
        ("delete", "delete", "at://did:a/app.bsky.feed.post/1", "did:a"),
    ),
    "bluesky account": (
        {**VIEW, "record": {"text": "a post"}},
        {**EVENT, "kind": "account", "account": {"active": False, "status": "deactivated"}},
        ("account", "delete_author", None, "did:a"),
    ),
    "bluesky training": (
        {**VIEW, "record": {"text": "a post"}},
        declared({"training": {"allow": False}}),
        ("no_training", "refuse_author", None, "did:a"),
    ),
    "bluesky training again": (
        {**VIEW, "record": {"text": "a post"}},
        declared({"training": {"allow": True}}),
        ("ai", "allow_author", None, "did:a"),
    ),
    "bluesky training unsaid": (
        {**VIEW, "record": {"text": "a post"}},
        commit("delete", AI),
        ("ai_delete", "allow_author", None, "did:a"),
    ),
    "hacker_news delete": (
        STORY,
        {"type": "comment", "id": 6, "deleted": True, "time": 1, "by": None},
        ("delete", "delete", "6", None),
    ),
}


def notices(folder: Path, records: list[Json], *, batch_rows: int = 16_384) -> list[Json]:
    """Returns the notices that act, of a file of lines."""
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    inventory, rows = find_inputs([str(path)]), []
    options = ReadOptions(batch_rows=batch_rows, notices=True)
    for unit in cut(inventory):
        for batch in read_unit(inventory.root, unit, options):
            if batch.notices is not None:
                assert batch.notices.schema == NOTICES
                rows += batch.notices.to_pylist()
    return rows


@pytest.mark.parametrize("name", CASES)
def test_a_notice_of_each_kind(tmp_path: Path, name: str) -> None:
    """A notice among posts names what it is about, its kind, what it does, and its record."""
    post, notice, (kind, act, post_id, author_id) = CASES[name]
    (row,) = notices(tmp_path, [post, notice, post], batch_rows=2)
    assert (row["kind"], row["act"], row["source_row"]) == (kind, act, 1)
    assert (row["id"], row["author_id"]) == (post_id, author_id)


@pytest.mark.parametrize("name", [n for n in CASES if n.startswith(("x_", "mastodon"))])
def test_a_file_of_notices_alone(tmp_path: Path, name: str) -> None:
    """A file without a post is of the platform whose notices it has."""
    _, notice, (kind, act, _, _) = CASES[name]
    rows = notices(tmp_path, [notice, notice])
    assert [(row["kind"], row["act"], row["source_row"]) for row in rows] == [
        (kind, act, 0),
        (kind, act, 1),
    ]


OTHERS: dict[str, tuple[Json, Json]] = {
    "a like": (commit("create"), commit("delete", "app.bsky.feed.like")),
    "an account whose server is slow": (
        {**VIEW, "record": {"text": "a post"}},
        {**EVENT, "kind": "account", "account": {"active": False, "status": "throttled"}},
    ),
    "training for one reader": (
        {**VIEW, "record": {"text": "a post"}},
        declared({"training": {"allow": False}}, scope={"entity": "example.org"}),
    ),
    "a limit": (TWEET, {"limit": {"track": 5}}),
    "what names no post": (TWEET, {"delete": {"timestamp_ms": "9"}}),
    "what names no author": (TWEET, {"user_delete": {"timestamp_ms": "9"}}),
    "an update": (STATUS, {"event": "filters_changed"}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_notices_that_do_nothing(tmp_path: Path, name: str) -> None:
    """A notice of another kind, or one that names neither a post nor an author, is counted alone."""
    assert notices(tmp_path, list(OTHERS[name])) == []


def test_notices_in_lines_that_are_read_one_by_one(tmp_path: Path) -> None:
    """What the compiled reader refuses and the other reads acts, too, in the order of the records."""
    plain = [json.dumps({"delete": {"status": {"id_str": str(n)}}}) for n in range(6)]
    lines = [json.dumps(TWEET)] * 3
    for number, line in enumerate(plain):
        repeated = f'{{"lang":"a","lang":"b",{line[1:]}'
        lines.insert(1 + number, repeated if number % 2 else line)
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([*lines, "{broken"]))
    inventory = find_inputs([str(path)], payload="x_v1")
    (unit,) = cut(inventory)
    read = [batch.notices for batch in read_unit(inventory.root, unit, ReadOptions(notices=True))]
    rows = pa.Table.from_batches([notices for notices in read if notices is not None]).to_pylist()
    assert [(row["id"], row["source_row"]) for row in rows] == [(str(n), n + 1) for n in range(6)]


def test_posts_are_the_same_with_notices(tmp_path: Path) -> None:
    """Whether notices are read changes no post, dead letter or count."""
    records = [record for post, notice, _ in CASES.values() for record in (post, notice)]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    inventory = find_inputs([str(path)], payload="x_v1")
    (unit,) = cut(inventory)
    with_notices, without = (
        list(read_unit(inventory.root, unit, ReadOptions(notices=on))) for on in (True, False)
    )
    for one, other in zip(with_notices, without, strict=True):
        assert one[:3] == other[:3]
        assert other.notices is None
