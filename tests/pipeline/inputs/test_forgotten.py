from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.privacy.keyed_ids import IdKey
from sluice.pipeline.inputs.forgotten import (
    HEEDED,
    NOTHING,
    ForgottenPosts,
    forgotten_of,
    map_heeded,
    read_heeded,
    write_heeded,
)
from sluice.schemas.errors import InputError, OutputError
from tests.pipeline.tombstones import KEY, write_tombstones

ids = st.lists(st.text(max_size=4), max_size=30)
halves = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12)


@given(gone=ids, seen=st.lists(st.none() | st.text(max_size=4), max_size=30))
def test_ids_of_tombstones_are_told_by_their_hashes(
    gone: list[str], seen: list[str | None]
) -> None:
    """Whatever ids a batch has, those that were forgotten are found, and no others; null is no id."""
    forgotten = ForgottenPosts(
        np.unique(KEY.halves(pa.array(gone, pa.string())), axis=0), KEY.check
    )
    found = forgotten.have_ids(pa.array(seen, pa.string()), KEY)
    assert found.tolist() == [one in gone for one in seen]


@given(own=halves, others=halves)
def test_hashes_that_share_a_half(
    own: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    """Both halves have to be equal; less is the difference of sets."""
    sets = [
        ForgottenPosts(np.array(sorted(set(keys)), np.uint64).reshape(-1, 2))
        for keys in (own, others)
    ]
    asked = np.array(others, np.uint64).reshape(-1, 2)
    assert sets[0].have(asked).tolist() == [key in own for key in others]
    left = [tuple(key) for key in sets[0].less(sets[1]).keys_K2.tolist()]
    assert left == sorted(set(own) - set(others))


def test_tombstones_of_several_folders_are_one_set(tmp_path: Path) -> None:
    """Order, repeats and the number of files do not matter; a folder that is not there has none."""
    first = write_tombstones(tmp_path / "a", ["1", "2"])
    write_tombstones(first, ["3"])
    second = write_tombstones(tmp_path / "b", ["3", "2", "4"])
    both = forgotten_of([str(first), str(tmp_path / "none"), str(second)])
    assert (len(both), both.key_check) == (4, KEY.check)
    assert both.digest == forgotten_of([str(second), str(first)]).digest
    assert forgotten_of([str(tmp_path / "none")]).digest == NOTHING.digest


def test_what_a_run_leaves_out_is_kept_for_the_next(tmp_path: Path) -> None:
    """It is read, and mapped by workers, as it was written; nothing leaves no file."""
    forgotten = forgotten_of([str(write_tombstones(tmp_path / "a", ["1", "2"]))])
    write_heeded(str(tmp_path), forgotten)
    mapped = map_heeded(str(tmp_path / HEEDED), forgotten.digest)
    for back in (mapped, read_heeded(str(tmp_path))):
        assert (back.digest, back.key_check) == (forgotten.digest, KEY.check)
    with pytest.raises(InputError, match="was changed while the run is at work"):
        map_heeded(str(tmp_path / HEEDED), "0" * 64)
    write_heeded(str(tmp_path), NOTHING)
    assert not (tmp_path / HEEDED).exists()
    assert not len(read_heeded(str(tmp_path)))


def test_tombstones_of_two_keys(tmp_path: Path) -> None:
    """A run has one key: the file of the other one is named, with what to do."""
    write_tombstones(tmp_path / "a", ["1"])
    write_tombstones(tmp_path / "b", ["1"], key=IdKey(bytes(32)))
    with pytest.raises(InputError, match=r"b: .*another key.*leave the folder out"):
        forgotten_of([str(tmp_path / "a"), str(tmp_path / "b")])


@pytest.mark.parametrize("content", [b"no Parquet", None])
def test_files_that_are_no_tombstones(tmp_path: Path, content: bytes | None) -> None:
    """What cannot be read, and a table without the hashes, are named."""
    path = tmp_path / "x.parquet"
    if content is None:
        pq.write_table(pa.table({"id": ["1"]}), path)
    else:
        path.write_bytes(content)
    with pytest.raises(
        OutputError, match=r"x.parquet: (cannot be read|is not a file of tombstones)"
    ):
        forgotten_of([str(tmp_path)])
