"""Events of Jetstream, and posts as Bluesky's API shows them, become posts and notices."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.pipeline.inputs.payload_files import Json, outcome, outcome_of

DID = "did:plc:ann"
POST = "app.bsky.feed.post"


def commit(rkey: str, operation: str, collection: str, record: Json | None = None) -> Json:
    """Returns an event of Jetstream."""
    inside = {"operation": operation, "collection": collection, "rkey": rkey, "record": record}
    inside = {key: value for key, value in inside.items() if value is not None}
    return {"did": DID, "time_us": 1783175888090631, "kind": "commit", "commit": inside}


def record(text: str, **more: object) -> Json:
    """Returns the record of a post."""
    return {"$type": POST, "text": text, "createdAt": "2026-07-04T14:38:06.240Z", **more}


def uri(rkey: str) -> str:
    """Returns the name of a post."""
    return f"at://{DID}/{POST}/{rkey}"


def view(rkey: str, text: str, **more: object) -> Json:
    """Returns a post view."""
    return {"uri": uri(rkey), "cid": "b", "author": {"did": DID}, "record": record(text), **more}


@pytest.mark.parametrize("batch_rows", [1, 100])
def test_events(tmp_path: Path, batch_rows: int) -> None:
    """Commits of posts are posts, all others are notices of what they are about."""
    other = {"did": DID, "time_us": 1783175888090631}
    subject = {"subject": {"uri": uri("a")}}
    reply = {"parent": {"uri": uri("a")}, "root": {"uri": uri("r")}}
    events = [
        commit("a", "create", POST, record("one", langs=["en", "fr"])),
        commit(
            "b",
            "update",
            POST,
            record("two", reply=reply),
        ),
        commit("c", "delete", POST),
        commit("d", "create", "app.bsky.feed.like", subject),
        commit("d", "delete", "app.bsky.feed.like"),
        commit("e", "create", "app.bsky.feed.repost", subject),
        commit("f", "create", "com.example.note", {"text": "no post of Bluesky"}),
        {**other, "kind": "identity", "identity": {"did": DID}},
        {**other, "kind": "account", "account": {"active": True}},
    ]
    found = outcome(tmp_path, events, batch_rows=batch_rows)
    assert found.format == "bluesky"
    assert [(post["post_id"], post["text"]) for post in found.posts] == [
        (uri("a"), "one"),
        (uri("b"), "two"),
    ]
    first, second = found.posts
    assert (first["declared_lang"], first["conversation_id"]) == ("en", uri("a"))
    assert (second["in_reply_to_id"], second["conversation_id"]) == (uri("a"), uri("r"))
    assert ("edited_at" in first, "edited_at" in second) == (False, True)
    kinds = ("delete", "like", "like_delete", "repost", "note", "identity", "account")
    assert found.counts.notices == dict.fromkeys(kinds, 1)


def test_links_are_whole(tmp_path: Path) -> None:
    """A link that the app has shortened is whole in the text; other links and tags stay as they are."""
    text = "é www.a.example/lo... here #tag"
    link = {"$type": "app.bsky.richtext.facet#link", "uri": "https://www.a.example/long?a=b&c"}

    def facet(shown: str, feature: Json) -> Json:
        start = text.encode().index(shown.encode())
        return {"index": {"byteStart": start, "byteEnd": start + len(shown)}, "features": [feature]}

    facets = [
        facet("#tag", {"$type": "app.bsky.richtext.facet#tag", "tag": "tag"}),
        facet("here", {**link, "uri": "https://b.example"}),
        facet("www.a.example/lo...", link),
        {"index": {"byteStart": 900, "byteEnd": 12e300}, "features": [link]},
    ]
    plain = commit("b", "create", POST, record("other..."))
    found = outcome(tmp_path, [commit("a", "create", POST, record(text, facets=facets)), plain])
    assert [post["text"] for post in found.posts] == [f"é {link['uri']} here #tag", "other..."]


def test_bridged_posts(tmp_path: Path) -> None:
    """A post that the bridge from Mastodon has cut has its whole text; others have what Bluesky shows."""
    original = "<p>One &amp; two</p><p>three</p>"
    cut = record("One & two […]", bridgyOriginalText=original)
    whole = record("One & two\n\nthree", bridgyOriginalText=original + "<p>four</p>")
    events = [commit(str(i), "create", POST, each) for i, each in enumerate([cut, whole])]
    texts = [post["text"] for post in outcome(tmp_path, events).posts]
    assert texts == ["One & two\n\nthree"] * 2


def test_views(tmp_path: Path) -> None:
    """A view is a post with its counts and images; what it quotes is a post, unless it is none."""
    quoted = {"uri": uri("q"), "author": {"did": DID}, "value": record("quoted"), "likeCount": 1}
    images = [{"alt": "a cat", "image": {"ref": {"$link": "bafy"}, "mimeType": "image/png"}}]
    with_media = record(
        "two", embed={"record": {"record": {"uri": uri("q")}}, "media": {"images": images}}
    )
    feed = {"uri": f"at://{DID}/app.bsky.feed.generator/x", "creator": {"did": DID}}
    views = [
        view("a", "one", embed={"record": quoted}, likeCount=4, replyCount=3, quoteCount=2),
        {**view("b", "", embed={"record": {"record": quoted}}), "record": with_media},
        view("c", "three", embed={"record": feed}),
        view("d", "four", embed={"record": {"uri": uri("gone"), "notFound": True}}),
    ]
    found = outcome(tmp_path, views)
    assert [post["text"] for post in found.posts] == [
        "one",
        "quoted",
        "two",
        "quoted",
        "three",
        "four",
    ]
    assert [post["source_item"] for post in found.posts] == [0, 1, 0, 1, 0, 0]
    assert found.posts[0]["like_count"] == 4
    assert found.posts[2]["quoted_id"] == uri("q")
    assert found.posts[2]["media"] == [
        {"kind": "image", "key": "bafy", "alt_text": "a cat", "link": None}
    ]
    assert (found.counts.notices, found.reasons) == ({}, [])


def test_films(tmp_path: Path) -> None:
    """A film is a medium with its alternative text, also beside a post that is quoted."""
    film = {"$type": "app.bsky.embed.video", "alt": "a wave", "video": {"ref": {"$link": "bafk"}}}
    quoting = {"record": {"record": {"uri": uri("q")}}, "media": film}
    events = [
        commit(str(i), "create", POST, record("x", embed=embed))
        for i, embed in enumerate([film, quoting, {"external": {"uri": "https://a.example"}}])
    ]
    wanted = [{"kind": "video", "key": "bafk", "alt_text": "a wave", "link": None}]
    assert [post.get("media") for post in outcome(tmp_path, events).posts] == [wanted, wanted, None]


def test_feeds(tmp_path: Path) -> None:
    """A repost with a URI is a post with the text that it repeats; a page gives all its posts."""
    reason = {"$type": "app.bsky.feed.defs#reasonRepost", "by": {"did": "did:plc:bob"}}
    reason |= {
        "indexedAt": "2026-07-05T00:00:00Z",
        "uri": "at://did:plc:bob/app.bsky.feed.repost/r",
    }
    reply = {"parent": view("p", "parent"), "root": {"uri": uri("x"), "notFound": True}}
    feed = [
        {"post": view("a", "one"), "reason": reason},
        {"post": view("b", "two"), "reply": reply},
        {"post": view("c", "three"), "reason": {"$type": "app.bsky.feed.defs#reasonPin"}},
    ]
    for records in (feed, [{"feed": feed, "cursor": "c"}]):
        found = outcome(tmp_path, records)
        posts = found.by_id()
        assert {key.rpartition("/")[2]: post["text"] for key, post in posts.items()} == {
            "r": "one",
            "a": "one",
            "b": "two",
            "p": "parent",
            "c": "three",
        }
        repost = posts["at://did:plc:bob/app.bsky.feed.repost/r"]
        assert (repost["reposted_id"], repost["author_id"]) == (uri("a"), "did:plc:bob")
        assert str(repost["created_at"]) == "2026-07-05 00:00:00+00:00"
        assert (found.reasons, found.counts.notices) == ([], {})


def test_threads(tmp_path: Path) -> None:
    """A thread gives the posts above and below the one asked for, each once; what is gone is none."""
    gone = {"uri": uri("gone"), "notFound": True}
    below = {"post": view("c", "three"), "replies": [{"post": view("d", "four")}, gone]}
    above = {"post": view("a", "one"), "parent": gone}
    thread = {"post": view("b", "two"), "parent": above, "replies": [below]}
    found = outcome(tmp_path, [{"thread": thread, "threadgate": {"uri": "at://x"}}])
    assert {post["text"] for post in found.posts} == {"one", "two", "three", "four"}
    assert (len(found.posts), found.reasons, found.counts.notices) == (4, [], {})


def test_records_without_a_post(tmp_path: Path) -> None:
    """A page without posts, and a thread that is gone, are counted as notices."""
    gone = {"thread": {"uri": uri("gone"), "notFound": True}}
    found = outcome(tmp_path, [{"feed": []}, {"posts": []}, gone, view("a", "one")])
    assert [post["text"] for post in found.posts] == ["one"]
    assert (found.reasons, found.counts.notices) == ([], {"empty": 3})
    assert found.counts.records == 4


@pytest.mark.real
def test_recorded_events() -> None:
    """Every recorded event is a post or a notice, by what a plain reading of it says."""
    path = Path(os.environ["SLUICE_DATA"], "payloads", "bluesky_jetstream.jsonl")
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    commits = [event["commit"] for event in events if event["kind"] == "commit"]
    about = Counter((each["collection"].rpartition(".")[2], each["operation"]) for each in commits)
    found = outcome_of(path)
    assert found.counts.records == len(events) == 152
    assert found.counts.posts == about["post", "create"] + about["post", "update"] == 17
    assert found.reasons == []
    notices = {"delete": about["post", "delete"], "identity": 1, "account": 1}
    for (name, operation), number in about.items():
        if name != "post":
            kind = f"{name}_delete" if operation == "delete" else name
            notices[kind] = notices.get(kind, 0) + number
    assert found.counts.notices == notices


@pytest.mark.real
def test_recorded_views() -> None:
    """Each of the recorded views is a post, and so is each post that one of them quotes or answers."""
    path = Path(os.environ["SLUICE_DATA"], "payloads", "bluesky_postview.jsonl")
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    found = outcome_of(path)
    own = [record.get("post", record) for record in records]
    assert {post["uri"] for post in own} <= found.by_id().keys()
    texts = {post["uri"]: post["record"]["text"] for post in own}
    cut = {key for key, text in texts.items() if "..." in text or "…" in text}
    assert not any("[…]" in post["text"] for post in found.posts)
    assert all(found.by_id()[key]["text"] == texts[key] for key in texts.keys() - cut)
    links = [key for key in cut if "https://" in found.by_id()[key]["text"]]
    assert 0 < len(links) <= len(cut) < len(texts)
    assert (found.counts.records, found.counts.records_with_posts, found.counts.posts) == (
        61,
        61,
        88,
    )
    assert (found.counts.notices, found.reasons) == ({}, [])
