"""What a text holds of an item, told by plain Python: words, n-grams and runs as lists and sets."""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

NGRAM, LONG, STRIDE, NGRAM_LETTERS = 20, 48, 2, 10
APOSTROPHES = "'\u2018\u2019\u02bc\u00b4\uff07"


class Word(NamedTuple):
    text: str
    weight: int
    letters: int


def words_of(text: str) -> list[Word]:
    found: list[Word] = []
    run = ""
    for char in text:
        for each in _folded(char):
            if each in APOSTROPHES or (
                unicodedata.category(each) in ("Cf", "Mn", "Me") and not _is_letter(each)
            ):
                continue
            weight = _weight(each)
            if weight == 4:
                run += each
                continue
            if run:
                found.append(_spaced(run))
                run = ""
            if weight:
                found.append(Word(each, weight, 2 if weight == 2 else 1))
    return [*found, _spaced(run)] if run else found


def _folded(char: str) -> str:
    if unicodedata.category(char) == "Nd":
        return str(unicodedata.decimal(char))
    if char in APOSTROPHES:
        return char
    plain = unicodedata.normalize("NFKC", char).casefold()
    letters = [c for c in unicodedata.normalize("NFKD", plain) if not _is_point(c)]
    return unicodedata.normalize("NFKC", "".join(letters))


def _is_point(char: str) -> bool:
    name = unicodedata.name(char, "")
    is_arabic = name.startswith("ARABIC") and unicodedata.category(char) == "Mn"
    hebrew = name.startswith(("HEBREW POINT", "HEBREW ACCENT"))
    return "\u0300" <= char <= "\u036f" or is_arabic or hebrew


def _spaced(run: str) -> Word:
    return Word(run, 4, 0 if run[0].isdecimal() else min(len(run), 255))


def _is_letter(char: str) -> bool:
    return _weight(char) > 0


def _weight(char: str) -> int:
    name = unicodedata.name(char, "")
    if name.startswith(("CJK UNIFIED", "HIRAGANA LETTER", "KATAKANA LETTER")):
        return 2
    if name.startswith(("THAI CHARACTER", "LAO", "TIBETAN", "KHMER", "MYANMAR")):
        return int(unicodedata.category(char)[0] in "LM")
    if name.startswith("VARIATION SELECTOR"):
        return 0
    return 4 if char.isalnum() or unicodedata.category(char) in ("Mn", "Mc") else 0


def ngrams(words: Sequence[Word]) -> Iterator[tuple[int, int]]:
    """Yields (first word, word behind the last) of each n-gram: the fewest words that weigh enough."""
    for end in range(1, len(words) + 1):
        for begin in range(end - 1, -1, -1):
            if sum(word.weight for word in words[begin:end]) >= NGRAM:
                yield begin, end
                break


def share_of(text: str, part: str) -> float:
    """Returns how much of a part a text holds, 0 where it holds too little."""
    there, wanted = words_of(text), words_of(part)
    whole = sum(word.weight for word in wanted)
    if whole <= LONG:
        size = len(wanted)
        return float(any(there[i : i + size] == wanted for i in range(len(there) - size + 1)))
    hits = list(_hits(there, wanted))
    if not any(_apart(one, other) for one in hits for other in hits):
        return 0.0
    covered = {i for hit in hits for i in _run(there, wanted, hit)}
    held = sum(there[i].weight for i in covered)
    return min(1.0, held / whole) if held >= min(LONG, whole - whole // 4) else 0.0


class _Hit(NamedTuple):
    begin: int
    end: int
    begin_of_part: int
    end_of_part: int


def _hits(there: Sequence[Word], wanted: Sequence[Word]) -> Iterator[_Hit]:
    places: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    stride = STRIDE if sum(word.weight for word in wanted) > 2 * LONG else 1
    for begin, end in ngrams(wanted):
        letters = sum(word.letters for word in wanted[begin:end])
        if (end - 1) % stride == 0 and letters >= NGRAM_LETTERS:
            places.setdefault(tuple(w.text for w in wanted[begin:end]), []).append((begin, end))
    for begin, end in ngrams(there):
        for place in places.get(tuple(w.text for w in there[begin:end]), []):
            yield _Hit(begin, end, *place)


def _apart(one: _Hit, other: _Hit) -> bool:
    in_text = one.end <= other.begin
    in_part = one.end_of_part <= other.begin_of_part or other.end_of_part <= one.begin_of_part
    return in_text and in_part


def _run(there: Sequence[Word], wanted: Sequence[Word], hit: _Hit) -> range:
    begin, place = hit.begin, hit.begin_of_part
    while begin and place and there[begin - 1].text == wanted[place - 1].text:
        begin, place = begin - 1, place - 1
    end = begin
    while end < len(there) and place < len(wanted) and there[end].text == wanted[place].text:
        end, place = end + 1, place + 1
    return range(begin, end)
