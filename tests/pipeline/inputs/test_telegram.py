"""Exports of Telegram's desktop app become posts and notices."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.pipeline.inputs.sources import pieces_source
from sluice.pipeline.inputs.telegram_export import is_export, message_lines
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
    """The file is one pretty-printed object, as the app writes it: each message is a record."""
    path = tmp_path / "result.json"
    path.write_text(json.dumps(CHAT, indent=1, ensure_ascii=False))
    found = outcome_of(path)
    assert (found.format, len(found.posts), found.counts.records) == ("telegram", 3, 4)
    assert [post["post_id"] for post in found.posts] == ["55/1", "55/2", "55/4"]
    assert [post["source_row"] for post in found.posts] == [0, 1, 3]


TEXTS = st.lists(
    st.sampled_from(
        ["a", "é", '"messages": [', "]", "}", "{", "\n ]", '"id": 7,\n "messages": [', ","]
    )
).map("".join)
CHATS = st.lists(
    st.tuples(st.none() | st.integers(1, 9), st.lists(TEXTS | st.lists(TEXTS), max_size=4)),
    max_size=4,
)


def exported(chats: list[tuple[int | None, list[Any]]]) -> Json:
    """Returns an account's export."""
    found = []
    for number, texts in chats:
        about = {"name": None, "type": "personal_chat"} | ({} if number is None else {"id": number})
        found.append({**about, "messages": [message(i, text) for i, text in enumerate(texts)]})
    about = "Here is the data you requested. Telegram is free"
    rest = {"contacts": {"list": [{"id": 3}]}, "chats": {"about": "", "list": found}}
    return {"about": about, **rest, "left_chats": {"about": "", "list": found[:1]}}


@given(chats=CHATS, indent=st.integers(1, 3), block_bytes=st.integers(1, 300))
def test_messages_as_a_parser_finds_them(
    chats: list[tuple[int | None, list[Any]]], indent: int, block_bytes: int
) -> None:
    """However an export is cut into pieces, its messages are those that a parser finds, with their chats."""
    export = exported(chats)
    data = json.dumps(export, indent=indent, ensure_ascii=False).encode()
    assert is_export(data)
    pieces = (data[i : i + block_bytes] for i in range(0, len(data), block_bytes))
    lines = b"".join(message_lines(pieces_source(pieces), block_bytes=block_bytes)).splitlines()
    expected = []
    for section in ("chats", "left_chats"):
        for chat in export[section]["list"]:
            inside = {"chat_id": chat["id"]} if "id" in chat else {}
            expected += [inside | said for said in chat["messages"]]
    assert [json.loads(line) for line in lines] == expected


def test_a_large_export(tmp_path: Path) -> None:
    """An export of more bytes and messages than a record may have is read whole, compressed as well."""
    chat = {**CHAT, "messages": [message(i, f"text {i} " + "x" * 2000) for i in range(5000)]}
    data = json.dumps(chat, indent=1).encode()
    assert len(data) > 8 << 20
    (tmp_path / "result.json.gz").write_bytes(gzip.compress(data, mtime=0))
    found = outcome_of(tmp_path / "result.json.gz")
    assert [post["post_id"] for post in found.posts] == [f"55/{i}" for i in range(5000)]
    assert found.reasons == []


def test_an_export_that_breaks_off(tmp_path: Path) -> None:
    """What is whole is read; the message that is cut off is a dead letter, and so is all that is missing."""
    data = json.dumps(CHAT, indent=1).encode()
    (tmp_path / "result.json").write_bytes(data[: data.index(b'"join_group')])
    found = outcome_of(tmp_path / "result.json")
    assert [post["post_id"] for post in found.posts] == ["55/1", "55/2"]
    assert found.reasons == ["not_json", "truncated_input"]
