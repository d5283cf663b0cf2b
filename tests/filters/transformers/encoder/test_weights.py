"""The encoder's file: what is written is read, by safetensors' own library too; bad files are told."""

import json
import struct
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file

from sluice.filters.models.training.encoder.quantise import (
    HeadCalibration,
    packed,
    shape_of,
    whole_columns,
    write_encoder,
)
from sluice.filters.transformers.encoder.weights import (
    ALIGNMENT,
    BLOCK,
    read_header,
    read_tensors,
    unpacked,
)
from sluice.schemas.arrays import Array
from sluice.schemas.errors import InputError
from tests.filters.transformers.encoder import tiny_encoder
from tests.filters.transformers.encoder.tiny_encoder import TinyEncoder

FLOATS = st.floats(-4, 4, width=32)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyEncoder:
    return tiny_encoder.write(tmp_path_factory.mktemp("encoder") / "tiny")


def test_safetensors_reads_the_same_tensors(tiny: TinyEncoder) -> None:
    """The library of the format agrees on names, dtypes, shapes and bytes."""
    path = tiny.folder / "encoder.safetensors"
    theirs, ours = load_file(path), read_tensors(path)
    assert theirs.keys() == ours.keys()
    for name, array in theirs.items():
        assert array.dtype == ours[name].dtype
        assert array.shape == ours[name].shape
        assert array.tobytes() == ours[name].tobytes()


def test_tensors_are_aligned_for_mapping(tiny: TinyEncoder) -> None:
    """All tensors whose size is a multiple of 64 bytes begin at one."""
    places = read_header(tiny.folder / "encoder.safetensors").places.values()
    assert min(p.offset for p in places) % ALIGNMENT == 0
    assert all(p.offset % ALIGNMENT == 0 for p in places if p.num_bytes % ALIGNMENT == 0)


def test_the_same_state_gives_the_same_bytes(tiny: TinyEncoder, tmp_path: Path) -> None:
    """All three files; another state gives another file of weights."""
    again = tiny_encoder.write(tmp_path / "again").folder
    other = tiny_encoder.write(tmp_path / "other", seed=2).folder
    for name in ("encoder.safetensors", "encoder.onnx", "tokenizer.json"):
        assert (again / name).read_bytes() == (tiny.folder / name).read_bytes()
    name = "encoder.safetensors"
    assert (other / name).read_bytes() != (tiny.folder / name).read_bytes()


@given(
    arrays(np.uint8, (3, 2, BLOCK), elements=st.integers(0, 15)),
    arrays(np.float16, (3, 2), elements=st.floats(2**-14, 4, width=16)),
)
def test_rows_of_4_bits_stay_as_they_are(bits_VBW: Array, scales_VB: Array) -> None:
    """Blocks whose largest weight is the lowest whole number, as the base model has them, lose nothing."""
    bits_VBW = bits_VBW.copy()
    bits_VBW[..., 5] = 0
    rows_VH = ((bits_VBW.astype(np.float32) - 8) * scales_VB[..., None]).reshape(3, -1)
    assert np.array_equal(unpacked(*packed(rows_VH)), rows_VH)


@given(arrays(np.float32, (4, 2 * BLOCK), elements=FLOATS))
def test_other_rows_are_within_a_step(rows_VH: Array) -> None:
    """A weight is at most a step off: half a step, and the top of a range that ends at 7 of 8."""
    pairs_VP, scales_VB = packed(rows_VH)
    steps_VH = np.repeat(np.abs(scales_VB.astype(np.float32)), BLOCK, axis=1)
    assert (np.abs(unpacked(pairs_VP, scales_VB) - rows_VH) <= 1.01 * steps_VH + 1e-6).all()


@given(arrays(np.float32, (5, 7), elements=FLOATS))
@settings(max_examples=50)
def test_matrices_are_within_half_a_step(matrix_OI: Array) -> None:
    whole_IO, scales_O = whole_columns(matrix_OI)
    assert (np.abs(whole_IO * scales_O - matrix_OI.T) <= 0.501 * scales_O + 1e-9).all()


def test_calibrations_must_be_of_all_heads(tmp_path: Path) -> None:
    """Labels, calibrations and heads are as many, or nothing is written."""
    state = tiny_encoder.state()
    shape = shape_of(state, attention=4, labels=("toxicity",))
    with pytest.raises(ValueError, match="1 labels and 1 calibrations are not the 3 heads"):
        write_encoder(
            tmp_path / "x", state, shape, calibration=[HeadCalibration(1, 0)], tokenizer=tmp_path
        )
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 4) + b"nope",
        struct.pack("<Q", 21) + b'{"__metadata__": {} } ',
    ],
    ids=["empty", "short", "too long", "no metadata", "no JSON", "of another model"],
)
def test_what_is_no_encoder_is_refused(content: bytes, tmp_path: Path) -> None:
    """The error names the file."""
    path = tmp_path / "encoder.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"encoder\.safetensors: is no file of an encoder"):
        read_header(path)


def test_another_layout_is_refused(tiny: TinyEncoder, tmp_path: Path) -> None:
    """The error names the package to install."""
    shape = json.dumps(
        {
            "layout": 2,
            "pieces": 1,
            "layers": 1,
            "hidden": 32,
            "attention": 1,
            "inner": 1,
            "positions": 1,
            "labels": [],
        }
    )
    header = json.dumps({"__metadata__": {"encoder": shape}}).encode()
    path = tmp_path / "encoder.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(InputError, match="layout must be 1, is 2: install the sluice-encoder"):
        read_header(path)
