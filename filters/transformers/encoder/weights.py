"""The encoder's file: a safetensors file of whole numbers with their scales, which any engine maps.

Pieces are kept in blocks of 32 weights of 4 bits with a float16 scale, as multilingual-e5-small was packed;
the matrices of layers as int8 with a float32 scale for each output; all else is float32. The header has the
encoder's sizes. The weights begin at a multiple of 64 bytes, and each tensor but the last ones does, so that
ONNX Runtime maps them as the external data of its graph.

Source: the format, https://github.com/huggingface/safetensors (README, "Format").
"""

import json
import struct
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from sluice.schemas.arrays import Array
from sluice.schemas.errors import InputError

LAYOUT: Final = 1
"""Raised whenever a file means something else."""
ENCODER: Final = "encoder"
"""The key of the header's metadata that has an `EncoderShape`."""
BLOCK: Final = 32
"""Weights of a piece that share a scale."""
EPSILON: Final = 1e-12
ALIGNMENT: Final = 64
DTYPES: Final = {"U8": np.uint8, "I8": np.int8, "F16": np.float16, "F32": np.float32}
MATRICES: Final = ("qkv", "out", "up", "down")
"""Of a layer, in the order of the work."""
NORMS: Final = ("norm_out", "norm_down")


class EncoderShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the header says of an encoder.

    Attributes:
        layout: `LAYOUT` of the writer.
        pieces: of the vocabulary.
        layers: of the encoder.
        hidden: width of a position, a multiple of 32.
        attention: heads of attention.
        inner: width of a feed-forward layer.
        positions: the longest text, in pieces.
        labels: of the scores, in order.
    """

    layout: int
    pieces: int
    layers: int
    hidden: int
    attention: int
    inner: int
    positions: int
    labels: tuple[str, ...]


class Place(NamedTuple):
    """Where a tensor is: its dtype as safetensors names it, its shape, and its bytes in the file."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    num_bytes: int


class Header(NamedTuple):
    """The header of a file: what the encoder is, and where each tensor is."""

    shape: EncoderShape
    places: dict[str, Place]


def read_header(path: Path) -> Header:
    """Returns the header of an encoder's file.

    Raises:
        InputError: the file cannot be read, is no encoder's, or of another layout.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            entries = json.loads(file.read(length))
        about = entries.pop("__metadata__")[ENCODER]
        shape = msgspec.json.decode(about, type=EncoderShape)
        places = {name: _place(entry, 8 + length) for name, entry in entries.items()}
    except OSError as failure:
        raise InputError(f"{path}: cannot read the encoder: {failure.strerror}") from failure
    except (struct.error, ValueError, KeyError, TypeError, MemoryError) as fault:
        raise InputError(f"{path}: is no file of an encoder: {fault}") from None
    if shape.layout != LAYOUT:
        raise InputError(
            f"{path}: layout must be {LAYOUT}, is {shape.layout}: install the sluice-encoder of this version"
        )
    return Header(shape, places)


def _place(entry: dict[str, Any], begin: int) -> Place:
    first, end = entry["data_offsets"]
    return Place(entry["dtype"], tuple(entry["shape"]), begin + first, end - first)


def read_tensors(path: Path) -> dict[str, Array]:
    """Returns the tensors of an encoder's file, mapped from it; raises InputError as `read_header` does."""
    bytes_B = np.memmap(path, np.uint8, "c")  # torch wants what could be written; the file stays
    found = {}
    for name, place in read_header(path).places.items():
        part = bytes_B[place.offset : place.offset + place.num_bytes]
        found[name] = part.view(DTYPES[place.dtype]).reshape(place.shape)
    return found


def write(path: Path, shape: EncoderShape, tensors: dict[str, Array]) -> None:
    """Writes an encoder's file: the largest tensors first, the same bytes for the same tensors."""

    def rank(name: str) -> tuple[bool, int, str]:
        size = tensors[name].nbytes
        return size % ALIGNMENT != 0, -size, name

    names = sorted(tensors, key=rank)
    kinds = {np.dtype(kind): name for name, kind in DTYPES.items()}
    entries: dict[str, Any] = {"__metadata__": {ENCODER: msgspec.json.encode(shape).decode()}}
    end = 0
    for name in names:
        array = tensors[name]
        first, end = end, end + array.nbytes
        entries[name] = {
            "dtype": kinds[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [first, end],
        }
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-(len(header) + 8) % ALIGNMENT)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for name in names:
            file.write(np.ascontiguousarray(tensors[name]).tobytes())


def unpacked(pairs_VP: Array, scales_VB: Array) -> Array:
    """Returns (V, H) float32, the rows of pieces.

    Args:
        pairs_VP: (V, H / 2) uint8, 16 bytes a block: byte j has weight j in its lower 4 bits and weight
            j + 16 in its upper ones; a weight is (bits - 8) times the scale.
        scales_VB: (V, H / 32) float16.
    """
    pairs_VBP = pairs_VP.reshape(*scales_VB.shape, BLOCK // 2)
    bits_VBW = np.concatenate([pairs_VBP & 15, pairs_VBP >> 4], axis=-1)
    weights_VBW = (bits_VBW.astype(np.float32) - 8) * scales_VB.astype(np.float32)[..., None]
    return weights_VBW.reshape(len(pairs_VP), -1)
