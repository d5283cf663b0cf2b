"""Telegram: the JSON export of its desktop app, of one chat or an account, or lines of one message each.

A text is a string, or a list of strings and of objects with a `text`, which are joined. Numbers of messages
count within a chat: a post is named CHAT/NUMBER, where the chat is known. What is no message of a person,
such as that somebody joined, is a notice `service`.

Source: what Telegram Desktop writes, github.com/telegramdesktop/tdesktop, Telegram/SourceFiles/export/output.
"""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.schemas.payloads.format import (
    EMPTY,
    ITSELF,
    NOTICE,
    RECORD,
    Columns,
    Derived,
    ListOf,
    PayloadFormat,
)
from sluice.schemas.payloads.x_v1 import one_medium

_MESSAGE: Final = "message"
_OTHERS: Final = ("service", "unsupported")
"""Types of what stands in a chat and is no message; all other types are those of chats."""


def joined_texts(plain: pa.StringArray, pieces: pa.ListArray) -> pa.StringArray:
    """Returns texts: the pieces of a list joined, a text that is none as it is.

    Args:
        plain: (N,) string.
        pieces: (N,) list<struct<text>>, null where a text is no list.
    """
    if pieces.null_count == len(pieces):
        return plain
    texts = pa.ListArray.from_arrays(pieces.offsets, pieces.values.field("text").fill_null(""))
    return pc.if_else(pieces.is_valid(), pc.binary_join(texts, ""), plain)


def chats_of(columns: Columns, is_chat: pa.BooleanArray) -> pa.StringArray:
    """Returns the chat of each message: of its line, or the last that began before it in its record."""
    record_N, place_N = np.asarray(columns[RECORD]), np.arange(len(is_chat))
    is_chat_N = np.asarray(is_chat.to_numpy(zero_copy_only=False))
    last_N = np.maximum.accumulate(np.where(is_chat_N, place_N, -1))
    has_none_N = (last_N < 0) | (record_N[last_N] != record_N)
    above = columns["post_id"].take(pa.array(last_N, mask=has_none_N))
    return pc.coalesce(columns["chat"], above)


def _in_chat(chats: pa.StringArray, numbers: pa.StringArray) -> pa.StringArray:
    return pc.coalesce(pc.binary_join_element_wise(chats, numbers, "/"), numbers)


def _media(columns: Columns) -> pa.ListArray:
    """Returns the picture or file of each message, which stands before its text."""
    photo, file = columns["photo"], columns["file"]
    kinds = pc.if_else(
        photo.is_valid(), "photo", pc.coalesce(columns["media_type"], columns["mime"])
    )
    return one_medium(kinds, pc.coalesce(photo, file), "")


def finish(columns: Columns) -> Columns:
    """Returns messages with their texts and the ids that they have in all chats."""
    if not len(columns[RECORD]):
        return {**columns, "text": columns["plain"]}
    null, kinds = pa.scalar(None, pa.string()), columns["type"]
    is_message = pc.equal(kinds, _MESSAGE).fill_null(True)
    is_other = pc.is_in(kinds, pa.array(_OTHERS))
    is_chat = pc.and_(pc.invert(is_message), pc.invert(is_other))
    chats = chats_of(columns, is_chat)
    notices = pc.if_else(is_chat, "", pc.if_else(is_other, kinds, null))
    texts = joined_texts(columns["plain"], columns["pieces"])
    changed: Columns = {
        "post_id": pc.if_else(is_chat, null, _in_chat(chats, columns["post_id"])),
        "text": pc.if_else(is_chat, null, texts),
        "in_reply_to_id": _in_chat(chats, columns["in_reply_to_id"]),
        NOTICE: notices,
    }
    return {**columns, **changed}


TELEGRAM: Final = PayloadFormat(
    name="telegram",
    platform="telegram",
    about="the export of Telegram's desktop app, or its messages in lines",
    told_by=(
        ("type", "messages[].id", "messages[].date"),
        ("chats.list[].messages",),
        ("type=message", "id", "date", "from_id"),
        ("type=service", "id", "date", "action"),
    ),
    columns={
        "post_id": ("id",),
        "created_at": ("date_unixtime", "date"),
        "edited_at": ("edited_unixtime", "edited"),
        "author_id": ("from_id",),
        "in_reply_to_id": ("reply_to_message_id",),
    },
    parts={
        "plain": ("text",),
        "type": ("type",),
        "chat": ("chat_id",),
    },
    lists={"pieces": ListOf(("text",), {"text": ("text", ITSELF)})},
    items=("messages", "chats.list"),
    notices={"chats": EMPTY},
    finish=finish,
    derived={
        "media": Derived(
            _media,
            {
                "photo": ("photo",),
                "file": ("file",),
                "media_type": ("media_type",),
                "mime": ("mime_type",),
            },
        )
    },
    many=True,
)
