"""X's API v1.1: tweets of stream grabs and of the REST API, with the tweets that they repeat and quote.

A retweet has the whole text of what it repeats, under its own id. A tweet that is quoted is a post too.

Source: X, "Tweet object" and "Extended Tweets" of the data dictionary of the standard v1.1 API;
"Consuming streaming data" for the notices.
"""

from collections.abc import Mapping
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from sluice.schemas.payloads.consent import any_of, any_there, consent_of, is_true
from sluice.schemas.payloads.entities import without_entities
from sluice.schemas.payloads.format import (
    DELETE,
    DELETE_AUTHOR,
    NOTICE_AUTHOR,
    NOTICE_ID,
    NOTICE_TIME,
    RESTORE,
    RESTORE_AUTHOR,
    Columns,
    Derived,
    ListOf,
    PayloadFormat,
)
from sluice.schemas.payloads.x_links import LINK_FIELDS, with_addresses, without_links
from sluice.schemas.post import MEDIA

STREAM_NOTICES: Final[dict[str, str]] = {
    **{
        name: name
        for name in (
            *("delete", "scrub_geo", "limit", "status_withheld", "user_withheld", "disconnect"),
            *("warning", "friends", "event", "control", "drop", "undrop", "user_delete"),
            *("user_undelete", "user_protect", "user_unprotect", "user_suspend", "user_unsuspend"),
        )
    },
    "friends_str": "friends",
}
"""Key of a message of X's streams that holds no post -> the kind of notice that it is."""

X_ACTS: Final[dict[str, str]] = {
    "delete": DELETE,
    "drop": DELETE,
    "undrop": RESTORE,
    **dict.fromkeys(("user_delete", "user_protect", "user_suspend"), DELETE_AUTHOR),
    **dict.fromkeys(("user_undelete", "user_unprotect", "user_unsuspend"), RESTORE_AUTHOR),
}
"""What X's notices do: content that was deleted or protected, or whose account is gone, is to be removed.

Source: X, "Compliance streams" of the documentation; Developer policy, "Content compliance".
"""
_OF_POSTS: Final = tuple(k for k, act in X_ACTS.items() if act in (DELETE, RESTORE))
_OF_AUTHORS: Final = tuple(k for k in X_ACTS if k not in _OF_POSTS)

_ENTITIES: Final = ("extended_tweet.entities", "entities")


def link_lists(fronts: tuple[str, ...]) -> dict[str, ListOf]:
    """Returns the lists of links, and of links of media, of the entities of tweets.

    Args:
        fronts: paths of entities; those of the text that is read come first.
    """
    return {
        "links": ListOf(tuple(f"{front}.urls" for front in fronts), LINK_FIELDS),
        "pictures": ListOf(tuple(f"{front}.media" for front in fronts), LINK_FIELDS),
    }


_WHOLE_TEXT: Final = ("extended_tweet.full_text", "full_text", "text")
_MEDIA_PATHS: Final = (
    *("extended_tweet.extended_entities.media", "extended_entities.media"),
    *("extended_tweet.entities.media", "entities.media"),
)

MEDIA_FIELDS: Final = {
    "kind": ("type",),
    "key": ("media_url_https", "media_url", "id_str"),
    "alt_text": ("ext_alt_text",),
    "link": ("url",),
}
"""Field of a medium in POST -> its paths in a medium of the API v1.1."""


def media_of(items: pa.ListArray) -> pa.ListArray:
    """Returns lists of structs with some of MEDIA's fields as MEDIA; the others are null."""
    values, names = items.values, {field.name for field in items.type.value_type}
    none = pa.nulls(len(values), pa.string())
    structs = pa.StructArray.from_arrays(
        [values.field(f.name) if f.name in names else none for f in MEDIA.value_type],
        fields=list(MEDIA.value_type),
    )
    mask = items.is_null() if items.null_count else None
    return pa.ListArray.from_arrays(items.offsets, structs, type=MEDIA, mask=mask)


def one_medium(
    kinds: pa.Array,
    keys: pa.StringArray,
    links: str | None = None,
    alts: pa.StringArray | None = None,
) -> pa.ListArray:
    """Returns (N,) MEDIA: one medium where there is a kind and a key, null elsewhere.

    Args:
        kinds: (N,) string.
        keys: (N,) string.
        links: what stands for each of them in its text.
        alts: (N,) string, what each of them shows, in words.

    >>> one_medium(pa.array(["photo", None]), pa.array(["a.jpg", "b"]), "")[0].as_py()
    [{'kind': 'photo', 'key': 'a.jpg', 'alt_text': None, 'link': ''}]
    """
    there = pc.and_(kinds.is_valid(), keys.is_valid())
    num = pc.cumulative_sum(pc.cast(there, pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), num])
    chosen = [kinds.filter(there), keys.filter(there)]
    none = pa.nulls(len(chosen[0]), pa.string())
    given = none if links is None else pa.repeat(pa.scalar(links, pa.string()), len(none))
    words = none if alts is None else alts.filter(there)
    structs = pa.StructArray.from_arrays([*chosen, words, given], fields=list(MEDIA.value_type))
    return pa.ListArray.from_arrays(offsets, structs, type=MEDIA, mask=pc.invert(there))


def without_anchor(sources: pa.StringArray) -> pa.StringArray:
    """Returns the names of clients without the link around them.

    >>> without_anchor(pa.array(['<a href="http://x.test" rel="nofollow">A client</a>', None])).to_pylist()
    ['A client', None]
    """
    clients = sources.dictionary_encode()  # there are few
    names = pc.replace_substring_regex(clients.dictionary, r"<[^>]*>", "")
    return pc.utf8_trim_whitespace(names).take(clients.indices)


def finish(columns: Columns) -> Columns:
    """Returns tweets with their entities decoded, their links whole, and the name of the client alone."""
    texts = without_entities(columns["text"])
    has_place = pa.repeat(False, len(texts))  # links of media are in a list of their own
    texts = with_addresses(columns, texts, columns["quoted_id"], has_place)
    if _ITEMS not in columns:
        texts = without_links(texts, columns["pictures"])
    return {**columns, "text": texts, "source": without_anchor(columns["source"])}


def listed_media(paths: tuple[str, ...], fields: Mapping[str, tuple[str, ...]]) -> Derived:
    """Returns media that are the objects of a list.

    Args:
        paths: of the list; the first that is not null counts.
        fields: those of MEDIA -> paths in an object.
    """
    return Derived(_of_items, lists={_ITEMS: ListOf(paths, fields)})


def _of_items(columns: Columns) -> pa.ListArray:
    return media_of(columns[_ITEMS])


_ITEMS: Final = "media_items"


_FRONTS: Final = {"": "", "reposted_": "retweeted_status."}
"""Begins names of parts -> begins their paths: what is said of a tweet, and of the one that it repeats."""
_CONSENT_PARTS: Final = {
    f"{name}{part}": (f"{front}{path}",)
    for name, front in _FRONTS.items()
    for part, path in {
        "protected": "user.protected",
        "countries": "withheld_in_countries",
        "copyright": "withheld_copyright",
        "author_countries": "user.withheld_in_countries",
    }.items()
}


def consent(columns: Columns) -> pa.StringArray:
    """Returns what X says of each tweet and its author, and of the tweet that it repeats and its author.

    Source: X, "Tweet object" and "User object" of the data dictionary v1.1 (`withheld_*`, `protected`).
    """
    parts = {name: columns[name] for name in _CONSENT_PARTS}
    lists = [values for name, values in parts.items() if name.endswith("countries")]
    withheld = [is_filled(values) for values in lists]
    withheld += [is_true(values) for name, values in parts.items() if name.endswith("copyright")]
    protected = [is_true(values) for name, values in parts.items() if name.endswith("protected")]
    refusals = {"protected": any_of(*protected), "withheld": any_of(*withheld)}
    return consent_of(any_there(*parts.values()), refusals)


def is_filled(lists: pa.StringArray) -> pa.BooleanArray:
    """Returns (N,) bool, where a list, as JSON, holds something; null where there is none."""
    return pc.match_substring_regex(lists, r"^\[\s*[^\]\s]")


X_V1: Final = PayloadFormat(
    name="x_v1",
    platform="x",
    about="tweets of X's API v1.1, as its streams send them",
    told_by=(
        ("id_str", "user.id_str", "created_at", "text"),
        ("id_str", "user.id_str", "created_at", "full_text"),
    ),
    columns={
        "post_id": ("id_str", "id"),
        "text": (*(f"retweeted_status.{path}" for path in _WHOLE_TEXT), *_WHOLE_TEXT),
        "created_at": ("created_at", "timestamp_ms"),
        "author_id": ("user.id_str", "user.id"),
        "declared_lang": ("lang",),
        "in_reply_to_id": ("in_reply_to_status_id_str", "in_reply_to_status_id"),
        "source": ("source",),
        "quoted_id": ("quoted_status_id_str", "quoted_status_id", "quoted_status.id_str"),
        "reposted_id": ("retweeted_status.id_str", "retweeted_status.id"),
        "like_count": ("favorite_count",),
        "repost_count": ("retweet_count",),
        "reply_count": ("reply_count",),
        "quote_count": ("quote_count",),
        "author_created_at": ("user.created_at",),
        "author_followers": ("user.followers_count",),
    },
    lists=link_lists(
        (*(f"retweeted_status.{path}" for path in _ENTITIES), *_ENTITIES),
    ),
    items=("quoted_status", "retweeted_status.quoted_status"),
    notices=STREAM_NOTICES,
    notice_parts={
        NOTICE_ID: tuple(f"{k}.status.{name}" for k in _OF_POSTS for name in ("id_str", "id")),
        NOTICE_AUTHOR: (
            *(f"{k}.{name}" for k in _OF_AUTHORS for name in ("id_str", "id")),
            *(f"{k}.status.{name}" for k in _OF_POSTS for name in ("user_id_str", "user_id")),
        ),
        NOTICE_TIME: tuple(f"{k}.timestamp_ms" for k in X_ACTS),
    },
    acts=X_ACTS,
    told_by_notices=(
        *(f"{k}.status.{name}" for k in _OF_POSTS for name in ("id_str", "id")),
        *(f"{k}.{name}" for k in _OF_AUTHORS for name in ("id_str", "id")),
    ),
    finish=finish,
    derived={
        "consent": Derived(consent, _CONSENT_PARTS),
        "media": listed_media(
            (*(f"retweeted_status.{path}" for path in _MEDIA_PATHS), *_MEDIA_PATHS), MEDIA_FIELDS
        ),
    },
    many=True,
)
