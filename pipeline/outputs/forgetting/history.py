"""A history of deduplication without posts that were forgotten: their ids, texts and keys are taken out.

Posts are found as a run finds them, by the keys of their ids. A post's row stays, empty, so that the numbers
of the others stay; nothing leads to it any more. Changed files have new names, and count from when the
segment names them: killed at any moment a segment is as before or after. Files that no segment names are
deleted first, so that what a killed command left goes, too.

Shape suffixes: N ids, R rows of a segment.
"""

import os
import shutil
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.filters.dedup.exact_hash import id_hash
from sluice.pipeline.history import segments, versions
from sluice.pipeline.history.segments import Contents, KeysFile, PostsFile, View
from sluice.pipeline.history.versions import CONTENTS, SEGMENTS, segment_folder
from sluice.pipeline.storage.sealed import file_digest
from sluice.pipeline.storage.tombstones import (
    FOLDER,
    Tombstones,
    read_tombstones,
    tombstone_files,
    tombstone_name,
    write_tombstones,
)
from sluice.schemas.arrays import Array, Int64s
from sluice.schemas.errors import OutputError, RecipeError

_F = TypeVar("_F", PostsFile, KeysFile)
_ALL_KEYS = 1 << 64
_NO_LIMIT = (1 << 32) - 1
_ROW = np.uint64((1 << segments.ROW_BITS) - 1)


class ForgottenHere(NamedTuple):
    """What was taken out of a history, by this call: segments that held some, posts, keys."""

    segments: int = 0
    posts: int = 0
    keys: int = 0

    def plus(self, other: "ForgottenHere") -> "ForgottenHere":
        """Returns the sum."""
        return ForgottenHere(*(a + b for a, b in zip(self, other, strict=True)))


def forget_in_history(folder: str, ids: pa.StringArray, *, tombstones: Tombstones) -> ForgottenHere:
    """Takes posts out of a history, and keeps tombstones in it for later days; holds its lock.

    Args:
        folder: of the history.
        ids: of the posts, (N,), none of them null.
        tombstones: of these posts and others, and which key they are of.

    Raises:
        OutputError: there is no history, a run holds it, or it cannot be read.
        RecipeError: the tombstones that it has are of another key.
    """
    if not os.path.isdir(folder):
        raise OutputError(f"{folder}: there is no such folder; give that of dedup.history, or none")
    with versions.locked(folder):
        _keep(folder, tombstones)
        versions.sweep(folder)
        total = ForgottenHere()
        for name in sorted(path.name for path in Path(folder, SEGMENTS).glob("*")):
            total = total.plus(_forget(folder, name, ids))
        return total


def _keep(history: str, given: Tombstones) -> None:
    """Writes the tombstones that a history does not have as a further file of it."""
    folder = os.path.join(history, FOLDER)
    held = read_tombstones(folder)
    if held.key_check and given.key_check and held.key_check != given.key_check:
        raise RecipeError(
            f"--key-file: is not the key of the posts that were forgotten from {history} before: a history "
            f"knows them under one key; give that one"
        )
    is_new = pc.invert(pc.is_in(given.rows["post_key"], value_set=held.rows["post_key"]))
    rows = given.rows.filter(is_new)
    if rows.num_rows and given.key_check:
        path = os.path.join(folder, tombstone_name(len(tombstone_files(folder))))
        write_tombstones(path, rows, key_check=given.key_check)


def _forget(folder: str, name: str, ids: pa.StringArray) -> ForgottenHere:
    """Takes posts out of a segment."""
    segment = segment_folder(folder, name)
    contents = segments.read_contents(segment)
    _tidy(segment, contents)
    row_R = rows_of_ids(View(folder, (name,)), contents, ids)
    if not len(row_R):
        return ForgottenHere()
    posts = tuple(_without_posts(segment, file, row_R) for file in contents.posts)
    keys = tuple(_without_keys(segment, file, row_R) for file in contents.keys)
    left = Contents(contents.rows, posts, tuple(file for file in keys if file.rows))
    versions.flush(os.path.join(segment, file.name) for file in left.files)
    versions.flush([segment])
    versions.write_durably(Path(segment, CONTENTS), left)
    _tidy(segment, left)
    before, after = (sum(file.rows for file in of.keys) for of in (contents, left))
    return ForgottenHere(1, len(row_R), before - after)


def _tidy(segment: str, contents: Contents) -> None:
    """Deletes the files of a segment that it does not name, and the work of a run that was killed."""
    shutil.rmtree(os.path.join(segment, "work"), ignore_errors=True)
    named = {CONTENTS, *(file.name for file in contents.files)}
    for path in Path(segment).iterdir():
        if path.name not in named:
            path.unlink()


def rows_of_ids(view: View, contents: Contents, ids: pa.StringArray) -> Int64s:
    """Returns (R,) int64, ascending: the numbers of the posts of these ids in the one segment of a view."""
    _, entry_E = segments.shared(id_hash(ids), view, low=0, high=_ALL_KEYS, limit=_NO_LIMIT)
    row_E = np.unique(entry_E & _ROW).astype(np.int64)
    found = [np.empty(0, np.int64)]
    for file in contents.posts:
        row_R = row_E[(row_E >= file.first) & (row_E < file.first + file.rows)]
        if len(row_R):
            posts = segments.take(view.folder, view.segments[0], file, row_R)
            is_one = pc.is_in(posts["post_id"], value_set=ids)
            found.append(row_R[is_one.to_numpy(zero_copy_only=False)])
    return np.concatenate(found)


def _without_posts(segment: str, file: PostsFile, row_R: Int64s) -> PostsFile:
    """Writes a file of posts with empty rows in the places of some; returns it, itself where it has none."""
    at_R = row_R[(row_R >= file.first) & (row_R < file.first + file.rows)] - file.first
    if not len(at_R):
        return file
    name, start = _next_name(file.name), 0
    with (
        pa.memory_map(segments.checked_path(segment, file)) as source,
        segments.PostsWriter(os.path.join(segment, name)) as out,
    ):
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            is_out_N = np.isin(np.arange(start, start + batch.num_rows), at_R)
            out.write(*(_emptied(column, is_out_N) for column in batch.columns))
            start += batch.num_rows
    return _named(segment, file, name)


def _emptied(texts: pa.StringArray, is_out_N: Array) -> pa.StringArray:
    return pc.if_else(pa.array(is_out_N), "", texts)


def _without_keys(segment: str, file: KeysFile, row_R: Int64s) -> KeysFile:
    """Writes a file of keys without those of some rows; returns it, itself where it has none of them."""
    table = pq.read_table(segments.checked_path(segment, file), use_threads=False)
    key_H, row_H = (np.asarray(table[name].combine_chunks()) for name in segments.KEYS.names)
    is_out_H = np.isin(row_H, row_R)
    if not is_out_H.any():
        return file
    left_H = ~is_out_H
    name, rows = _next_name(file.name), int(left_H.sum())
    path = os.path.join(segment, name)
    segments.write_keys(path, key_H[left_H], row_H[left_H])
    if not rows:
        return msgspec.structs.replace(file, name=name, rows=0)
    low, high = segments.key_span(path)
    return msgspec.structs.replace(_named(segment, file, name), rows=rows, low=low, high=high)


def _named(segment: str, file: _F, name: str) -> _F:
    """Returns the entry of a file that was written under another name."""
    size, sha256 = file_digest(os.path.join(segment, name))
    return msgspec.structs.replace(file, name=name, bytes=size, sha256=sha256)


def _next_name(name: str) -> str:
    """Returns the name of a file's next version.

    >>> _next_name("posts-00012.arrow"), _next_name("posts-00012.9.arrow")
    ('posts-00012.1.arrow', 'posts-00012.10.arrow')
    """
    stem, *number, ending = name.split(".")
    return f"{stem}.{int(number[0]) + 1 if number else 1}.{ending}"
