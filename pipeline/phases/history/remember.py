"""Phase history: the posts that are left -> a segment of the history -> a version that names it.

Each clean unit records its posts and sends their keys; each partition of the keys is sorted; one last
unit writes what is in the segment and publishes it. Everything is in the segment's folder:

    posts-*.arrow  keys-*.parquet  segment.json     the segment, under names without attempt ids: the
                                                    same posts give the same bytes
    work/record  work/index  work/publish           units' manifests, and the keys that are exchanged

Killed before a version names the segment, a run of the same name resumes from the manifests; the
publishing unit then removes the work of the others. From there on the segment itself says that it is
done: `units_left` gives nothing to do while the version that counts names it and its files are whole.
"""

import datetime
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from sluice.filters.dedup.exact_hash import content_hash, id_hash
from sluice.filters.dedup.kernels import NO_KEY
from sluice.filters.dedup.minhash import MinHashSpec, text_band_keys
from sluice.filters.dedup.sorted_keys import sort_by_key
from sluice.filters.text.views import dedup_text
from sluice.pipeline.history import segments
from sluice.pipeline.history import versions as history
from sluice.pipeline.history.segments import Contents, KeysFile, PostsFile
from sluice.pipeline.history.versions import CONTENTS, Segment, Sketch, segment_folder
from sluice.pipeline.phases.edges import KEYS, Survivors, exchanged_edge, rows_of
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Done, FileEntry, Unit, done_units, whole_file
from sluice.schemas.arrays import Array
from sluice.schemas.counts import IndexCounts, PublishCounts, RecordCounts
from sluice.schemas.errors import DamagedError, LedgerError, SluiceError
from sluice.schemas.hashing import partition_of
from sluice.schemas.kernel import utf8_view

PHASE = "history"
POSTS_IN_KEY_PARTITION = 100_000
MAX_PARTITIONS = 4096
MAX_POSTS = 1 << 32
"""Posts of a segment are numbered by 32 bits."""


@dataclass(frozen=True)
class Record:
    """A clean unit's posts that are left -> their file in the segment, and their keys by partition.

    Attributes:
        segment: folder of the segment.
    """

    folder: str
    segment: str
    survivors: Survivors
    minhash: MinHashSpec
    num_partitions: int
    name: str = f"{PHASE}_record"
    counts: ClassVar = RecordCounts

    def do(self, unit: Unit, attempt: Attempt) -> RecordCounts:
        """Records a unit's posts, and sends their keys."""
        name = f"posts-{unit.index:05d}.arrow"
        path, counts = attempt.contract_path(self.segment, name), RecordCounts()
        with (
            segments.PostsWriter(path) as posts,
            exchanged_edge(attempt, "keys", KEYS, self.num_partitions) as keys,
        ):
            for batch in self.survivors.read(unit.name, columns=("post_id", "text")):
                post_id, text = batch.column("post_id"), dedup_text(batch.column("text"))
                posts.write(post_id, text)
                key_M, row_M = post_keys(post_id, text, self.minhash)
                row_M += np.uint32(counts.posts)
                keys.write(rows_of(KEYS, key_M, row_M), partition_of(key_M, self.num_partitions))
                counts += RecordCounts(batch.num_rows, len(key_M))
        attempt.add_contract("posts", name)
        return counts


def post_keys(
    post_id: pa.StringArray, text: pa.StringArray, minhash: MinHashSpec
) -> tuple[Array, Array]:
    """Returns (key_M uint64, row_M uint32): the keys by which posts meet, and whose each is.

    Those of `sluice.pipeline.phases.clean.stage`: of the id, and unless the text is empty of the text and
    of its bands. By row, so that the rows of equal keys ascend wherever a stable sort leaves them.
    """
    content_N = content_hash(text)
    content_N[np.diff(utf8_view(text).offsets_N1) == 0] = NO_KEY
    key_NK = np.column_stack([id_hash(post_id), content_N, text_band_keys(text, minhash)])
    some_M = np.flatnonzero(key_NK != NO_KEY)
    return key_NK.ravel()[some_M], (some_M // key_NK.shape[1]).astype(np.uint32)


@dataclass(frozen=True)
class Index:
    """The keys of one partition -> their file in the segment, sorted.

    Attributes:
        record: folder of the recorded units.
    """

    folder: str
    segment: str
    record: str
    name: str = f"{PHASE}_index"
    counts: ClassVar = IndexCounts

    def do(self, unit: Unit, attempt: Attempt) -> IndexCounts:
        """Sorts a partition; all units are recorded by then."""
        first = _first_posts(self.record)
        num_rows = sum(s.rows for s in exchange.unit_sources(unit))
        key_M, row_M = np.empty(num_rows, np.uint64), np.empty(num_rows, np.uint32)
        at = 0
        for source, batch in exchange.read(unit):
            end = at + batch.num_rows
            key_M[at:end] = batch.column("key")
            np.add(batch.column("row"), np.uint32(first[source.unit]), out=row_M[at:end])
            at = end
        # Units come in order, and a unit's rows too, so a stable sort by key leaves rows ascending.
        key_M, row_M = sort_by_key(segments.cut(key_M), row_M)
        name = f"keys-{unit.index:05d}.parquet"
        path = attempt.contract_path(self.segment, name)
        segments.write_keys(path, key_M, row_M)
        attempt.add_contract("keys", name)
        return IndexCounts(num_rows)


def _first_posts(record: str) -> dict[str, int]:
    """Returns the number, in the segment, of each unit's first post."""
    first, total = {}, 0
    for done in done_units(record):
        first[done.unit] = total
        total += done.manifest().counted(RecordCounts).posts
    if total >= MAX_POSTS:
        raise SluiceError(
            f"{total:,} posts are more than a segment of the history holds: run fewer input files"
        )
    return first


@dataclass(frozen=True)
class Publish:
    """All recorded units and sorted partitions -> segment.json, and a version that names the segment.

    Attributes:
        history: the history folder.
        segment: name of the segment.
        inputs: fingerprint of the input files.
        days: of the window.
        clean: folder of the clean units, each of which is recorded.
    """

    folder: str
    history: str
    segment: str
    day: datetime.date
    inputs: str
    days: int
    sketch: Sketch
    record: str
    index: str
    clean: str
    name: str = f"{PHASE}_publish"
    counts: ClassVar = PublishCounts

    def do(self, unit: Unit, attempt: Attempt) -> PublishCounts:
        """Publishes the segment."""
        # A second attempt finds that the first removed the work of the units: what arrived is not recorded.
        attempt.arrived = 0
        if not self.is_done():
            done = exchange.gathered(unit)
            _check_arrived(self, done)
            contents = _contents(self, done)
            segment, path = Path(self.segment_folder), Path(self.segment_folder, CONTENTS)
            history.flush(segment / f.name for f in contents.files)
            history.write_durably(path, contents)
            history.flush([segment.parent, self.history])
            version = history.current(self.history)
            if version:
                history.check_sketch(version, self.sketch, folder=self.history)
            row = self.row(contents)
            version = history.extended(version, row, sketch=self.sketch, days=self.days)
            history.publish(self.history, version)
        _tidy(self)
        return published_counts(self)

    @property
    def segment_folder(self) -> str:
        """The folder of the segment."""
        return segment_folder(self.history, self.segment)

    def row(self, contents: Contents) -> Segment:
        """Returns the segment as a version names it."""
        size = sum(f.bytes for f in contents.files)
        return Segment(self.segment, self.day.isoformat(), self.inputs, contents.rows, size)

    def is_done(self) -> bool:
        """Returns whether the version that counts names the segment, and it is whole."""
        version = history.current(self.history)
        names = {s.name for s in version.segments} if version else set()
        return self.segment in names and segments.is_whole(self.segment_folder)


def _check_arrived(stage: Publish, done: Sequence[Done]) -> None:
    """Raises DamagedError or LedgerError where the engine lost a unit, or ranges of keys."""
    wrong, never = exchange.lost(exchange.Crossing((stage.record,), "keys", stage.index))
    for unit in wrong:
        raise DamagedError(
            f"{unit.manifest_path}: the engine lost keys of it; run the same command again",
            folder=unit.folder,
            unit=unit.unit,
        )
    recorded = sum(unit.folder == stage.record for unit in done)
    missing = len(done_units(stage.clean)) - recorded
    missing += len(done_units(stage.index)) - (len(done) - recorded)
    if never or missing:
        raise LedgerError(
            f"history: the engine lost {never + missing} units; run the same command again"
        )


def _contents(stage: Publish, done: Sequence[Done]) -> Contents:
    posts: list[PostsFile] = []
    keys: list[KeysFile] = []
    rows = 0
    for unit in (d for d in done if d.folder == stage.record):
        manifest = unit.manifest()
        entry, num_posts = manifest.files["posts"], manifest.counted(RecordCounts).posts
        _whole(stage.segment_folder, entry)
        if num_posts:
            posts.append(PostsFile(entry.name, num_posts, entry.bytes, entry.sha256, rows))
        rows += num_posts
    for unit in (d for d in done if d.folder == stage.index):
        manifest = unit.manifest()
        entry, num_keys = manifest.files["keys"], manifest.counted(IndexCounts).keys
        span = segments.key_span(_whole(stage.segment_folder, entry))
        keys.append(KeysFile(entry.name, num_keys, entry.bytes, entry.sha256, *span))
    return Contents(rows, tuple(posts), tuple(keys))


def _whole(folder: str, entry: FileEntry) -> str:
    remedy = f"delete the folder {folder} and run again: its units are done again"
    path = os.path.join(folder, entry.name)
    return whole_file(path, entry.bytes, writer="its unit", remedy=remedy)


def _tidy(stage: Publish) -> None:
    """Removes what the segment does not name: the work of its units, and files of attempts that died."""
    segment = Path(stage.segment_folder)
    for folder in (stage.record, stage.index):
        shutil.rmtree(folder, ignore_errors=True)
    if (segment / CONTENTS).exists():
        named = {CONTENTS, *(f.name for f in segments.read_contents(str(segment)).files)}
        for path in segment.iterdir():
            if path.is_file() and path.name not in named:
                path.unlink()


def published_counts(stage: Publish) -> PublishCounts:
    """Returns what the history remembers of the run; nothing if its day is outside the window."""
    if not os.path.exists(os.path.join(stage.segment_folder, CONTENTS)):
        return PublishCounts()
    contents = segments.read_contents(stage.segment_folder)
    keys = sum(f.rows for f in contents.keys)
    return PublishCounts(contents.rows, keys, stage.row(contents).bytes)


class RememberStages(NamedTuple):
    """The stages of the phase, in order."""

    record: Record
    index_keys: Index
    publish: Publish


def remember_stages(
    survivors: Survivors,
    *,
    folder: str,
    name: str,
    day: datetime.date,
    inputs: str,
    days: int,
    minhash: MinHashSpec,
    num_posts: int,
) -> RememberStages:
    """Returns the stages that remember the posts that are left; touches no file.

    Args:
        survivors: the posts.
        folder: of the history, an absolute path.
        name: of the segment: one for all that its posts depend on, the history it was compared with
            among it.
        day: that the posts count for.
        inputs: fingerprint of the input files.
        days: of the window.
        minhash: as in the clean phase.
        num_posts: posts, about.
    """
    segment = segment_folder(folder, name)
    record, index, publish = (
        os.path.join(segment, "work", stage) for stage in ("record", "index", "publish")
    )
    num_partitions = min(MAX_PARTITIONS, max(1, math.ceil(num_posts / POSTS_IN_KEY_PARTITION)))
    sketch = history.sketch(minhash)
    return RememberStages(
        Record(record, segment, survivors, minhash, num_partitions),
        Index(index, segment, record),
        Publish(
            *(publish, folder, name, day, inputs, days, sketch, record, index, survivors.clean)
        ),
    )


def units_left(stages: RememberStages, units: Sequence[Unit]) -> tuple[Unit, ...]:
    """Returns the units to run: all, or none if the segment is done or its day is outside the window.

    The driver calls it before the phase, while it holds the history. It readies the segment's folder:
    work of a killed run is kept if all its files are there, and dropped otherwise.
    """
    stage = stages.publish
    if stage.is_done():
        _tidy(stage)
        if not Path(stage.folder, f"{PHASE}.json").exists():
            Attempt(stage.folder, PHASE).commit(published_counts(stage))
        return ()
    Path(stage.folder, f"{PHASE}.json").unlink(missing_ok=True)
    version = history.current(stage.history)
    row = stage.row(Contents(0, (), ()))
    known = version is not None and stage.segment in {s.name for s in version.segments}
    wanted = history.extended(version, row, sketch=stage.sketch, days=stage.days) is not version
    if not known and not wanted:
        return ()
    if not _work_is_whole(stages):
        shutil.rmtree(os.path.dirname(stage.folder), ignore_errors=True)
    return tuple(units)


def _work_is_whole(stages: RememberStages) -> bool:
    """Returns whether the files of all units that are done are there, with their sizes."""
    segment = stages.publish.segment_folder
    for stage in (stages.record, stages.index_keys):
        for done in done_units(stage.folder):
            for entry in done.manifest().files.values():
                if not _in_place(segment if entry.sha256 else stage.folder, entry):
                    return False
    return True


def _in_place(folder: str, entry: FileEntry) -> bool:
    path = Path(folder, entry.name)
    return path.is_file() and path.stat().st_size == entry.bytes
