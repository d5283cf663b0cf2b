"""What lists do with the posts that they name: in the order of the recipe, block, allow and only."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.batch import Batch, Mask
from sluice.filters.lists.search import Hits, search
from sluice.filters.lists.spec import STAGE, ListSpec
from sluice.filters.lists.table import Table
from sluice.schemas.arrays import Array, Bools
from sluice.schemas.reject import ORIGIN, POLICY, reject_batch, rejects_of


class Lists(NamedTuple):
    """The lists of a recipe, ready to be applied.

    Attributes:
        specs: in the order of the recipe.
        files: what `detail` calls each file, by its number in the table.
        table: their entries.
    """

    specs: tuple[ListSpec, ...]
    files: tuple[str, ...]
    table: Table


class ListStep(NamedTuple):
    """What a list did in a batch.

    Attributes:
        asked: posts that it looked at: no list before it rejected or exempted them, and they are of its
            platforms and languages.
        named: of them, those that an entry names.
        rejected: of the asked, those that it rejected.
    """

    asked: int
    named: int
    rejected: int


class Listed(NamedTuple):
    """What lists decided on a batch: every row of it, once.

    Attributes:
        kept: the batch of the rows that no list rejected, in their order.
        rejected: REJECT rows, in the order of the lists, then of the rows.
        steps: list -> its step, in the order of the recipe.
        usec: microseconds that it took.
    """

    kept: Batch
    rejected: pa.RecordBatch
    steps: dict[str, ListStep]
    usec: int


def apply_lists(batch: Batch, lists: Lists, *, phase: str) -> Listed:
    """Splits a batch by lists: the first list in order that rejects a post gives the reason.

    A list that allows takes what it names out of the lists behind it: the posts of an author, or a post, out
    of all of them; a link, or the words of a phrase, out of those that block by links, or by phrases.

    Args:
        batch: N posts, the text normalised. Languages are asked for only where phrases of a list that has
            some are found, and only for these posts.
        lists: the lists.
        phase: the phase that reject rows name.
    """
    begun = time.perf_counter_ns()
    hits, state = search(batch.posts, lists.table), _State(len(batch))
    rejected: list[pa.RecordBatch] = []
    steps: dict[str, ListStep] = {}
    for place, spec in enumerate(lists.specs):
        asked_N = state.alive_N & ~state.exempt_N & _on_platforms(batch, spec)
        asked_N &= _in_languages(batch, spec, hits, place, asked_N)
        mine = state.counted(hits.where(hits.list_H == place), spec).of_rows(asked_N)
        named_N = np.zeros(len(batch), np.bool_)
        named_N[mine.row_H] = True
        out_N = named_N if spec.action == "block" else asked_N & ~named_N
        if spec.action == "allow":
            state.allow(mine, spec, named_N)
            out_N = np.zeros(len(batch), np.bool_)
        elif out_N.any():
            rejected.append(_rejects(batch, spec, out_N, mine, lists.files, phase=phase))
            state.alive_N = state.alive_N & ~out_N
        steps[spec.name] = ListStep(*(int(each.sum()) for each in (asked_N, named_N, out_N)))
    kept = batch if state.alive_N.all() else batch.filter(state.alive_N)
    usec = (time.perf_counter_ns() - begun) // 1000
    return Listed(kept, pa.concat_batches([reject_batch(0, {}), *rejected]), steps, usec)


class _State:
    """What earlier lists left: rows that are not rejected, rows that are exempt, and places that are.

    Places are bytes of the buffer of texts, so that those of different rows never overlap.
    """

    def __init__(self, num_rows: int):
        self.alive_N = np.ones(num_rows, np.bool_)
        self.exempt_N = np.zeros(num_rows, np.bool_)
        self._places: dict[bool, list[Array]] = {True: [], False: []}

    def allow(self, hits: Hits, spec: ListSpec, named_N: Mask) -> None:
        """Takes what an allowing list names out of the lists behind it."""
        if spec.names_posts:
            self.exempt_N = self.exempt_N | named_N
        else:
            places_H2 = np.stack([hits.start_H, hits.stop_H], axis=1)
            self._places[spec.kind == "phrase"].append(places_H2)

    def counted(self, hits: Hits, spec: ListSpec) -> Hits:
        """Returns the hits of a list that are not inside an exempt place of its sort: a link, or a phrase."""
        places = self._places[spec.kind == "phrase"]
        if spec.action != "block" or spec.names_posts or not places:
            return hits
        places_P2 = np.concatenate(places)
        places_P2 = places_P2[np.argsort(places_P2[:, 0], kind="stable")]
        stops_P1 = np.concatenate([[0], np.maximum.accumulate(places_P2[:, 1])])
        begun_H = np.searchsorted(places_P2[:, 0], hits.start_H, side="right")
        return hits.where(stops_P1[begun_H] < hits.stop_H)


def _on_platforms(batch: Batch, spec: ListSpec) -> Bools:
    """Returns (N,) bool, true where a post is of a platform of the list; all where it names none."""
    if not spec.platforms:
        return np.ones(len(batch), np.bool_)
    if "platform" not in batch.posts.schema.names:
        return np.zeros(len(batch), np.bool_)
    is_in = pc.is_in(batch.posts.column("platform"), pa.array(spec.platforms, pa.string()))
    return np.asarray(is_in)


def _in_languages(batch: Batch, spec: ListSpec, hits: Hits, place: int, asked_N: Bools) -> Bools:
    """Returns (N,) bool, true where the language of an asked post is one of the list's.

    Where the list blocks or allows, posts that none of its entries is in count as of its languages: they are
    let pass in any case, and what they are written in is not asked.
    """
    if not spec.languages:
        return asked_N
    wanted_N = asked_N
    if spec.action != "only":
        wanted_N = np.zeros(len(batch), np.bool_)
        wanted_N[hits.row_H[hits.list_H == place]] = True
        wanted_N &= asked_N
    is_of_N = asked_N.copy()
    if wanted_N.any():
        languages, codes = batch.filter(wanted_N).languages, pa.array(spec.languages)
        columns = (languages.language, languages.language_group)
        is_of_N[wanted_N] = np.asarray(pc.or_(*(pc.is_in(each, codes) for each in columns)))
    return is_of_N


def _rejects(
    batch: Batch, spec: ListSpec, out_N: Mask, hits: Hits, files: Sequence[str], *, phase: str
) -> pa.RecordBatch:
    """Returns the REJECT rows of a list; `detail` says the list and, of what it names, the first entry."""
    detail = None
    if spec.action == "block":
        order_H = np.lexsort((hits.line_H, hits.file_H, hits.start_H, hits.row_H))
        _, first_R = np.unique(hits.row_H[order_H], return_index=True)
        firsts = hits.where(order_H[first_R])
        said = zip(firsts.file_H.tolist(), firsts.line_H.tolist(), strict=True)
        detail = [f"{spec.name} {files[file]}:{line}" for file, line in said]
    return rejects_of(
        batch.posts.select(ORIGIN).filter(pa.array(out_N)),
        kind=POLICY,
        phase=phase,
        stage=STAGE,
        reason=spec.why,
        detail=spec.name if detail is None else detail,
    )
