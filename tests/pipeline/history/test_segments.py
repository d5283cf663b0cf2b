"""What is found in the segments of a history, against dicts and lists."""

import tempfile
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.pipeline.history import segments as history_index
from sluice.pipeline.history.segments import (
    BATCH_ROWS,
    Contents,
    KeysFile,
    PostsFile,
    View,
    shared,
    take,
)
from sluice.schemas.errors import OutputError

Posts = list[tuple[str, str]]

BORDERS = [-(-(p << 32) // n) << 32 for n in (2, 3, 4) for p in range(1, n)]
"""The keys with which partitions begin."""
POOL = sorted({0, 1, 1 << 20, (1 << 64) - 1, *BORDERS, *(b - 1 for b in BORDERS)})
keys = st.one_of(
    st.sampled_from(POOL),
    st.sampled_from(POOL).map(lambda k: k ^ 1),  # the same key once it is cut
    st.integers(0, 2**64 - 1),
)
posts_of_segments = st.lists(
    st.lists(st.lists(keys, min_size=1, max_size=6), min_size=1, max_size=8), max_size=3
)


def partition(key: int, num_partitions: int) -> int:
    return ((key >> 32) * num_partitions) >> 32


def write_segment(folder: Path, name: str, posts: list[list[int]], num_partitions: int) -> None:
    """Writes the keys of posts as a segment has them."""
    made = folder / "segments" / name
    made.mkdir(parents=True)
    entries = []
    for p in range(num_partitions):
        found = sorted(
            (k >> 16, row)
            for row, of_post in enumerate(posts)
            for k in of_post
            if partition(k, num_partitions) == p and k
        )
        if found:
            file = f"keys-{p:05d}.parquet"
            key_H, row_H = (np.array(c) for c in zip(*found, strict=True))
            history_index.write_keys(
                str(made / file), key_H.astype(np.uint64), row_H.astype(np.uint32)
            )
            low, high = history_index.key_span(str(made / file))
            assert (low, high) == (found[0][0], found[-1][0])
            size = (made / file).stat().st_size
            entries.append(KeysFile(file, len(found), size, "", low, high))
    about = Contents(len(posts), (), tuple(entries))
    (made / "segment.json").write_bytes(msgspec.json.encode(about))


def expected_entries(
    today: list[int], segments: list[list[list[int]]], *, limit: int
) -> dict[int, list[int]]:
    """Returns the entries of each place of today's list, from dicts of what the segments have."""
    found: dict[int, list[int]] = {}
    for ordinal, posts in enumerate(segments):
        for row, of_post in enumerate(posts):
            for key in of_post:
                found.setdefault(key >> 16, []).append(ordinal << 40 | row)
    cut = [k >> 16 for k in today]
    return {cut.index(k): sorted(found[k])[:limit] for k in set(cut) if k and k in found}


@given(
    segments=posts_of_segments,
    today=st.lists(keys, min_size=1, max_size=25),
    wrote=st.integers(1, 4),
    reads=st.integers(1, 4),
    limit=st.integers(1, 4),
    group=st.sampled_from([1, 2, 5, 1000]),
)
def test_shared_entries_are_those_of_dicts(
    segments: list[list[list[int]]],
    today: list[int],
    wrote: int,
    reads: int,
    limit: int,
    group: int,
) -> None:
    """However keys were cut into files and groups, each partition finds what dicts of the keys find."""
    whole, history_index.ROW_GROUP_ROWS = history_index.ROW_GROUP_ROWS, group
    try:
        with tempfile.TemporaryDirectory() as folder:
            names = tuple(f"s{i}" for i in range(len(segments)))
            for name, posts in zip(names, segments, strict=True):
                write_segment(Path(folder), name, posts, wrote)
            for p in range(reads):
                mine = [k for k in today if partition(k, reads) == p]
                low, high = (-(-(q << 32) // reads) << 32 for q in (p, p + 1))
                at_E, entry_E = shared(
                    np.array(mine, np.uint64), View(folder, names), low=low, high=high, limit=limit
                )
                found: dict[int, list[int]] = {}
                for at, entry in zip(at_E.tolist(), entry_E.tolist(), strict=True):
                    found.setdefault(at, []).append(entry)
                assert found == expected_entries(mine, segments, limit=limit)
    finally:
        history_index.ROW_GROUP_ROWS = whole


def test_only_what_overlaps_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups outside of the partition, or between today's keys, are not read."""
    monkeypatch.setattr(history_index, "ROW_GROUP_ROWS", 10)
    posts = [[(i + 1) << 54] for i in range(1000)]
    write_segment(tmp_path, "s", posts, 4)
    read: list[int] = []
    original = history_index.pq.ParquetFile.read_row_group

    def counted(self, group, **kwargs):
        read.append(group)
        return original(self, group, **kwargs)

    monkeypatch.setattr(history_index.pq.ParquetFile, "read_row_group", counted)
    key_M, view = np.array(posts[500:505], np.uint64).ravel(), View(str(tmp_path), ("s",))
    at_E, _ = shared(key_M, view, low=1 << 63, high=3 << 62, limit=9)
    assert (len(at_E), read) == (0, [])  # these keys are of the partition before
    border_M = np.array([1 << 62], np.uint64)
    at_E, _ = shared(border_M, view, low=0, high=1 << 62, limit=9)
    assert (len(at_E), read) == (0, [])  # `high` itself is beyond
    at_E, entry_E = shared(key_M, view, low=0, high=1 << 64, limit=9)
    assert (at_E.tolist(), entry_E.tolist()) == ([0, 1, 2, 3, 4], [500, 501, 502, 503, 504])
    assert len(read) <= 2


def posts_file(folder: Path, sizes: list[int], *, first: int) -> tuple[PostsFile, Posts]:
    """Writes posts in batches of these sizes into a segment `s`."""
    made = folder / "segments" / "s"
    made.mkdir(parents=True, exist_ok=True)
    posts = [(f"id-{i}", f"text {i} " + "é" * (i % 5)) for i in range(sum(sizes))]
    start = 0
    with history_index.PostsWriter(str(made / "p.arrow")) as writer:
        for size in sizes:
            ids, texts = zip(*posts[start : start + size], strict=True) if size else ((), ())
            writer.write(pa.array(ids, pa.string()), pa.array(texts, pa.string()))
            start += size
    return PostsFile("p.arrow", start, (made / "p.arrow").stat().st_size, "", first), posts


@given(data=st.data(), sizes=st.lists(st.integers(0, 30), max_size=8), first=st.integers(0, 2**32))
def test_posts_are_taken_by_number(data: st.DataObject, sizes: list[int], first: int) -> None:
    """Whatever batches they came in, the posts of any ascending numbers come back, ids and texts."""
    whole, history_index.BATCH_ROWS = BATCH_ROWS, 7
    try:
        with tempfile.TemporaryDirectory() as folder:
            file, posts = posts_file(Path(folder), sizes, first=first)
            some = st.lists(st.integers(0, len(posts) - 1)) if posts else st.just([])
            numbers = sorted(data.draw(some))
            found = take(folder, "s", file, np.array(numbers, np.int64) + first)
            assert [(r["post_id"], r["text"]) for r in found.to_pylist()] == [
                posts[n] for n in numbers
            ]
    finally:
        history_index.BATCH_ROWS = whole


def test_only_batches_with_posts_are_read(tmp_path: Path) -> None:
    """All batches but the last are full, so that a post's batch is known; others are not touched."""
    file, posts = posts_file(tmp_path, [BATCH_ROWS - 1, 2 * BATCH_ROWS, 5], first=0)
    path = tmp_path / "segments" / "s" / "p.arrow"
    with pa.OSFile(str(path)) as source:
        reader = pa.ipc.open_file(source)
        sizes = [reader.get_batch(i).num_rows for i in range(reader.num_record_batches)]
    assert sizes == [BATCH_ROWS, BATCH_ROWS, BATCH_ROWS, 4]
    content = bytearray(path.read_bytes())
    of_others = slice(len(content) * 4 // 10, len(content) * 9 // 10)  # the second and third batch
    content[of_others] = bytes(len(content[of_others]))
    path.write_bytes(content)
    ends = np.array([0, 3 * BATCH_ROWS + 3])
    assert take(str(tmp_path), "s", file, ends)["text"].to_pylist() == [posts[i][1] for i in ends]
    with pytest.raises((OSError, pa.ArrowInvalid)):
        take(str(tmp_path), "s", file, np.array([2 * BATCH_ROWS + 5]))


def test_cut_and_missing_files_are_refused(tmp_path: Path) -> None:
    """A file that lost bytes, or is gone, is an error that names it and says what to do."""
    file, _ = posts_file(tmp_path, [10], first=0)
    path = tmp_path / "segments" / "s" / "p.arrow"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OutputError, match=rf"{path}: has {file.bytes - 1} bytes, .*{file.bytes}; "):
        take(str(tmp_path), "s", file, np.array([1]))
    write_segment(tmp_path, "k", [[5 << 20]], 1)
    (tmp_path / "segments" / "k" / "keys-00000.parquet").unlink()
    with pytest.raises(OutputError, match=r"keys-00000\.parquet: is missing"):
        shared(
            np.array([5 << 20], np.uint64),
            View(str(tmp_path), ("k",)),
            low=0,
            high=1 << 64,
            limit=1,
        )
    (tmp_path / "segments" / "k" / "segment.json").write_text("{}")
    with pytest.raises(OutputError, match="not the contents of a segment"):
        history_index.contents(View(str(tmp_path), ("k",)))
