"""The stage `match`: posts and notices of one partition -> what was deleted, or has a later version.

An id means one thing on one platform. Where the platform of a post or of a notice is not known, the id alone
decides. Of the notices of an id the last counts, and of those of one time the one that takes out.

Shape suffixes: N rows of a partition, P posts, V versions and posts that have some, M notices, G groups.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.phases.edges import exchanged_edge, rows_of, written_edge
from sluice.pipeline.phases.exclude.keys import (
    ALLOWED,
    AUTHORED,
    BACK,
    DELETED,
    FOUND,
    GONE,
    GONE_EARLIER,
    NAMED,
    NEVER,
    NO_CONSENT,
    NO_PLACE,
    POST,
    REFUSED,
    REPOST,
    SENT,
    SUPERSEDED,
    VERSION,
)
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.schemas.arrays import Array, Bools, Int64s
from sluice.schemas.counts import MatchCounts
from sluice.schemas.hashing import partition_of
from sluice.schemas.notice import DELETIONS

_OWN_NOTICES = (GONE, BACK, REFUSED, ALLOWED)


@dataclass(frozen=True)
class Match:
    """One partition of ids.

    Attributes:
        num_units: of clean.
        num_authors: partitions of authors; 0 where they have no cap.
    """

    folder: str
    num_units: int
    num_authors: int
    name: str = "exclude_match"
    counts: ClassVar = MatchCounts

    def do(self, unit: Unit, attempt: Attempt) -> MatchCounts:
        """Writes which posts are out, and the notices for later days."""
        batches = [batch for _, batch in exchange.read(unit)]
        rows = pa.Table.from_batches(batches, SENT).combine_chunks().to_batches()[0]
        table = {f.name: np.asarray(rows.column(f.name)) for f in SENT if f.type != pa.string()}
        found = decide(table)
        self._write_found(table, found, attempt)
        if self.num_authors:
            self._write_authors(table, found, attempt)
        later = rows.take(pa.array(_for_later(rows, table, found))).select(
            ["platform_name", "id", "author_id", "time"]
        )
        with written_edge(attempt, "deletions", DELETIONS) as file:
            file.write_batch(rows_of(DELETIONS, *later.columns[:3], _timestamps(later.column(3))))
        is_own = np.isin(table["role"], _OWN_NOTICES)
        return MatchCounts(
            notices=int(is_own.sum()),
            earlier=int((table["role"] == GONE_EARLIER).sum()),
            met=int((found.is_met_N & is_own).sum()),
        )

    def _write_found(self, table: dict[str, Array], found: "Decided", attempt: Attempt) -> None:
        with exchanged_edge(attempt, "found", FOUND, self.num_units) as writer:
            for reason, row_P in found.by_reason.items():
                reason_P = np.full(len(row_P), reason, np.uint8)
                place_P = np.full(len(row_P), NO_PLACE, np.uint32)
                rows = rows_of(FOUND, table["row"][row_P], reason_P, place_P)
                writer.write(rows, table["unit"][row_P])

    def _write_authors(self, table: dict[str, Array], found: "Decided", attempt: Attempt) -> None:
        out_P = np.unique(np.concatenate(list(found.by_reason.values())))
        out_P = out_P[table["author"][out_P] != 0]
        with exchanged_edge(attempt, "authors", AUTHORED, self.num_authors) as writer:
            author_P, unit_P, row_P = (table[n][out_P] for n in ("author", "unit", "row"))
            checks = table["author_check"][out_P], np.ones(len(out_P), np.bool_)
            nothing = np.full(len(out_P), NEVER), pa.nulls(len(out_P), pa.string())
            rows = rows_of(AUTHORED, author_P, *checks, *nothing, unit_P, row_P)
            writer.write(rows, partition_of(author_P, self.num_authors))


class Decided(NamedTuple):
    """What is out of N rows.

    Attributes:
        by_reason: code of a reason -> places of posts, ascending; a post is under one of them.
        is_met_N: (N,) bool, notices that a post answers to.
        is_last_N: (N,) bool, the notices that count, one for each id and platform.
    """

    by_reason: dict[int, Int64s]
    is_met_N: Bools
    is_last_N: Bools


def decide(table: dict[str, Array]) -> Decided:
    """Returns what is out of the rows of a partition, (N,) each by SENT's names, in any order."""
    role_N = table["role"]
    group_N = _numbered(table["key"], table["check"])
    is_own_N = (role_N == POST) | (role_N == NAMED)
    post_P = np.flatnonzero(is_own_N | (role_N == REPOST))
    is_met_N, is_last_N = np.zeros(len(role_N), np.bool_), np.zeros(len(role_N), np.bool_)
    by_reason = {DELETED: np.empty(0, np.int64), NO_CONSENT: np.empty(0, np.int64)}
    for reason, roles in ((DELETED, (GONE, BACK, GONE_EARLIER)), (NO_CONSENT, (REFUSED, ALLOWED))):
        note_M = np.flatnonzero(np.isin(role_N, roles))
        if len(note_M):
            notes = _Notes(table, group_N, note_M)
            out_P = notes.take_out(group_N[post_P], table["platform"][post_P])
            by_reason[reason] = post_P[out_P]
            # What a repost repeats may be in another day's output: the notice is still wanted there.
            own_P = np.flatnonzero(is_own_N)
            is_met_N[note_M] = notes.met(group_N[own_P], table["platform"][own_P])
            is_last_N[note_M] = notes.is_last_M
    by_reason[SUPERSEDED] = _superseded(table, group_N)
    return Decided(_first_reasons(by_reason), is_met_N, is_last_N)


def _first_reasons(by_reason: dict[int, Int64s]) -> dict[int, Int64s]:
    """Returns each post under the least of its reasons."""
    taken, first = np.empty(0, np.int64), {}
    for reason in sorted(by_reason):
        first[reason] = np.setdiff1d(by_reason[reason], taken)
        taken = np.union1d(taken, by_reason[reason])
    return first


class _Notes:
    """M notices: the state of an id is that of its last notice."""

    def __init__(self, table: dict[str, Array], group_N: Int64s, note_M: Int64s):
        self._group_M = group_N[note_M]
        self._platform_M = table["platform"][note_M].astype(np.int64)
        is_gone_M = ~np.isin(table["role"][note_M], (BACK, ALLOWED))
        # The last bit says what the notice does: among those of one time a deletion is the largest.
        time_M = np.maximum(table["time"][note_M], NEVER // 4)
        self._state_M = time_M * 2 + is_gone_M
        self._any = _Last(self._group_M, self._state_M)
        self._of_all = _Last(*self._where(self._platform_M == 0))
        self._codes_M = _codes(self._group_M, self._platform_M)
        self._of_one = _Last(self._codes_M, self._state_M)

    def _where(self, chosen_M: Bools) -> tuple[Int64s, Int64s]:
        return self._group_M[chosen_M], self._state_M[chosen_M]

    def take_out(self, group_P: Int64s, platform_P: Array) -> Bools:
        """Returns (P,) bool: which posts the notices take out."""
        codes_P = _codes(group_P, platform_P.astype(np.int64))
        of_one_P = np.maximum(self._of_one.of(codes_P), self._of_all.of(group_P))
        state_P = np.where(platform_P == 0, self._any.of(group_P), of_one_P)
        return np.asarray((state_P != NEVER) & (state_P & 1 == 1))

    def met(self, group_P: Int64s, platform_P: Array) -> Bools:
        """Returns (M,) bool: which notices are about one of the posts."""
        codes_P = _codes(group_P, platform_P.astype(np.int64))
        is_known = np.isin(self._codes_M, codes_P)
        is_known |= np.isin(self._group_M, group_P[platform_P == 0])
        return np.asarray(is_known | (np.isin(self._group_M, group_P) & (self._platform_M == 0)))

    @property
    def is_last_M(self) -> Bools:
        """(M,) bool, the last notice of each id and platform; of equal ones the first row."""
        order_M = np.lexsort((-np.arange(len(self._codes_M)), self._state_M, self._codes_M))
        codes_M = self._codes_M[order_M]
        last_M = np.zeros(len(order_M), np.bool_)
        last_M[order_M] = np.append(codes_M[1:] != codes_M[:-1], True)
        return last_M


class _Last:
    """The largest state of each group."""

    def __init__(self, group_M: Int64s, state_M: Int64s):
        self._group_G, at_M = np.unique(group_M, return_inverse=True)
        self._state_G = np.full(len(self._group_G), NEVER)
        np.maximum.at(self._state_G, at_M, state_M)

    def of(self, group_P: Int64s) -> Int64s:
        """Returns (P,) int64, the state of each group; NEVER for one that has none."""
        if not len(self._group_G):
            return np.full(len(group_P), NEVER)
        at_P = np.minimum(np.searchsorted(self._group_G, group_P), len(self._group_G) - 1)
        return np.where(self._group_G[at_P] == group_P, self._state_G[at_P], NEVER)


def _codes(group_M: Int64s, platform_M: Int64s) -> Int64s:
    """Returns (M,) int64, one number for a group and a platform."""
    return np.asarray(group_M << 32 | platform_M)


def _superseded(table: dict[str, Array], group_N: Int64s) -> Int64s:
    """Returns the places of posts of which a later version is among the rows, ascending."""
    of_V = np.flatnonzero((table["role"] == POST) | (table["role"] == VERSION))
    number_V, time_V = table["number"][of_V], table["time"][of_V]
    if not (number_V.any() or (time_V != NEVER).any()):
        return np.empty(0, np.int64)
    code_V = _codes(group_N[of_V], table["platform"][of_V].astype(np.int64))
    order_V = np.lexsort((time_V, number_V, code_V))
    code_V, number_V, time_V = code_V[order_V], number_V[order_V], time_V[order_V]
    last_V = np.searchsorted(code_V, code_V, side="right") - 1
    is_older_V = (number_V != number_V[last_V]) | (time_V != time_V[last_V])
    older_V = of_V[order_V[is_older_V]]
    return np.sort(older_V[table["role"][older_V] == POST])


def _numbered(key_N: Array, check_N: Array) -> Int64s:
    """Returns (N,) int64, a number that rows of one id have, and no others."""
    order_N = np.lexsort((check_N, key_N))
    begins_N = np.zeros(len(order_N), np.bool_)
    for column_N in (key_N[order_N], check_N[order_N]):
        begins_N[1:] |= column_N[1:] != column_N[:-1]
    number_N = np.empty(len(order_N), np.int64)
    number_N[order_N] = np.cumsum(begins_N)
    return number_N


def _for_later(rows: pa.RecordBatch, table: dict[str, Array], found: Decided) -> Int64s:
    """Returns the places of the notices that later days need: of posts that met none, and of all authors.

    An author's posts are in many days' outputs, a post is in one.
    """
    is_author_N = rows.column("id").is_null().to_numpy(zero_copy_only=False)
    is_wanted_N = found.is_last_N & (table["role"] == GONE) & (is_author_N | ~found.is_met_N)
    return np.flatnonzero(is_wanted_N)


def _timestamps(times: pa.Int64Array) -> pa.TimestampArray:
    """Returns times, null for NEVER."""
    known = pc.if_else(pc.equal(times, NEVER), pa.scalar(None, pa.int64()), times)
    return known.cast(pa.timestamp("us", tz="UTC"))
