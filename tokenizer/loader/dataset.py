"""Feeds shards to a training loop in torch: in a computed order, to any number of ranks and workers.

    loader = TokenLoader(TokenDataset("sluice-out", micro_batch_sequences=4), num_workers=2)
    for batch in loader:
        ...                                   # batch.tokens (4, L) int32, batch.labels (4, L) int64
    torch.save(loader.state_dict(), ...)      # the same on every rank; load it on any number of ranks

The sequences of all epochs are one endless stream of positions (`sluice.tokenizer.loader.order`).
Optimiser step k takes positions [k * G, (k + 1) * G), G being `global_batch_sequences`; a step may cross
the end of an epoch, so that nothing is left out or repeated in one. The G sequences, in the order of
their places in the files, are cut into equal runs, one per rank, and a run into micro-batches. So a step
holds the same sequences on any number of ranks, all ranks get the same number, and rank r of R reads from
about the r-th R-th of the files, which is what its page cache or its object store then serves.

A dataset needs torch when it is made: `pip install 'sluice[train]'`, or a torch of your own. docs/training.md
has a whole example.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Final, NamedTuple, TypedDict

import numpy as np
from pyarrow import fs

from sluice.schemas.arrays import Array, Int64s
from sluice.schemas.errors import InputError, did_you_mean
from sluice.schemas.hashing import GOLDEN_RATIO
from sluice.tokenizer.loader import columns as loader_columns
from sluice.tokenizer.loader.mixed_order import MixedOrder, quotas_of
from sluice.tokenizer.loader.order import Order, Shuffle
from sluice.tokenizer.loader.several import ShardSets

try:
    import torch
    from torch.utils.data import DataLoader, IterableDataset, get_worker_info

    from sluice.tokenizer.loader.transport import FlatBatch, flatten, unflatten
except ModuleNotFoundError as missing:
    if missing.name != "torch":
        raise
    torch, DataLoader, IterableDataset = None, object, object

STATE_VERSION: Final = 1
MAX_BATCH_TOKENS: Final = 2**31 - 1


Outputs = str | os.PathLike[str] | Mapping[str, float] | Sequence[str | os.PathLike[str]]
"""The folder of a finished run, or several: each with its weight, or weighted by their sizes."""


class TokenBatch(NamedTuple):
    """A micro-batch of B sequences of L tokens; what was not asked for is None.

    Attributes:
        tokens: (B, L) int32. To be read: in the main process, neighbours of a file are a view of it, and a
            write to the mapped memory ends the process.
        cu_seqlens: (C + 1,) int32, where segments begin in the flattened batch, its length at the end; a
            segment is a document, a part of one, or padding.
        max_seqlen: tokens of the longest segment.
        position_ids: (B, L) int32, from 0 in every segment.
        document_ids: (B, L) int32, from 0 in every sequence; padding is -1.
        labels: (B, L) int64, the next token of the same segment, -100 where there is none, and at
            the places of posts that were forgotten.
        positions: (B,) int64, in the endless stream.
        sequences: (B,) int64; number n is row n % S of shard n // S, S sequences being in a shard. Those of
            several outputs are numbered one output after the other, see `first_sequences` of the order.
        outputs: (B,) int64, which of several outputs each is of, from 0 in the order given.
    """

    tokens: "torch.Tensor"
    cu_seqlens: "torch.Tensor | None" = None
    max_seqlen: int | None = None
    position_ids: "torch.Tensor | None" = None
    document_ids: "torch.Tensor | None" = None
    labels: "torch.Tensor | None" = None
    positions: "torch.Tensor | None" = None
    sequences: "torch.Tensor | None" = None
    outputs: "torch.Tensor | None" = None


COLUMNS: Final = tuple(n for n in TokenBatch._fields if n not in ("tokens", "max_seqlen"))
"""What can be asked for; `max_seqlen` comes with `cu_seqlens`."""
_OF_SEGMENTS: Final = frozenset({"cu_seqlens", "position_ids", "document_ids"})


class LoaderState(TypedDict):
    """How far a training run is; equal on all ranks.

    Attributes:
        version: of this format.
        consumed: sequences of whole steps that all ranks together were given, over all epochs.
        seed: that of the order, as are the next two.
        shuffle: as `TokenDataset` takes it.
        window_blocks: likewise.
        shards: the fingerprint of the shards.
        quotas: how often each output comes in a period; [1] of a single one, as in states that lack it.
    """

    version: int
    consumed: int
    seed: int
    shuffle: str
    window_blocks: int
    shards: str
    quotas: list[int]


class TokenDataset(IterableDataset):  # type: ignore[misc]  # torch has no types
    """One rank's share of the stream, as micro-batches.

    Iteration begins at `consumed`. In a DataLoader with W workers, worker w gives micro-batches w, w + W,
    ...: the DataLoader takes turns, so the order is that of no workers. Use `batch_size=None`; TokenLoader
    does, and keeps count.

    Attributes:
        format: sequence length, vocabulary size, `pad_id` and `eod_id`.
        order: which sequence is at which position: an `Order`, or of several outputs a `MixedOrder`.
        consumed: sequences of all ranks before the first step of the next iteration.
        global_batch_sequences: G, sequences of a step over all ranks.
        quotas: of so many sequences of each output a period of the stream is made.
        micro_batches: of one rank in a step.
        is_mapped: whether the shards are local files.
        fingerprint: of the shards.
    """

    def __init__(
        self,
        output: Outputs,
        *,
        micro_batch_sequences: int,
        global_batch_sequences: int | None = None,
        columns: Sequence[str] = ("cu_seqlens", "position_ids", "labels"),
        shuffle: Shuffle = "sequences",
        seed: int = 0,
        window_blocks: int = 32,
        epochs: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        filesystem: fs.FileSystem | None = None,
    ):
        """Reads the manifest and compares the files with it.

        Args:
            output: the folder of a finished run: a path, or a URI that pyarrow knows (`s3://...`). Or
                several, that are read at once: a mapping of each to its weight, a number above 0; or a
                sequence of them, weighted by their numbers of sequences. After any number n of sequences
                each output was given n times its share of the weights, to within one sequence; every
                sequence of an output comes once in each of that output's epochs.
            micro_batch_sequences: B, sequences of a batch of one rank.
            global_batch_sequences: G, sequences of an optimiser step over all ranks: a multiple of ranks *
                B, which is also the default.
            columns: of COLUMNS; no other is computed.
            shuffle: `sequences` over all of an epoch; `blocks`, of 256 sequences, and inside windows of
                them, for what is slow at random access: object stores, hard disks; `none`.
            seed: of the order, in [0, 2^64).
            window_blocks: blocks that are mixed with each other.
            epochs: where the stream ends, at the last whole step; None is never. Of several outputs it ends
                where one of them would begin another epoch.
            rank: which share is read, of the ranks that read different data.
            world_size: how many there are. Both by default from torch.distributed where that is
                initialised, else from RANK and WORLD_SIZE in the environment, else 0 of 1.
            filesystem: what `output` is a path of; see `ShardSet`.

        Raises:
            ModuleNotFoundError: torch is not installed.
            ValueError: a setting is outside its range, or the ranks cannot share a step equally.
            InputError: there is no finished run, or too few sequences for a step.
            VerifyError: the files are not what the manifest says.
        """
        if torch is None:
            raise ModuleNotFoundError(
                "TokenDataset needs torch: pip install 'sluice[train]', or a torch of your own",
                name="torch",
            )
        outputs, weights = _weighted(output)
        self._shards = ShardSets(outputs, filesystem=filesystem)
        self.format = self._shards.format
        self.is_mapped = self._shards.is_mapped
        self.fingerprint = self._shards.fingerprint
        orders = [
            Order(
                s.num_shards, s.sequences_per_shard, shuffle, _seed(seed, k), window_blocks
            ).check()
            for k, s in enumerate(self._shards.sets)
        ]
        self.quotas = quotas_of(weights or [order.num_sequences for order in orders])
        self.order = orders[0] if len(orders) == 1 else MixedOrder(orders, self.quotas)
        self.consumed = 0
        self._rank, self._world_size = _rank(rank, world_size)
        self._micro_batch = micro_batch_sequences
        at_once = self._world_size * micro_batch_sequences
        self.global_batch_sequences = (
            at_once if global_batch_sequences is None else global_batch_sequences
        )
        self._check(epochs)
        self.micro_batches = self.global_batch_sequences // at_once
        self._columns = _checked(columns)
        self._end = None if epochs is None else self.order.end(epochs)
        if not self.is_mapped:
            self._shards.keep(self._blocks_at_once(window_blocks))

    @property
    def first_order(self) -> Order:
        """The order of the first output, or of the only one."""
        return self.order.orders[0] if isinstance(self.order, MixedOrder) else self.order

    @property
    def num_sequences(self) -> int:
        """Sequences of an epoch; of several outputs, all that there are."""
        return self.order.num_sequences

    def __iter__(self) -> Iterator[TokenBatch]:
        """Yields this worker's micro-batches of this rank, from `consumed` on."""
        worker = get_worker_info()
        first, every = (0, 1) if worker is None else (worker.id, worker.num_workers)
        begin, step = self.consumed, -1
        for number in count(first, every):
            if number // self.micro_batches != step:
                step = number // self.micro_batches
                start = begin + step * self.global_batch_sequences
                if self._end is not None and start + self.global_batch_sequences > self._end:
                    return
                positions_P, numbers_P = self._share(start)
            at = number % self.micro_batches * self._micro_batch
            chosen = slice(at, at + self._micro_batch)
            yield self._batch(positions_P[chosen], numbers_P[chosen])

    def _share(self, start: int) -> tuple[Int64s, Int64s]:
        """Returns this rank's (positions_P, numbers_P) of the step at `start`, by place in the files."""
        positions_G = np.arange(start, start + self.global_batch_sequences)
        numbers_G = self.order.sequences(positions_G)
        each = self.global_batch_sequences // self._world_size
        first = self._rank * each
        by_place_P = np.argsort(numbers_G, kind="stable")[first : first + each]
        return positions_G[by_place_P], numbers_G[by_place_P]

    def _batch(self, positions_B: Int64s, numbers_B: Int64s) -> TokenBatch:
        rows = self._shards.rows(numbers_B)
        known = {"positions": positions_B, "sequences": numbers_B}
        if "outputs" in self._columns:
            known["outputs"] = self.order.outputs(numbers_B)
        arrays: dict[str, Array] = {n: known[n] for n in known if n in self._columns}
        longest = None
        if "labels" in self._columns:
            arrays["labels"] = loader_columns.labels(rows, pad_id=self.format.pad_id)
        if self._columns & _OF_SEGMENTS:
            starts_C1 = loader_columns.segment_starts(rows)
            for name in self._columns & {"position_ids", "document_ids"}:
                arrays[name] = getattr(loader_columns, name)(rows, starts_C1)
            if "cu_seqlens" in self._columns:
                arrays["cu_seqlens"], longest = loader_columns.cu_seqlens(starts_C1)
        tensors = {name: _tensor(array) for name, array in arrays.items()}
        return TokenBatch(_tensor(rows.tokens_BL), max_seqlen=longest, **tensors)

    def _blocks_at_once(self, window: int) -> int:
        """Returns how many blocks a rank reads from at a time, where the shuffle is `blocks`.

        Of a window its share, and as much more as the cuts between ranks wander from step to step: four
        standard deviations of a quantile of G draws, 1 / (2 sqrt(G)). A step may be in two windows.
        """
        share = 1 / self._world_size + 2 / math.sqrt(self.global_batch_sequences)
        return 2 * min(window, math.ceil(window * share)) + 2

    def _check(self, epochs: int | None) -> None:
        ranks, micro, step = self._world_size, self._micro_batch, self.global_batch_sequences
        if micro < 1 or step < 1 or (epochs is not None and epochs < 1):
            raise ValueError(
                "micro_batch_sequences, global_batch_sequences and epochs must be at least 1, "
                f"got {micro}, {step}, {epochs}"
            )
        if step % (ranks * micro):
            raise ValueError(
                f"global_batch_sequences = {step} must be a multiple of world_size * "
                f"micro_batch_sequences = {ranks} * {micro}, so that all ranks get the same number"
            )
        if step > self.num_sequences:
            raise InputError(
                f"the shards hold {self.num_sequences} sequences, fewer than a step of "
                f"global_batch_sequences = {step}"
            )
        if micro * self.format.sequence_length > MAX_BATCH_TOKENS:
            raise ValueError(
                f"micro_batch_sequences = {micro} of {self.format.sequence_length} tokens must be "
                "below 2^31 tokens: cu_seqlens are int32"
            )


class TokenLoader(DataLoader):  # type: ignore[misc]  # torch has no types
    """A DataLoader over a TokenDataset that knows how far the training loop is.

    What counts is what the loop was given, not what workers have read ahead. A step that was not given
    whole does not count: its gradients never reached the weights. Iterating again, and loading a state,
    resume after the last whole step.

    Only one iteration at a time.
    """

    def __init__(
        self,
        dataset: TokenDataset,
        *,
        num_workers: int = 0,
        prefetch_factor: int | None = None,
        pin_memory: bool = False,
        multiprocessing_context: str | None = None,
    ):
        """Makes the loader; worker processes start with the iteration.

        Args:
            dataset: one rank's.
            num_workers: processes that read; 0 reads in this one, which mapped files seldom need more than.
            prefetch_factor: micro-batches that each worker is ahead; 2 by default.
            pin_memory: copies batches to page-locked memory, for `.to("cuda", non_blocking=True)`.
            multiprocessing_context: how workers start. By default as torch does, but `spawn` where shards
                are not local: the threads of object stores' clients do not survive a fork.
        """
        if num_workers and not dataset.is_mapped and multiprocessing_context is None:
            multiprocessing_context = "spawn"
        super().__init__(
            dataset,
            batch_size=None,
            num_workers=num_workers,
            prefetch_factor=prefetch_factor,
            pin_memory=pin_memory,
            multiprocessing_context=multiprocessing_context,
            collate_fn=_for_transport,
        )
        self._consumed = dataset.consumed

    def __iter__(self) -> Iterator[TokenBatch]:
        """Yields the rank's micro-batches, from the first step that was not given whole."""
        begin = self.dataset.consumed = self._consumed
        batches = super().__iter__() if self.num_workers or self.pin_memory else iter(self.dataset)
        for number, batch in enumerate(batches, start=1):
            steps = number // self.dataset.micro_batches
            self._consumed = begin + steps * self.dataset.global_batch_sequences
            yield TokenBatch(*unflatten(batch)) if isinstance(batch, FlatBatch) else batch

    def state_dict(self) -> LoaderState:
        """Returns how far the run is; a few plain numbers, the same on every rank."""
        order = self.dataset.first_order
        return LoaderState(
            version=STATE_VERSION,
            consumed=self._consumed,
            seed=order.seed,
            shuffle=order.shuffle,
            window_blocks=order.window_blocks,
            shards=self.dataset.fingerprint,
            quotas=list(self.dataset.quotas),
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resumes after the whole steps of a state; ranks, workers, B and G may have changed.

        Raises:
            ValueError: the state is of another order, other shards or other weights: sequences would repeat
                or be lost.
        """
        state = {"quotas": [1], **state}
        for key, must in self.state_dict().items():
            if key != "consumed" and state.get(key) != must:
                raise ValueError(
                    f"{key} of the checkpoint must be {must!r}, as that of this loader, "
                    f"got {state.get(key)!r}"
                )
        consumed = state.get("consumed")
        if not isinstance(consumed, int) or consumed < 0:
            raise ValueError(f"consumed of the checkpoint must be a number, got {consumed!r}")
        self._consumed = consumed


def _for_transport(batch: TokenBatch) -> "TokenBatch | FlatBatch":
    """The collate function of batches that are made already: flattens what leaves a worker."""
    return batch if get_worker_info() is None else flatten(batch)


def _rank(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """Returns (rank, world size), from torch.distributed or the environment where they are not given."""
    if (rank is None) != (world_size is None):
        raise ValueError(f"give both rank and world_size or none, got {rank} and {world_size}")
    if rank is None or world_size is None:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            rank, world_size = torch.distributed.get_rank(), torch.distributed.get_world_size()
        else:
            rank = int(os.environ.get("RANK", "0"))
            world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if not 0 <= rank < world_size:
        raise ValueError(f"rank must be in [0, world_size), got {rank} of {world_size}")
    return rank, world_size


def _weighted(output: Outputs) -> tuple[list[str | os.PathLike[str]], list[float]]:
    """Returns the outputs, and the weights that were given."""
    if isinstance(output, str | os.PathLike):
        return [output], [1.0]
    if not output:
        raise ValueError("no output was given")
    if isinstance(output, Mapping):
        return list(output), list(output.values())
    return list(output), []


def _seed(seed: int, output: int) -> int:
    """Returns the seed of an output's order: that given for the first, and others for the others."""
    return seed if output == 0 else (seed + output * int(GOLDEN_RATIO)) % 2**64


def _checked(columns: Sequence[str]) -> frozenset[str]:
    for name in columns:
        if name not in COLUMNS:
            raise ValueError(f"columns has {name!r}{did_you_mean(name, COLUMNS)}")
    return frozenset(columns)


class _Mapped:
    """An array as NumPy's array interface, without the flag that it is read-only.

    torch has no tensors that cannot be written and would warn of each one. The memory itself stays
    protected. The array made from this keeps it alive, and with it the mapped file.
    """

    def __init__(self, array: Array):
        self._array = array
        address = array.__array_interface__["data"][0]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}


def _tensor(array: Array) -> "torch.Tensor":
    """Returns a tensor over the memory of an array."""
    return torch.from_numpy(array if array.flags.writeable else np.asarray(_Mapped(array)))
