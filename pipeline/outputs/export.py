"""What `sluice export` does: the tokens of an output as files of Megatron or of MosaicML streaming.

An item is a document, see `sluice.pipeline.outputs.reassemble`, or a packed sequence. What was written is
counted and compared with the manifest before the folder gets its name.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from sluice.pipeline.outputs.exports_made import exporting_to
from sluice.pipeline.outputs.finished import read_manifest
from sluice.pipeline.outputs.reassemble import (
    Run,
    Sources,
    documents,
    unpadded,
    without_forgotten,
)
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.sealed import file_digest, write_json
from sluice.pipeline.storage.tombstones import refuse_pending
from sluice.schemas.counts import Counts
from sluice.schemas.errors import LedgerError, OutputError
from sluice.schemas.manifest import ContractFile
from sluice.tokenizer.export.mds import Arrays, MdsWriter
from sluice.tokenizer.export.megatron import MegatronWriter
from sluice.tokenizer.shards import ShardBatch

Format = Literal["megatron", "mds"]
Items = Literal["documents", "sequences"]

DEFAULT_ITEMS: dict[Format, Items] = {"megatron": "documents", "mds": "sequences"}
"""Megatron packs by itself, so it gets documents; streaming does not, so it gets packed sequences."""

EXPORT_VERSION = 1


class ExportCounts(Counts):
    """Items that were exported, and their tokens.

    Attributes:
        padding: behind the last document of sequences, and where posts were forgotten in them.
        emptied: tokens around posts, in items of which all posts were forgotten: these items are left out.
    """

    items: int = 0
    tokens: int = 0
    padding: int = 0
    emptied: int = 0


class Export(msgspec.Struct, kw_only=True):
    """export.json: what was exported, and every file."""

    export_version: int
    sluice: str
    fingerprint: str
    format: Format
    items: Items
    leftover: bool
    counts: ExportCounts
    vocabulary_size: int
    pad_id: int
    eod_id: int
    files: list[ContractFile]


def export(
    output: str, format: Format, folder: str, *, items: Items | None = None, leftover: bool = False
) -> Export:
    """Writes the tokens of an output in another format.

    Args:
        output: the folder of a finished run.
        format: "megatron" gives ITEMS.bin and ITEMS.idx, "mds" index.json and shard.*.mds.
        folder: new or empty; it appears when all is written, together with export.json.
        items: what an item is; `DEFAULT_ITEMS` where it is None.
        leftover: whether the sequences that fill no round of shards are exported as well.

    Returns:
        What export.json holds: counts, and every file with bytes and SHA-256.

    Raises:
        OutputError: there is no finished run, the folder is not empty, or pieces cannot be told apart.
        LedgerError: other tokens were written than the manifest says.
    """
    manifest = read_manifest(output)
    refuse_pending(output)
    sources = Sources(output, manifest, leftover=leftover)
    if not sources.num_tokens:
        raise OutputError(f"{output}: the shards hold no tokens; see `--leftover`")
    kind = items or DEFAULT_ITEMS[format]
    with _appearing(folder) as attempt, exporting_to(output, folder, format):
        counts = WRITERS[format](sources, kind, attempt)
        if counts.tokens + counts.emptied != sources.num_tokens:
            raise LedgerError(
                f"{output}: {counts.tokens + counts.emptied:,} tokens were exported, "
                f"the manifest says {sources.num_tokens:,}; see `sluice verify`"
            )
        exported = Export(
            export_version=EXPORT_VERSION,
            sluice=version("sluice"),
            fingerprint=manifest.fingerprints["tokens"],
            format=format,
            items=kind,
            leftover=leftover,
            counts=counts,
            vocabulary_size=manifest.format.vocabulary_size,
            pad_id=manifest.format.pad_id,
            eod_id=manifest.format.eod_id,
            files=[_described(path) for path in sorted(attempt.iterdir())],
        )
        write_json(str(attempt / "export.json"), exported)
    return exported


def _described(path: Path) -> ContractFile:
    size, sha256 = file_digest(str(path))
    return ContractFile(path=path.name, bytes=size, sha256=sha256)


@contextmanager
def _appearing(folder: str) -> Iterator[Path]:
    """Gives a folder to write into, whose files appear when the block ends well, export.json last."""
    remote, here = storage.is_remote(folder), Path(folder)
    if storage.exists(folder) and (remote or not here.is_dir() or any(here.iterdir())):
        raise OutputError(f"{folder}: must be new or empty; choose another folder, or delete it")
    if not remote:
        with _renamed(here) as attempt:
            yield attempt
        return
    attempt = Path(local_copies.new_path("export"))
    attempt.mkdir()
    yield attempt
    for path in sorted(attempt.iterdir(), key=lambda p: (p.name == "export.json", p.name)):
        storage.put(str(path), storage.join(folder, path.name))


@contextmanager
def _renamed(folder: Path) -> Iterator[Path]:
    attempt = folder.with_name(f"{folder.name}.part")
    try:
        attempt.mkdir(parents=True)
    except FileExistsError:
        raise OutputError(
            f"{attempt}: another export to {folder} is at work, or was killed; "
            f"if none is, delete {attempt} and run again"
        ) from None
    try:
        yield attempt
        if folder.exists():
            folder.rmdir()
        attempt.rename(folder)
    except BaseException:
        shutil.rmtree(attempt, ignore_errors=True)
        raise


def _runs(sources: Sources, items: Items) -> Iterator[tuple[Run, int]]:
    """Yields items, and the tokens of those that are left out because all of their posts were forgotten."""
    sequences = (unpadded(batch) for _, batch in sources.batches())
    for run in documents(sources) if items == "documents" else sequences:
        yield without_forgotten(run, sources)


def _megatron(sources: Sources, items: Items, folder: Path) -> ExportCounts:
    tokens = emptied = 0
    with MegatronWriter(folder / items) as writer:
        for run, left_out in _runs(sources, items):
            writer.write(run.tokens_T, run.lengths_I)
            tokens += len(run.tokens_T)
            emptied += left_out
    return ExportCounts(writer.num_items, tokens, emptied=emptied)


def _mds(sources: Sources, items: Items, folder: Path) -> ExportCounts:
    if items == "sequences":
        return _mds_sequences(sources, folder)
    tokens = emptied = 0
    with MdsWriter(folder, columns={"tokens": None}) as writer:
        for run, left_out in _runs(sources, items):
            writer.write({"tokens": Arrays(run.tokens_T, run.lengths_I)})
            tokens += len(run.tokens_T)
            emptied += left_out
    return ExportCounts(writer.num_samples, tokens, emptied=emptied)


def _mds_sequences(sources: Sources, folder: Path) -> ExportCounts:
    """Writes sequences as they are, padding included, with the ends of documents beside them."""
    length = sources.sequence_length
    tokens = 0
    with MdsWriter(folder, columns={"tokens": length, "doc_ends": None}) as writer:
        for _, batch in sources.batches():
            writer.write(_sample_columns(batch))
            tokens += int((batch.tokens_SL != sources.pad_id).sum())
    padding = writer.num_samples * length - tokens
    return ExportCounts(writer.num_samples, tokens, padding)


def _sample_columns(batch: ShardBatch) -> dict[str, Arrays]:
    num_sequences, length = batch.tokens_SL.shape
    num_ends_S = np.diff(batch.doc_ends.offsets.to_numpy())
    return {
        "tokens": Arrays(batch.tokens_SL.reshape(-1), np.full(num_sequences, length)),
        "doc_ends": Arrays(batch.doc_ends.values.to_numpy(), num_ends_S),
    }


WRITERS: dict[Format, Callable[[Sources, Items, Path], ExportCounts]] = {
    "megatron": _megatron,
    "mds": _mds,
}
"""Each writes the items into a folder and counts them."""


def summary(exported: Export, *, folder: str) -> Iterator[str]:
    """Yields what an export wrote, as lines."""
    counts, size = exported.counts, sum(file.bytes for file in exported.files)
    part = "shards and leftover" if exported.leftover else "shards"
    yield f"{exported.items:<10}{counts.items:>16,}"
    yield f"tokens    {counts.tokens:>16,}   all of {part}, as the manifest says"
    if counts.padding:
        yield f"padding   {counts.padding:>16,}   behind last documents, and of forgotten posts"
    if counts.emptied:
        yield f"left out  {counts.emptied:>16,}   tokens around posts, where all of an item were forgotten"
    yield f"bytes     {size:>16,}   in {len(exported.files)} files: {folder}"
