"""What a journal says is done to the files of an output, each as a whole and as often as need be.

Shards first, then their provenance, the other tables, the tombstones; the manifest and the report; last the
intermediate files of the run go. A file that has changed already is left as it is: a journal is followed to
its end, whatever ended it before.

Shape suffixes: R rows, P places.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.pipeline.outputs.finished import vocabulary_of
from sluice.pipeline.outputs.forgetting.journal import Edit, Journal, journal_path
from sluice.pipeline.outputs.forgetting.replace import flush, replacing, sweep
from sluice.pipeline.outputs.forgetting.shards import described, replace_shard
from sluice.pipeline.outputs.forgetting.totals import update_manifest, update_report
from sluice.pipeline.outputs.forgetting.work import forget_in_work
from sluice.pipeline.outputs.verify import Verified, shard_files
from sluice.pipeline.phases.tokens.packed_files import FORGOTTEN_AT, PROVENANCE
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.tombstones import (
    FOLDER,
    Tombstones,
    tombstone_name,
    write_tombstones,
)
from sluice.schemas.manifest import ContractFile
from sluice.schemas.reject import FORGOTTEN, POLICY, REJECT, reject_batch
from sluice.schemas.tombstone import TOMBSTONE
from sluice.tokenizer.places import TokenPlaces
from sluice.tokenizer.vocabulary.load import VocabularyIds, around_posts

PHASE: Final = "forget"
"""Of the rejects that a forget writes."""
STAYS: Final = frozenset([*PROVENANCE.names, "copies", FORGOTTEN_AT.name])
"""Columns of the provenance that a forgotten post keeps; what else is carried there of it goes."""


def finish(of: Verified, journal: Journal) -> None:
    """Does what a journal says that is not done yet, and removes it; the caller holds the output."""
    sweep(of.output)
    vocabulary = vocabulary_of(of.output)
    shards = [pair for pair in shard_files(of.manifest) if pair[0] in journal.tokens]
    changed = list(of.of_each(partial(_overwrite, journal, vocabulary), shards))
    tables = sorted(journal.edits)
    changed += of.of_each(partial(_edit_table, journal), tables)
    changed += [_write_rejects(of, journal), _write_tombstones(of, journal)]
    flush(of.path(file.path) for file in changed)
    manifest = update_manifest(of.output, journal, changed)
    update_report(of.output, journal, manifest)
    forget_in_work(of.output)
    flush([of.path("manifest.json"), of.path("report/report.json")])
    storage.delete(journal_path(of.output))


# --- token shards ------------------------------------------------------------------------------


def _overwrite(
    journal: Journal, vocabulary: VocabularyIds, of: Verified, files: tuple[str, str]
) -> ContractFile:
    """Replaces a shard by one with padding in the places of the posts, unless it is such a one."""
    tokens, provenance = files
    places = _places(of, provenance, journal.edits[provenance])
    stay, pad_id = around_posts(vocabulary), vocabulary.pad_id
    return replace_shard(of.output, tokens, places, stay=stay, pad_id=pad_id)


def _places(of: Verified, provenance: str, edits: Sequence[Edit]) -> TokenPlaces:
    """Returns where the pieces of the posts are, by their rows of the provenance."""
    (rows,) = (edit.rows for edit in edits if edit.column == "post_id")
    with storage.open_input(of.path(provenance)) as source:
        table = pq.read_table(source, columns=["sequence", "offset", "length"]).take(pa.array(rows))
    return TokenPlaces.of(*(table[name].to_numpy() for name in table.column_names))


# --- tables ------------------------------------------------------------------------------------


def _edit_table(journal: Journal, of: Verified, name: str) -> ContractFile:
    """Replaces a Parquet file by one with hashes for the ids of the posts, unless it is such a one.

    Of a provenance the time of the forget is noted, and what is carried there of the posts goes; of posts
    that were found beside items of evaluation sets the text goes.
    """
    path, keys = of.path(name), pa.array(journal.keys, pa.string())
    with local_copies.scope(), storage.open_input(local_copies.fetch(path)) as source:
        file = pq.ParquetFile(source)
        if not _is_edited(file, journal.edits[name], keys):
            _replace_table(file, path, name, journal, keys)
    return described(of.output, name)


def _replace_table(
    file: pq.ParquetFile, path: str, name: str, journal: Journal, keys: pa.Array
) -> None:
    """Replaces a Parquet file, which is read and written a row group at a time."""
    schema, start = _with_time(file.schema_arrow, name), 0
    with (
        replacing(path) as written,
        pq.ParquetWriter(written, schema, compression="zstd", compression_level=1) as writer,
    ):
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group)
            edited = _without_posts(rows, name, journal, keys, start)
            writer.write_table(edited.select(schema.names).cast(schema))
            start += rows.num_rows


def _without_posts(
    rows: pa.Table, name: str, journal: Journal, keys: pa.Array, start: int
) -> pa.Table:
    """Returns the rows of a file from `start` on as they are when the posts are gone."""
    edits = journal.edits[name]
    edited = _edited(rows, edits, keys, start)
    if _is_provenance(name):
        return _without_carried(edited, edits[0], start, journal)
    if name.startswith("contaminated/"):
        return _without_text(edited, edits[0], start)
    return edited


def _is_provenance(name: str) -> bool:
    return name.startswith("provenance/") or name == "leftover/provenance.parquet"


def _is_edited(file: pq.ParquetFile, edits: Sequence[Edit], keys: pa.Array) -> bool:
    """Returns whether the columns hold the hashes; files are replaced whole, so that one column tells."""
    edit = edits[0]
    column = file.read(columns=[edit.column])[edit.column]
    return bool(column.take(pa.array(edit.rows)).combine_chunks() == keys.take(pa.array(edit.keys)))


def _with_time(schema: pa.Schema, name: str) -> pa.Schema:
    """Returns the schema of a file, which in a provenance has the time at which posts went."""
    is_as_it_was = FORGOTTEN_AT.name in schema.names or not _is_provenance(name)
    return schema if is_as_it_was else schema.append(FORGOTTEN_AT)


def _edited(rows: pa.Table, edits: Sequence[Edit], keys: pa.Array, start: int) -> pa.Table:
    """Returns the rows of a file from `start` on with hashes in the places of ids."""
    for edit in edits:
        row_R, chosen = _within(edit, start, rows.num_rows)
        if len(row_R):
            hashes = keys.take(pa.array(np.asarray(edit.keys)[chosen]))
            column = rows[edit.column].combine_chunks()
            column = pc.replace_with_mask(column, _mask(row_R, rows.num_rows), hashes)
            rows = rows.set_column(rows.schema.get_field_index(edit.column), edit.column, column)
    return rows


def _within(edit: Edit, start: int, num_rows: int) -> tuple[np.ndarray, slice]:
    """Returns the rows of an edit that are in a part of a file, from its start, and which they are."""
    row_R = np.asarray(edit.rows, np.int64)
    first, stop = np.searchsorted(row_R, [start, start + num_rows])
    return row_R[first:stop] - start, slice(int(first), int(stop))


def _mask(row_R: np.ndarray, num_rows: int) -> pa.BooleanArray:
    mask = np.zeros(num_rows, np.bool_)
    mask[row_R] = True
    return pa.array(mask)


def _without_text(rows: pa.Table, edit: Edit, start: int) -> pa.Table:
    """Returns rows that are for people to read with empty texts of the posts."""
    gone = _mask(_within(edit, start, rows.num_rows)[0], rows.num_rows)
    texts = pc.if_else(gone, "", rows["text"])
    return rows.set_column(rows.schema.get_field_index("text"), "text", texts)


def _without_carried(rows: pa.Table, edit: Edit, start: int, journal: Journal) -> pa.Table:
    """Returns rows of a provenance with the time at which posts went, and without what is carried of them."""
    gone = _mask(_within(edit, start, rows.num_rows)[0], rows.num_rows)
    time = pa.scalar(journal.forgotten_at, FORGOTTEN_AT.type)
    if FORGOTTEN_AT.name not in rows.column_names:
        rows = rows.append_column(FORGOTTEN_AT, pa.nulls(rows.num_rows, FORGOTTEN_AT.type))
    for index, field in enumerate(rows.schema):
        column = rows[field.name]
        if field.name == FORGOTTEN_AT.name:
            rows = rows.set_column(index, field, pc.if_else(gone, time, column))
        elif field.name not in STAYS:
            nothing = pa.scalar(None, field.type)
            rows = rows.set_column(index, field, pc.if_else(gone, nothing, column))
    return rows


def _write_rejects(of: Verified, journal: Journal) -> ContractFile:
    """Writes a reject for each post that was kept, under its hash; where it was in the input is not told."""
    name = f"rejects/{PHASE}-{journal.number:05d}.parquet"
    keys = [journal.keys[row.post] for row in journal.tombstones if row.tokens_key is not None]
    about: dict[str, Any] = {"kind": POLICY, "phase": PHASE, "stage": PHASE, "reason": FORGOTTEN}
    about |= {"post_id": keys, "source_file": "", "source_row": -1}
    sink = pa.BufferOutputStream()
    rows = pa.Table.from_batches([reject_batch(len(keys), about)], schema=REJECT)
    pq.write_table(rows, sink, compression="zstd", compression_level=1)
    storage.write_bytes(of.path(name), sink.getvalue())
    return described(of.output, name)


def _write_tombstones(of: Verified, journal: Journal) -> ContractFile:
    name, rows = f"{FOLDER}/{tombstone_name(journal.number)}", tombstones_of(journal)
    write_tombstones(of.path(name), rows.rows, key_check=journal.key_check)
    return described(of.output, name)


def tombstones_of(journal: Journal) -> Tombstones:
    """Returns the tombstones that a forget leaves."""
    rows = [
        {
            "post_key": journal.keys[row.post],
            "author_key": row.author_key,
            "num_tokens": row.num_tokens,
            "tokens_key": row.tokens_key,
            "forgotten_at": journal.forgotten_at,
        }
        for row in journal.tombstones
    ]
    return Tombstones(pa.Table.from_pylist(rows, schema=TOMBSTONE), journal.key_check)
