"""What stands around the words of a post: handles, links, emoji, hashtags, retweets.

Links point to hosts under `.example`, which nobody can own.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.sample.draws import Draws, cumulative
from sluice.pipeline.sample.words import Lexicon, lexicon
from sluice.schemas.arrays import Bools, Int64s

LOWER = "abcdefghijklmnopqrstuvwxyz"
ALPHANUMERIC = LOWER + LOWER.upper() + "0123456789"
PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))

EMOJI = (
    *("😂", "😂", "😂", "❤️", "❤️", "🤣", "😍", "🙏", "😭", "😊", "🔥", "🔥", "👍", "💕", "🥰"),
    *("😘", "😁", "🎉", "💪", "👏", "🤔", "😅", "✨", "💯", "🙄", "😎", "💀", "👀", "🌹", "⚽"),
    *("👍🏽", "🤷‍♀️", "👩‍💻", "🏳️‍🌈", "🇧🇷", "🇯🇵", "🇮🇩", "🇹🇷", "🫶", "🥹"),
)
"""Repeated entries are more frequent; the last ten are sequences or newer than many tables."""

LINKS = (
    "https://t.example/",
    "https://t.example/",
    "https://news.example/a/",
    "http://img.example/",
)
NUM_HANDLES = 20_000


class Around(NamedTuple):
    """What stands before and after the words of N posts.

    Attributes:
        lead: (N,) string, "" or ends with a blank.
        trail: (N,) string, "" or starts with a blank.
    """

    lead: pa.StringArray
    trail: pa.StringArray

    def wrap(self, body: pa.StringArray) -> pa.StringArray:
        """Returns (N,) string: lead, body and trail written together."""
        return pc.binary_join_element_wise(self.lead, body, self.trail, "")

    def take(self, row_M: Int64s) -> "Around":
        """Returns what stands around the given rows."""
        rows = pa.array(row_M)
        return Around(self.lead.take(rows), self.trail.take(rows))


def around(words: Lexicon, handles: pa.StringArray, *, size: int, draws: Draws) -> Around:
    """Draws replies, retweets, links, hashtags and emoji for `size` posts of one language."""
    lead = only(draws.chance(0.19, size=size), mentions(handles, size=size, draws=draws))
    retweet = pc.binary_join_element_wise("RT @", draws.pick(handles, size=size), ": ", "")
    lead = pc.if_else(pa.array(draws.chance(0.10, size=size)), retweet, lead)
    tag = pc.binary_join_element_wise(" #", hashtags(words, size=size, draws=draws), "")
    link = pc.binary_join_element_wise(" ", links(size=size, draws=draws), "")
    face = pc.binary_join_element_wise(" ", emoji(size=size, draws=draws), "")
    trail = pc.binary_join_element_wise(
        only(draws.chance(0.20, size=size), face),
        only(draws.chance(0.08, size=size), tag),
        only(draws.chance(0.16, size=size), link),
        "",
    )
    return Around(lead, trail)


def handle_pool(*, draws: Draws) -> pa.StringArray:
    """Returns (NUM_HANDLES,) string of [a-z0-9_]: a frequent word of three languages, a number."""
    forms = [lexicon(name).forms.slice(0, 6_000) for name in ("en", "es", "id")]
    words = pa.concat_arrays(forms)
    words = words.filter(pc.match_substring_regex(words, "^[a-z]{3,9}$"))
    number = pa.array(np.char.mod("%d", draws.below(10_000, size=NUM_HANDLES)), pa.string())
    mark = draws.pick(("", "", "_"), size=NUM_HANDLES)
    return pc.binary_join_element_wise(draws.pick(words, size=NUM_HANDLES), mark, number, "")


def mentions(handles: pa.StringArray, *, size: int, draws: Draws) -> pa.StringArray:
    """Returns (size,) string: one or two handles, each followed by a blank."""
    first = pc.binary_join_element_wise("@", draws.pick(handles, size=size), " ", "")
    second = pc.binary_join_element_wise("@", draws.pick(handles, size=size), " ", "")
    second = only(draws.chance(0.15, size=size), second)
    return pc.binary_join_element_wise(first, second, "")


def links(*, size: int, draws: Draws) -> pa.StringArray:
    """Returns (size,) string: links of two kinds of site and a shortener."""
    code = random_characters(7 + draws.below(4, size=size), ALPHANUMERIC, draws=draws)
    return pc.binary_join_element_wise(draws.pick(LINKS, size=size), code, "")


def emoji(*, size: int, draws: Draws, most: int = 4) -> pa.StringArray:
    """Returns (size,) string: 1 to `most` emoji; half repeat the first."""
    count_N = draws.index(cumulative([1 / (k * k) for k in range(1, most + 1)]), size=size) + 1
    offsets_N1 = np.concatenate([[0], np.cumsum(count_N)])
    kind_T = draws.below(len(EMOJI), size=int(offsets_N1[-1]))
    first_T = np.repeat(kind_T[offsets_N1[:-1]], count_N)
    same_T = np.repeat(draws.chance(0.5, size=size), count_N)
    pieces = pa.array(EMOJI).take(pa.array(np.where(same_T, first_T, kind_T)))
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets_N1, pa.int32()), pieces), "")


def hashtags(words: Lexicon, *, size: int, draws: Draws) -> pa.StringArray:
    """Returns (size,) string: one or two words run together, each with a capital."""
    num_words = len(words.cumulative_V)
    top = words.forms.slice(num_words, min(num_words, 4_000))
    second = only(draws.chance(0.4, size=size), draws.pick(top, size=size))
    return pc.binary_join_element_wise(draws.pick(top, size=size), second, "")


def random_characters(lengths_N: Int64s, alphabet: str, *, draws: Draws) -> pa.StringArray:
    """Returns (N,) string of the given lengths over an ASCII alphabet, each equally likely."""
    offsets_N1 = np.concatenate([[0], np.cumsum(lengths_N)]).astype(np.int32)
    letters = np.frombuffer(alphabet.encode("ascii"), np.uint8)
    data_B = letters[draws.below(len(letters), size=int(offsets_N1[-1]))]
    return pa.StringArray.from_buffers(
        len(lengths_N), pa.py_buffer(offsets_N1), pa.py_buffer(data_B)
    )


def only(mask_N: Bools, texts: pa.StringArray) -> pa.StringArray:
    """Returns the texts where the mask is true and "" elsewhere."""
    return pc.if_else(pa.array(mask_N), texts, "")
