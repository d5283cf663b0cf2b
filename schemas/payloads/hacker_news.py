"""Hacker News: items of its API, and those of Algolia's, alone, in pages of hits, or as trees of comments.

The text is the title, a blank line and what is written below it, without its HTML. An item that was deleted,
or that moderators or flags have hidden (`dead`), is a notice.

Source: github.com/HackerNews/API, "Items"; hn.algolia.com/api.
"""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from sluice.schemas.payloads.format import (
    DELETE,
    EMPTY,
    NOTICE,
    NOTICE_ID,
    Columns,
    PayloadFormat,
)
from sluice.schemas.payloads.html_text import html_texts
from sluice.schemas.payloads.titles import titled_texts

_KINDS: Final = ("story", "comment", "job", "poll", "pollopt")


def finish(columns: Columns) -> Columns:
    """Returns items with their whole, plain texts; what was deleted or hidden is a notice."""
    is_dead = pc.equal(columns["dead"], "true").fill_null(False)
    is_deleted = pc.equal(columns["deleted"], "true").fill_null(False)
    null = pa.scalar(None, pa.string())
    kinds = pc.if_else(is_deleted, "delete", pc.if_else(is_dead, "dead", null))
    titles = html_texts(columns["title"])
    texts = titled_texts(titles, html_texts(columns["text"]))
    return {**columns, "text": texts, NOTICE: kinds}


HACKER_NEWS: Final = PayloadFormat(
    name="hacker_news",
    platform="hacker_news",
    about="items of Hacker News' API, or of Algolia's",
    told_by=(
        *((f"type={kind}", "id", "by", "time") for kind in _KINDS),
        *((f"type={kind}", "id", "author", "created_at_i") for kind in _KINDS),
        ("objectID", "author", "created_at_i", "_tags"),
        ("hits[].objectID", "hits[].created_at_i"),
    ),
    columns={
        "post_id": ("id", "objectID"),
        "text": ("text", "comment_text", "story_text"),
        "created_at": ("time", "created_at_i", "created_at"),
        "author_id": ("by", "author"),
        "in_reply_to_id": ("parent", "parent_id"),
        "conversation_id": ("story_id",),
        "root_id": ("story_id",),
        "like_count": ("score", "points"),
    },
    parts={"title": ("title",), "dead": ("dead",), "deleted": ("deleted",)},
    items=("hits", "children"),
    notices={"hits": EMPTY},
    notice_parts={NOTICE_ID: ("id", "objectID")},
    acts={"delete": DELETE},
    finish=finish,
    many=True,
)
