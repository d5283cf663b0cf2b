"""Where compiled kernels are kept: one file for each, named by all that its machine code was made from.

The name is a digest of the source of the module that declares the kernel, and of every module of ours that
it imports, directly or not; of the kernel's bytecode, signature and options; of the compiler's versions; and
of the processor that is compiled for. So a file is never out of date: what has changed has another name, and
no time of a source is looked at. One that is not whole is compiled again (`sluice.schemas.cache_folder`). A
process that writes one deletes those that no process has loaded for UNUSED_DAYS, of other versions too.

numba's own cache promises less: it keeps an index and numbered data files, and writes the index first. Killed
between the two, it leaves an index of the new source that names the machine code of an older one.
"""

import contextlib
import hashlib
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from sluice.schemas.cache_folder import delete_unused, mark_used, read_whole, write_whole

PACKAGE: Final = "sluice"
"""Our package. The sources of other packages are not read: their versions are in the name."""

_SETTINGS: Final = (
    *("OPT", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE", "ENABLE_AVX", "DEBUGINFO_DEFAULT"),
    "EXTEND_VARIABLE_LIFETIMES",
)
"""Settings of numba, from its environment variables, that change the machine code."""
_IMPORT: Final = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+)?import[ \t]+(\([^)]*\)|(?:\\\n|[^\n\\;])*)", re.MULTILINE
)


class KernelCache:
    """The files of one kernel, a file for each signature, as numba's dispatcher asks for them.

    It has the methods of `numba.core.caching._Cache`.

    Args:
        function: the kernel; it must not be a closure.
        options: of the compiler.
        folder: of all kernels; no other user may write to it, because what is there is executed.
        before_compiling: is called where there is no valid file of a signature.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        options: dict[str, Any],
        folder: str,
        before_compiling: Callable[[], None],
    ):
        name, code = f"{function.__module__}.{function.__qualname__}", function.__code__
        body = (code.co_code, code.co_firstlineno)
        self._identity = (source_digest(function.__module__), name, body, sorted(options.items()))
        self._folder, self._name = folder, name.replace("<", "").replace(">", "")
        self._function, self._before_compiling = function, before_compiling

    @property
    def cache_path(self) -> str:
        """The folder of all kernels."""
        return self._folder

    def entry_point(self, sig: Any, target_context: Any) -> Any:
        """Returns what runs the machine code of a signature, or None where it is not to be had from a file.

        A tenth of the work of `load_overload`, whose result kernels that call this one are compiled with: for
        it, numba's target imports all that can be compiled, scipy and extensions of other packages among it.
        """
        from numba.core.compiler_lock import global_compiler_lock

        path = self._path(sig, target_context.codegen())
        payload = read_whole(path)
        with contextlib.suppress(Exception):  # whatever is wrong, it is loaded or compiled by numba
            if payload is not None and (machine_code := pickle.loads(payload)[0]) is not None:
                with global_compiler_lock:
                    entry = self._linked(target_context.codegen(), *machine_code)
                mark_used(path)
                return entry
        return None

    def _linked(self, codegen: Any, name: str, code: bytes, needs: Any, environments: Any) -> Any:
        """Returns the function of that name in machine code, or None where symbols that it needs are unknown.

        Its environments hold the constants that it makes Python objects of.
        """
        import llvmlite.binding
        from numba import _dynfunc
        from numba.core.environment import Environment

        _name_runtime()
        if any(llvmlite.binding.address_of_symbol(symbol) is None for symbol in needs):
            return None
        engine = codegen._engine._ee
        engine.add_object_file(llvmlite.binding.ObjectFileRef.from_data(code))
        engine.finalize_object()
        found = [Environment(self._function.__globals__) for _ in environments]
        for environment, (its_name, constants) in zip(found, environments, strict=True):
            environment.consts[:], environment.env_name = constants, its_name
            codegen.set_env(its_name, environment)
        module, title = sys.modules[self._function.__module__], self._function.__name__
        address = engine.get_function_address(name)
        return _dynfunc.make_function(module, title, "", address, found[0], (tuple(found),))

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Returns the compiled kernel of a signature, or None where there is no valid file of it."""
        from numba.core.compiler import CompileResult

        target_context.refresh()
        path = self._path(sig, target_context.codegen())
        payload = read_whole(path)
        with contextlib.suppress(Exception):  # whatever is wrong, it is compiled again
            if payload is not None:
                parts = pickle.loads(pickle.loads(payload)[1])
                kernel = CompileResult._rebuild(target_context, *parts)
                mark_used(path)
                return kernel
        self._before_compiling()
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keeps a compiled kernel, unless it holds addresses of this process."""
        if data.library.has_dynamic_globals or any(not lifted.can_cache for lifted in data.lifted):
            return
        from numba.core.serialize import dumps

        path = self._path(sig, data.codegen)
        with contextlib.suppress(OSError):  # without a cache it is compiled at each start
            write_whole(path, dumps((_machine_code(data), dumps(data._reduce()))))
            delete_unused(path.parent.parent)

    def _path(self, sig: Any, codegen: Any) -> Path:
        identity = (*self._identity, str(sig), codegen.magic_tuple(), _compiler())
        digest = hashlib.sha256(repr(identity).encode()).hexdigest()
        return Path(self._folder, f"{self._name}-{digest[:32]}.kernel")

    def enable(self) -> None:
        """Does nothing: a kernel without a cache has no such object."""

    def disable(self) -> None:
        """Does nothing, as `enable`."""

    def flush(self) -> None:
        """Does nothing: no file is ever out of date."""


def _machine_code(data: Any) -> Any:
    """Returns (name, machine code, symbols that it needs, environments) of a compiled kernel.

    None where that is not all that it needs: functions to be run before, or Python's interpreter.
    """
    if data.objectmode or data.lifted or data.reload_init:
        return None
    module, code = data.library._final_module, data.library._get_compiled_object()
    symbols = (*module.functions, *module.global_variables)
    needs = {each.name for each in symbols if each.is_declaration and each.name[:5] != "llvm."}
    found = [data.environment, *data._find_referenced_environments()]
    environments = {each.env_name: list(each.consts) for each in found}
    return data.fndesc.llvm_cpython_wrapper_name, code, sorted(needs), [*environments.items()]


@cache
def _name_runtime() -> None:
    """Tells the linker where the functions of numba's runtime are, which kernels call.

    The target's `refresh` does it too, before something is compiled, and compiles the rest of the runtime.
    """
    import llvmlite.binding
    from numba.core.runtime import _nrt_python

    for name, address in _nrt_python.c_helpers.items():
        llvmlite.binding.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)


@cache
def _compiler() -> tuple[Any, ...]:
    """Returns the versions and settings that machine code depends on; of Python those of its bytecode."""
    import llvmlite
    import numba
    import numpy as np

    settings = [str(getattr(numba.config, name, None)) for name in _SETTINGS]
    return (
        numba.__version__,
        llvmlite.__version__,
        np.__version__,
        sys.implementation.cache_tag,
        *settings,
    )


@cache
def source_digest(module: str) -> str | None:
    """Returns the SHA-256 of the sources that a module of ours is made from; None where it has no source.

    Those are its own, and those of all modules of ours that it imports, directly or not.
    They are read once in a process: when the first kernel that needs them is declared, just after loading.
    """
    if _source(module) is None:
        return None
    reached, left = {module}, [module]
    while left:
        new = _imported(left.pop()) - reached
        reached |= new
        left += new
    digest = hashlib.sha256()
    for name in sorted(reached):
        digest.update(f"{name}\0".encode() + hashlib.sha256(_source(name) or b"").digest())
    return digest.hexdigest()


@cache
def _spec(module: str) -> ModuleSpec | None:
    """Returns where a module is; None where there is no such module."""
    with contextlib.suppress(ImportError, ValueError):
        return find_spec(module)
    return None


@cache
def _source(module: str) -> bytes | None:
    """Returns the text of a module's file; None where there is no such module, or no such file."""
    origin = getattr(_spec(module), "origin", None) or ""
    with contextlib.suppress(OSError):
        return Path(origin).read_bytes() if origin.endswith(".py") else None
    return None


@cache
def _imported(module: str) -> frozenset[str]:
    """Returns the modules of ours that a module imports."""
    ours = {PACKAGE, module.partition(".")[0]}
    names: set[str] = set()
    for name, members in _imports((_source(module) or b"").decode()):
        if name.partition(".")[0] in ours:
            names |= _taken_from(name, members)
    return frozenset(names)


def _imports(source: str) -> Iterator[tuple[str, list[str]]]:
    """Yields (module, names taken from it) of all that reads as an import statement.

    A line of a text that reads as one is one import too many: the kernel is then compiled again more often.
    """
    for module, names in _IMPORT.findall(re.sub(r"#.*", "", source)):
        originals = re.findall(r"([\w.]+)(?:\s+as\s+\w+)?", names)
        yield from [(module, originals)] if module else [(name, []) for name in originals]


def _taken_from(module: str, members: list[str]) -> set[str]:
    """Returns the modules that `from module import members` reads: submodules, and itself for other names."""
    is_package = getattr(_spec(module), "submodule_search_locations", None) is not None
    if not members or not is_package:
        return {module}
    inside = {name for name in members if _source(f"{module}.{name}") is not None}
    return {f"{module}.{name}" for name in inside} | ({module} if inside < set(members) else set())
