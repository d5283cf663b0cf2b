"""What lists of ten and of a million entries cost a real post, and the machine.

The ten are the most frequent hosts, pairs of words and authors of the posts; the others are made up, of the
letters and words that are in posts, so that they are looked for and not found.

    python -m benchmarks.lists --data DATA [--files 2] [--entries 1000000] [--results LISTS.md]
"""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import pyarrow as pa

from benchmarks.command import add_data, add_page, parser_of, say, timed
from benchmarks.page import mib, publish, table
from benchmarks.process import this_machine
from benchmarks.real_posts import posts_of, rows_of
from sluice.filters.batch import Batch
from sluice.filters.lists.decide import Lists, apply_lists
from sluice.filters.lists.entries import entries_of
from sluice.filters.lists.spec import Kind, ListSpec
from sluice.filters.lists.table import ListFile, build
from sluice.filters.text.features import text_features
from sluice.filters.text.normalize import normalize
from sluice.schemas.mapped_arrays import packed, unpacked_arrays
from sluice.testing import posts_of as batch_of

ROWS: Final = 8192
REPEATS: Final = 3
FEW: Final = 10
HEAD: Final = ("list", "entries", "made in, s", "MiB", "posts named", "us/post")
_HOST: Final = re.compile(r"https?://(?:www\.)?([a-z0-9-]+(?:\.[a-z0-9-]+)+)", re.I)
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
_ENDS: Final = ("com", "net", "org", "ru", "de", "co.uk", "xyz")


def frequent(texts: Sequence[str], authors: Sequence[str | None]) -> dict[Kind, list[str]]:
    """Returns the entries of the small lists."""
    hosts = Counter(host.lower() for text in texts for host in _HOST.findall(text))
    pairs: Counter[str] = Counter()
    for text in texts:
        words = [word for word in text.split() if word.isalpha()]
        pairs.update(map(" ".join, pairwise(words)))
    return {
        "domain": [host for host, _ in hosts.most_common(FEW)],
        "phrase": [pair for pair, _ in pairs.most_common(FEW)],
        "author": [name for name, _ in Counter(filter(None, authors)).most_common(FEW)],
    }


def made_up(kind: Kind, words: Sequence[str], number: int) -> Iterator[str]:
    """Yields entries that hardly any post has."""
    draw = random.Random(1)
    for place in range(number):
        if kind == "phrase":
            yield " ".join([*draw.choices(words, k=draw.randint(2, 4)), f"no{place}"])
        else:
            name = "".join(draw.choices(_LETTERS, k=draw.randint(6, 14)))
            yield f"{name}.{draw.choice(_ENDS)}" if kind == "domain" else name


def measure(parts: Sequence[pa.RecordBatch], kind: Kind, entries: Sequence[str]) -> list[object]:
    """Returns the row of a list."""
    data = "\n".join(entries).encode()

    def make() -> bytes:
        return packed(build([ListFile(0, kind, entries_of(data, kind=kind, where=kind))]))

    made, seconds = timed(make)
    specs = (ListSpec(name="list", kind=kind, files=("list.txt",)),)
    lists = Lists(specs, ("list.txt",), unpacked_arrays(made))

    def apply() -> int:
        return sum(
            apply_lists(Batch(part), lists, phase="clean").steps["list"].named for part in parts
        )

    named = apply()
    cost = min(timed(apply)[1] for _ in range(REPEATS)) / sum(part.num_rows for part in parts)
    say(f"{kind}: {len(entries):,} entries")
    return [kind, len(entries), f"{seconds:.1f}", mib(len(made)), named, f"{1e6 * cost:.2f}"]


def main() -> None:
    """Measures, prints, and writes the page."""
    parser = parser_of("lists", __doc__)
    add_data(parser)
    add_page(parser)
    parser.add_argument("--files", type=int, default=2, help="files of posts")
    parser.add_argument("--entries", type=int, default=1_000_000, help="entries of the large lists")
    arguments = parser.parse_args()
    rows = [row for row in rows_of(posts_of(arguments.data)[: arguments.files]) if row["text"]]
    texts = normalize(pa.array([row["text"] for row in rows])).to_pylist()
    authors = [row["author_id"] for row in rows]
    parts = [
        batch_of(texts[first : first + ROWS], author_id=authors[first : first + ROWS])
        for first in range(0, len(rows), ROWS)
    ]
    words = sorted({word for text in texts for word in text.split() if word.isalpha()})
    measured = []
    for kind, few in frequent(texts, authors).items():
        many = made_up(kind, words, arguments.entries - len(few))
        measured += [measure(parts, kind, each) for each in (few, [*few, *many])]
    beside = min(
        timed(lambda: [text_features(part.column("text")) for part in parts])[1]
        for _ in range(REPEATS)
    )
    lines = [
        this_machine(),
        "",
        f"{len(rows):,} real posts; `text_features` takes {1e6 * beside / len(rows):.2f} us a post beside.",
        "",
        *table(HEAD, measured),
    ]
    publish("\n".join(lines), arguments.page, name="lists", title="Lists")


if __name__ == "__main__":
    main()
