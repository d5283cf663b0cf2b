"""What it costs to feed a training loop: our loader beside a plain read of the mapped files.

python -m benchmarks.loader OUTPUT [--batches N] [--micro-batch B] [--rounds R] [--peers PYTHON]
                            [--page benchmarks/LOADER.md]

OUTPUT is a finished run. The consumer copies the tokens of every micro-batch into one tensor, as a copy to a
device does, so that mapped memory is really read. Each way goes over the shards until it has read N
micro-batches after a warm-up; ways take turns, and the least of all rounds counts. CPU time, of this process
and of its workers apart: what the first spends, the training loop waits for.

The plain read knows no ranks, epochs, resuming or ends of documents: it takes the rows of the shards, mapped
by Arrow, in the file's order or in an order that NumPy shuffled, and copies each where the consumer wants it.

`--peers` names a Python that has mosaicml-streaming and litdata, and torch and Sluice: the same sequences,
written by their own writers, are read by their own datasets, shuffled, in a process of their own.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader

from benchmarks.command import add_output, add_page, parser_of
from benchmarks.page import publish, table
from benchmarks.process import ROOT, this_machine
from sluice.schemas.arrays import Int32s
from sluice.tokenizer.loader.dataset import TokenDataset, TokenLoader
from sluice.tokenizer.loader.files import ShardSet

Batches = Iterator[torch.Tensor]
Way = Callable[[], Batches]

WARM_UP = 100
"""Micro-batches before the clock starts."""
MICRO_BATCH, ROUNDS = 4, 3
"""Sequences of a micro-batch, and how often each way is measured."""
PEERS = ("mosaicml-streaming", "litdata")


class Cost(NamedTuple):
    """CPU microseconds a sequence: of the process that trains, and of all its workers."""

    here: float
    workers: float


def main() -> None:
    """Measures, prints and, with `--page`, writes."""
    options = _options()
    torch.set_num_threads(1)
    if options.peer:
        ways = _peers(options)
        print(json.dumps(measure(ways[options.peer], options)))
        return
    costs = rounds(_ways(options), options)
    figures = "\n".join(_page(costs, options))
    publish(figures, options.page, name="loader")


def rounds(ways: Mapping[str, Way], options: argparse.Namespace) -> dict[str, Cost]:
    """Returns the least cost of each way; the ways take turns."""
    costs: dict[str, Cost] = {}
    for _ in range(ROUNDS):
        found = {name: measure(way, options) for name, way in ways.items()}
        if options.peers:
            found |= {name: _measure_peer(name) for name in PEERS}
        for name, cost in found.items():
            costs[name] = min(cost, costs.get(name, cost), key=sum)
    return costs


def measure(way: Way, options: argparse.Namespace) -> Cost:
    """Returns what N micro-batches of a way cost once it is warm."""
    batches = way()
    for tokens in itertools.islice(batches, WARM_UP):
        target = torch.empty_like(tokens)
    here, workers, num_sequences = time.process_time(), _cpu_of_workers(), 0
    for tokens in itertools.islice(batches, options.batches):
        target.copy_(tokens)
        num_sequences += len(tokens)
    spent = (time.process_time() - here, _cpu_of_workers() - workers)
    return Cost(*(1e6 * seconds / num_sequences for seconds in spent))


def _cpu_of_workers() -> float:
    """Returns the CPU seconds so far of this process's living children."""
    ticks = 0
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # utime and stime, proc(5)
    return ticks / os.sysconf("SC_CLK_TCK")


# --- the ways --------------------------------------------------------------------------------

COLUMNS = ("cu_seqlens", "position_ids", "labels")


def _ways(options: argparse.Namespace) -> dict[str, Way]:
    ways: dict[str, Way] = {
        "plain read, shuffled": partial(plain, options, shuffle=True),
        "plain read, order of the files": partial(plain, options, shuffle=False),
    }
    for workers in (0, 2):
        for shuffle in ("sequences", "blocks", "none"):
            for columns in ((), COLUMNS):
                name = f"`{shuffle}`, {workers} workers{', all columns' * bool(columns)}"
                settings = {"shuffle": shuffle, "columns": columns}
                ways[name] = partial(ours, options, num_workers=workers, **settings)
    return ways


def plain(options: argparse.Namespace, *, shuffle: bool) -> Batches:
    """Yields rows of the mapped shards, copied to where the consumer has them."""
    shards = ShardSet(options.output)
    each = shards.sequences_per_shard
    rows = [
        row
        for shard in range(shards.num_shards)
        for start in range(0, each, 256)
        for row in shards.rows(np.arange(start, min(start + 256, each)) + shard * each).tokens_BL
    ]
    tokens_BL = np.empty((MICRO_BATCH, shards.format.sequence_length), np.int32)
    for epoch in itertools.count():
        order = np.arange(len(rows))
        if shuffle:
            np.random.default_rng(epoch).shuffle(order)
        for start in range(0, len(rows) - MICRO_BATCH + 1, MICRO_BATCH):
            for b, number in enumerate(order[start : start + MICRO_BATCH].tolist()):
                tokens_BL[b] = rows[number]
            yield torch.from_numpy(tokens_BL)


def ours(options: argparse.Namespace, *, num_workers: int, **settings: Any) -> Batches:
    """Yields what the loader gives; 16 micro-batches a step, or as many as there are sequences for."""
    dataset = partial(
        TokenDataset,
        options.output,
        micro_batch_sequences=MICRO_BATCH,
        rank=0,
        world_size=1,
        **settings,
    )
    steps = min(16, dataset().num_sequences // MICRO_BATCH)
    made = dataset(global_batch_sequences=steps * MICRO_BATCH)
    return (batch.tokens for batch in TokenLoader(made, num_workers=num_workers))


# --- peers -----------------------------------------------------------------------------------


def _measure_peer(name: str) -> Cost:
    """Measures a peer with the arguments of this process, in another Python."""
    options = _options()
    command = [options.peers, "-m", "benchmarks.loader", *sys.argv[1:], "--peer", name]
    with tempfile.TemporaryDirectory() as folder:
        command += ["--folder", folder]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return Cost(*json.loads(done.stdout.splitlines()[-1]))


def _peers(options: argparse.Namespace) -> dict[str, Way]:
    return {"mosaicml-streaming": partial(mosaic, options), "litdata": partial(litdata, options)}


def sequences(output: Path) -> Iterator[Int32s]:
    """Yields (L,) int32 tokens of every sequence, in the order of the files."""
    shards = ShardSet(output)
    return (shards.rows(np.array([n])).tokens_BL[0] for n in range(len(shards)))


def mosaic(options: argparse.Namespace) -> Batches:
    """Yields batches of MosaicML's StreamingDataset, without labels or anything else."""
    from streaming import MDSWriter, StreamingDataset

    length = ShardSet(options.output).format.sequence_length
    columns = {"tokens": f"ndarray:int32:{length}"}
    with MDSWriter(out=options.folder, columns=columns) as writer:
        for tokens_L in sequences(options.output):
            writer.write({"tokens": np.array(tokens_L)})
    dataset = StreamingDataset(local=options.folder, shuffle=True, batch_size=MICRO_BATCH)
    while True:
        for batch in DataLoader(dataset, batch_size=MICRO_BATCH, drop_last=True):
            yield batch["tokens"]


def litdata(options: argparse.Namespace) -> Batches:
    """Yields batches of litdata's StreamingDataset with its TokensLoader, the way it reads tokens fastest."""
    from litdata import StreamingDataLoader, StreamingDataset, TokensLoader
    from litdata.streaming.writer import BinaryWriter

    length = ShardSet(options.output).format.sequence_length
    loader = TokensLoader(block_size=length)
    writer = BinaryWriter(options.folder, chunk_size=2048 * length, item_loader=loader)
    for number, tokens_L in enumerate(sequences(options.output)):
        writer.add_item(number, torch.from_numpy(np.array(tokens_L)))
    writer.done()
    writer.merge()
    dataset = StreamingDataset(
        options.folder, item_loader=TokensLoader(block_size=length), shuffle=True
    )
    while True:
        yield from StreamingDataLoader(dataset, batch_size=MICRO_BATCH)


# --- the page --------------------------------------------------------------------------------


def _page(costs: Mapping[str, Cost], options: argparse.Namespace) -> list[str]:
    shards = ShardSet(options.output)
    what = f"{len(shards):,} sequences of {shards.format.sequence_length:,} tokens"
    rows = []
    for name, cost in costs.items():
        like = "order of the files" if "`none`" in name else "shuffled"
        base = costs[name if name.startswith("plain") else f"plain read, {like}"].here
        way = name if name not in PEERS else f"{name} {_peer_version(options.peers, name)}"
        workers = f"{cost.workers:.1f}" if cost.workers else "-"
        rate = 1e6 / cost.here
        tokens = f"{rate * shards.format.sequence_length / 1e6:,.0f} M"
        times = f"{cost.here / base:.2f}"
        rows.append([way, f"{cost.here:.1f}", workers, f"{rate:,.0f}", tokens, times])
    head = ("way", "us a sequence", "us in workers", "sequences/s", "tokens/s")
    return [
        f"{what}, {MICRO_BATCH} a micro-batch, {options.batches:,} micro-batches, the least of "
        f"{ROUNDS} rounds. Machine: {this_machine('torch')}.",
        "",
        *table((*head, "times a plain read"), rows),
    ]


def _peer_version(python: str, name: str) -> str:
    code = f"from importlib.metadata import version; print(version({name!r}))"
    done = subprocess.run([python, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def _options() -> argparse.Namespace:
    parser = parser_of("loader", __doc__)
    add_output(parser)
    parser.add_argument("--batches", type=int, default=2000, help="micro-batches that are measured")
    parser.add_argument("--peers", help="a Python with mosaicml-streaming and litdata")
    add_page(parser, "--page")
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
