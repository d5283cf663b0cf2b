"""Exports of Telegram's desktop app become posts and notices."""

import json
from pathlib import Path

import pytest

from tests.pipeline.inputs.payload_files import Json, outcome, outcome_of

FROM = {
    "from": "Ann",
    "from_id": "user1",
    "date": "2026-01-02T03:04:05",
    "date_unixtime": "1767323045",
}


def message(number: int, text: object, **more: object) -> Json:
    """Returns a message of a chat."""
    return {"id": number, "type": "message", **FROM, "text": text, **more}


MIXED = [
    "see ",
    {"type": "link", "text": "https://a.example"},
    ' "é"\n',
    {"type": "bold", "text": "now"},
]
JOINED = {
    "id": 3,
    "type": "service",
    "action": "join_group_by_link",
    "date": FROM["date"],
    "text": "",
}
CHAT: Json = {
    "name": "A channel",
    "type": "public_channel",
    "id": 55,
    "messages": [
        message(1, "one"),
        message(2, MIXED, reply_to_message_id=1, edited_unixtime="1767323046"),
        JOINED,
        message(4, []),
    ],
}


def test_a_chat(tmp_path: Path) -> None:
    """Messages are posts of their chat, texts in pieces are joined, what only happened is a notice."""
    found = outcome(tmp_path, [CHAT, {**CHAT, "id": 56}])
    assert found.format == "telegram"
    assert [post["post_id"] for post in found.posts] == [
        *("55/1", "55/2", "55/4"),
        *("56/1", "56/2", "56/4"),
    ]
    assert [post["text"] for post in found.posts[:3]] == [
        "one",
        'see https://a.example "é"\nnow',
        "",
    ]
    second = found.posts[1]
    assert (second["in_reply_to_id"], second["author_id"]) == ("55/1", "user1")
    assert str(second["created_at"]) == "2026-01-02 03:04:05+00:00"
    assert str(second["edited_at"]) == "2026-01-02 03:04:06+00:00"
    assert (found.counts.notices, found.reasons) == ({"service": 2}, [])


@pytest.mark.parametrize("batch_rows", [1, 100])
def test_lines_of_messages(tmp_path: Path, batch_rows: int) -> None:
    """A line may be a message, which may say what its chat is."""
    lines = [message(1, "one"), message(2, MIXED, chat_id=7, reply_to_message_id=1), JOINED]
    found = outcome(tmp_path, lines, batch_rows=batch_rows)
    assert [post["post_id"] for post in found.posts] == ["1", "7/2"]
    assert found.posts[1]["in_reply_to_id"] == "7/1"
    assert found.counts.notices == {"service": 1}


def test_an_account(tmp_path: Path) -> None:
    """All chats of an account's export are read; one without messages gives none."""
    other = {"type": "personal_chat", "id": 9, "messages": [message(1, "x")]}
    nobody = {"type": "saved_messages", "id": 3, "messages": []}
    none = {"about": "...", "chats": {"about": "...", "list": []}}
    export = {"about": "...", "chats": {"about": "...", "list": [nobody, CHAT, nobody, other]}}
    alone = {"name": "E", "type": "private_group", "id": 8, "messages": []}
    found = outcome(tmp_path, [export, alone, none])
    assert [post["post_id"] for post in found.posts] == ["55/1", "55/2", "55/4", "9/1"]
    assert (found.counts.notices, found.reasons) == ({"service": 1, "empty": 2}, [])


def test_an_export_over_many_lines(tmp_path: Path) -> None:
    """The file is one pretty-printed object, as the app writes it."""
    path = tmp_path / "result.json"
    path.write_text(json.dumps(CHAT, indent=1, ensure_ascii=False))
    found = outcome_of(path)
    assert (found.format, len(found.posts), found.counts.records) == ("telegram", 3, 2)
