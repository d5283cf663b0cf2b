"""X's API v2: single posts, lines of streams, and pages, with the posts that they include.

A repost has the whole text of what it repeats where the record includes it, else the text that X cuts. Each
version of a post that was edited has an id of its own; `edited_at` is the time of a later one.

Source: X, "Post object", "Expansions" and "Edit Posts" of the documentation of the API v2.
"""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.schemas.payloads.consent import any_of, any_there, consent_of, is_true
from sluice.schemas.payloads.conversions import counts_of
from sluice.schemas.payloads.entities import without_entities
from sluice.schemas.payloads.format import (
    DELETE,
    NOTICE,
    NOTICE_AUTHOR,
    NOTICE_ID,
    NOTICE_TIME,
    RECORD,
    RESTORE,
    Columns,
    Derived,
    ListOf,
    PayloadFormat,
)
from sluice.schemas.payloads.x_links import LINK_FIELDS, is_picture, with_addresses
from sluice.schemas.payloads.x_v1 import X_ACTS
from sluice.schemas.post import MEDIA

_MEDIA_KINDS: Final = (("3_", "photo"), ("7_", "video"), ("13_", "video"), ("16_", "animated_gif"))
"""How the key of a medium begins -> its kind."""
_OF_POSTS: Final = tuple(k for k, act in X_ACTS.items() if act in (DELETE, RESTORE))
_OF_AUTHORS: Final = tuple(k for k in X_ACTS if k not in _OF_POSTS)
_OTHER_NOTICES: Final = ("tweet_edit", "user_withheld", "user_profile_modification", "scrub_geo")
"""Events of the compliance streams that are counted alone."""


def finish(columns: Columns) -> Columns:
    """Returns posts with what they refer to, the whole text of what they repeat, and their media."""
    references, text = columns["references"], without_entities(columns["text"])
    reposted, quoted = referenced(references, "retweeted"), referenced(references, "quoted")
    has_place = (
        columns["attached"].is_valid() if "attached" in columns else pa.repeat(False, len(text))
    )
    text = with_addresses(columns, text, quoted, has_place)
    if reposted.null_count < len(reposted):
        text = pc.coalesce(text.take(repeated_rows({**columns, "reposted_id": reposted})), text)
    is_medium = columns["media_key"].is_valid()
    return {
        **columns,
        "text": text,
        "in_reply_to_id": referenced(references, "replied_to"),
        "quoted_id": quoted,
        "reposted_id": reposted,
        "root_id": columns["conversation_id"],
        **_versions(columns),
        NOTICE: pc.if_else(is_medium, "", pa.nulls(len(text), pa.string())),
    }


def repeated_rows(columns: Columns) -> pa.Int32Array:
    """Returns (N,) int32, the row of the post that each post repeats, null where its record has none."""
    records = columns[RECORD].cast(pa.string())
    keys = pc.binary_join_element_wise(records, columns["post_id"], ":")
    wanted = pc.binary_join_element_wise(records, columns["reposted_id"], ":")
    return pc.index_in(wanted, value_set=keys, skip_nulls=True)


def referenced(references: pa.ListArray, kind: str) -> pa.StringArray:
    """Returns the id of the first post that each post refers to in a way: replied_to, quoted, retweeted."""
    values, rows_M = references.values, np.asarray(pc.list_parent_indices(references))
    is_kind_M = pc.equal(values.field("type"), kind).fill_null(False)
    at_K = np.flatnonzero(is_kind_M.to_numpy(zero_copy_only=False))
    place_N = np.full(len(references), -1, np.int64)
    place_N[rows_M[at_K][::-1]] = at_K[::-1]
    return values.field("id").take(pa.array(place_N, mask=place_N < 0))


def media_of(columns: Columns) -> pa.ListArray:
    """Returns the media of posts: their keys, and kind and alternative text where known.

    A repost has those of what it repeats.
    """
    own = _attached(columns)
    repeated = repeated_rows(columns)
    if repeated.null_count == len(repeated):
        return own
    return own.take(pc.coalesce(repeated, pa.array(np.arange(len(repeated), dtype=np.int32))))


def _attached(columns: Columns) -> pa.ListArray:
    attached = columns["attached"]
    plain = pc.replace_substring_regex(attached, r'[\[\]"\s]', "")
    lists = pc.split_pattern(pc.if_else(pc.equal(plain, ""), None, plain), ",")
    keys, offsets = lists.values, lists.offsets
    rows = pc.list_parent_indices(lists)
    records = columns[RECORD].cast(pa.string())
    wanted = pc.binary_join_element_wise(records.take(rows), keys, ":")
    known = pc.binary_join_element_wise(records, columns["media_key"], ":")
    found = pc.index_in(wanted, value_set=known.drop_null()).cast(pa.int64())
    there = known.is_valid()
    kinds = pc.coalesce(columns["media_type"].filter(there).take(found), _kinds(keys))
    alts = columns["alt_text"].filter(there).take(found)
    links = _links(columns["links"], rows, keys)
    structs = pa.StructArray.from_arrays([kinds, keys, alts, links], fields=list(MEDIA.value_type))
    return pa.ListArray.from_arrays(offsets, structs, type=MEDIA, mask=lists.is_null())


def _links(links: pa.ListArray, rows: pa.Array, keys: pa.StringArray) -> pa.StringArray:
    """Returns the link that stands for each medium in its post, by the row and the key of the medium.

    Older payloads have no key beside a link: there, what is shown as a picture's link stands for all media.
    """
    items, of_row = links.flatten(), pc.list_parent_indices(links)
    known = pc.binary_join_element_wise(of_row.cast(pa.string()), items.field("media_key"), ":")
    wanted = pc.binary_join_element_wise(rows.cast(pa.string()), keys, ":")
    by_key = items.field("url").take(pc.index_in(wanted, value_set=known, skip_nulls=True))
    there = is_picture(items)
    place = pc.index_in(rows, value_set=of_row.filter(there))
    return pc.coalesce(by_key, items.field("url").filter(there).take(place))


def _kinds(keys: pa.StringArray) -> pa.StringArray:
    kinds = pa.nulls(len(keys), pa.string())
    for begin, kind in _MEDIA_KINDS:
        kinds = pc.if_else(pc.starts_with(keys, begin), kind, kinds)
    return kinds


def _versions(columns: Columns) -> Columns:
    """Returns the times of posts that are later versions of another, and the id of the first version."""
    several = pc.match_substring(columns["history"], ",")
    nulls = pa.nulls(len(several), pa.string())
    if not pc.any(several, min_count=0).as_py():
        return {"edited_at": nulls, "alias_id": nulls}
    found = pc.extract_regex(columns["history"], r'^\[\s*"(?P<first>\d+)"')
    first = found.field("first")
    is_later = pc.not_equal(first, columns["post_id"]).fill_null(False)
    is_later = pc.and_(is_later, found.is_valid())
    edited_at = pc.if_else(is_later, columns["created_at"], None)
    return {"edited_at": edited_at, "alias_id": pc.if_else(is_later, first, None)}


_USERS: Final = ListOf(
    ("includes.users",),
    {
        "id": ("id",),
        "created_at": ("created_at",),
        "followers": ("public_metrics.followers_count",),
        "protected": ("protected",),
        "withheld": ("withheld",),
    },
)
_CONSENT_PARTS: Final = {
    "withheld": ("withheld",),
    "own_protected": ("author.protected",),
    "own_withheld": ("author.withheld",),
}


def authors_of(columns: Columns) -> dict[str, pa.StringArray]:
    """Returns what records say of the authors of their posts: the users that they include.

    Args:
        columns: `author_id`, RECORD, and the list `users`.

    Returns:
        Field of a user -> (N,) string, null where the author is not among the users of the record.
    """
    users = columns["users"]
    rows, items = pc.list_parent_indices(users), users.flatten()
    records = columns[RECORD].cast(pa.string())
    known = pc.binary_join_element_wise(records.take(rows), items.field("id"), ":")
    wanted = pc.binary_join_element_wise(records, columns["author_id"], ":")
    found = pc.index_in(wanted, value_set=known, skip_nulls=True)
    return {name: items.field(name).take(found) for name in _USERS.fields}


def author_created_at(columns: Columns) -> pa.StringArray:
    """Returns when the account of each author was made."""
    return pc.coalesce(columns["author_created_at"], authors_of(columns)["created_at"])


def author_followers(columns: Columns) -> pa.Int64Array:
    """Returns how many accounts follow each author."""
    counts, _ = counts_of(authors_of(columns)["followers"])
    return pc.coalesce(columns["author_followers"], counts)


def consent(columns: Columns) -> pa.StringArray:
    """Returns what X says of each post and its author, and of the post that it repeats and its author.

    Source: X, "Post object" (`withheld`) and "User object" (`protected`, `withheld`) of the API v2.
    """
    users = authors_of(columns)
    given = (users["protected"], users["withheld"], *(columns[name] for name in _CONSENT_PARTS))
    is_said = any_there(*given)
    protected = any_of(is_true(users["protected"]), is_true(columns["own_protected"]))
    withheld = any_there(users["withheld"], columns["withheld"], columns["own_withheld"])
    repeated = repeated_rows(columns)
    flags = {"protected": protected, "withheld": withheld}
    refusals = {name: any_of(flag, flag.take(repeated)) for name, flag in flags.items()}
    return consent_of(any_of(is_said, is_said.take(repeated)), refusals)


X_V2: Final = PayloadFormat(
    name="x_v2",
    platform="x",
    about="posts, pages and lines of streams of X's API v2",
    told_by=(
        ("data.id", "data.text"),
        ("data[].id", "data[].text"),
        ("data", "meta.result_count"),
        ("meta.result_count", "meta.newest_id"),
        ("id", "text", "edit_history_tweet_ids[]"),
        ("id", "text", "public_metrics.retweet_count"),
        ("id", "text", "referenced_tweets[].type"),
    ),
    columns={
        "post_id": ("id",),
        "text": ("note_tweet.text", "text"),
        "created_at": ("created_at",),
        "author_id": ("author_id", "author.id"),
        "declared_lang": ("lang",),
        "conversation_id": ("conversation_id",),
        "source": ("source",),
        "like_count": ("public_metrics.like_count",),
        "repost_count": ("public_metrics.retweet_count",),
        "reply_count": ("public_metrics.reply_count",),
        "quote_count": ("public_metrics.quote_count",),
        "view_count": ("public_metrics.impression_count",),
        "author_created_at": ("author.created_at",),
        "author_followers": ("author.public_metrics.followers_count",),
    },
    parts={
        "history": ("edit_history_tweet_ids",),
        "media_key": ("media_key",),
    },
    lists={
        "references": ListOf(("referenced_tweets",), {"type": ("type",), "id": ("id",)}),
        "links": ListOf(("note_tweet.entities.urls", "entities.urls"), LINK_FIELDS),
    },
    items=("data", "includes.tweets", "includes.media"),
    notices={
        **{k: k for k in (*X_ACTS, *_OTHER_NOTICES)},
        "withheld": "status_withheld",
        "errors": "error",
        "meta": "empty_page",
    },
    notice_parts={
        NOTICE_ID: tuple(f"{k}.tweet.id" for k in _OF_POSTS),
        NOTICE_AUTHOR: (
            *(f"{k}.user.id" for k in _OF_AUTHORS),
            *(f"{k}.tweet.author_id" for k in _OF_POSTS),
        ),
        NOTICE_TIME: tuple(f"{k}.event_at" for k in X_ACTS),
    },
    acts=X_ACTS,
    told_by_notices=(
        *(f"{front}{k}.tweet.id" for front in ("data.", "") for k in _OF_POSTS),
        *(f"{front}{k}.user.id" for front in ("data.", "") for k in _OF_AUTHORS),
    ),
    finish=finish,
    derived={
        "consent": Derived(consent, _CONSENT_PARTS, {"users": _USERS}),
        "author_created_at": Derived(author_created_at, lists={"users": _USERS}),
        "author_followers": Derived(author_followers, lists={"users": _USERS}),
        "media": Derived(
            media_of,
            {
                "attached": ("attachments.media_keys",),
                "media_type": ("type",),
                "alt_text": ("alt_text",),
            },
        ),
    },
    many=True,
)
