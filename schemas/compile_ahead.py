"""Compiles all kernels before they are called: `python -m sluice.schemas.compile_ahead`.

A process compiles the kernels that it calls, when it calls them, and keeps them for those that follow. Each
worker of a first run would so compile for a minute or two, with nothing to be seen of it. Hence a run
compiles all of them first, and an installation does it with the command above. That it was done is a file
beside them.
"""

import contextlib
import hashlib
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from sluice.schemas import kernel_cache
from sluice.schemas.kernel import Kernel, kernel_folder

MODULES = (
    "sluice.schemas.payloads.columns",
    "sluice.filters.text.hashing",
    "sluice.filters.text.kernels",
    "sluice.filters.text.nfc",
    "sluice.filters.text.normalize",
    "sluice.filters.dedup.kernels",
    "sluice.filters.fasttext.kernels.output",
    "sluice.filters.fasttext.kernels.rows",
    "sluice.filters.fasttext.kernels.words",
    "sluice.filters.rules.stop_words",
    "sluice.tokenizer.encode",
    "sluice.tokenizer.runs",
    "sluice.tokenizer.shards",
    "sluice.tokenizer.packing.plan",
    "sluice.tokenizer.training.kernels",
    "sluice.pipeline.inputs.jsonl_scan",
)
"""Our modules that declare kernels, but those that train the shipped models: these need more libraries."""
_SAME_PROCESSOR = re.compile(r"(?:vendor_id|model name|flags|CPU part|Features)\s*:.*")


def compile_kernels(say: Callable[[str], object]) -> None:
    """Compiles all kernels, unless that was done; `say` is told before it begins.

    Where there is no folder to keep them in, each process compiles what it calls.
    """
    path = _mark()
    if path is None:
        say("compiling kernels (at each start: there is no folder to keep them in)")
    elif kernel_cache.read_whole(path) is not None:
        kernel_cache.mark_used(path)
    else:
        say("compiling kernels (once; a minute or two)")
        for kernel in kernels():
            _ = kernel.dispatcher
        with contextlib.suppress(OSError):
            kernel_cache.write_whole(path, b"")


def kernels() -> Iterator[Kernel]:
    """Yields all kernels of ours, without helpers; their modules are imported."""
    for name in MODULES:
        for value in vars(import_module(name)).values():
            if isinstance(value, Kernel) and value.__module__ == name and value.signatures:
                yield value


def _mark() -> Path | None:
    """Returns the file that says that all are compiled: its name is of what they are made from, and for what.

    Neither numba nor LLVM is asked, which a process may never need.
    """
    folder = kernel_folder()
    sources = [kernel_cache.source_digest(name) for name in MODULES]
    versions = [*map(version, ("numba", "llvmlite", "numpy")), sys.implementation.cache_tag]
    settings = sorted(item for item in os.environ.items() if item[0].startswith("NUMBA_"))
    digest = hashlib.sha256(repr((sources, versions, settings, _processor())).encode()).hexdigest()
    return None if folder is None else Path(folder, f"all-{digest[:32]}.kernel")


def _processor() -> list[str]:
    """Returns what tells processors apart; nothing where the environment names one for numba."""
    if "NUMBA_CPU_NAME" in os.environ:
        return []
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as cpuinfo:
        return [
            platform.machine(),
            *_SAME_PROCESSOR.findall(cpuinfo.read(8192).partition("\n\n")[0]),
        ]
    return [platform.machine(), platform.processor()]


if __name__ == "__main__":
    compile_kernels(lambda line: print(line, file=sys.stderr, flush=True))
