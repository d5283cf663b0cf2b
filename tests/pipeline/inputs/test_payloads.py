"""What platforms send becomes posts: whole texts, what records hold besides, notices; the ledger balances."""

import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.pipeline.inputs.inventory import cut, find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, read_unit
from sluice.schemas.counts import ReadTally
from sluice.schemas.post import INPUT_COLUMNS, OPTIONAL_COLUMNS, POST

Row = dict[str, Any]
REAL = Path(os.environ.get("SLUICE_DATA", "/nonexistent")) / "payloads"


class Payload(NamedTuple):
    """What a file gave."""

    formats: dict[str, int]
    posts: list[Row]
    reasons: Counter[str]
    counts: ReadTally

    def column(self, name: str) -> list[Any]:
        """Returns a column of the posts."""
        return [post[name] for post in self.posts]


def payload(
    path: Path, *, unit_bytes: int = 1 << 20, force: str = "auto", **options: Any
) -> Payload:
    """Reads a file; the ledger of its records is checked."""
    inventory = find_inputs([str(path)], payload=force)
    posts: list[Row] = []
    reasons: Counter[str] = Counter()
    counts = ReadTally()
    for unit in cut(inventory, unit_bytes=unit_bytes):
        for batch in read_unit(inventory.root, unit, ReadOptions(**options)):
            assert batch.posts.schema == POST
            batch.posts.validate(full=True)
            posts += batch.posts.to_pylist()
            reasons.update(batch.rejected.column("reason").to_pylist())
            counts += batch.counts
    known = counts.records_with_posts + sum(counts.notices.values()) + counts.dead_letters
    assert (counts.records, counts.posts, counts.dead_letters) == (
        known,
        len(posts),
        reasons.total(),
    )
    keys = [post["row_key"] for post in posts]
    assert keys == sorted(set(keys))
    return Payload(inventory.formats, posts, reasons, counts)


def of_lines(folder: Path, *records: Any, name: str = "a.jsonl", **options: Any) -> Payload:
    """Reads records, one a line, as given where they are bytes."""
    lines = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in records]
    (folder / name).write_bytes(b"\n".join(lines))
    return payload(folder / name, **options)


def tweet(number: int, text: str, **more: Any) -> Row:
    """Returns an invented tweet of the API v1.1."""
    user = {"id": 7, "id_str": "7", "screen_name": "someone", "protected": False}
    row = {
        "created_at": "Sat Mar 10 14:03:15 +0000 2018",
        "id": float(number),
        "id_str": str(number),
    }
    return {
        **row,
        "text": text,
        "user": user,
        "favorite_count": 3,
        "source": "<a href='x'>App</a>",
    } | more


def post_v2(number: int, text: str, **more: Any) -> Row:
    """Returns an invented post of the API v2."""
    return {"id": str(number), "text": text, "edit_history_tweet_ids": [str(number)]} | more


def thing(kind: str, name: str, **data: Any) -> Row:
    """Returns an invented thing of Reddit."""
    return {"kind": kind, "data": {"id": name, "name": f"{kind}_{name}", **data}}


def test_whole_texts_of_tweets(tmp_path: Path) -> None:
    """The text that is not cut counts, and its entities are decoded once."""
    cut_text = {"truncated": True, "extended_tweet": {"full_text": "all of &amp;lt; it"}}
    found = of_lines(
        tmp_path, tweet(1, "all o…", **cut_text), tweet(2, "x", full_text="a &lt; b"), tweet(3, "c")
    )
    assert found.formats == {"x_v1": 1}
    assert found.column("text") == ["all of &lt; it", "a < b", "c"]
    assert found.column("post_id") == ["1", "2", "3"]
    assert found.posts[0]["author_id"] == "7"
    assert found.posts[0]["source"] == "App"
    assert found.posts[0]["like_count"] == 3


def test_retweets_and_quotes(tmp_path: Path) -> None:
    """A retweet has its id and the whole text of what it repeats; one that is quoted is a post beside it."""
    quoted = tweet(10, "what is quoted")
    repeated = tweet(11, "cut…", extended_tweet={"full_text": "not cut"}, quoted_status=quoted)
    found = of_lines(
        tmp_path,
        tweet(1, "RT @x: cut…", retweeted_status=repeated),
        tweet(2, "mine", quoted_status=quoted, quoted_status_id_str="10"),
    )
    assert found.column("post_id") == ["1", "10", "2", "10"]
    assert found.column("text") == ["not cut", "what is quoted", "mine", "what is quoted"]
    assert found.column("reposted_id") == ["11", None, None, None]
    assert found.column("quoted_id") == [None, None, "10", None]
    assert found.column("source_row") == [0, 0, 1, 1]
    assert found.column("source_item") == [0, 1, 0, 1]
    assert (found.counts.records, found.counts.records_with_posts) == (2, 2)


def test_links_of_tweets(tmp_path: Path) -> None:
    """Short links are the addresses behind them, of the text that is read; that of a quote is left out."""
    entities = {
        "urls": [
            {"url": "https://t.co/a", "expanded_url": "https://a.example/b?c=1&d"},
            {"url": "https://t.co/q", "expanded_url": "https://twitter.com/x/status/10"},
        ],
        "media": [{"type": "photo", "media_url": "p.jpg", "url": "https://t.co/p"}],
    }
    whole = {"full_text": "see https://t.co/a https://t.co/p https://t.co/q", "entities": entities}
    text = "see https://a.example/b?c=1&d"
    records = (
        tweet(1, "see https://t.co/z", extended_tweet=whole, quoted_status_id_str="10"),
        tweet(2, "RT", retweeted_status=tweet(3, "cut", extended_tweet=whole), entities={}),
    )
    found = of_lines(tmp_path, *records)
    assert found.column("text") == [
        f"{text} https://t.co/p",
        f"{text} https://t.co/p https://twitter.com/x/status/10",
    ]
    bare = of_lines(tmp_path, *records, columns={"media": ""})
    assert bare.column("text") == [text, f"{text} https://twitter.com/x/status/10"]
    page = {"data": [post_v2(1, "see https://t.co/a", entities=entities)], "meta": {}}
    assert of_lines(tmp_path, page).column("text") == [text]
    assert of_lines(tmp_path, {"tweet": tweet(4, "", **whole)}).column("text")[0].startswith(text)


def test_messages_of_a_stream(tmp_path: Path) -> None:
    """Messages are notices by kind, also where they come first, and damage costs its line alone."""
    found = of_lines(
        tmp_path,
        {"delete": {"status": {}}},
        {"limit": {"track": 1}},
        tweet(1, "a"),
        b'{"id_str":',
        {"x": 1},
    )
    assert found.formats == {"x_v1": 1}
    assert found.counts.notices == {"delete": 1, "limit": 1}
    assert found.reasons == {"not_json": 1, "missing_post_id": 1}


def test_records_that_are_written_oddly(tmp_path: Path) -> None:
    """Keys that are written with escapes, or stand twice in what a record holds, are read all the same."""
    line = json.dumps(tweet(1, "a", quoted_status=tweet(2, "b"))).encode()
    escaped = line.replace(b'"text": "a"', b'"te\\u0078t": "a"')
    twice = line.replace(b'"text": "b"', b'"text": "no", "text": "b"')
    found = of_lines(tmp_path, line, escaped, twice)
    assert found.column("text") == ["a", "b"] * 3
    assert found.column("source_row") == [0, 0, 1, 1, 2, 2]


def test_pages_with_what_they_include(tmp_path: Path) -> None:
    """All posts of a page are posts, with what they refer to; a repost has the text that it includes."""
    refs = [{"type": "replied_to", "id": "5"}, {"type": "quoted", "id": "6"}]
    page = {
        "data": [
            post_v2(1, "RT @a: whole te…", referenced_tweets=[{"type": "retweeted", "id": "9"}]),
            post_v2(2, "an answer", referenced_tweets=refs, conversation_id="5"),
            post_v2(
                3, "later", edit_history_tweet_ids=["30", "3"], created_at="2023-01-01T00:00:00Z"
            ),
        ],
        "includes": {
            "tweets": [post_v2(9, "short…", note_tweet={"text": "whole text &amp; more"})]
        },
        "meta": {"result_count": 3},
    }
    found = of_lines(
        tmp_path, page, {"data": post_v2(4, "of a stream"), "matching_rules": []}, post_v2(8, "one")
    )
    assert found.formats == {"x_v2": 1}
    assert found.column("post_id") == ["1", "2", "3", "9", "4", "8"]
    assert found.column("text")[0] == found.column("text")[3] == "whole text & more"
    assert found.column("reposted_id")[0] == "9"
    second = found.posts[1]
    wanted = {"in_reply_to_id": "5", "quoted_id": "6", "conversation_id": "5", "root_id": "5"}
    assert {name: second[name] for name in wanted} == wanted
    assert [edited is not None for edited in found.column("edited_at")] == [False] * 2 + [True] + [
        False
    ] * 3
    assert found.column("source_item") == [0, 1, 2, 3, 0, 0]


def test_media_of_pages(tmp_path: Path) -> None:
    """Media have their key, and kind and alternative text where the page says them; they are no posts."""
    page = {
        "data": [
            post_v2(1, "a", attachments={"media_keys": ["3_5", "7_6"]}),
            post_v2(2, "b", attachments={}),
        ],
        "includes": {"media": [{"media_key": "3_5", "type": "photo", "alt_text": "a boat"}]},
    }
    found = of_lines(tmp_path, page)
    first = {"kind": "photo", "key": "3_5", "alt_text": "a boat", "link": None}
    assert found.column("media") == [
        [first, {"kind": "video", "key": "7_6", "alt_text": None, "link": None}],
        None,
    ]
    assert (found.counts.notices, found.counts.records) == ({}, 1)


def test_links_of_media_of_pages(tmp_path: Path) -> None:
    """A medium has the link that its key names, or that of a picture; a repost has what it repeats."""
    link = {"url": "https://t.co/a", "display_url": "a.example/b"}
    picture = {"url": "https://t.co/p", "display_url": "pic.twitter.com/p"}
    keyed = {"url": "https://t.co/k", "display_url": "pic.x.com/k", "media_key": "3_6"}
    page = {
        "data": [
            post_v2(1, "RT", referenced_tweets=[{"type": "retweeted", "id": "9"}]),
            post_v2(
                2, "b", attachments={"media_keys": ["3_6"]}, entities={"urls": [picture, keyed]}
            ),
            post_v2(3, "c", attachments={"media_keys": ["3_7"]}, entities={"urls": [link]}),
        ],
        "includes": {
            "tweets": [
                post_v2(
                    9,
                    "a https://t.co/p",
                    attachments={"media_keys": ["3_5", "3_4"]},
                    entities={"urls": [link, picture]},
                )
            ]
        },
    }
    found = [
        [(each["key"], each["link"]) for each in media]
        for media in of_lines(tmp_path, page).column("media")
    ]
    both = [("3_5", "https://t.co/p"), ("3_4", "https://t.co/p")]
    assert found == [both, [("3_6", "https://t.co/k")], [("3_7", None)], both]


@pytest.mark.parametrize(
    "record",
    [
        tweet(1, "a", entities={"media": [{"type": "photo", "media_url": "b"}]}),
        post_v2(1, "a", attachments={"media_keys": ["3_5"]}),
        thing("t3", "a", title="a", post_hint="image", url="b", parent_id="t1_c"),
        {"id_str": "1", "full_text": "a", "created_at": "2020", "entities": {"media": []}},
    ],
)
def test_columns_that_a_recipe_leaves_out(tmp_path: Path, record: Row) -> None:
    """A column that is mapped to nothing is null, whatever the payload says; ids and texts are as before."""
    left_out = dict.fromkeys((n for n in INPUT_COLUMNS if n not in ("post_id", "text")), "")
    (whole,) = of_lines(tmp_path, record).posts
    (bare,) = of_lines(tmp_path, record, columns=left_out).posts
    assert [bare[name] for name in left_out] == [None] * len(left_out)
    assert (bare["post_id"], bare["text"]) == (whole["post_id"], whole["text"])


def test_pages_without_posts(tmp_path: Path) -> None:
    """A page without posts, an error and a delete are notices."""
    found = of_lines(
        tmp_path,
        {"data": post_v2(1, "a")},
        {"meta": {"result_count": 0}},
        {"errors": [{"title": "no"}]},
        {"data": {"delete": {"tweet": {"id": "4"}}}},
    )
    assert found.counts.notices == {"empty_page": 1, "error": 1, "delete": 1}
    assert found.reasons == {}


def test_a_part_of_a_page_that_is_broken(tmp_path: Path) -> None:
    """A post of a page without an id, or with a text that is none, is a dead letter beside the others."""
    page = {"data": [post_v2(1, "a"), {"text": "no id"}, {"id": "3", "text": 5}, post_v2(4, "d")]}
    found = of_lines(tmp_path, page)
    assert found.column("post_id") == ["1", "4"]
    assert found.reasons == {"missing_post_id": 1, "wrong_type": 1}
    assert found.counts.records == 3


def test_things_of_reddit(tmp_path: Path) -> None:
    """Comments and submissions have full names, titles and who they answer; what was deleted has no text."""
    found = of_lines(
        tmp_path,
        thing(
            "t3",
            "a",
            title="A title",
            selftext="and &gt; text",
            author="b",
            num_comments=2,
            edited=False,
        ),
        thing(
            "t1",
            "c",
            body="yes",
            parent_id="t3_a",
            link_id="t3_a",
            author="[deleted]",
            edited=1482373040.0,
        ),
        thing("t1", "d", body="[removed]", parent_id="t1_c", link_id="t3_a"),
        thing("t3", "e", title="gone", selftext="[deleted]", author="[deleted]"),
        thing("t5", "f"),
    )
    assert found.formats == {"reddit": 1}
    assert found.column("text") == ["A title\n\nand > text", "yes", "", ""]
    assert found.column("post_id") == ["t3_a", "t1_c", "t1_d", "t3_e"]
    assert found.column("in_reply_to_id") == [None, "t3_a", "t1_c", None]
    assert found.column("root_id") == ["t3_a", "t3_a", "t3_a", "t3_e"]
    assert found.column("author_id") == ["b", None, None, None]
    assert [edited is not None for edited in found.column("edited_at")][:2] == [False, True]
    assert found.counts.notices == {"subreddit": 1}
    assert found.counts.nulled == {}


def test_listings_of_reddit(tmp_path: Path) -> None:
    """A page of comments gives all of them, answers at any depth too, in the order of the page."""

    def listing(*things: Row) -> Row:
        return {"kind": "Listing", "data": {"children": list(things), "after": None}}

    inner = thing("t1", "d", body="deep", parent_id="t1_c", link_id="t3_a", replies="")
    outer = thing("t1", "c", body="outer", parent_id="t3_a", link_id="t3_a", replies=listing(inner))
    more = thing("more", "z", children=["e", "f"], parent_id="t3_a")
    post = thing("t3", "a", title="A title", selftext="")
    (tmp_path / "a.json").write_text(json.dumps([listing(post), listing(outer, more)], indent=1))
    found = payload(tmp_path / "a.json")
    assert found.column("post_id") == ["t3_a", "t1_c", "t1_d"]
    assert found.column("source_row") == [0, 1, 1]
    assert found.counts.notices == {"more": 1}


def test_dumps_of_reddit(tmp_path: Path) -> None:
    """Bare ids of a dump become full names that answers and submissions share; a line is one post."""
    comment = {"id": "c", "body": "yes", "link_id": "a", "parent_id": "a", "subreddit": "s"}
    found = of_lines(
        tmp_path,
        comment,
        comment | {"id": "d", "parent_id": "c", "link_id": "t3_a"},
        comment | {"id": "e", "parent_id": "t1_d", "body": "[deleted]"},
        {
            "id": "a",
            "title": "A title",
            "selftext": "",
            "subreddit": "s",
            "created_utc": "1482373040",
        },
    )
    assert found.formats == {"reddit_dump": 1}
    assert found.column("post_id") == ["t1_c", "t1_d", "t1_e", "t3_a"]
    assert found.column("text") == ["yes", "yes", "", "A title"]
    assert found.column("in_reply_to_id") == ["t3_a", "t1_c", "t1_d", None]
    assert found.column("conversation_id") == ["t3_a"] * 4
    assert found.column("row_key") == [0, 1, 2, 3]


@pytest.mark.parametrize("unit_bytes", [40, 1 << 20])
def test_the_archive_of_an_account(tmp_path: Path, unit_bytes: int) -> None:
    """An array that is assigned to a name is read as the array, however it is cut."""
    tweets = [
        {"tweet": {"id_str": str(i), "full_text": f"post {i}", "favorite_count": "2"}}
        for i in range(9)
    ]
    text = "window.YTD.tweets.part0 = " + json.dumps(tweets, indent=2)
    (tmp_path / "tweets.js").write_text(text)
    found = payload(tmp_path / "tweets.js", unit_bytes=unit_bytes)
    assert found.formats == {"x_archive": 1}
    assert found.column("text") == [f"post {i}" for i in range(9)]
    assert (found.reasons, found.column("like_count")) == ({}, [2] * 9)


def test_rows_stay_rows(tmp_path: Path) -> None:
    """Tidy rows are of no platform, whatever optional columns they have."""
    row = {"id": "1", "text": "a &amp; b", "author_id": "2", "conversation_id": "1", "lang": "en"}
    found = of_lines(tmp_path, row, row | {"like_count": 4, "platform": "x"})
    assert (found.formats, found.column("text")) == ({"rows": 1}, ["a &amp; b"] * 2)
    assert found.column("like_count") == found.column("platform") == [None, None]


@pytest.mark.parametrize(
    "before",
    [
        b"\xef\xbb\xbf",
        b'{"broken": \n',
        b"[1" + b"0" * 5000 + b"]\n",
        b'{"a":' * 5000 + b"\n",
        b"\x1e",
    ],
)
def test_what_stands_before_the_first_records(tmp_path: Path, before: bytes) -> None:
    """A file is recognised behind marks and lines that are damaged, hostile or nothing."""
    (tmp_path / "a.jsonl").write_bytes(before + json.dumps(tweet(1, "a")).encode())
    assert find_inputs([str(tmp_path / "a.jsonl")]).formats == {"x_v1": 1}


def test_pages_that_are_long(tmp_path: Path) -> None:
    """A page of more bytes than are looked at first is recognised, and so are records over many lines."""
    page = {"data": [post_v2(i, "a" * 9000) for i in range(200)], "meta": {}}
    assert of_lines(tmp_path, page).formats == {"x_v2": 1}
    (tmp_path / "b.json").write_text(json.dumps([page, page], indent=2))
    assert len(payload(tmp_path / "b.json").posts) == 400


@pytest.mark.parametrize("record", [tweet(1, "a"), {"id": "1", "text": "a"}])
def test_columns_that_are_wanted(tmp_path: Path, record: Row) -> None:
    """Of the columns that payloads have, posts have those that are asked for, in the order of POST."""
    (tmp_path / "a.jsonl").write_text(json.dumps(record))
    inventory = find_inputs([str(tmp_path)])
    options = ReadOptions(optional_columns=("like_count", "platform"))
    (batch,) = read_unit(inventory.root, cut(inventory)[0], options)
    left_out = set(OPTIONAL_COLUMNS) - {"like_count", "platform"}
    assert batch.posts.schema.names == [name for name in POST.names if name not in left_out]
    assert batch.posts.column("like_count").to_pylist() == [record.get("favorite_count")]


@pytest.mark.parametrize("record", [tweet(1, "a"), {"id": "1", "text": "a"}])
def test_lines_of_dead_letters(tmp_path: Path, record: Row) -> None:
    """A dead letter names the line of the file, from 0, blank ones counted, whoever found it."""
    lines = [json.dumps(record), "", "{", "", json.dumps(record | {"text": None})]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    inventory = find_inputs([str(tmp_path / "a.jsonl")])
    (unit,) = cut(inventory)
    batches = read_unit(inventory.root, unit, ReadOptions())
    rejected = [row for batch in batches for row in batch.rejected.to_pylist()]
    found = [(row["source_row"], row["reason"], row["detail"]) for row in rejected]
    assert [(row, reason) for row, reason, _ in found] == [(1, "not_json"), (2, "missing_text")]
    assert found[0][2].startswith("source_line 2: ")
    assert found[1][2] == "source_line 4"


def test_a_format_that_is_forced(tmp_path: Path) -> None:
    """A forced format is that of every file, and rows can be forced too."""
    assert of_lines(tmp_path, tweet(1, "a"), force="rows").formats == {"rows": 1}
    assert of_lines(tmp_path, {"id": "1", "text": "a"}, force="x_v2").column("platform") == ["x"]


def test_columns_of_the_recipe(tmp_path: Path) -> None:
    """A recipe says where a column of a payload is read from, and made ids tell the posts of a record."""
    record = tweet(1, "a", quoted_status=tweet(2, "b"))
    found = of_lines(tmp_path, record, columns={"author_id": "user.screen_name"}, ids="file_row")
    assert found.column("author_id") == ["someone", "someone"]
    assert found.column("post_id") == ["a.jsonl:0", "a.jsonl:0:1"]


def test_more_posts_than_a_record_may_have(tmp_path: Path) -> None:
    """The posts behind the first 4,096 of a record are dead letters."""
    found = of_lines(tmp_path, {"data": [post_v2(i, "a") for i in range(4100)]})
    assert (len(found.posts), found.reasons) == (4096, {"too_many_posts": 4})


SAMPLES = [
    json.dumps(record).encode()
    for record in (
        tweet(1, "one", quoted_status=tweet(2, "two")),
        {"data": [post_v2(1, "a"), post_v2(2, "b")], "includes": {"tweets": [post_v2(3, "c")]}},
        thing(
            "t1",
            "c",
            body="x",
            replies={"kind": "Listing", "data": {"children": [thing("t1", "d", body="y")]}},
        ),
        {"delete": {"status": {"id_str": "4"}}},
    )
]


@given(
    records=st.lists(st.sampled_from(SAMPLES), min_size=1, max_size=6),
    edits=st.lists(
        st.tuples(st.integers(0, 5000), st.sampled_from(b'{}[]",:\\ \n\x00\xffa1')), max_size=4
    ),
    force=st.sampled_from(["x_v1", "x_v2", "reddit", "reddit_dump", "x_archive"]),
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damage(
    tmp_path: Path, records: list[bytes], edits: list[tuple[int, int]], force: str
) -> None:
    """Whatever is damaged, every record is accounted for, and how a file is cut does not show."""
    data = bytearray(b"\n".join(records))
    for place, byte in edits:
        data[place % len(data)] = byte
    (tmp_path / "a.jsonl").write_bytes(data)
    whole = payload(tmp_path / "a.jsonl", force=force)
    pieces = payload(tmp_path / "a.jsonl", force=force, unit_bytes=100)
    assert (whole.posts, whole.reasons) == (pieces.posts, pieces.reasons)
    assert whole.counts.notices == pieces.counts.notices


@pytest.mark.real
@pytest.mark.parametrize("name", ["x_v1", "x_v2", "x_v2_stream"])
def test_recorded_links(name: str) -> None:
    """No recorded post of X has a short link, but for those of media, which their placeholders replace."""
    found = payload(REAL / f"{name}.jsonl")
    for post in found.posts:
        of_media = {each["link"] for each in post["media"] or ()}
        assert set(re.findall(r"https?://t\.co/\w+", post["text"])) <= of_media


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "format", "records", "posts", "notices", "reasons"),
    [
        ("x_v1", "x_v1", 192, 200, {}, {}),
        ("x_v2", "x_v2", 12, 469, {}, {}),
        ("x_v2_stream", "x_v2", 8, 11, {}, {"not_json": 1}),
        ("reddit", "reddit", 1059, 1059, {}, {}),
    ],
)
def test_recorded_payloads(
    name: str,
    format: str,
    records: int,
    posts: int,
    notices: dict[str, int],
    reasons: dict[str, int],
) -> None:
    """Every record of the recorded files is accounted for; the dead letter is the line that is cut off."""
    found = payload(REAL / f"{name}.jsonl")
    assert found.formats == {format: 1}
    assert (found.counts.records, len(found.posts)) == (records, posts)
    assert (found.counts.notices, found.reasons) == (notices, reasons)
    assert found.counts.nulled == {}
