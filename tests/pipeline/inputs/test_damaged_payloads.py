"""Payloads of Mastodon, Bluesky, Hacker News and Telegram that are damaged, and read as what they are not."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.schemas.post import INPUT_COLUMNS
from tests.pipeline.inputs.payload_files import outcome_of
from tests.pipeline.inputs.test_bluesky import POST, commit, record, uri, view
from tests.pipeline.inputs.test_hacker_news import STORY
from tests.pipeline.inputs.test_mastodon import status
from tests.pipeline.inputs.test_telegram import CHAT, message

FORMATS = ("mastodon", "bluesky", "hacker_news", "telegram")
FACET = {"index": {"byteStart": 0, "byteEnd": 6}, "features": [{"uri": "https://a.b"}]}
QUOTED = {"uri": uri("q"), "author": {"did": "did:plc:bob"}, "value": record("quoted")}
RECORDS = (
    status(1, "<p>a &amp; <br>b</p>", spoiler_text="w", media_attachments=[{"type": "image"}]),
    {"event": "update", "payload": json.dumps(status(2, "<p>x</p>", reblog=status(3, "y")))},
    {"event": "delete", "payload": "4"},
    commit("a", "create", POST, record("a.b...", facets=[FACET], langs=["en"])),
    commit("b", "delete", POST),
    view("c", "one", embed={"record": QUOTED}, likeCount=1),
    {"post": view("d", "two"), "reason": {"uri": uri("r"), "by": {"did": "x"}}},
    {**STORY, "text": "<p>t"},
    {"id": 4, "type": "comment", "deleted": True},
    CHAT,
    message(9, ["a", {"text": "b"}, 1, None], chat_id=1),
)
LINES = [json.dumps(each).encode() for each in RECORDS]
VALUES = (
    None,
    1,
    -1.5e300,
    True,
    "",
    "x",
    [],
    [1, "a", {}],
    {},
    {"text": 1},
    '{"a":1}',
    "\u0000é😀",
)


def _paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Returns the paths of all values of a record."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(found for key, inside in items for found in _paths(inside, (*path, key)))]


SPOTS = [(i, path) for i, each in enumerate(RECORDS) for path in _paths(each) if path]


def _changed(record: object, path: tuple[str | int, ...], value: object) -> object:
    """Returns a copy of a record with another value at a path."""
    copy = json.loads(json.dumps(record))
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return copy


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder of the module's."""
    return tmp_path_factory.mktemp("payloads")


@given(
    lines=st.lists(st.sampled_from(LINES), min_size=1, max_size=8),
    edits=st.lists(
        st.tuples(st.integers(0, 9999), st.sampled_from(b'{}[]",:\\ \n\x00\xffa1<&')), max_size=4
    ),
    format=st.sampled_from(FORMATS),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_changed_bytes(
    folder: Path, lines: list[bytes], edits: list[tuple[int, int]], format: str
) -> None:
    """Whatever bytes are changed, every record is accounted for, and neither units nor batches show."""
    data = bytearray(b"\n".join(lines))
    for place, byte in edits:
        data[place % len(data)] = byte
    path = folder / "a.jsonl"
    path.write_bytes(data)
    whole = outcome_of(path, format=format)
    pieces = outcome_of(path, format=format, unit_bytes=100, batch_rows=1)
    assert (whole.posts, sorted(whole.reasons)) == (pieces.posts, sorted(pieces.reasons))
    assert whole.counts.notices == pieces.counts.notices


@given(spot=st.sampled_from(SPOTS), value=st.sampled_from(VALUES), format=st.sampled_from(FORMATS))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_changed_values(
    folder: Path, spot: tuple[int, tuple[str | int, ...]], value: object, format: str
) -> None:
    """A value of another type costs its record at most: the one beside it is read as it was."""
    number, path = spot
    file = folder / "b.jsonl"
    sound = {"mastodon": 0, "bluesky": 5, "hacker_news": 7, "telegram": 9}[format]
    changed = json.dumps(_changed(RECORDS[number], path, value), ensure_ascii=False).encode()
    file.write_bytes(LINES[sound] + b"\n" + changed + b"\n" + LINES[sound] + b"\n")
    found = outcome_of(file, format=format)
    file.write_bytes(LINES[sound] + b"\n")
    wanted = [post["text"] for post in outcome_of(file, format=format).posts]
    assert wanted
    for row in (0, 2):
        assert [post["text"] for post in found.posts if post["source_row"] == row] == wanted


@pytest.mark.parametrize("format", FORMATS)
def test_columns_that_a_recipe_leaves_out(folder: Path, format: str) -> None:
    """Posts without their optional columns have the same ids and texts."""
    path = folder / "c.jsonl"
    path.write_bytes(b"\n".join(LINES))
    left_out = [name for name in INPUT_COLUMNS if name not in ("post_id", "text")]
    whole = outcome_of(path, format=format)
    bare = outcome_of(path, format=format, columns=dict.fromkeys(left_out, ""))
    assert whole.posts
    for name in ("post_id", "text", "row_key"):
        assert [post[name] for post in bare.posts] == [post[name] for post in whole.posts]
    for name in ("author_id", "created_at", "in_reply_to_id", "quoted_id", "reposted_id"):
        assert not any(post.get(name) for post in bare.posts)
