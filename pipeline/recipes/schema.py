"""A recipe says what a run does: a TOML file decoded into a frozen tree, every key checked."""

import itertools
import os
import re
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from sluice.filters.decontamination.spec import EvaluationSet
from sluice.filters.lists.spec import ListSpec
from sluice.filters.privacy.kinds import HANDLE, KINDS, MASKED, TOKENS
from sluice.filters.transformers.load import Transformer
from sluice.pipeline.recipes.template import Field, fields_of
from sluice.schemas import placeholders
from sluice.schemas.errors import did_you_mean
from sluice.schemas.payloads.known_formats import AUTO, ROWS, check_format
from sluice.schemas.payloads.mapping import Sources
from sluice.schemas.payloads.times import check_time_format
from sluice.schemas.post import INPUT_COLUMNS

if TYPE_CHECKING:
    from sluice.filters.base import Filter as AnyFilter  # a recipe may hold those of others, too
else:
    from sluice.filters.registry import AnyFilter

Ratio = Annotated[float, Meta(ge=0.0, le=1.0)]
Positive = Annotated[int, Meta(ge=1)]
IdRule = Literal["column", "per_file", "file_row", "content"]
CARRIED_COLUMNS: Final = (
    *(name for name in INPUT_COLUMNS if name not in ("post_id", "text", "media")),
    *("language", "language_group", "language_confidence"),
)
"""What `tokens.provenance` may name."""
MADE_IDS: Final = ("file_row", "content")
"""The rules that read no id."""
MAX_SAMPLE = 1 / 16
"""Of a screen's rejects, clean keeps the texts of so many at most, for the sample of a cascade."""


class RecipeSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the recipe's tables: frozen, and a key it does not know is an error."""


class InputSection(RecipeSection, frozen=True):
    """Which files are read, and how their rows become posts.

    Attributes:
        files: globs, as paths or URIs; `--input` replaces them.
        identity: what tells a file from another of its name: its sha256, for which all bytes are read
            before the run, or the size and the time that its filesystem lists.
        format: the payload format of JSON files, by which posts are found in what a platform sends; "rows"
            for the columns below alone; "auto": each file says by its first records what it is, unless
            `columns` says where the text or the ids are.
        columns: POST column -> the input's name for it, where it is not the default: `user.screen_name` is
            inside another; of several the first that is not null counts; or `{ constant = "forum" }`.
        time_format: what `created_at` looks like: auto, iso8601, rfc2822, x, s, ms, us, ns (numbers since
            1970), or a pattern of strptime.
        ids: where ids come from: the input's column; the column, which counts within a file alone, so
            that the file is put before it; the file and the row; or a hash of the text.
        max_text_bytes: a longer text is malformed (`text_too_long`): a bound of memory, above any limit of
            characters that a filter sets, in every script.
        unit_bytes: plain JSONL and Parquet are cut into units of about this size.
        deletions: globs of Parquet files that earlier runs wrote in OUTPUT/deletions: posts and authors that
            are to be used no more.
        forgotten: folders of tombstones, OUTPUT/forgotten of other outputs: posts that are left out. Those of
            the output itself and of `dedup.history` are always read.
    """

    files: tuple[str, ...] = ()
    identity: Literal["sha256", "listing"] = "sha256"
    format: str = AUTO
    columns: dict[str, Sources] = {}
    time_format: str = "auto"
    ids: IdRule = "column"
    max_text_bytes: Positive = 262_144
    unit_bytes: Annotated[int, Meta(ge=1 << 16)] = 32 << 20
    deletions: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_time_format(self.time_format)
        check_format(self.format)
        if self.ids in MADE_IDS and "post_id" in self.columns:
            raise ValueError(
                f"columns.post_id has no effect with ids = {self.ids!r}, which makes them: leave one out"
            )

    @property
    def payload(self) -> str:
        """What `find_inputs` takes: the payload format, or how it is told."""
        mapped = {"post_id", "text"} & self.columns.keys()
        return ROWS if self.format == AUTO and mapped else self.format


class SourceSection(RecipeSection, frozen=True):
    """Under which licence and terms a part of the input may be used: for the manifest and the data card.

    Attributes:
        name: what people call the source.
        licence: of the source's posts, as an SPDX identifier or in words.
        terms: what else binds whoever uses them, in words or as a URL.
        files: glob patterns of paths below the longest common folder of the input files.
        platforms: whose payloads the files are; "rows" for those that are no payload.
        values: of the column `source`.
    """

    name: str
    licence: str
    terms: str = ""
    files: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.name.strip() and self.licence.strip()):
            raise ValueError("name and licence must not be empty: say in words what is known")
        if sum(map(bool, (self.files, self.platforms, self.values))) != 1:
            raise ValueError(
                f"{self.name!r} needs one of files, platforms and values, and no other"
            )


class LimitsSection(RecipeSection, frozen=True):
    """When a run stops rather than continue with what is left.

    Attributes:
        max_error_ratio: posts that made a filter fail, of all posts read.
        max_malformed_ratio: malformed rows, of the rows of one file.
        min_malformed: with fewer in a file the run goes on, unless all of its rows are malformed.
    """

    max_error_ratio: Ratio = 0.001
    max_malformed_ratio: Ratio = 0.05
    min_malformed: Positive = 10


class LanguageSection(RecipeSection, frozen=True):
    """Which fastText model names the language.

    Attributes:
        model: "combined" (lid.176 and a model that ships with Sluice), "lid.176" alone, or the path of a
            fastText model.
    """

    model: str = "combined"


class MediaSection(RecipeSection, frozen=True):
    """What becomes of the media of posts.

    Attributes:
        placeholders: each picture, film and sound leaves its special token where it stands, and its key in
            the provenance.
        alt_text: what a medium shows, in words, follows its placeholder.
    """

    placeholders: bool = False
    alt_text: bool = False

    def __post_init__(self) -> None:
        if self.alt_text and not self.placeholders:
            raise ValueError("alt_text has no effect without placeholders = true")


class AuthorsSection(RecipeSection, frozen=True):
    """What an author may have of a day.

    Attributes:
        max_posts_per_day: the first so many posts of an author and a UTC day stay, by `created_at`, then by
            id; of what clean kept, without what was deleted or has a later version. Posts without an author
            or a time pass. None for no such bound.
    """

    max_posts_per_day: Positive | None = None


class PrivacySection(RecipeSection, frozen=True):
    """What is known of persons behind posts, and under which key.

    Attributes:
        mask: kinds of personal data that are masked in the texts of kept posts: each value becomes a special
            token. Filters and screens read the texts as they came.
        handle: @handles stay; or they become a special token, as values do; or a pseudonym, another handle
            made with the key: one person is one pseudonym.
        author_id: the ids of authors stay; or they are hashed with the key where posts are read, so that
            equal authors are equal; or they are dropped there.
        key_file: path of a file of at least 32 bytes, secret. Ids of posts and authors are hashed with it
            where they must be told again and not be read: in the provenance, and of posts that were
            forgotten.
        author_key: the provenance has a column `author_key`, the keyed hash of the platform and the author's
            id, by which `sluice forget --authors` finds an author's posts.
    """

    mask: tuple[str, ...] = ()
    handle: Literal["keep", "mask", "pseudonym"] = "keep"
    author_id: Literal["keep", "hash", "drop"] = "keep"
    key_file: str | None = None
    author_key: bool = False

    def __post_init__(self) -> None:
        for kind in self.mask:
            if kind == HANDLE:
                raise ValueError('mask: handles have a key of their own: handle = "mask"')
            if kind not in MASKED:
                raise ValueError(
                    f"mask: no kind {kind!r}{did_you_mean(kind, MASKED)}; there are {', '.join(MASKED)}"
                )
        if len(set(self.mask)) < len(self.mask):
            raise ValueError("mask: names a kind twice")
        if self.key_file is None and self.keyed:
            raise ValueError(
                f"{self.keyed} needs key_file, a secret: make one with `head -c 32 /dev/urandom > FILE`"
            )

    @property
    def keyed(self) -> str | None:
        """The first setting that needs the key, or None."""
        keyed = {
            "author_key": self.author_key,
            'handle = "pseudonym"': self.handle == "pseudonym",
            'author_id = "hash"': self.author_id == "hash",
        }
        return next((name for name, is_set in keyed.items() if is_set), None)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that are found in texts, in the order of `KINDS`."""
        wanted = {*self.mask, *([] if self.handle == "keep" else [HANDLE])}
        return tuple(kind for kind in KINDS if kind in wanted)

    @property
    def tokens(self) -> tuple[str, ...]:
        """The special tokens that values become."""
        kinds = {*self.mask, *([HANDLE] if self.handle == "mask" else [])}
        return tuple(dict.fromkeys(TOKENS[kind] for kind in KINDS if kind in kinds))


NO_PRIVACY: Final = PrivacySection()
"""That of a recipe that says nothing of persons."""


class DecontaminationSection(RecipeSection, frozen=True):
    """Which evaluation sets posts must not hold items of.

    Attributes:
        sets: the sets, in order; a post that holds items of several is counted for the first.
        common_ratio: an n-gram that stands in more surroundings than this share of the posts that were
            looked at is a common phrase, and so is a short item that more of them hold.
        sample_bytes: of the input, so much is looked at for common phrases, in whole units.
        review: posts that hold an item are written beside it, with their texts, to OUTPUT/contaminated.
    """

    sets: tuple[EvaluationSet, ...] = ()
    common_ratio: Ratio = 0.00001
    sample_bytes: Positive = 256 << 20
    review: bool = False

    def __post_init__(self) -> None:
        if self.review and not self.sets:
            raise ValueError("review has no effect without sets")


class DedupSection(RecipeSection, frozen=True):
    """What counts as a duplicate, and which copy stays.

    Attributes:
        bands, rows: MinHash-LSH banding; bands * rows permutations.
        ngram: code points in a shingle.
        threshold: two posts of at least this exact Jaccard similarity are near duplicates.
        keep: the copy that stays: the earliest `created_at` (a post without one comes last), the
            longest text, or the most informative, that with the most distinct n-grams; ties go to the
            first in input order.
        max_copies: copies of a cluster that stay, the most preferred first.
        count_copies: provenance gets a column `copies`, the posts of each one's cluster.
        max_checks: kept posts that one post is compared with, at most; what is left is counted.
        id_conflicts: rows of one id whose texts differ, without a word of their platform that the post was
            edited: all are kept as posts of their own, or one of them is, and the others are dropped.
        memory_bytes: what a worker of the phase holds for the posts it resolves, about; a component
            that needs more goes through files. Changes no byte of the output.
        history: folder of the index of posts that earlier runs kept; read, and extended at the end.
        history_days: days that the history remembers, counted back from the newest.
        history_day: the day of this run's posts, YYYY-MM-DD; by default the median of their
            `created_at`.
    """

    bands: Positive = 20
    rows: Positive = 5
    ngram: Positive = 5
    threshold: Ratio = 0.8
    keep: Literal["earliest", "longest", "informative"] = "earliest"
    max_copies: Positive = 1
    count_copies: bool = False
    max_checks: Positive = 64
    id_conflicts: Literal["keep", "drop"] = "keep"
    memory_bytes: Annotated[int, Meta(ge=16 << 20)] = 512 << 20
    history: str | None = None
    history_days: Positive = 30
    history_day: date | None = None


class Classifier(Transformer, frozen=True, kw_only=True):
    """A transformer, what it rejects, and which posts it sees.

    Attributes:
        max_scores: label -> highest score that a post may have.
        min_scores: label -> lowest score that a post must have.
        screen: a filter of the recipe with a model, `spam` or `toxicity`: the transformer sees only
            the posts that it passed and is unsure of. Without it the transformer sees all survivors.
        min_screen: the screen's score from which on it is unsure.
        max_share: of the survivors, the most that the transformer may see; those with the highest
            screen scores go first.
        sample: of the posts that reached the screen, so many are scored by both, to measure how far
            they agree; decides nothing.
    """

    max_scores: dict[str, float] = {}
    min_scores: dict[str, float] = {}
    screen: str | None = None
    min_screen: Ratio | None = None
    max_share: Ratio | None = None
    sample: Annotated[float, Meta(ge=0.0, le=MAX_SAMPLE)] = 0.01

    def __post_init__(self) -> None:
        Transformer.__post_init__(self)
        if self.screen is None and (self.min_screen, self.max_share) != (None, None):
            raise ValueError(
                "min_screen and max_share need a screen: the filter whose scores they cut"
            )
        if self.screen is not None and (self.min_screen, self.max_share) == (None, None):
            raise ValueError("a screen needs min_screen, max_share or both: where its band begins")
        if self.screen is not None and not (self.max_scores or self.min_scores):
            raise ValueError(
                "a screen needs max_scores or min_scores: what the transformer rejects"
            )


class VocabularySection(RecipeSection, frozen=True):
    """How the tokenizer is trained, or which one is taken as it is.

    Attributes:
        sample_bytes: text whose words are counted, at most; of more, a sample by the hash of the id.
        language_exponent: a language with share p of the text gets a share of the counts in proportion
            to p ** language_exponent: 1 leaves the shares as they are, 0 makes them equal.
        max_weight: what an occurrence in a rare language counts for, at most.
        max_words: distinct words that it is trained on, at most: those that count most.
        held_back: share of the posts that it is not trained on; the report says what it makes of them.
        strict: an error, not a warning, when more than 1% of the entries had to be reserved.
        tokenizer: path of a frozen tokenizer.json of 131,072 entries; nothing is trained.
    """

    sample_bytes: Positive = 4_000_000_000
    language_exponent: Ratio = 0.7
    max_weight: Annotated[float, Meta(ge=1.0)] = 8.0
    max_words: Positive = 10_000_000
    held_back: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.01
    strict: bool = False
    tokenizer: str | None = None


class TokensSection(RecipeSection, frozen=True):
    """How posts become documents, and documents sequences.

    Attributes:
        documents: each post is a document; or the posts of a conversation are joined to one, in the
            order of `created_at`, with `<|turn|>` between them.
        quotes: in conversations, a quoted post stands apart from the post that quotes it; or it is joined
            to that post's document, where it answers no post itself.
        begin_of_document: each document begins with `<|bod|>`.
        end_of_document: each document ends with `<|eod|>`.
        packing: documents stay whole where they fit a sequence; or they follow each other and are cut at
            the end of each sequence.
        long_documents: a document longer than a sequence is split into pieces, or truncated.
        partition_bytes: text that is shuffled and packed together, about.
        provenance: columns of posts that each row of the provenance has, such as `platform` or `created_at`.
        header: text that stands before that of each post, with the names of columns in braces, such as
            "{platform}, {created_at:%Y-%m-%d}: "; a post that has no value there has nothing in its place.
    """

    documents: Literal["posts", "conversations"] = "posts"
    quotes: Literal["apart", "joined"] = "apart"
    begin_of_document: bool = False
    end_of_document: bool = True
    packing: Literal["best_fit", "concatenate"] = "best_fit"
    long_documents: Literal["split", "truncate"] = "split"
    partition_bytes: Annotated[int, Meta(ge=1 << 16)] = 48 << 20
    provenance: tuple[str, ...] = ()
    header: str = ""

    def __post_init__(self) -> None:
        fields_of(self.header, CARRIED_COLUMNS)
        for name in self.provenance:
            if name not in CARRIED_COLUMNS:
                raise ValueError(
                    f"provenance: no column {name!r} can be carried{did_you_mean(name, CARRIED_COLUMNS)}; "
                    f"there are {', '.join(CARRIED_COLUMNS)}"
                )
        if len(set(self.provenance)) < len(self.provenance):
            raise ValueError("provenance: names a column twice")
        if self.quotes == "joined" and self.documents == "posts":
            raise ValueError('quotes = "joined" needs documents = "conversations"')
        if self.documents == "conversations" and self.long_documents == "truncate":
            raise ValueError(
                'documents = "conversations" needs long_documents = "split": a conversation that is '
                "truncated would lose whole posts"
            )

    @property
    def header_fields(self) -> tuple[Field, ...]:
        """The pieces of the header."""
        return fields_of(self.header, CARRIED_COLUMNS)


class ModelSection(RecipeSection, frozen=True):
    """The model that the tokens are for; the defaults are Grok-1's. Decides nothing: the report compares.

    Attributes:
        name: for the report.
        total_parameters: of the whole model. Grok-1: 314e9 (README of the open release, xai-org/grok-1).
        active_parameters: those that one token meets: attention, embeddings and the experts that are
            chosen. Grok-1: 86e9, as is commonly stated; the layers and widths of the open release add up to
            84e9, and its announcement says 25% of the weights, 79e9.
        experts: of a layer; 1 for a dense model.
        active_experts: of them, those that a token is sent to.
    """

    name: str = "Grok-1"
    total_parameters: Annotated[float, Meta(ge=1.0)] = 314e9
    active_parameters: Annotated[float, Meta(ge=1.0)] = 86e9
    experts: Positive = 8
    active_experts: Positive = 2

    def __post_init__(self) -> None:
        if self.active_parameters > self.total_parameters:
            raise ValueError("active_parameters must be at most total_parameters")
        if self.active_experts > self.experts:
            raise ValueError("active_experts must be at most experts")


class TrainingSection(RecipeSection, frozen=True):
    """The training run that the shards are sized for.

    Attributes:
        sequence_length: tokens in a sequence.
        global_batch_sequences: sequences in one optimiser step over all ranks.
        data_parallel_ranks: ranks that read shards, equally.
        workers_per_rank: readers of a rank; the number of shards is a multiple of ranks times workers.
        target_shard_bytes: a shard is at most about this large.
        epochs: how often the training reads the shards; for the report.
        tokens: what the training wants to read. Less than there is: the shards hold no more, and the rest
            is left over. More: the report says how many epochs it takes.
        model: what the tokens are for.
    """

    sequence_length: Annotated[int, Meta(ge=16, le=1 << 20)] = 8192
    global_batch_sequences: Positive = 1024
    data_parallel_ranks: Positive = 8
    workers_per_rank: Positive = 1
    target_shard_bytes: Annotated[int, Meta(ge=1 << 16)] = 256 << 20
    epochs: Positive | None = None
    tokens: Positive | None = None
    model: ModelSection = ModelSection()

    def __post_init__(self) -> None:
        if self.epochs is not None and self.tokens is not None:
            raise ValueError("epochs and tokens both say how long the training is: set one of them")


class Shares(RecipeSection, frozen=True):
    """What share of the text each group of posts is to have. The defaults leave all as it is.

    Attributes:
        temperature: a group with share p gets a share in proportion to p ** (1 / temperature).
        weights: group = its share, whatever the temperature; the others divide the rest.
        max_share: no group gets more than this share of what there is; the others divide what it loses.
    """

    temperature: Annotated[float, Meta(gt=0.0)] = 1.0
    weights: dict[str, Ratio] = {}
    max_share: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0

    def __post_init__(self) -> None:
        if sum(self.weights.values()) > 1.0 + 1e-9:
            total = sum(self.weights.values())
            raise ValueError(f"weights are shares: their sum must be at most 1, it is {total:g}")
        if self.weights and max(self.weights.values()) > self.max_share:
            name = max(self.weights, key=lambda k: self.weights[k])
            raise ValueError(f"the weight of {name!r} is above max_share = {self.max_share:g}")


class QualityRate(RecipeSection, frozen=True):
    """How often posts of a score of quality are in the shards.

    Attributes:
        min_quality: the score from which on it holds, up to that of the next one.
        rate: what a post's rate is multiplied by; 0 leaves it out.
    """

    min_quality: Ratio
    rate: Annotated[float, Meta(ge=0.0)]


class MixtureSection(RecipeSection, frozen=True):
    """How often posts of a language, a source or a quality are in the shards. Off by default.

    Attributes:
        language: shares by predicted language.
        source: shares by POST.source.
        quality: rates by the score of the shipped screen `quality`, by rising `min_quality`; below the first
            one a post's rate is as it was.
        max_repeats: no post is there more often, on average; what a group cannot take goes to the others.
    """

    language: Shares = Shares()
    source: Shares = Shares()
    quality: tuple[QualityRate, ...] = ()
    max_repeats: Annotated[float, Meta(ge=1.0)] = 4.0

    def __post_init__(self) -> None:
        bounds = [step.min_quality for step in self.quality]
        for before, after in itertools.pairwise(bounds):
            if before >= after:
                raise ValueError(
                    f"quality: min_quality must rise from one to the next, {after:g} is behind {before:g}"
                )
        for step in self.quality:
            if not step.rate <= self.max_repeats:
                raise ValueError(
                    f"quality: a rate must be at most max_repeats = {self.max_repeats:g}, got {step.rate:g}"
                )

    @property
    def is_off(self) -> bool:
        """Whether every post is in the shards once."""
        return self.language == Shares() == self.source and not self.quality


SCORING: Final = ("classify", "score")
"""The phases that run transformers, and so the only ones that can use an accelerator."""
HINTED: Final = (
    *("phrases", "clean", "exclude", "dedup", *SCORING),
    *("vocabulary", "conversations", "tokens", "history"),
)
_SIZE = re.compile(r"\d+(\.\d+)? ?[KMGTP]i?B")


class WorkersSection(RecipeSection, frozen=True):
    """How many processes share the work, and what an engine should give to the workers of a phase.

    Memory and an accelerator are what Beam calls resource hints. Dataflow acts on them; the engines of one
    machine, Spark and Flink ignore them. Nothing here changes a byte of the output; it is outside of all
    fingerprints.

    Attributes:
        processes: on this machine; None for the cores that the process may use, as far as memory goes.
        accelerator: of the phases that run transformers, as Dataflow writes it:
            "type:nvidia-l4;count:1;install-nvidia-driver".
        min_ram: phase -> memory that a worker of it needs, with a unit: "16GB" or "16GiB".
    """

    processes: Annotated[int, Meta(ge=1, le=1024)] | None = None
    accelerator: str | None = None
    min_ram: dict[str, str] = {}

    def __post_init__(self) -> None:
        for phase, size in self.min_ram.items():
            if phase not in HINTED:
                raise ValueError(f"min_ram.{phase}: no such phase{did_you_mean(phase, HINTED)}")
            if not _SIZE.fullmatch(size):
                raise ValueError(
                    f"min_ram.{phase}: must be a size with a unit, as 16GB, got {size!r}"
                )
        if self.accelerator is not None and not self.accelerator.startswith("type:"):
            raise ValueError(
                f"accelerator: must begin with type:, as type:nvidia-l4;count:1, got {self.accelerator!r}"
            )

    def hints(self, phase: str) -> dict[str, str]:
        """Returns Beam's resource hints for a phase, {} for none."""
        hints = {"min_ram": self.min_ram[phase]} if phase in self.min_ram else {}
        if self.accelerator is not None and phase in SCORING:
            hints["accelerator"] = self.accelerator
        return hints

    def without_effect(
        self, *, transformers: bool, history: bool, conversations: bool, sets: bool
    ) -> str | None:
        """Returns a key that asks for something that no phase of the run can use, or None."""
        if not transformers and self.accelerator is not None:
            return "accelerator"
        missing = {
            "classify": not transformers,
            "history": not history,
            "conversations": not conversations,
            "phrases": not sets,
        }
        return next((f"min_ram.{p}" for p in self.min_ram if missing.get(p)), None)


class Recipe(RecipeSection, frozen=True):
    """The whole of what a run does.

    Attributes:
        name: names the recipe; an output folder belongs to one name.
        seed: of every hash, sample and permutation.
        sources: licences and terms of parts of the input; they decide nothing. The first that is of a file is
            its note.
        lists: in order; the first that rejects a post gives the reason. They are asked before the filters.
        filters: in order; the first that rejects a post gives the reason.
        transformers: in order, over what is left when duplicates are gone.
    """

    name: str
    seed: Annotated[int, Meta(ge=0, lt=1 << 32)] = 1
    input: InputSection = InputSection()
    sources: tuple[SourceSection, ...] = ()
    limits: LimitsSection = LimitsSection()
    language: LanguageSection = LanguageSection()
    media: MediaSection = MediaSection()
    lists: tuple[ListSpec, ...] = ()
    filters: tuple[AnyFilter, ...] = ()
    authors: AuthorsSection = AuthorsSection()
    privacy: PrivacySection = PrivacySection()
    decontamination: DecontaminationSection = DecontaminationSection()
    dedup: DedupSection = DedupSection()
    transformers: tuple[Classifier, ...] = ()
    vocabulary: VocabularySection = VocabularySection()
    tokens: TokensSection = TokensSection()
    mixture: MixtureSection = MixtureSection()
    training: TrainingSection = TrainingSection()
    workers: WorkersSection = WorkersSection()

    def __post_init__(self) -> None:
        if self.privacy.author_id != "drop":
            return
        fields = {field.column for field in self.tokens.header_fields}
        needs = {
            "authors.max_posts_per_day": self.authors.max_posts_per_day is not None,
            "tokens.provenance": "author_id" in self.tokens.provenance,
            "tokens.header": "author_id" in fields,
        }
        for key, is_set in needs.items():
            if is_set:
                raise ValueError(
                    f'privacy.author_id = "drop" leaves {key} without authors: take "hash"'
                )

    @property
    def text_tokens(self) -> tuple[str, ...]:
        """The special tokens that texts may have: of media, and of masked values."""
        return (*(placeholders.MEDIA if self.media.placeholders else ()), *self.privacy.tokens)

    @staticmethod
    def load(
        recipe: "str | os.PathLike[str] | Recipe", *, overrides: Mapping[str, Any] | None = None
    ) -> "Recipe":
        """Returns the recipe of a TOML file, or of a shipped name, with settings changed.

        Args:
            recipe: a path that ends in .toml, a name such as "default", or a recipe.
            overrides: key -> value; filters and transformers are found by their names, None stands for a
                key's default.

        >>> recipe = Recipe.load("default", overrides={"filters.spam.max_spam": 0.9, "seed": 7})
        >>> recipe.seed, [f.threshold for f in recipe.filters if f.name == "spam"]
        (7, [0.899993896484375])
        >>> recipe == Recipe.load(recipe)
        True

        Raises:
            RecipeError: there is no such recipe, or a key is unknown or its value out of range; the
                message names the key, and the closest one that there is.
        """
        from sluice.pipeline.recipes import loader  # which imports this module

        return loader.load(recipe, overrides=overrides)

    def to_toml(self) -> str:
        """Returns the recipe as a TOML file, with all defaults: what `load` gives back unchanged."""
        from sluice.pipeline.recipes import loader, toml_text

        return toml_text.of_tree(loader.plain(self))

    def __str__(self) -> str:
        """Returns what `to_toml` does."""
        return self.to_toml()


def canonical(part: Any) -> Any:
    """Returns plain JSON types with sorted keys, the form that fingerprints are taken of."""
    return msgspec.to_builtins(part, order="deterministic")
