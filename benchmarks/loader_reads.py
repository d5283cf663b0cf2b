"""How much ranks read from an object store in an epoch of `shuffle="blocks"`, times what it holds.

python -m benchmarks.loader_reads [--page benchmarks/LOADER.md]

Invented shards of 128 record batches, behind a file system that cannot be mapped. What all ranks together
ask the operating system for (`rchar` of /proc/self/io, proc(5)), over the bytes of the shards: 1 is what has
to be read; without the rule that a step is cut into ranks by place in the files, it would be the number of
ranks.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import fs

from benchmarks.command import add_page, parser_of
from benchmarks.page import publish, table
from sluice.schemas.token_shard import ROWS_PER_BATCH, ShardFormat, shard_name
from sluice.tokenizer.loader.dataset import TokenDataset, TokenLoader
from sluice.tokenizer.shards import ShardWriter

NUM_SHARDS, BATCHES_PER_SHARD = 16, 8
FORMAT = ShardFormat(512, 100, 0, 2)
RANKS, WINDOWS, STEPS = (1, 2, 4, 8, 16), (16, 32), (128, 512, 2048)


def main() -> None:
    """Measures, prints and, with `--page`, writes."""
    parser = parser_of("loader_reads", __doc__)
    add_page(parser, "--page")
    page = parser.parse_args().page
    settings = [(window, step) for window in WINDOWS for step in STEPS]
    with tempfile.TemporaryDirectory() as folder:
        output = write_output(Path(folder))
        rows = [
            [ranks, *(f"{times_read(output, ranks, *s):.2f}" for s in settings)] for ranks in RANKS
        ]
    head = ["ranks", *(f"window {window}, steps of {step:,}" for window, step in settings)]
    figures = "\n".join(table(head, rows))
    publish(figures, page, name="loader_reads", title="Reads from an object store")


def times_read(output: Path, num_ranks: int, window: int, step: int) -> float:
    """Returns the bytes that all ranks read in an epoch, over those of the shards."""
    before = _bytes_read()
    for rank in range(num_ranks):
        dataset = TokenDataset(
            output.name,
            micro_batch_sequences=4,
            global_batch_sequences=step,
            columns=(),
            shuffle="blocks",
            window_blocks=window,
            epochs=1,
            rank=rank,
            world_size=num_ranks,
            filesystem=fs.SubTreeFileSystem(str(output.parent), fs.LocalFileSystem()),
        )
        for _ in TokenLoader(dataset):
            pass
    held = sum(path.stat().st_size for path in (output / "tokens").iterdir())
    return (_bytes_read() - before) / held


def _bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])


def write_output(folder: Path) -> Path:
    """Writes what a loader reads of a run's output; all sequences are alike."""
    output, each = folder / "output", BATCHES_PER_SHARD * ROWS_PER_BATCH
    (output / "tokens").mkdir(parents=True)
    tokens_SL = np.full((each, FORMAT.sequence_length), 5, np.int32)
    ends = pa.array([[FORMAT.sequence_length]] * each, FORMAT.schema.field("doc_ends").type)
    shards = []
    for shard in range(NUM_SHARDS):
        path = f"tokens/{shard_name(shard, num_shards=NUM_SHARDS)}"
        with ShardWriter(output / path, format=FORMAT) as writer:
            writer.write(tokens_SL, ends)
        entry = {"path": path, "bytes": writer.num_bytes, "sha256": writer.sha256}
        shards.append({**entry, "sequences": each})
    form = {**FORMAT._asdict(), "sequences_per_shard": each}
    manifest = {"manifest_version": 1, "format": form, "shards": shards}
    (output / "manifest.json").write_text(json.dumps(manifest))
    (output / "COMPLETED").touch()
    return output


if __name__ == "__main__":
    main()
