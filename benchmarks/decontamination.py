"""Planted items that are found, by length and change; false alarms on real posts; and what it costs a post.

Word 13-grams, as they are usual for web pages, are told beside by sets of Python. Questions of real posts
stand for items of an evaluation set where false alarms are counted: texts that many posts share by chance
are what they would be. With `--read N` so many hits are printed for a person, with `--read-partial` the hit
that has least of each question that posts hold in part; nothing of them is written.

    python -m benchmarks.decontamination --data DATA [--items 300] [--read 100] [--read-partial]
        [--results DECONTAMINATION.md]
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.command import add_data, add_page, parser_of, timed
from benchmarks.page import mib, publish, share, table
from benchmarks.planted_items import CHANGES, LANGUAGES, LENGTHS, made_items, planted, text_of
from benchmarks.process import this_machine
from benchmarks.real_posts import posts_of, rows_of
from sluice.filters.decontamination.common import (
    MIN_SURROUNDINGS,
    common_of,
    distinct,
    surroundings,
    without_common,
)
from sluice.filters.decontamination.match import held_parts
from sluice.filters.decontamination.table import Items, Table, table_of
from sluice.filters.decontamination.table_file import packed_table
from sluice.filters.decontamination.words import words_of
from sluice.filters.text.features import text_features
from sluice.filters.text.normalize import normalize

ROWS: Final = 8192
REPEATS: Final = 3
NGRAMS: Final = 1_000_000
PEER: Final = 13
"""Words in an n-gram of the usual rule."""
COMMON_RATIO: Final = 0.00001
_WORD = re.compile(r"\w+")
_QUESTION = re.compile(r"[^.!?\n]{20,400}\?")


def items_of(texts: Sequence[str]) -> Items:
    """Returns items of one question each."""
    number = len(texts)
    return Items(
        ("set",),
        pa.array([str(i) for i in range(number)]),
        np.zeros(number, np.int32),
        normalize(pa.array(texts, pa.string())),
        np.arange(number, dtype=np.int32),
        np.zeros(number, np.bool_),
    )


def recall_rows(number: int) -> Iterator[list[object]]:
    """Yields, by length and change, the share of items that are found in all languages."""
    found: Counter[tuple[tuple[int, int], str]] = Counter()
    peer: Counter[tuple[tuple[int, int], str]] = Counter()
    for language in LANGUAGES:
        for length in LENGTHS:
            _count(language, length, number, found, peer)
    total = number * len(LANGUAGES)
    spaced = number * len(PEER_LANGUAGES)
    for change in CHANGES:
        ours = [share(found[length, change], total, digits=3) for length in LENGTHS]
        usual = [share(peer[length, change], spaced, digits=3) for length in LENGTHS]
        yield [change, *(f"{a} ({b})" for a, b in zip(ours, usual, strict=True))]


PEER_LANGUAGES: Final = ("en", "de", "ru", "ar")
"""Those with spaces, which word n-grams are made for."""


def _count(
    language: str,
    length: tuple[int, int],
    number: int,
    found: Counter[tuple[tuple[int, int], str]],
    peer: Counter[tuple[tuple[int, int], str]],
) -> None:
    words, items = made_items(language, length, number, seed=18)
    made = table_of(items_of([text_of(item, words) for item in items]))
    known = {gram for item in items for gram in _grams(text_of(item, words))}
    posts = list(planted(items, words, np.random.default_rng(7)))
    texts = [text for post in posts for text in post.texts]
    held = iter((held_parts(normalize(pa.array(texts)), made.arrays).part_N >= 0).tolist())
    for post in posts:
        found[length, post.change] += max(next(held) for _ in post.texts)
        if language in PEER_LANGUAGES:
            peer[length, post.change] += any(known & _grams(text) for text in post.texts)


def _grams(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return {tuple(words[i : i + PEER]) for i in range(len(words) - PEER + 1)}


class Real(NamedTuple):
    """The texts of real posts in batches."""

    parts: list[pa.StringArray]

    @property
    def number(self) -> int:
        """The posts."""
        return sum(map(len, self.parts))


def real_posts(files: list[Path]) -> Real:
    """Returns the texts of posts, normalised."""
    texts = normalize(pa.array([row["text"] or "" for row in rows_of(files)], pa.string()))
    return Real([texts.slice(first, ROWS) for first in range(0, len(texts), ROWS)])


def cost_row(posts: Real) -> list[object]:
    """Returns what posts cost with a table of a million n-grams."""
    items: list[str] = []
    while len(items) * 28 < NGRAMS:
        words, more = made_items("en", (40, 80), 5_000, seed=len(items))
        items += [text_of(item, words) for item in more]
    made, building = timed(lambda: table_of(items_of(items)))
    size = len(packed_table(made))
    steps = (
        lambda: [held_parts(part, made.arrays) for part in posts.parts],
        lambda: [words_of(part) for part in posts.parts],
        lambda: [text_features(part) for part in posts.parts],
    )
    usec = [1e6 * min(timed(step)[1] for _ in range(REPEATS)) / posts.number for step in steps]
    shown = [f"{each:.2f}" for each in usec]
    return [posts.number, len(items), made.num_ngrams, f"{building:.1f}", mib(size), *shown]


class Hit(NamedTuple):
    """A question, a post that holds it, and how much of it the post holds."""

    item: str
    post: str
    share: float

    def __str__(self) -> str:
        item, post = (" ".join(text.split()) for text in (self.item, self.post))
        return f"item {item}\npost {post[:300]}\n"


class Alarms(NamedTuple):
    """What real posts hold of questions of other posts.

    Attributes:
        row: of the table.
        hits: in the order of the posts.
    """

    row: list[object]
    hits: list[Hit]

    def drawn(self, number: int) -> list[Hit]:
        """Returns so many hits, drawn by a seed."""
        order = np.random.default_rng(3).permutation(len(self.hits))
        return [self.hits[place] for place in order[:number].tolist()]

    def partial(self) -> list[Hit]:
        """Returns of each question that posts hold in part the hit that has least of it."""
        by_share = sorted(self.hits, key=lambda hit: -hit.share)
        return [hit for hit in {hit.item: hit for hit in by_share}.values() if hit.share < 1]


def alarms(name: str, asked: Sequence[str], posts: Real) -> Alarms:
    """Returns what posts hold, before and after common phrases are learned from them."""
    made = table_of(items_of(asked))
    found = distinct([surroundings(part, made.arrays) for part in posts.parts])
    most = max(MIN_SURROUNDINGS, int(COMMON_RATIO * posts.number))
    learned = without_common(made, common_of(found, made, most=most))
    before, after = list(_hits(made, posts)), list(_hits(learned, posts))
    figures = made.figures[0], learned.figures[0]
    row = [name, len(asked), figures[0].parts, len(before), figures[1].parts, len(after)]
    return Alarms([*row, len({hit.item for hit in after})], after)


def _hits(made: Table, posts: Real) -> Iterator[Hit]:
    for part in posts.parts:
        held = held_parts(part, made.arrays)
        for row in np.flatnonzero(held.part_N >= 0).tolist():
            item = made.items.texts[int(held.part_N[row])].as_py()
            yield Hit(item, part[row].as_py(), float(held.share_N[row]))


def questions(files: list[Path]) -> list[str]:
    """Returns the questions in posts: what ends with a question mark, each once."""
    found: dict[str, None] = {}
    for row in rows_of(files):
        for match in _QUESTION.finditer(row["text"] or ""):
            found[match.group().strip()] = None
    return list(found)


def drawn_questions(number: int) -> list[str]:
    """Returns made-up items of all lengths and languages."""
    made = (
        made_items(language, length, number, seed=5) for language in LANGUAGES for length in LENGTHS
    )
    return [text_of(item, words) for words, items in made for item in items]


def main() -> None:
    """Measures, prints, and writes the page."""
    parser = parser_of("decontamination", __doc__)
    add_data(parser)
    add_page(parser)
    parser.add_argument("--items", type=int, default=300, help="items of each language and length")
    parser.add_argument("--read", type=int, default=0, help="hits to print")
    parser.add_argument(
        "--read-partial", action="store_true", help="print hits of questions held in part"
    )
    arguments = parser.parse_args()
    *files, last = posts_of(arguments.data)[:8]
    posts = real_posts(files)
    told = [
        alarms("made up", drawn_questions(1_000), posts),
        alarms("questions of other real posts", questions([last]), posts),
    ]
    heads = [f"{first} to {last} words" for first, last in LENGTHS]
    lines = [
        this_machine(),
        "",
        *table(("items found (by word 13-grams)", *heads), list(recall_rows(arguments.items))),
        "",
        *table(COST_HEAD, [cost_row(posts)]),
        "",
        *table(ALARM_HEAD, [each.row for each in told]),
    ]
    publish("\n".join(lines), arguments.page, name="decontamination", title="Figures")
    _print_hits(told[-1], number=arguments.read, partial=arguments.read_partial)


def _print_hits(of: Alarms, *, number: int, partial: bool) -> None:
    print(*of.drawn(number), sep="\n")
    if partial:
        held = sum(hit.share < 1 for hit in of.hits)
        print(f"{held} hits hold {len(of.partial())} questions in part", *of.partial(), sep="\n")


COST_HEAD: Final = (
    *("real posts", "items", "n-grams", "built in, s", "file, MiB"),
    *("us/post", "of it words", "`text_features` beside"),
)
ALARM_HEAD: Final = (
    *("items", "number", "looked for", "posts that hold one"),
    *("looked for without common phrases", "posts that hold one", "items in them"),
)


if __name__ == "__main__":
    main()
