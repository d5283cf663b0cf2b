"""Posts become documents, and documents sequences: nothing is lost, whatever the recipe says."""

import itertools
import random
import tempfile
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sluice.pipeline.phases.conversations.names import document_hashes
from sluice.pipeline.phases.conversations.trees import NO_TIME
from sluice.pipeline.phases.tokens.encode import CONVERSATION_TOKENS, POST_TOKENS
from sluice.pipeline.phases.tokens.pack import Pack
from sluice.pipeline.recipes.loader import decode
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Done
from sluice.schemas.arrays import Array
from sluice.schemas.counts import NoCounts, PackCounts
from sluice.schemas.errors import RecipeError
from sluice.tokenizer.encode import Encoded
from sluice.tokenizer.packing.documents import DocumentTokens, document_tokens, join
from sluice.tokenizer.vocabulary.load import VocabularyIds

PAD, BOD, TURN, EOD = 0, 1, 2, 3
VOCABULARY = VocabularyIds(1 << 17, PAD, EOD, BOD, TURN)
FIRST_TEXT_TOKEN = 10


class Post(NamedTuple):
    """What packing knows of a post; `number` makes its id and its tokens its own."""

    number: int
    length: int
    conversation: str | None = None
    minute: int | None = None
    order: int = 0

    @property
    def post_id(self) -> str:
        return f"post-{self.number:03d}"

    @property
    def tokens(self) -> list[int]:
        return [FIRST_TEXT_TOKEN + 100 * self.number + k for k in range(self.length)]

    @property
    def at(self) -> tuple[bool, int, str]:
        """Where it stands in its conversation: by time, those without one last, then by id."""
        return self.minute is None, self.minute or 0, self.post_id


@st.composite
def posts_of_partitions(draw: st.DrawFn) -> list[Post]:
    """Posts of a few conversations and of none, in any order; some conversations have equal hashes."""
    names = st.one_of(st.none(), st.sampled_from(["a", "b", "c", "post-001"]))
    hashes = {name: draw(st.integers(0, 2)) for name in ["a", "b", "c", "post-001"]}
    found = []
    for number in range(draw(st.integers(1, 25))):
        name = draw(names)
        order = draw(st.integers(0, 2)) if name is None else hashes[name]
        minute = draw(st.one_of(st.none(), st.integers(0, 3)))
        found.append(Post(number, draw(st.integers(1, 20)), name, minute, order))
    return draw(st.permutations(found))


DOCUMENTS = st.sampled_from(["posts", "conversations"])
SPECIAL = st.builds(
    lambda begin, end: DocumentTokens(BOD if begin else None, TURN, EOD if end else None),
    st.booleans(),
    st.booleans(),
)
PACKING = st.sampled_from(["best_fit", "concatenate"])


class Expected(NamedTuple):
    """Where a post is to be: in which document, as which of its posts, with which tokens."""

    document: int
    place: int
    tokens: list[int]


def expected(posts: list[Post], documents: str, special: DocumentTokens) -> dict[str, Expected]:
    """Returns what is to become of each post, by its id: the rule as it is told."""
    groups: dict[Any, list[Post]] = {}
    for post in posts:
        joined = documents == "conversations" and post.conversation is not None
        groups.setdefault(post.conversation if joined else post.number, []).append(post)
    found = {}
    for document, group in enumerate(groups.values()):
        in_order = sorted(group, key=lambda p: p.at)
        for place, post in enumerate(in_order):
            before = special.begin if place == 0 else None
            behind = special.end if post is in_order[-1] else special.turn
            tokens = [t for t in (before, *post.tokens, behind) if t is not None]
            found[post.post_id] = Expected(document, place, tokens)
    return found


def document_rows(posts: list[Post], documents: str) -> pa.RecordBatch:
    """Returns rows of the `documents` edge."""
    names = [p.conversation or f"alone {p.number}" for p in posts]
    times = [NO_TIME if p.minute is None else p.minute for p in posts]
    columns = {
        "order": [p.order for p in posts],
        "post_id": [p.post_id for p in posts],
        "copies": [1] * len(posts),
        "tokens": [p.tokens for p in posts],
        "name": document_hashes(pa.array(names), seed=0).name_N,
        "time": times,
        "depth": [0] * len(posts),
        "quoted": [False] * len(posts),
    }
    schema = POST_TOKENS if documents == "posts" else CONVERSATION_TOKENS
    return pa.RecordBatch.from_arrays(
        [pa.array(columns[f.name], f.type) for f in schema], schema=schema
    )


class PackedUnit(NamedTuple):
    """What packing wrote."""

    counts: PackCounts
    tokens_SL: Array
    pieces: pa.Table


def packed(folder: str, batches: list[list[Post]], stage: Pack) -> PackedUnit:
    """Runs the stage on one partition whose posts come in these batches, a unit each."""
    ranges = []
    for number, batch in enumerate(batches):
        attempt = Attempt(folder, f"unit-{number:05d}")
        path = attempt.path("documents")
        rows = document_rows(batch, stage.documents)
        with exchange.Writer(path, schema=rows.schema, num_partitions=1) as writer:
            writer.write(rows, np.zeros(len(batch), np.int64))
        attempt.add("documents", path, ranges=writer.ranges)
        attempt.commit(NoCounts())
        done = Done(folder, attempt.unit)
        ranges += [source for _, source in exchange.sources(done, "documents")]
    unit = exchange.reduce_unit(0, ranges, name="partition")
    attempt = Attempt(stage.folder, unit.name)
    counts = stage.do(unit, attempt)
    attempt.commit(counts)
    done = Done(stage.folder, unit.name)
    flat = np.fromfile(done.path("sequences"), np.int32)
    with pa.memory_map(done.path("pieces")) as file:
        pieces = pa.ipc.open_file(file).read_all()
    return PackedUnit(counts, flat.reshape(-1, stage.sequence_length), pieces)


def stage_of(
    folder: str, *, documents: str, packing: str, special: DocumentTokens, length: int = 16
) -> Pack:
    return Pack(f"{folder}/pack", length, documents, packing, "split", special, VOCABULARY)


def check(unit: PackedUnit, posts: dict[str, Expected]) -> None:
    """Reads every post back through its pieces, and what stands between two ends of documents."""
    read: dict[str, list[int]] = {}
    rows = unit.pieces.to_pylist()
    for row in sorted(rows, key=lambda r: (r["post_id"], r["piece"])):
        tokens_L = unit.tokens_SL[row["sequence"]]
        tokens = tokens_L[row["offset"] : row["offset"] + row["length"]].tolist()
        read.setdefault(row["post_id"], []).extend(tokens)
    assert read == {post_id: post.tokens for post_id, post in posts.items()}
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        if following is None or following["sequence"] != row["sequence"]:
            assert row["ends"]
            continue
        assert following["offset"] == row["offset"] + row["length"]
        before, after = posts[row["post_id"]], posts[following["post_id"]]
        goes_on = after[:2] == (before.document, before.place + 1) and following["piece"] == 0
        assert row["ends"] != goes_on


@example(
    posts=[Post(0, 3, None, None, 1), Post(1, 3, "a", None, 1), Post(2, 3, "b", None, 1)],
    documents="conversations",
    packing="best_fit",
    special=DocumentTokens(None, TURN, EOD),
)  # equal hashes do not merge conversations
@settings(max_examples=80)
@given(
    posts=posts_of_partitions(),
    documents=DOCUMENTS,
    packing=PACKING,
    special=SPECIAL,
)
def test_documents_are_whole(
    posts: list[Post], documents: str, packing: str, special: DocumentTokens
) -> None:
    """Every document is there once, its posts in order, its special tokens around them, all counted."""
    wanted = expected(posts, documents, special)
    with tempfile.TemporaryDirectory() as folder:
        unit = packed(
            folder, [posts], stage_of(folder, documents=documents, packing=packing, special=special)
        )
    check(unit, wanted)
    flat = unit.tokens_SL.reshape(-1)
    assert unit.counts.documents == len({post.document for post in wanted.values()})
    assert unit.counts.begin_of_document == int((flat == BOD).sum())
    assert unit.counts.turns == int((flat == TURN).sum())
    assert unit.counts.end_of_document == int((flat == EOD).sum())
    assert unit.counts.padding == int((flat == PAD).sum())
    assert unit.counts.tokens == sum(len(post.tokens) for post in wanted.values())
    assert unit.counts.tokens + unit.counts.padding == len(flat)
    assert unit.counts.truncated == 0


@given(
    posts=posts_of_partitions(),
    documents=DOCUMENTS,
    packing=PACKING,
    special=SPECIAL,
    data=st.data(),
)
def test_units_do_not_show(
    posts: list[Post], documents: str, packing: str, special: DocumentTokens, data: st.DataObject
) -> None:
    """However the posts are cut into units, the sequences and the pieces are the same."""
    # Documents of one post with equal hashes keep the order of the input.
    own = [p._replace(order=p.number) if p.conversation is None else p for p in posts]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(own)), max_size=3)))
    bounds = [0, *cuts, len(own)]
    batches = [own[a:b] for a, b in itertools.pairwise(bounds) if b > a]
    if documents == "conversations":
        data.draw(st.randoms(use_true_random=False)).shuffle(batches)
    found = []
    for units in ([own], batches):
        with tempfile.TemporaryDirectory() as folder:
            stage = stage_of(folder, documents=documents, packing=packing, special=special)
            found.append(packed(folder, units, stage))
    assert found[0].counts == found[1].counts
    np.testing.assert_array_equal(found[0].tokens_SL, found[1].tokens_SL)
    assert found[0].pieces.equals(found[1].pieces)


def test_a_conversation_is_cut_between_posts() -> None:
    """A part takes posts as long as they fit; a post longer than a sequence is cut, its tail goes on."""
    lengths = [6, 8, 40, 3, 20]
    posts = [Post(k, n, "a", k) for k, n in enumerate(lengths)]
    with tempfile.TemporaryDirectory() as folder:
        special = DocumentTokens(None, TURN, EOD)
        unit = packed(
            folder,
            [posts],
            stage_of(folder, documents="conversations", packing="best_fit", special=special),
        )
    rows = sorted(unit.pieces.to_pylist(), key=lambda r: (r["post_id"], r["piece"]))
    found = [(r["post_id"], r["piece"], r["length"], r["ends"]) for r in rows]
    assert found == [
        ("post-000", 0, 7, False),
        ("post-001", 0, 9, True),
        ("post-002", 0, 16, True),
        ("post-002", 1, 16, True),
        ("post-002", 2, 9, False),
        ("post-003", 0, 4, True),
        ("post-004", 0, 16, True),
        ("post-004", 1, 5, True),
    ]


@given(
    lengths=st.lists(st.integers(0, 5), max_size=12),
    cuts=st.sets(st.integers(0, 12), max_size=3),
    flags=st.lists(st.booleans(), min_size=12, max_size=12),
    special=SPECIAL,
    seed=st.integers(0, 9),
)
def test_join_is_a_concatenation(
    lengths: list[int], cuts: set[int], flags: list[bool], special: DocumentTokens, seed: int
) -> None:
    """Posts stand in the order that was asked for, whatever batches they come in."""
    texts = [[100 * i + k for k in range(n)] for i, n in enumerate(lengths)]
    order = list(range(len(texts)))
    random.Random(seed).shuffle(order)
    begins = [True, *flags[1:]][: len(texts)]
    bounds = sorted({0, len(texts), *(c for c in cuts if c < len(texts))})
    batches = [
        Encoded(
            np.array([t for text in texts[a:b] for t in text], np.int32),
            np.cumsum([0, *map(len, texts[a:b])], dtype=np.int64),
        )
        for a, b in itertools.pairwise(bounds)
    ]
    joined = join(
        iter(batches),
        np.array(lengths, np.int64),
        np.array(order, np.int64),
        np.array(begins, np.bool_),
        special=special,
    )
    found = [
        joined.tokens_T[start : start + length].tolist()
        for start, length in zip(joined.starts_N, joined.lengths_N, strict=True)
    ]
    wanted = []
    for at, number in enumerate(order):
        last = at + 1 == len(order) or begins[at + 1]
        before = special.begin if begins[at] else None
        behind = special.end if last else special.turn
        wanted.append([t for t in (before, *texts[number], behind) if t is not None])
    assert found == wanted
    assert joined.tokens_T.tolist() == [t for tokens in wanted for t in tokens]
    flat = joined.tokens_T.tolist()
    assert joined.num_turns == begins.count(False)
    assert joined.num_begins == (begins.count(True) if special.begin is not None else 0)
    assert joined.num_ends == (begins.count(True) if special.end is not None else 0)
    assert len(flat) == sum(lengths) + joined.num_turns + joined.num_begins + joined.num_ends


OLD = VocabularyIds(size=100, pad_id=0, eod_id=1, bod_id=None, turn_id=None)


def test_a_tokenizer_must_have_the_tokens_that_are_asked_for() -> None:
    """The error names the key of the recipe and the token that is missing."""
    assert document_tokens(OLD, begin=False, end=True, conversations=False) == DocumentTokens(
        None, None, 1
    )
    assert document_tokens(OLD, begin=False, end=False, conversations=False) == DocumentTokens(
        None, None, None
    )
    with pytest.raises(RecipeError, match=r"tokens\.begin_of_document: .*<\|bod\|>"):
        document_tokens(OLD, begin=True, end=True, conversations=False)
    with pytest.raises(RecipeError, match=r"tokens\.documents: .*<\|turn\|>"):
        document_tokens(OLD, begin=False, end=True, conversations=True)


def test_conversations_are_not_truncated() -> None:
    """Whole posts would be lost without a row that says so."""
    tree = {"name": "x", "tokens": {"documents": "conversations", "long_documents": "truncate"}}
    with pytest.raises(RecipeError, match=r"\$\.tokens.*would lose whole posts"):
        decode(tree, where="x.toml")


def test_quotes_are_joined_in_conversations_alone() -> None:
    """Where each post is a document, no quote can be joined: the recipe is refused, and says why."""
    tree = {"name": "x", "tokens": {"quotes": "joined"}}
    with pytest.raises(RecipeError, match=r"\$\.tokens.*needs documents = \"conversations\""):
        decode(tree, where="x.toml")


# --- through the command line ----------------------------------------------------------------
