"""How a compiled kernel is declared, and how Arrow text reaches it.

A kernel is a function on NumPy views of Arrow buffers, compiled by numba with explicit signatures,
so that it is ready before the first batch, holds no GIL, and is loaded from a cache after the first
run. Arrow's memory is read-only, hence the read-only array types below.
"""

import contextlib
import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import pyarrow as pa
from llvmlite import ir
from numba import types
from numba.core.typeinfer import register_dispatcher
from numba.extending import intrinsic

from sluice.schemas.arrays import Array, Int32s, Uint8s
from sluice.schemas.kernel_cache import KernelCache, source_digest


def read_only(dtype: Any, ndim: int = 1) -> Any:
    """Returns numba's type of a contiguous read-only array, which Arrow's buffers are."""
    return types.Array(dtype, ndim, "C", readonly=True)


BYTES = read_only(types.uint8)
"""UTF-8 bytes of a text column, (B,) uint8."""
OFFSETS = read_only(types.int32)
"""Where each text starts, (N + 1,) int32; `offsets_N1[0]` need not be 0."""


@cache
def _cache_dir() -> str | None:
    """The folder of compiled kernels, by package version and by this file; None where there can be none.

    What is there is executed: a folder that others can write to is not used.
    """
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    home = os.path.abspath(os.environ.get("SLUICE_CACHE_DIR") or os.path.join(caches, "sluice"))
    folder = os.path.join(home, "kernels", f"{version('sluice')}-{digest}")
    try:
        os.makedirs(os.path.dirname(home), exist_ok=True)
        if not all(map(_made_private, (home, os.path.dirname(folder), folder))):
            return None
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


def _made_private(folder: str) -> bool:
    """Makes a folder for us alone, where there is none; returns whether only we can write to it."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    status = os.stat(folder)
    if status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return True
    logging.getLogger(__name__).warning(
        "%s: kernels are compiled at each start: others may write to the folder (chmod go-w), or own it",
        folder,
    )
    return False


def must_compile() -> bool:
    """Returns whether no kernel of this version was compiled yet, so that the first import takes long."""
    folder = _cache_dir()
    return folder is None or not any(Path(folder).iterdir())


def kernel(*signatures: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declares a compiled function; without signatures it is a helper that is inlined into kernels.

    numba infers the types of a helper, and a kernel's are in its signature: annotations would be a second,
    unchecked account of them. Modules of kernels alone, named `kernels` or in a folder of that name, have
    none (an override of mypy's settings allows it); a kernel beside typed code says `Any`.

    What a kernel is made from must be in sources of ours that its module imports at its top level:
    helpers, constants. `sluice.schemas.kernel_cache` sees what changes there, in whatever file.

    Args:
        signatures: numba signatures, compiled at import or loaded from the cache.
    """

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        options = {"nogil": True, "boundscheck": False} if signatures else {"inline": "always"}
        compiled: Callable[..., Any] = numba.njit(**options)(function)
        if signatures and compiled is not function:  # NUMBA_DISABLE_JIT leaves it as it is
            _compile(compiled, signatures)
        return compiled

    return declare


def _compile(dispatcher: Any, signatures: Sequence[Any]) -> None:
    """Compiles a kernel for its signatures, or loads it, and for no others."""
    function, folder = dispatcher.py_func, _cache_dir()
    can_be_kept = function.__closure__ is None and source_digest(function.__module__) is not None
    if folder is not None and can_be_kept:
        dispatcher._cache = KernelCache(function, dispatcher.targetoptions, folder)
    with register_dispatcher(dispatcher):
        for signature in signatures:
            dispatcher.compile(signature)
    dispatcher.disable_compile()


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


def _load8(typingctx: Any, data_B: Any, j: Any) -> Any:
    """Returns the 8 bytes from anywhere as a little-endian uint64; NumPy has no unaligned load."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        base = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = builder.bitcast(builder.gep(base, [args[1]]), ir.IntType(64).as_pointer())
        return builder.load(place, align=1)

    return types.uint64(data_B, types.int64), codegen


load8 = intrinsic(_load8)
