"""Writes MDS, the format of MosaicML streaming: FOLDER/index.json and FOLDER/shard.00000.mds, ...

A shard, little-endian: uint32 N, the number of samples; uint32 (N + 1,), where each sample begins
and the last ends; a JSON text that says what the columns are; the samples. A sample: for every column
whose size differs from sample to sample, in the order of names, a uint32 with its bytes; then the
columns. All columns here are arrays of int32:

- `ndarray:int32:L`, where every sample has L values: the values.
- `ndarray:int32`: a byte, 4 + k; the number of values in 1, 2 or 4 bytes (k is 0, 1 or 2); the values.

index.json has one row per shard, with its bytes and SHA-256 (`StreamingDataset(validate_hash="sha256")`).

Source: `streaming.base.format.mds` of mosaicml-streaming 0.13.0; files are equal, byte for byte, to
those of its `MDSWriter(hashes=["sha256"])`.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sluice.schemas.arrays import Array, Int32s, Int64s, Uint8s
from sluice.tokenizer.runs import copy_runs

SIZE_LIMIT = 1 << 26
"""Bytes of a shard, as in `MDSWriter`; one of them is in memory at a time."""


class Arrays(NamedTuple):
    """One array of int32 for each of N samples.

    Attributes:
        values_V: (V,) int32, the arrays one after the other.
        lengths_N: (N,) int32 or int64, at least 1; they add up to V.
    """

    values_V: Int32s
    lengths_N: Int32s | Int64s


class MdsWriter:
    """Writes a dataset; index.json is written when the `with` block ends without an error.

    The cuts of what comes in do not matter.

    Attributes:
        num_samples: written so far.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        columns: Mapping[str, int | None],
        size_limit: int = SIZE_LIMIT,
    ):
        """Begins a dataset.

        Args:
            folder: an existing folder.
            columns: name -> the number of values that every sample has, or None where it differs.
            size_limit: bytes of a shard at most, unless one sample is larger; below 2**32.
        """
        self._folder = Path(folder)
        self._columns = {name: columns[name] for name in sorted(columns)}
        self._config = _config(self._columns, size_limit)
        self._header = json.dumps(self._config, sort_keys=True).encode()
        self._shards: list[dict[str, Any]] = []
        self.num_samples = 0
        self._begin()

    def _begin(self) -> None:
        self._pending: list[Uint8s] = []
        self._sizes: list[Int64s] = []
        self._room = self._config["size_limit"] - 8 - len(self._header)

    def write(self, columns: Mapping[str, Arrays]) -> None:
        """Appends N samples.

        Raises:
            ValueError: other columns than the dataset's, or lengths that are not those of the values.
        """
        _check(columns, self._columns)
        bytes_B, sizes_N = _encode({name: columns[name] for name in self._columns}, self._columns)
        self.num_samples += len(sizes_N)
        first = 0
        while len(sizes_N):
            fitting = int(np.searchsorted(np.cumsum(sizes_N + 4), self._room, side="right"))
            if not fitting and self._pending:
                self._flush()
                continue
            taken = max(fitting, 1)
            num_bytes = int(sizes_N[:taken].sum())
            self._pending.append(bytes_B[first : first + num_bytes])
            self._sizes.append(sizes_N[:taken])
            self._room -= num_bytes + 4 * taken
            first, sizes_N = first + num_bytes, sizes_N[taken:]

    def _flush(self) -> None:
        """Writes the pending samples as a shard."""
        sizes_N = np.concatenate(self._sizes)
        begin = 4 + 4 * (len(sizes_N) + 1) + len(self._header)
        offsets_N1 = begin + np.concatenate([[0], np.cumsum(sizes_N)])
        if offsets_N1[-1] >= 2**32:
            raise ValueError("a sample must be below 4 GiB")
        head = np.concatenate([[len(sizes_N)], offsets_N1]).astype("<u4").tobytes() + self._header
        name = f"shard.{len(self._shards):05d}.mds"
        digest, num_bytes = hashlib.sha256(), 0
        with open(self._folder / name, "wb") as file:
            for part in (memoryview(head), *(part.data for part in self._pending)):
                digest.update(part)
                num_bytes += file.write(part)
        raw = {"basename": name, "bytes": num_bytes, "hashes": {"sha256": digest.hexdigest()}}
        counts = {"samples": len(sizes_N), "raw_data": raw, "zip_data": None}
        self._shards.append({**counts, **self._config})
        self._begin()

    def __enter__(self) -> "MdsWriter":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            if self._pending:
                self._flush()
            index = {"version": 2, "shards": self._shards}
            (self._folder / "index.json").write_text(json.dumps(index, sort_keys=True))


def _config(columns: Mapping[str, int | None], size_limit: int) -> dict[str, Any]:
    plain = "ndarray:int32"
    return {
        "version": 2,
        "format": "mds",
        "compression": None,
        "hashes": ["sha256"],
        "size_limit": size_limit,
        "column_names": list(columns),
        "column_encodings": [f"{plain}:{n}" if n else plain for n in columns.values()],
        "column_sizes": [4 * n if n else None for n in columns.values()],
    }


def _check(columns: Mapping[str, Arrays], expected: Mapping[str, int | None]) -> None:
    if set(columns) != set(expected):
        raise ValueError(f"must have the columns {sorted(expected)}, got {sorted(columns)}")
    if len({len(arrays.lengths_N) for arrays in columns.values()}) > 1:
        raise ValueError("columns must have the same number of samples")
    for name, (values_V, lengths_N) in columns.items():
        wrong = len(lengths_N) and lengths_N.min() < 1
        if wrong or int(lengths_N.sum()) != len(values_V):
            raise ValueError(f"{name}: lengths must be at least 1 and add up to the values")
        if expected[name] is not None and (lengths_N != expected[name]).any():
            raise ValueError(f"{name}: every sample must have {expected[name]} values")


def _encode(
    columns: Mapping[str, Arrays], fixed: Mapping[str, int | None]
) -> tuple[Uint8s, Int64s]:
    """Returns the samples, one after the other, and (N,) the bytes of each; columns in order."""
    bodies = {name: _body(arrays, fixed=fixed[name]) for name, arrays in columns.items()}
    fields = [_size(body) for name, body in bodies.items() if fixed[name] is None]
    fields += [field for body in bodies.values() for field in body]
    sizes_N = _num_bytes(fields)
    target_N = np.cumsum(sizes_N) - sizes_N
    out_B = np.empty(int(sizes_N.sum()), np.uint8)
    for field in fields:
        copy_runs(*field, target_N, out_B)
        target_N += field.length_N
    return out_B, sizes_N


class _Field(NamedTuple):
    """Some bytes of every sample: `length_N` from `start_N` on in `bytes_B`."""

    bytes_B: Uint8s
    start_N: Int64s
    length_N: Int64s

    @classmethod
    def of(cls, values: Array, length_N: Int64s) -> "_Field":
        """Returns fields that follow each other."""
        flat = np.ascontiguousarray(values).view(np.uint8)
        return cls(flat, np.cumsum(length_N) - length_N, length_N)


def _num_bytes(fields: list[_Field]) -> Int64s:
    """Returns (N,) the bytes that the fields of each sample have together."""
    return np.asarray(np.sum([field.length_N for field in fields], axis=0), np.int64)


def _size(body: list[_Field]) -> _Field:
    """Returns how many bytes a column of differing size has in each sample, as uint32."""
    num_N = _num_bytes(body)
    return _Field.of(num_N.astype("<u4"), np.full(len(num_N), 4, np.int64))


def _body(arrays: Arrays, *, fixed: int | None) -> list[_Field]:
    """Returns a column: the values, and before them how many there are, where that differs."""
    length_N = 4 * np.ascontiguousarray(arrays.lengths_N, np.int64)
    values = _Field.of(arrays.values_V.astype("<i4", copy=False), length_N)
    return [values] if fixed is not None else [_shape(arrays.lengths_N), values]


def _shape(lengths_N: Int32s | Int64s) -> _Field:
    """Returns what precedes the values of an array: its dimensions, 1, and its length."""
    code_N = (lengths_N >= 1 << 8).astype(np.int64) + (lengths_N >= 1 << 16)
    head_N5 = np.empty((len(lengths_N), 5), np.uint8)
    head_N5[:, 0] = (1 << 2) | code_N
    head_N5[:, 1:] = lengths_N.astype("<u4").view(np.uint8).reshape(-1, 4)
    start_N = 5 * np.arange(len(lengths_N), dtype=np.int64)
    return _Field(head_N5.reshape(-1), start_N, 1 + (1 << code_N))
