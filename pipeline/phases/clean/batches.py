"""What phase clean does to posts, apart from files: they are normalised and split by the recipe's filters.

A unit of a run and `sluice.filter_table` call the same function.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.base import Filter
from sluice.filters.batch import Batch
from sluice.filters.contract import built
from sluice.filters.language.identify import build_identifier
from sluice.filters.language.views import LanguageIdentifier, model_views
from sluice.filters.lists.decide import Lists, apply_lists
from sluice.filters.lists.spec import STAGE as LISTS
from sluice.filters.partition import (
    Machine,
    Verdicts,
    isolate_failures,
    partition,
    stage_named,
)
from sluice.filters.privacy.masking import Masking
from sluice.filters.text.media import with_media
from sluice.filters.text.normalize import normalize
from sluice.pipeline.phases.clean.masked import masked
from sluice.pipeline.recipes.schema import MediaSection
from sluice.schemas.post import POST
from sluice.schemas.reject import EMPTY_TEXT, POLICY, rejects_of

PHASE = "clean"

Clean = Callable[[pa.RecordBatch], Iterator[Verdicts]]
"""Splits POST rows; what comes out holds every row once, in the order of the rows."""


def cleaner(
    filters: tuple[Filter, ...],
    language_model: str,
    media: MediaSection,
    *,
    lists: Lists | None = None,
    masking: Masking | None = None,
) -> Clean:
    """Returns the function that cleans posts by a recipe's lists and filters, and masks what is kept.

    Models are loaded once a process.

    A post that makes a filter raise is a dead letter of kind `error`, alone.

    Raises:
        SluiceError: a model cannot be loaded.
    """
    identify, machines = load_machines(filters, language_model)
    decide = partial(clean_batch, identify=identify, machines=machines, media=media, lists=lists)
    return partial(_clean, decide=decide, masking=masking)


def _clean(
    posts: pa.RecordBatch,
    *,
    decide: Callable[[Batch], Verdicts],
    masking: Masking | None,
) -> Iterator[Verdicts]:
    def apply(batch: Batch) -> Verdicts:
        found = decide(batch)
        with stage_named("privacy"):
            return masked(found, masking)

    if posts.num_rows:
        yield from isolate_failures(Batch(posts), apply, phase=PHASE, stage="normalize")


@lru_cache(maxsize=4)
def load_machines(
    filters: tuple[Filter, ...], language_model: str
) -> tuple[LanguageIdentifier, tuple[Machine, ...]]:
    """Returns the language identifier and the filters with their scorers; once a process."""
    return build_identifier(language_model), tuple((f, built(f)) for f in filters)


def clean_texts(posts: pa.RecordBatch, media: MediaSection) -> pa.RecordBatch:
    """Returns posts with their texts normalised, and with placeholders for media where they are wanted."""
    texts = normalize(posts.column("text"))
    if media.placeholders:
        texts, ordered = with_media(texts, posts.column("media"), alt_text=media.alt_text)
        posts = posts.set_column(
            posts.schema.get_field_index("media"), POST.field("media"), ordered
        )
    return posts.set_column(posts.schema.get_field_index("text"), POST.field("text"), texts)


def clean_batch(
    batch: Batch,
    *,
    identify: LanguageIdentifier,
    machines: Sequence[Machine],
    media: MediaSection,
    lists: Lists | None = None,
) -> Verdicts:
    """Returns the batch normalised and split: a blank text is the first reason, then lists, then filters."""
    posts = clean_texts(batch.posts, media)
    text = posts.column("text")
    whole = Batch(posts, model_views(identify, *(score for _, score in machines)))
    blank_N = np.asarray(pc.equal(pc.binary_length(text), 0))
    if not blank_N.any():
        return _split(whole, machines, lists)
    found = _split(whole.filter(~blank_N), machines, lists)
    blank = posts.filter(pa.array(blank_N))
    rejects = rejects_of(blank, kind=POLICY, phase=PHASE, stage="normalize", reason=EMPTY_TEXT)
    return found._replace(rejected=pa.concat_batches([rejects, found.rejected]))


def _split(batch: Batch, machines: Sequence[Machine], lists: Lists | None) -> Verdicts:
    """Returns what lists, then filters decide."""
    if lists is None:
        return partition(batch, machines, phase=PHASE)
    with stage_named(LISTS):
        listed = apply_lists(batch, lists, phase=PHASE)
    found = partition(listed.kept, machines, phase=PHASE)
    rejected = pa.concat_batches([listed.rejected, found.rejected])
    return found._replace(rejected=rejected, listed=listed)
