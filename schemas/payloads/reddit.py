"""Reddit: things and listings of its API, and the lines of the dumps of comments and submissions.

The text of a submission is its title, a blank line, and its own text. What its author deleted or a moderator
removed, where Reddit keeps `[deleted]` or `[removed]` in the place of the text, has no text, and no title
either: such a post is read and rejected as `empty_text`. Ids are full names: `t1_` and `t3_` are put before
those that a dump has without.

Source: Reddit, "API documentation" (things, fullnames, listings); Baumgartner et al. 2020, "The Pushshift
Reddit Dataset", for the fields of the dumps.
"""

from collections.abc import Mapping
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from sluice.schemas.payloads.entities import without_entities
from sluice.schemas.payloads.format import NOTICE, Columns, Derived, ListOf, PayloadFormat
from sluice.schemas.payloads.titles import titled_texts
from sluice.schemas.payloads.x_v1 import media_of, one_medium

_GONE: Final = r"(?i)^\s*\[\s*(deleted|removed)\b[^\[\]]*\]\s*$"
_OTHER_THINGS: Final = {
    "more": "more",
    "t2": "account",
    "t4": "message",
    "t5": "subreddit",
    "t6": "award",
}
"""Kind of a thing that is no post -> kind of the notice."""


def finish(columns: Columns) -> Columns:
    """Returns comments and submissions with their texts, none where they were deleted, and full names."""
    body, title = columns["text"], columns["title"]
    is_comment = title.is_null()
    post_id = _names(columns["name"], columns["post_id"], is_comment)
    root = pc.if_else(is_comment, _link_names(columns["conversation_id"]), post_id)
    is_gone = pc.match_substring_regex(body, _GONE).fill_null(False)
    text = pc.if_else(is_gone, "", without_entities(titled_texts(title, body)))
    author = columns["author_id"]
    edited = columns["edited"]
    return {
        **columns,
        "post_id": post_id,
        "text": text,
        "author_id": pc.if_else(pc.equal(author, "[deleted]"), None, author),
        "in_reply_to_id": _parents(columns),
        "conversation_id": root,
        "root_id": root,
        "edited_at": pc.if_else(pc.match_substring_regex(edited, r"^\d"), edited, None),
        NOTICE: _kinds(columns["kind"]),
    }


def _media(columns: Columns) -> pa.ListArray:
    """Returns the pictures of a gallery, or the picture or film that a submission is a link to."""
    kinds = pc.if_else(pc.equal(columns["hint"], "image"), "image", None)
    kinds = pc.if_else(columns["video"].is_valid(), "video", kinds)
    single = one_medium(kinds, pc.coalesce(columns["video"], columns["url"]))
    pictures = columns["gallery"]
    if pictures.null_count == len(pictures):
        return single
    keys = pictures.values.field("key")
    structs = pa.StructArray.from_arrays(
        [pa.repeat("image", len(keys)), keys, pictures.values.field("caption")],
        names=["kind", "key", "alt_text"],
    )
    mask = pictures.is_null() if pictures.null_count else None
    gallery = media_of(pa.ListArray.from_arrays(pictures.offsets, structs, mask=mask))
    return pc.if_else(pictures.is_valid(), gallery, single)


def _names(names: pa.StringArray, ids: pa.StringArray, is_comment: pa.Array) -> pa.StringArray:
    """Returns full names: as they are, or the id behind what things of its kind begin with."""
    begins = pc.if_else(is_comment, "t1_", "t3_")
    whole = pc.if_else(pc.match_substring_regex(ids, r"^t\d_"), ids, _joined(begins, ids))
    return pc.coalesce(names, whole)


def _link_names(ids: pa.StringArray) -> pa.StringArray:
    return pc.if_else(pc.match_substring_regex(ids, r"^t\d_"), ids, _joined("t3_", ids))


def _parents(columns: Columns) -> pa.StringArray:
    """Returns what comments reply to; an id without a kind is the submission's, or else a comment's."""
    parents, links = columns["in_reply_to_id"], columns["conversation_id"]
    bare_links = pc.replace_substring_regex(links, r"^t3_", "")
    begins = pc.if_else(pc.equal(parents, bare_links).fill_null(False), "t3_", "t1_")
    is_name = pc.match_substring_regex(parents, r"^t\d_")
    return pc.if_else(is_name, parents, _joined(begins, parents))


def _joined(begins: pa.Array | str, ids: pa.StringArray) -> pa.StringArray:
    return pc.binary_join_element_wise(begins, ids, "")


def _kinds(things: pa.StringArray) -> pa.StringArray:
    """Returns what is no post: things of other kinds."""
    kinds = pa.nulls(len(things), pa.string())
    for thing, kind in _OTHER_THINGS.items():
        kinds = pc.if_else(pc.equal(things, thing).fill_null(False), kind, kinds)
    return kinds


_FIELDS: Final = {
    "post_id": ("id",),
    "text": ("body", "selftext"),
    "created_at": ("created_utc",),
    "author_id": ("author",),
    "in_reply_to_id": ("parent_id",),
    "conversation_id": ("link_id",),
    "quoted_id": ("crosspost_parent",),
    "like_count": ("score",),
    "reply_count": ("num_comments",),
}
_PARTS: Final = {
    "name": ("name",),
    "title": ("title",),
    "edited": ("edited",),
}
_MEDIA_PARTS: Final = {
    "hint": ("post_hint",),
    "url": ("url",),
    "video": ("media.reddit_video.fallback_url",),
}
_GALLERY: Final = ListOf(("gallery_data.items",), {"key": ("media_id",), "caption": ("caption",)})


def _of_things(paths: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(f"data.{path}" for path in given) for name, given in paths.items()}


REDDIT: Final = PayloadFormat(
    name="reddit",
    platform="reddit",
    about="things and listings of Reddit's API",
    told_by=(
        ("kind=t1", "data.id"),
        ("kind=t3", "data.id"),
        ("kind=Listing", "data.children"),
        ("json.data.things",),
    ),
    columns=_of_things(_FIELDS),
    parts={**_of_things(_PARTS), "kind": ("kind",)},
    items=("data.children", "data.replies.data.children", "json.data.things"),
    notices={"data.children": "empty_page", "json.data.things": "empty_page"},
    finish=finish,
    derived={
        "media": Derived(
            _media,
            _of_things(_MEDIA_PARTS),
            {"gallery": _GALLERY._replace(paths=("data.gallery_data.items",))},
        )
    },
    many=True,
)

REDDIT_DUMP: Final = PayloadFormat(
    name="reddit_dump",
    platform="reddit",
    about="lines of dumps of Reddit's comments and submissions",
    told_by=(
        ("id", "body", "link_id", "subreddit"),
        ("id", "body", "link_id", "subreddit_id"),
        ("id", "title", "selftext", "subreddit"),
    ),
    columns=_FIELDS,
    parts={**_PARTS, "kind": ("kind",)},
    finish=finish,
    derived={"media": Derived(_media, _MEDIA_PARTS, {"gallery": _GALLERY})},
)
