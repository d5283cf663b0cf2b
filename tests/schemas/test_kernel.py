"""What kernels do when they are called, and where they lie: nobody else may put anything there, and only what
the source says is loaded."""

import logging
import os
import pickle
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from sluice.schemas import cache_folder, kernel, kernel_cache
from sluice.schemas.kernel import BYTES, load8, types


@kernel.kernel()
def _first(data_B: Any, i: Any) -> Any:
    return data_B[i]


@kernel.kernel("int64(int64)")
def _factorial(n: Any) -> Any:
    """Returns n!."""
    return 1 if n < 2 else n * _factorial(n - 1)


@kernel.kernel(types.uint64(BYTES, types.int64))
def _mixed(data_B: Any, i: Any) -> Any:
    return load8(data_B, i) + np.uint64(_first(data_B, i)) + np.uint64(_factorial(i))


@kernel.kernel(types.int64[::1](types.UniTuple(types.int64, 2)))
def _doubled(pair: Any) -> Any:
    if pair[0] < 0:
        raise ValueError("negative")
    return np.array([2 * pair[0], 2 * pair[1]])


def test_kernels_call_helpers_kernels_and_intrinsics() -> None:
    """Whatever of them is built already, the result is that of the functions."""
    data_B = np.frombuffer(b"abcdefgh12345678", np.uint8)
    expected = int.from_bytes(b"defgh123", "little") + ord("d") + 6
    for _ in range(2):
        assert int(_mixed(data_B, 3)) == expected
    assert [_factorial(n) for n in (1, 5)] == [1, 120]
    assert int(_first(data_B, 1)) == ord("b")


def test_a_kernel_makes_arrays_and_raises() -> None:
    """Objects of Python that machine code makes: an array, an error."""
    for _ in range(2):
        assert _doubled((1, 2)).tolist() == [2, 4]
        with pytest.raises(ValueError, match="negative"):
            _doubled((-1, 2))


def test_other_types_than_declared_are_refused() -> None:
    """No other types are compiled for; the error names those that came."""
    with pytest.raises(TypeError, match="array"):
        _factorial(np.zeros(2, np.int64))
    with pytest.raises(TypeError, match="expected 1, got 2"):
        _factorial(1, 2)


def test_a_kernel_has_the_names_of_its_function() -> None:
    """What tools show of it; and it is pickled by its name."""
    assert (_factorial.__name__, _factorial.__doc__) == ("_factorial", "Returns n!.")
    assert repr(_factorial) == f"<kernel {__name__}._factorial>"
    assert pickle.loads(pickle.dumps(_factorial)) is _factorial


def test_threads_that_call_first_build_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All wait for the one that builds, and get the same result."""
    built = []

    def compiled(self: kernel.Kernel) -> None:
        built.append(self)
        time.sleep(0.2)
        self._dispatcher = self._function

    monkeypatch.setattr(kernel.Kernel, "_compile", compiled)
    added = kernel.kernel("int64(int64)")(lambda x: x + 1)
    monkeypatch.setattr(added, "_loaded", lambda: None)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(added, range(4))) == [1, 2, 3, 4]
    assert built == [added]


def test_a_kernel_that_cannot_be_compiled_says_so_again() -> None:
    """A failure is not taken for a kernel that is built."""
    wrong = kernel.kernel("int64(int64)")(lambda x: x.no_such_name)
    for _ in range(2):
        with pytest.raises(numba.errors.TypingError, match="no_such_name"):
            wrong(1)


def test_without_the_compiler_kernels_are_their_functions() -> None:
    """NUMBA_DISABLE_JIT: the function itself runs, as a debugger wants it."""
    code = "from tests.schemas.test_kernel import _factorial as f; print(f(5), f.dispatcher is f.__wrapped__)"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == ["120", "True"], done.stderr


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder that is not there yet."""
    monkeypatch.setenv("SLUICE_CACHE_DIR", str(tmp_path / "cache"))
    kernel.kernel_folder.cache_clear()
    yield tmp_path / "cache"
    kernel.kernel_folder.cache_clear()


def test_the_cache_is_private(cache: Path) -> None:
    """A new cache is closed to others, also where the umask is open."""
    before = os.umask(0)
    try:
        folder = kernel.kernel_folder()
    finally:
        os.umask(before)
    assert folder is not None
    for path in (cache, cache / "kernels", Path(folder)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o702])
@pytest.mark.parametrize("which", ["", "kernels"])
def test_a_cache_that_others_may_write_is_not_used(
    cache: Path, which: str, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else could put code there: kernels are compiled again, and the log says why."""
    (cache / which).mkdir(parents=True)
    (cache / which).chmod(mode)
    with caplog.at_level(logging.WARNING):
        assert kernel.kernel_folder() is None
    assert str(cache / which).rstrip("/") in caplog.text


def test_a_cache_of_another_user_is_not_used(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of somebody else holds what he put there."""
    cache.mkdir(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: cache.stat().st_uid + 1)
    assert kernel.kernel_folder() is None


def test_no_cache_where_none_can_be(cache: Path) -> None:
    """A file in the place of the folder: no cache, no error."""
    cache.write_text("")
    assert kernel.kernel_folder() is None


class Program:
    """A package of two modules, and programs that call its kernel: what does it return, and was it loaded?

    Python keeps no bytecode of it: that would be a cache of its own, which looks at times.
    """

    def __init__(self, folder: Path):
        self.folder, self.cache = folder, folder / "cache"
        (folder / "made").mkdir()
        (folder / "made" / "__init__.py").write_text("")
        self.write("constants", "ADDED = 10\n")
        self.write("apart", "ADDED = 10\n")
        self.write(
            "kernels",
            "import made.apart\n"
            "from made.constants import ADDED\n"
            "from sluice.schemas.kernel import kernel\n"
            "@kernel('int64(int64)')\n"
            "def add(x):\n"
            "    return x + ADDED\n",
        )

    def write(self, module: str, text: str) -> None:
        """Writes a module, always with the same time."""
        path = self.folder / "made" / f"{module}.py"
        path.write_text(text)
        os.utime(path, (1_000_000_000, 1_000_000_000))

    def start(self, **variables: str) -> "subprocess.Popen[str]":
        """Starts a program that prints add(1), whether its machine code was loaded, add(add(1)), and
        whether what other kernels are compiled with was loaded too. The import alone imports no numba."""
        text = (
            "import sys; from made.kernels import add; assert 'numba' not in sys.modules; "
            "print(add(1), add._dispatcher is None, add(add(1)), bool(add.dispatcher.stats.cache_hits))"
        )
        path = os.pathsep.join([str(self.folder), *filter(None, sys.path)])
        environment = {"PYTHONPATH": path, "SLUICE_CACHE_DIR": str(self.cache), **variables}
        return subprocess.Popen(
            [sys.executable, "-B", "-c", text],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **variables: str) -> tuple[int, bool]:
        """Returns (add(1), whether the kernel was loaded) of a new program."""
        once, loaded, twice, loaded_whole = self.start(**variables).communicate()[0].split()
        assert loaded == loaded_whole
        assert int(twice) - int(once) == int(once) - 1
        return int(once), loaded == "True"

    @property
    def files(self) -> list[Path]:
        """All files of kernels."""
        return sorted(p for p in self.cache.rglob("*") if p.is_file())


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A program whose kernel was never compiled."""
    return Program(tmp_path)


@pytest.mark.slow
def test_a_kernel_is_loaded_until_what_it_is_made_from_changes(program: Program) -> None:
    """A source that is imported counts, whatever its size and time; its time alone does not."""
    assert program.ask() == (11, False)
    program.write("constants", "ADDED = 20\n")
    assert program.ask() == (21, False)
    program.write("constants", "ADDED = 10\n")
    os.utime(program.folder / "made" / "constants.py")
    os.utime(program.folder / "made" / "kernels.py")
    assert program.ask() == (11, True)
    assert program.ask(NUMBA_CPU_NAME="generic") == (11, False)
    assert len(program.files) == 3


@pytest.mark.slow
def test_a_damaged_file_is_compiled_again(program: Program) -> None:
    """A file that was cut or changed is not executed, and is written again."""
    program.ask()
    (file,) = program.files
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
        file.write_bytes(damaged)
        assert program.ask() == (11, False)
        assert file.read_bytes() != damaged
        assert cache_folder.read_whole(file) is not None


@pytest.mark.slow
def test_programs_that_compile_at_once_agree(program: Program) -> None:
    """Each works, one file is left of them, and it is whole."""
    started = [program.start() for _ in range(3)]
    assert [p.communicate()[0].split()[0] for p in started] == ["11"] * 3
    (file,) = program.files
    assert cache_folder.read_whole(file) is not None


@pytest.mark.slow
def test_a_program_without_a_cache_works(program: Program) -> None:
    """A folder that others may write to is not used; the kernel is compiled, and nothing is kept."""
    program.cache.mkdir()
    program.cache.chmod(0o777)
    assert program.ask() == (11, False)
    assert program.files == []


def test_what_a_module_is_made_from() -> None:
    """Modules of ours that are imported at the top level, also as names of a package; not the others."""
    classes, words = "sluice.filters.text.char_classes", "sluice.tokenizer.training.kernels"
    kernels, nfc = "sluice.filters.dedup.kernels", "sluice.filters.text.nfc"
    assert kernel_cache._imported(classes) == {
        "sluice.filters.text.kernels",
        "sluice.schemas.arrays",
        "sluice.schemas.placeholders",
    }
    assert "sluice.tokenizer.vocabulary.pattern" in kernel_cache._imported(words)
    assert kernel_cache._imported(kernels) == {
        f"sluice.schemas.{name}" for name in ("arrays", "hashing", "kernel")
    }
    assert "sluice.schemas.kernel_types" in kernel_cache._imported("sluice.schemas.kernel")
    assert kernel_cache.source_digest(kernels) != kernel_cache.source_digest(nfc)
    assert kernel_cache.source_digest("no_such_package.module") is None


def test_a_constant_of_the_pattern_names_other_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels that cut words hold constants of `pattern.py`: where one changes, they are compiled again."""
    words, pattern = "sluice.tokenizer.training.kernels", "sluice.tokenizer.vocabulary.pattern"
    source_of, digest_of = kernel_cache._source, kernel_cache.source_digest.__wrapped__
    before = digest_of(words)
    changed = (source_of(pattern) or b"").replace(b"(1 << bit for", b"(2 << bit for")
    assert changed != source_of(pattern)
    monkeypatch.setattr(
        kernel_cache, "_source", lambda name: changed if name == pattern else source_of(name)
    )
    assert digest_of(words) != before


def test_imports_of_a_source() -> None:
    """Imports count wherever they are, in functions too; comments do not hide names."""
    source = (
        "import a\nfrom b.c import d, e\nif a:\n    import f\nelse:\n    import g\n"
        "try:\n    import h\nexcept ImportError:\n    from i import j\n"
        "def k():\n    import l\nclass M:\n    import n\n"
        "from o import (\n    p,  # (why)\n    q as r,\n)\nimport s.t as u, v\nfrom w import \\\n    x\n"
        "from y import *\n# import z\nimporter = 'not import'\n"
    )
    assert list(kernel_cache._imports(source)) == [
        *(("a", []), ("b.c", ["d", "e"]), ("f", []), ("g", []), ("h", []), ("i", ["j"]), ("l", [])),
        *(("n", []), ("o", ["p", "q"]), ("s.t", []), ("v", []), ("w", ["x"]), ("y", [])),
    ]


@pytest.mark.slow
def test_a_new_kernel_deletes_unused_files(program: Program) -> None:
    """The process that compiles deletes; one that only loads does not."""
    program.ask()
    (first,) = program.files
    os.utime(first, (1_000_000_000, 1_000_000_000))
    program.write("constants", "ADDED = 20\n")
    assert program.ask() == (21, False)
    (second,) = program.files
    os.utime(second, (1_000_000_000, 1_000_000_000))
    assert program.ask() == (21, True)
    assert second.stat().st_mtime > 1_000_000_000
