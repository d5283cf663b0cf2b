"""The report of a run, as one value: report.json, its JSON Schema, the page and the terminal are made of it.

Ratios are in [0, 1]; what is None is not known, or not part of the recipe. A key that a report lacks, as one
of an earlier version may, has the default here.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from sluice.schemas.counts import (
    AgreementCounts,
    Counts,
    EntryUse,
    PostTally,
    ReadTally,
    SetCounts,
    Table,
    TrainingWords,
)
from sluice.schemas.errors import LedgerError
from sluice.schemas.origin import FilterOrigin
from sluice.schemas.plurals import counted

REPORT_VERSION: Final = 1
SPECIAL_TOKENS: Final = ("begin_of_document", "turns", "end_of_document")
"""The special tokens of documents, each a line of the tokens' equation."""


class Section(msgspec.Struct, kw_only=True):
    """The base of the parts of a report."""


class RecipeName(Section):
    """What was run: the recipe's name, and the fingerprint of the last phase that makes tokens."""

    name: str = ""
    fingerprint: str = ""


class PostReport(Section):
    """Where every post went.

    Attributes:
        id_conflicts: posts with the id of another post and an unlike text. They are among the kept ones, or
            rejected later; where the recipe drops them, they are among the duplicates.
        forgotten: posts that `sluice forget` took out of the output since, which are among the rejected ones.
            The tables by language, day and source still count them: what a post was is not told of one that
            is gone.
    """

    read: int = 0
    kept: int = 0
    rejected: Table = {}
    duplicates: Table = {}
    id_conflicts: int = 0
    malformed: int = 0
    errors: int = 0
    malformed_by_reason: Table = {}
    errors_by_stage: Table = {}
    by_lang: Table = {}
    by_day: Table = {}
    by_source: Table = {}
    forgotten: int = 0

    @property
    def groups(self) -> dict[str, Table]:
        """The tables of kept posts, by name."""
        return {"by_lang": self.by_lang, "by_day": self.by_day, "by_source": self.by_source}

    @property
    def equation(self) -> str:
        """The posts' equation in figures, as the report and the terminal print it."""
        policy, copies = sum(self.rejected.values()), sum(self.duplicates.values())
        return (
            f"{self.read:,} read = {self.kept:,} kept + {policy:,} rejected by rules + "
            f"{counted(copies, 'duplicate')} + {self.malformed:,} malformed + {counted(self.errors, 'error')}"
        )

    def check(self) -> None:
        """Raises LedgerError unless every post that was read is accounted for, once."""
        dropped = sum(self.rejected.values()) + sum(self.duplicates.values())
        missing = self.read - self.kept - dropped - self.malformed - self.errors
        if missing:
            raise LedgerError(f"the ledger does not balance: {self.equation}: off by {missing:,}")


class InputReport(ReadTally):
    """What the files held.

    Attributes:
        files: of the input, empty ones included.
        formats: payload format, or "rows" -> files.
        dead_letter_reasons: why records are dead letters -> how many.
        notes: what is odd about a file and costs no post: an extension that does not fit, an empty file.
    """

    files: int = 0
    formats: Table = {}
    dead_letter_reasons: Table = {}
    notes: list[str] = []

    def check(self, posts: PostReport) -> None:
        """Raises LedgerError unless every record is accounted for, once, and every post comes of one."""
        known = self.records_with_posts + sum(self.notices.values()) + self.dead_letters
        if self.records != known:
            raise LedgerError(f"the ledger does not balance: {self.equation}")
        if (self.posts, self.dead_letters) != (posts.read - posts.malformed, posts.malformed):
            raise LedgerError(
                f"the ledger does not balance: the input has {self.posts:,} posts and {self.dead_letters:,} "
                f"dead letters; {posts.read:,} posts were read, {posts.malformed:,} of them malformed"
            )


class TokenReport(Section):
    """The tokens of the documents: those of texts, which `by_*` divide, and special ones.

    Attributes:
        forgotten: tokens that `sluice forget` overwrote since: `total` and `encoded` are without them, the
            tables with them.
    """

    total: int = 0
    encoded: int = 0
    distinct: int = 0
    begin_of_document: int = 0
    turns: int = 0
    end_of_document: int = 0
    bytes_per_token: float | None = None
    per_post: float | None = None
    text_bytes: int = 0
    by_lang: Table = {}
    by_day: Table = {}
    by_source: Table = {}
    forgotten: int = 0

    @property
    def groups(self) -> dict[str, Table]:
        """The tables of tokens of texts, by name."""
        return {"by_lang": self.by_lang, "by_day": self.by_day, "by_source": self.by_source}


class TokenLedger(Counts):
    """The two sides of the tokens' equation: what was made, and where it is.

    Attributes:
        padding: behind the last documents of sequences.
        forgotten: the padding in the places of posts that `sluice forget` took out.
    """

    encoded: int = 0
    begin_of_document: int = 0
    turns: int = 0
    end_of_document: int = 0
    padding: int = 0
    forgotten: int = 0
    in_shards: int = 0
    leftover: int = 0
    truncated: int = 0

    @property
    def special(self) -> dict[str, int]:
        """The special tokens of documents, by kind."""
        counts = (self.begin_of_document, self.turns, self.end_of_document)
        return dict(zip(SPECIAL_TOKENS, counts, strict=True))

    @property
    def equation(self) -> str:
        """The equation in figures; a special token that no document has is left out."""
        special = "".join(f"{n:,} {k.replace('_', '-')} + " for k, n in self.special.items() if n)
        forgotten = f" + {self.forgotten:,} forgotten" if self.forgotten else ""
        return (
            f"{self.encoded:,} encoded + {special}{self.padding:,} padding{forgotten} = "
            f"{self.in_shards:,} in shards + {self.leftover:,} leftover + {self.truncated:,} truncated"
        )

    def check(self) -> None:
        """Raises LedgerError unless every token, padding included, is accounted for."""
        made = self.encoded + sum(self.special.values()) + self.padding + self.forgotten
        if made != self.in_shards + self.leftover + self.truncated:
            raise LedgerError(f"the ledger does not balance: {self.equation}")


def table_problems(posts: PostReport, tokens: TokenReport) -> Iterator[str]:
    """Yields what is wrong with tables that do not sum to their total and what was forgotten since."""
    for name, table in posts.groups.items():
        if sum(table.values()) != posts.kept + posts.forgotten:
            yield f"posts.{name} sums to {sum(table.values()):,}, {_total('kept', posts.kept, posts)}"
    for name, table in tokens.groups.items():
        if sum(table.values()) != tokens.encoded + tokens.forgotten:
            total = _total("encoded", tokens.encoded, tokens)
            yield f"tokens.{name} sums to {sum(table.values()):,}, {total}"


def _total(name: str, value: int, of: PostReport | TokenReport) -> str:
    section = "posts" if isinstance(of, PostReport) else "tokens"
    forgotten = f", {section}.forgotten is {of.forgotten:,}" if of.forgotten else ""
    return f"{section}.{name} is {value:,}{forgotten}"


class FilterReport(Section):
    """What a filter was asked, let pass and cost; `msec` of CPU time on one core.

    Attributes:
        origin: the distribution that the filter is of; None for those of Sluice.
    """

    name: str = ""
    reason: str = ""
    threshold: float | None = None
    posts_in: int | None = None
    posts_out: int | None = None
    msec: int | None = None
    origin: FilterOrigin | None = None


class SourceReport(Section):
    """A note of the recipe on the licence and terms of a part of the input.

    Attributes:
        platforms, values: what it is about, where it is by them.
        files: of the input, that it is about; None where it is by values of the column `source`.
        read: posts and dead letters of these files; None as before.
    """

    name: str = ""
    licence: str = ""
    terms: str = ""
    platforms: list[str] = []
    values: list[str] = []
    files: int | None = None
    read: int | None = None


class SourcesReport(Section):
    """The notes of the recipe on sources, and what has none.

    Attributes:
        without: names of files, or of values of the column `source` among kept posts, without a note, 20 at
            most.
        num_without: how many there are.
    """

    notes: list[SourceReport] = []
    without: list[str] = []
    num_without: int = 0


class ListReport(Section):
    """What a list of the recipe looked at, named and rejected.

    Attributes:
        kind: what its entries are: author, id, domain, url or phrase.
        action: block, allow or only.
        reason: of the posts that it rejected; None where it allows.
        entries: that it has, each counted once.
        asked: posts that it looked at: none before it rejected them, or took them out of it.
        named: of these, those that an entry names. Where it allows, what they name is let pass.
        rejected: of the asked.
    """

    name: str = ""
    kind: str = ""
    action: str = ""
    reason: str | None = None
    entries: int = 0
    asked: int = 0
    named: int = 0
    rejected: int = 0


class Band(Section):
    """The scores of a screen that a transformer decides on."""

    screen: str = ""
    low: float = 0.0
    high: float = 0.0


class Agreement(AgreementCounts):
    """How far a screen and its transformer agree on the sample that both have scored.

    Below the band the cascade keeps a post, above it rejects it, in the band it does as the transformer says.
    """

    sampled: int = 0
    agreed: float = 0.0


class TransformerReport(Section):
    """What a transformer saw, decided and saved; `seconds` of its device."""

    name: str = ""
    model: str = ""
    sha256: str = ""
    labels: list[str] = []
    posts: int | None = None
    decided: int | None = None
    scored: int | None = None
    saved: float | None = None
    rejected: int | None = None
    errors: int = 0
    tokens: int | None = None
    truncated: int = 0
    seconds: float | None = None
    band: Band | None = None
    agreement: Agreement | None = None


class LanguageFairness(Section):
    """The rejection rate of a language.

    Attributes:
        ratio: its rate over that of all; None for few posts.
        even_threshold: the hundredth that would give it the rate of all; None for few posts.
    """

    posts: int = 0
    rejected: int = 0
    rate: float = 0.0
    ratio: float | None = None
    even_threshold: float | None = None


class Fairness(Section):
    """Rejection rates by language of a screen, or of a label of a transformer."""

    name: str = ""
    threshold: float = 0.0
    posts: int = 0
    rejected: int = 0
    rate: float = 0.0
    by_lang: dict[str, LanguageFairness] = {}


class LedgerReport(Section):
    """The equations in figures; a run whose ledger does not balance ends without a report."""

    balanced: bool = False
    input: str = ""
    posts: str = ""
    tokens: str = ""


class EntryUseReport(EntryUse):
    """How many entries of the vocabulary occur in the sequences, hardly or never."""

    unused: int = 0


class HoldoutRates(Section):
    """What a vocabulary makes of posts that it was not trained on."""

    posts: int = 0
    text_bytes: int = 0
    tokens: int = 0
    bytes_per_token: float = 0.0
    tokens_per_word: float = 0.0


class HoldoutReport(HoldoutRates):
    """The holdout, and its languages, those with the most text first."""

    languages: dict[str, HoldoutRates] = {}


class TrainingShare(Section):
    """What a language is of the training text; `weight` is what an occurrence of a word weighs."""

    posts: int = 0
    text_bytes: int = 0
    weight: float = 0.0
    share_of_text: float = 0.0
    share_of_training: float = 0.0


class StepTime(Section):
    """The time of a step; `cpu_seconds` of the thread that did it."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0


class VocabularyReport(Section):
    """The entries of the vocabulary by kind, and what they were learned from."""

    size: int = 0
    merges: int | None = None
    special: int | None = None
    links: int | None = None
    bytes: int | None = None
    reserved: int | None = None
    sample: PostTally = msgspec.field(default_factory=PostTally)
    words: TrainingWords | None = None
    use: EntryUseReport | None = None
    held_back: HoldoutReport | None = None
    languages: dict[str, TrainingShare] = {}
    steps: dict[str, StepTime] = {}


class SequenceReport(Section):
    """The packed sequences; `padding` and `truncated_tokens` are tokens."""

    length: int = 0
    in_shards: int = 0
    leftover: int = 0
    padding: int = 0
    padding_ratio: float | None = None
    truncated_tokens: int = 0


class ShardReport(Section):
    """The shards of tokens/."""

    count: int = 0
    sequences_each: int = 0
    bytes_each: int = 0
    total_bytes: int = 0


class TrainedModel(Section):
    """The model that the training is planned for."""

    name: str = ""
    total_parameters: float = 0.0
    active_parameters: float = 0.0
    experts: int = 0
    active_experts: int = 0
    vocabulary: int = 0


class Optimum(Section):
    """The compute-optimal tokens, the training's share of them, and the days and posts that have as many."""

    tokens: float = 0.0
    share: float = 0.0
    days: float | None = None
    posts: float | None = None


class Optima(Section):
    """The optimum by the active parameters of the model, and by all of them."""

    active: Optimum = msgspec.field(default_factory=Optimum)
    total: Optimum = msgspec.field(default_factory=Optimum)


class NextDay(Section):
    """What another day like this one adds.

    Attributes:
        tokens: distinct ones.
        seen_before: share of this run's posts that earlier runs had; None where none was read.
    """

    tokens: int = 0
    sequences: int = 0
    steps: int = 0
    steps_with_leftover: int = 0
    earlier_runs: int = 0
    seen_before: float | None = None


class TrainingReport(Section):
    """How long the training is, and how far the tokens go for its model."""

    global_batch_sequences: int = 0
    data_parallel_ranks: int = 0
    workers_per_rank: int = 1
    steps: int = 0
    tokens_per_step: int = 0
    epoch_tokens: int = 0
    epochs: float = 0.0
    wanted_tokens: int | None = None
    total_steps: int = 0
    tokens: int | None = None
    worth_tokens: int = 0
    flops: float = 0.0
    model: TrainedModel = msgspec.field(default_factory=TrainedModel)
    optimal: Optima = msgspec.field(default_factory=Optima)
    next_day: NextDay = msgspec.field(default_factory=NextDay)


class MixedGroup(Section):
    """A language or source of a mixture: shares of text bytes before and after, and posts.

    Attributes:
        target: the share that the recipe asks for; None where it asks for none.
        rate: how often a post is in the sequences, on average.
    """

    share: float = 0.0
    target: float | None = None
    rate: float = 0.0
    share_after: float = 0.0
    posts: int = 0
    left_out: int = 0
    documents: int = 0


class MixedStep(Section):
    """Posts of a step of quality: as `MixedQuality`, with what their rates are multiplied by.

    Attributes:
        min_quality: of the step; None for posts below the first one.
    """

    min_quality: float | None = None
    rate: float = 0.0
    posts: int = 0
    left_out: int = 0
    documents: int = 0


class MixtureReport(Section):
    """What the mixture left out and repeated."""

    max_repeats: float = 0.0
    left_out: int = 0
    repeated: int = 0
    by_lang: dict[str, MixedGroup] = {}
    by_source: dict[str, MixedGroup] = {}
    by_quality: list[MixedStep] = []


class ConversationReport(Section):
    """What was joined to documents of more than one post, and what of links was odd.

    Attributes:
        documents: of more than one post.
        posts: in them.
        by_links, by_quotes, by_id: their posts beyond the first, by what joined them to the document.
        replies: kept posts that answer a post.
        orphans: of them, those whose post was not read.
        subtrees_alone: of them, those whose post was read and not kept; each begins a document of its own.
        replaced: of them, those whose post was a duplicate, and that stand behind the one that was kept.
        cycles: of posts that answer or quote each other, cut at the earliest.
        late_parents: answers that are older than a post before them.
        depths: answers by how many posts stand before them in their chain, in ranges such as `5-8`.
    """

    documents: int = 0
    posts: int = 0
    by_links: int = 0
    by_quotes: int = 0
    by_id: int = 0
    replies: int = 0
    orphans: int = 0
    subtrees_alone: int = 0
    replaced: int = 0
    cycles: int = 0
    late_parents: int = 0
    depths: Table = {}


class HistoryRead(Section):
    """What a run read of a history."""

    segments: int = 0
    posts: int = 0


class HistoryAdded(Section):
    """What a run added to a history."""

    posts: int = 0
    bytes: int = 0


class HistoryReport(Section):
    """What the run read from the history, dropped because of it, and added to it."""

    day: str = ""
    days: int = 0
    read: HistoryRead = msgspec.field(default_factory=HistoryRead)
    duplicates: Table = {}
    added: HistoryAdded = msgspec.field(default_factory=HistoryAdded)
    bytes_per_post: float = 0.0


class PlatformReport(Section):
    """Posts of a platform's payloads, read and kept, and the tokens of their texts, repeats counted."""

    read: int = 0
    kept: int = 0
    tokens: int = 0


class AuthorSpread(Section):
    """How posts spread over their authors, by a sample of authors that a hash draws.

    Attributes:
        authors: about; exactly, where all of them are in the sample.
        sampled: authors in the sample.
        without: posts that name no author.
        posts_per_author: mean, of the sample.
        one_post_ratio: authors of the sample with one post.
        top_tenth_ratio: of the sample's posts, those of the tenth of its authors with the most.
    """

    authors: int = 0
    sampled: int = 0
    without: int = 0
    posts_per_author: float = 0.0
    one_post_ratio: float = 0.0
    top_tenth_ratio: float = 0.0


class AuthorReport(Section):
    """How the posts that were read, and kept, spread over authors; null where none is named."""

    read: AuthorSpread | None = None
    kept: AuthorSpread | None = None


class DedupReport(Section):
    """What counted as a duplicate, which copy was kept, and what was compared to find out."""

    rule: str = ""
    stays: str = ""
    bands: int = 0
    rows: int = 0
    candidates: int = 0
    component_sizes: Table = {}
    history: HistoryReport | None = None


class ExcludeReport(Section):
    """What notices did.

    Attributes:
        notices: those of this run that act: posts and authors that are gone, or back.
        met: of them, those that a post which clean kept answers to.
        earlier: those of `input.deletions`.
        written: rows of OUTPUT/deletions, for later days.
        without_author_or_time: posts that the cap for authors does not concern; None without one.
    """

    notices: int = 0
    met: int = 0
    earlier: int = 0
    written: int = 0
    without_author_or_time: int | None = None


class ExportMade(Section):
    """An export of the output: the folder as it was given, its format, and when it was begun."""

    folder: str = ""
    format: str = ""
    at: str = ""


class ForgetReport(Section):
    """What `sluice forget` took out of the output since the run.

    Attributes:
        times: forgets that ended.
        posts: that were kept, and are now among the rejected ones.
        rejected: posts that were in no sequence; their ids in the rejects became keyed hashes.
        tokens: that were overwritten, copies of a post counted.
        copies: duplicates, as they were rejected by the run, of posts that are forgotten: they stay out.
        by_request: posts by what was asked for: `ids` or `authors`.
        last_at: when the last forget began, in UTC.
        exports: made before the last forget: they hold what was taken out of the output since.
    """

    times: int = 0
    posts: int = 0
    rejected: int = 0
    tokens: int = 0
    copies: int = 0
    by_request: Table = {}
    last_at: str = ""
    exports: list[ExportMade] = []


class SetReport(SetCounts):
    """An evaluation set: what of it is looked for, and posts that hold an item of it."""

    posts: int = 0


class DecontaminationReport(Section):
    """What posts held of evaluation sets.

    Attributes:
        posts: that hold an item; each is counted for one set.
        sampled_posts: those that common phrases were learned from.
        common_ngrams: n-grams that are common phrases there, and stand for no item.
        common_parts: short questions that are, and are not looked for.
        sets: by name.
    """

    posts: int = 0
    sampled_posts: int = 0
    common_ngrams: int = 0
    common_parts: int = 0
    sets: dict[str, SetReport] = {}


class PrivacyReport(Section):
    """Personal data that was masked in the posts that clean kept, before later phases dropped any.

    Attributes:
        posts: those in which something was masked.
        values: all of them.
        by_kind: kind -> values; of all kinds that were looked for.
        by_lang: predicted language -> kind -> values.
    """

    posts: int = 0
    values: int = 0
    by_kind: Table = {}
    by_lang: dict[str, Table] = {}


class PhaseCost(Section):
    """What a phase cost and how many posts it read; `units_reused` is -1 where all were."""

    name: str = ""
    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_rss_bytes: int | None = None
    posts: int | None = None
    units_reused: int | None = None


class RunCost(Section):
    """CPU seconds that the operating system counted for the run, and the phases' seconds together.

    Attributes:
        engine: what did the work, "inline" or Beam with its runner.
        processes: that shared it on this machine; null where the engine decided.
    """

    cpu_seconds_counted: float = 0.0
    seconds: float = 0.0
    engine: str = ""
    processes: int | None = None


class ModelFile(Section):
    """A model that the run used; `name` is the filter or transformer that did."""

    name: str = ""
    model: str = ""
    sha256: str = ""
    licence: str | None = None


class Versions(Section):
    """Versions of what a run stands on."""

    beam: str = ""
    python: str = ""


class Report(Section):
    """report.json. `report_version` is raised where a key changes its meaning or goes.

    Attributes:
        input: None in a report of a version before 0.3.
    """

    report_version: int = REPORT_VERSION
    sluice: str = ""
    recipe: RecipeName = msgspec.field(default_factory=RecipeName)
    input: InputReport | None = None
    posts: PostReport = msgspec.field(default_factory=PostReport)
    sources: SourcesReport | None = None
    platforms: dict[str, PlatformReport] = {}
    authors: AuthorReport | None = None
    lists: list[ListReport] = []
    privacy: PrivacyReport | None = None
    filters: list[FilterReport] = []
    transformers: list[TransformerReport] = []
    fairness: list[Fairness] = []
    documents: int = 0
    conversations: ConversationReport | None = None
    tokens: TokenReport = msgspec.field(default_factory=TokenReport)
    encoded_by: Table = {}
    ledger: LedgerReport = msgspec.field(default_factory=LedgerReport)
    token_ledger: TokenLedger = msgspec.field(default_factory=TokenLedger)
    vocabulary: VocabularyReport = msgspec.field(default_factory=VocabularyReport)
    sequences: SequenceReport = msgspec.field(default_factory=SequenceReport)
    shards: ShardReport = msgspec.field(default_factory=ShardReport)
    training: TrainingReport = msgspec.field(default_factory=TrainingReport)
    mixture: MixtureReport | None = None
    exclude: ExcludeReport | None = None
    forget: ForgetReport | None = None
    decontamination: DecontaminationReport | None = None
    dedup: DedupReport = msgspec.field(default_factory=DedupReport)
    duplicate_clusters: Table = {}
    duplicate_checks_left_out: int = 0
    phases: list[PhaseCost] = []
    run: RunCost = msgspec.field(default_factory=RunCost)
    models: list[ModelFile] = []
    versions: Versions = msgspec.field(default_factory=Versions)
    warnings: list[str] = []
