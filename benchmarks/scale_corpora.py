"""Posts by the million for `benchmarks.dedup_scale`, made once: the files of a size begin those of a larger.

- sample: `sluice sample` in parts, each with a seed of its own, as many at a time as there are cores.
  Duplicates lie within a part, as they lie within a block of one large sample.
- real: the real posts, then copies of all of them with other words (`benchmarks.multiple`). A size is
  whole copies, so that no post is parted from its duplicates.
- template: one frame, a filler of random letters in it, in two corpora. With a short filler nearly all
  posts are near duplicates of the first. With a long one no two are, yet they share band keys, and all are
  one component: as much work and memory as a component can take.
"""

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from isal import igzip

from benchmarks.multiple import write_multiple
from benchmarks.process import run_measured
from benchmarks.real_posts import posts_of, size_of
from benchmarks.whole import SLUICE

KINDS = ("sample", "real", "template")
MOST_IN_PART = 250_000
"""Posts of a part of the sample: a block of `sluice sample`, 0.54 GB of memory while it is made."""
MOST_IN_FILE = 50_000
"""Posts of a file of the templates."""

FRAME = (
    "limited drop this weekend: the new ",
    " is back in stock for everybody who asked, grab yours today before shelves run empty and let your "
    "friends know",
)
FILLERS = {"template-short": (6, 12), "template-long": (30, 60)}
"""Corpus -> letters of a filler, least and most. The Jaccard index of two posts is above 0.8 with the
short ones and from 0.5 to 0.7 with the long ones; 20 bands of 5 rows meet nearly all and most pairs."""
BLANK_EVERY = 8
"""Letters of a long filler from one blank to the next."""

TEMPLATE_RECIPE = 'name = "template"\n'
"""No filters: every post reaches deduplication."""


class Prefix(NamedTuple):
    """A size of a corpus: at least so many posts."""

    posts: int
    files: tuple[Path, ...]


class Corpus(NamedTuple):
    """Posts of one sort, in sizes.

    Attributes:
        name: of the corpus; the kind, or one of two for the templates.
        recipe: a shipped name or a path; keeps nearly all posts up to deduplication.
        prefixes: ascending.
    """

    name: str
    recipe: str
    prefixes: tuple[Prefix, ...]


def make(kind: str, *, sizes: Sequence[int], work: Path, data: Path | None) -> list[Corpus]:
    """Returns the corpora of a kind; files that are there already stay as they are.

    Args:
        kind: one of KINDS.
        sizes: numbers of posts.
        work: folder for the files.
        data: the folder of real posts, for the kind `real`.

    Raises:
        ValueError: real posts are wanted and there are none.
    """
    sizes = sorted(set(sizes))
    if kind == "sample":
        return [_sample(sizes, work)]
    if kind == "real":
        return [_real(sizes, work, data)]
    recipe = work / "template.toml"
    recipe.write_text(TEMPLATE_RECIPE, "utf-8")
    return [_template(name, sizes, work) for name in FILLERS]


def part_of(sizes: Sequence[int], *, most: int) -> int:
    """Returns the largest number of posts, `most` at most, that goes into all sizes without rest."""
    common = math.gcd(*sizes)
    return next(common // k for k in count(-(-common // most)) if common % k == 0)


def _prefixes(
    sizes: Sequence[int], parts: Sequence[Sequence[Path]], each: int
) -> tuple[Prefix, ...]:
    """Returns for each size the files of as many parts of `each` posts as it takes.

    Of sizes that take the same parts the largest stays.
    """
    num_parts = {-(-size // each): size for size in sorted(sizes)}
    taken = {size: parts[:n] for n, size in num_parts.items()}
    return tuple(Prefix(size, tuple(f for part in p for f in part)) for size, p in taken.items())


def _sample(sizes: Sequence[int], work: Path) -> Corpus:
    each = part_of(sizes, most=MOST_IN_PART)
    folder = work / f"sample-{each}"
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(partial(_sample_part, folder, each), range(sizes[-1] // each)))
    return Corpus("sample", "default", _prefixes(sizes, parts, each))


def _sample_part(folder: Path, posts: int, number: int) -> list[Path]:
    part = folder / f"part-{number:03d}"
    if not (part / "sample.json").exists():  # written last
        command = [*SLUICE, "sample", str(part), "--posts", str(posts), "--seed", str(number)]
        run_measured(command, log=folder / f"part-{number:03d}.log")
    return sorted(part.glob("*.jsonl.gz"))


def _real(sizes: Sequence[int], work: Path, data: Path | None) -> Corpus:
    sources = posts_of(data) if data else []
    if not sources:
        raise ValueError(
            "real posts: set SLUICE_DATA, or give --data, a folder with firehose/*.jsonl.gz"
        )
    each = size_of(sources).posts
    times = -(-sizes[-1] // each)
    folder, unfinished = work / f"real-{times}", work / f"real-{times}.tmp"
    if not folder.exists():
        shutil.rmtree(unfinished, ignore_errors=True)
        write_multiple(sources, unfinished, times=times)
        unfinished.rename(folder)
    files = sorted(folder.glob("*.jsonl.gz"))
    copies = [files[i : i + len(sources)] for i in range(0, len(files), len(sources))]
    return Corpus("real", "default", _prefixes(sizes, copies, each))


def _template(name: str, sizes: Sequence[int], work: Path) -> Corpus:
    each = part_of(sizes, most=MOST_IN_FILE)
    folder = work / f"{name}-{each}"
    folder.mkdir(parents=True, exist_ok=True)
    files = [[_template_file(folder, name, i, each)] for i in range(sizes[-1] // each)]
    return Corpus(name, str(work / "template.toml"), _prefixes(sizes, files, each))


def _template_file(folder: Path, name: str, number: int, posts: int) -> Path:
    path = folder / f"posts-{number:05d}.jsonl.gz"
    if not path.exists():
        unfinished = path.with_suffix(".tmp")
        first = number * posts
        lines = b"".join(_lines(template_texts(name, number=number, posts=posts), first=first))
        with igzip.IGzipFile(str(unfinished), "wb", compresslevel=1, mtime=0) as file:
            file.write(lines)
        unfinished.rename(path)
    return path


def _lines(texts: Sequence[str], *, first: int) -> Iterator[bytes]:
    """Yields JSON lines; a post's id is its number, and posts are a second apart."""
    encode = msgspec.json.Encoder().encode
    time = np.datetime64("2026-01-01T00:00:00") + np.arange(first, first + len(texts))
    for i, (text, at) in enumerate(zip(texts, time.astype(str).tolist(), strict=True), first):
        yield encode({"id": str(i), "text": text, "created_at": f"{at}Z", "lang": "en"}) + b"\n"


def template_texts(name: str, *, number: int, posts: int) -> list[str]:
    """Returns the texts of a file of a template; the same for the same arguments."""
    least, most = FILLERS[name]
    draw = np.random.default_rng([list(FILLERS).index(name), number])
    letters_NL = draw.integers(ord("a"), ord("z") + 1, (posts, most), dtype=np.uint8)
    letters_NL[:, BLANK_EVERY::BLANK_EVERY] = ord(" ")
    length_N = draw.integers(least, most + 1, posts).tolist()
    rows = (row.tobytes().decode("ascii") for row in letters_NL)
    before, after = FRAME
    return [f"{before}{row[:n].rstrip()}{after}" for row, n in zip(rows, length_N, strict=True)]
