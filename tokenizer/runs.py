"""Copies runs of an array, such as the tokens of a post or the bytes of a sample, to other places."""

from sluice.schemas.arrays import Array, Int64s
from sluice.schemas.kernel import kernel, read_only, types

_VALUES = (types.int32, types.uint8)
_PLACES = [read_only(types.int64)] * 3


@kernel(*(types.void(read_only(kind), *_PLACES, kind[::1]) for kind in _VALUES))
def copy_runs(
    source_T: Array, start_R: Int64s, length_R: Int64s, target_R: Int64s, out_T: Array
) -> None:
    """Copies R runs: `length_R` values from `start_R` on in the source to `target_R` and on.

    Args:
        source_T: (T,) int32 or uint8.
        start_R: (R,) int64.
        length_R: (R,) int64.
        target_R: (R,) int64.
        out_T: of the source's type.
    """
    for r in range(len(start_R)):
        start, target = start_R[r], target_R[r]
        for j in range(length_R[r]):
            out_T[target + j] = source_T[start + j]
