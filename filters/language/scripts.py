"""Scripts: which ones a text holds, and which languages are written in them.

The table is `scripts.toml` beside this file, which names its sources.
"""

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sluice.filters.language import kernels as k
from sluice.filters.text.char_classes import TABLE_SIZE, ranges
from sluice.schemas.arrays import Bools, Int32s, Uint8s, Uint64s
from sluice.schemas.kernel import utf8_view

TABLE = Path(__file__).with_name("scripts.toml")


class HeldScripts(NamedTuple):
    """What N texts are written in.

    Attributes:
        masks_N: (N,) uint64, bit s set where script s of `script_names` has a quarter of the letters or more.
        words_N: (N,) int32, runs of letters.
    """

    masks_N: Uint64s
    words_N: Int32s


@cache
def script_names() -> tuple[str, ...]:
    """Returns the scripts by their number; number 0 is no script, "Other" all that have no language."""
    return ("", *_table()["ranges"])


@cache
def languages_of_scripts() -> dict[str, frozenset[str]]:
    """Returns script -> the languages that are written in it, as labels of the shipped models."""
    return {name: frozenset(text.split()) for name, text in _table()["languages"].items()}


def held_scripts(texts: pa.StringArray) -> HeldScripts:
    """Returns the scripts that each text holds; a pure function of that text.

    A script is held when it has at least a quarter of the text's letters; Han and kana count together, and
    Han is left out where a tenth of the two is kana: that is Japanese. Letters of hashtags count only in
    a text without others.

    Args:
        texts: (N,) string; a null reads as the empty text.

    >>> [held_names(mask) for mask in held_scripts(pa.array(["день #news", "日本の夏", "42 !"])).masks_N]
    [('Cyrillic',), ('Hiragana',), ()]

    Source: ours; 0.33 us a post (real posts of 111 bytes in many scripts, one core).
    """
    masks_N, words_N = np.empty(len(texts), np.uint64), np.empty(len(texts), np.int32)
    names = script_names()
    kana = names.index("Hiragana"), names.index("Katakana")
    data_B, offsets_N1 = utf8_view(texts)
    k.held_scripts(data_B, offsets_N1, _scripts(), names.index("Han"), *kana, masks_N, words_N)
    return HeldScripts(masks_N, words_N)


def held_names(mask: int) -> tuple[str, ...]:
    """Returns the scripts of a mask, by name."""
    return tuple(name for s, name in enumerate(script_names()) if int(mask) >> s & 1)


def written_in(masks_U: Uint64s, labels: Sequence[str]) -> Bools:
    """Returns (U, C) bool, true where a language is written in one of the scripts of a mask.

    Args:
        masks_U: (U,) uint64.
        labels: C labels of languages.
    """
    return np.asarray((masks_U[:, None] & _bits(tuple(labels))) != 0)


@cache
def _bits(labels: tuple[str, ...]) -> Uint64s:
    """Returns (C,) uint64, the scripts that each language is written in."""
    of_script = languages_of_scripts()
    bits_C = np.zeros(len(labels), np.uint64)
    for s, name in enumerate(script_names()):
        is_in_C = np.array([label in of_script.get(name, ()) for label in labels], np.uint64)
        bits_C |= is_in_C << np.uint64(s)
    return bits_C


@cache
def _scripts() -> Uint8s:
    """Returns (TABLE_SIZE,) uint8, read-only: the number of each code point's script."""
    scripts_U = np.full(TABLE_SIZE, k.NO_LETTER, np.uint8)
    for number, text in enumerate(_table()["ranges"].values(), start=1):
        for first, last in ranges(text):
            scripts_U[first : last + 1] = number
    scripts_U.flags.writeable = False
    return scripts_U


@cache
def _table() -> dict[str, dict[str, str]]:
    table: dict[str, dict[str, str]] = tomllib.loads(TABLE.read_text("utf-8"))
    return table
