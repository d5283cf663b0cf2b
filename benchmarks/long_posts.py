"""What the rules of a recipe reject of ordinary posts, by their length and script.

Two kinds of posts: those that people wrote at that length (Reddit, GitHub, Wikipedia's talk pages, forums),
and short posts of one collection joined by line feeds, for scripts of which there are no long ones. Posts
that their collection labels as toxic are left out: what is rejected is rejected for its form, or wrongly.

    python -m benchmarks.long_posts --data DATA [--recipe default] [--posts 100]

Figures of two versions are compared by running it in both.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa

from benchmarks.command import add_data, parser_of
from benchmarks.page import table
from benchmarks.real_posts import rows_of
from sluice.pipeline.filter_table import filter_table

LENGTHS: Final = (280, 1000, 4000, 10_000, 25_000)
"""Code points of the longest post of each group."""
SEED: Final = 16
FEWEST: Final = 5
"""Groups of fewer posts are not shown."""


class Collection(NamedTuple):
    """Posts of one script: of which file, and which of its rows."""

    script: str
    file: str
    source: str = ""
    lang: str = ""


WRITTEN: Final = (
    Collection("Latin: en", "toxicity_more/guest-misogyny.jsonl.gz"),
    Collection("Latin: en", "toxicity_more/wiki-toxicity-testset.jsonl.gz"),
    Collection("Latin: en", "quality/stackexchange-posts.jsonl.gz"),
    Collection("Latin: code", "toxicity_more/github-incivility.jsonl.gz"),
    Collection("Latin: da, fi", "toxicity_more/dkhate-da.jsonl.gz"),
    Collection("Latin: da, fi", "toxicity_more/suomi24-fi.jsonl.gz"),
    Collection("Arabic", "toxicity_more/mpold-ar.jsonl.gz"),
    Collection("Han", "toxicity_more/swsr-zh.jsonl.gz"),
)
JOINED: Final = (
    Collection("Latin: en", "firehose/part-00.jsonl.gz", source="reddit-top"),
    Collection("Latin: vi", "langid/train.jsonl.gz", lang="vi"),
    Collection("Cyrillic", "langid/train.jsonl.gz", lang="ru"),
    Collection("Arabic", "langid/train.jsonl.gz", lang="ar"),
    Collection("Devanagari", "langid/train.jsonl.gz", lang="hi"),
    Collection("Thai", "firehose/part-00.jsonl.gz", source="wisesight"),
    Collection("Han", "langid/train.jsonl.gz", lang="zh"),
    Collection("Kana", "langid/train.jsonl.gz", lang="ja"),
    Collection("Hangul", "toxicity_more/kodoli-ko.jsonl.gz"),
)


class Group(NamedTuple):
    """Posts of a script and a length, and what became of them."""

    script: str
    longest: int
    posts: int
    rejected: int
    reasons: Counter[str]


def texts_of(data: Path, collection: Collection) -> list[str]:
    """Returns the texts of a collection that are not labelled as toxic."""
    labels_quality = collection.file.startswith("quality/")
    return [
        row["text"]
        for row in rows_of([data / collection.file])
        if collection.source in ("", row["source"])
        and collection.lang in ("", row["lang"])
        and (labels_quality or not row.get("label"))
        and row["text"]
    ]


def group_of(text: str) -> int | None:
    """Returns the length of the group that a text is in; None for a longer one."""
    return next((longest for longest in LENGTHS if len(text) <= longest), None)


def joined(texts: Sequence[str], longest: int, *, posts: int) -> Iterator[str]:
    """Yields posts of different short ones, longer than those of the group before; to 280 single ones."""
    draw = random.Random(SEED)
    if longest == LENGTHS[0]:
        short = [text for text in texts if group_of(text) == longest]
        yield from draw.sample(short, min(posts, len(short)))
        return
    shortest = max(n for n in LENGTHS if n < longest)
    for _ in range(posts):
        wanted = draw.randint(shortest, longest)
        text = ""
        for more in draw.sample(texts, len(texts)):
            if len(text) + len(more) >= wanted:
                break
            text += f"{more}\n"
        if group_of(text) == longest:
            yield text


def groups(texts_by_script: dict[str, list[str]], recipe: str) -> Iterator[Group]:
    """Yields what the rules make of texts, by script and length."""
    for script, texts in texts_by_script.items():
        for longest in LENGTHS:
            some = [text for text in texts if group_of(text) == longest]
            if len(some) < FEWEST:
                continue
            ids = [str(i) for i in range(len(some))]
            parts = filter_table(pa.table({"post_id": ids, "text": some}), recipe)
            reasons = Counter(parts.rejected["reason"].to_pylist())
            yield Group(script, longest, len(some), reasons.total(), reasons)


def of_script(found: Iterator[tuple[str, list[str]]]) -> dict[str, list[str]]:
    """Returns texts by script."""
    by_script: dict[str, list[str]] = {}
    for script, texts in found:
        by_script.setdefault(script, []).extend(texts)
    return by_script


def lines_of(found: Iterator[Group]) -> list[str]:
    """Returns groups as a table."""
    rows = [
        [
            group.script,
            f"{group.longest:,}",
            f"{group.posts:,}",
            f"{100 * group.rejected / group.posts:.1f}%",
            ", ".join(f"{reason} {count}" for reason, count in group.reasons.most_common(4)),
        ]
        for group in found
    ]
    return table(["script", "up to", "posts", "rejected", "reasons"], rows)


def main() -> None:
    """Prints both tables."""
    parser = parser_of("long_posts", __doc__)
    add_data(parser)
    parser.add_argument("--recipe", default="default", help="a shipped name, or a file")
    parser.add_argument(
        "--posts", type=int, default=100, help="joined posts of a script and length"
    )
    parsed = parser.parse_args()
    written = of_script((c.script, texts_of(parsed.data, c)) for c in WRITTEN)
    print("As they were written\n", *lines_of(groups(written, parsed.recipe)), "", sep="\n")
    short = of_script((c.script, texts_of(parsed.data, c)) for c in JOINED)
    long = {
        script: [t for n in LENGTHS for t in joined(texts, n, posts=parsed.posts)]
        for script, texts in short.items()
    }
    print("Joined\n", *lines_of(groups(long, parsed.recipe)), sep="\n")


if __name__ == "__main__":
    main()
