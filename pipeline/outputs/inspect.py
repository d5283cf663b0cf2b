"""What happened to one post: why it was rejected, or where its tokens are."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from sluice.pipeline.outputs.verify import read_manifest
from sluice.pipeline.phases.classify.thresholds import PHASE as CLASSIFY
from sluice.pipeline.phases.edges import SCORE
from sluice.pipeline.phases.tokens.mixture import PHASE as MIXTURE
from sluice.pipeline.storage import files as storage
from sluice.schemas.reject import DUPLICATE


def inspect(output: str, post_id: str) -> Iterator[str]:
    """Yields lines that say what became of every row with this id; none if it was not read.

    Raises:
        OutputError: the folder holds no finished run.
    """
    read_manifest(output)
    rejects = _rows(output, "rejects", post_id)
    for row in rejects:
        yield _rejected(row)
    places = [*_rows(output, "provenance", post_id), *_rows(output, "leftover", post_id)]
    for row in sorted(places, key=lambda r: r["piece"]):
        yield _placed(row)
    times = sum(row["piece"] == 0 for row in places)
    if times > 1:
        yield f"repeats  {times} times, by the mixture"
    if places or any(row["phase"] in (CLASSIFY, MIXTURE) for row in rejects):
        yield from _scores(output, post_id)
    yield from _transformer_scores(output, post_id)


def _rows(output: str, folder: str, post_id: str) -> list[dict[str, Any]]:
    return _of_post(storage.paths(storage.join(output, folder), ending=".parquet"), post_id)


def _of_post(files: list[str], post_id: str) -> list[dict[str, Any]]:
    if not files:
        return []
    found: pa.Table = storage.dataset(files).to_table(filter=ds.field("post_id") == post_id)
    return list(found.to_pylist())


def _transformer_scores(output: str, post_id: str) -> Iterator[str]:
    """Yields what each transformer said of a post that it scored."""
    files = storage.paths(storage.join(output, "scores"), ending=".parquet")
    for model, own in groupby(files, key=lambda path: storage.name_of(path).rpartition("-")[0]):
        for row in _of_post(list(own), post_id):
            scores = {n: v for n, v in row.items() if n.startswith(f"{model}.")}
            note = "" if row["decided"] else "  (scored for the sample; it did not decide)"
            yield from (f"score  {n:<24} {v:.4g}{note}" for n, v in scores.items())


def _rejected(row: dict[str, Any]) -> str:
    where = f"{row['source_file']} row {row['source_row']}"
    score = "" if row["score"] is None else f"  score {row['score']:.4g}"
    bound = "" if row["threshold"] is None else f"  threshold {row['threshold']:.4g}"
    detail = f"  ({row['detail']})" if row["detail"] else ""
    if row["kind"] == DUPLICATE:
        return f"duplicate  {row['reason']} of {row['duplicate_of']}{score}{bound}{detail}  {where}"
    return f"{row['kind']}  {row['phase']}/{row['stage']}: {row['reason']}{score}{bound}{detail}  {where}"


def _placed(row: dict[str, Any]) -> str:
    shard = "leftover" if row["shard"] < 0 else f"shard {row['shard']}"
    piece = f"  piece {row['piece']}" if row["piece"] else ""
    return (
        f"kept  {shard}, sequence {row['sequence']}, offset {row['offset']}, "
        f"{row['length']} tokens{piece}"
    )


def _scores(output: str, post_id: str) -> Iterator[str]:
    """Yields the scores of a kept post, from the clean units, where they are still there."""
    folders = storage.folders(storage.join(output, "work"))
    for folder in (f for f in folders if storage.name_of(f).startswith("clean-")):
        files = storage.paths(storage.join(folder, "clean"), ending=".kept.arrow")
        if not files:
            continue
        table = storage.dataset(files, format="ipc")
        names = [n for n in table.schema.names if n.startswith(SCORE)]
        columns = ["language", "language_confidence", *names]
        for row in table.to_table(
            columns=columns, filter=ds.field("post_id") == post_id
        ).to_pylist():
            yield f"language  {row['language']}  confidence {row['language_confidence']:.4f}"
            yield from (f"score  {n.removeprefix(SCORE):<24} {row[n]:.4g}" for n in names)
