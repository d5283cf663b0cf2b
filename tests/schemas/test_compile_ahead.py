"""All kernels are compiled ahead, once, and the user is told before it begins."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.schemas import compile_ahead, kernel, kernel_cache
from sluice.schemas.kernel import Kernel

ROOT = Path(__file__).parents[2]
ROOMS = ("schemas", "filters", "tokenizer", "pipeline")


class Built:
    """A kernel that knows whether it was built."""

    def __init__(self) -> None:
        self.times = 0

    @property
    def dispatcher(self) -> None:
        self.times += 1


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Built]:
    """The one kernel that there is, with a cache that is not there yet."""
    only = Built()
    monkeypatch.setenv("SLUICE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(compile_ahead, "kernels", lambda: iter([only]))
    monkeypatch.setattr(compile_ahead, "MOST_PROCESSES", 1)
    kernel.kernel_folder.cache_clear()
    yield only
    kernel.kernel_folder.cache_clear()


def said() -> list[str]:
    """Returns what is said when kernels are to be compiled."""
    lines: list[str] = []
    compile_ahead.compile_kernels(lines.append)
    return lines


def test_every_module_with_kernels_is_known() -> None:
    """By their sources: modules that declare a kernel with signatures, but for what trains shipped models."""
    paths = {path for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    paths -= {*(ROOT / "filters/models/training").iterdir()}
    declares = re.compile(r"^@kernel\((?!\))", re.MULTILINE)
    with_kernels = {path for path in paths if declares.search(path.read_text())}
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in with_kernels}
    assert {f"sluice.{name}" for name in names} == {*compile_ahead.MODULES}


def test_all_kernels_are_found() -> None:
    """Each has signatures; a kernel that two modules name is found once."""
    found = [*compile_ahead.kernels()]
    assert all(isinstance(each, Kernel) and each.signatures for each in found)
    assert len({id(each) for each in found}) == len(found) > 50


def test_it_is_done_once_and_said_before(built: Built) -> None:
    """The second time nothing is said or built."""
    assert said() == ["compiling kernels (once; a minute or two)"]
    assert said() == []
    assert built.times == 1


def test_processes_share_the_kernels(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    """With three there are two others, each with its share; then this one builds what there is left."""
    every = [Built() for _ in range(7)]
    started: list[list[str]] = []

    class Process:
        def __init__(self, command: list[str], **_: object) -> None:
            started.append(command[-2:])
            compile_ahead._compile(*map(int, command[-2:]))

        def wait(self) -> None:
            assert [each.times for each in every] == [1] * 7

        def kill(self) -> None: ...

    monkeypatch.setattr(compile_ahead, "kernels", lambda: iter(every))
    monkeypatch.setattr(compile_ahead, "MOST_PROCESSES", 3)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(compile_ahead.subprocess, "Popen", Process)
    said()
    assert started == [["1", "3"], ["2", "3"]]
    assert [each.times for each in every] == [2] * 7


def test_it_is_done_again_for_other_sources_and_processors(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What kernels are made from, and what they are compiled for, names the file that says it was done."""
    said()
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    assert said()
    monkeypatch.setattr(kernel_cache, "source_digest", lambda name: "other")
    assert said()


def test_a_named_processor_is_the_same_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image whose kernels are compiled for a named processor does not compile on another one."""
    assert compile_ahead._processor()
    monkeypatch.setenv("NUMBA_CPU_NAME", "x86-64-v3")
    assert compile_ahead._processor() == []


def test_without_a_folder_it_is_said_at_each_start(built: Built, tmp_path: Path) -> None:
    """Nothing can be kept, so nothing is compiled ahead; what is called is compiled where it is called."""
    (tmp_path / "cache").write_text("")
    for _ in range(2):
        (line,) = said()
        assert line.startswith("compiling kernels (at each start")
    assert built.times == 0


def test_an_interrupted_compilation_is_begun_again(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it was done is written when it is done."""

    def interrupted() -> Iterator[Built]:
        yield built
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(compile_ahead, "kernels", interrupted)
        with pytest.raises(KeyboardInterrupt):
            said()
    assert said()
    assert built.times == 2
