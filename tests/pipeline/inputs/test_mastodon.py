"""Statuses and stream events of Mastodon become posts and notices."""

import json
import os
from pathlib import Path

import pytest

from tests.pipeline.inputs.payload_files import Json, outcome, outcome_of

HOST = "https://a.example/users/ann/statuses"


def status(number: int, content: str, **more: object) -> Json:
    """Returns a status of the server a.example."""
    account = {"id": "7", "acct": "ann", "uri": "https://a.example/users/ann"}
    fixed = {"id": str(number), "uri": f"{HOST}/{number}", "created_at": "2026-01-02T03:04:05.000Z"}
    return {**fixed, "visibility": "public", "account": account, "content": content, **more}


def test_a_status(tmp_path: Path) -> None:
    """A status has its uri, plain text behind its warning, whole media and counts."""
    media = {
        "type": "image",
        "url": "https://a.example/1.png",
        "remote_url": None,
        "description": "é",
    }
    given = status(
        *(12, "<p>One &amp; <a href='https://b.example/@c'>@<span>c</span></a></p>"),
        spoiler_text="About cats",
        language="en",
        edited_at="2026-01-02T04:00:00Z",
        in_reply_to_id="11",
        in_reply_to_account_id="7",
        media_attachments=[media],
        favourites_count=3,
        reblogs_count=2,
        replies_count=1,
        application={"name": "An app"},
    )
    found = outcome(tmp_path, [given])
    (post,) = found.posts
    assert (found.format, post["platform"]) == ("mastodon", "mastodon")
    assert (post["post_id"], post["author_id"]) == (f"{HOST}/12", "https://a.example/users/ann")
    assert post["text"] == "About cats\n\nOne & @c"
    assert post["in_reply_to_id"] == f"{HOST}/11"
    assert post["media"] == [
        {"kind": "image", "key": "https://a.example/1.png", "alt_text": "é", "link": None}
    ]
    assert [post[f"{name}_count"] for name in ("like", "repost", "reply")] == [3, 2, 1]
    assert (post["declared_lang"], post["source"]) == ("en", "An app")
    assert "edited_at" in post


@pytest.mark.parametrize(
    "more",
    [
        {"in_reply_to_account_id": "8"},
        {"in_reply_to_account_id": "7", "uri": "https://b.example/users/ann/statuses/99"},
        {"in_reply_to_account_id": "7", "uri": "https://b.example/objects/x"},
    ],
)
def test_a_parent_that_is_not_sure(tmp_path: Path, more: Json) -> None:
    """The parent's number stays where another author wrote it, or the status is of another server."""
    (post,) = outcome(tmp_path, [status(12, "<p>a</p>", in_reply_to_id="11", **more)]).posts
    assert post["in_reply_to_id"] == "11"


def test_boosts_and_quotes(tmp_path: Path) -> None:
    """A boost has the whole text under its own uri; a quoted status is a post, too."""
    original = status(1, "<p>first</p>", spoiler_text="w", language="de")
    boost = status(2, "", reblog=original, spoiler_text="", language=None)
    quote = status(3, "<p>see</p>", quote={"state": "accepted", "quoted_status": original})
    found = outcome(tmp_path, [boost, quote])
    posts = found.by_id()
    assert posts[f"{HOST}/2"]["text"] == "w\n\nfirst"
    assert posts[f"{HOST}/2"]["reposted_id"] == f"{HOST}/1"
    assert posts[f"{HOST}/2"]["declared_lang"] == "de"
    assert posts[f"{HOST}/3"]["text"] == "see"
    assert posts[f"{HOST}/3"]["quoted_id"] == f"{HOST}/1"
    assert posts[f"{HOST}/1"]["text"] == "w\n\nfirst"
    assert [(post["source_row"], post["source_item"]) for post in found.posts] == [
        (0, 0),
        (1, 0),
        (1, 1),
    ]


@pytest.mark.parametrize("visibility", ["private", "direct"])
def test_a_status_that_is_not_public(tmp_path: Path, visibility: str) -> None:
    """What was not written for everybody is no post, and is counted."""
    hidden = {**status(1, "<p>for you</p>"), "visibility": visibility}
    unlisted = {**status(2, "<p>for all</p>"), "visibility": "unlisted"}
    found = outcome(tmp_path, [hidden, unlisted, status(3, "<p>too</p>")])
    assert [post["text"] for post in found.posts] == ["for all", "too"]
    assert found.counts.notices == {"not_public": 1}


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("batch_rows", [1, 3, 100])
def test_stream_events(tmp_path: Path, as_text: bool, batch_rows: int) -> None:
    """Updates give their statuses, which may be strings of JSON; all others are notices of their kind."""

    def payload(value: Json) -> object:
        return json.dumps(value) if as_text else value

    events = [
        {"stream": ["public"], "event": "update", "payload": payload(status(1, '<p>é "q"</p>'))},
        {"stream": ["public"], "event": "delete", "payload": "99"},
        {
            "event": "status.update",
            "payload": payload(status(1, "<p>new</p>", edited_at="2026-01-03")),
        },
        {"event": "notification", "payload": payload({"id": "5", "type": "mention"})},
        {"event": "filters_changed"},
        {"event": "announcement.delete", "payload": "4"},
    ]
    found = outcome(tmp_path, events, batch_rows=batch_rows)
    assert found.format == "mastodon"
    assert [post["text"] for post in found.posts] == ['é "q"', "new"]
    assert ["edited_at" in post for post in found.posts] == [False, True]
    kinds = ("delete", "notification", "filters_changed", "announcement_delete")
    assert found.counts.notices == dict.fromkeys(kinds, 1)
    assert found.counts.records == 6


def test_a_payload_that_is_no_json(tmp_path: Path) -> None:
    """A string that is no JSON costs its event alone."""
    events = [
        {"event": "update", "payload": json.dumps(status(1, "<p>a</p>"))},
        {"event": "update", "payload": '{"id": "2", "uri": "x'},
        {"event": "update", "payload": json.dumps(status(3, "<p>c</p>"))},
    ]
    found = outcome(tmp_path, events)
    assert [post["text"] for post in found.posts] == ["a", "c"]
    assert found.reasons == ["not_json"]


def test_contexts_and_searches(tmp_path: Path) -> None:
    """The statuses of a context, and of what a search found, are posts."""
    context = {"ancestors": [status(1, "a")], "descendants": [status(2, "b"), status(3, "c")]}
    search = {"accounts": [], "statuses": [status(4, "d")], "hashtags": []}
    alone = {"ancestors": [], "descendants": [status(5, "e")]}
    found = outcome(tmp_path, [context, search, alone])
    assert [post["text"] for post in found.posts] == ["a", "b", "c", "d", "e"]
    assert (found.format, found.counts.records, found.reasons) == ("mastodon", 3, [])


@pytest.mark.real
def test_recorded_statuses() -> None:
    """Each of the recorded statuses is a post; a boost has what it repeats, and no text has markup."""
    path = Path(os.environ["SLUICE_DATA"], "payloads", "mastodon.jsonl")
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    found = outcome_of(path)
    assert (found.format, found.counts.records, found.counts.posts) == ("mastodon", 241, 241)
    assert (found.counts.notices, found.counts.nulled, found.reasons) == ({}, {}, [])
    assert [post["post_id"] for post in found.posts] == [record["uri"] for record in records]
    boosts = {r["uri"]: r["reblog"]["uri"] for r in records if r["reblog"]}
    assert {p["post_id"]: p["reposted_id"] for p in found.posts if "reposted_id" in p} == boosts
    assert not any(
        part in post["text"] for post in found.posts for part in ("</", "&amp;", "&#39;")
    )
