"""Compiles all kernels before they are called: `python -m sluice.schemas.compile_ahead`.

A process compiles the kernels that it calls, when it calls them, and keeps them for those that follow. Each
worker of a first run would so compile for a minute or two, with nothing to be seen of it. Hence a run
compiles all of them first, and an installation does it with the command above. That it was done is a file
beside them.
"""

import contextlib
import hashlib
import itertools
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sluice.schemas import kernel_cache
from sluice.schemas.cache_folder import mark_used, read_whole, write_whole
from sluice.schemas.kernel import Kernel, kernel_folder

MODULES = (
    "sluice.schemas.payloads.html_scan",
    "sluice.schemas.payloads.shortened_links",
    "sluice.schemas.payloads.times",
    "sluice.schemas.payloads.x_links",
    "sluice.filters.text.hashing",
    "sluice.filters.text.kernels",
    "sluice.filters.text.media",
    "sluice.filters.text.nfc",
    "sluice.filters.text.normalize",
    "sluice.filters.decontamination.kernels",
    "sluice.filters.dedup.kernels",
    "sluice.filters.fasttext.kernels.output",
    "sluice.filters.fasttext.kernels.rows",
    "sluice.filters.fasttext.kernels.words",
    "sluice.filters.hashed.kernels",
    "sluice.filters.language.kernels",
    "sluice.filters.lists.kernels",
    "sluice.filters.privacy.handles",
    "sluice.filters.privacy.kernels",
    "sluice.filters.privacy.masking",
    "sluice.filters.rules.stop_words",
    "sluice.tokenizer.encode",
    "sluice.tokenizer.placeholders",
    "sluice.tokenizer.runs",
    "sluice.tokenizer.shards",
    "sluice.tokenizer.packing.plan",
    "sluice.tokenizer.training.kernels",
    "sluice.pipeline.inputs.csv_scan",
    "sluice.pipeline.inputs.json_values",
    "sluice.pipeline.inputs.json_fields",
    "sluice.pipeline.inputs.jsonl_scan",
    "sluice.pipeline.inputs.notices",
)
"""Our modules that declare kernels, but those that train the shipped models: these need more libraries."""
MOST_PROCESSES = 4
"""That compile side by side; each has some 400 MB, and compiles what its kernels call, too."""
_SAME_PROCESSOR = re.compile(r"(?:vendor_id|model name|flags|CPU part|Features)\s*:.*")


def compile_kernels(say: Callable[[str], object]) -> None:
    """Compiles all kernels, unless that was done; `say` is told before it begins.

    Where there is no folder to keep them in, each process compiles what it calls.
    """
    path = _mark()
    if path is None:
        say("compiling kernels (at each start: there is no folder to keep them in)")
    elif read_whole(path) is not None:
        mark_used(path)
    else:
        say("compiling kernels (once; a minute or two)")
        with _other_processes() as others:
            if others:
                _compile(0, len(others) + 1)
        _compile(0, 1)  # what the others compiled is loaded, and what they did not is compiled
        with contextlib.suppress(OSError):
            write_whole(path, b"")


def _compile(part: int, of: int) -> None:
    for kernel in itertools.islice(kernels(), part, None, of):
        _ = kernel.dispatcher


@contextlib.contextmanager
def _other_processes() -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Compiles a share of the kernels in a process for each other core; the block's end waits for them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    number, others = min(cores, MOST_PROCESSES), []
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for part in range(1, number):
        command = [sys.executable, "-P", "-m", __spec__.name, str(part), str(number)]
        quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        others.append(subprocess.Popen(command, env={**os.environ, **paths}, **quiet))
    try:
        yield others
        for process in others:
            process.wait()
    finally:
        for process in others:
            process.kill()
            process.wait()


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


if __name__ == "__main__" and sys.argv[1:]:
    _compile(*map(int, sys.argv[1:]))
elif __name__ == "__main__":
    compile_kernels(lambda line: print(line, file=sys.stderr, flush=True))
