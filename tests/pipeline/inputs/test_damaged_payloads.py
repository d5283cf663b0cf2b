"""Payloads of each platform that are damaged, and read as what they are not."""

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
from tests.pipeline.inputs.test_payloads import post_v2, thing, tweet
from tests.pipeline.inputs.test_telegram import CHAT, message

FACET = {"index": {"byteStart": 0, "byteEnd": 6}, "features": [{"uri": "https://a.b"}]}
ENTITIES = {
    "urls": [{"url": "https://t.co/a", "expanded_url": "https://a.b", "display_url": "a.b"}],
    "media": [{"type": "photo", "media_url": "p", "url": "https://t.co/p"}],
}
PAGE = {
    "data": [
        post_v2(1, "a https://t.co/a", entities=ENTITIES, attachments={"media_keys": ["3_1"]}),
        post_v2(2, "RT", referenced_tweets=[{"type": "retweeted", "id": "3"}]),
    ],
    "includes": {
        "tweets": [post_v2(3, "b &amp; c", note_tweet={"text": "whole"})],
        "users": [{"id": "7", "protected": False}],
        "media": [{"media_key": "3_1", "type": "photo", "alt_text": "d"}],
    },
}
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
    tweet(1, "a https://t.co/a", entities=ENTITIES, quoted_status=tweet(2, "quoted")),
    tweet(3, "RT", retweeted_status=tweet(4, "cut", extended_tweet={"full_text": "whole"})),
    {"delete": {"status": {"id_str": "1", "user_id_str": "2"}, "timestamp_ms": "1"}},
    PAGE,
    {"tweet": tweet(5, "", full_text="of an archive", entities=ENTITIES)},
    thing("t1", "a", body="a comment &gt;", parent_id="t3_b", link_id="t3_b"),
    thing("t3", "b", title="t", selftext="s", gallery_data={"items": [{"media_id": "m"}]}),
    {"id": "c", "body": "of a dump", "link_id": "t3_b", "subreddit": "d", "parent_id": "t1_a"},
)
SOUND = {
    "mastodon": 0,
    "bluesky": 5,
    "hacker_news": 7,
    "telegram": 9,
    "x_v1": 11,
    "x_v2": 14,
    "x_archive": 15,
    "reddit": 16,
    "reddit_dump": 18,
}
"""Format -> a record of it that is sound."""
FORMATS = tuple(SOUND)
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
    10**400,
    [[[[[{"id": [{}]}]]]]],
    {"id": {"id": {"id": None}}},
    "\ud83d",
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
    sound = SOUND[format]
    changed = json.dumps(_changed(RECORDS[number], path, value)).encode()
    file.write_bytes(LINES[sound] + b"\n" + changed + b"\n" + LINES[sound] + b"\n")
    found = outcome_of(file, format=format)
    file.write_bytes(LINES[sound] + b"\n")
    wanted = [post["text"] for post in outcome_of(file, format=format).posts]
    assert wanted
    for row in (0, 2):
        assert [post["text"] for post in found.posts if post["source_row"] == row] == wanted


@given(spot=st.sampled_from(SPOTS), value=st.sampled_from(VALUES), format=st.sampled_from(FORMATS))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_key_that_is_there_twice(
    folder: Path, spot: tuple[int, tuple[str | int, ...]], value: object, format: str
) -> None:
    """Of a key that is in its object twice the last value stays, and it costs no other record anything."""
    number, path = spot
    file = folder / "d.jsonl"
    if not isinstance(path[-1], str) or path[-3:-1] == (
        "features",
        0,
    ):  # features are searched as text
        return
    twice = _changed(RECORDS[number], (*path[:-1], "\u0007"), value)
    text = json.dumps(twice).replace(json.dumps("\u0007"), json.dumps(path[-1]))
    sound = LINES[SOUND[format]]
    found = []
    for line in (text.encode(), json.dumps(json.loads(text)).encode(), sound):
        file.write_bytes(sound + b"\n" + line + b"\n" + sound + b"\n")
        found.append(outcome_of(file, format=format))
    repeated, last, plain = found
    assert (repeated.posts, repeated.reasons) == (last.posts, last.reasons)
    assert repeated.counts.notices == last.counts.notices
    for row in (0, 2):
        texts = [
            [post["text"] for post in each.posts if post["source_row"] == row] for each in found
        ]
        assert texts[0] == texts[2] != []
    assert plain.posts


@pytest.mark.parametrize(
    "item",
    ['{"type":"image","url":"a","type":"video"}', '{"url":"a","\\u0074ype":"video"}'],
    ids=["repeated", "escaped"],
)
def test_keys_in_lists(folder: Path, item: str) -> None:
    """In an object of a list, too, the last value of a key stays, and an escaped key is that key."""
    file = folder / "f.jsonl"
    media = json.dumps([{"type": "audio", "url": "b"}])
    line = json.dumps(status(1, "x", media_attachments=None))
    texts = [line.replace("null", f"[{item}]"), line.replace("null", media)]
    assert all(text != line for text in texts)
    file.write_text("".join(text + "\n" for text in texts))
    found = [[(m["kind"], m["key"]) for m in post["media"]] for post in outcome_of(file).posts]
    assert found == [[("video", "a")], [("audio", "b")]]


@given(
    numbers=st.lists(st.integers(0, len(RECORDS) - 1), min_size=1, max_size=6),
    cut=st.integers(1, 400),
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_formats_in_one_file(folder: Path, numbers: list[int], cut: int) -> None:
    """Records of several platforms in a file, the last cut off: each is accounted for."""
    file = folder / "e.jsonl"
    lines = [LINES[number] for number in numbers]
    file.write_bytes(b"\n".join([*lines[:-1], lines[-1][:cut]]))
    found = outcome_of(file)
    rows = {post["source_row"] for post in found.posts}
    assert len(rows) + sum(found.counts.notices.values()) + len(found.reasons) >= len(lines)


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
