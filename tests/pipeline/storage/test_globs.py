"""Patterns: a glob on a filesystem with a URI means what the standard library's means on a local disk."""

import glob
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.globs import common_folder, matches, relative
from sluice.schemas.errors import InputError

NAMES = st.text("ab.-[]^!x", min_size=1, max_size=4).filter(lambda n: n not in (".", ".."))
FILES = st.lists(st.lists(NAMES, min_size=1, max_size=3).map("/".join), min_size=1, max_size=8)
PIECES = st.sampled_from(
    ["*", "?", "[ab]", "[!a]", "[^a]", "[]]", "[a-x]", "[", "a", "b", ".", "-", "!", "x"]
)
PARTS = st.just("**") | st.lists(PIECES, min_size=1, max_size=4).map("".join)
PATTERNS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)


@given(names=FILES, pattern=PATTERNS)
def test_globs_like_the_standard_library(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], pattern: str
) -> None:
    """Over any tree of files, a pattern matches the files that `glob` finds."""
    folder = tmp_path_factory.mktemp("tree")
    for name in names:
        path = folder / name
        if not any(p.is_file() for p in path.parents) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    expected = set(glob.glob(pattern, root_dir=folder, recursive=True)) & files
    assert {name for name in files if matches(name, pattern)} == expected


@pytest.mark.parametrize(
    ("paths", "root", "names"),
    [
        (["/d/a/1.jsonl", "/d/b/1.jsonl"], "/d", ["a/1.jsonl", "b/1.jsonl"]),
        (["s3://k/d/a/1.jsonl", "s3://k/d/b/1.jsonl"], "s3://k/d", ["a/1.jsonl", "b/1.jsonl"]),
        (
            ["s3://k/day-1/a.jsonl", "s3://k/day-2/a.jsonl"],
            "s3://k",
            ["day-1/a.jsonl", "day-2/a.jsonl"],
        ),
        (["s3://k/1.jsonl"], "s3://k", ["1.jsonl"]),
        (["s3://j/1.jsonl", "s3://k/1.jsonl"], "s3://", ["j/1.jsonl", "k/1.jsonl"]),
    ],
)
def test_roots_of_paths_and_uris(paths: list[str], root: str, names: list[str]) -> None:
    """The same tree has the same relative paths on a disk and in a bucket, and a root leads back to it."""
    assert common_folder(paths) == root
    assert [relative(path, root) for path in paths] == names
    assert [storage.join(root, name) for name in names] == paths


def test_inputs_of_two_filesystems_are_refused() -> None:
    """Local files beside objects have no common folder: the message names both kinds."""
    with pytest.raises(InputError, match="gs and s3"):
        common_folder(["s3://k/a.jsonl", "gs://k/b.jsonl"])
    with pytest.raises(InputError, match="the local disk"):
        common_folder([os.fspath(Path("/d/a.jsonl")), "s3://k/b.jsonl"])
