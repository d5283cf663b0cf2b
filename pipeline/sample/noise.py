"""Noise: what a firehose is full of and nobody wants to train on, a function a kind."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.sample.draws import Draws
from sluice.pipeline.sample.marks import (
    PRINTABLE,
    emoji,
    hashtags,
    links,
    mentions,
    only,
    random_characters,
)
from sluice.pipeline.sample.words import Lexicon, joined, sentence_list
from sluice.schemas.arrays import Int64s

HUGE_CHARACTERS = 1 << 16
"""A huge text has more characters than this, so more bytes too."""


class Scene(NamedTuple):
    """What a maker of noise draws from.

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

    def word(self) -> pa.StringArray:
        """Returns (N,) string, words by frequency."""
        drawn_N = self.draws.index(self.words.cumulative_V, size=self.size)
        return self.words.forms.take(pa.array(drawn_N))

    def sentence(self) -> pa.StringArray:
        """Returns (N,) string, sentences."""
        return joined(sentence_list(self.words, size=self.size, draws=self.draws))

    def link(self) -> pa.StringArray:
        """Returns (N,) string, links."""
        return links(size=self.size, draws=self.draws)

    def mention(self) -> pa.StringArray:
        """Returns (N,) string, one or two handles and a blank."""
        return mentions(self.handles, size=self.size, draws=self.draws)

    def between(self, low: int, high: int) -> Int64s:
        """Returns (N,) int64, uniform in [low, high)."""
        return low + self.draws.below(high - low, size=self.size)

    def maybe(self, probability: float, texts: pa.StringArray) -> pa.StringArray:
        """Returns (N,) string: the text with a probability, else ""."""
        return only(self.draws.chance(probability, size=self.size), texts)


def _random_characters(scene: Scene) -> pa.StringArray:
    return random_characters(scene.between(8, 88), PRINTABLE, draws=scene.draws)


def _only_emoji(scene: Scene) -> pa.StringArray:
    return emoji(size=scene.size, draws=scene.draws, most=12)


def _bare_links(scene: Scene) -> pa.StringArray:
    second = scene.maybe(0.3, pc.binary_join_element_wise(" ", scene.link(), ""))
    return pc.binary_join_element_wise(scene.link(), second, "")


def _retweet_shell(scene: Scene) -> pa.StringArray:
    handle = scene.draws.pick(scene.handles, size=scene.size)
    return pc.binary_join_element_wise("RT @", handle, ": ", scene.maybe(0.5, scene.link()), "")


def _one_word(scene: Scene) -> pa.StringArray:
    mark = scene.draws.pick(("", "", "!", "?", "...", "!!!", " 😂"), size=scene.size)
    return pc.binary_join_element_wise(scene.maybe(0.4, scene.mention()), scene.word(), mark, "")


def _repeated_characters(scene: Scene) -> pa.StringArray:
    letter = pc.utf8_slice_codeunits(scene.word(), 0, 1)
    run = pc.binary_repeat(letter, pa.array(scene.between(10, 100)))
    return pc.binary_join_element_wise(scene.maybe(0.5, scene.word()), run, "")


def _repeated_words(scene: Scene) -> pa.StringArray:
    word = pc.binary_join_element_wise(scene.word(), " ", "")
    return pc.utf8_rtrim_whitespace(pc.binary_repeat(word, pa.array(scene.between(6, 26))))


def _digits(scene: Scene) -> pa.StringArray:
    return random_characters(scene.between(12, 72), "01234567890123456789 .-+", draws=scene.draws)


def _shouting(scene: Scene) -> pa.StringArray:
    text = pc.replace_substring_regex(scene.sentence(), "&(amp|lt);", "and")
    mark = scene.draws.pick(("!!!", "!!!!!"), size=scene.size)
    return pc.binary_join_element_wise(pc.utf8_upper(text), mark, "")


def _hashtag_pile(scene: Scene) -> pa.StringArray:
    offsets_N1 = np.concatenate([[0], np.cumsum(scene.between(5, 17))])
    tags = hashtags(scene.words, size=int(offsets_N1[-1]), draws=scene.draws)
    tags = pc.binary_join_element_wise("#", tags, "")
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets_N1, pa.int32()), tags), " ")


def _mention_pile(scene: Scene) -> pa.StringArray:
    return pc.binary_join_element_wise(*[scene.mention() for _ in range(5)], scene.word(), "")


def _empty_text(scene: Scene) -> pa.StringArray:
    return scene.draws.pick(("", "", " ", "\n", "\u3000 "), size=scene.size)


def _huge_text(scene: Scene) -> pa.StringArray:
    sentence = pc.binary_join_element_wise(scene.sentence(), " ", "")
    times = pc.add(pc.divide(HUGE_CHARACTERS, pc.utf8_length(sentence)), 1)
    return pc.binary_repeat(sentence, times)


KINDS: dict[str, tuple[float, Callable[[Scene], pa.StringArray]]] = {
    "one_word": (18, _one_word),
    "only_emoji": (14, _only_emoji),
    "bare_links": (14, _bare_links),
    "retweet_shell": (12, _retweet_shell),
    "random_characters": (8, _random_characters),
    "repeated_characters": (7, _repeated_characters),
    "repeated_words": (7, _repeated_words),
    "hashtag_pile": (6, _hashtag_pile),
    "mention_pile": (5, _mention_pile),
    "shouting": (5, _shouting),
    "digits": (4, _digits),
    "empty_text": (4, _empty_text),
    "huge_text": (0.03, _huge_text),
}
"""Kind -> (weight, maker)."""

WORDLESS = {
    "only_emoji",
    "bare_links",
    "retweet_shell",
    "random_characters",
    "digits",
    "empty_text",
}
"""Kinds that have no language."""

LANGUAGES = {"en": 45.0, "es": 15, "pt": 10, "id": 10, "tr": 6, "fr": 5, "ru": 4, "tl": 3, "de": 2}
"""Noise is in words of these, by weight: shouting needs capitals."""
