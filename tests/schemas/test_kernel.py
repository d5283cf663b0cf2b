"""Where compiled kernels lie: what is there is executed, so nobody else may put anything there."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.schemas import kernel


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder that is not there yet."""
    monkeypatch.setenv("SLUICE_CACHE_DIR", str(tmp_path / "cache"))
    kernel._cache_dir.cache_clear()
    yield tmp_path / "cache"
    kernel._cache_dir.cache_clear()


def test_the_cache_is_private(cache: Path) -> None:
    """A new cache is closed to others, also where the umask is open, and asks for compilation."""
    before = os.umask(0)
    try:
        folder = kernel._cache_dir()
    finally:
        os.umask(before)
    assert folder is not None
    for path in (cache, cache / "kernels", Path(folder)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert kernel.must_compile()
    (Path(folder) / "filters").mkdir()
    assert not kernel.must_compile()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o702])
@pytest.mark.parametrize("which", ["", "kernels"])
def test_a_cache_that_others_may_write_is_not_used(
    cache: Path, which: str, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else could put code there: kernels are compiled anew, and the log says why."""
    (cache / which).mkdir(parents=True)
    (cache / which).chmod(mode)
    with caplog.at_level(logging.WARNING):
        assert kernel._cache_dir() is None
    assert str(cache / which).rstrip("/") in caplog.text
    assert kernel.must_compile()


def test_a_cache_of_another_user_is_not_used(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of somebody else holds what he put there."""
    cache.mkdir(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: cache.stat().st_uid + 1)
    assert kernel._cache_dir() is None


def test_no_cache_where_none_can_be(cache: Path) -> None:
    """A file in the place of the folder: no cache, no error."""
    cache.write_text("")
    assert kernel._cache_dir() is None
