"""`sluice sample`: synthetic multilingual posts with planted faults, and the truth about each.

Writes JSONL that looks like a day's delivery of a social firehose, and `labels.parquet`, which says
what every line is: so that the main job runs where there is no data, and tests know what it must
find. All words come from word lists; no line is a real post.

The same number of posts, seed and files give the same lines on every machine and in every process,
with the same versions of wordfreq and pyarrow; how gzip packs them depends on Python's zlib.
"""

import gzip
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from io import BufferedWriter
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.pipeline.ledger.tally import most_first, value_counts
from sluice.pipeline.sample.block import MALFORMED, block_posts
from sluice.pipeline.sample.broken import BREAKAGES
from sluice.pipeline.sample.draws import Draws
from sluice.pipeline.sample.layout import Span, lay_out
from sluice.pipeline.sample.scene import handle_pool
from sluice.pipeline.sample.words import wordfreq_version
from sluice.schemas.arrays import Int64s
from sluice.schemas.errors import OutputError, SluiceError

SAMPLE_VERSION = 1
"""Raised whenever the same seed draws other posts; a column may be added to them."""

BLOCK_POSTS = 250_000
"""Posts drawn together: bounds memory, measured at 0.54 GB."""

BLANK_RATIO = 1 / 2_000
"""Blank lines per post; they are no posts and have no label."""

ESCAPED_RATIO = 0.02
"""Rows whose letters beyond ASCII are written as JSON escapes."""

GZIP_LEVEL = 4
LABELS_NAME, SUMMARY_NAME = "labels.parquet", "sample.json"
_OURS = re.compile(r"(posts-\d\d\.jsonl(\.gz)?|labels\.parquet|sample\.json)(\.tmp)?")

ROW_FIELDS = (
    *("id", "text", "created_at", "author_id", "lang", "in_reply_to_id", "source"),
    "edited_at",
)

LABELS = pa.schema(
    [
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("source_row", pa.int64(), nullable=False),
        pa.field("post_id", pa.string()),
        pa.field("label", pa.string(), nullable=False),
        pa.field("duplicate_of", pa.string()),
        pa.field("language", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("similarity", pa.float64()),
    ]
)
"""One row per line that is not blank.

`source_row` is its 0-based number, blank lines not counted; `post_id` is null where the line holds none.
`label` is clean, exact_duplicate, near_duplicate, redelivered, template, spam, noise or malformed; `detail`
is its kind: what an exact duplicate changed, the band that a near duplicate's similarity is in, how
a row is broken. `similarity` is the exact Jaccard index of the code-point 5-grams of the comparison
texts of the post and of `duplicate_of`. A spam or template post may be a near duplicate of another.
"""


@dataclass(frozen=True)
class SampleSummary:
    """What a sample holds; `sample.json` is this and the versions.

    Attributes:
        posts: lines that are not blank.
        blank_lines: lines that are.
        seed: what it was drawn from.
        files: names of the JSONL files.
        text_bytes: UTF-8 bytes of all texts, broken rows' not counted.
        by_label: label -> posts; adds up to `posts`.
        by_detail: "label/detail" -> posts.
        by_language: language, or "none" for noise without words -> posts; adds up to `posts`.
    """

    posts: int
    blank_lines: int
    seed: int
    files: tuple[str, ...]
    text_bytes: int
    by_label: dict[str, int]
    by_detail: dict[str, int]
    by_language: dict[str, int]


def write_sample(
    output: Path, *, num_posts: int, seed: int, files: int = 4, compress: bool = True
) -> SampleSummary:
    """Writes synthetic posts and their labels to a folder.

    Writes `posts-00.jsonl.gz` and on, `labels.parquet` and, last, `sample.json`. An earlier sample
    in the folder is replaced.

    Args:
        output: an empty or missing folder, or one that holds a sample.
        num_posts: lines to write, blank ones not counted.
        seed: 0 or more.
        files: JSONL files; posts are assigned to them at random, so duplicates are in different ones.
        compress: gzip, with no time in the header.

    Returns:
        What was written.

    Raises:
        SluiceError: wordfreq is not installed, or a number is out of range.
        OutputError: the folder holds something else.
    """
    _check(num_posts=num_posts, seed=seed, files=files)
    wordlists = wordfreq_version()
    _make_room(output)
    names = tuple(f"posts-{k:02d}.jsonl" + (".gz" if compress else "") for k in range(files))
    tally: dict[str, Counter[str]] = defaultdict(Counter)
    text_bytes = 0
    with ExitStack() as stack:
        jsonl = [stack.enter_context(_JsonlFile(output / name)) for name in names]
        labels = stack.enter_context(pq.ParquetWriter(_unfinished(output / LABELS_NAME), LABELS))
        for block, draws in _blocks(num_posts, seed=seed, files=files):
            for k, file in enumerate(jsonl):
                table = file.append(block.filter(pc.equal(block["file"], k)), draws=draws)
                labels.write_table(table)
                _count(tally, table)
            text_bytes += pc.sum(pc.binary_length(block["text"])).as_py()
    for name in (*names, LABELS_NAME):
        os.replace(_unfinished(output / name), output / name)
    summary = SampleSummary(
        posts=tally["label"].total(),
        blank_lines=sum(file.blank_lines for file in jsonl),
        seed=seed,
        files=names,
        text_bytes=text_bytes,
        by_label=dict(most_first(tally["label"])),
        by_detail=dict(most_first(tally["detail"])),
        by_language=dict(most_first(tally["language"])),
    )
    _write_json(output / SUMMARY_NAME, summary, wordlists)
    return summary


def _check(**numbers: int) -> None:
    bounds = {"num_posts": (1, 1 << 40), "seed": (0, 1 << 64), "files": (1, 100)}
    for name, value in numbers.items():
        low, high = bounds[name]
        if not low <= value < high:
            raise SluiceError(f"sample: {name} must be from {low} to {high - 1}, got {value}")


def _make_room(output: Path) -> None:
    """Empties a folder that holds a sample; raises OutputError for one that holds anything else."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        names = sorted(path.name for path in output.iterdir())
    except OSError as failure:
        raise OutputError(f"{output}: cannot be made or read: {failure.strerror}") from failure
    others = [name for name in names if not _OURS.fullmatch(name)]
    if others:
        raise OutputError(
            f"{output}: must be empty or hold a sample, got {others[0]!r}; name another folder"
        )
    for name in names:
        (output / name).unlink()


def _blocks(num_posts: int, *, seed: int, files: int) -> Iterator[tuple[pa.Table, Draws]]:
    """Yields the posts in blocks of nearly equal size, with the stream for how they are written."""
    handles = handle_pool(draws=Draws(seed, SAMPLE_VERSION))
    num_blocks = -(-num_posts // BLOCK_POSTS)
    for k in range(num_blocks):
        first, end = (num_posts * j // num_blocks for j in (k, k + 1))
        text, place, lines = (Draws(seed, SAMPLE_VERSION, k, j) for j in range(3))
        posts = block_posts(end - first, handles, draws=text)
        yield lay_out(posts, Span(first, num_posts, files), draws=place), lines


class _JsonlFile:
    """A JSONL file that is being written.

    Attributes:
        name: of the file when it is finished.
        num_lines: written so far, blank ones too.
        blank_lines: of them blank.
    """

    def __init__(self, path: Path):
        self.name, self.num_lines, self.blank_lines = path.name, 0, 0
        self._file = _unfinished(path).open("wb")
        self._out: gzip.GzipFile | BufferedWriter = self._file
        if path.suffix == ".gz":
            self._out = gzip.GzipFile("", "wb", GZIP_LEVEL, self._file, mtime=0)

    def __enter__(self) -> "_JsonlFile":
        return self

    def __exit__(self, *failure: object) -> None:
        self._out.close()
        self._file.close()

    def append(self, rows: pa.Table, *, draws: Draws) -> pa.Table:
        """Writes laid-out posts, with blank lines between; returns their LABELS."""
        blank_N = draws.chance(BLANK_RATIO, size=len(rows)).astype(np.int64)
        row_N = self.num_lines - self.blank_lines + np.arange(len(rows))
        for line, blank in zip(_lines(rows, draws=draws), blank_N.tolist(), strict=True):
            self._out.write(b"\n" * blank + line + b"\n")
        self.num_lines += len(rows) + int(blank_N.sum())
        self.blank_lines += int(blank_N.sum())
        return _labels(rows, self.name, row_N)


def _lines(rows: pa.Table, *, draws: Draws) -> Iterator[bytes]:
    """Yields one line per post, without its line feed; broken rows are broken here."""
    encode = msgspec.json.Encoder().encode
    escaped_N = draws.chance(ESCAPED_RATIO, size=len(rows)).tolist()
    breakage = pc.if_else(pc.equal(rows["label"], MALFORMED), rows["detail"], None).to_pylist()
    posts = rows.select(ROW_FIELDS).to_pylist()
    for post, kind, escaped in zip(posts, breakage, escaped_N, strict=True):
        if kind is not None:
            yield BREAKAGES[kind].line(post)
        else:
            yield json.dumps(post).encode() if escaped else encode(post)


def _labels(rows: pa.Table, name: str, row_N: Int64s) -> pa.Table:
    """Returns LABELS of laid-out posts."""
    idless = pa.array([kind for kind, how in BREAKAGES.items() if not how.has_id])
    lost = pc.and_(pc.equal(rows["label"], MALFORMED), pc.is_in(rows["detail"], idless))
    columns = {
        "source_file": pa.repeat(pa.scalar(name), len(rows)),
        "source_row": pa.array(row_N),
        "post_id": pc.if_else(lost, pa.scalar(None, pa.string()), rows["id"]),
        **{field: rows[field] for field in LABELS.names[3:]},
    }
    return pa.table([columns[field] for field in LABELS.names], schema=LABELS)


def _count(tally: dict[str, Counter[str]], labels: pa.Table) -> None:
    """Counts what a table of LABELS says: its labels, their details and the languages."""
    detail = pc.binary_join_element_wise(labels["label"], labels["detail"], "/")
    language = pc.fill_null(labels["language"], "none")
    columns = {"label": labels["label"], "detail": detail, "language": language}
    for name, column in columns.items():
        tally[name].update(value_counts(pc.drop_null(column)))


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")


def _write_json(path: Path, summary: SampleSummary, wordlists: str) -> None:
    versions = {"sample": SAMPLE_VERSION, "sluice": version("sluice"), "wordfreq": wordlists}
    content = json.dumps({"versions": versions, **asdict(summary)}, indent=2, ensure_ascii=False)
    _unfinished(path).write_text(content + "\n", encoding="utf-8")
    os.replace(_unfinished(path), path)
