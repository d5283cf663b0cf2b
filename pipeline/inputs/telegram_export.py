r"""Exports of Telegram's desktop app, of any size, as lines: a message each, with the number of its chat.

The app writes one JSON object for a chat, or for all of them, over many lines: a list of messages is
thousands of times as large as a message. Its place is told by the line of its key, and its end by the next
line with a bracket that is no further indented: a line feed never stands in a string of JSON, and what is
inside a message is indented more. What is between the messages is found by the scan of all JSON.

Source: Telegram Desktop, `export/output/export_output_json.cpp`, for how it writes.
"""

import re
from collections.abc import Iterator
from typing import Final

import numpy as np

from sluice.pipeline.inputs.json_values import find_values
from sluice.pipeline.inputs.sources import Source, StreamBrokenError

MAX_MESSAGE_BYTES: Final = 8 << 20
"""Bytes of a message at most."""
_ONE_CHAT = re.compile(
    rb'\s*\{\s*\n\s*"name":[^\n]*\n\s*"type":[^\n]*\n\s*"id": *-?\d+, *\r?\n\s*"messages": *\['
)
_ALL_CHATS = re.compile(rb'\s*\{\s*\n\s*"about": *"[^"\n]*Telegram')
_MESSAGES = re.compile(rb'(?:"id": *(-?\d+), *\r?)?\n([ \t]*)"messages": *\[ *\r?\n')
_TAIL_BYTES = 1 << 10
"""What may be the beginning of a key that goes on in the next piece."""


def is_export(head: bytes) -> bool:
    r"""Returns whether a text is an export, by its first bytes.

    >>> is_export(b'{\n "name": "A",\n "type": "private_group",\n "id": 5,\n "messages": [\n  {')
    True
    """
    return bool(_ONE_CHAT.match(head) or _ALL_CHATS.match(head))


def message_lines(source: Source, *, block_bytes: int) -> Iterator[bytes]:
    """Yields lines, one a message, in which its chat stands first, as `chat_id`.

    What is no message (contacts, sessions, the chats themselves) is left out.

    Args:
        source: the bytes of an export.
        block_bytes: what is read at a time.

    Raises:
        StreamBrokenError: the text ends in a list of messages, or the source breaks off; the messages before
            have been yielded.
    """
    rest, chat, end, broken = b"", b"", None, None
    while True:
        try:
            piece = b"" if broken is not None else source.read(block_bytes)
        except StreamBrokenError as error:
            piece, broken = b"", error
        rest += piece
        while True:
            if end is None:
                found = _MESSAGES.search(rest)
                if found is None:
                    rest = rest[-_TAIL_BYTES:]
                    break
                number, indent = found.groups()
                chat = b'{"chat_id":' + number + b"," if number else b"{"
                end, rest = b"\n" + indent + b"]", rest[found.end() :]
            stop = rest.find(end)
            is_whole = stop >= 0 or not piece
            # The last line may be the beginning of the one that ends the list.
            until = stop if stop >= 0 else len(rest) if is_whole else max(0, rest.rfind(b"\n"))
            lines, at = _lines(rest[:until], chat, is_last=is_whole)
            yield lines
            rest = rest[min(at, until) :] if stop < 0 else rest[stop:]
            if stop < 0:
                break
            end = None
        if not piece:
            break
    if broken is not None:
        raise broken
    if end is not None:
        raise StreamBrokenError("truncated_input")


def _lines(text: bytes, chat: bytes, *, is_last: bool) -> tuple[bytes, int]:
    """Returns the messages of a part of a list as lines, and where the first that is not whole begins."""
    lines, at = [], 0
    while at < len(text):
        data = bytearray(text[at:])
        found = find_values(
            np.frombuffer(data, np.uint8),
            at=0,
            in_array=True,
            indent=0,
            is_last=is_last,
            key=b'"id"',
            max_bytes=MAX_MESSAGE_BYTES,
            max_records=1 << 16,
        )
        spans = zip(found.starts_R.tolist(), found.stops_R.tolist(), strict=True)
        values = (bytes(data[start:stop]) for start, stop in spans)
        lines += [chat + v[1:] if v.startswith(b"{") else v for v in values]
        at += found.at
        if not len(found.starts_R):
            break
    return b"".join(line.replace(b"\n", b" ") + b"\n" for line in lines), at
