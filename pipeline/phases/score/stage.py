"""`sluice score`: every score of every readable post, no decision, by the code that `run` decides with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import ClassVar, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.filters.base import Filter, on_grid
from sluice.filters.batch import Batch, Mask, Scores
from sluice.filters.carried import CarriedFilters, unpacked
from sluice.filters.contract import accepted, scores_of
from sluice.filters.language.codes import UNDETERMINED
from sluice.filters.language.views import model_views
from sluice.filters.partition import Machine, Verdicts, isolate_failures
from sluice.filters.privacy.masking import Masking
from sluice.filters.rules.language_confidence import LanguageConfidence
from sluice.filters.transformers.load import Located, TransformerScorer, load
from sluice.pipeline.inputs.inventory import InputUnit
from sluice.pipeline.inputs.reader import ReadOptions, read_unit
from sluice.pipeline.phases.classify.thresholds import bounds, reason, score_columns
from sluice.pipeline.phases.clean.batches import clean_texts, load_machines
from sluice.pipeline.phases.privacy import masking_of
from sluice.pipeline.recipes.schema import (
    NO_PRIVACY,
    Classifier,
    MediaSection,
    PrivacySection,
    Recipe,
)
from sluice.pipeline.storage import files as storage
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.pipeline.units.reject_file import RejectFile
from sluice.schemas.counts import ScoreCounts
from sluice.schemas.reject import reject_batch

PHASE = "score"
LEAST_POSTS = 1000
"""Posts of a language from which on `language_thresholds` gives it a threshold of its own."""


@dataclass(frozen=True)
class ScoreStage:
    """Reads, normalises and scores one input unit."""

    folder: str
    output: str
    root: str
    options: ReadOptions
    filters: CarriedFilters
    language_model: str
    media: MediaSection
    privacy: PrivacySection = NO_PRIVACY
    transformers: "Models" = ()
    name: str = PHASE
    counts: ClassVar = ScoreCounts

    def do(self, unit: Unit, attempt: Attempt) -> ScoreCounts:
        """Scores a unit, with models that are loaded once a process."""
        filters = unpacked(self.filters)
        identify, machines = load_machines(filters, self.language_model)
        transformers = load_transformers(self.transformers)
        name = f"scores/scores-{unit.index:05d}.parquet"
        path = attempt.contract_path(self.output, name)
        rejects = RejectFile(attempt, self.output, f"{PHASE}-{unit.index:05d}")
        scored: list[pa.RecordBatch] = []
        schema = score_schema(filters, self.transformers)
        views = model_views(identify, *(score for _, score in machines))
        masking = masking_of(self.privacy)

        def apply(batch: Batch) -> Verdicts:
            posts = clean_texts(batch.posts, self.media)
            scored.append(score_batch(Batch(posts, views), machines, schema, transformers, masking))
            return Verdicts(batch, {}, reject_batch(0, {}), {})

        counts = ScoreCounts()
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for read in read_unit(
                self.root, msgspec.convert(unit.payload, InputUnit), self.options
            ):
                rejects.write(read.rejected)
                num_rows = read.rejected.num_rows + read.posts.num_rows
                counts += ScoreCounts(read=num_rows, input=read.counts)
                for part in isolate_failures(Batch(read.posts), apply, phase=PHASE, stage=PHASE):
                    rejects.write(part.rejected)
                for rows in scored:
                    counts.scored += rows.num_rows
                    writer.write_batch(rows)
                scored.clear()
        attempt.add_contract("scores", name)
        rejects.finish()
        return counts


Models = tuple[tuple[Classifier, Located], ...]


def load_transformers(transformers: Models) -> tuple[TransformerScorer, ...]:
    """Returns the machines of transformers; once a process."""
    return _loaded(msgspec.json.encode(transformers))


@lru_cache(maxsize=1)
def _loaded(transformers: bytes) -> tuple[TransformerScorer, ...]:
    models = msgspec.json.decode(transformers, type=Models)
    return tuple(load(spec, located) for spec, located in models)


def score_schema(
    filters: Sequence[Filter], transformers: Sequence[tuple[Classifier, Located]] = ()
) -> pa.Schema:
    """Returns the schema of the scores: id, language, a float32 column a filter and a model's label.

    The filter `language_confidence` has its column among those of the language.
    """
    fields = [pa.field(n, pa.string()) for n in ("post_id", "language", "language_group")]
    fields.append(pa.field("language_confidence", pa.float32()))
    names = [*_own_columns(filters), *(c for pair in transformers for c in score_columns(*pair))]
    return pa.schema(fields + [pa.field(n, pa.float32()) for n in names])


def _own_columns(filters: Sequence[Filter]) -> list[str]:
    return [f.name for f in filters if f.name != "language_confidence"]


def score_batch(
    batch: Batch,
    machines: Sequence[Machine],
    schema: pa.Schema,
    transformers: Sequence[TransformerScorer] = (),
    masking: Masking | None = None,
) -> pa.RecordBatch:
    """Returns a row of scores for each post of the batch, in order; transformers read masked texts."""
    found = batch.languages
    columns = [batch.posts.column("post_id"), found.language, found.language_group]
    columns.append(pa.array(on_grid(found.confidence_N)))
    own = _own_columns([f for f, _ in machines])
    columns += [pa.array(scores_of(f, score, batch)) for f, score in machines if f.name in own]
    texts = batch.text
    if masking is not None and transformers:
        texts = masking(texts, found.language).texts
    for model in transformers:
        columns += map(pa.array, on_grid(model.score(texts).scores_NL.T))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


class ScoreSummary(NamedTuple):
    """How the scores of a filter or label are distributed.

    Attributes:
        name: of the filter or label.
        threshold: None for a label without one.
        rejected: share of the posts that the threshold would reject, in [0, 1]; None without one.
        quantiles: at 1, 50, 90 and 99 per cent; empty where no post was scored.
    """

    name: str
    threshold: float | None
    rejected: float | None
    quantiles: list[float]


def summary(output: str, recipe: Recipe) -> list[ScoreSummary]:
    """Returns how the scores of each filter and label are distributed."""
    files = [file.path for file in storage.listing(storage.join(output, "scores"))]
    table = storage.dataset(files)
    rules: dict[str, tuple[float, Callable[[Scores], Mask]]] = {
        f.name: (f.threshold, f.accepts) for f in recipe.filters
    }
    for spec in recipe.transformers:
        rules |= {reason(spec, rule): (rule.value, rule.accepts) for rule in bounds(spec)}
    labels = [n for n in table.schema.names if "." in n]
    rows = []
    for name in dict.fromkeys([*(f.name for f in recipe.filters), *labels]):
        scores = table.to_table(columns=[name])[name]
        values_N = scores.to_numpy()
        threshold, accepts = rules.get(name, (None, None))
        own = next((f for f in recipe.filters if f.name == name), None)
        if isinstance(own, LanguageConfidence) and own.by_language:
            accepts = partial(_accepts_by_language, own, table.to_table(columns=["language"]))
        quantiles = (
            pc.quantile(scores, q=[0.01, 0.5, 0.9, 0.99]).to_pylist() if len(values_N) else []
        )
        share = None if accepts is None else _share(~accepts(values_N))
        rows.append(ScoreSummary(name, threshold, share, quantiles))
    return rows


def _accepts_by_language(spec: LanguageConfidence, table: pa.Table, scores_N: Scores) -> Mask:
    return accepted(spec, scores_N, spec.thresholds_of(table["language"].combine_chunks()))


def language_thresholds(output: str) -> dict[str, float]:
    """Returns a threshold for each language with LEAST_POSTS posts or more, from its own confidences.

    It is max(0.3, min(0.9, median - standard deviation)), rounded to two digits.

    Source: Penedo et al. 2025, "FineWeb2", arXiv:2506.20920.
    """
    files = [file.path for file in storage.listing(storage.join(output, "scores"))]
    table = storage.dataset(files).to_table(columns=["language", "language_confidence"])
    languages = table["language"].combine_chunks().dictionary_encode()
    confidence_N = table["language_confidence"].to_numpy()
    code_N = languages.indices.to_numpy()
    order_N = np.argsort(code_N, kind="stable")
    parts = np.split(confidence_N[order_N], np.cumsum(np.bincount(code_N))[:-1])
    named = zip(languages.dictionary.to_pylist(), parts, strict=True)
    own = {code: part for code, part in named if len(part) >= LEAST_POSTS and code != UNDETERMINED}
    return {
        code: round(float(np.clip(np.median(part) - part.std(dtype=np.float64), 0.3, 0.9)), 2)
        for code, part in sorted(own.items())
    }


def _share(mask_N: Mask) -> float:
    return float(mask_N.mean()) if len(mask_N) else 0.0
