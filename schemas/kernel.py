"""How a compiled kernel is declared, and how Arrow text reaches it.

A kernel is a function on NumPy views of Arrow buffers, compiled by numba with explicit signatures, so that
none compiles for another type in the middle of a run. It holds no GIL, and is loaded from a cache after the
first run. A process pays for what it calls: a kernel is loaded, or compiled, when it is first called, and
numba is imported by the first one. `sluice.schemas.compile_ahead` compiles all of them. Arrow's memory is
read-only, hence the read-only array types of `sluice.schemas.kernel_types`.
"""

import functools
import hashlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sluice.schemas.arrays import Array, Int32s, Uint8s
from sluice.schemas.cache_folder import private_folder
from sluice.schemas.kernel_cache import KernelCache, source_digest
from sluice.schemas.kernel_types import BYTES, OFFSETS, read_only, resolved, types

__all__ = [
    "BYTES",
    "OFFSETS",
    "Kernel",
    "Utf8View",
    "decode_at",
    "intrinsic",
    "kernel",
    "kernel_folder",
    "load8",
    "read_only",
    "types",
    "utf8_array",
    "utf8_view",
]

_building = threading.RLock()
"""Held while a kernel is built, and with it those that it calls: threads that call it first at once wait."""


@cache
def kernel_folder() -> str | None:
    """The folder of compiled kernels, by package version and by this file; None where there can be none.

    What is there is executed: a folder that others can write to is not used.
    """
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
    folder = private_folder("kernels", f"{version('sluice')}-{digest}")
    if folder is None:
        return None
    try:
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


class _MachineCode(NamedTuple):
    """What a dispatcher needs to know of machine code that numba has not compiled in this process."""

    signature: Any
    entry_point: Any
    objectmode: bool = False


class Kernel:
    """A compiled function, which is built when it is first called.

    Args:
        function: what is compiled; the kernel has its name, module and documentation.
        signatures: recorded types, or as numba takes them. A helper has none: it is inlined into kernels.
    """

    def __init__(self, function: Callable[..., Any], signatures: tuple[Any, ...]):
        functools.update_wrapper(self, function)
        self._function, self.signatures = function, signatures
        self._dispatcher: Any = None
        self._call: Callable[..., Any] = self._first_call

    def __call__(self, *args: Any) -> Any:
        """Calls the kernel, which is built by the first call."""
        return self._call(*args)

    def __repr__(self) -> str:
        return f"<kernel {self._function.__module__}.{self._function.__qualname__}>"

    def __reduce__(self) -> str:
        return self._function.__qualname__

    def _first_call(self, *args: Any) -> Any:
        with _building:
            if self._call == self._first_call:
                self._call = self._loaded() or self.dispatcher
        return self._call(*args)

    @property
    def dispatcher(self) -> Any:
        """What numba makes of it, with all signatures and no others; the function with NUMBA_DISABLE_JIT."""
        with _building:
            if self._dispatcher is None:
                try:
                    self._compile()
                except BaseException:
                    self._dispatcher = None
                    raise
            return self._dispatcher

    def _loaded(self) -> Any:
        """Returns a dispatcher of the machine code that the cache has, or None."""
        from numba.core.sigutils import normalize_signature
        from numba.core.typing import signature

        dispatcher = self._declared(self._function)
        if dispatcher is self._function:  # NUMBA_DISABLE_JIT
            return None
        cache = self._cache(dispatcher, lambda: None)
        if cache is None:
            return None
        for declared in resolved(self.signatures):
            entry = cache.entry_point(declared, dispatcher.targetctx)
            if entry is None:
                return None
            arguments, returned = normalize_signature(declared)
            dispatcher._insert([each._code for each in arguments], entry, False)
            dispatcher.overloads[arguments] = _MachineCode(signature(returned, *arguments), entry)
        dispatcher.disable_compile()
        return dispatcher

    def _compile(self) -> None:
        """Compiles the kernel for its signatures, or loads it so that others can be compiled with it."""
        function, names = self._function, dict(self._function.__globals__)
        copy = _with_globals(function, names)
        self._dispatcher = dispatcher = self._declared(copy)
        if dispatcher is copy:  # NUMBA_DISABLE_JIT
            self._dispatcher = function
            return

        def bind() -> None:
            """Gives it the kernels that it calls, which one that is loaded does not need."""
            names.update(_numba_objects(function))

        cache = self._cache(dispatcher, bind)
        if cache is None:
            bind()
        else:
            dispatcher._cache = cache
        for signature in resolved(self.signatures):
            dispatcher.compile(signature)
        if self.signatures:
            dispatcher.disable_compile()

    def _declared(self, function: Callable[..., Any]) -> Any:
        import numba

        options = {"nogil": True, "boundscheck": False} if self.signatures else {"inline": "always"}
        return numba.njit(**options)(function)

    def _cache(self, dispatcher: Any, bind: Callable[[], None]) -> KernelCache | None:
        """Returns where the kernel is kept; None for helpers, closures, and what has no source."""
        function, folder = self._function, kernel_folder()
        can_be_kept = self.signatures and function.__closure__ is None
        if folder is None or not can_be_kept or source_digest(function.__module__) is None:
            return None
        return KernelCache(function, dispatcher.targetoptions, folder, bind)


class Intrinsic:
    """A function that writes the instructions of an operation into the kernels that use it.

    Args:
        function: as `numba.extending.intrinsic` takes it; numba and LLVM are imported inside it.
    """

    def __init__(self, function: Callable[..., Any]):
        self._function = function

    @functools.cached_property
    def dispatcher(self) -> Any:
        """Numba's object."""
        from numba.extending import intrinsic

        return intrinsic(self._function)


def _with_globals(function: Callable[..., Any], names: dict[str, Any]) -> Callable[..., Any]:
    """Returns a copy of a function that looks global names up in `names`."""
    parts = (function.__name__, function.__defaults__, function.__closure__)
    copy = FunctionType(function.__code__, names, *parts)
    copy.__qualname__, copy.__doc__ = function.__qualname__, function.__doc__
    return copy


def _numba_objects(function: Callable[..., Any]) -> dict[str, Any]:
    """Returns numba's objects of the kernels, helpers and intrinsics that a function names."""
    values = {name: function.__globals__.get(name) for name in _names(function.__code__)}
    ours = {name: value for name, value in values.items() if isinstance(value, Kernel | Intrinsic)}
    return {name: value.dispatcher for name, value in ours.items()}


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def kernel(*signatures: Any) -> Callable[[Callable[..., Any]], Kernel]:
    """Declares a compiled function; without signatures it is a helper that is inlined into kernels.

    numba infers the types of a helper, and a kernel's are in its signature: annotations would be a second,
    unchecked account of them. Modules of kernels alone, named `kernels` or in a folder of that name, have
    none (an override of mypy's settings allows it); a kernel beside typed code says `Any`.

    What a kernel is made from must be in sources of ours that its module imports at its top level:
    helpers, constants. `sluice.schemas.kernel_cache` sees what changes there, in whatever file. It takes from
    its module what is there when it is first called; kernels that it calls are named there, by plain names.

    Args:
        signatures: of `types`, as in `@kernel(types.void(BYTES, types.int64))`.
    """
    return lambda function: Kernel(function, signatures)


def intrinsic(function: Callable[..., Any]) -> Any:
    """Declares an operation of kernels that is written in instructions of LLVM."""
    return Intrinsic(function)


class Utf8View(NamedTuple):
    """A text column as NumPy arrays, without a copy.

    Attributes:
        data_B: (B,) uint8, the UTF-8 bytes of the whole buffer, read-only.
        offsets_N1: (N + 1,) int32 into `data_B`, read-only; the first need not be 0.
    """

    data_B: Uint8s
    offsets_N1: Int32s


def utf8_view(texts: pa.StringArray) -> Utf8View:
    """Returns the buffers of a `pa.string()` array; a null reads as an empty text."""
    _, offsets, data = texts.buffers()
    if len(texts) == 0 or offsets is None:
        return Utf8View(np.empty(0, np.uint8), np.zeros(len(texts) + 1, np.int32))
    offsets_N1 = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data_B = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    return Utf8View(data_B, offsets_N1)


def utf8_array(data_B: Array, offsets_N1: Array) -> pa.StringArray:
    """Returns a `pa.string()` array over UTF-8 bytes and int32 offsets, without a copy and unchecked."""
    return pa.StringArray.from_buffers(
        len(offsets_N1) - 1, pa.py_buffer(offsets_N1), pa.py_buffer(data_B)
    )


@kernel()
def decode_at(data_B: Any, j: Any, end: Any) -> Any:
    """Returns (code point, bytes) of the valid UTF-8 character at `j`; a cut one gives what is there."""
    c = np.int32(data_B[j])
    if c < 0x80:
        return c, 1
    if c < 0xE0:
        n, cp = 2, c & 0x1F
    elif c < 0xF0:
        n, cp = 3, c & 0x0F
    else:
        n, cp = 4, c & 0x07
    if j + n > end:
        n = end - j
    for k in range(1, n):
        cp = (cp << 6) | (np.int32(data_B[j + k]) & 0x3F)
    return cp, n


@intrinsic
def load8(typingctx: Any, data_B: Any, j: Any) -> Any:
    """Returns the 8 bytes from anywhere as a little-endian uint64; NumPy has no unaligned load."""
    from llvmlite import ir
    from numba import types

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        base = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = builder.bitcast(builder.gep(base, [args[1]]), ir.IntType(64).as_pointer())
        return builder.load(place, align=1)

    return types.uint64(data_B, types.int64), codegen
