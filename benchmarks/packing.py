"""Measures what packing wastes and costs: best fit, next fit, concatenate and cut, on posts and on threads.

    SLUICE_DATA=FOLDER python -m benchmarks.packing TOKENIZER_JSON [--results PAGE]

Posts are those of the firehose, each a document; threads are the conversations of `threads/`, joined as
the pipeline does. A partition holds documents drawn from them, with replacement: there are too few
threads to fill one. Shares are means over draws, seconds are CPU seconds of one thread.

Shape suffixes: N posts, D documents, P pieces, T tokens.
"""

from collections.abc import Iterable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.command import add_data, add_page, parser_of, timed
from benchmarks.page import publish, table
from benchmarks.process import this_machine
from benchmarks.real_posts import posts_of, rows_of
from sluice.filters.text.normalize import normalize
from sluice.schemas.arrays import Bools, Int32s, Int64s
from sluice.tokenizer.encode import Encoder
from sluice.tokenizer.packing.documents import DocumentTokens, join
from sluice.tokenizer.packing.plan import Packing, PackPlan, pack, plan
from sluice.tokenizer.vocabulary.load import load_vocabulary

LENGTHS = (2_048, 8_192, 32_768)
WAYS: tuple[Packing, ...] = ("best_fit", "concatenate")
PARTITION_MIB = 48
PARTITIONS_MIB = (12, 48, 96, 192)
DRAWS = 8
GATHER_SEQUENCES = 256


class Corpus(NamedTuple):
    """The posts of documents, in the order of the documents.

    Attributes:
        name: of the corpus.
        tokens_T: (T,) int32.
        starts_N, lengths_N: (N,) int64, where each post is in them, special tokens included.
        begins_N: (N,) bool, whether a post begins a document.
        text_bytes: of the posts.
    """

    name: str
    tokens_T: Int32s
    starts_N: Int64s
    lengths_N: Int64s
    begins_N: Bools
    text_bytes: int

    @property
    def num_documents(self) -> int:
        """D."""
        return int(self.begins_N.sum())

    def drawn(self, text_mib: int, *, seed: int) -> "Corpus":
        """Returns documents drawn with replacement, of about so much text."""
        share = text_mib * 2**20 / self.text_bytes
        first_D = np.flatnonzero(self.begins_N)
        posts_D = np.diff(np.append(first_D, len(self.begins_N)))
        draw = np.random.default_rng(seed)
        drawn_D = draw.integers(0, len(first_D), round(share * len(first_D)))
        stops_D = np.cumsum(posts_D[drawn_D])
        begins_N = np.zeros(int(stops_D[-1]), np.bool_)
        begins_N[np.append(0, stops_D[:-1])] = True
        shift_D = first_D[drawn_D] - np.append(0, stops_D[:-1])
        post_N = np.repeat(shift_D, posts_D[drawn_D]) + np.arange(len(begins_N))
        return self._replace(
            starts_N=self.starts_N[post_N],
            lengths_N=self.lengths_N[post_N],
            begins_N=begins_N,
            text_bytes=round(self.text_bytes * share),
        )


def read_rows(files: Iterable[Path]) -> list[dict[str, Any]]:
    """Returns the posts of files that have a text, each id once."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows_of(files):
        if row["text"].strip():
            found.setdefault(row["id"], row)
    return list(found.values())


def corpus(
    name: str, rows: list[dict[str, Any]], encoder: Encoder, special: DocumentTokens
) -> Corpus:
    """Returns the posts as documents: joined where they have a conversation, in its order."""
    rows = sorted(
        rows,
        key=lambda r: (r.get("conversation_id") or r["id"], r["created_at"] or "~", r["id"]),
    )
    keys = np.array([r.get("conversation_id") or r["id"] for r in rows])
    begins_N = np.append(True, keys[1:] != keys[:-1])
    texts = normalize(pa.array([r["text"] for r in rows], pa.string()))
    encoded = encoder.encode(texts)
    lengths_N = np.diff(encoded.offsets_N1)
    joined = join([encoded], lengths_N, np.arange(len(rows)), begins_N, special=special)
    places = (joined.tokens_T, joined.starts_N, joined.lengths_N)
    text_bytes = sum(len(text.encode()) for text in texts.to_pylist())
    return Corpus(name, *places, begins_N, text_bytes)


def corpora(data: Path, tokenizer: Path) -> list[Corpus]:
    """Returns the posts and the threads of SLUICE_DATA, encoded."""
    encoder, made = Encoder(tokenizer), load_vocabulary(tokenizer)
    special = DocumentTokens(None, made.turn_id, made.eod_id)
    posts, threads = (read_rows(posts_of(data, name)) for name in ("firehose", "threads"))
    for row in posts:
        row.pop("conversation_id", None)
    return [corpus("posts", posts, encoder, special), corpus("threads", threads, encoder, special)]


class Packed(NamedTuple):
    """What packing a partition gave.

    Attributes:
        padding: share of the places in sequences without a token.
        cut: share of the documents that fit a sequence and are in several.
        usec: CPU microseconds a document, to plan and to gather.
    """

    padding: float
    cut: float
    usec: float


def measure(found: Corpus, length: int, way: Packing, *, gather: bool) -> Packed:
    """Packs a partition; gathers its tokens too if asked to."""
    planned, seconds = timed(partial(_packed, found, length, way, gather=gather))
    padding = planned.num_padding / (planned.num_sequences * length)
    return Packed(padding, cut_share(planned, found), seconds / found.num_documents * 1e6)


def _packed(found: Corpus, length: int, way: Packing, *, gather: bool) -> PackPlan:
    planned = plan(found.lengths_N, sequence_length=length, begins_N=found.begins_N, packing=way)
    for start in range(0, planned.num_sequences if gather else 0, GATHER_SEQUENCES):
        stop = min(start + GATHER_SEQUENCES, planned.num_sequences)
        pack(planned, found.tokens_T, found.starts_N, pad_id=0, start=start, stop=stop)
    return planned


def cut_share(planned: PackPlan, found: Corpus) -> float:
    """Returns the share of documents that fit a sequence and yet are in more than one."""
    document_N = np.cumsum(found.begins_N) - 1
    length_D = np.bincount(document_N, weights=found.lengths_N)
    parts_D = np.bincount(document_N[planned.post_P], weights=planned.ends_P)
    return float(((parts_D > 1) & (length_D <= planned.sequence_length)).mean())


def next_fit(found: Corpus, length: int) -> float:
    """Returns the share of padding where only the last sequence is open, and long documents are cut."""
    length_D = np.add.reduceat(found.lengths_N, np.flatnonzero(found.begins_N))
    sequences, room = int((length_D // length).sum()), 0
    for tail in (length_D % length).tolist():
        if tail > room:
            sequences, room = sequences + 1, length
        room -= tail
    return 1 - int(length_D.sum()) / (sequences * length)


def mean(found: Corpus, length: int, way: Packing, *, mib: int, gather: bool) -> Packed:
    """Returns the means over draws of a partition, of the times the least."""
    draws = (found.drawn(mib, seed=seed) for seed in range(DRAWS))
    rows = [measure(drawn, length, way, gather=gather) for drawn in draws]
    padding, cut = (float(np.mean([row[k] for row in rows])) for k in (0, 1))
    return Packed(padding, cut, min(row.usec for row in rows))


def about(found: Corpus) -> str:
    """Returns a corpus in words."""
    length_D = np.add.reduceat(found.lengths_N, np.flatnonzero(found.begins_N))
    q = [f"{int(n):,}" for n in np.percentile(length_D, [50, 90, 99, 100])]
    return (
        f"{found.name}: {len(found.lengths_N):,} posts, {found.num_documents:,} documents, "
        f"{int(length_D.sum()):,} tokens, {found.text_bytes / 2**20:.1f} MiB of text; tokens of a "
        f"document: median {q[0]}, 90% up to {q[1]}, 99% up to {q[2]}, longest {q[3]}"
    )


def ways_table(found: list[Corpus]) -> list[str]:
    """Returns the table of ways."""
    rows = []
    for corpus_ in found:
        for length in LENGTHS:
            for way in WAYS:
                row = mean(corpus_, length, way, mib=PARTITION_MIB, gather=True)
                shares = (_percent(row.padding), _percent(row.cut))
                rows.append((corpus_.name, length, f"`{way}`", *shares, f"{row.usec:.2f}"))
            draws = (corpus_.drawn(PARTITION_MIB, seed=seed) for seed in range(DRAWS))
            padding = float(np.mean([next_fit(drawn, length) for drawn in draws]))
            rows.append((corpus_.name, length, "next fit", _percent(padding), _percent(0.0), "-"))
    head = ("documents", "tokens", "way", "padding", "cut though they fit", "us a document")
    return table(head, rows)


def partitions_table(found: list[Corpus]) -> list[str]:
    """Returns the table of partition sizes, for the best fit."""
    rows = []
    for corpus_, length in product(found, LENGTHS):
        best_fit = partial(mean, corpus_, length, "best_fit", gather=False)
        shares = [_percent(best_fit(mib=mib).padding) for mib in PARTITIONS_MIB]
        rows.append((corpus_.name, length, *shares))
    return table(("documents", "tokens", *(f"{mib} MiB" for mib in PARTITIONS_MIB)), rows)


def _percent(share: float) -> str:
    return f"{100 * share:.3f} %"


def page(found: list[Corpus]) -> str:
    """Returns the figures as Markdown."""
    return "\n".join(
        [
            f"{this_machine()}. One thread, CPU time.",
            "",
            *(f"- {about(corpus_)}" for corpus_ in found),
            "",
            f"Partitions of {PARTITION_MIB} MiB of text, {DRAWS} draws:",
            "",
            *ways_table(found),
            "",
            "Padding of the best fit by the text of a partition (`tokens.partition_bytes`):",
            "",
            *partitions_table(found),
        ]
    )


def main() -> None:
    """Measures, prints, and writes the page if asked to."""
    parser = parser_of("packing", __doc__)
    add_data(parser)
    parser.add_argument("tokenizer", type=Path, help="tokenizer.json")
    add_page(parser)
    arguments = parser.parse_args()
    figures = page(corpora(arguments.data, arguments.tokenizer))
    publish(figures, arguments.page, name="packing", title="Padding and time")


if __name__ == "__main__":
    main()
