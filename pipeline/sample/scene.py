"""What makes a text: words, and the handles, links, emoji, hashtags and retweets around them.

Links point to hosts under `.example`, which cannot be registered.
"""

import string
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.sample.draws import Draws, cumulative
from sluice.pipeline.sample.words import Lexicon, joined, lexicon, sentence_list, together
from sluice.schemas.arrays import Bools, Int64s

ALPHANUMERIC = string.ascii_letters + string.digits
PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))

EMOJI = (
    *("😂", "😂", "😂", "❤️", "❤️", "🤣", "😍", "🙏", "😭", "😊", "🔥", "🔥", "👍", "💕", "🥰"),
    *("😘", "😁", "🎉", "💪", "👏", "🤔", "😅", "✨", "💯", "🙄", "😎", "💀", "👀", "🌹", "⚽"),
    *("👍🏽", "🤷‍♀️", "👩‍💻", "🏳️‍🌈", "🇧🇷", "🇯🇵", "🇮🇩", "🇹🇷", "🫶", "🥹"),
)
"""Repeated entries are more frequent; the last ten are sequences or newer than many tables."""

LINKS = (*["https://t.example/"] * 2, "https://news.example/a/", "http://img.example/")
NUM_HANDLES = 20_000


class Scene(NamedTuple):
    """What the makers of texts draw from.

    Attributes:
        words: of one language.
        handles: (H,) string.
        size: N, texts to make.
        draws: the stream.
    """

    words: Lexicon
    handles: pa.StringArray
    size: int
    draws: Draws

    def pick(self, values: Sequence[str] | pa.StringArray) -> pa.StringArray:
        """Returns (N,) string, each of the values equally likely."""
        return self.draws.pick(values, size=self.size)

    def chance(self, probability: float) -> Bools:
        """Returns (N,) bool, true with a probability."""
        return self.draws.chance(probability, size=self.size)

    def between(self, low: int, high: int) -> Int64s:
        """Returns (N,) int64, uniform in [low, high)."""
        return low + self.draws.below(high - low, size=self.size)

    def maybe(self, probability: float, texts: pa.StringArray) -> pa.StringArray:
        """Returns (N,) string: the text with a probability, else ""."""
        return only(self.chance(probability), texts)

    def word(self) -> pa.StringArray:
        """Returns (N,) string, words by frequency."""
        drawn_N = self.draws.index(self.words.cumulative_V, size=self.size)
        return self.words.forms.take(pa.array(drawn_N))

    def sentences(self) -> pa.ListArray:
        """Returns (N,) list<string>, the pieces of each sentence."""
        return sentence_list(self.words, size=self.size, draws=self.draws)

    def sentence(self) -> pa.StringArray:
        """Returns (N,) string, sentences."""
        return joined(self.sentences())

    def link(self) -> pa.StringArray:
        """Returns (N,) string, links of two kinds of site and a shortener."""
        return links(size=self.size, draws=self.draws)

    def mention(self) -> pa.StringArray:
        """Returns (N,) string: one or two handles, each followed by a blank."""
        first = together("@", self.pick(self.handles), " ")
        second = together("@", self.pick(self.handles), " ")
        return together(first, self.maybe(0.15, second))

    def retweet(self) -> pa.StringArray:
        """Returns (N,) string: what a retweet begins with."""
        return together("RT @", self.pick(self.handles), ": ")

    def emoji(self, most: int = 4) -> pa.StringArray:
        """Returns (N,) string: 1 to `most` emoji; half repeat the first."""
        popular = cumulative([1 / (k * k) for k in range(1, most + 1)])
        count_N = self.draws.index(popular, size=self.size) + 1
        offsets_N1 = np.concatenate([[0], np.cumsum(count_N)])
        kind_T = self.draws.below(len(EMOJI), size=int(offsets_N1[-1]))
        first_T = np.repeat(kind_T[offsets_N1[:-1]], count_N)
        same_T = np.repeat(self.chance(0.5), count_N)
        pieces = pa.array(EMOJI).take(pa.array(np.where(same_T, first_T, kind_T)))
        return joined(pa.ListArray.from_arrays(pa.array(offsets_N1, pa.int32()), pieces))

    def hashtag(self) -> pa.StringArray:
        """Returns (N,) string: one or two words run together, each with a capital."""
        num_words = len(self.words.cumulative_V)
        top = self.words.forms.slice(num_words, min(num_words, 4_000))
        second = only(self.chance(0.4), self.pick(top))
        return together(self.pick(top), second)


def around(scene: Scene) -> tuple[pa.StringArray, pa.StringArray]:
    """Draws replies, retweets, links, hashtags and emoji for posts of one language.

    Returns:
        lead: (N,) string, "" or ends with a blank.
        trail: (N,) string, "" or starts with a blank.
    """
    lead = only(scene.chance(0.19), scene.mention())
    retweet = scene.retweet()
    lead = pc.if_else(pa.array(scene.chance(0.10)), retweet, lead)
    tag = together(" #", scene.hashtag())
    link, face = together(" ", scene.link()), together(" ", scene.emoji())
    trail = [scene.maybe(0.20, face), scene.maybe(0.08, tag), scene.maybe(0.16, link)]
    return lead, together(*trail)


def handle_pool(*, draws: Draws) -> pa.StringArray:
    """Returns (NUM_HANDLES,) string of [a-z0-9_]: a frequent word of three languages, a number."""
    forms = [lexicon(name).forms.slice(0, 6_000) for name in ("en", "es", "id")]
    words = pa.concat_arrays(forms)
    words = words.filter(pc.match_substring_regex(words, "^[a-z]{3,9}$"))
    number = pa.array(np.char.mod("%d", draws.below(10_000, size=NUM_HANDLES)), pa.string())
    separator = draws.pick(("", "", "_"), size=NUM_HANDLES)
    return together(draws.pick(words, size=NUM_HANDLES), separator, number)


def links(*, size: int, draws: Draws) -> pa.StringArray:
    """Returns (size,) string: links of two kinds of site and a shortener."""
    code = random_characters(7 + draws.below(4, size=size), ALPHANUMERIC, draws=draws)
    return together(draws.pick(LINKS, size=size), code)


def random_characters(lengths_N: Int64s, alphabet: str, *, draws: Draws) -> pa.StringArray:
    """Returns (N,) string of the given lengths over an ASCII alphabet, each equally likely."""
    offsets_N1 = np.concatenate([[0], np.cumsum(lengths_N)]).astype(np.int32)
    letters = np.frombuffer(alphabet.encode("ascii"), np.uint8)
    data_B = letters[draws.below(len(letters), size=int(offsets_N1[-1]))]
    return pa.StringArray.from_buffers(len(lengths_N), *map(pa.py_buffer, (offsets_N1, data_B)))


def only(mask_N: Bools, texts: pa.StringArray) -> pa.StringArray:
    """Returns the texts where the mask is true and "" elsewhere."""
    return pc.if_else(pa.array(mask_N), texts, "")
