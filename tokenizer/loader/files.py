"""The shards of a finished run as one numbered set of sequences, on a local disk or anywhere else.

Only what manifest.json names is read. Local shards are memory-mapped; others are read a record batch at
a time through pyarrow's file systems. Sequence n is row n % S of shard n // S, S being the sequences of
a shard.
"""

import hashlib
import os
import resource
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numba import types
from pyarrow import fs, ipc

from sluice.schemas.arrays import Int32s, Int64s
from sluice.schemas.errors import InputError, VerifyError
from sluice.schemas.kernel import kernel
from sluice.schemas.token_shard import ROWS_PER_BATCH, ShardFormat, shard_name

MANIFEST_VERSION: Final = 1
MAX_OPEN_SHARDS: Final = 4096
"""At most, and at most half of the files that the process may open: a mapped file is an open one."""
MAPPED_BATCHES: Final = 16_384
"""Views of record batches that are kept, about 1 KB each. Each may hold a map of a file that is no longer
open, and a process has 65,530 maps by default (vm.max_map_count)."""


class _Shard(msgspec.Struct):
    path: str
    bytes: int
    sha256: str
    sequences: int


class _Format(msgspec.Struct):
    sequence_length: int
    vocabulary_size: int
    pad_id: int
    eod_id: int
    sequences_per_shard: int


class _Manifest(msgspec.Struct):
    """What is read of manifest.json; docs/output.md has the rest."""

    manifest_version: int
    format: _Format
    shards: list[_Shard]


class Rows(NamedTuple):
    """Some sequences.

    Attributes:
        tokens_BL: (B, L) int32; read-only where it is a view of a mapped file.
        offsets_B1: (B + 1,) int32 into `ends_K`, from 0.
        ends_K: (K,) int32, where documents and parts of one end inside their sequence.
    """

    tokens_BL: Int32s
    offsets_B1: Int32s
    ends_K: Int32s


class _RecordBatch(NamedTuple):
    """Views of a record batch; `ends_K` is that of the whole buffer."""

    tokens_SL: Int32s
    offsets_S1: Int32s
    ends_K: Int32s


class ShardSet:
    """The sequences of all shards, by number. Pickles to its path: files are opened where it is used.

    Attributes:
        format: the numbers in the shards' schemas.
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
        self._name = os.fspath(output)
        self._filesystem, self._root = _located(self._name, filesystem)
        self.is_mapped = isinstance(self._filesystem, fs.LocalFileSystem)
        manifest = self._read_manifest()
        self.num_shards = len(manifest.shards)
        self.sequences_per_shard = manifest.format.sequences_per_shard
        numbers = msgspec.structs.asdict(manifest.format)
        self.format = ShardFormat(**{name: numbers[name] for name in ShardFormat._fields})
        self._check(manifest.shards)
        lines = (f"{shard.path} {shard.sequences} {shard.sha256}\n" for shard in manifest.shards)
        self.fingerprint = hashlib.sha256("".join(lines).encode()).hexdigest()
        self.keep(MAPPED_BATCHES)

    def __len__(self) -> int:
        """The number of sequences."""
        return self.num_shards * self.sequences_per_shard

    def keep(self, num_batches: int) -> None:
        """Sets how many record batches stay at hand; one that is not mapped holds its bytes in memory."""
        self._num_kept = num_batches
        self._shard = lru_cache(_max_open_shards())(self._open)
        self._batch = lru_cache(num_batches)(self._read)

    def rows(self, numbers_B: Int64s) -> Rows:
        """Returns sequences by (B,) int64 numbers in [0, N), in that order.

        Neighbours of one record batch come as a view of it. Others are copied, once, to stand in one
        array.

        Raises:
            InputError: a shard cannot be read.
            VerifyError: a shard is not what the manifest says.
        """
        batch_B, row_B, starts_R = np.empty((3, len(numbers_B) + 1), np.int64)
        num_runs, adjacent = _runs(numbers_B, self.sequences_per_shard, batch_B, row_B, starts_R)
        if adjacent:
            return _view(self._batch(int(batch_B[0])), int(row_B[0]), len(numbers_B))
        num_rows, length = len(numbers_B), self.format.sequence_length
        tokens_BL = np.empty((num_rows, length), np.int32)
        offsets_B1 = np.zeros(num_rows + 1, np.int32)
        ends_K = np.empty(num_rows * length, np.int32)  # as many as there can be; few are touched
        for start, stop in pairwise(starts_R[: num_runs + 1].tolist()):
            batch = self._batch(int(batch_B[start]))
            _gather(*batch, row_B[start:stop], start, tokens_BL, offsets_B1, ends_K)
        return Rows(tokens_BL, offsets_B1, ends_K[: offsets_B1[-1]].copy())

    @property
    def _batches_per_shard(self) -> int:
        return -(-self.sequences_per_shard // ROWS_PER_BATCH)

    def _read_manifest(self) -> _Manifest:
        path = f"{self._root}/manifest.json"
        try:
            with self._filesystem.open_input_file(path) as file:
                text = file.read()
        except FileNotFoundError:
            raise InputError(
                f"{self._name}: must be the output of a finished run, but has no manifest.json"
            ) from None
        if self._filesystem.get_file_info(f"{self._root}/COMPLETED").type != fs.FileType.File:
            raise InputError(
                f"{self._name}: has no COMPLETED: its run did not finish, or is at work again"
            )
        try:
            manifest = msgspec.json.decode(text, type=_Manifest)
        except msgspec.MsgspecError as failure:
            raise VerifyError(f"{self._name}/manifest.json: {failure}") from None
        if manifest.manifest_version != MANIFEST_VERSION:
            raise VerifyError(
                f"{self._name}/manifest.json: manifest_version must be {MANIFEST_VERSION}, "
                f"got {manifest.manifest_version}"
            )
        return manifest

    def _check(self, shards: list[_Shard]) -> None:
        """Compares the manifest with itself and with a listing of the folder."""
        if not len(self):
            raise InputError(f"{self._name}: its shards hold no sequence")
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
                        f"{self._name}/manifest.json: shards[{index}].{what} must be {must}, got {got}"
                    )
            if name not in sizes:
                raise VerifyError(f"{self._name}/{shard.path}: is missing")
            if sizes[name] != shard.bytes:
                raise VerifyError(
                    f"{self._name}/{shard.path}: must have {shard.bytes} bytes, got {sizes[name]}"
                )

    def _open(self, shard: int) -> Any:
        """Returns the reader of a shard."""
        name = f"tokens/{shard_name(shard, num_shards=self.num_shards)}"
        path = f"{self._root}/{name}"
        try:
            file = pa.memory_map(path) if self.is_mapped else self._filesystem.open_input_file(path)
            reader = ipc.open_file(file)
            found = ShardFormat.of(reader.schema)
        except OSError as failure:
            raise InputError(f"{self._name}/{name}: cannot be read: {failure}") from failure
        except (pa.ArrowException, VerifyError) as failure:
            raise VerifyError(f"{self._name}/{name}: {failure}") from None
        if found != self.format or reader.num_record_batches != self._batches_per_shard:
            raise VerifyError(
                f"{self._name}/{name}: must have {self._batches_per_shard} record batches of "
                f"{self.format}, got {reader.num_record_batches} of {found}"
            )
        return reader

    def _read(self, batch: int) -> _RecordBatch:
        """Returns a record batch, counted through all shards."""
        shard, index = divmod(batch, self._batches_per_shard)
        must = min(ROWS_PER_BATCH, self.sequences_per_shard - index * ROWS_PER_BATCH)
        where = f"{self._name}: shard {shard}, record batch {index}"
        reader = self._shard(shard)
        try:
            rows = reader.get_batch(index)
        except OSError as failure:
            raise InputError(f"{where}: cannot be read: {failure}") from failure
        except pa.ArrowException as failure:
            raise VerifyError(f"{where}: {failure}") from None
        if rows.num_rows != must:
            raise VerifyError(f"{where}: must have {must} rows, got {rows.num_rows}")
        tokens_T = rows.column("tokens").flatten().to_numpy(zero_copy_only=True)
        offsets_S1 = rows.column("doc_ends").offsets.to_numpy()
        ends_K = rows.column("doc_ends").values.to_numpy()
        if not _are_ends(offsets_S1, ends_K, self.format.sequence_length):
            raise VerifyError(
                f"{where}: doc_ends must increase inside the sequence; `sluice verify` says more"
            )
        return _RecordBatch(tokens_T.reshape(must, -1), offsets_S1, ends_K)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_shard", "_batch")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.keep(self._num_kept)


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
        found, path = fs.FileSystem.from_uri(output)
    except (OSError, pa.ArrowException) as failure:
        raise InputError(f"{output}: must be a folder or a URI: {failure}") from None
    return found, path.rstrip("/")


def _view(batch: _RecordBatch, row: int, num_rows: int) -> Rows:
    """Returns neighbouring rows without a copy of their tokens."""
    offsets_B1 = batch.offsets_S1[row : row + num_rows + 1]
    ends_K = batch.ends_K[offsets_B1[0] : offsets_B1[-1]]
    return Rows(batch.tokens_SL[row : row + num_rows], offsets_B1 - offsets_B1[0], ends_K)


_READ = types.Array(types.int32, 1, "C", readonly=True)
_TABLE = types.Array(types.int32, 2, "C", readonly=True)
_NUMBERS = types.Array(types.int64, 1, "C", readonly=True)


@kernel(
    types.Tuple((types.int64, types.boolean))(
        _NUMBERS, types.int64, types.int64[::1], types.int64[::1], types.int64[::1]
    )
)
def _runs(numbers_B, each, batch_B, row_B, starts_R):  # type: ignore[no-untyped-def]  # numba types it
    """Says where sequences are, and which stand together in one record batch.

    Writes the record batch of each, counted through all shards, its row there, and where runs of one
    record batch begin, with B at the end. Returns (number of runs, whether all are neighbours).
    """
    num_runs, adjacent = 0, True
    per_shard = (each + ROWS_PER_BATCH - 1) // ROWS_PER_BATCH
    for b in range(len(numbers_B)):
        shard, row = numbers_B[b] // each, numbers_B[b] % each
        batch_B[b] = shard * per_shard + row // ROWS_PER_BATCH
        row_B[b] = row % ROWS_PER_BATCH
        if b == 0 or batch_B[b] != batch_B[b - 1]:
            starts_R[num_runs] = b
            num_runs += 1
        elif row_B[b] != row_B[b - 1] + 1:
            adjacent = False
    starts_R[num_runs] = len(numbers_B)
    return num_runs, adjacent and num_runs == 1


@kernel(types.boolean(_READ, _READ, types.int64))
def _are_ends(offsets_S1, ends_K, length):  # type: ignore[no-untyped-def]  # numba types it
    """Says whether every sequence has ends that increase inside it: what the kernels rely on."""
    if offsets_S1[0] < 0 or offsets_S1[-1] > len(ends_K):
        return False
    for s in range(len(offsets_S1) - 1):
        if offsets_S1[s + 1] <= offsets_S1[s] or offsets_S1[s + 1] > len(ends_K):
            return False
        last = 0
        for k in range(offsets_S1[s], offsets_S1[s + 1]):
            if ends_K[k] <= last or ends_K[k] > length:
                return False
            last = ends_K[k]
    return True


@kernel(
    types.void(
        _TABLE,
        _READ,
        _READ,
        _NUMBERS,
        types.int64,
        types.int32[:, ::1],
        types.int32[::1],
        types.int32[::1],
    )
)
def _gather(  # type: ignore[no-untyped-def]  # numba types it
    tokens_SL, offsets_S1, ends_K, rows_Q, first, tokens_BL, offsets_B1, ends_out_K
):
    """Copies rows of a record batch behind the `first` rows that are there, with their ends."""
    for q in range(len(rows_Q)):
        row, b = rows_Q[q], first + q
        tokens_BL[b] = tokens_SL[row]
        at = offsets_B1[b]
        for k in range(offsets_S1[row], offsets_S1[row + 1]):
            ends_out_K[at] = ends_K[k]
            at += 1
        offsets_B1[b + 1] = at
