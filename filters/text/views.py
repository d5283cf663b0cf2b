"""The texts that are derived from a post: what models read, and what duplicates are compared by."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.text.char_classes import char_classes
from sluice.filters.text.kernels import write_view
from sluice.filters.text.nfc import to_nfc
from sluice.schemas.kernel import utf8_array, utf8_view

TEXT_VIEWS_VERSION = 1
"""Raised whenever a view of the same text changes."""


def classifier_text(texts: pa.StringArray) -> pa.StringArray:
    """Returns what the language, spam and toxicity models read.

    Lower case, URLs and @handles to a blank, runs of white space (line ends too) to one blank,
    trimmed. Hashtags, emoji, punctuation and a leading RT stay.

    Args:
        texts: (N,) string, normalised; a null reads as the empty text.

    Returns:
        (N,) string, in the order of the rows, never null; a pure function of each text.

    >>> classifier_text(pa.array(["RT @ann: Look at THIS https://t.co/a1"])).to_pylist()
    ['rt : look at this']
    """
    return _view(pc.utf8_lower(texts), drop_retweet=False)


def dedup_text(texts: pa.StringArray) -> pa.StringArray:
    """Returns the text that duplicates are compared by.

    As `classifier_text`, in NFC, and leading RTs are dropped with their handles and colons. Entities
    are taken to be decoded, as `sluice.filters.text.normalize` leaves them.

    Args:
        texts: (N,) string, normalised; a null reads as the empty text.

    Returns:
        (N,) string, in the order of the rows, never null; empty for a post that is nothing but
        links, handles and RT.

    >>> dedup_text(pa.array(["RT @ann: Look at THIS https://t.co/a1 @bob"])).to_pylist()
    ['look at this']
    """
    return _view(to_nfc(pc.utf8_lower(texts)), drop_retweet=True)


MOST_CHARACTERS = 1024
"""Of a text that an encoder reads: more than its pieces reach."""


def encoder_text(texts: pa.StringArray) -> pa.StringArray:
    """Returns what the encoder reads: URLs as `http` and their host, handles as `@user`, the start alone.

    Case, hashtags, emoji and punctuation stay. Whose handle it is, and what follows a host, tell posts of a
    collection apart, not what they say. A word in mathematical letters, by which advertisers hide from
    searches, has a tilde before it, since its pieces are those of plain letters.

    Args:
        texts: (N,) string, normalised; a null reads as the empty text.

    Returns:
        (N,) string, in the order of the rows, never null; a pure function of each text.

    >>> encoder_text(pa.array(["RT @ann: Look at THIS https://www.t.co/a1?b=2"])).to_pylist()
    ['RT @user: Look at THIS http t.co']
    """
    begin = pc.utf8_slice_codeunits(pc.fill_null(texts, ""), 0, MOST_CHARACTERS)
    hosts = pc.replace_substring_regex(begin, r"(?i)https?://(?:www\.)?([^/\s?#]+)\S*", r"http \1")
    handles = pc.replace_substring_regex(hosts, r"(^|[^\w/.])@\w+", r"\1@user")
    return pc.replace_substring_regex(handles, r"([\x{1D400}-\x{1D7FF}]+)", r"~\1")


def _view(lowered: pa.StringArray, *, drop_retweet: bool) -> pa.StringArray:
    data_B, offsets_N1 = utf8_view(lowered)
    out_B = np.empty(int(offsets_N1[-1] - offsets_N1[0]), np.uint8)
    out_offsets_N1 = np.empty(len(offsets_N1), np.int32)
    write_view(data_B, offsets_N1, char_classes(), drop_retweet, out_B, out_offsets_N1)
    return utf8_array(out_B[: out_offsets_N1[-1]], out_offsets_N1)
