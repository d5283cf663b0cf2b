"""The shards of a finished run as one numbered set of sequences, on a local disk or anywhere else.

Only what manifest.json names is read. Local shards are memory-mapped; others are read a record batch at
a time through pyarrow's file systems. Sequence n is row n % S of shard n // S, S being the sequences of
a shard.
"""

import hashlib
import os
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import fs, ipc

from sluice.schemas.arrays import Int32s, Int64s
from sluice.schemas.errors import InputError, VerifyError
from sluice.schemas.token_shard import ROWS_PER_BATCH, ShardFormat, shard_name
from sluice.tokenizer.loader.manifest import ListedShard, ListedShards, parse

MAX_OPEN_SHARDS: Final = 4096
"""At most, and at most half of the files that the process may open: a mapped file is an open one."""
MAPPED_BATCHES: Final = 16_384
"""Views of record batches that are kept, about 1 KB each. Each may hold a map of a file that is no longer
open, and a process has 65,530 maps by default (vm.max_map_count)."""


class Rows(NamedTuple):
    """Some sequences, or those of a record batch.

    Attributes:
        tokens_BL: (B, L) int32; read-only where it is a view of a mapped file.
        offsets_B1: (B + 1,) int32 into `ends_K`, from 0 but for record batches.
        ends_K: (K,) int32, where documents and parts of one end inside their sequence.
    """

    tokens_BL: Int32s
    offsets_B1: Int32s
    ends_K: Int32s


Place = tuple[Rows, int]
"""A record batch, and a row of it."""


class ShardSet:
    """The sequences of all shards, by number. Pickles to its path: files are opened where it is used.

    Attributes:
        name: of the output, as it was given.
        format: the numbers in the shards' schemas.
        tokenizer: SHA-256 of its tokenizer.json, where the manifest has it.
        num_shards: at least 1.
        sequences_per_shard: S, equal in all.
        fingerprint: SHA-256 of the names, lengths and SHA-256 of all shards, hexadecimal.
        is_mapped: whether the shards are local files.
    """

    def __init__(self, output: str | os.PathLike[str], *, filesystem: fs.FileSystem | None = None):
        """Reads the manifest and compares names and sizes of the shards with it; opens none.

        Args:
            output: the folder of a finished run: a path, or a URI that pyarrow knows (`s3://...`).
            filesystem: what `output` is a path of; a file system of fsspec goes in as
                `pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(...))`.

        Raises:
            InputError: there is no finished run.
            VerifyError: the manifest cannot be understood, or a shard is missing or has another size.
        """
        self.name = os.fspath(output)
        self._filesystem, self._root = _located(self.name, filesystem)
        self.is_mapped = isinstance(self._filesystem, fs.LocalFileSystem)
        manifest = self._read_manifest()
        self.num_shards = len(manifest.shards)
        self.sequences_per_shard = manifest.sequences_per_shard
        self.format = manifest.format
        self.tokenizer = manifest.tokenizer
        self._check(manifest.shards)
        lines = (f"{shard.path} {shard.sequences} {shard.sha256}\n" for shard in manifest.shards)
        self.fingerprint = hashlib.sha256("".join(lines).encode()).hexdigest()
        self.keep(MAPPED_BATCHES)

    def __len__(self) -> int:
        """The number of sequences."""
        return self.num_shards * self.sequences_per_shard

    def keep(self, num_batches: int) -> None:
        """Sets how many record batches are cached; one that is not mapped holds its bytes in memory."""
        self._num_kept = num_batches
        self._shard = lru_cache(_max_open_shards())(self._open)
        self._batch = lru_cache(num_batches)(self._read)

    def rows(self, numbers_B: Int64s) -> Rows:
        """Returns sequences by (B,) int64 numbers in [0, N), in that order.

        Neighbours of one record batch come as a view of it. Others are copied, once, into one array.

        Raises:
            InputError: a shard cannot be read.
            VerifyError: a shard is not what the manifest says.
        """
        places = self.places(numbers_B)
        batch, row = places[0]
        if batch is places[-1][0] and (np.diff(numbers_B) == 1).all():
            return _view(batch, row, len(numbers_B))
        return gathered(places)

    def places(self, numbers_B: Int64s) -> list[Place]:
        """Returns the record batch that each sequence is in, and its row there; see `rows`."""
        shard_B, place_B = np.divmod(numbers_B, self.sequences_per_shard)
        batch_B, row_B = np.divmod(place_B, ROWS_PER_BATCH)
        batch_B += shard_B * self._batches_per_shard
        return [
            (self._batch(b), row) for b, row in zip(batch_B.tolist(), row_B.tolist(), strict=True)
        ]

    @property
    def _batches_per_shard(self) -> int:
        return -(-self.sequences_per_shard // ROWS_PER_BATCH)

    def _read_manifest(self) -> ListedShards:
        path = f"{self._root}/manifest.json"
        try:
            with self._filesystem.open_input_file(path) as file:
                text = file.read()
        except FileNotFoundError:
            raise InputError(
                f"{self.name}: must be the output of a finished run, but has no manifest.json"
            ) from None
        if self._filesystem.get_file_info(f"{self._root}/COMPLETED").type != fs.FileType.File:
            raise InputError(
                f"{self.name}: has no COMPLETED: its run did not finish, or is running again"
            )
        with _named_failures(f"{self.name}/manifest.json"):
            return parse(text)

    def _check(self, shards: Sequence[ListedShard]) -> None:
        """Compares the manifest with itself and with a listing of the folder."""
        if not len(self):
            raise InputError(f"{self.name}: its shards hold no sequence")
        folder = fs.FileSelector(f"{self._root}/tokens", allow_not_found=True)
        sizes = {info.base_name: info.size for info in self._filesystem.get_file_info(folder)}
        for index, shard in enumerate(shards):
            name = shard_name(index, num_shards=self.num_shards)
            for what, must, got in (
                ("path", f"tokens/{name}", shard.path),
                ("sequences", self.sequences_per_shard, shard.sequences),
            ):
                if must != got:
                    raise VerifyError(
                        f"{self.name}/manifest.json: shards[{index}].{what} must be {must}, got {got}"
                    )
            if name not in sizes:
                raise VerifyError(f"{self.name}/{shard.path}: is missing")
            if sizes[name] != shard.bytes:
                raise VerifyError(
                    f"{self.name}/{shard.path}: must have {shard.bytes} bytes, got {sizes[name]}"
                )

    def _open(self, shard: int) -> Any:
        """Returns the reader of a shard."""
        name = f"tokens/{shard_name(shard, num_shards=self.num_shards)}"
        path = f"{self._root}/{name}"
        with _named_failures(f"{self.name}/{name}"):
            file = pa.memory_map(path) if self.is_mapped else self._filesystem.open_input_file(path)
            reader = ipc.open_file(file)
            format = ShardFormat.of(reader.schema)
            if format != self.format or reader.num_record_batches != self._batches_per_shard:
                raise VerifyError(
                    f"must have {self._batches_per_shard} record batches of {self.format}, "
                    f"got {reader.num_record_batches} of {format}"
                )
        return reader

    def _read(self, batch: int) -> Rows:
        """Returns a record batch, counted through all shards."""
        shard, index = divmod(batch, self._batches_per_shard)
        must = min(ROWS_PER_BATCH, self.sequences_per_shard - index * ROWS_PER_BATCH)
        reader = self._shard(shard)
        with _named_failures(f"{self.name}: shard {shard}, record batch {index}"):
            rows = reader.get_batch(index)
            if rows.num_rows != must:
                raise VerifyError(f"must have {must} rows, got {rows.num_rows}")
            tokens_T = rows.column("tokens").flatten().to_numpy(zero_copy_only=True)
            offsets_S1 = rows.column("doc_ends").offsets.to_numpy()
            ends_K = rows.column("doc_ends").values.to_numpy()
            if not _are_ends(offsets_S1, ends_K, self.format.sequence_length):
                raise VerifyError(
                    "doc_ends must increase inside the sequence; `sluice verify` says more"
                )
        return Rows(tokens_T.reshape(must, -1), offsets_S1, ends_K)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_shard", "_batch")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.keep(self._num_kept)


@contextmanager
def _named_failures(name: str) -> Iterator[None]:
    """Turns failures to read a file into errors that begin with its name."""
    try:
        yield
    except OSError as failure:
        raise InputError(f"{name}: cannot be read: {failure}") from failure
    except (pa.ArrowException, VerifyError) as failure:
        raise VerifyError(f"{name}: {failure}") from None


def _max_open_shards() -> int:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MAX_OPEN_SHARDS if limit == resource.RLIM_INFINITY else min(MAX_OPEN_SHARDS, limit // 2)


def _located(output: str, filesystem: fs.FileSystem | None) -> tuple[fs.FileSystem, str]:
    """Returns the file system of an output and the path in it."""
    if filesystem is not None:
        return filesystem, output.rstrip("/")
    if "://" not in output:
        return fs.LocalFileSystem(), os.path.abspath(output)
    try:
        filesystem, path = fs.FileSystem.from_uri(output)
    except (OSError, pa.ArrowException) as failure:
        raise InputError(f"{output}: must be a folder or a URI: {failure}") from None
    return filesystem, path.rstrip("/")


def gathered(places: Sequence[Place]) -> Rows:
    """Returns the sequences at some places, copied once into one array."""
    first, _ = places[0]
    tokens_BL = np.empty((len(places), first.tokens_BL.shape[1]), np.int32)
    ends: list[Int32s] = []
    for b, (batch, row) in enumerate(places):
        tokens_BL[b] = batch.tokens_BL[row]
        ends.append(batch.ends_K[batch.offsets_B1[row] : batch.offsets_B1[row + 1]])
    offsets_B1 = np.zeros(len(ends) + 1, np.int32)
    np.cumsum([len(each) for each in ends], out=offsets_B1[1:])
    return Rows(tokens_BL, offsets_B1, np.concatenate(ends))


def _view(batch: Rows, row: int, num_rows: int) -> Rows:
    """Returns neighbouring rows without a copy of their tokens."""
    offsets_B1 = batch.offsets_B1[row : row + num_rows + 1]
    ends_K = batch.ends_K[offsets_B1[0] : offsets_B1[-1]]
    return Rows(batch.tokens_BL[row : row + num_rows], offsets_B1 - offsets_B1[0], ends_K)


def _are_ends(offsets_S1: Int32s, ends_K: Int32s, length: int) -> bool:
    """Returns whether every sequence has ends that increase inside it: what all that read them rely on."""
    if offsets_S1[0] < 0 or (np.diff(offsets_S1) < 1).any() or offsets_S1[-1] > len(ends_K):
        return False
    owned_K = ends_K[offsets_S1[0] : offsets_S1[-1]]
    before_K = np.append(np.int32(0), owned_K[:-1])
    before_K[offsets_S1[:-1] - offsets_S1[0]] = 0
    return bool((owned_K > before_K).all() and (owned_K <= length).all())
