"""What `sluice export` does: the tokens of an output as files of Megatron or of MosaicML streaming.

An item is a document, see `sluice.pipeline.outputs.reassemble`, or a packed sequence. What was written is
counted and compared with the manifest before the folder gets its name.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sluice.pipeline.outputs.reassemble import Run, Sources, documents, unpadded, used_lengths
from sluice.pipeline.outputs.verify import read_manifest
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.sealed import file_digest, write_json
from sluice.schemas.errors import LedgerError, OutputError
from sluice.tokenizer.export.mds import Arrays, MdsWriter
from sluice.tokenizer.export.megatron import MegatronWriter
from sluice.tokenizer.shards import Batch

Format = Literal["megatron", "mds"]
Items = Literal["documents", "sequences"]
Counts = dict[str, int]

DEFAULT_ITEMS: dict[Format, Items] = {"megatron": "documents", "mds": "sequences"}
"""Megatron packs by itself, so it gets documents; streaming does not, so it gets packed sequences."""

EXPORT_VERSION = 1


def export(
    output: str, format: Format, folder: str, *, items: Items | None = None, leftover: bool = False
) -> dict[str, Any]:
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
    sources = Sources(output, manifest, leftover=leftover)
    if not sources.num_tokens:
        raise OutputError(f"{output}: the shards hold no tokens; see `--leftover`")
    kind = items or DEFAULT_ITEMS[format]
    with _appearing(folder) as attempt:
        counts = WRITERS[format](sources, kind, attempt)
        if counts["tokens"] != sources.num_tokens:
            raise LedgerError(
                f"{output}: {counts['tokens']:,} tokens were exported, "
                f"the manifest says {sources.num_tokens:,}; see `sluice verify`"
            )
        about = {
            "export_version": EXPORT_VERSION,
            "sluice": version("sluice"),
            "fingerprint": manifest["fingerprints"]["tokens"],
            "format": format,
            "items": kind,
            "leftover": leftover,
            "counts": counts,
            **{key: manifest["format"][key] for key in ("vocabulary_size", "pad_id", "eod_id")},
            "files": [_file(path) for path in sorted(attempt.iterdir())],
        }
        write_json(str(attempt / "export.json"), about)
    return about


def _file(path: Path) -> dict[str, Any]:
    size, sha256 = file_digest(str(path))
    return {"path": path.name, "bytes": size, "sha256": sha256}


@contextmanager
def _appearing(folder: str) -> Iterator[Path]:
    """Gives a folder to write into, whose files appear when the block ends well, export.json last."""
    if not storage.is_remote(folder):
        with _renamed(Path(folder)) as attempt:
            yield attempt
        return
    if storage.exists(folder):
        raise OutputError(f"{folder}: must be new or empty; choose another folder, or delete it")
    attempt = Path(local_copies.new_path("export"))
    attempt.mkdir()
    yield attempt
    for path in sorted(attempt.iterdir(), key=lambda p: (p.name == "export.json", p.name)):
        storage.put(str(path), storage.join(folder, path.name))


@contextmanager
def _renamed(folder: Path) -> Iterator[Path]:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: must be new or empty; choose another folder, or delete it")
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


def _runs(sources: Sources, items: Items) -> Iterator[Run]:
    if items == "documents":
        return documents(sources)
    return (unpadded(batch) for _, batch in sources.batches())


def _megatron(sources: Sources, items: Items, folder: Path) -> Counts:
    tokens = 0
    with MegatronWriter(folder / items) as writer:
        for run in _runs(sources, items):
            writer.write(run.tokens_T, run.lengths_I)
            tokens += len(run.tokens_T)
    return {"items": writer.num_items, "tokens": tokens, "padding": 0}


def _mds(sources: Sources, items: Items, folder: Path) -> Counts:
    if items == "sequences":
        return _mds_sequences(sources, folder)
    tokens = 0
    with MdsWriter(folder, columns={"tokens": None}) as writer:
        for run in documents(sources):
            writer.write({"tokens": Arrays(run.tokens_T, run.lengths_I)})
            tokens += len(run.tokens_T)
    return {"items": writer.num_samples, "tokens": tokens, "padding": 0}


def _mds_sequences(sources: Sources, folder: Path) -> Counts:
    """Writes sequences as they are, padding included, with the ends of documents beside them."""
    length = sources.sequence_length
    tokens = 0
    with MdsWriter(folder, columns={"tokens": length, "doc_ends": None}) as writer:
        for _, batch in sources.batches():
            writer.write(_sample_columns(batch))
            tokens += int(used_lengths(batch).sum())
    padding = writer.num_samples * length - tokens
    return {"items": writer.num_samples, "tokens": tokens, "padding": padding}


def _sample_columns(batch: Batch) -> dict[str, Arrays]:
    num_sequences, length = batch.tokens_SL.shape
    num_ends_S = np.diff(batch.doc_ends.offsets.to_numpy())
    return {
        "tokens": Arrays(batch.tokens_SL.reshape(-1), np.full(num_sequences, length)),
        "doc_ends": Arrays(batch.doc_ends.values.to_numpy(), num_ends_S),
    }


WRITERS: dict[Format, Callable[[Sources, Items, Path], Counts]] = {
    "megatron": _megatron,
    "mds": _mds,
}
"""Each writes the items into a folder and counts them."""


def summary(about: dict[str, Any], *, folder: str) -> Iterator[str]:
    """Yields what an export wrote, as lines, from what export.json holds."""
    counts, size = about["counts"], sum(entry["bytes"] for entry in about["files"])
    part = "shards and leftover" if about["leftover"] else "shards"
    yield f"{about['items']:<10}{counts['items']:>16,}"
    yield f"tokens    {counts['tokens']:>16,}   all of {part}, as the manifest says"
    if counts["padding"]:
        yield f"padding   {counts['padding']:>16,}   behind the last document of a sequence"
    yield f"bytes     {size:>16,}   in {len(about['files'])} files: {folder}"
