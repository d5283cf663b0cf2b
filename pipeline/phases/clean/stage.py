"""Phase clean: input units -> clean posts with scores, rejects, and the keys that duplicates meet by.

Nothing crosses machines here: a unit reads its posts, normalises and filters them batch by batch, and
writes one file per edge.
"""

from dataclasses import dataclass
from typing import ClassVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.base import Filter
from sluice.filters.batch import Batch
from sluice.filters.carried import CarriedFilters, unpacked
from sluice.filters.decontamination import decide as decontamination
from sluice.filters.decontamination.table import Table as ItemTable
from sluice.filters.dedup.exact_hash import content_hash, id_hash
from sluice.filters.dedup.minhash import MinHashSpec, text_band_keys
from sluice.filters.lists.spec import STAGE
from sluice.filters.partition import Screened, Verdicts, concat_rejects
from sluice.filters.text.media import without_words
from sluice.pipeline.inputs.evaluation_sets import learned_table
from sluice.pipeline.inputs.forgotten import HEEDED, map_heeded
from sluice.pipeline.inputs.inventory import InputUnit
from sluice.pipeline.inputs.list_files import CarriedLists, opened
from sluice.pipeline.inputs.reader import ReadOptions, read_unit
from sluice.pipeline.ledger import score_histograms
from sluice.pipeline.ledger.tally import author_sample, tally, value_counts
from sluice.pipeline.phases.clean.batches import PHASE, cleaner
from sluice.pipeline.phases.clean.forgotten import without_forgotten
from sluice.pipeline.phases.clean.masked import masked_counts
from sluice.pipeline.phases.edges import (
    KEYS,
    SCREENED,
    VERSIONS,
    kept_schema,
    rows_of,
    written_edge,
)
from sluice.pipeline.phases.privacy import author_ids, masking_of, with_keyed_authors
from sluice.pipeline.phases.versions import is_version
from sluice.pipeline.recipes.schema import MAX_SAMPLE, NO_PRIVACY, MediaSection, PrivacySection
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.key_file import read_key
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Done, Unit
from sluice.pipeline.units.reject_file import RejectFile
from sluice.schemas.arrays import Array
from sluice.schemas.counts import CleanCounts, FilterCounts, ListCounts, ScreenedTally, Table
from sluice.schemas.hashing import partition_of
from sluice.schemas.kernel import utf8_view
from sluice.schemas.notice import NOTICES
from sluice.schemas.payloads.columns import ReadBatch
from sluice.schemas.reject import ERROR, MALFORMED, POLICY

SEEN_TEXTS = 1 << 18
"""Slots of the memory of texts in a unit; a power of two, 2 MiB."""


@dataclass(frozen=True)
class CleanStage:
    """Reads, normalises and filters one input unit.

    Attributes:
        folder: where the units' files are.
        output: the output folder, for `rejects/`.
        root: the folder that source paths are relative to.
        num_partitions: of the key exchange.
        seed: of the sample of what screens reject.
        kept: the columns of POST that kept posts have.
        media: what becomes of the media of posts.
        lists: of the recipe; None where it has none.
        excludes: whether notices, and rejected versions of posts, are written for phase exclude.
        forgotten: digest of the posts that were; "" where none were.
        items: the unit that wrote the table of evaluation sets; None where the recipe has none.
        review: whether posts that hold an item are written beside it.
        privacy: what becomes of authors' ids and of personal data; the path of its key file is absolute. Its
            key tells posts that were forgotten, too.
    """

    folder: str
    output: str
    root: str
    options: ReadOptions
    filters: CarriedFilters
    language_model: str
    minhash: MinHashSpec
    num_partitions: int
    seed: int
    kept: tuple[str, ...]
    media: MediaSection
    excludes: bool = False
    forgotten: str = ""
    lists: CarriedLists | None = None
    items: Done | None = None
    review: bool = False
    privacy: PrivacySection = NO_PRIVACY
    name: str = PHASE
    counts: ClassVar = CleanCounts

    def do(self, unit: Unit, attempt: Attempt) -> CleanCounts:
        """Cleans a unit, with models that are loaded once a process."""
        filters = unpacked(self.filters)
        lists = None if self.lists is None else opened(self.lists)
        masking = masking_of(self.privacy)
        clean = cleaner(filters, self.language_model, self.media, lists=lists, masking=masking)
        outputs = CleanOutputs(self, filters, unit, attempt)
        table = None if self.items is None else learned_table(self.items)
        input_unit = msgspec.convert(unit.payload, InputUnit)
        with outputs:
            for read in map(
                self._without_forgotten, read_unit(self.root, input_unit, self.options)
            ):
                authors = author_ids(read.posts.column("author_id"), self.privacy)
                outputs.counts += CleanCounts(input=read.counts)
                outputs.reject(read.rejected)
                outputs.counts += CleanCounts(authors=author_sample(authors))
                for part in clean(read.posts):
                    outputs.take(part if table is None else outputs.without_items(part, table))
                if self.excludes:
                    outputs.take_notices(read)
        return outputs.finish()

    def _without_forgotten(self, read: ReadBatch) -> ReadBatch:
        if not self.forgotten or self.privacy.key_file is None:
            return read
        forgotten = map_heeded(storage.join(self.output, HEEDED), self.forgotten)
        return without_forgotten(read, forgotten, read_key(self.privacy.key_file))


class CleanOutputs:
    """The edges of a clean unit: kept posts, rejects, keys and screened posts, and their counts."""

    def __init__(
        self, stage: CleanStage, filters: tuple[Filter, ...], unit: Unit, attempt: Attempt
    ):
        self._stage, self._filters, self._attempt = stage, filters, attempt
        self._schema = kept_schema(stage.kept, filters)
        self._kept_path, self._keys_path = attempt.path("kept"), attempt.path("keys")
        self._kept = pa.ipc.new_file(
            self._kept_path,
            self._schema,
            options=pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False),
        )
        self._keys = exchange.Writer(
            self._keys_path, schema=KEYS, num_partitions=stage.num_partitions
        )
        self._rejects = RejectFile(attempt, stage.output, f"clean-{unit.index:05d}")
        self._review: RejectFile | None = None
        if stage.review:
            name = f"clean-{unit.index:05d}"
            self._review = RejectFile(
                attempt, stage.output, name, folder="contaminated", schema=decontamination.REVIEW
            )
        self._screened: list[pa.RecordBatch] = []
        self._notices: list[pa.RecordBatch] = []
        self._versions: list[pa.RecordBatch] = []
        self._kept_keys: list[Array] = []
        self._num_kept = 0
        self._seen_H = np.zeros(SEEN_TEXTS, np.uint64)
        self.counts = CleanCounts()

    def __enter__(self) -> "CleanOutputs":
        return self

    def __exit__(self, *error: object) -> None:
        self._kept.close()
        self._keys.__exit__(*error)
        self._rejects.close()
        if self._review is not None:
            self._review.close()

    def reject(self, rows: pa.RecordBatch) -> None:
        """Writes reject rows and counts them by kind and reason."""
        if not rows.num_rows:
            return
        self._rejects.write(rows)
        self.counts += CleanCounts(
            read=rows.num_rows,
            policy=_by(rows, POLICY, "reason"),
            malformed=_by(rows, MALFORMED, "reason"),
            errors=_by(rows, ERROR, "stage"),
        )

    def without_items(self, part: Verdicts, table: ItemTable) -> Verdicts:
        """Returns a partition of which posts that hold an item of an evaluation set are rejected, too."""
        found = decontamination.decide(part.kept, table, phase=PHASE)
        times = self._attempt.times
        times[decontamination.STAGE] = times.get(decontamination.STAGE, 0) + found.usec
        self.counts += CleanCounts(contaminated=found.by_set)
        if found.clean_N.all():
            return part
        if self._review is not None:
            self._review.write(found.review)
        return part._replace(
            kept=part.kept.filter(found.clean_N),
            scores={name: scores_N[found.clean_N] for name, scores_N in part.scores.items()},
            rejected=concat_rejects([part.rejected, found.rejected]),
            masked=None if part.masked is None else part.masked.of_rows(found.clean_N),
        )

    def take(self, part: Verdicts) -> None:
        """Writes what a partition kept and rejected."""
        self.reject(part.rejected)
        times = self._attempt.times
        for name, step in part.steps.items():
            times[name] = times.get(name, 0) + step.usec
        steps = {n: FilterCounts(step.posts_in, step.posts_out) for n, step in part.steps.items()}
        self.counts += CleanCounts(filters=steps)
        if part.listed is not None:
            times[STAGE] = times.get(STAGE, 0) + part.listed.usec
            lists = {n: ListCounts(*step) for n, step in part.listed.steps.items()}
            self.counts += CleanCounts(lists=lists)
        for seen in part.screened:
            self._screen(seen)
        posts = part.kept.posts
        if not posts.num_rows:
            return
        kept = tally(posts, ScreenedTally, language=part.kept.languages.language)
        kept.screens = {
            s.name: score_histograms.histogram(part.scores[s.name]) for s in part.screened
        }
        self.counts += CleanCounts(read=posts.num_rows, kept=kept, masked=masked_counts(part))
        self._write_kept(part)
        self._write_keys(part.kept)
        if self._stage.excludes:
            self._kept_keys.append(np.asarray(posts.column("row_key")))

    def take_notices(self, read: ReadBatch) -> None:
        """Takes the notices of a batch, and the versions in it of which none was kept, for phase exclude."""
        counts = CleanCounts(acting={}, versions=0)
        if read.notices is not None and read.notices.num_rows:
            self._notices.append(read.notices)
            counts.acting = value_counts(read.notices.column("act"))
        posts = read.posts
        is_later_N = is_version(*(posts.column(n) for n in ("post_id", "alias_id", "edited_at")))
        if is_later_N.any():
            kept = np.concatenate([np.empty(0, np.uint64), *self._kept_keys])
            is_rejected_N = ~np.isin(np.asarray(posts.column("row_key")), kept)
            rows = posts.select(VERSIONS.names).filter(pa.array(is_later_N & is_rejected_N))
            self._versions.append(rows)
            counts.versions = int(is_later_N.sum())
        self.counts += counts
        self._kept_keys = []

    def _screen(self, seen: Screened) -> None:
        """Counts a screen's scores by language, and samples what it rejected."""
        reached_N = seen.reached_N
        language = seen.batch.languages.language.filter(pa.array(reached_N))
        by_lang = score_histograms.by_language(
            language, seen.scores_N[reached_N], seen.rejected_N[reached_N]
        )
        self.counts += CleanCounts(screens={seen.name: by_lang})
        rejected = seen.batch.posts.filter(pa.array(seen.rejected_N))
        of_sample_R = score_histograms.sampled(
            rejected.column("post_id"), MAX_SAMPLE, seed=self._stage.seed
        )
        if of_sample_R.any():
            rows = rejected.filter(pa.array(of_sample_R))
            columns = rows.column("post_id"), rows.column("text")
            self._screened.append(rows_of(SCREENED, [seen.name] * rows.num_rows, *columns))

    def _write_kept(self, part: Verdicts) -> None:
        languages = part.kept.languages
        posts = with_keyed_authors(part.kept.posts, self._stage.privacy)
        if "media" in self._stage.kept:
            media = without_words(posts.column("media"))
            posts = posts.set_column(posts.schema.get_field_index("media"), "media", media)
        columns = posts.select(list(self._stage.kept)).columns
        columns += [*languages, *(part.scores[f.name] for f in self._filters)]
        self._kept.write_batch(rows_of(self._schema, *columns))

    def _write_keys(self, kept: Batch) -> None:
        """Writes the keys that equal ids, equal texts and similar texts share.

        The first post of the unit with some text carries its band keys; a later copy meets it by the
        content key alone, which saves keys where posts repeat. A text of nothing but links and
        handles has only the key of its id: it is like no other.
        """
        n = len(kept)
        row_N = np.arange(self._num_kept, self._num_kept + n, dtype=np.uint32)
        self._num_kept += n
        texts = kept.dedup_text
        some_S = np.flatnonzero(np.diff(utf8_view(texts).offsets_N1))
        content_S = content_hash(texts.take(pa.array(some_S)))
        first_F = some_S[self._first_of_text(content_S)]
        bands_FK = text_band_keys(texts.take(pa.array(first_F)), self._stage.minhash)
        ids_N = id_hash(kept.posts.column("post_id"))
        row_FK = np.repeat(row_N[first_F], bands_FK.shape[1])
        self._send(
            np.concatenate([ids_N, content_S, bands_FK.ravel()]),
            np.concatenate([row_N, row_N[some_S], row_FK]),
        )

    def _first_of_text(self, content_N: Array) -> Array:
        """Returns (N,) bool, false where the unit surely had the text before.

        The memory is a table of the last text of each slot: a text that was pushed out counts as new,
        which costs keys and changes no result.
        """
        _, index_U = np.unique(content_N, return_index=True)
        slot_U = (content_N[index_U] & np.uint64(SEEN_TEXTS - 1)).astype(np.int64)
        first_N = np.zeros(len(content_N), np.bool_)
        first_N[index_U] = self._seen_H[slot_U] != content_N[index_U]
        self._seen_H[slot_U] = content_N[index_U]
        return first_N

    def _send(self, key_M: Array, row_M: Array) -> None:
        partition_M = partition_of(key_M, self._stage.num_partitions)
        self._keys.write(rows_of(KEYS, key_M, row_M), partition_M)

    def finish(self) -> CleanCounts:
        """Records the files and returns the counts."""
        self._attempt.add("kept", self._kept_path)
        self._attempt.add("keys", self._keys_path, ranges=self._keys.ranges)
        self._write_edge("screened", SCREENED, self._screened)
        if self._stage.excludes:
            self._write_edge("notices", NOTICES, self._notices)
            self._write_edge("versions", VERSIONS, self._versions)
        self._rejects.finish()
        if self._review is not None:
            self._review.finish()
        return self.counts

    def _write_edge(self, edge: str, schema: pa.Schema, batches: list[pa.RecordBatch]) -> None:
        with written_edge(self._attempt, edge, schema) as file:
            for rows in batches:
                file.write_batch(rows)


def _by(rows: pa.RecordBatch, kind: str, label: str) -> Table:
    """Returns the reject rows of a kind, by a column."""
    return value_counts(rows.column(label).filter(pc.equal(rows.column("kind"), kind)))
