"""Made posts for languages without labelled ones: ordinary posts, and such with hostile words put in.

Source: ours; distant supervision by a word list. An ordinary post is among the good posts as it is, and
with a word of `screen_seeds.toml` put in among the bad ones, so that all that sets them apart is the word
and, through its n-grams, its other forms. Where there are no ordinary posts of a language, common words of
it, drawn at random, take their place: without these, its script alone would be a sign.
"""

import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from sluice.filters.text.normalize import normalize
from sluice.filters.text.views import classifier_text

SEEDS = Path(__file__).with_name("screen_seeds.toml")
COPIES = 6  # hostile posts per word
MOST_WORDS = 2  # hostile words put into a post
ELSEWHERE = 0.2
"""Share of hostile posts made of another language's posts; of these, so many of none."""
UNSPACED = ("ja", "th", "zh")
COMMON_POSTS = 1000  # ordinary posts made for a language
COMMON_WORDS = (3, 20)  # how many words they have, the second one excluded

Posts = dict[str, list[str]]


@cache
def seed_words(kind: str) -> Posts:
    """Returns language -> words of a kind, `hostile` or `common`, as classifier text, each once."""
    words = tomllib.loads(SEEDS.read_text())[kind]
    return {lang: _classifier(text.split()) for lang, text in words.items()}


def common_posts(*, seed: int) -> Posts:
    """Returns language -> COMMON_POSTS made of common words, a pure function of the seed."""
    rng = np.random.default_rng(seed)
    made: Posts = {}
    for lang, words in seed_words("common").items():
        blank = "" if lang in UNSPACED else " "
        sizes = rng.integers(*COMMON_WORDS, size=COMMON_POSTS)
        made[lang] = [blank.join(rng.choice(words, size=size).tolist()) for size in sizes]
    return made


def hostile_posts(ordinary: Posts, *, seed: int) -> tuple[list[str], list[str]]:
    """Returns (texts, languages) of posts with hostile words, COPIES a word; pure.

    Args:
        ordinary: language -> ordinary posts, classifier text; not empty.
        seed: of what post a word is put in, and where.
    """
    rng = np.random.default_rng(seed)
    everywhere = [text for lang in sorted(ordinary) for text in ordinary[lang]]
    texts, langs = [], []
    for lang, words in seed_words("hostile").items():
        for word in (word for word in words for _ in range(COPIES)):
            own = ordinary.get(lang) if rng.random() > ELSEWHERE else None
            pool = own or (everywhere if rng.random() > ELSEWHERE else [""])
            more = [words[i] for i in rng.integers(len(words), size=rng.integers(MOST_WORDS))]
            base = pool[int(rng.integers(len(pool)))]
            texts.append(_put_in(base, [word, *more], rng, unspaced=bool(own) and lang in UNSPACED))
            langs.append(lang)
    return texts, langs


def _put_in(text: str, words: list[str], rng: np.random.Generator, *, unspaced: bool) -> str:
    pieces = list(text) if unspaced else text.split()
    for word in words:
        pieces.insert(int(rng.integers(len(pieces) + 1)), word)
    return ("" if unspaced else " ").join(pieces)


def _classifier(words: list[str]) -> list[str]:
    texts = classifier_text(normalize(pa.array(words, pa.string()))).to_pylist()
    return [text for text in dict.fromkeys(texts) if text]
