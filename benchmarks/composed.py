"""(b) The kernels of the main job composed without Beam: what this machine can do at best.

    python -m benchmarks.composed RECIPE --tokenizer tokenizer.json --json OUT FILE ...

The same public functions over the same files, in one thread of one process, everything in memory: no
units, no intermediate files, no manifests, no ledger, no reject and provenance files; duplicates are
looked for in all posts at once. CPU time is that of the process from step to step; imports and models
are loaded before, and shards are written. What comes out must be what the pipeline says came out.
"""

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.command import Steps, parser_of
from benchmarks.dedup_resolve import Ids, resolve
from benchmarks.whole import Outcome
from sluice.filters.base import Scorer
from sluice.filters.batch import Batch, Scores
from sluice.filters.dedup.exact_hash import content_hash, id_hash
from sluice.filters.dedup.minhash import MinHashSpec
from sluice.filters.language.views import LanguageIdentifier, model_views
from sluice.filters.partition import Machine, Verdicts, partition
from sluice.filters.text.hashing import hash_texts
from sluice.filters.text.normalize import normalize
from sluice.pipeline.inputs.inventory import InputUnit, Inventory, cut, find_inputs
from sluice.pipeline.inputs.reader import read_unit
from sluice.pipeline.phases.clean.batches import load_machines
from sluice.pipeline.phases.job import read_options
from sluice.pipeline.phases.tokens.encode import ENCODER_CACHE_BYTES
from sluice.pipeline.recipes.loader import load
from sluice.pipeline.recipes.schema import DedupSection, Recipe, TrainingSection
from sluice.schemas.arrays import Array
from sluice.schemas.post import POST
from sluice.schemas.token_shard import ShardFormat
from sluice.tokenizer.encode import Encoded, Encoder
from sluice.tokenizer.packing.documents import DocumentTokens, join
from sluice.tokenizer.packing.plan import Packed, pack, plan
from sluice.tokenizer.packing.sizing import deal, plan_shards
from sluice.tokenizer.shards import ShardWriter
from sluice.tokenizer.vocabulary.load import VocabularyIds, load_vocabulary

PHASE_OF_STEP = {
    **dict.fromkeys(("read", "normalize", "features", "language", "screens", "filters"), "clean"),
    **dict.fromkeys(("dedup_text", "hashes", "band_keys"), "clean"),
    **dict.fromkeys(("edges", "components", "cluster"), "dedup"),
    **dict.fromkeys(("encode", "order", "pack", "shards"), "tokens"),
}
"""The phase of the pipeline that does a step."""
STEP_OF_FILTER = {"language_confidence": "language", "spam": "screens", "toxicity": "screens"}
"""The filters that have a step of their own; the others share `filters`."""


class ComposedRun(msgspec.Struct, frozen=True):
    """One run of the composition: CPU seconds of each step, in order, and what came out."""

    steps: dict[str, float]
    outcome: Outcome

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of all steps."""
        return sum(self.steps.values())


class Kept(NamedTuple):
    """The posts that the filters keep, in order.

    Attributes:
        read: posts and malformed rows that were read.
        posts: batches of POST.
        dedup_text: (N,) string.
        content_N: (N,) uint64, of the deduplication text.
        id_N: (N,) uint64, of the post id.
    """

    read: int
    posts: list[pa.RecordBatch]
    dedup_text: pa.StringArray
    content_N: Array
    id_N: Array


def compose(recipe: Recipe, *, files: Sequence[Path], tokenizer: Path, shards: Path) -> ComposedRun:
    """Does the main job with a frozen tokenizer; shards go into a folder."""
    inventory = find_inputs([str(path) for path in files])
    units = cut(inventory, unit_bytes=recipe.input.unit_bytes)
    identify, machines = load_machines(recipe.filters, recipe.language.model)
    encoder = Encoder(tokenizer, cache_text_bytes=ENCODER_CACHE_BYTES)
    warm_up(inventory.root, units, recipe, identify, machines)
    steps = Steps()
    kept = clean(inventory.root, units, recipe, (identify, timed(machines, steps)), steps)
    drop_N = duplicates(kept, recipe, steps)
    left = survivors(kept.posts, drop_N)
    vocabulary = load_vocabulary(tokenizer)
    ids, encoded = encode(left, encoder, steps)
    packed = in_sequences(ids, encoded, recipe, vocabulary, steps)
    with steps("shards"):
        write_shards(packed, recipe.training, vocabulary, folder=shards, seed=recipe.seed)
    num_tokens = len(ids) + sum(len(part.tokens_T) for part in encoded)  # one ends each document
    outcome = Outcome(kept.read, len(ids), int(drop_N.sum()), num_tokens)
    return ComposedRun({k: round(steps.seconds[k], 4) for k in PHASE_OF_STEP}, outcome)


def warm_up(
    root: str,
    units: Sequence[InputUnit],
    recipe: Recipe,
    identify: LanguageIdentifier,
    machines: Sequence[Machine],
) -> None:
    """Cleans a batch, so that no step is charged with what libraries do once."""
    for read in read_unit(root, units[0], read_options(recipe, Inventory(root=root, files=()))):
        _filtered(read.posts, identify, machines, Steps())
        break


def timed(machines: Sequence[Machine], steps: Steps) -> tuple[Machine, ...]:
    """Returns the filters with the scorers of costly ones charged to a step of their own."""

    def wrapped(score: Scorer, step: str) -> Scorer:
        def scored(batch: Batch) -> Scores:
            with steps(step):
                return score(batch)

        scored.classifiers = getattr(score, "classifiers", ())
        return scored

    return tuple(
        (spec, wrapped(score, STEP_OF_FILTER[spec.name]) if spec.name in STEP_OF_FILTER else score)
        for spec, score in machines
    )


def clean(
    root: str,
    units: Sequence[InputUnit],
    recipe: Recipe,
    models: tuple[LanguageIdentifier, tuple[Machine, ...]],
    steps: Steps,
) -> Kept:
    """Reads, normalises and filters all units."""
    identify, machines = models
    read = 0
    parts: list[Batch] = []
    hashes: list[tuple[Array, Array]] = []
    for posts, num_rows in _read(root, units, recipe, steps):
        read += num_rows
        part = _filtered(posts, identify, machines, steps).kept
        with steps("dedup_text"):
            text = part.dedup_text
        with steps("hashes"):
            hashes.append((content_hash(text), id_hash(part.posts.column("post_id"))))
        # A new batch forgets the features and languages, which nothing needs any more.
        parts.append(Batch(part.posts))
        parts[-1].__dict__["dedup_text"] = text
    content_N, id_N = (np.concatenate(part) for part in zip(*hashes, strict=True))
    with steps("dedup_text"):
        dedup_text = pa.concat_arrays([part.dedup_text for part in parts])
    return Kept(read, [part.posts for part in parts], dedup_text, content_N, id_N)


def _read(
    root: str, units: Sequence[InputUnit], recipe: Recipe, steps: Steps
) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Yields batches of posts and how many rows, malformed ones included, each was read from."""
    for unit in units:
        batches = read_unit(root, unit, read_options(recipe, Inventory(root=root, files=())))
        while True:
            with steps("read"):
                found = next(batches, None)
            if found is None:
                break
            yield found.posts, found.posts.num_rows + found.rejected.num_rows


def _filtered(
    posts: pa.RecordBatch,
    identify: LanguageIdentifier,
    machines: Sequence[Machine],
    steps: Steps,
) -> Verdicts:
    with steps("normalize"):
        text = normalize(posts.column("text"))
        posts = posts.set_column(POST.names.index("text"), POST.field("text"), text)
        blank = pc.equal(pc.binary_length(text), 0)
        if blank.true_count:
            posts = posts.filter(pc.invert(blank))
        views = model_views(identify, *(score for _, score in machines))
        batch = Batch(posts, views)
    with steps("features"):
        _ = batch.features
    with steps("filters"):
        return partition(batch, machines, phase="clean")


def duplicates(kept: Kept, recipe: Recipe, steps: Steps) -> Array:
    """Returns (N,) bool, true for kept posts that are duplicates of others."""
    dedup = recipe.dedup
    ids = pa.chunked_array([batch.column("post_id") for batch in kept.posts])

    def codes(post_C: Array) -> Array:
        some = ids.take(pa.array(post_C)).combine_chunks()
        return np.asarray(some.dictionary_encode().indices, np.int64)

    resolved = resolve(
        kept.dedup_text,
        MinHashSpec(bands=dedup.bands, rows=dedup.rows, ngram=dedup.ngram, seed=recipe.seed),
        threshold=dedup.threshold,
        max_checks=dedup.max_checks,
        content_N=kept.content_N,
        ids=Ids(kept.id_N, codes),
        rank=partial(_rank, kept.posts, dedup),
        steps=steps,
    )
    return resolved.reason_N != 0


def _rank(posts: Sequence[pa.RecordBatch], dedup: DedupSection, post_C: Array) -> Array:
    """Returns (C,) int64, low for the post to keep."""
    if dedup.keep == "longest":
        lengths = [pc.utf8_length(batch.column("text")) for batch in posts]
        return -np.concatenate(lengths)[post_C].astype(np.int64)
    times = [batch.column("created_at").cast(pa.int64()) for batch in posts]
    return np.concatenate([pc.fill_null(t, np.iinfo(np.int64).max) for t in times])[post_C]


def survivors(posts: Sequence[pa.RecordBatch], drop_N: Array) -> list[pa.RecordBatch]:
    """Returns the ids and texts of the posts that are left."""
    left, start = [], 0
    for batch in posts:
        keep = pa.array(~drop_N[start : start + batch.num_rows])
        left.append(batch.select(["post_id", "text"]).filter(keep))
        start += batch.num_rows
    return left


def encode(
    posts: Sequence[pa.RecordBatch], encoder: Encoder, steps: Steps
) -> tuple[pa.StringArray, list[Encoded]]:
    """Returns the ids of the documents and, by batch, their tokens, in the order of the posts."""
    with steps("encode"):
        encoded = [encoder.encode(b.column("text")) for b in posts]
    return pa.concat_arrays([b.column("post_id") for b in posts]), encoded


def in_sequences(
    ids: pa.StringArray,
    encoded: Sequence[Encoded],
    recipe: Recipe,
    vocabulary: VocabularyIds,
    steps: Steps,
) -> Packed:
    """Returns the documents, in the order of a seeded hash of their ids, packed into sequences."""
    with steps("order"):
        order_D = np.argsort(hash_texts(ids, seed=recipe.seed), kind="stable")
        lengths_D = np.concatenate([np.diff(part.offsets_N1) for part in encoded])
        begins_D = np.ones(len(order_D), np.bool_)
        special = DocumentTokens(None, None, vocabulary.eod_id)
        documents = join(encoded, lengths_D, order_D, begins_D, special=special)
    with steps("pack"):
        planned = plan(
            documents.lengths_N,
            sequence_length=recipe.training.sequence_length,
            long_documents=recipe.tokens.long_documents,
        )
        return pack(planned, documents.tokens_T, documents.starts_N, pad_id=vocabulary.pad_id)


def write_shards(
    packed: Packed, training: TrainingSection, ids: VocabularyIds, *, folder: Path, seed: int
) -> None:
    """Assigns the sequences to shards and writes them, the leftover too."""
    planned = plan_shards(
        len(packed.tokens_SL),
        sequence_length=training.sequence_length,
        data_parallel_ranks=training.data_parallel_ranks,
        global_batch_sequences=training.global_batch_sequences,
        target_shard_bytes=training.target_shard_bytes,
    )
    shard_S, position_S = deal(len(packed.tokens_SL), planned, seed=seed)
    format = ShardFormat(training.sequence_length, ids.size, pad_id=ids.pad_id, eod_id=ids.eod_id)
    for shard in range(-1, planned.num_shards):
        chosen_Q = np.flatnonzero(shard_S == shard)
        chosen_Q = chosen_Q[np.argsort(position_S[chosen_Q])]
        with ShardWriter(folder / f"{shard}.arrow", format=format) as writer:
            for start in range(0, len(chosen_Q), 256):
                part_Q = chosen_Q[start : start + 256]
                writer.write(packed.tokens_SL[part_Q], packed.doc_ends.take(pa.array(part_Q)))


def main() -> None:
    """Composes the kernels over files and writes what they cost as JSON."""
    parser = parser_of("composed", __doc__)
    parser.add_argument("recipe")
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    with tempfile.TemporaryDirectory() as shards:
        found = compose(
            load(arguments.recipe),
            files=arguments.files,
            tokenizer=arguments.tokenizer,
            shards=Path(shards),
        )
    arguments.json.write_bytes(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
