"""Mastodon and what speaks its API: statuses, and the events of its streams, whose statuses may be strings.

The text is the status as its readers see it, with a content warning before it. A boost has the whole text
of what it repeats, under its own `uri`; a status that is quoted is a post too. `in_reply_to_id` is a number
of the server that was asked: the `uri` of the parent where it follows from it (see `parent_uris`).

Contexts (`ancestors`, `descendants`) and results of a search give their statuses.

Source: docs.joinmastodon.org, "Status", "MediaAttachment", "Quote" (entities) and "Streaming" (methods).
"""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.schemas.payloads.consent import any_of, any_there, consent_of, is_false, is_true
from sluice.schemas.payloads.format import (
    DELETE,
    EMPTY,
    NOTICE,
    NOTICE_ID,
    RECORD,
    Columns,
    Derived,
    PayloadFormat,
)
from sluice.schemas.payloads.html_text import html_texts
from sluice.schemas.payloads.titles import titled_texts
from sluice.schemas.payloads.x_v1 import listed_media

_WITH_STATUS: Final = ("update", "status.update")
"""Events that hold a status; all others are notices."""
_NOT_PUBLIC: Final = ("private", "direct")
"""The `visibility` of statuses for followers, or for those that are named: they are notices `not_public`."""
_NUMBERED_URI: Final = r"^(?P<front>.*/)(?P<number>\d+)$"


def parent_uris(columns: Columns) -> pa.StringArray:
    """Returns the parent of each status: its `uri` where it is sure, else the number on the server asked.

    An author who goes on with a thread of their own, on the server that was asked, has the parent's `uri` in
    the status' own: but for its number they are the same.

    Args:
        columns: `post_id`, `in_reply_to_id`, and the parts `id`, `account` and `parent_account`.

    >>> columns = {"post_id": ["https://a.b/users/c/statuses/12"], "in_reply_to_id": ["11"], "id": ["12"]}
    >>> columns |= {"account": ["3"], "parent_account": ["3"]}
    >>> parent_uris({name: pa.array(values) for name, values in columns.items()}).to_pylist()
    ['https://a.b/users/c/statuses/11']
    """
    parents = columns["in_reply_to_id"]
    uri = pc.extract_regex(columns["post_id"], _NUMBERED_URI)
    is_own = pc.equal(columns["account"], columns["parent_account"])
    is_here = pc.equal(pc.struct_field(uri, "number"), columns["id"])
    whole = pc.binary_join_element_wise(pc.struct_field(uri, "front"), parents, "")
    return pc.if_else(pc.and_(is_own, is_here).fill_null(False), whole, parents)


def event_notices(events: pa.StringArray, records: pa.Int64Array) -> pa.StringArray:
    """Returns the kind of notice of the last row of each event that holds no status; null for other rows.

    Args:
        events: (N,) string, the event of a record, at its first row.
        records: (N,) int64, ascending.
    """
    record_N = np.asarray(records)
    first_N = np.searchsorted(record_N, record_N)
    last_N = np.append(record_N[1:] != record_N[:-1], True)
    kinds = pc.replace_substring(events.take(pa.array(first_N)), ".", "_")
    has_status = pc.is_in(events.take(pa.array(first_N)), pa.array(_WITH_STATUS))
    return pc.if_else(pc.and_(pa.array(last_N), pc.invert(has_status)), kinds, None)


def finish(columns: Columns) -> Columns:
    """Returns statuses with plain texts, and the events that are notices."""
    if not len(columns[RECORD]):
        return columns
    texts = titled_texts(columns["warning"], html_texts(columns["text"]))
    changed: Columns = {"text": texts, "in_reply_to_id": parent_uris(columns)}
    null = pa.scalar(None, pa.string())
    kinds = pc.if_else(pc.is_in(columns["visibility"], pa.array(_NOT_PUBLIC)), "not_public", null)
    if columns["event"].null_count < len(texts):
        kinds = pc.coalesce(kinds, event_notices(columns["event"], columns[RECORD]))
    changed[NOTICE] = kinds
    return {**columns, **changed}


_CONSENT_PARTS: Final = {
    f"{name}{part}": (f"{front}account.{part}",)
    for name, front in {"": "", "reposted_": "reblog."}.items()
    for part in ("indexable", "discoverable", "noindex")
}


def consent(columns: Columns) -> pa.StringArray:
    """Returns what the author of each status, and of the one that it repeats, has not agreed to.

    Source: docs.joinmastodon.org, "Account" (entities): `indexable`, `discoverable`, `noindex`.
    """
    parts = {name: columns[name] for name in _CONSENT_PARTS}
    refused = {
        ending: [flag(values) for name, values in parts.items() if name.endswith(ending)]
        for ending, flag in (
            ("indexable", is_false),
            ("discoverable", is_false),
            ("noindex", is_true),
        )
    }
    not_indexable = any_of(*refused["indexable"], *refused["noindex"])
    refusals = {
        "not_indexable": not_indexable,
        "not_discoverable": any_of(*refused["discoverable"]),
    }
    return consent_of(any_there(*parts.values()), refusals)


MASTODON: Final = PayloadFormat(
    name="mastodon",
    platform="mastodon",
    about="statuses of Mastodon's API, and the events of its streams",
    told_by=(
        ("uri", "content", "account.acct", "visibility"),
        ("ancestors", "descendants[].uri", "descendants[].content"),
        ("descendants", "ancestors[].uri", "ancestors[].content"),
        ("statuses[].uri", "statuses[].content", "accounts", "hashtags"),
        *((f"event={event}", "payload") for event in (*_WITH_STATUS, "delete")),
    ),
    columns={
        "post_id": ("uri",),
        "text": ("reblog.content", "content"),
        "created_at": ("created_at",),
        "edited_at": ("reblog.edited_at", "edited_at"),
        "author_id": ("account.uri", "account.url", "account.id"),
        "declared_lang": ("reblog.language", "language"),
        "in_reply_to_id": ("in_reply_to_id",),
        "source": ("application.name",),
        "quoted_id": ("quote.quoted_status.uri", "quote.uri"),
        "reposted_id": ("reblog.uri",),
        "alias_id": ("id",),
        "like_count": ("favourites_count",),
        "repost_count": ("reblogs_count",),
        "reply_count": ("replies_count",),
        "quote_count": ("quotes_count",),
        "author_created_at": ("account.created_at",),
        "author_followers": ("account.followers_count",),
        "author_automated": ("account.bot",),
    },
    parts={
        "warning": ("reblog.spoiler_text", "spoiler_text"),
        "id": ("id",),
        "account": ("account.id",),
        "parent_account": ("in_reply_to_account_id",),
        "event": ("event",),
        "visibility": ("visibility",),
    },
    items=(
        *("payload", "quote.quoted_status", "reblog.quote.quoted_status"),
        *("ancestors", "descendants", "statuses"),
    ),
    notices={"ancestors": EMPTY, "descendants": EMPTY, "statuses": EMPTY},
    notice_parts={NOTICE_ID: ("payload",)},
    acts={"delete": DELETE},
    finish=finish,
    derived={
        "consent": Derived(consent, _CONSENT_PARTS),
        "media": listed_media(
            ("reblog.media_attachments", "media_attachments"),
            {"kind": ("type",), "key": ("remote_url", "url"), "alt_text": ("description",)},
        ),
    },
    many=True,
)
