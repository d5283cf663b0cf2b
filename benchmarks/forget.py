"""What a forget costs: by the ids that are asked for, and by the shards that have them.

    python -m benchmarks.forget OUTPUT KEY_FILE --work NEW_FOLDER

Ids of an output are drawn by a seed; each forget is of a copy of it by hard links, whose files are replaced,
never changed. Seconds are by the clock, of two threads; a forget of no known id shows what looking costs.
"""

import argparse
import contextlib
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import sluice
from sluice.errors import UnknownPostError
from sluice.pipeline.outputs.forgetting.command import Forgotten
from sluice.pipeline.outputs.forgetting.shards import replace_shard
from sluice.schemas.token_shard import ROWS_PER_BATCH, ShardFormat
from sluice.tokenizer.places import TokenPlaces
from sluice.tokenizer.shards import ShardWriter

NUMBERS = (1, 10, 100, 1_000, 10_000, 100_000)


class Forget(NamedTuple):
    """A forget: what it did, and what it cost."""

    done: Forgotten
    seconds: float
    cpu_seconds: float
    written_bytes: int


def kept_ids(output: Path) -> list[str]:
    """Returns the ids of the posts that an output kept, sorted."""
    files = [*output.glob("provenance/*.parquet"), *output.glob("leftover/*.parquet")]
    return sorted({i for file in files for i in pq.read_table(file)["post_id"].to_pylist()})


def linked(output: Path, folder: Path) -> Path:
    """Returns a folder of hard links to the contract's files of an output."""
    ignore = shutil.ignore_patterns("work")
    return Path(shutil.copytree(output, folder, copy_function=os.link, ignore=ignore))


def forgets(output: Path, key_file: Path, work: Path) -> Iterator[Forget]:
    """Yields forgets of more and more ids, each of an output as it was."""
    ids = kept_ids(output)
    for number in NUMBERS:
        if number > len(ids):
            break
        copy, file = linked(output, work / f"out-{number}"), work / f"ids-{number}.txt"
        file.write_text("\n".join(random.Random(number).sample(ids, number)))
        start = time.process_time()
        done = sluice.forget(copy, ids=file, key_file=key_file, workers=2)
        cpu_seconds = time.process_time() - start
        written = sum(
            path.stat().st_size
            for path in copy.rglob("*")
            if path.is_file() and path.stat().st_nlink == 1
        )
        yield Forget(done, done.seconds, cpu_seconds, written)
        shutil.rmtree(copy)


def looking(output: Path, key_file: Path, work: Path) -> float:
    """Returns the seconds that it takes to find that no id is known."""
    copy, file = linked(output, work / "none"), work / "none.txt"
    file.write_text("no such post\n")
    start = time.monotonic()
    with contextlib.suppress(UnknownPostError):
        sluice.forget(copy, ids=file, key_file=key_file, workers=2)
    return time.monotonic() - start


def rewriting(work: Path, *, sequences: int = 8192, length: int = 8192) -> float:
    """Returns the MB a second of one thread that reads a shard and writes another, hashed and on the disk."""
    form = ShardFormat(length, 131_072, pad_id=0, eod_id=2)
    tokens_SL = np.full((ROWS_PER_BATCH, length), 7, np.int32)
    doc_ends = pa.array([[length]] * ROWS_PER_BATCH, pa.list_(pa.int32()))
    path, places = work / "large.arrow", TokenPlaces.of([5], [9], [30])
    with ShardWriter(path, format=form) as writer:
        for _ in range(sequences // ROWS_PER_BATCH):
            writer.write(tokens_SL, doc_ends)
    start = time.monotonic()
    replace_shard(str(work), path.name, places, stay=(2,), pad_id=0)
    return writer.num_bytes / 1e6 / (time.monotonic() - start)


def main() -> None:
    """Prints the figures as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("key_file", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="on the output's disk")
    args = parser.parse_args()
    args.work.mkdir(parents=True)
    posts, shards = len(kept_ids(args.output)), len(list(args.output.glob("tokens/*")))
    seconds = looking(args.output, args.key_file, args.work)
    print(f"{posts:,} posts in {shards} shards; no known id: {seconds:.2f} s")
    print("| ids | shards | tokens | MB written | seconds | CPU seconds |")
    print("|---|---|---|---|---|---|")
    for forget in forgets(args.output, args.key_file, args.work):
        done = forget.done
        print(
            f"| {done.given:,} | {done.shards} of {done.of_shards} | {done.tokens:,} | "
            f"{forget.written_bytes / 1e6:.1f} | {forget.seconds:.2f} | {forget.cpu_seconds:.2f} |",
            flush=True,
        )
    print(f"a large shard is replaced at {rewriting(args.work):,.0f} MB/s by one thread")


if __name__ == "__main__":
    main()
