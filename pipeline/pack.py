"""Stage of phase tokens: the documents of a partition -> packed sequences, and where each piece went."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from pipeline import exchange
from pipeline.ledger import Counts
from pipeline.units import Attempt, Unit, Work
from tokenizer.packing import pack, plan

GATHER_SEQUENCES = 256
"""Sequences that a shard unit holds at a time: 8 MiB at 8,192 tokens."""

PIECE = pa.schema(
    [
        ("sequence", pa.int32()),
        ("offset", pa.int32()),
        ("length", pa.int32()),
        ("post_id", pa.string()),
        ("piece", pa.int16()),
        ("copies", pa.int32()),
    ]
)


@dataclass(frozen=True)
class Pack:
    """Documents of a partition -> packed sequences and where each piece went."""

    folder: str
    sequence_length: int
    long_documents: Literal["split", "truncate"]
    pad_id: int
    name: str = "tokens_pack"

    def open(self) -> Work:
        """Returns the function that packs a partition."""
        return partial(_pack, self)


def _pack(stage: Pack, unit: Unit, attempt: Attempt) -> Counts:
    documents = _in_order([batch for _, batch in exchange.read(unit)])
    planned = plan(
        documents.lengths_D,
        sequence_length=stage.sequence_length,
        long_documents=stage.long_documents,
    )
    path = attempt.path("sequences", suffix=".i32")
    pieces = []
    with open(path, "wb") as file:
        for start in range(0, planned.num_sequences, GATHER_SEQUENCES):
            stop = min(start + GATHER_SEQUENCES, planned.num_sequences)
            packed = pack(
                planned,
                documents.tokens_T,
                documents.starts_D,
                pad_id=stage.pad_id,
                start=start,
                stop=stop,
            )
            packed.tokens_SL.tofile(file)
            pieces.append(_pieces(packed.pieces, documents))
    attempt.add("sequences", path)
    path = attempt.path("pieces")
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    with pa.ipc.new_file(path, PIECE, options=options) as out:
        out.write_batch(pa.concat_batches(pieces))
    attempt.add("pieces", path)
    return {
        "sequences": planned.num_sequences,
        "documents": planned.num_documents,
        "tokens": planned.num_tokens,
        "truncated": planned.num_truncated,
        "padding": planned.num_padding,
    }


def _pieces(pieces: pa.RecordBatch, documents: "Documents") -> pa.RecordBatch:
    """Returns PIECE rows: the plan's pieces with the post in the place of the document's number."""
    columns = [pieces.column(n) for n in ("sequence", "offset", "length")]
    columns += [documents.post_id.take(pieces.column("document")), pieces.column("piece")]
    columns += [documents.copies.take(pieces.column("document"))]
    return pa.RecordBatch.from_arrays(columns, schema=PIECE)


class Documents(NamedTuple):
    """A partition's documents in the order of their hash; their tokens stay where they are."""

    post_id: pa.StringArray
    copies: pa.Int32Array
    tokens_T: np.ndarray[Any, np.dtype[np.int32]]
    starts_D: np.ndarray[Any, np.dtype[np.int64]]
    lengths_D: np.ndarray[Any, np.dtype[np.int64]]


def _in_order(batches: list[pa.RecordBatch]) -> Documents:
    rows = pa.concat_batches(batches)
    tokens = rows.column("tokens")
    # Rows come in input order, so that a stable sort settles equal hashes by it.
    order_D = np.argsort(np.asarray(rows.column("order")), kind="stable")
    offsets_D1 = np.asarray(tokens.offsets, np.int64)
    return Documents(
        rows.column("post_id").take(pa.array(order_D)),
        rows.column("copies").take(pa.array(order_D)),
        np.asarray(tokens.values),
        offsets_D1[:-1][order_D],
        np.diff(offsets_D1)[order_D],
    )
