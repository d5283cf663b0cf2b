"""The stage `send`: the ids of a clean unit's posts, of its notices and of what it rejected, by partition.

Notices of earlier days are read here, too: a unit for each file of `input.deletions`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.pipeline.phases.edges import (
    exchanged_edge,
    read_edge,
    rows_of,
)
from sluice.pipeline.phases.exclude.keys import (
    ALLOWED,
    AUTHORED,
    BACK,
    GONE,
    GONE_EARLIER,
    NAMED,
    NEVER,
    POST,
    REFUSED,
    REPOST,
    SENT,
    VERSION,
    author_keys,
    id_keys,
    platform_keys,
    times_of,
)
from sluice.pipeline.phases.privacy import author_ids
from sluice.pipeline.phases.versions import version_numbers
from sluice.pipeline.recipes.schema import NO_PRIVACY, PrivacySection
from sluice.pipeline.storage import files as storage
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Done, Unit
from sluice.schemas.arrays import Array, Bools, Int64s, Uint64s
from sluice.schemas.counts import SendCounts
from sluice.schemas.errors import InputError
from sluice.schemas.hashing import partition_of
from sluice.schemas.notice import DELETIONS
from sluice.schemas.payloads.format import (
    ALLOW_AUTHOR,
    DELETE,
    DELETE_AUTHOR,
    REFUSE_AUTHOR,
    RESTORE,
    RESTORE_AUTHOR,
)

_ROLES = {
    DELETE: GONE,
    DELETE_AUTHOR: GONE,
    RESTORE: BACK,
    RESTORE_AUTHOR: BACK,
    REFUSE_AUTHOR: REFUSED,
    ALLOW_AUTHOR: ALLOWED,
}
_BATCH_ROWS = 1 << 16
_WANTED = (
    *("post_id", "alias_id", "reposted_id", "platform", "author_id"),
    *("edited_at", "created_at"),
)
"""What is read of posts, where they have it."""
KeysOf = Callable[[pa.StringArray], tuple[Array, Array]]
"""Returns two hashes of each id."""
_NONE = np.uint64(0)


@dataclass(frozen=True)
class SendIds:
    """One clean unit, or one file of earlier deletions.

    Attributes:
        clean: folder of the clean units.
        kept: the columns of POST that kept posts have.
        payloads: numbers of the clean units that are of payloads.
        ids: whether any notice or version may meet a post by its id.
        authors: whether any notice may meet a post by its author.
        refusals: whether what authors say of training counts.
        max_per_day: of an author's posts of a day; None for no cap.
        num_partitions: of ids.
        num_authors: partitions of authors.
        privacy: whose key the authors of posts are hashed with, if they are: those of notices are not.
    """

    folder: str
    clean: str
    kept: tuple[str, ...]
    payloads: frozenset[int]
    ids: bool
    authors: bool
    refusals: bool
    max_per_day: int | None
    num_partitions: int
    num_authors: int
    privacy: PrivacySection = NO_PRIVACY
    name: str = "exclude_send"
    counts: ClassVar = SendCounts

    def do(self, unit: Unit, attempt: Attempt) -> SendCounts:
        """Sends what the unit has."""
        counts = SendCounts()
        with exchanged_edge(attempt, "sent", SENT, self.num_partitions, compressed=True) as writer:
            rows = self._earlier(unit) if unit.payload else self._of_unit(unit)
            for sent in rows:
                writer.write(
                    sent, partition_of(np.asarray(sent.column("key")), self.num_partitions)
                )
        if self.max_per_day is not None and not unit.payload:
            counts.without_author_or_time = self._send_authors(unit, attempt)
        return counts

    def _of_unit(self, unit: Unit) -> Iterator[pa.RecordBatch]:
        """Yields the rows of a clean unit: its posts, the versions that it rejected, its notices."""
        done = Done(self.clean, unit.name)
        is_payload = unit.index in self.payloads
        role = POST if is_payload else NAMED
        for posts, row_N in self._posts(done):
            yield from self._of_posts(posts, row_N, role=role, unit=unit.index)
        if is_payload:
            for versions in read_edge(done, "versions"):
                row_N = np.zeros(versions.num_rows, np.int64)
                yield from self._of_posts(versions, row_N, role=VERSION, unit=unit.index)
            for notices in read_edge(done, "notices"):
                yield self._of_notices(notices if self.refusals else _without_refusals(notices))

    def _posts(self, done: Done) -> Iterator[tuple[pa.RecordBatch, Int64s]]:
        """Yields posts with the columns that matter here, and their places in the `kept` file."""
        names, start = [name for name in _WANTED if name in self.kept], 0
        for batch in read_edge(done, "kept", columns=names):
            yield batch, np.arange(start, start + batch.num_rows)
            start += batch.num_rows

    def _of_posts(
        self, posts: pa.RecordBatch, row_N: Int64s, *, role: int, unit: int
    ) -> Iterator[pa.RecordBatch]:
        """Yields a row for each id that posts are named by."""
        rows = _PostRows(posts, row_N, role=role, unit=unit, capped=self.max_per_day is not None)
        if self.ids:
            yield rows.by_id()
            if "alias_id" in posts.schema.names:
                yield rows.by_alias()
            if "reposted_id" in posts.schema.names and role != VERSION:
                yield rows.by_repeated()
        if self.authors and role != VERSION:
            yield rows.by_author()

    def _earlier(self, unit: Unit) -> Iterator[pa.RecordBatch]:
        """Yields DELETIONS of earlier days as SENT rows."""
        for rows in deletions_of(unit.payload):
            yield self._sent_notices(rows, np.full(rows.num_rows, GONE_EARLIER, np.uint8))

    def _of_notices(self, notices: pa.RecordBatch) -> pa.RecordBatch:
        """Returns NOTICES as SENT rows."""
        acts = notices.column("act").to_pylist()
        return self._sent_notices(notices, np.array([_ROLES[act] for act in acts], np.uint8))

    def _sent_notices(self, rows: pa.RecordBatch, role_N: Array) -> pa.RecordBatch:
        """Returns notices under the keys of what they name: authors as posts have them."""
        authors = author_ids(rows.column("author_id"), self.privacy)
        return _sent_notices(rows, role_N, author_keys(authors))

    def _send_authors(self, unit: Unit, attempt: Attempt) -> int:
        """Sends posts by their authors; returns how many have none, or no time."""
        passed = 0
        with exchanged_edge(
            attempt, "authors", AUTHORED, self.num_authors, compressed=True
        ) as writer:
            for posts, row_N in self._posts(Done(self.clean, unit.name)):
                author_N, check_N = capped_authors(posts)
                time_N = times_of(posts.column("created_at"))
                at_P = np.flatnonzero((author_N != 0) & (time_N != NEVER))
                passed += posts.num_rows - len(at_P)
                ids = posts.column("post_id").take(pa.array(at_P))
                is_out = np.zeros(len(at_P), np.bool_)
                units = np.full(len(at_P), unit.index, np.uint32)
                columns = author_N[at_P], check_N[at_P], is_out, time_N[at_P], ids, units
                rows = rows_of(AUTHORED, *columns, row_N[at_P].astype(np.uint32))
                writer.write(rows, partition_of(author_N[at_P], self.num_authors))
        return passed


class _PostRows:
    """Posts as SENT rows, by any of their ids."""

    def __init__(self, posts: pa.RecordBatch, row_N: Int64s, *, role: int, unit: int, capped: bool):
        self._posts, self._role, self._unit, num_rows = posts, role, unit, posts.num_rows
        zeros = np.zeros(num_rows, np.uint64)
        platforms = posts.column("platform") if "platform" in posts.schema.names else None
        aliases = posts.column("alias_id") if "alias_id" in posts.schema.names else None
        self._platform_N = (
            np.zeros(num_rows, np.uint32) if platforms is None else platform_keys(platforms)
        )
        self._number_N = (
            zeros if aliases is None else version_numbers(posts.column("post_id"), aliases)
        )
        self._time_N = times_of(posts.column("edited_at"))
        self._row_N = row_N.astype(np.uint32)
        self._authors = capped_authors(posts) if capped and role != VERSION else (zeros, zeros)

    def by_id(self) -> pa.RecordBatch:
        """Returns a row for each post."""
        return self._by("post_id", id_keys, self._role)

    def by_alias(self) -> pa.RecordBatch:
        """Returns a row for each post that has another name.

        It tells versions only where each of them is a number: a number of a server of Mastodon may be that of
        another server, too.
        """
        is_version_N = self._number_N > 0
        if self._role == VERSION:
            return self._by("alias_id", id_keys, VERSION, where_N=is_version_N)
        return self._by("alias_id", id_keys, np.where(is_version_N, self._role, NAMED))

    def by_repeated(self) -> pa.RecordBatch:
        """Returns a row for each repost."""
        return self._by("reposted_id", id_keys, REPOST)

    def by_author(self) -> pa.RecordBatch:
        """Returns a row for each post that has an author."""
        return self._by("author_id", author_keys, NAMED)

    def _by(
        self, name: str, keys_of: KeysOf, role: int | Array, *, where_N: Bools | None = None
    ) -> pa.RecordBatch:
        """Returns SENT rows of those of the posts that have an id."""
        ids, num_posts = self._posts.column(name), self._posts.num_rows
        at_P = np.flatnonzero(_is_there(ids) if where_N is None else _is_there(ids) & where_N)
        nulls = pa.nulls(len(at_P), pa.string())
        return rows_of(
            SENT,
            *keys_of(ids.take(pa.array(at_P))),
            np.broadcast_to(role, num_posts)[at_P].astype(np.uint8),
            self._platform_N[at_P],
            self._number_N[at_P],
            self._time_N[at_P],
            np.full(len(at_P), self._unit, np.uint32),
            self._row_N[at_P],
            *(part[at_P] for part in self._authors),
            *(nulls, nulls, nulls),
        )


def capped_authors(posts: pa.RecordBatch) -> tuple[Array, Array]:
    """Returns two hashes of each post's author and platform, (N,) uint64; 0 where there is no author."""
    authors = posts.column("author_id")
    none_N = ~_is_there(authors)
    high_N, low_N = author_keys(authors)
    if "platform" in posts.schema.names:
        high_N = high_N ^ platform_keys(posts.column("platform")).astype(np.uint64)
    return np.where(none_N, _NONE, high_N | np.uint64(1)), np.where(none_N, _NONE, low_N)


def _without_refusals(notices: pa.RecordBatch) -> pa.RecordBatch:
    of_training = pc.is_in(notices.column("act"), pa.array([REFUSE_AUTHOR, ALLOW_AUTHOR]))
    return notices.filter(pc.invert(of_training))


def _sent_notices(
    rows: pa.RecordBatch, role_N: Array, of_authors: tuple[Uint64s, Uint64s]
) -> pa.RecordBatch:
    ids, authors = rows.column("id"), rows.column("author_id")
    of_post_N = _is_there(ids)
    id_N, id_check_N = id_keys(ids)
    author_N, author_check_N = of_authors
    zeros = np.zeros(rows.num_rows, np.uint64)
    platforms = rows.column("platform")
    nowhere = np.zeros(rows.num_rows, np.uint32)
    return rows_of(
        SENT,
        np.where(of_post_N, id_N, author_N),
        np.where(of_post_N, id_check_N, author_check_N),
        role_N,
        platform_keys(platforms),
        zeros,
        times_of(rows.column("time")),
        *(nowhere, nowhere, zeros, zeros),
        *(platforms, ids, authors),
    )


def deletions_of(path: str) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a file of deletions as DELETIONS; a column that it lacks is null.

    Raises:
        InputError: it is no Parquet file, has neither `id` nor `author_id`, or a column of another type.
    """
    try:
        with storage.open_input(path) as source:
            file = pq.ParquetFile(source)
            names = [name for name in DELETIONS.names if name in file.schema_arrow.names]
            if not {"id", "author_id"} & set(names):
                raise InputError(
                    f"{path}: has neither a column id nor author_id: input.deletions names files as a run "
                    f"writes them in OUTPUT/deletions"
                )
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=names):
                rows = _as_deletions(batch)
                named = pc.or_(rows.column("id").is_valid(), rows.column("author_id").is_valid())
                yield rows.filter(named)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"{path}: cannot be read as deletions: {error}; input.deletions names Parquet files with the "
            f"columns {', '.join(DELETIONS.names)}"
        ) from None


def _as_deletions(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns: list[Any] = []
    for field in DELETIONS:
        there = field.name in batch.schema.names
        given = batch.column(field.name) if there else pa.nulls(batch.num_rows, field.type)
        columns.append(given.cast(field.type))
    return pa.RecordBatch.from_arrays(columns, schema=DELETIONS)


def _is_there(values: pa.Array) -> Bools:
    return np.asarray(values.is_valid().to_numpy(zero_copy_only=False))
