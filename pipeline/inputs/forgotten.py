"""Posts that were forgotten, as a run knows them: keyed hashes of their ids, of tombstones in any folders.

Shape suffixes: N ids, K posts that were forgotten.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
import pyarrow as pa

from sluice.filters.privacy.keyed_ids import IdKey
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.tombstones import read_tombstones
from sluice.schemas.arrays import Bools, Uint64s
from sluice.schemas.errors import InputError
from sluice.schemas.mapped_arrays import map_arrays, packed, unpacked_arrays

HEEDED: Final = "work/forgotten.arrays"
"""The posts that a run leaves out because they were forgotten, in its output."""


@dataclass(frozen=True, eq=False)
class ForgottenPosts:
    """Posts that were forgotten.

    Attributes:
        keys_K2: (K, 2) uint64, the two halves of the hash of each post's id, ascending, each once.
        key_check: which key the hashes are of; "" of no post.
    """

    keys_K2: Uint64s
    key_check: str = ""

    def __len__(self) -> int:
        """How many posts."""
        return len(self.keys_K2)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the hashes, hexadecimal."""
        return hashlib.sha256(self.packed()).hexdigest()

    def packed(self) -> bytes:
        """Returns the bytes of a file of them."""
        check = np.frombuffer(self.key_check.encode(), np.uint8)
        return packed({"keys": self.keys_K2, "check": check})

    def less(self, others: "ForgottenPosts") -> "ForgottenPosts":
        """Returns those that are not among others."""
        return ForgottenPosts(self.keys_K2[~others.have(self.keys_K2)], self.key_check)

    def have(self, keys_N2: Uint64s) -> Bools:
        """Returns (N,) bool, which of these hashes are those of posts that were forgotten."""
        first_K = self.keys_K2[:, 0]
        at_N = np.searchsorted(first_K, keys_N2[:, 0])
        found_N = np.zeros(len(keys_N2), np.bool_)
        there_M = np.flatnonzero(at_N < len(self))
        there_M = there_M[first_K[at_N[there_M]] == keys_N2[there_M, 0]]
        for m in there_M.tolist():  # hardly any but those that are sought
            stop = np.searchsorted(first_K, keys_N2[m, 0], side="right")
            found_N[m] = (self.keys_K2[at_N[m] : stop, 1] == keys_N2[m, 1]).any()
        return found_N

    def have_ids(self, ids: pa.StringArray, key: IdKey) -> Bools:
        """Returns (N,) bool, which ids are those of posts that were forgotten; null is none."""
        if not len(self):
            return np.zeros(len(ids), np.bool_)
        return np.asarray(self.have(key.halves(ids)) & np.asarray(ids.is_valid()))


NOTHING: Final = ForgottenPosts(np.empty((0, 2), np.uint64))
"""No post."""


def forgotten_of(folders: Iterable[str]) -> ForgottenPosts:
    """Returns the posts of the tombstones in folders; a folder that is not there has none.

    Raises:
        OutputError: a file is none of tombstones, or the files of a folder are of different keys.
        InputError: two folders are of different keys.
    """
    hashes, key_check = [NOTHING.keys_K2], ""
    for folder in folders:
        rows, check = read_tombstones(folder)
        if key_check and check and check != key_check:
            raise InputError(
                f"{folder}: its tombstones are of another key than those of the folders before it: a run "
                f"knows ids under one key; leave the folder out, or forget these posts again under that key"
            )
        hashes.append(halves_of(rows["post_key"]))
        key_check = key_check or check or ""
    return ForgottenPosts(np.unique(np.concatenate(hashes), axis=0), key_check)


def halves_of(keys: pa.ChunkedArray) -> Uint64s:
    """Returns (N, 2) uint64, the two halves of hashes of 32 hexadecimal digits, none of them null."""
    digests = bytes.fromhex("".join(keys.to_pylist()))
    return np.frombuffer(digests, ">u8").reshape(-1, 2).astype(np.uint64)


def write_heeded(output: str, forgotten: ForgottenPosts) -> None:
    """Writes the posts that a run leaves out, for workers and later runs; no file where there are none."""
    path = storage.join(output, HEEDED)
    if len(forgotten):
        storage.write_bytes(path, forgotten.packed())
    else:
        storage.delete(path)


def read_heeded(output: str) -> ForgottenPosts:
    """Returns the posts that the last run of an output left out."""
    try:
        return _unpacked(unpacked_arrays(storage.read_bytes(storage.join(output, HEEDED))))
    except FileNotFoundError:
        return NOTHING


@lru_cache(maxsize=2)
def map_heeded(path: str, digest: str) -> ForgottenPosts:
    """Returns the posts of a file that `write_heeded` wrote, mapped; once a process.

    Raises:
        InputError: they are not those of this digest.
    """
    forgotten = _unpacked(map_arrays(local_copies.fetch(path)))
    if forgotten.digest != digest:
        raise InputError(
            f"{path}: was changed while the run is at work; run the same command again"
        )
    return forgotten


def _unpacked(arrays: dict[str, Uint64s]) -> ForgottenPosts:
    return ForgottenPosts(arrays["keys"], arrays["check"].tobytes().decode())
