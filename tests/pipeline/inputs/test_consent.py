"""What payloads say of their authors, and against the use of their posts, is in the columns of posts."""

from collections import Counter
from pathlib import Path

import pytest

from sluice.pipeline.inputs.inventory import cut, find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, read_unit
from sluice.schemas.payloads.consent import SIGNALS
from tests.pipeline.inputs.payload_files import Json, outcome, outcome_of
from tests.pipeline.inputs.test_bluesky import DID, commit, record, view
from tests.pipeline.inputs.test_mastodon import status
from tests.pipeline.inputs.test_payloads import REAL, post_v2, tweet

BOB = "did:plc:bob"


def consents(folder: Path, records: list[Json]) -> dict[str, str | None]:
    """Returns the consent of each post, and holds the names in it to those that are known."""
    found = {p["post_id"]: p.get("consent") for p in outcome(folder, records).posts}
    assert {word for each in found.values() for word in (each or "").split()} <= set(SIGNALS)
    return found


def test_tweets(tmp_path: Path) -> None:
    """A tweet is protected or withheld itself, by its author, or by what it repeats; else it says nothing."""
    protected = {"id_str": "8", "protected": True}
    of_germany = {"id_str": "8", "withheld_in_countries": ["DE"]}
    found = consents(
        tmp_path,
        [
            tweet(1, "a"),
            tweet(2, "b", user=protected),
            tweet(3, "c", withheld_in_countries=["FR", "DE"], withheld_scope="status"),
            tweet(4, "d", withheld_copyright=True, user=protected),
            tweet(5, "e", user=of_germany),
            tweet(6, "RT @x: f", retweeted_status=tweet(60, "f", user=protected)),
            tweet(7, "RT @x: g", retweeted_status=tweet(70, "g", withheld_copyright=True)),
            tweet(8, "h", withheld_in_countries=[], withheld_copyright=False),
            tweet(9, "i", user={"id_str": "9"}),
        ],
    )
    assert found == {
        "1": "",
        "2": "protected",
        "3": "withheld",
        "4": "protected withheld",
        "5": "withheld",
        "6": "protected",
        "7": "withheld",
        "8": "",
        "9": None,
    }


def test_posts_of_pages(tmp_path: Path) -> None:
    """The users that a record includes say it of its posts and those that repeat them, not of others."""
    retweet = [{"type": "retweeted", "id": "3"}]
    page = {
        "data": [
            post_v2(1, "a", author_id="7"),
            post_v2(2, "RT @x: c", author_id="7", referenced_tweets=retweet),
        ],
        "includes": {
            "tweets": [post_v2(3, "c", author_id="8")],
            "users": [
                {"id": "7", "username": "ann", "protected": False},
                {
                    "id": "8",
                    "username": "bob",
                    "protected": True,
                    "withheld": {"country_codes": ["DE"]},
                },
            ],
        },
    }
    alone = {"data": post_v2(4, "d", author_id="8", withheld={"copyright": True})}
    inside = post_v2(6, "f", author_id="8", author={"id": "8", "protected": True})
    found = consents(tmp_path, [page, alone, {"data": post_v2(5, "e", author_id="8")}, inside])
    assert found == {
        "1": "",
        "2": "protected withheld",
        "3": "protected withheld",
        "4": "withheld",
        "5": None,
        "6": "protected",
    }


def test_statuses(tmp_path: Path) -> None:
    """What an author has not agreed to is said of statuses and their boosts; null says nothing."""
    given = {
        1: {"indexable": True, "discoverable": True},
        2: {"indexable": False, "discoverable": False},
        3: {"discoverable": None},
        4: {"noindex": True},
        5: {"noindex": False},
    }
    statuses = [
        status(n, "x", account={"uri": "https://a.example/users/a", "acct": "a", **account})
        for n, account in given.items()
    ]
    found = consents(tmp_path, [*statuses, status(6, "", reblog=statuses[1])])
    assert [each.rpartition("/")[2] for each in found] == list("123456")
    both = "not_discoverable not_indexable"
    assert list(found.values()) == ["", both, None, "not_indexable", "", both]


def test_labels_of_posts(tmp_path: Path) -> None:
    """Labels of an author or a post say it, unless they were negated; no list of labels says nothing."""
    label = {"src": DID, "val": "!no-unauthenticated"}
    author, own = {"did": DID}, record("x", labels={"values": [{"val": "!no-unauthenticated"}]})
    found = outcome(
        tmp_path,
        [
            view("a", "x", author={**author, "labels": [{"src": DID, "val": "bot"}]}),
            view("b", "x", author={**author, "labels": [{"src": BOB, "val": "bot"}, label]}),
            view("c", "x", author={**author, "labels": [{**label, "neg": True}]}),
            view("d", "x", author=author),
            {**view("e", "x", author=author), "record": own},
        ],
    ).posts
    refused = "no_unauthenticated"
    assert [post.get("consent") for post in found] == ["", refused, "", None, refused]
    automated = [post.get("author_automated") for post in found]
    assert automated == [True, False, False, None, None]


def test_events_that_refuse_training(tmp_path: Path) -> None:
    """An author's refusal of training is a notice of its own kind, but not one to a single reader."""

    no, name = {"preferences": {"training": {"allow": False}}}, "community.lexicon.preference.ai"
    intents = {"syntheticContentGeneration": {"allow": False}}
    events = [
        commit("a", "create", name, {**no, "scope": {"$type": f"{name}#globalScope"}}),
        commit("b", "update", name, {**no, "scope": {"collection": "app.bsky.feed.post"}}),
        commit("a", "create", name, {**no, "scope": {"collection": "app.bsky.feed.like"}}),
        commit("a", "create", name, {**no, "scope": {"entity": "example.org"}}),
        commit("a", "create", name, {"preferences": {"training": {"allow": True}}}),
        commit("a", "create", "org.user-intents.declaration", intents),
        commit("a", "create", "org.user-intents.demo.declaration", intents),
        commit("a", "create", "app.example.intents", intents),
    ]
    found = outcome(tmp_path, events)
    assert found.counts.notices == {"no_training": 4, "ai": 3, "intents": 1}


@pytest.mark.parametrize("batch_rows", [1, 3, 16_384])
def test_facts_about_authors(tmp_path: Path, batch_rows: int) -> None:
    """When an account was made, its followers, and whether it is automated, where a platform says so."""
    user = {"id_str": "8", "created_at": "Fri Oct 21 17:47:08 +0000 2011", "followers_count": 910}
    made = "2013-12-14T04:35:55.000Z"
    metrics = {"public_metrics": {"followers_count": 11}, "created_at": made}
    page = {
        "data": [post_v2(1, "a", author_id="7")],
        "includes": {"users": [{"id": "7", **metrics}]},
    }
    account = {"uri": "u", "acct": "a", "bot": True, "created_at": made, "followers_count": 3}
    rows = []
    for given in (tweet(1, "a", user=user), page, status(1, "x", account=account)):
        (post,) = outcome(tmp_path, [given], batch_rows=batch_rows).posts
        year, automated = post["author_created_at"].year, post.get("author_automated")
        rows.append((year, post["author_followers"], automated))
    assert rows == [(2011, 910, None), (2013, 11, None), (2013, 3, True)]


def test_a_mapping_comes_first(tmp_path: Path) -> None:
    """Where a recipe says which field is the consent, it is."""
    path = tmp_path / "a.jsonl"
    outcome(tmp_path, [tweet(1, "a", my_consent="no_training")])
    found = outcome_of(path, columns={"consent": "my_consent"})
    assert [post["consent"] for post in found.posts] == ["no_training"]


def test_what_nobody_reads_is_not_there(tmp_path: Path) -> None:
    """Without a filter that reads them, posts have no such columns."""
    outcome(tmp_path, [tweet(1, "a")])
    inventory = find_inputs([str(tmp_path / "a.jsonl")])
    options = ReadOptions(optional_columns=("author_followers",))
    (unit,) = cut(inventory)
    (batch,) = read_unit(inventory.root, unit, options)
    assert "consent" not in batch.posts.schema.names
    assert "author_followers" in batch.posts.schema.names


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("x_v1", {"": 200}),
        ("x_v2", {"": 469}),
        ("x_v2_stream", {"": 11}),
        ("mastodon", {"not_discoverable": 132, "": 104, None: 5}),
        ("bluesky_postview", {"": 83, "no_unauthenticated": 5}),
        ("bluesky_jetstream", {None: 17}),
        ("reddit", {None: 1059}),
    ],
)
def test_recorded_payloads(name: str, wanted: dict[str | None, int]) -> None:
    """The consent of recorded posts."""
    found = outcome_of(REAL / f"{name}.jsonl").posts
    assert Counter(post.get("consent") for post in found) == wanted
