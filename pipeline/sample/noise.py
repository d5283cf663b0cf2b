"""Noise: what a firehose is full of and what a model should not be trained on, one function per kind."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.sample.scene import PRINTABLE, Scene, random_characters
from sluice.pipeline.sample.words import together

HUGE_CHARACTERS = 1 << 16
"""A huge text has more characters than this, so more bytes too."""


def _bare_links(scene: Scene) -> pa.StringArray:
    second = scene.maybe(0.3, together(" ", scene.link()))
    return together(scene.link(), second)


def _retweet_shell(scene: Scene) -> pa.StringArray:
    return together(scene.retweet(), scene.maybe(0.5, scene.link()))


def _one_word(scene: Scene) -> pa.StringArray:
    end = scene.pick(("", "", "!", "?", "...", "!!!", " 😂"))
    return together(scene.maybe(0.4, scene.mention()), scene.word(), end)


def _repeated_characters(scene: Scene) -> pa.StringArray:
    letter = pc.utf8_slice_codeunits(scene.word(), 0, 1)
    run = pc.binary_repeat(letter, pa.array(scene.between(10, 100)))
    return together(scene.maybe(0.5, scene.word()), run)


def _repeated_words(scene: Scene) -> pa.StringArray:
    word = together(scene.word(), " ")
    return pc.utf8_rtrim_whitespace(pc.binary_repeat(word, pa.array(scene.between(6, 26))))


def _random(alphabet: str, low: int, high: int) -> Callable[[Scene], pa.StringArray]:
    """Returns a maker of texts of `low` to `high` - 1 characters of an alphabet."""
    return lambda s: random_characters(s.between(low, high), alphabet, draws=s.draws)


def _shouting(scene: Scene) -> pa.StringArray:
    text = pc.replace_substring_regex(scene.sentence(), "&(amp|lt);", "and")
    return together(pc.utf8_upper(text), scene.pick(("!!!", "!!!!!")))


def _hashtag_pile(scene: Scene) -> pa.StringArray:
    offsets_N1 = np.concatenate([[0], np.cumsum(scene.between(5, 17))])
    tags = together("#", scene._replace(size=int(offsets_N1[-1])).hashtag())
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets_N1, pa.int32()), tags), " ")


def _mention_pile(scene: Scene) -> pa.StringArray:
    return together(*[scene.mention() for _ in range(5)], scene.word())


def _huge_text(scene: Scene) -> pa.StringArray:
    sentence = together(scene.sentence(), " ")
    times = pc.add(pc.divide(HUGE_CHARACTERS, pc.utf8_length(sentence)), 1)
    return pc.binary_repeat(sentence, times)


KINDS: dict[str, tuple[float, Callable[[Scene], pa.StringArray]]] = {
    "one_word": (18, _one_word),
    "only_emoji": (14, lambda scene: scene.emoji(12)),
    "bare_links": (14, _bare_links),
    "retweet_shell": (12, _retweet_shell),
    "random_characters": (8, _random(PRINTABLE, 8, 88)),
    "repeated_characters": (7, _repeated_characters),
    "repeated_words": (7, _repeated_words),
    "hashtag_pile": (6, _hashtag_pile),
    "mention_pile": (5, _mention_pile),
    "shouting": (5, _shouting),
    "digits": (4, _random("01234567890123456789 .-+", 12, 72)),
    "empty_text": (4, lambda scene: scene.pick(("", "", " ", "\n", "\u3000 "))),
    "huge_text": (0.03, _huge_text),
}
"""Kind -> (weight, maker)."""

WORDLESS = frozenset(
    ("only_emoji", "bare_links", "retweet_shell", "random_characters", "digits", "empty_text")
)
"""Kinds that have no language."""

LANGUAGES = {"en": 45.0, "es": 15, "pt": 10, "id": 10, "tr": 6, "fr": 5, "ru": 4, "tl": 3, "de": 2}
"""Noise is in words of these, by weight: shouting needs capitals."""
