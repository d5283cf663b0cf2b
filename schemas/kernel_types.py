"""The types of kernels' arguments, written as numba's, without numba.

`types` stands for `numba.types`: what is read from it, called or indexed is recorded, and `resolved` does
the same to numba's own when a kernel is built. So a module that declares kernels is imported without numba,
whose import takes half a second of CPU:

    >>> from sluice.schemas.kernel_types import resolved, types
    >>> resolved(types.void(types.int64[::1], types.boolean))
    (Array(int64, 1, 'C', False, aligned=True), bool) -> none
"""

from collections.abc import Callable
from typing import Any


class _Recorded:
    """What becomes a type, or makes types, when it is resolved."""

    __slots__ = ("resolve",)
    __iter__ = None  # it has no end

    def __init__(self, resolve: Callable[[], Any]):
        self.resolve = resolve

    def __getattr__(self, name: str) -> "_Recorded":
        if name.startswith("__"):
            raise AttributeError(name)
        return _Recorded(lambda: getattr(self.resolve(), name))

    def __getitem__(self, key: Any) -> "_Recorded":
        return _Recorded(lambda: self.resolve()[key])

    def __call__(self, *args: Any, **options: Any) -> "_Recorded":
        return _Recorded(lambda: self.resolve()(*map(resolved, args), **options))


def resolved(value: Any) -> Any:
    """Returns numba's types in place of recorded ones, in tuples too; anything else as it is."""
    if isinstance(value, _Recorded):
        return value.resolve()
    return tuple(map(resolved, value)) if isinstance(value, tuple) else value


def _numba_types() -> Any:
    from numba import types

    return types


types: Any = _Recorded(_numba_types)
"""`numba.types`, recorded."""


def read_only(dtype: Any, ndim: int = 1) -> Any:
    """Returns the type of a contiguous read-only array, which Arrow's buffers are."""
    return types.Array(dtype, ndim, "C", readonly=True)


BYTES = read_only(types.uint8)
"""UTF-8 bytes of a text column, (B,) uint8."""
OFFSETS = read_only(types.int32)
"""Where each text starts, (N + 1,) int32; `offsets_N1[0]` need not be 0."""
