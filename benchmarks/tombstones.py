"""What posts that were forgotten cost afterwards: a run that leaves them out, a history, and a scan.

    SLUICE_DATA=FOLDER python -m benchmarks.tombstones --posts 100000 --tokenizer FILE --work NEW_FOLDER

Real posts are run with a history; a hundred of those that were kept are forgotten, in the history first, and
the output is scanned. CPU microseconds are of one process and its threads; a post's id is hashed and sought
among a hundred and a million tombstones.
"""

import argparse
import itertools
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

import sluice
from benchmarks.command import add_data, parser_of, timed
from benchmarks.forget import kept_ids
from benchmarks.real_posts import lines_of, posts_of
from benchmarks.whole import frozen, run_recipe
from sluice.filters.privacy.keyed_ids import IdKey
from sluice.pipeline.inputs.forgotten import ForgottenPosts
from sluice.pipeline.outputs.forgetting.history import forget_in_history
from sluice.pipeline.storage.tombstones import Tombstones
from sluice.schemas.tombstone import TOMBSTONE

KEY = IdKey(bytes(32))
NUM_FORGOTTEN = 100


def sought(ids: list[str]) -> Iterator[str]:
    """Yields what it costs to look for posts among tombstones."""
    column = pa.array(ids, pa.string())
    for number in (NUM_FORGOTTEN, 1_000_000):
        keys_K2 = np.random.default_rng(1).integers(0, 2**63, (number, 2)).astype(np.uint64)
        forgotten = ForgottenPosts(np.unique(keys_K2, axis=0), KEY.check)
        _, seconds = timed(partial(forgotten.have_ids, column, KEY))
        yield f"{number:>9,} tombstones: {1e6 * seconds / len(ids):.2f} us a post that is read"


def measured(data: Path, tokenizer: Path, work: Path, num_posts: int) -> Iterator[str]:
    """Yields the figures, in words."""
    work.mkdir(parents=True)
    (work / "key").write_bytes(bytes(32))
    with (work / "in.jsonl").open("wb") as file:
        file.writelines(itertools.islice(lines_of(posts_of(data)), num_posts))
    sets = [frozen(tokenizer), f"dedup.history={work / 'history'}", "dedup.history_day=2026-03-01"]
    run_recipe("default", files=[work / "in.jsonl"], output=work / "out", sets=sets)
    ids = kept_ids(work / "out")
    gone = random.Random(1).sample(ids, NUM_FORGOTTEN)
    yield from sought(ids)
    nothing = Tombstones(TOMBSTONE.empty_table(), None)
    history = str(work / "history")
    done, seconds = timed(lambda: forget_in_history(history, pa.array(gone), tombstones=nothing))
    size = sum(path.stat().st_size for path in Path(history).rglob("*") if path.is_file())
    yield (
        f"history of {len(ids):,} posts, {size:,} bytes: {done.posts} posts and {done.keys:,} keys taken out "
        f"in {seconds:.2f} CPU s"
    )
    (work / "ids.txt").write_text("".join(f"{i}\n" for i in gone))
    options = {"key_file": work / "key", "history": history}
    told, seconds = timed(
        lambda: sluice.forget(
            work / "out", ids=work / "ids.txt", key_file=work / "key", history=history
        )
    )
    yield f"forget: {told.posts} posts in {told.shards} of {told.of_shards} shards in {seconds:.2f} CPU s"
    found, seconds = timed(lambda: sluice.scan_forgotten(work / "out", **options))
    yield (
        f"scan: {found.ids:,} ids, {found.posts:,} posts of {found.tokens:,} tokens in {seconds:.2f} CPU s, "
        f"{len(found.findings)} findings"
    )


def main() -> None:
    """Runs, forgets, scans, and prints the figures."""
    parser: argparse.ArgumentParser = parser_of("tombstones", __doc__)
    add_data(parser)
    parser.add_argument("--posts", type=int, default=100_000)
    parser.add_argument("--tokenizer", type=Path, required=True, help="a tokenizer.json")
    parser.add_argument("--work", type=Path, required=True, help="a new folder")
    options = parser.parse_args()
    for line in measured(options.data, options.tokenizer, options.work.resolve(), options.posts):
        print(line, flush=True)


if __name__ == "__main__":
    main()
