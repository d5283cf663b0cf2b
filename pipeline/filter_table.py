"""`sluice.filter_table`: the posts of a table, split by a recipe's filters, without files and without Beam.

A table is read as an Arrow file is, and cleaned by the function that phase clean calls.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

import pyarrow as pa

from sluice.filters.base import Filter, on_grid
from sluice.filters.partition import Verdicts
from sluice.pipeline.inputs import arrow_files
from sluice.pipeline.inputs.list_files import built, find_lists
from sluice.pipeline.inputs.made_ids import id_mapping, make_ids
from sluice.pipeline.inputs.reader import ReadOptions
from sluice.pipeline.phases.clean.batches import Clean, cleaner
from sluice.pipeline.phases.privacy import masking_of, with_keyed_authors
from sluice.pipeline.recipes import loader
from sluice.pipeline.recipes.schema import Recipe
from sluice.schemas.payloads import columns
from sluice.schemas.post import POST
from sluice.schemas.reject import REJECT

_log = logging.getLogger(__name__)

TABLE: Final = "table"
"""The `source_file` of posts that came from no file, and what errors call the table."""


class ArrowStream(Protocol):
    """Anything with Arrow's C stream interface: a Table, a frame of pandas or polars, a DuckDB relation."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Returns a capsule of the rows."""
        ...


class Partition(NamedTuple):
    """Every row of a table, once: in `kept` or in `rejected`.

    `source_row` is the row's number in the table, from 0, so that `frame.iloc[kept["source_row"]]` are the
    rows that were kept, with all columns of their own.

    Attributes:
        kept: POST rows (`sluice.schemas.post`) in the order of the table, the text as it was normalised and
            masked.
        rejected: REJECT rows (`sluice.schemas.reject`) in the order of the table: why, by which filter, with
            which score and threshold; kinds `policy`, `malformed` and `error`.
        scores: a row for each of `kept`, in its order: post_id, source_row, language, language_group,
            language_confidence, and a float32 column for each filter of the recipe.
    """

    kept: pa.Table
    rejected: pa.Table
    scores: pa.Table


def filter_table(
    posts: ArrowStream | pa.RecordBatch,
    recipe: str | Recipe,
    *,
    overrides: Mapping[str, Any] | None = None,
) -> Partition:
    """Splits the posts of a table as phase clean of a run does, row for row and score for score.

    Duplicates, transformers and limits of a recipe are for whole runs: they decide nothing here. Models are
    loaded at the first call and kept for the process.

    Args:
        posts: a pyarrow Table or RecordBatch, a frame of pandas or polars, or anything else with Arrow's C
            stream. Columns are found as those of an input file: `post_id` (or `id`) and `text` must be
            there, other names are `input.columns` of the recipe. An index of pandas that has a name is a
            column of that name, others are not looked at.
        recipe: path of a TOML file, the name of a shipped recipe, or a Recipe.
        overrides: settings that are changed, as `sluice.run` takes them.

    >>> import pyarrow as pa
    >>> texts = ["The boats of the harbour leave at six in the morning", "no"]
    >>> parts = filter_table(pa.table({"id": ["1", "2"], "text": texts}), "default")
    >>> parts.kept["post_id"].to_pylist(), parts.rejected.select(["post_id", "reason"]).to_pylist()
    (['1'], [{'post_id': '2', 'reason': 'too_few_words'}])

    Raises:
        TypeError: `posts` is no table.
        InputError: a column is missing or of another type; the message names the key of the recipe.
        RecipeError: there is no such recipe, or a setting is wrong.
    """
    settings = loader.load(recipe, overrides=overrides)
    options = ReadOptions(
        columns=settings.input.columns,
        time_format=settings.input.time_format,
        ids=settings.input.ids,
        max_text_bytes=settings.input.max_text_bytes,
    )
    clean = _cleaner(settings)
    schema = scores_schema(settings.filters)
    kept, rejected, scores = [], [], []
    for malformed, verdicts in _parts(_table(posts), options, clean):
        rejected += [malformed, *(each.rejected for each in verdicts)]
        some = [each for each in verdicts if len(each.kept)]
        posts_of = [with_keyed_authors(each.kept.posts, settings.privacy) for each in some]
        kept += [posts.select(POST.names) for posts in posts_of]
        scores += [_scores(each, schema) for each in some]
    return Partition(
        pa.Table.from_batches(kept, POST),
        pa.Table.from_batches(rejected, REJECT).sort_by("source_row"),
        pa.Table.from_batches(scores, schema),
    )


def _cleaner(settings: Recipe) -> Clean:
    """Returns the function that cleans posts by a recipe."""
    found, masking = find_lists(settings.lists), masking_of(settings.privacy)
    lists = None if found is None else built(found)
    model, media = settings.language.model, settings.media
    return cleaner(settings.filters, model, media, lists=lists, masking=masking)


def scores_schema(filters: Iterable[Filter]) -> pa.Schema:
    """Returns the schema of `Partition.scores`."""
    names = ("language_confidence", *(f.name for f in filters if f.name != "language_confidence"))
    return pa.schema(
        [
            pa.field("post_id", pa.string(), nullable=False),
            pa.field("source_row", pa.int64(), nullable=False),
            pa.field("language", pa.string(), nullable=False),
            pa.field("language_group", pa.string(), nullable=False),
            *(pa.field(name, pa.float32(), nullable=False) for name in names),
        ]
    )


def _table(posts: Any) -> pa.Table:
    if isinstance(posts, pa.RecordBatch):
        return pa.Table.from_batches([posts])
    if isinstance(posts, pa.Table):
        return posts
    if not hasattr(posts, "__arrow_c_stream__"):
        raise TypeError(
            f"posts must be a pyarrow Table or RecordBatch, or a frame with Arrow's C stream (pandas from "
            f"2.2, polars from 1.3), got {type(posts).__name__}"
        )
    return pa.table(posts)


def _parts(
    table: pa.Table, options: ReadOptions, clean: Clean
) -> Iterator[tuple[pa.RecordBatch, list[Verdicts]]]:
    """Yields the malformed rows and the verdicts of a part of the table, in the order of the rows."""
    mapping = id_mapping(options.columns, options.ids)
    for note in arrow_files.check_schema(table.schema, name=TABLE, mapping=mapping):
        _log.warning("%s: %s", TABLE, note)
    table = table.select(arrow_files.wanted_fields(table.schema, mapping=mapping))
    first_row, origin = 0, columns.Origin(0, TABLE)
    for batch in table.to_batches(max_chunksize=options.batch_rows):
        raw, faults = arrow_files.raw_posts(batch, mapping=mapping, first_row=first_row)
        raw, limit = make_ids(raw, ids=options.ids, path=TABLE), options.max_text_bytes
        read = columns.split_rows(
            raw,
            faults,
            origin=origin,
            max_text_bytes=limit,
            time_format=options.time_format,
        )
        yield read.rejected, list(clean(read.posts))
        first_row += batch.num_rows


def _scores(verdicts: Verdicts, schema: pa.Schema) -> pa.RecordBatch:
    posts, languages = verdicts.kept.posts, verdicts.kept.languages
    columns_of = {
        "post_id": posts.column("post_id"),
        "source_row": posts.column("source_row"),
        "language": languages.language,
        "language_group": languages.language_group,
        "language_confidence": pa.array(on_grid(languages.confidence_N)),
    }
    arrays = [
        columns_of[name] if name in columns_of else pa.array(verdicts.scores[name])
        for name in schema.names
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
