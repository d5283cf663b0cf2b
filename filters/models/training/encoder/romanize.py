"""Text of five scripts in Latin letters as writers type it: Devanagari, Bengali, Arabic, Cyrillic, Greek.

Source: ours; the tables are those of `romanize.toml`. In Devanagari and Bengali a consonant without a
vowel sign is followed by the vowel of the script, which is left out at the end of a word.
"""

import re
import tomllib
import unicodedata
from pathlib import Path
from random import Random

Table = dict[int, str]


def _pairs(name: str) -> list[tuple[str, str]]:
    entries = (entry.partition("=") for entry in TABLES[name].split())
    return [(unicodedata.normalize("NFC", letters), latin) for letters, _, latin in entries]


def _table(name: str) -> Table:
    """Returns the table for str.translate; each letter before a `=` gets the Latin ones after it."""
    return {ord(letter): latin for letters, latin in _pairs(name) for letter in letters}


def _with_capitals(table: Table) -> Table:
    capitals = {letter: chr(letter).upper() for letter in table}
    return table | {ord(c): table[letter].title() for letter, c in capitals.items() if len(c) == 1}


TABLES: dict[str, str] = tomllib.loads(
    Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
)
DOTTED = _pairs("dotted")
PLAIN = (
    _with_capitals(_table("cyrillic") | _table("greek")) | _table("devanagari") | _table("bengali")
)
ARABIC = _table("arabic")
WAYS = (PLAIN | ARABIC, PLAIN | ARABIC | _table("arabic_chat"))
FOREIGN = re.compile("[\u0370-\u03ff\u0400-\u04ff\u0600-\u06ff\u0900-\u097f\u0980-\u09ff]")
"""A letter of one of the five scripts."""
_CONSONANTS = {"अ": "[क-ह]़?", "অ": "[ক-হৎ]়?"}
_SPOKEN = {
    vowel: re.compile(f"({letter})(?=[ंঁং]?{letter}|[ंং])") for vowel, letter in _CONSONANTS.items()
}
"""Vowel of a script -> the consonants that are spoken with it, since another one follows."""
_SILENT = re.compile("(?<=[अ-औा-ौ])([क-ह]़?)अ(?=[क-ह]़?[ा-ौ])")
"""A consonant of Hindi that is spoken without it all the same, between two syllables with vowels."""


def romanize(text: str, random: Random) -> str:
    """Returns the text with the letters of the five scripts in Latin ones; other characters stay.

    Arabic is written with digits as in chat (3 for ayn), or without them, by chance.
    """
    text = unicodedata.normalize("NFC", text)
    for vowel, consonant in _SPOKEN.items():
        text = consonant.sub(rf"\1{vowel}", text)
    text = _SILENT.sub(r"\1", text)
    for letter, latin in DOTTED:
        text = text.replace(letter, latin)
    return text.translate(random.choice(WAYS))
