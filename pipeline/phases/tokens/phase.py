"""Phase tokens: survivors -> ids -> partitions by seeded hash -> packed sequences -> shards."""

import math
from typing import Any

from sluice.filters.screens.screen import model_sha256
from sluice.pipeline.phases.conversations.phase import places_of
from sluice.pipeline.phases.job import Job, carried_columns
from sluice.pipeline.phases.planned import PhasePlan, Step, survivor_units, survivors_of
from sluice.pipeline.phases.results import Results
from sluice.pipeline.phases.tokens.deal import Deal
from sluice.pipeline.phases.tokens.encode import Encode
from sluice.pipeline.phases.tokens.mixture import RepeatRates, plan_mixture
from sluice.pipeline.phases.tokens.pack import Pack
from sluice.pipeline.phases.tokens.shard import WriteShard
from sluice.pipeline.phases.vocabulary.train import tokenizer_path
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.units import exchange
from sluice.schemas import placeholders
from sluice.schemas.errors import RecipeError
from sluice.tokenizer.packing.documents import DocumentTokens, document_tokens
from sluice.tokenizer.vocabulary.load import VocabularyIds, load_frozen, load_vocabulary

PHASE = "tokens"


def part(job: Job) -> list[Any]:
    """Returns what sequences and shards depend on; epochs and the model are for the report alone."""
    recipe = job.recipe
    t = recipe.training
    readers = [t.data_parallel_ranks, t.workers_per_rank]
    sizes = [t.sequence_length, t.global_batch_sequences, t.target_shard_bytes, t.tokens]
    mixture = None if recipe.mixture.is_off else recipe.mixture
    quality = [model_sha256(None)] if recipe.mixture.quality else []
    author_key = [recipe.privacy.author_key] if recipe.privacy.author_key else []
    return [recipe.tokens, mixture, readers, sizes, recipe.seed, *author_key, *quality]


def plan(job: Job, results: Results, fingerprint: str) -> PhasePlan:
    """Returns the phase, over the survivors."""
    folder, training = job.work(PHASE, fingerprint), job.recipe.training
    path, section = tokenizer_path(job.output), job.recipe.tokens
    carried = carried_columns(job.recipe)
    with local_copies.scope():
        made = load_vocabulary(local_copies.fetch(path))

    def at(stage: str) -> str:
        return storage.join(folder, stage)

    encode = Encode(
        at("encode"),
        survivors_of(job, results),
        path,
        max(1, math.ceil(results.survivors.text_bytes / section.partition_bytes)),
        job.recipe.seed,
        section.documents,
        0.0 if job.recipe.vocabulary.tokenizer else job.recipe.vocabulary.held_back,
        mixture_of(job, results),
        carried,
        made.placeholder_ids if job.recipe.text_tokens else (),
        section.header_fields,
        places_of(job, results),
        job.recipe.media.placeholders,
        job.privacy,
    )
    pack = Pack(
        at("pack"),
        training.sequence_length,
        section.documents,
        section.packing,
        section.long_documents,
        _special_tokens(job, made),
        made,
        carried,
        job.recipe.media.placeholders,
    )
    shard = WriteShard(
        *(at("shard"), job.output, at("pack"), at("deal")),
        training.sequence_length,
        made,
        job.recipe.dedup.count_copies,
        carried,
        job.recipe.media.placeholders,
    )
    deal = Deal(at("deal"), job.output, training, made, job.recipe.seed)
    steps = [
        Step(encode),
        Step(pack, exchange.Exchange("documents", name="partition")),
        Step(deal, exchange.Exchange(None, name="dealt")),
        Step(shard, exchange.Exchange("dealt", name="shard")),
    ]
    units = survivor_units(job, results)
    return PhasePlan(PHASE, fingerprint, folder, units, steps, results.survivors.posts)


def check_tokenizer(job: Job, *, loads: bool = True) -> None:
    """Raises RecipeError where a frozen tokenizer is not one that the run can use.

    Args:
        job: whose recipe may name one.
        loads: whether it is loaded, too, which takes a second; a plan reads it alone.
    """
    if job.recipe.vocabulary.tokenizer is not None:
        with local_copies.scope():
            path = local_copies.fetch(job.recipe.vocabulary.tokenizer)
            _special_tokens(job, load_frozen(path, loads=loads))


def _special_tokens(job: Job, made: VocabularyIds) -> DocumentTokens:
    """Returns the special tokens that the recipe puts around documents.

    Raises:
        RecipeError: the tokenizer lacks one of them, or one that media or masked values are replaced by.
    """
    recipe, section = job.recipe, job.recipe.tokens
    if recipe.media.placeholders:
        _check_tokens(made, placeholders.MEDIA, "media.placeholders", "set it to false")
    _check_tokens(made, recipe.privacy.tokens, "privacy", "leave out what becomes them")
    return document_tokens(
        made,
        begin=section.begin_of_document,
        end=section.end_of_document,
        conversations=section.documents == "conversations",
    )


def _check_tokens(made: VocabularyIds, tokens: tuple[str, ...], key: str, remedy: str) -> None:
    missing = made.missing(tokens)
    if missing:
        raise RecipeError(
            f"{key}: needs the special tokens {', '.join(missing)}, which the tokenizer does not have; "
            f"{remedy}, or take another vocabulary.tokenizer"
        )


def mixture_of(job: Job, results: Results) -> RepeatRates | None:
    """Returns how often each post is in the shards, or None where each is there once."""
    section = job.recipe.mixture
    if section.is_off:
        return None
    return plan_mixture(
        section,
        results.survivors,
        seed=job.recipe.seed,
        output=job.output,
        files=tuple(u.path for u in job.input_units),
    )
