"""What becomes of short posts, in which script, and what the deduplication text does not fold.

All figures are of every post of the firehose that has a deduplication text, as Sluice resolves them
at threshold 0.8.

Shape suffixes: N posts, T distinct texts, C code points.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.dedup_resolve import Resolved
from benchmarks.dedup_truth import Posts, shingles
from benchmarks.page import table
from sluice.filters.dedup.clusters import EXACT_CODE, NEAR_CODE
from sluice.filters.text.char_classes import PICTOGRAPHS, ranges
from sluice.filters.text.normalize import normalize
from sluice.filters.text.views import classifier_text
from sluice.schemas.arrays import Array

LENGTHS = (1, 5, 10, 20, 40, 80)
SHINGLES = (5, 9, 16, 36)
KINDS = ("repeats", "marks", "hashtags", "digits", "more words", "other words")
"""How a near duplicate differs from the post that it goes for; see `kind_of`."""

SCRIPTS = ("Latin", "Cyrillic", "Arabic", "Thai", "CJK", "other", "no letters")

_BLOCKS = {
    "Latin": ranges("0041-024F 1E00-1EFF FF21-FF5A"),
    "Cyrillic": ranges("0400-052F"),
    "Arabic": ranges("0600-077F 08A0-08FF FB50-FDFF FE70-FEFF"),
    "Thai": ranges("0E00-0E7F"),
    "CJK": ranges(
        "1100-11FF 3005-318F 31A0-31FF 3400-9FFF AC00-D7AF F900-FAFF FF66-FFDC 20000-3FFFD"
    ),
}
"""Script -> its blocks of code points."""
_HASHTAG = re.compile(r"#[^\s#]+#?")
_END_HASHTAGS = re.compile(r"^(?:#\w+\s*)+|(?:\s*#\w+)+$")
_MARK = re.compile(r"[\W_]+")
_DIGIT = re.compile(r"\d+")


class Near(NamedTuple):
    """A near duplicate.

    Attributes:
        kind: one of KINDS.
        length: code points of its text, or of the post's that it goes for if that is shorter.
        num_shingles: of the one with fewer.
    """

    kind: str
    length: int
    num_shingles: int


def kind_of(text: str, leader: str, *, similarity: float) -> str:
    """Returns how a text differs from its leader's, the first that applies.

    repeats: the same shingles, other numbers of them ("haha" and "hahaha"). marks: the same
    letters and digits, other blanks, punctuation or emoji. hashtags: the same but for hashtags.
    digits: the same but for digits. more words: one holds all of the other's letters and digits in
    one piece. other words: none of these.
    """
    if similarity == 1:
        return "repeats"
    ours, theirs = _MARK.sub(" ", text).strip(), _MARK.sub(" ", leader).strip()
    if ours.replace(" ", "") == theirs.replace(" ", ""):
        return "marks"
    if _bare(text) == _bare(leader):
        return "hashtags"
    if _DIGIT.sub("", ours) == _DIGIT.sub("", theirs):
        return "digits"
    return "more words" if ours in theirs or theirs in ours else "other words"


def _bare(text: str) -> str:
    return _MARK.sub("", _HASHTAG.sub(" ", text))


def near_duplicates(texts: Sequence[str], resolved: Resolved) -> list[Near]:
    """Returns what is known of each near duplicate, in the order of the posts."""
    found = []
    for row in np.flatnonzero(resolved.reason_N == NEAR_CODE).tolist():
        text, leader = texts[row], texts[int(resolved.leader_N[row])]
        kind = kind_of(text, leader, similarity=float(resolved.similarity_N[row]))
        sets = shingles(text), shingles(leader)
        found.append(Near(kind, min(len(text), len(leader)), min(map(len, sets))))
    return found


@cache
def _script_table() -> Array:
    """Returns (0x110000,) uint8: the number of a letter's script, or that of none."""
    script_U = np.full(0x110000, len(SCRIPTS) - 1, np.uint8)
    letters = [unicodedata.category(chr(c))[0] in "LM" for c in range(0x110000)]
    script_U[letters] = SCRIPTS.index("other")
    for script, blocks in _BLOCKS.items():
        for first, last in blocks:
            here_U = script_U[first : last + 1]
            here_U[np.array(letters[first : last + 1])] = SCRIPTS.index(script)
    return script_U


def scripts_of(texts: Sequence[str]) -> Array:
    """Returns (N,) int64, the place in SCRIPTS of the script that most letters of a text are of."""
    code_C = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)
    text_C = np.repeat(np.arange(len(texts)), [len(t) for t in texts])
    kinds = len(SCRIPTS)
    counts = np.bincount(text_C * kinds + _script_table()[code_C], minlength=len(texts) * kinds)
    counts_NS = counts.reshape(len(texts), kinds)
    counts_NS[:, -1] = 0
    return np.where(counts_NS.any(axis=1), counts_NS.argmax(axis=1), kinds - 1)


def by_length(texts: Sequence[str], resolved: Resolved, near: Sequence[Near]) -> list[str]:
    """Returns the table of posts by code points of their texts.

    A post counts at its own length, a near duplicate at that of the shorter of the two.
    """
    bounds = [*LENGTHS, 1 << 30]
    place_N = np.searchsorted(bounds, [len(t) for t in texts], side="right") - 1
    near_place = np.searchsorted(bounds, [n.length for n in near], side="right") - 1
    rows = []
    for k, low in enumerate(LENGTHS):
        name = f"{low}-{bounds[k + 1] - 1}" if low < LENGTHS[-1] else f"{low} and more"
        here_N = place_N == k
        exact = int((resolved.reason_N[here_N] == EXACT_CODE).sum())
        kinds = Counter(n.kind for n, place in zip(near, near_place, strict=True) if place == k)
        rows.append((name, int(here_N.sum()), exact, kinds.total(), *(kinds[n] for n in KINDS)))
    head = ("code points", "posts", "exact", "near", *KINDS)
    return table(head, [*rows, _total("**all**", rows)])


def _total(name: str, rows: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    return (name, *(sum(column) for column in list(zip(*rows, strict=True))[1:]))


def by_script(texts: Sequence[str], resolved: Resolved, near: Sequence[Near]) -> list[str]:
    """Returns the table of posts by script, and of the short ones among them."""
    script_N = scripts_of(texts)
    short_N = np.array([len(t) < 20 for t in texts])
    kind_N = np.full(len(texts), "", object)
    kind_N[resolved.reason_N == NEAR_CODE] = [n.kind for n in near]
    words_N = np.isin(kind_N, ("digits", "more words", "other words"))
    rows = []
    for k, name in enumerate(SCRIPTS):
        row: list[Any] = [name]
        for here_N in (script_N == k, (script_N == k) & short_N):
            reason = resolved.reason_N[here_N]
            row += [len(reason), int((reason == EXACT_CODE).sum())]
            row += [int((reason == NEAR_CODE).sum()), int((here_N & words_N).sum())]
        rows.append(row)
    head = ("posts", "exact", "near", "in digits or words")
    return table(("script", *head, *(f"below 20: {h}" for h in head)), rows)


def by_shingles(near: Sequence[Near]) -> list[str]:
    """Returns the table of what a least number of shingles for near duplicates would keep."""
    rows = []
    for bound in SHINGLES:
        kinds = Counter(n.kind for n in near if n.num_shingles < bound)
        rows.append((bound, kinds.total(), *(kinds[n] for n in KINDS)))
    return table(("near only with", "would stay", *KINDS), rows)


def folded_now(posts: Posts) -> list[str]:
    """Returns the table of what makes posts equal in the text that duplicates are compared by."""
    clean = normalize(posts.raw)
    views = (
        ("as they come", posts.raw),
        ("entities, white space, control characters, NFC", clean),
        ("and lower case", pc.utf8_lower(clean)),
        ("and URLs and @handles", classifier_text(clean)),
        ("and leading RT @x:", posts.text),
    )
    rows, before = [], 0
    for name, texts in views:
        some = texts.filter(pc.greater(pc.binary_length(texts), 0))
        copies = len(some) - pc.count_distinct(some).as_py()
        rows.append((name, len(some), copies, copies - before))
        before = copies
    return table(("equal are", "posts with a text", "copies of another", "more"), rows)


def not_folded(texts: pa.StringArray, resolved: Resolved) -> list[str]:
    """Returns the table of what more would be equal under other foldings."""
    first_T = np.unique(np.asarray(texts.dictionary_encode().indices), return_index=True)[1]
    distinct = texts.take(pa.array(first_T)).to_pylist()
    kept = (resolved.reason_N[first_T] == 0).tolist()
    rows = []
    for name, fold in FOLDS.items():
        views = [" ".join(fold(text).split()) for text in distinct]
        changed = sum(map(str.__ne__, views, distinct))
        stay = [view for view, stays in zip(views, kept, strict=True) if stays]
        rows.append((name, changed, _copies(views), _copies(stay)))
    head = ("also folded", "texts that it changes", "more exact copies", "of them kept today")
    return table(head, rows)


def _copies(views: Sequence[str]) -> int:
    some = [view for view in views if view]
    return len(some) - len(set(some))


def _without(pattern: str, by: str = " ") -> Callable[[str], str]:
    compiled = re.compile(pattern)
    return lambda text: compiled.sub(by, text)


def _no_format(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c) != "Cf")


def _no_marks(text: str) -> str:
    split = unicodedata.normalize("NFD", text)
    return "".join(c for c in split if unicodedata.category(c) != "Mn")


def _without_end_hashtags(text: str) -> str:
    left = _END_HASHTAGS.sub("", text)
    return left if len(left) >= 20 else text


_EMOJI = "".join(f"{chr(a)}-{chr(b)}" for a, b in PICTOGRAPHS)

FOLDS: dict[str, Callable[[str], str]] = {
    "full case folding (sharp s, final sigma, ligatures)": str.casefold,
    "dotless i as i": lambda text: text.replace("\u0131", "i"),
    "zero-width and format characters that are left": _no_format,
    "variation selector U+FE0F": lambda text: text.replace("\ufe0f", ""),
    "skin tones": _without("[\U0001f3fb-\U0001f3ff]", ""),
    "all emoji": _without(f"[{_EMOJI}\U0001f1e6-\U0001f1ff\u200d\ufe0f\U0001f3fb-\U0001f3ff]"),
    "NFKC (full-width and styled letters)": lambda text: unicodedata.normalize("NFKC", text),
    "diacritics": _no_marks,
    "runs of one character cut to three": _without(r"(.)\1{3,}", r"\1\1\1"),
    "punctuation at the end": _without("[.!?,:;\u2026\u3002\uff01\uff1f\uff0c]+$"),
    "all punctuation, symbols and emoji": _without(r"[\W_]+"),
    "digits as 0": _without(r"\d", "0"),
    "the sign #": _without("#", ""),
    "whole hashtags": _without(r"#\w+"),
    "hashtags at either end, if 20 code points are left": _without_end_hashtags,
    "handles beyond ASCII": _without(r"@\w+"),
    'a leading "name:", a handle that lost its @': _without(r"^\w{1,15}:\s"),
    "RT anywhere": _without(r"(?:^|\s)rt(?:\s*\w+)?\s*:"),
    "a link cut short at the end": _without("\\bh(?:t(?:t(?:ps?(?::/{0,2}[\\w.]*)?)?)?)?\u2026?$"),
}
"""What -> the text without it. All are after the foldings that the deduplication text has."""
