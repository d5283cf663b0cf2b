"""Files by path: the same answers from a local disk, from S3 and from a file system of fsspec."""

import errno
import os
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sluice.pipeline.storage import conditional, filesystems
from sluice.pipeline.storage import files as storage
from sluice.schemas.errors import StorageError
from tests.pipeline.storage.stores import Store


@pytest.fixture(params=["local", "s3", "memory", "fsspec"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        request.getfixturevalue("s3")
    name = uuid.uuid4().hex
    return {
        "local": str(tmp_path / name),
        "s3": f"s3://bucket/{name}",
        "memory": f"memory://{name}",
        "fsspec": f"local://{tmp_path}/{name}",
    }[request.param]


def test_what_is_written_is_read(folder: str) -> None:
    """Whole, by range, as an open file, with its size; a second write replaces the first."""
    path = storage.join(folder, "a", "b.bin")
    assert not storage.exists(path)
    assert storage.size(path) == -1
    storage.write_bytes(path, b"first")
    storage.write_bytes(path, b"0123456789")
    assert storage.read_bytes(path) == b"0123456789"
    assert storage.read_range(path, 3, 4) == b"3456"
    assert storage.read_range(path, 8, 9) == b"89"
    with storage.open_input(path) as file:
        file.seek(7)
        assert file.read() == b"789"
    assert storage.size(path) == 10
    assert storage.exists(path)
    assert storage.exists(storage.join(folder, "a"))
    assert not storage.is_file(storage.join(folder, "a"))
    assert storage.names(storage.join(folder, "a")) == ["b.bin"]


def test_a_put_moves_a_file(folder: str, tmp_path: Path) -> None:
    """The file is at its place with all bytes, also of several parts and of none, and no longer here."""
    storage.write_bytes(storage.join(folder, "there"), b"")
    for content in (b"", b"x" * 1000, bytes(range(256)) * (25 << 12)):
        local = tmp_path / "made"
        local.write_bytes(content)
        storage.put(str(local), storage.join(folder, "moved"))
        assert not local.exists()
        assert storage.read_bytes(storage.join(folder, "moved")) == content
        assert storage.names(folder) == ["moved", "there"]


def test_a_listing_has_names_and_sizes(folder: str) -> None:
    """Of a folder, or of all below it; folders apart; nothing where there is nothing."""
    assert storage.listing(folder) == []
    for name in ("b", "a", "sub/c", "sub/deep/d", "sub2/e"):
        storage.write_bytes(storage.join(folder, name), name.encode())
    found = storage.listing(folder)
    assert [(e.path, e.bytes) for e in found] == [(storage.join(folder, n), 1) for n in ("a", "b")]
    deep = [e.path for e in storage.listing(folder, recursive=True)]
    assert deep == [storage.join(folder, n) for n in ("a", "b", "sub/c", "sub/deep/d", "sub2/e")]
    assert storage.folders(folder) == [storage.join(folder, n) for n in ("sub", "sub2")]
    storage.delete_tree(storage.join(folder, "sub"))
    assert storage.folders(folder) == [storage.join(folder, "sub2")]
    storage.delete(storage.join(folder, "a"))
    storage.delete(storage.join(folder, "a"))
    storage.delete_tree(storage.join(folder, "sub"))
    assert storage.names(folder) == ["b"]


def test_a_file_that_vanishes_is_left_out(tmp_path: Path) -> None:
    """While another thread renames files, every listing has those that stay, and none raises."""
    folder, done = str(tmp_path), threading.Event()
    for name in ("stays", *map(str, range(300))):
        (tmp_path / name).touch()

    def rename() -> None:
        while not done.is_set():
            for old, new in (("", ".json"), (".json", "")):
                for number in range(300):
                    os.rename(f"{folder}/{number}{old}", f"{folder}/{number}{new}")

    with ThreadPoolExecutor(1) as pool:
        renaming = pool.submit(rename)
        try:
            for _ in range(60):
                assert "stays" in storage.names(folder)
                for recursive in (False, True):
                    found = storage.listing(folder, recursive=recursive)
                    assert f"{folder}/stays" in [file.path for file in found]
        finally:
            done.set()
        renaming.result()


def test_names_ask_no_file_for_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of a folder are what the folder says; files that another thread renames do not matter."""
    (tmp_path / "a").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    monkeypatch.setattr(storage, "_info", lambda path: pytest.fail(path))
    monkeypatch.setattr(storage, "_select", lambda folder: pytest.fail(folder))
    assert storage.names(str(tmp_path)) == ["a"]
    assert storage.names(str(tmp_path / "nowhere")) == []


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    """What a link in an output leads to is neither listed nor removed with it."""
    for name in ("out/a", "precious/b"):
        storage.write_bytes(str(tmp_path / name), b"")
    (tmp_path / "out" / "link").symlink_to(tmp_path / "precious")
    out = str(tmp_path / "out")
    assert [e.path for e in storage.listing(out, recursive=True)] == [f"{out}/a"]
    storage.delete_tree(out)
    assert (tmp_path / "precious" / "b").exists()


def test_what_the_system_refuses_names_the_path(tmp_path: Path) -> None:
    """A local error stays an OSError with its number, and names the file that was asked for."""
    storage.write_bytes(str(tmp_path / "file"), b"")
    path = str(tmp_path / "file" / "below")
    for ask in (storage.read_bytes, lambda p: storage.write_bytes(p, b"")):
        with pytest.raises(OSError, match="file/below") as error:
            ask(path)
        assert error.value.errno in (errno.ENOTDIR, errno.EEXIST)
        assert error.value.filename == path
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_file_is_replaced_if_it_is_as_it_was(folder: str) -> None:
    """By what it holds, or by not being there; what an earlier try has written already counts as written."""
    path = storage.join(folder, "lease")
    assert not conditional.replace(path, old=b"0", new=b"1")
    assert conditional.replace(path, old=None, new=b"1")
    assert not conditional.replace(path, old=None, new=b"2")
    assert conditional.replace(path, old=None, new=b"1")
    assert conditional.replace(path, old=b"1", new=b"3")
    assert not conditional.replace(path, old=b"1", new=b"4")
    assert storage.read_bytes(path) == b"3"


@pytest.mark.parametrize("old", [None, b"old"])
def test_s3_compares_when_it_writes(
    s3: Store, monkeypatch: pytest.MonkeyPatch, old: bytes | None
) -> None:
    """Another writer that comes between the look and the write is not overwritten."""
    path = f"s3://bucket/{uuid.uuid4().hex}"
    if old is not None:
        storage.write_bytes(path, old)
    client = conditional.s3_client("bucket")
    put = client.put_object

    def late(**about: object) -> object:
        storage.write_bytes(path, b"other")
        return put(**about)

    monkeypatch.setattr(client, "put_object", late)
    assert not conditional.replace(path, old=old, new=b"new")
    assert storage.read_bytes(path) == b"other"


@pytest.mark.parametrize("ahead", [1, 1000, storage.AHEAD_BYTES])
def test_ranges_come_in_order(folder: str, monkeypatch: pytest.MonkeyPatch, ahead: int) -> None:
    """However many are read ahead; a reader that stops early leaves no request behind."""
    monkeypatch.setattr(storage, "AHEAD_BYTES", ahead)
    path = storage.join(folder, "ranges")
    storage.write_bytes(path, bytes(range(256)))
    places = [(path, (7 * i) % 200, i % 50) for i in range(100)]
    expected = [bytes(range(o, o + n)) for _, o, n in places]
    assert list(storage.read_ranges(places)) == expected
    some = storage.read_ranges(places)
    assert [next(some), next(some)] == expected[:2]
    some.close()


def test_a_missing_file_is_named(folder: str) -> None:
    """As the operating system does it, with the path that was asked for."""
    path = storage.join(folder, "none")
    for read in (storage.read_bytes, storage.open_input, lambda p: storage.read_range(p, 0, 1)):
        with pytest.raises(FileNotFoundError) as error:
            read(path)
        assert path in str(error.value)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("s3://no-such-bucket/x", "no-such-bucket/x: there is no such bucket"),
        ("s3://key:secret@bucket/x", "must have no password"),
        ("s3:///x", "must name a bucket"),
        ("nonsense://x/y", "no file system has the scheme nonsense"),
        ("hdfs://localhost:1/x", "hdfs://localhost:1: a library that this scheme needs is missing"),
        ("sftp://localhost/x", "a package is missing: .*paramiko"),
    ],
)
def test_what_cannot_be_reached_is_named(s3: Store, path: str, message: str) -> None:
    """An error that names the URI and what is wrong with it, and no secret."""
    with pytest.raises(StorageError, match=message) as error:
        storage.write_bytes(path, b"x")
    assert "secret" not in str(error.value)


def test_refused_credentials_are_said(s3: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's answer 403 is told as what it is."""
    path = "s3://bucket/refused"

    def refuse(*_: object) -> None:
        raise OSError(f"When reading '{path}': AWS Error ACCESS_DENIED during HeadObject operation")

    class Refusing:
        get_file_info = open_input_file = delete_file = staticmethod(refuse)

    monkeypatch.setattr(filesystems, "_filesystem", lambda *_: (Refusing(), "bucket"))
    calls: list[Callable[[str], object]] = [storage.exists, storage.read_bytes, storage.delete]
    for call in calls:
        with pytest.raises(StorageError, match="s3://bucket/refused: the store refuses"):
            call(path)


def test_local_paths_are_told_from_uris() -> None:
    """`file://` is local, as is all that has no scheme."""
    assert not storage.is_remote("a/b")
    assert not storage.is_remote("file:///a")
    assert storage.is_remote("s3://b/a")
    assert storage.absolute("file:///a/b") == "/a/b"
    assert storage.absolute("s3://b/a/") == "s3://b/a"
    assert storage.join("s3://b/a/", "c", "d") == "s3://b/a/c/d"
