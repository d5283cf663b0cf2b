"""Makes K times the posts: the files as they are, and K - 1 copies of each with other words.

A copy with new ids alone would be dropped as duplicates, and a word more in every text leaves a
Jaccard index near 0.8, where copies of one post would chain into components that no real day has.
So copy c replaces words: those of one label (`lang`, or `source` where there is none) and of one
letter case are ranked by frequency and cut into blocks of K, and each word becomes the one c places
on in its block. Frequent words stay frequent words of the same language, posts keep their shape,
posts that were duplicates of each other still are (a text has one image), and a post shares next to
nothing with its images in other copies. Scripts written without blanks are replaced in pieces of two
characters. Links, handles, character references and a leading RT stay. Reply links stay inside their copy.

What it does not do: the vocabulary does not grow as that of ten days would, so that the encoder meets
fewer new words than it would there.
"""

import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
from isal import igzip

from benchmarks.real_posts import lines_of

_KEPT = r"https?://\S+|www\.\S+|@\w+|&#?\w+;|\bRT\b|(?:[^\w@&]|[\d_])+|[@&]"
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
PIECE = re.compile(rf"(?:{_KEPT})|[{_UNSPACED}]{{1,2}}|[^\W\d_{_UNSPACED}]+")
"""Cuts a text into pieces, none left out: what stays as it is, pairs of characters, words."""
KEPT = re.compile(_KEPT)

Words = dict[str, str]
"""A word -> the word that replaces it."""


class Post(msgspec.Struct):
    """A post of the firehose; other keys are left out of copies."""

    id: str
    text: str
    created_at: str | None = None
    author_id: str | None = None
    lang: str | None = None
    in_reply_to_id: str | None = None
    source: str | None = None


class PostFile(NamedTuple):
    """A file's posts, cut up once for all copies.

    Attributes:
        name: the file's.
        posts: the decoded lines, in order; a line that is none is left out.
        pieces: what each text consists of.
        labels: of each post, the language or the source whose words replace its words.
    """

    name: str
    posts: list[Post]
    pieces: list[list[str]]
    labels: list[str]


def read(path: Path) -> PostFile:
    """Returns a `.jsonl.gz` file of posts, cut into pieces."""
    posts: list[Post] = []
    for line in lines_of([path]):
        with suppress(msgspec.DecodeError):
            posts.append(msgspec.json.decode(line, type=Post))
    pieces = [PIECE.findall(post.text) for post in posts]
    labels = [post.lang or post.source or "" for post in posts]
    return PostFile(path.name, posts, pieces, labels)


def rankings(files: Sequence[PostFile]) -> dict[str, list[list[str]]]:
    """Returns, for each label, the words of each letter case, most frequent first; ties by the word."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for file in files:
        for label, pieces in zip(file.labels, file.pieces, strict=True):
            counts[label].update(pieces)
    return {label: _by_case(counter) for label, counter in counts.items()}


def _by_case(counter: Counter[str]) -> list[list[str]]:
    cases: dict[tuple[bool, bool], list[str]] = defaultdict(list)
    for word in sorted(counter, key=lambda word: (-counter[word], word)):
        if not KEPT.fullmatch(word):
            cases[word.isupper(), word[0].isupper()].append(word)
    return list(cases.values())


def replacements(ranked: Iterable[Sequence[str]], *, copy: int, times: int) -> Words:
    """Returns the words of copy `copy` (1 to `times` - 1); a word that is not there stays."""
    words: Words = {}
    for case in ranked:
        for start in range(0, len(case), times):
            block = case[start : start + times]
            for place, word in enumerate(block):
                words[word] = block[(place + copy) % len(block)]
    return words


def copy_lines(file: PostFile, words: dict[str, Words], *, copy: int) -> Iterator[bytes]:
    """Yields the JSON lines of a copy, in the order of the file."""
    encode = msgspec.json.Encoder().encode
    for post, pieces, label in zip(file.posts, file.pieces, file.labels, strict=True):
        table = words[label]
        reply_to = post.in_reply_to_id
        yield encode(
            msgspec.structs.replace(
                post,
                id=f"{post.id}-{copy}",
                text="".join([table.get(piece, piece) for piece in pieces]),
                in_reply_to_id=None if reply_to is None else f"{reply_to}-{copy}",
            )
        )


def write_multiple(sources: Sequence[Path], folder: Path, *, times: int) -> list[Path]:
    """Writes `times` the posts of `.jsonl.gz` files into a folder; returns the files.

    A folder that holds the files already is left as it is.
    """
    made = [folder / _copy_name(path, copy) for copy in range(times) for path in sources]
    if all(path.exists() for path in made):
        return made
    folder.mkdir(parents=True, exist_ok=True)
    files = [read(path) for path in sources]
    ranked = rankings(files)
    for path in sources:
        shutil.copyfile(path, folder / _copy_name(path, 0))
    for copy in range(1, times):
        words = {k: replacements(r, copy=copy, times=times) for k, r in ranked.items()}
        for file, path in zip(files, sources, strict=True):
            _write(folder / _copy_name(path, copy), copy_lines(file, words, copy=copy))
    return made


def _copy_name(path: Path, copy: int) -> str:
    return f"copy{copy:02d}-{path.name}"


def _write(path: Path, lines: Iterable[bytes]) -> None:
    # A file's head would hold the time: equal posts are to give equal bytes.
    with igzip.IGzipFile(str(path), "wb", compresslevel=1, mtime=0) as file:
        file.write(b"\n".join(lines) + b"\n")
