"""Items of Hacker News become posts and notices."""

from pathlib import Path

from tests.pipeline.inputs.payload_files import outcome

STORY = {
    "id": 1,
    "type": "story",
    "by": "ann",
    "time": 1175714200,
    "title": "A &amp; B",
    "score": 7,
}


def test_items(tmp_path: Path) -> None:
    """A story is its title and its text, a comment its text without HTML; links are whole."""
    text = 'So.<p>See <a href="https:&#x2F;&#x2F;a.example&#x2F;long&#x2F;path" rel="nofollow">'
    comment = {"id": 2, "type": "comment", "by": "bob", "time": 1175714300, "parent": 1}
    items = [
        {**STORY, "url": "https://a.example", "descendants": 1, "kids": [2]},
        {**STORY, "id": 3, "text": "<i>Why</i>?"},
        {**comment, "text": text + "https:&#x2F;&#x2F;a.example&#x2F;lo...</a>"},
        {"id": 4, "type": "comment", "time": 1175714400, "parent": 1, "deleted": True},
        {**comment, "id": 5, "text": "[flagged]", "dead": True},
        {**comment, "id": 6, "text": "kept", "dead": False},
    ]
    found = outcome(tmp_path, items)
    assert found.format == "hacker_news"
    texts = {post["post_id"]: post["text"] for post in found.posts}
    link = "https://a.example/long/path"
    assert texts == {"1": "A & B", "3": "A & B\n\nWhy?", "2": f"So.\n\nSee {link}", "6": "kept"}
    assert found.counts.notices == {"delete": 1, "dead": 1}
    post = found.by_id()["2"]
    assert (post["in_reply_to_id"], post["author_id"]) == ("1", "bob")
    assert found.by_id()["1"]["like_count"] == 7
    assert str(post["created_at"]) == "2007-04-04 19:18:20+00:00"


def test_pages_and_trees_of_algolia(tmp_path: Path) -> None:
    """Hits of a page and comments of a tree are posts, each once."""
    comment = {"author": "bob", "created_at_i": 1175714300, "_tags": ["comment"]}
    hits = [
        {**comment, "objectID": "2", "comment_text": "a <b>b</b>", "parent_id": 1, "story_id": 1},
        {**comment, "objectID": "1", "title": "T", "story_text": None, "points": 3},
    ]
    tree = {"id": 8, "type": "story", "author": "ann", "created_at_i": 1175714200, "title": "S"}
    leaf = {"id": 9, "type": "comment", "author": "eve", "created_at_i": 1175714201, "text": "c"}
    nested = {**leaf, "id": 10, "text": "d", "parent_id": 9, "story_id": 8, "children": []}
    tree |= {"children": [{**leaf, "parent_id": 8, "story_id": 8, "children": [nested]}]}
    found = outcome(tmp_path, [{"hits": hits, "nbHits": 2}, tree])
    texts = {post["post_id"]: post["text"] for post in found.posts}
    assert texts == {"2": "a b", "1": "T", "8": "S", "9": "c", "10": "d"}
    assert found.by_id()["10"]["root_id"] == "8"
    assert (found.counts.records, found.counts.records_with_posts) == (2, 2)
