"""Hostile words by language: `screen_seeds.toml`."""

import tomllib
from functools import cache
from pathlib import Path

import pyarrow as pa

from sluice.filters.text.normalize import normalize
from sluice.filters.text.views import classifier_text

SEEDS = Path(__file__).with_name("screen_seeds.toml")


@cache
def seed_words() -> dict[str, list[str]]:
    """Returns language -> hostile words, as classifier text, each once."""
    words = tomllib.loads(SEEDS.read_text())["hostile"]
    return {lang: _classifier(text.split()) for lang, text in words.items()}


def _classifier(words: list[str]) -> list[str]:
    texts = classifier_text(normalize(pa.array(words, pa.string()))).to_pylist()
    return [text for text in dict.fromkeys(texts) if text]
