"""Bluesky: events of Jetstream, post views and feeds of its API, and records as repositories hold them.

A post is named by its at:// URI. Links that the app has shortened are whole (facets have their addresses).
A repost in a feed is a post with the text of what it repeats, where the feed gives its URI; an event of a
repost has no text and is a notice, as likes, follows, deletes and all else that is no post. A post that is
quoted, and the posts that a reply in a feed answers, are posts too.

Source: github.com/bluesky-social/jetstream, "Consuming Jetstream"; lexicons app.bsky.feed.post,
app.bsky.feed.defs, app.bsky.embed.record and app.bsky.richtext.facet of github.com/bluesky-social/atproto.
"""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.schemas.arrays import Bools, Int64s
from sluice.schemas.kernel import utf8_view
from sluice.schemas.payloads.consent import any_of, any_there, consent_of
from sluice.schemas.payloads.format import (
    ACT,
    ALLOW_AUTHOR,
    DELETE,
    DELETE_AUTHOR,
    EMPTY,
    NOTICE,
    NOTICE_AUTHOR,
    NOTICE_ID,
    NOTICE_TIME,
    RECORD,
    REFUSE_AUTHOR,
    RESTORE_AUTHOR,
    Columns,
    Derived,
    ListOf,
    PayloadFormat,
)
from sluice.schemas.payloads.html_text import html_texts
from sluice.schemas.payloads.shortened_links import whole_links
from sluice.schemas.payloads.x_v1 import media_of, one_medium

_POST: Final = "app.bsky.feed.post"
_OF_SERVERS: Final = ("desynchronized", "throttled")
"""What an account's status says of its server, and not of the account."""
_DECLARATIONS: Final = (
    "community.lexicon.preference.ai",
    "org.user-intents.declaration",
    "org.user-intents.demo.declaration",
)
"""Collections in which authors say what their posts may be used for."""
_PLACES: Final = ("commit.record", "record", "value", "post.record")
"""Where the record of a post stands; in the last of a feed, for reposts."""


def _in_record(*paths: str) -> tuple[str, ...]:
    return tuple(f"{place}.{path}" for place in _PLACES for path in paths)


def with_whole_links(texts: pa.StringArray, facets: pa.ListArray) -> pa.StringArray:
    """Returns texts with the addresses of links in place of labels that are shortened.

    Args:
        texts: (N,) string.
        facets: (N,) list<struct<start, stop, features>>, strings; `features` as JSON.
    """
    if not len(facets.values):
        return texts
    is_cut = pc.or_(pc.match_substring(texts, "..."), pc.match_substring(texts, "…"))
    is_cut = is_cut.fill_null(False)
    is_cut_N = np.asarray(is_cut.to_numpy(zero_copy_only=False))
    rows_M = np.repeat(np.arange(len(facets)), np.diff(np.asarray(facets.offsets)))
    at_M = np.flatnonzero(is_cut_N[rows_M])
    if not len(at_M):
        return texts
    at_M = at_M[_is_ellipsis(texts, rows_M[at_M], facets.values.field("stop").take(pa.array(at_M)))]
    items, rows_M = facets.values.take(pa.array(at_M)), rows_M[at_M]
    address = pc.extract_regex(items.field("features"), r'"uri"\s*:\s*"(?P<uri>[^"\\]+)"')
    addresses = pc.struct_field(address, "uri")
    starts_M, stops_M = _places(items.field("start")), _places(items.field("stop"))
    order_M = np.lexsort((starts_M, rows_M))
    order_M = order_M[_is_there(addresses)[order_M]]
    spans_M2 = np.stack([starts_M, stops_M], axis=1)[order_M]
    row_K, place_M = np.unique(rows_M[order_M], return_inverse=True)
    cut, links = texts.take(pa.array(row_K)), addresses.take(pa.array(order_M))
    whole = whole_links(cut, place_M, spans_M2, links)
    mask_N = np.zeros(len(texts), np.bool_)
    mask_N[row_K] = True
    return pc.replace_with_mask(texts, pa.array(mask_N), whole)


def _is_ellipsis(texts: pa.StringArray, rows_M: Int64s, stops: pa.StringArray) -> Bools:
    """Returns (M,) bool, whether three points or an ellipsis end at places of texts."""
    view, stops_M = utf8_view(texts), _places(stops)
    starts_M, ends_M = view.offsets_N1[rows_M], view.offsets_N1[rows_M + 1]
    fits_M = (stops_M >= 3) & (stops_M <= ends_M - starts_M)
    at_M = np.where(fits_M, starts_M + stops_M - 3, 0)
    a_M, b_M, c_M = (view.data_B[np.minimum(at_M + k, len(view.data_B) - 1)] for k in range(3))
    is_points_M = (a_M == 0x2E) & (b_M == 0x2E) & (c_M == 0x2E)
    is_ellipsis_M = (a_M == 0xE2) & (b_M == 0x80) & (c_M == 0xA6)
    return np.asarray(fits_M & (is_points_M | is_ellipsis_M))


def uncut_texts(texts: pa.StringArray, originals: pa.StringArray) -> pa.StringArray:
    """Returns texts, and the original for one that the bridge from Mastodon has cut, which ends with [...].

    Args:
        texts: (N,) string.
        originals: (N,) string, HTML, null but for posts that came over the bridge.

    >>> uncut_texts(pa.array(["a […]", "b"]), pa.array(["<p>a and more</p>", "<p>b</p>"])).to_pylist()
    ['a and more', 'b']
    """
    if originals.null_count == len(originals):
        return texts
    is_cut = pc.and_(pc.match_substring(texts, "[…]"), originals.is_valid()).fill_null(False)
    if not pc.any(is_cut, min_count=0).as_py():
        return texts
    return pc.replace_with_mask(texts, is_cut, html_texts(originals.filter(is_cut)))


def _places(numbers: pa.StringArray) -> Int64s:
    """Returns (M,) int64, places in texts; what is none is -1."""
    sound = pc.match_substring_regex(numbers, r"^\d{1,9}$").fill_null(False)
    places = pc.if_else(sound, numbers, "-1").cast(pa.int64())
    return np.asarray(places)


def _is_there(values: pa.Array) -> Bools:
    return np.asarray(values.is_valid().to_numpy(zero_copy_only=False))


def event_ids(columns: Columns) -> pa.StringArray:
    """Returns the at:// URI of the record that each event of a commit is about; null for other rows."""
    names = (columns[name] for name in ("did", "collection", "rkey"))
    front = pa.repeat("at:/", len(columns[RECORD]))
    return pc.binary_join_element_wise(front, *names, "/")


def event_kinds(columns: Columns) -> pa.StringArray:
    """Returns the kind of notice that each event is, null for posts and what is no event.

    A commit is called by the last word of its collection (`like`, `repost`, `follow`), with `_delete` behind
    it where that was deleted; the delete of a post is `delete`. See `training_kinds` for what authors say of
    training.
    """
    collections, operations = columns["collection"], columns["operation"]
    is_post = pc.equal(collections, _POST)
    is_delete = pc.equal(operations, "delete")
    last = last_words(collections)
    ended = pc.if_else(is_delete, pc.binary_join_element_wise(last, "delete", "_"), last)
    null = pa.scalar(None, pa.string())
    of_commits = pc.if_else(is_post, pc.if_else(is_delete, "delete", null), ended)
    if "training" in columns:
        of_commits = pc.coalesce(training_kinds(columns), of_commits)
    is_other = pc.invert(pc.equal(columns["kind"], "commit"))
    return pc.if_else(is_other.fill_null(False), columns["kind"], of_commits)


def last_words(collections: pa.StringArray) -> pa.StringArray:
    """Returns what stands behind the last point of each name; there are few different ones."""
    names = collections.dictionary_encode()
    return pc.replace_substring_regex(names.dictionary, r"^.*\.", "").take(names.indices)


def counted_kinds(columns: Columns) -> pa.StringArray:
    """Returns the kinds of events that are counted alone: commits of other collections, and new handles.

    Nine of ten events of a stream are likes, follows and reposts.
    """
    collections, kinds = columns["collection"], columns["kind"]
    is_of_other = pc.invert(pc.is_in(collections, pa.array((_POST, *_DECLARATIONS))))
    is_of_other = pc.and_(is_of_other, collections.is_valid())
    is_counted = pc.and_(pc.equal(kinds, "commit"), is_of_other)
    is_counted = pc.or_(is_counted, pc.equal(kinds, "identity")).fill_null(False)
    return pc.if_else(is_counted, event_kinds(columns), pa.scalar(None, pa.string()))


def training_kinds(columns: Columns) -> pa.StringArray:
    """Returns `no_training` for events by which an author refuses training on their posts, else null.

    What is said to one reader alone, or of another collection than posts, is left out.

    Source: lexicon community.lexicon.preference.ai (`preferences.training`); bluesky-social/proposals, 0008
    user intents, "Schema" (`syntheticContentGeneration`).
    """
    is_no = _says(columns, "false")
    is_declared = pc.is_in(columns["collection"], pa.array(_DECLARATIONS))
    is_meant = pc.and_(is_no, is_declared)
    return pc.if_else(is_meant, "no_training", pa.scalar(None, pa.string()))


def _says(columns: Columns, value: str) -> pa.BooleanArray:
    """Returns which records say this of training on posts, to all readers."""
    is_value = pc.equal(columns["training"], value).fill_null(False)
    if not pc.any(is_value, min_count=0).as_py():
        return is_value
    of_all = columns["scope_entity"].is_null()
    of_posts = pc.equal(columns["scope_collection"], _POST).fill_null(True)
    return pc.and_(is_value, pc.and_(of_all, of_posts))


def acts_of(columns: Columns, kinds: pa.StringArray) -> pa.StringArray:
    """Returns what each event does that is a notice; null for those that are counted alone.

    An account that is not active any more (deleted, deactivated, suspended, taken down) takes its posts with
    it; one that is active again has them back. An account whose server is slow or behind is as it was. What
    an author says of training counts until they say another thing, or delete it.

    Source: lexicon com.atproto.sync.subscribeRepos, "account".
    """
    null = pa.scalar(None, pa.string())
    is_as_it_was = pc.is_in(columns["status"], pa.array(_OF_SERVERS))
    is_gone = pc.and_(pc.equal(columns["active"], "false"), pc.invert(is_as_it_was))
    is_back = pc.equal(columns["active"], "true")
    of_accounts = pc.if_else(is_gone, DELETE_AUTHOR, pc.if_else(is_back, RESTORE_AUTHOR, null))
    is_account, is_delete = pc.equal(kinds, "account"), pc.equal(kinds, "delete")
    acts = pc.if_else(is_account, of_accounts, pc.if_else(is_delete, DELETE, null))
    is_declared = pc.is_in(columns["collection"], pa.array(_DECLARATIONS))
    if not pc.any(is_declared, min_count=0).as_py():
        return acts
    is_refusal = pc.equal(kinds, "no_training").fill_null(False)
    is_allowed = pc.or_(_says(columns, "true"), pc.equal(columns["operation"], "delete"))
    of_training = pc.if_else(is_allowed.fill_null(False), ALLOW_AUTHOR, null)
    of_training = pc.if_else(is_refusal, REFUSE_AUTHOR, of_training)
    return pc.if_else(is_declared, of_training, acts)


def _nothings(columns: Columns, ids: pa.StringArray) -> pa.BooleanArray:
    """Returns which rows are inside a record and no posts: lists, feeds, posts that are gone."""
    record_N = np.asarray(columns[RECORD])
    is_inside_N = np.append(False, record_N[1:] == record_N[:-1])
    is_named = pc.or_(pc.match_substring(ids, _POST), columns["repost"].is_valid())
    is_post = pc.and_(is_named, columns["text"].is_valid())
    return pc.and_(pa.array(is_inside_N), pc.invert(is_post.fill_null(False)))


def _filled(given: pa.Array, where: pa.BooleanArray, other: pa.Array) -> pa.Array:
    return pc.if_else(where.fill_null(False), other, given)


def finish(columns: Columns) -> Columns:
    """Returns posts of events, views and feeds, and which events are notices."""
    if not len(columns[RECORD]):
        return columns
    null = pa.scalar(None, pa.string())
    is_repost = columns["repost"].is_valid()
    is_feed = pc.and_(columns["inner"].is_valid(), pc.invert(is_repost))
    ids = pc.coalesce(columns["repost"], columns["post_id"], event_ids(columns))
    ids = pc.if_else(is_feed, null, ids)
    texts = uncut_texts(with_whole_links(columns["text"], columns["facets"]), columns["original"])
    texts = pc.if_else(is_feed, null, texts)
    quoted = columns["quoted_id"]
    changed: Columns = {
        "post_id": ids,
        "text": texts,
        "created_at": _filled(columns["created_at"], is_repost, columns["repost_time"]),
        "author_id": _filled(columns["author_id"], is_repost, columns["repost_author"]),
        "reposted_id": _filled(columns["reposted_id"], is_repost, columns["inner"]),
        "quoted_id": pc.if_else(pc.match_substring(quoted, _POST), quoted, null),
        "conversation_id": pc.coalesce(columns["root_id"], ids),
        "declared_lang": _first_language(columns["languages"]),
        "edited_at": pc.if_else(pc.equal(columns["operation"], "update"), columns["time"], null),
    }
    kinds = pc.if_else(_nothings({**columns, "text": texts}, ids), "", event_kinds(columns))
    told: Columns = {NOTICE: kinds, ACT: acts_of(columns, kinds), NOTICE_ID: event_ids(columns)}
    told |= {NOTICE_AUTHOR: columns["did"], NOTICE_TIME: columns["time"]}
    return {**columns, **changed, **told}


def _first_language(languages: pa.StringArray) -> pa.StringArray:
    """Returns the first of the languages of each JSON array."""
    found = pc.extract_regex(languages, r'^\[\s*"(?P<first>[^"\\]+)"')
    return pc.struct_field(found, "first")


def media(columns: Columns) -> pa.ListArray:
    """Returns the pictures of each post, or its film."""
    kinds = pa.repeat("video", len(columns[RECORD]))
    films = one_medium(kinds, columns["film"], alts=columns["film_alt"])
    items = columns["images"]
    values = items.values
    arrays = [pa.repeat("image", len(values)), values.field("key"), values.field("alt_text")]
    structs = pa.StructArray.from_arrays(arrays, names=["kind", "key", "alt_text"])
    mask = items.is_null() if items.null_count else None
    images = media_of(pa.ListArray.from_arrays(items.offsets, structs, mask=mask))
    return pc.if_else(films.is_valid(), films, images)


_LABEL: Final = {"value": ("val",), "by": ("src",), "negated": ("neg",)}
_AUTHOR_LABELS: Final = ListOf(("author.labels", "post.author.labels"), _LABEL)
_RECORD_LABELS: Final = ListOf(_in_record("labels.values"), _LABEL)
_OWN_LABELS: Final = ListOf(("reason.by.labels", "author.labels"), _LABEL)


def labelled(labels: pa.ListArray, value: str, by: pa.StringArray | None = None) -> pa.BooleanArray:
    """Returns (N,) bool, whether a label stands in each list, given by anybody or by one account.

    Args:
        labels: (N,) list<struct<value, by, negated>>, strings.
        value: of the label.
        by: (N,) string, the account that must have given it.
    """
    rows, items = pc.list_parent_indices(labels), labels.flatten()
    is_label = pc.equal(items.field("value"), value).fill_null(False)
    is_negated = pc.equal(items.field("negated"), "true").fill_null(False)
    is_label = pc.and_not(is_label, is_negated)
    if by is not None:
        is_own = pc.equal(items.field("by"), by.take(rows)).fill_null(False)
        is_label = pc.and_(is_label, is_own)
    has_N = np.zeros(len(labels), np.bool_)
    has_N[np.asarray(rows.filter(is_label))] = True
    return pa.array(has_N)


def consent(columns: Columns) -> pa.StringArray:
    """Returns what labels of each post and of its author say.

    Source: lexicon com.atproto.label.defs (`labelValue`, `selfLabels`).
    """
    lists = columns["author_labels"], columns["record_labels"]
    refused = any_of(*(labelled(labels, "!no-unauthenticated") for labels in lists))
    return consent_of(any_there(*lists), {"no_unauthenticated": refused})


def automated(columns: Columns) -> pa.BooleanArray:
    """Returns whether the author of each post calls the account a bot; null where there are no labels."""
    labels = columns["own_labels"]
    own = labelled(labels, "bot", by=columns["author_id"])
    return pc.if_else(labels.is_valid(), own, pa.scalar(None, pa.bool_()))


BLUESKY: Final = PayloadFormat(
    name="bluesky",
    platform="bluesky",
    about="events of Bluesky's Jetstream, and posts as its API shows them",
    told_by=(
        ("did", "time_us", "kind"),
        ("uri", "author.did", "record.text"),
        ("post.uri", "post.author.did"),
        ("uri", "cid", "value.text", "value.createdAt"),
        ("feed[].post.uri",),
        ("posts[].uri", "posts[].record.text"),
        ("thread.post.uri", "thread.post.author.did"),
    ),
    columns={
        "post_id": ("uri",),
        "text": _in_record("text"),
        "created_at": _in_record("createdAt"),
        "author_id": ("author.did", "did"),
        "in_reply_to_id": _in_record("reply.parent.uri"),
        "root_id": _in_record("reply.root.uri"),
        "quoted_id": _in_record("embed.record.record.uri", "embed.record.uri"),
        "reposted_id": ("reason.subject.uri",),
        "like_count": ("likeCount",),
        "repost_count": ("repostCount",),
        "reply_count": ("replyCount",),
        "quote_count": ("quoteCount",),
        "author_created_at": ("reason.by.createdAt", "author.createdAt"),
    },
    parts={
        "kind": ("kind",),
        "did": ("did",),
        "collection": ("commit.collection",),
        "rkey": ("commit.rkey",),
        "operation": ("commit.operation",),
        "active": ("account.active",),
        "status": ("account.status",),
        "training": (
            "commit.record.preferences.training.allow",
            "commit.record.syntheticContentGeneration.allow",
        ),
        "scope_entity": ("commit.record.scope.entity",),
        "scope_collection": ("commit.record.scope.collection",),
        "time": ("time_us",),
        "languages": _in_record("langs"),
        "original": _in_record("bridgyOriginalText"),
        "repost": ("reason.uri",),
        "repost_time": ("reason.indexedAt",),
        "repost_author": ("reason.by.did",),
        "inner": ("post.uri",),
    },
    lists={
        "facets": ListOf(
            _in_record("facets"),
            {"start": ("index.byteStart",), "stop": ("index.byteEnd",), "features": ("features",)},
        ),
    },
    items=(
        *("post", "feed", "posts", "embed.record", "embed.record.record"),
        *("reply.parent", "reply.root", "thread", "parent", "replies"),
    ),
    notices={"feed": EMPTY, "posts": EMPTY, "thread": EMPTY},
    finish=finish,
    counted=Derived(
        counted_kinds,
        {
            "kind": ("kind",),
            "collection": ("commit.collection",),
            "operation": ("commit.operation",),
        },
    ),
    derived={
        "consent": Derived(
            consent, lists={"author_labels": _AUTHOR_LABELS, "record_labels": _RECORD_LABELS}
        ),
        "author_automated": Derived(automated, lists={"own_labels": _OWN_LABELS}),
        "media": Derived(
            media,
            {
                "film": _in_record("embed.video.ref.$link", "embed.media.video.ref.$link"),
                "film_alt": _in_record("embed.alt", "embed.media.alt"),
            },
            {
                "images": ListOf(
                    _in_record("embed.images", "embed.media.images"),
                    {"key": ("image.ref.$link", "image.cid"), "alt_text": ("alt",)},
                )
            },
        ),
    },
    many=True,
)
