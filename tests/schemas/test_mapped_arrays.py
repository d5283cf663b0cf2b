"""Files of arrays: what is read is what was written, shared and read-only, or the file is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from sluice.schemas.arrays import Array
from sluice.schemas.mapped_arrays import map_arrays, packed, unpacked_arrays

any_array = arrays_of.arrays(
    dtype=st.sampled_from(["u1", "i4", "<u8", "f4", "?"]),
    shape=arrays_of.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5),
)


@given(st.dictionaries(st.text(max_size=5), any_array, max_size=6))
def test_arrays_come_back_as_they_were(arrays: dict[str, Array]) -> None:
    """Names, order, dtypes, shapes and bytes of any arrays come back; the same arrays give the same bytes."""
    again = unpacked_arrays(packed(arrays))
    assert list(again) == list(arrays)
    for name, array in arrays.items():
        assert (again[name].dtype, again[name].shape) == (array.dtype, array.shape)
        assert again[name].tobytes() == array.tobytes()
    assert packed(again) == packed(arrays)


def test_a_mapped_file_is_read_only_and_aligned(tmp_path: Path) -> None:
    """Arrays of a mapped file cannot be written to, begin at multiples of 64 bytes, and outlive the call."""
    path = tmp_path / "some.arrays"
    path.write_bytes(packed({"a": np.arange(3, dtype=np.uint8), "b": np.arange(4.0)}))
    mapped = map_arrays(str(path))
    assert [array.ctypes.data % 64 for array in mapped.values()] == [0, 0]
    assert mapped["b"].tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="read-only"):
        mapped["a"][0] = 1


@pytest.mark.parametrize("data", [b"", b"no arrays\n", b'{"a": 1}\n', b"{}"])
def test_another_file_is_refused(data: bytes) -> None:
    """What is no file of arrays is refused, and so is one whose first line is cut."""
    with pytest.raises(ValueError, match="is no file of arrays"):
        unpacked_arrays(data)


def test_a_cut_file_is_refused() -> None:
    """A file that ends before its last array does is refused."""
    data = packed({"a": np.arange(100)})
    with pytest.raises(ValueError, match="buffer"):
        unpacked_arrays(data[:500])
