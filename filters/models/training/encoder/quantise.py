"""Writes a trained encoder as what runs: whole numbers and their scales, a graph, a tokenizer."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from sluice.filters.models.training.encoder.graph import write_graph
from sluice.filters.transformers.encoder.package import (
    GRAPH,
    PACKAGE,
    PINS,
    TOKENIZER,
    WEIGHTS,
    Pins,
)
from sluice.filters.transformers.encoder.weights import (
    BLOCK,
    LAYOUT,
    MATRICES,
    NORMS,
    EncoderShape,
    write,
)
from sluice.filters.transformers.files import identify
from sluice.schemas.arrays import Array

DISTRIBUTION_FOLDER: Final = Path(__file__).parents[2] / "encoder"
LOWEST = 8
"""What the weight of a block with the largest magnitude is in whole numbers, below zero."""


class HeadCalibration(NamedTuple):
    """What makes a probability of a head's logit: sigmoid(slope * logit + intercept)."""

    slope: float
    intercept: float


def shape_of(state: Mapping[str, Array], *, attention: int, labels: Sequence[str]) -> EncoderShape:
    """Returns the sizes of a trained encoder.

    Args:
        state: name -> float32 array, as `network.EncoderNetwork` names its parameters.
        attention: heads of attention.
        labels: of its heads.
    """
    pieces, hidden = state["word.weight"].shape
    layers = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("layers."))
    return EncoderShape(
        layout=LAYOUT,
        pieces=pieces,
        layers=layers,
        hidden=hidden,
        attention=attention,
        inner=len(state["layers.0.up.weight"]),
        positions=len(state["position.weight"]),
        labels=tuple(labels),
    )


def write_encoder(
    folder: Path,
    state: Mapping[str, Array],
    shape: EncoderShape,
    *,
    calibration: Sequence[HeadCalibration],
    tokenizer: Path,
) -> None:
    """Writes the three files of an encoder; the same bytes for the same state.

    Args:
        folder: that they are written to; made where it is missing.
        state: name -> float32 array, as `network.EncoderNetwork` names its parameters.
        shape: from `shape_of`.
        calibration: of each head.
        tokenizer: the tokenizer.json of its pieces.

    Raises:
        ValueError: labels, heads and calibrations are not as many.
    """
    if not len(shape.labels) == len(calibration) == len(state["heads.weight"]):
        raise ValueError(
            f"{len(shape.labels)} labels and {len(calibration)} calibrations are not the "
            f"{len(state['heads.weight'])} heads of the encoder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / WEIGHTS, shape, _tensors(state, shape, calibration))
    write_graph(folder / GRAPH, folder / WEIGHTS)
    pieces = json.loads(tokenizer.read_text("utf-8"))
    small = json.dumps(pieces, ensure_ascii=False, separators=(",", ":"))
    (folder / TOKENIZER).write_text(small, "utf-8")


def publish(
    state: Mapping[str, Array],
    shape: EncoderShape,
    *,
    calibration: Sequence[HeadCalibration],
    tokenizer: Path,
    distribution: Path = DISTRIBUTION_FOLDER,
    pins: Path = PINS,
) -> None:
    """Writes a trained encoder into the package sluice-encoder, and its SHA-256s into the base package.

    Args:
        state: as `write_encoder` takes it, and so are the next three.
        shape: of the encoder.
        calibration: of each head.
        tokenizer: of its pieces.
        distribution: the folder of the package, whose pyproject.toml has its version.
        pins: the file of the version and the SHA-256s.
    """
    folder = distribution / PACKAGE
    write_encoder(folder, state, shape, calibration=calibration, tokenizer=tokenizer)
    project = tomllib.loads((distribution / "pyproject.toml").read_text("utf-8"))["project"]
    digests = {name: identify(folder / name).sha256 for name in (WEIGHTS, GRAPH, TOKENIZER)}
    found = msgspec.json.encode(Pins(version=project["version"], sha256=digests))
    pins.write_bytes(msgspec.json.format(found) + b"\n")


def _tensors(
    state: Mapping[str, Array], shape: EncoderShape, calibration: Sequence[HeadCalibration]
) -> dict[str, Array]:
    pairs_VP, scales_VB = packed(state["word.weight"])
    found = {"pieces.pairs": pairs_VP, "pieces.scales": scales_VB}
    matrices = [f"layers.{i}.{name}" for i in range(shape.layers) for name in MATRICES]
    for at in matrices:
        found[f"{at}.weight"], found[f"{at}.scale"] = whole_columns(state[f"{at}.weight"])
    norms = [f"layers.{i}.{name}" for i in range(shape.layers) for name in NORMS]
    plain = ["position.weight", "heads.weight", "heads.bias", *(f"{at}.bias" for at in matrices)]
    plain += [f"{at}.{part}" for at in ["norm", *norms] for part in ("weight", "bias")]
    found |= {name: np.asarray(state[name], np.float32) for name in plain}
    slopes, intercepts = zip(*calibration, strict=True)
    found["heads.slope"] = np.array(slopes, np.float32)
    found["heads.intercept"] = np.array(intercepts, np.float32)
    return found


def packed(rows_VH: Array) -> tuple[Array, Array]:
    """Returns rows of pieces in blocks of 4 bits, as `weights.unpacked` reads them.

    Rows that were in such blocks come out as they were: (V, H / 2) uint8 and (V, H / 32) float16.
    """
    blocks_VBW = np.asarray(rows_VH, np.float32).reshape(len(rows_VH), -1, BLOCK)
    place_VB1 = np.abs(blocks_VBW).argmax(axis=2, keepdims=True)
    scales_VB = (np.take_along_axis(blocks_VBW, place_VB1, 2)[..., 0] / -LOWEST).astype(np.float16)
    divisor_VB = np.where(scales_VB == 0, 1, scales_VB).astype(np.float32)
    bits_VBW = np.round(blocks_VBW / divisor_VB[..., None]).clip(-LOWEST, LOWEST - 1) + LOWEST
    whole_VBW = bits_VBW.astype(np.uint8)
    pairs_VBP = whole_VBW[..., : BLOCK // 2] | (whole_VBW[..., BLOCK // 2 :] << 4)
    return pairs_VBP.reshape(len(rows_VH), -1), scales_VB


def whole_columns(matrix_OI: Array) -> tuple[Array, Array]:
    """Returns (I, O) int8 and (O,) float32 scales of a linear layer's matrix."""
    scales_O = (np.abs(matrix_OI).max(axis=1) / 127).astype(np.float32)
    scales_O[scales_O == 0] = 1
    whole_OI = np.round(matrix_OI / scales_O[:, None]).clip(-127, 127).astype(np.int8)
    return np.ascontiguousarray(whole_OI.T), scales_O
