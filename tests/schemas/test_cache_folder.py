import os
import time
from pathlib import Path

import pytest

from sluice.schemas import cache_folder
from sluice.schemas.cache_folder import remembered


def test_a_file_is_whole_or_missing(tmp_path: Path) -> None:
    """What is read is what was written under this name; a write that fails leaves nothing behind."""
    path = tmp_path / "a.kernel"
    cache_folder.write_whole(path, b"payload")
    assert cache_folder.read_whole(path) == b"payload"
    path.rename(tmp_path / "b.kernel")
    assert cache_folder.read_whole(path) is None
    assert cache_folder.read_whole(tmp_path / "b.kernel") is None
    (tmp_path / "c.kernel").mkdir()
    with pytest.raises(OSError, match="directory"):
        cache_folder.write_whole(tmp_path / "c.kernel", b"payload")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.kernel", "c.kernel"]


def test_files_that_nobody_loads_are_deleted(tmp_path: Path) -> None:
    """After 30 days without use, in the folders of all versions; what is loaded counts as used."""
    old = time.time() - 31 * 86_400
    folders = [tmp_path / "7.0-aaaa", tmp_path / "7.1-bbbb"]
    for folder in folders:
        folder.mkdir()
        for name in ("old.kernel", "loaded.kernel", "new.kernel", ".cut.tmp", "mine.txt"):
            cache_folder.write_whole(folder / name, b"payload")
            os.utime(folder / name, (old, old))
        os.utime(folder / "new.kernel")
        cache_folder.mark_used(folder / "loaded.kernel")
    cache_folder.delete_unused(tmp_path)
    for folder in folders:
        left = sorted(path.name for path in folder.iterdir())
        assert left == ["loaded.kernel", "mine.txt", "new.kernel"]
        assert cache_folder.read_whole(folder / "loaded.kernel") == b"payload"


def test_what_was_worked_out_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time nothing is worked out; another identity, or a damaged file, is new."""
    monkeypatch.setenv("SLUICE_CACHE_DIR", str(tmp_path / "cache"))
    asked = []

    def count() -> int:
        asked.append(1)
        return len(asked)

    assert [remembered("n", ("a", 1), int, count) for _ in range(3)] == [1, 1, 1]
    assert remembered("n", ("b", 1), int, count) == 2
    for file in (tmp_path / "cache" / "facts").iterdir():
        file.write_bytes(file.read_bytes()[:-1])
    assert [remembered("n", ("a", 1), int, count) for _ in range(2)] == [3, 3]
    assert remembered("n", ("a", 1), str, lambda: "text") == "text"


def test_a_failure_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What raises is tried again the next time."""
    monkeypatch.setenv("SLUICE_CACHE_DIR", str(tmp_path / "cache"))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            remembered("n", "a", float, lambda: 1 / 0)
    assert remembered("n", "a", float, lambda: 0.5) == 0.5


def test_without_a_cache_it_is_worked_out_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that others may write to is not believed."""
    (tmp_path / "cache").mkdir(mode=0o777)
    (tmp_path / "cache").chmod(0o777)
    monkeypatch.setenv("SLUICE_CACHE_DIR", str(tmp_path / "cache"))
    results = iter([1, 2])
    assert [remembered("n", "a", int, lambda: next(results)) for _ in range(2)] == [1, 2]
    assert list((tmp_path / "cache").iterdir()) == []
