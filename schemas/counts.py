"""What the stages of a run count, as values that add, subtract and balance.

A unit writes the counts of its stage into its manifest; their sum, in any order, is the count of the phase,
and `PhaseCounts` holds those of a whole run. Keys of `by_*` tables are strings, UNKNOWN where a post says
nothing. A count that only some recipes have is None in the others.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final, Self, TypeVar, get_type_hints

import msgspec

from sluice.schemas.plurals import counted

Table = dict[str, int]
"""A count by a name that data or recipes give: a reason, a language, a day."""
UNKNOWN: Final = "unknown"
A = TypeVar("A")


class Counts(msgspec.Struct):
    """The base of all counts. Fields are integers, tables, other counts, tables of counts, or None.

    >>> PostTally(posts=2) - PostTally(posts=1)
    PostTally(posts=1, text_bytes=0, by_lang={}, by_day={}, by_source={})
    """

    def __iadd__(self, more: "Counts") -> Self:
        """Adds the fields of `more`, which may be those of a base class; `more` is not shared or changed."""
        for name in more.__struct_fields__:
            setattr(self, name, _sum(getattr(self, name), getattr(more, name)))
        return self

    def __sub__(self, less: "Counts") -> Self:
        """Returns the counts less those fields that `less` has; a table keeps its keys."""
        left = {name: getattr(self, name) for name in self.__struct_fields__}
        left |= {n: _difference(left[n], getattr(less, n)) for n in less.__struct_fields__}
        return type(self)(**left)

    def metrics(self) -> Iterator[tuple[str, int]]:
        """Yields the counts that an engine shows, by name."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, int):
                yield name, value


def _sum(value: Any, more: Any) -> Any:
    """Returns the sum; tables and counts on the left are changed, those on the right are copied."""
    if more is None:
        return value
    if isinstance(more, dict):
        table = {} if value is None else value
        for key, part in more.items():
            table[key] = _sum(table.get(key), part)
        return table
    if isinstance(more, Counts):
        total: Counts = type(more)() if value is None else value
        total += more
        return total
    return (value or 0) + more


def _difference(value: Any, less: Any) -> Any:
    if isinstance(value, dict):
        return {k: _difference(v, less[k]) if k in less else v for k, v in value.items()}
    return value if less is None else value - less


def amounts(table: Mapping[str, A], amount: Callable[[A], int]) -> Table:
    """Returns one amount of each group, keys sorted, zeros left out.

    >>> amounts({"en": PostAmounts(2, 9), "de": PostAmounts()}, lambda group: group.text_bytes)
    {'en': 9}
    """
    return {key: n for key in sorted(table) if (n := amount(table[key]))}


class PostAmounts(Counts):
    """Posts, and the UTF-8 bytes of their texts."""

    posts: int = 0
    text_bytes: int = 0


class PostTally(PostAmounts):
    """Posts by predicted language, UTC day and source."""

    group: ClassVar[type[PostAmounts]] = PostAmounts
    by_lang: dict[str, PostAmounts] = {}
    by_day: dict[str, PostAmounts] = {}
    by_source: dict[str, PostAmounts] = {}


class ScreenedTally(PostTally):
    """Posts, and by screen how many have a score in each hundredth."""

    screens: dict[str, Table] = {}


class HoldoutAmounts(PostAmounts):
    """Posts that the vocabulary was not trained on; `words` are what white space parts."""

    tokens: int = 0
    words: int = 0


class HoldoutTally(HoldoutAmounts):
    """The holdout by language, day and source."""

    group: ClassVar[type[PostAmounts]] = HoldoutAmounts
    by_lang: dict[str, HoldoutAmounts] = {}
    by_day: dict[str, HoldoutAmounts] = {}
    by_source: dict[str, HoldoutAmounts] = {}


class TokenAmounts(PostAmounts):
    """Posts in sequences, repeats counted, and the tokens of their texts; `distinct_*` count no repeat."""

    tokens: int = 0
    distinct_posts: int = 0
    distinct_tokens: int = 0


class TokenTally(TokenAmounts):
    """Posts in sequences by language, day and source."""

    group: ClassVar[type[PostAmounts]] = TokenAmounts
    by_lang: dict[str, TokenAmounts] = {}
    by_day: dict[str, TokenAmounts] = {}
    by_source: dict[str, TokenAmounts] = {}


class FilterCounts(Counts):
    """Posts that a filter was asked about, and those that it let pass."""

    posts_in: int = 0
    posts_out: int = 0


class ListCounts(Counts):
    """Posts that a list looked at, those of them that it named, and those that it rejected."""

    asked: int = 0
    named: int = 0
    rejected: int = 0


class SetCounts(Counts):
    """What became of an evaluation set: its items, and their texts, which are questions and answers.

    Attributes:
        items: of the set.
        parts: texts that are looked for.
        ngrams: by which they are found.
        too_short: texts that are too short to tell.
        common: texts that are a common phrase, or made of nothing else.
        repeated: texts that an earlier item has, too.
    """

    items: int = 0
    parts: int = 0
    ngrams: int = 0
    too_short: int = 0
    common: int = 0
    repeated: int = 0


class SurroundingCounts(Counts):
    """Stage phrases_count: posts in which common phrases are looked for, and pairs that were found."""

    posts: int = 0
    pairs: int = 0


class CommonCounts(Counts):
    """Stage phrases_learn: n-grams and short items that are common, and what is left of each set."""

    ngrams: int = 0
    parts: int = 0
    sets: dict[str, SetCounts] = {}


class ScreenCounts(Counts):
    """Posts of a language that reached a screen; `bins`: hundredth of the score -> posts."""

    posts: int = 0
    rejected: int = 0
    bins: Table = {}


class ReadTally(Counts):
    """What readers found: every record gives posts, or is a notice, or is a dead letter.

    Attributes:
        records: things of the input: JSON values, elements of an array, rows.
        records_with_posts: those that gave posts.
        notices: those that are known to hold no post, by kind: a delete, a limit.
        dead_letters: those that could not be read.
        posts: in `records_with_posts`.
        nulled: values that could not be read and are null, by POST column.
        replaced: characters that are no Unicode text and became U+FFFD, by POST column.
        left_out: members of archives that are no data, and no records, by why they are none.
    """

    records: int = 0
    records_with_posts: int = 0
    notices: Table = {}
    dead_letters: int = 0
    posts: int = 0
    nulled: Table = {}
    replaced: Table = {}
    left_out: Table = {}

    @property
    def equation(self) -> str:
        """The records' equation in figures, as the report and the terminal print it."""
        return (
            f"{counted(self.records, 'record')} = {self.records_with_posts:,} with posts + "
            f"{counted(sum(self.notices.values()), 'notice')} + {counted(self.dead_letters, 'dead letter')}"
        )


class AuthorSample(Counts):
    """A sample of authors, each with all of their posts: those whose ids have the smallest hashes.

    The sum of samples is the sample of all posts: an author who is among the smallest of all is among the
    smallest of each part.

    Attributes:
        posts: of the authors of the sample, by the hash of their id in hex.
        without: posts that name no author.

    Source: Bar-Yossef et al. 2002, "Counting Distinct Elements in a Data Stream", algorithm 2.
    """

    SIZE: ClassVar[int] = 256
    posts: Table = {}
    without: int = 0

    def __iadd__(self, more: Counts) -> Self:
        super().__iadd__(more)
        if len(self.posts) > self.SIZE:
            self.posts = {key: self.posts[key] for key in sorted(self.posts)[: self.SIZE]}
        return self


class ReadCounts(Counts):
    """A stage that reads posts of the input; `input` is None in units of a version before 0.3."""

    read: int = 0
    input: ReadTally | None = None


class MaskedCounts(Counts):
    """Kept posts in which something was masked, and the values by kind, and by language and kind."""

    posts: int = 0
    by_kind: Table = {}
    by_lang: dict[str, Table] = {}


class CleanCounts(ReadCounts):
    """Stage clean. `policy` and `malformed` are by reason, `errors` by stage.

    Attributes:
        acting: notices that act, by what they do; None where no payload is read.
        versions: posts that are later versions of others; None where no payload is read.
        authors: of the posts that were read.
        lists: what each list looked at, named and rejected; None where the recipe has none.
        contaminated: posts that hold an item, by evaluation set; None where the recipe has none.
        masked: in kept posts; None where nothing is masked.
    """

    kept: ScreenedTally = msgspec.field(default_factory=ScreenedTally)
    policy: Table = {}
    malformed: Table = {}
    errors: Table = {}
    filters: dict[str, FilterCounts] = {}
    screens: dict[str, dict[str, ScreenCounts]] = {}
    acting: Table | None = None
    versions: int | None = None
    authors: AuthorSample | None = None
    lists: dict[str, ListCounts] | None = None
    contaminated: Table | None = None
    masked: MaskedCounts | None = None

    def metrics(self) -> Iterator[tuple[str, int]]:
        """Yields the posts read, those that each list looked at, named and rejected, and those of filters."""
        yield from super().metrics()
        for name, of_list in (self.lists or {}).items():
            yield from ((f"lists/{name}/{key}", value) for key, value in of_list.metrics())
        for name, counts in self.filters.items():
            yield from ((f"{name}/{key}", value) for key, value in counts.metrics())


class SendCounts(Counts):
    """Stage exclude_send; `without_author_or_time` are posts that no cap of authors concerns."""

    without_author_or_time: int = 0


class MatchCounts(Counts):
    """Stage exclude_match: notices of the run, those that a post answers to, and notices of earlier days."""

    notices: int = 0
    met: int = 0
    earlier: int = 0


class CapCounts(Counts):
    """Stage exclude_cap: posts that the cap of authors concerns."""

    posts: int = 0


class DeletionCounts(Counts):
    """Stage exclude_deletions: rows that were written for later days."""

    rows: int = 0


class ExcludedCounts(Counts):
    """Stage exclude_drop: posts that are out, by reason, and what is lost."""

    policy: Table = {}
    lost: ScreenedTally = msgspec.field(default_factory=ScreenedTally)


class BucketCounts(Counts):
    """Stage dedup_buckets: keys, and edges between posts that share one."""

    keys: int = 0
    edges: int = 0
    history_edges: int | None = None


class JoinCounts(Counts):
    """Stage dedup_join: posts that share a key with another, and entries of the history that do."""

    candidates: int = 0
    history_candidates: int = 0


class CandidateCounts(Counts):
    """Stage dedup_ship: posts whose texts were sent."""

    candidates: int = 0


class ResolveCounts(Counts):
    """Stage dedup_settle: how components were resolved; sizes are ranges such as `5-8`.

    Attributes:
        id_conflicts: posts with the id of another post and an unlike text: kept ones, or dropped ones where
            the recipe keeps one post of each id.
        shared_ids: kept posts beyond the first of their id in this run.
    """

    unverified: int = 0
    slices: int = 0
    cluster_sizes: Table = {}
    component_sizes: Table = {}
    id_conflicts: int = 0
    shared_ids: int = 0


class DropCounts(Counts):
    """Stage dedup_drop: duplicates by reason, those of them of posts of the history, and what is lost."""

    duplicates: Table = {}
    earlier: Table = {}
    lost: ScreenedTally = msgspec.field(default_factory=ScreenedTally)


class DecisionCounts(Counts):
    """What a transformer says of sampled posts."""

    kept: int = 0
    rejected: int = 0


class AgreementCounts(Counts):
    """What a transformer says of the sample, by where the screen's score is: below the band, in it, above."""

    low: DecisionCounts = msgspec.field(default_factory=DecisionCounts)
    band: DecisionCounts = msgspec.field(default_factory=DecisionCounts)
    high: DecisionCounts = msgspec.field(default_factory=DecisionCounts)


class ClassifyCounts(Counts):
    """A stage of classify, one for each transformer: `band` are the posts that it decides on."""

    posts: int = 0
    band: int = 0
    sample: int = 0
    scored: int = 0
    tokens: int = 0
    truncated: int = 0
    policy: Table = {}
    errors: Table = {}
    lost: PostTally = msgspec.field(default_factory=PostTally)
    screens: dict[str, dict[str, ScreenCounts]] = {}
    agreement: AgreementCounts = msgspec.field(default_factory=AgreementCounts)


class ReplyCounts(Counts):
    """Stage conversations_match: survivors that answer a post, and those whose post was not read."""

    replies: int = 0
    orphans: int = 0


class LinkedCounts(Counts):
    """Stage conversations_resolve: posts that links of the run join.

    Attributes:
        linked: posts that have a link or are what one leads to.
        answers: those that stand behind the post that they answer.
        replaced: answers to a duplicate, which stand behind its leader.
        quoted: posts that began a tree and stand with a post that quotes them.
        cycles: of posts that answer or quote each other, cut at the earliest.
        late_parents: answers that are older than a post before them, and stand behind it all the same.
        subtrees_alone: posts that answer one that did not survive, and begin a document of their own.
        depths: `answers` by how many posts stand before them in their chain, in ranges such as `5-8`.
    """

    linked: int = 0
    answers: int = 0
    replaced: int = 0
    quoted: int = 0
    cycles: int = 0
    late_parents: int = 0
    subtrees_alone: int = 0
    depths: Table = {}


class SampleCounts(Counts):
    """Stage vocabulary_sample: the posts whose words are counted."""

    sample: PostTally = msgspec.field(default_factory=PostTally)


class NoCounts(Counts):
    """A stage that counts nothing."""


class EntryCounts(Counts):
    """Entries of a vocabulary by kind."""

    merges: int = 0
    special: int = 0
    links: int = 0
    bytes: int = 0
    reserved: int = 0

    @property
    def size(self) -> int:
        """All entries."""
        return self.merges + self.special + self.links + self.bytes + self.reserved


class TrainingWords(Counts):
    """Words that a vocabulary was trained on, and those that were too many."""

    distinct: int = 0
    occurrences: int = 0
    left_out: int = 0
    left_out_occurrences: int = 0


class TrainCounts(Counts):
    """Stages vocabulary_train and vocabulary_frozen; `weights`: language -> parts of WEIGHT_OF_ONE."""

    vocabulary: EntryCounts = msgspec.field(default_factory=EntryCounts)
    words: TrainingWords | None = None
    weights: Table = {}


class MixedQuality(Counts):
    """Posts of a step of quality in a mixture.

    Attributes:
        posts: of the survivors.
        left_out: of them, those that are in no sequence.
        documents: posts in sequences, repeats counted.
    """

    posts: int = 0
    left_out: int = 0
    documents: int = 0


class EncodeCounts(Counts):
    """Stage tokens_encode.

    Attributes:
        documents: posts in sequences.
        engines: posts by the library that encoded them.
        held_back: the holdout; None where the recipe has none.
        left_out: posts that the mixture leaves out; None without a mixture.
        id_sum: of all posts in sequences, see `mixture.sum_of_ids`; None without a mixture.
        qualities: by the least score of a mixture's step; none without such steps.
        authors: of the posts in sequences, no repeats counted.
    """

    documents: TokenTally = msgspec.field(default_factory=TokenTally)
    engines: Table = {}
    held_back: HoldoutTally | None = None
    left_out: PostTally | None = None
    id_sum: int | None = None
    qualities: dict[str, MixedQuality] = {}
    authors: AuthorSample | None = None


class JoinedCounts(Counts):
    """Documents of more than one post, and why their posts stand together.

    Attributes:
        documents: that have more than one post.
        posts: in them.
        by_links: posts that joined a document because they answer one that is in it.
        by_quotes: because one that is in it quotes them.
        by_id: because they have its conversation's id, or one that they answer has it.
    """

    documents: int = 0
    posts: int = 0
    by_links: int = 0
    by_quotes: int = 0
    by_id: int = 0


class PackCounts(Counts):
    """Stage tokens_pack; `tokens` are those of texts and the special tokens around them.

    `joined` is None where posts are documents.
    """

    sequences: int = 0
    documents: int = 0
    begin_of_document: int = 0
    turns: int = 0
    end_of_document: int = 0
    tokens: int = 0
    truncated: int = 0
    padding: int = 0
    joined: JoinedCounts | None = None


class EntryUse(Counts):
    """Entries of the vocabulary that occur, and those of them that occur less than 10 times."""

    used: int = 0
    used_seldom: int = 0


class DealCounts(Counts):
    """Stage tokens_deal: how many shards there are, and of how many sequences."""

    token_use: EntryUse = msgspec.field(default_factory=EntryUse)
    shards: int = 0
    sequences_per_shard: int = 0
    leftover: int = 0
    steps: int = 0


class SequenceCounts(Counts):
    """What is in the sequences of a shard; `tokens` without padding."""

    sequences: int = 0
    tokens: int = 0
    padding: int = 0
    pieces: int = 0


class ShardCounts(Counts):
    """Stage tokens_shard."""

    in_shards: SequenceCounts = msgspec.field(default_factory=SequenceCounts)
    leftover: SequenceCounts = msgspec.field(default_factory=SequenceCounts)


class RecordCounts(Counts):
    """Stage history_record."""

    posts: int = 0
    keys: int = 0


class IndexCounts(Counts):
    """Stage history_index."""

    keys: int = 0


class PublishCounts(Counts):
    """Stage history_publish: what the history holds of the run."""

    posts: int = 0
    keys: int = 0
    bytes: int = 0


class ScoreCounts(ReadCounts):
    """The stage of `sluice score`."""

    scored: int = 0


class PhrasesPhase(msgspec.Struct):
    """Counts of phase phrases, by stage."""

    count: SurroundingCounts = msgspec.field(
        default_factory=SurroundingCounts, name="phrases_count"
    )
    learn: CommonCounts = msgspec.field(default_factory=CommonCounts, name="phrases_learn")


class CleanPhase(msgspec.Struct):
    """Counts of phase clean, by stage."""

    clean: CleanCounts = msgspec.field(default_factory=CleanCounts)


class ExcludePhase(msgspec.Struct, omit_defaults=True):
    """Counts of phase exclude, by stage."""

    send: SendCounts = msgspec.field(default_factory=SendCounts, name="exclude_send")
    match: MatchCounts = msgspec.field(default_factory=MatchCounts, name="exclude_match")
    cap: CapCounts | None = msgspec.field(default=None, name="exclude_cap")
    deletions: DeletionCounts = msgspec.field(
        default_factory=DeletionCounts, name="exclude_deletions"
    )
    drop: ExcludedCounts = msgspec.field(default_factory=ExcludedCounts, name="exclude_drop")


class DedupPhase(msgspec.Struct):
    """Counts of phase dedup, by stage."""

    buckets: BucketCounts = msgspec.field(default_factory=BucketCounts, name="dedup_buckets")
    join: JoinCounts = msgspec.field(default_factory=JoinCounts, name="dedup_join")
    candidates: CandidateCounts = msgspec.field(default_factory=CandidateCounts, name="dedup_ship")
    resolve: ResolveCounts = msgspec.field(default_factory=ResolveCounts, name="dedup_settle")
    drop: DropCounts = msgspec.field(default_factory=DropCounts, name="dedup_drop")


class VocabularyPhase(msgspec.Struct, omit_defaults=True):
    """Counts of phase vocabulary, by stage: those that train, or the one that takes a frozen tokenizer."""

    sample: SampleCounts | None = msgspec.field(default=None, name="vocabulary_sample")
    words: NoCounts | None = msgspec.field(default=None, name="vocabulary_words")
    train: TrainCounts | None = msgspec.field(default=None, name="vocabulary_train")
    frozen: TrainCounts | None = msgspec.field(default=None, name="vocabulary_frozen")

    @property
    def made(self) -> TrainCounts:
        """The counts of the stage that made the tokenizer's files."""
        return self.train or self.frozen or TrainCounts()


class ConversationsPhase(msgspec.Struct):
    """Counts of phase conversations, by stage."""

    links: NoCounts = msgspec.field(default_factory=NoCounts, name="conversations_links")
    match: ReplyCounts = msgspec.field(default_factory=ReplyCounts, name="conversations_match")
    resolve: LinkedCounts = msgspec.field(
        default_factory=LinkedCounts, name="conversations_resolve"
    )
    names: NoCounts = msgspec.field(default_factory=NoCounts, name="conversations_names")
    places: NoCounts = msgspec.field(default_factory=NoCounts, name="conversations_places")


class TokensPhase(msgspec.Struct):
    """Counts of phase tokens, by stage."""

    encode: EncodeCounts = msgspec.field(default_factory=EncodeCounts, name="tokens_encode")
    pack: PackCounts = msgspec.field(default_factory=PackCounts, name="tokens_pack")
    deal: DealCounts = msgspec.field(default_factory=DealCounts, name="tokens_deal")
    shard: ShardCounts = msgspec.field(default_factory=ShardCounts, name="tokens_shard")


class HistoryPhase(msgspec.Struct):
    """Counts of phase history, by stage."""

    record: RecordCounts = msgspec.field(default_factory=RecordCounts, name="history_record")
    index: IndexCounts = msgspec.field(default_factory=IndexCounts, name="history_index")
    publish: PublishCounts = msgspec.field(default_factory=PublishCounts, name="history_publish")


class ScorePhase(msgspec.Struct):
    """Counts of the one phase of `sluice score`."""

    score: ScoreCounts = msgspec.field(default_factory=ScoreCounts)


class PhaseCounts(msgspec.Struct, omit_defaults=True):
    """The counts of a run, by phase and stage; zero for a phase that is not finished."""

    clean: CleanPhase = msgspec.field(default_factory=CleanPhase)
    phrases: PhrasesPhase | None = None
    exclude: ExcludePhase | None = None
    dedup: DedupPhase = msgspec.field(default_factory=DedupPhase)
    classify: dict[str, ClassifyCounts] = {}
    vocabulary: VocabularyPhase = msgspec.field(default_factory=VocabularyPhase)
    tokens: TokensPhase = msgspec.field(default_factory=TokensPhase)
    conversations: ConversationsPhase | None = None
    history: HistoryPhase | None = None

    @property
    def included(self) -> ScreenedTally:
        """What clean kept less what exclude dropped."""
        kept = self.clean.clean.kept
        return kept if self.exclude is None else kept - self.exclude.drop.lost

    @property
    def deduplicated(self) -> ScreenedTally:
        """What exclude left less what dedup dropped."""
        return self.included - self.dedup.drop.lost

    @property
    def survivors(self) -> ScreenedTally:
        """What clean kept less what exclude, dedup and classify dropped."""
        left = self.deduplicated
        for stage in self.classify.values():
            left = left - stage.lost
        return left


COUNTS_OF_PHASE: Final[dict[str, Any]] = {
    **get_type_hints(PhaseCounts),
    "phrases": PhrasesPhase,
    "exclude": ExcludePhase,
    "conversations": ConversationsPhase,
    "history": HistoryPhase,
    "score": ScorePhase,
}
"""Phase -> the type of its counts."""
