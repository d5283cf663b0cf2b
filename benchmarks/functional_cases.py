"""Functional tests of toxicity: cases in eleven languages, made of the templates in `functional/`.

A case is a text with the functionality that it tests and the label that is right. A template has slots,
`{all}`, filled with a group, and words in brackets, `[vermin]`, that the tricks of spelling are done to.
Nothing is drawn at random: the same files give the same cases in the same order.

NEVER TRAINED ON: no model, threshold or word list is made of these cases or chosen by them.

Source: the functionalities are those of Roettger et al. 2021 (HateCheck, arXiv:2012.15606) and 2022
(Multilingual HateCheck, arXiv:2206.09917); sentences and code are ours.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa

FOLDER = Path(__file__).with_name("functional")
COMMON = FOLDER / "functionalities.toml"
HATEFUL, HARMLESS = 1, 0
DRAWN_OUT = 5  # times that a letter is written
SPELLING = "spelling_"
SPELLING_HARMLESS = "spelling_harmless"
HARMLESS_TO_SPELL = ("profanity_harmless", "positive_identity", "neutral_identity", "hyperbole")
"""The functionalities whose cases are misspelt for SPELLING_HARMLESS."""
BRACKETS = re.compile(r"\[(.+?)\]")
SLOT = re.compile(r"\{(\w+)\}")
WORDY = re.compile(r"[^\W\d_]+")
VOWELS = frozenset("aeiouyاويى")


class Functionality(NamedTuple):
    """What is tested.

    Attributes:
        label: that is right, HATEFUL or HARMLESS.
        number: of the functionality in HateCheck; "-" for ours.
        what: it is, in words.
    """

    label: int
    number: str
    what: str


class Case(NamedTuple):
    """A text, the label that is right, its language, what it tests, and the group that it names, if any."""

    text: str
    label: int
    lang: str
    functionality: str
    group: str


class Functionalities(msgspec.Struct, forbid_unknown_fields=True):
    """The file `functionalities.toml`."""

    functionalities: dict[str, Functionality]


class Templates(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The file of a language.

    Attributes:
        lang: ISO 639-1.
        forms: the names of the slots.
        names: of the groups, in English.
        groups: one row per group, its words in the order of `forms`.
        tricks: of spelling, as in TRICKS, that the script has.
        substitutes: letter -> what is written for it.
        words: word -> what is written for it.
        cases: functionality -> templates.
    """

    lang: str
    forms: tuple[str, ...]
    names: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    tricks: tuple[str, ...]
    substitutes: dict[str, str] = {}
    words: dict[str, str] = {}
    cases: dict[str, tuple[str, ...]]

    def name_of(self, group: tuple[str, ...]) -> str:
        """Returns the English name of a group."""
        return self.names[self.groups.index(group)]


@cache
def functionalities() -> dict[str, Functionality]:
    """Returns name -> functionality, in the order of the file."""
    return msgspec.toml.decode(COMMON.read_bytes(), type=Functionalities).functionalities


@cache
def templates(lang: str) -> Templates:
    """Returns the templates of a language.

    Raises:
        ValueError: a functionality, trick or slot has no such name, or a group has not a word per slot.
    """
    path = FOLDER / f"{lang}.toml"
    found = msgspec.toml.decode(path.read_bytes(), type=Templates)
    _check(path, "functionality", set(found.cases), set(functionalities()))
    _check(path, "trick", set(found.tricks), set(TRICKS))
    used = {slot for rows in found.cases.values() for row in rows for slot in SLOT.findall(row)}
    _check(path, "slot", used, set(found.forms))
    for group in found.groups:
        if len(group) != len(found.forms):
            raise ValueError(f"{path}: group {group[0]!r} must have {len(found.forms)} forms")
    if len(found.names) != len(found.groups):
        raise ValueError(f"{path}: there must be as many names as groups, {len(found.groups)}")
    return found


def languages() -> list[str]:
    """Returns the languages that have a file, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.toml") if path != COMMON)


def cases(lang: str) -> list[Case]:
    """Returns the cases of a language, each text once."""
    known = templates(lang)
    found = [*_plain(known), *_misspelt(known), *_misspelt_harmless(known)]
    first = {case.text: case for case in reversed(found)}
    return [case for case in found if first[case.text] is case]


def table(langs: list[str]) -> pa.Table:
    """Returns the cases of languages: columns `text`, `label`, `lang`, `functionality`, `group`."""
    rows = [case._asdict() for lang in langs for case in cases(lang)]
    return pa.Table.from_pylist(rows)


def _check(path: Path, what: str, used: set[str], known: set[str]) -> None:
    if unknown := sorted(used - known):
        raise ValueError(f"{path}: no {what} has the name {unknown[0]!r}")


def _plain(known: Templates) -> Iterator[Case]:
    """Yields each template with each group, or once where it has no slot."""
    for name, rows in known.cases.items():
        for template in rows:
            for group in known.groups if SLOT.search(template) else known.groups[:1]:
                text = BRACKETS.sub(r"\1", _filled(template, known, group))
                named = known.name_of(group) if SLOT.search(template) else ""
                yield Case(text, functionalities()[name].label, known.lang, name, named)


def _filled(template: str, known: Templates, group: tuple[str, ...]) -> str:
    """Returns the template with a group in its slots, its first letter a capital."""
    text = template.format(**dict(zip(known.forms, group, strict=True)))
    return text[:1].upper() + text[1:]


def _misspelt(known: Templates) -> Iterator[Case]:
    """Yields hateful templates with a trick done to their words in brackets, a group each in turn."""
    hateful = [
        template
        for name, rows in known.cases.items()
        if functionalities()[name].label == HATEFUL
        for template in rows
        if BRACKETS.search(template)
    ]
    for trick in known.tricks:
        for place, template in enumerate(hateful):
            group = known.groups[place % len(known.groups)]
            text = _filled(template, known, group)
            changed = _with_trick(trick, text, known)
            if changed != BRACKETS.sub(r"\1", text):
                yield Case(changed, HATEFUL, known.lang, SPELLING + trick, known.name_of(group))


def _misspelt_harmless(known: Templates) -> Iterator[Case]:
    """Yields harmless templates with a trick each in turn, done to their longest word."""
    rows = [row for name in HARMLESS_TO_SPELL for row in known.cases[name]]
    for place, template in enumerate(rows):
        group = known.groups[place % len(known.groups)]
        text = _filled(_bracketed(template, known), known, group)
        changed = _with_trick(known.tricks[place % len(known.tricks)], text, known)
        if changed != BRACKETS.sub(r"\1", text):
            named = known.name_of(group) if SLOT.search(template) else ""
            yield Case(changed, HARMLESS, known.lang, SPELLING_HARMLESS, named)


def _bracketed(template: str, known: Templates) -> str:
    """Returns the template with its longest word outside of slots in brackets; in Chinese, two signs."""
    spans = [m.span() for part in _outside_slots(template) for m in WORDY.finditer(template, *part)]
    begin, end = max(spans, key=lambda span: span[1] - span[0])
    end = min(end, begin + 2) if known.lang == "zh" else end
    return f"{template[:begin]}[{template[begin:end]}]{template[end:]}"


def _outside_slots(template: str) -> Iterator[tuple[int, int]]:
    begin = 0
    for slot in SLOT.finditer(template):
        yield begin, slot.start()
        begin = slot.end()
    yield begin, len(template)


def _with_trick(trick: str, text: str, known: Templates) -> str:
    """Returns the text with a trick done to its words in brackets, or to all of it."""
    if trick == "joined":
        return BRACKETS.sub(r"\1", text).replace(" ", "")
    return BRACKETS.sub(lambda word: TRICKS[trick](word[1], known), text)


def clusters(word: str) -> list[str]:
    """Returns the letters of a word, each with its combining marks.

    >>> clusters("नीच")
    ['नी', 'च']
    """
    found: list[str] = []
    for char in word:
        if found and unicodedata.category(char).startswith("M"):
            found[-1] += char
        else:
            found.append(char)
    return found


def is_vowel(char: str) -> bool:
    """Returns whether a character is a vowel, accents apart, or a vowel sign of an Indic script."""
    return unicodedata.normalize("NFD", char.lower())[0] in VOWELS or (
        unicodedata.category(char).startswith("M") and "VOWEL SIGN" in unicodedata.name(char)
    )


def _swapped(word: str, known: Templates) -> str:
    """Returns the word with two unlike letters of its midst in each other's place."""
    places = sorted(range(len(word) - 1), key=lambda i: (i == 0, abs(i - len(word) // 2)))
    unlike = [i for i in places if word[i].lower() != word[i + 1].lower()]
    return word[: (i := unlike[0])] + word[i + 1] + word[i] + word[i + 2 :] if unlike else word


def _missing(word: str, known: Templates) -> str:
    """Returns the word without its vowels, the first letter apart."""
    return word[:1] + "".join(char for char in word[1:] if not is_vowel(char))


def _spaced(word: str, known: Templates) -> str:
    return " ".join(clusters(word))


def _substituted(word: str, known: Templates) -> str:
    """Returns the word as `words` has it, else with `substitutes` for its letters."""
    return known.words.get(word, "".join(known.substitutes.get(char, char) for char in word))


def _drawn_out(word: str, known: Templates) -> str:
    """Returns the word with its last vowel, or its last letter, DRAWN_OUT times."""
    last = max((i for i, char in enumerate(word) if is_vowel(char)), default=len(word) - 1)
    return word[:last] + word[last] * DRAWN_OUT + word[last + 1 :]


TRICKS: dict[str, Callable[[str, Templates], str]] = {
    "swapped": _swapped,
    "missing": _missing,
    "joined": lambda word, known: word,
    "spaced": _spaced,
    "substituted": _substituted,
    "drawn_out": _drawn_out,
}
"""Name -> what is done to a word; `joined` is done to the whole text."""
