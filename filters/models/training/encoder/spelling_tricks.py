"""Ways to misspell a word on purpose or in haste: each takes a word and gives it back, respelled.

Source: ours; the look-alike letters are among the confusable ones of Unicode (UTS 39).
A trick that finds nothing to change gives the word back as it is. A letter keeps its combining marks.
"""

import re
import unicodedata
from collections.abc import Callable
from random import Random

Trick = Callable[[str, Random], str]

MARKS = "".join(
    re.escape(char)
    for char in map(chr, range(0x300, 0x3100))
    if unicodedata.category(char).startswith("M")
)
LETTER = re.compile(f".[{MARKS}]*", re.DOTALL)
LEET = dict(
    zip("abegilostuz", ("4@", "8", "3", "9", "1!", "1|", "0", "5$", "7+", "v", "2"), strict=True)
)
_PAIRS = (
    ("aceijopsxyABCEHIJKMOPSTXY", "асеіјорѕхуАВСЕНІЈКМОРЅТХУ"),  # Latin, Cyrillic
    ("aoiuvpnwtABEHIKMNOPTXYZ", "αοιυνρηωτΑΒΕΗΙΚΜΝΟΡΤΧΥΖ"),  # Latin, Greek
)
LOOK_ALIKE = tuple(
    str.maketrans(*pair) for latin, other in _PAIRS for pair in ((latin, other), (other, latin))
)
VOWELS = frozenset("aeiouyàáâãäåèéêëìíîïòóôõöùúûüαεηιουωаеёиоуыэюя")
STARS = "**#-_."
GAPS = (" ", ".", "-", "_", "*", " . ")
UNSEEN = "\u200b\u200c\u200d\u2060\u00ad"
EMOJI = "🖕😂🔥💩🤡👏❤😡✨💀"
BARE = str.maketrans("łŁđĐøØıİæœ", "lLdDoOiIao")
BARED = re.compile(r"([A-Za-zΑ-ωА-я])[\u0300-\u036f]+")
HARAKAT = re.compile("[\u064b-\u0652\u0670\u0640]")


def leet(word: str, random: Random) -> str:
    """Puts digits and signs in place of half of the letters that they look like."""
    return _some(word, random, {letter for letter in word if letter.lower() in LEET}, _leet_sign)


def look_alike(word: str, random: Random) -> str:
    """Puts letters of another alphabet in place of half of the letters that look the same."""
    table = random.choice(
        [table for table in LOOK_ALIKE if any(ord(c) in table for c in word)] or [{}]
    )
    return _some(
        word, random, {c for c in word if ord(c) in table}, lambda c, _: chr(table[ord(c)])
    )


def starred(word: str, random: Random) -> str:
    """Covers one letter inside the word, or all inside it, with a sign."""
    letters, sign = _letters(word), random.choice(STARS)
    if len(letters) < 3:
        return word
    start = random.randrange(1, len(letters) - 1)
    end = random.choice((start + 1, start + 1, len(letters) - 1))
    return "".join(letters[:start]) + sign * (end - start) + "".join(letters[end:])


def drawn_out(word: str, random: Random) -> str:
    """Repeats one letter, a vowel where there is one, or its last mark, two to five times more."""
    letters = _letters(word)
    vowels = [i for i, letter in enumerate(letters) if letter[0].lower() in VOWELS]
    at = random.choice(vowels or range(len(letters)))
    letters[at] += letters[at][-1] * random.randint(2, 5)
    return "".join(letters)


def spaced(word: str, random: Random) -> str:
    """Puts a blank, dot, dash, or star between all letters."""
    return random.choice(GAPS).join(_letters(word))


def unseen(word: str, random: Random) -> str:
    """Puts characters of no width between some letters."""
    return _between(word, random, UNSEEN)


def with_emoji(word: str, random: Random) -> str:
    """Puts an emoji between two letters, or between all of them."""
    letters, sign = _letters(word), random.choice(EMOJI)
    if random.random() < 0.5 or len(letters) < 2:
        return sign.join(letters)
    at = random.randrange(1, len(letters))
    return "".join(letters[:at]) + sign + "".join(letters[at:])


def without_vowels(word: str, random: Random) -> str:
    """Leaves out the vowels inside the word, all of them or one."""
    inside = [i for i in range(1, len(word) - 1) if word[i].lower() in VOWELS]
    gone = set(inside if random.random() < 0.5 else inside[:1])
    return "".join(letter for i, letter in enumerate(word) if i not in gone)


def swapped(word: str, random: Random) -> str:
    """Swaps two neighbours, neither of them the first letter."""
    letters = _letters(word)
    if len(letters) < 3:
        return word
    at = random.randrange(1, len(letters) - 1)
    letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def cased(word: str, random: Random) -> str:
    """Writes the word in capitals, in small letters, or in a mixture."""
    mixed = "".join(random.choice((letter.upper(), letter.lower())) for letter in word)
    return random.choice((word.upper(), word.lower(), mixed))


def bare(word: str, random: Random) -> str:
    """Leaves out accents of Latin, Greek and Cyrillic letters and the vowel signs of Arabic ones."""
    letters = BARED.sub(r"\1", unicodedata.normalize("NFD", word.replace("ß", "ss")))
    return HARAKAT.sub("", unicodedata.normalize("NFC", letters)).translate(BARE) or word


TRICKS: tuple[Trick, ...] = (
    leet, look_alike, starred, drawn_out, spaced, unseen, with_emoji, without_vowels, swapped, cased, bare,
)  # fmt: skip


def _letters(word: str) -> list[str]:
    return [match[0] for match in LETTER.finditer(word)]


def _leet_sign(letter: str, random: Random) -> str:
    return random.choice(LEET[letter.lower()])


def _some(
    word: str, random: Random, letters: set[str], change: Callable[[str, Random], str]
) -> str:
    """Changes one of the letters named at least, and each other one in half of the cases."""
    places = [i for i, letter in enumerate(word) if letter in letters]
    if not places:
        return word
    sure = random.choice(places)
    chosen = {i for i in places if i == sure or random.random() < 0.5}
    return "".join(
        change(letter, random) if i in chosen else letter for i, letter in enumerate(word)
    )


def _between(word: str, random: Random, signs: str) -> str:
    """Puts a sign before the last letter, and after each other one in half of the cases."""
    *before, last = _letters(word)
    sign, sure = random.choice(signs), len(before) - 1
    put = (
        letter + sign if i == sure or random.random() < 0.5 else letter
        for i, letter in enumerate(before)
    )
    return "".join(put) + last
