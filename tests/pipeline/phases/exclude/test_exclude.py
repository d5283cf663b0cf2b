"""What notices, later versions and a cap for authors take out, whatever the order in which they come."""

import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.filters.rules.no_consent import NoConsent
from sluice.pipeline.engine.inline import InlineEngine
from sluice.pipeline.engine.run import run_plan
from sluice.pipeline.engine.workers import Workers
from sluice.pipeline.phases import run_order
from sluice.pipeline.phases.exclude import phase as exclude
from sluice.pipeline.phases.job import make_job
from sluice.pipeline.phases.results import Results
from sluice.pipeline.recipes.schema import Recipe
from sluice.schemas.errors import SluiceError
from tests.pipeline.runs import reject_rows

Json = dict[str, Any]
MIDNIGHT = 1_700_006_400_000
HALF_A_DAY = 12 * 60 * 60 * 1000
POST = "app.bsky.feed.post"
AI = "community.lexicon.preference.ai"


class Event(NamedTuple):
    """Something that a stream says: `create` and `update` are posts; `created` counts halves of days."""

    kind: str
    author: str
    post: int = 0
    time: int = 0
    created: int = 0
    text: str = ""

    @property
    def uri(self) -> str:
        """The id of the post."""
        return f"at://{self.author}/{POST}/{self.post}"

    @property
    def version(self) -> tuple[int, int]:
        """What orders the versions of a post."""
        return (1, self.time) if self.kind == "update" else (0, 0)

    def record(self) -> Json:
        """Returns the event as Jetstream sends it."""
        event: Json = {"did": self.author, "time_us": 1_700_000_000_000_000 + self.time}
        if self.kind in ("gone", "back"):
            return {**event, "kind": "account", "account": {"active": self.kind == "back"}}
        if self.kind in ("refuse", "allow"):
            said = {"preferences": {"training": {"allow": self.kind == "allow"}}}
            declared = {"operation": "update", "collection": AI, "rkey": "self", "record": said}
            return {**event, "kind": "commit", "commit": declared}
        commit: Json = {"operation": self.kind, "collection": POST, "rkey": str(self.post)}
        if self.kind != "delete":
            created = MIDNIGHT + self.created * HALF_A_DAY
            commit["record"] = {"text": self.text, "createdAt": created}
        return {**event, "kind": "commit", "commit": commit}


def out_by_state(events: list[Event], no: str, yes: str) -> set[str]:
    """Returns the authors of whom the last event of two kinds is the one that takes out."""
    last: dict[str, tuple[int, bool]] = {}
    for e in events:
        if e.kind in (no, yes):
            last[e.author] = max(last.get(e.author, (-1, False)), (e.time, e.kind == no))
    return {author for author, (_, is_out) in last.items() if is_out}


def expected(
    events: list[Event], cap: int | None, *, heeds: bool
) -> tuple[dict[int, str], set[tuple[str, str]]]:
    """Returns (place of a post that clean keeps -> why it is out, what is written for later days)."""
    posts = {i: e for i, e in enumerate(events) if e.kind in ("create", "update")}
    kept = {i: e for i, e in posts.items() if e.text}
    deleted = {e.uri for e in events if e.kind == "delete"}
    gone = out_by_state(events, "gone", "back")
    refused = out_by_state(events, "refuse", "allow") if heeds else set()
    out: dict[int, str] = {}
    for i, e in kept.items():
        if e.uri in deleted or e.author in gone:
            out[i] = "deleted"
        elif any(o.uri == e.uri and o.version > e.version for o in posts.values()):
            out[i] = "superseded"
        elif e.author in refused:
            out[i] = "no_consent"
    left = {i: e for i, e in kept.items() if i not in out}
    for i, e in left.items():
        earlier = {
            (o.created, o.uri)
            for o in left.values()
            if o.author == e.author and o.created // 2 == e.created // 2
        }
        if cap is not None and sorted(earlier).index((e.created, e.uri)) >= cap:
            out[i] = "too_many_of_author"
    later = {("id", uri) for uri in deleted - {e.uri for e in kept.values()}}
    return out, later | {("author_id", author) for author in gone}


KINDS = ("create", "create", "create", "update", "update", "delete", "delete")
STATES = ("gone", "back", "refuse", "allow")


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Draws what a stream says of a few posts of a few authors."""
    number, author = st.integers(0, 3), st.sampled_from(["did:a", "did:b", "did:c"])
    made = []
    for kind in draw(st.lists(st.sampled_from((*KINDS, *STATES)), min_size=1, max_size=30)):
        text = draw(st.sampled_from(["", "some words of a post", "other words"]))
        event = Event(kind, draw(author), draw(number), draw(st.integers(0, 9)), 0, text)
        made.append(event._replace(created=draw(st.integers(0, 3))))
    return made


class Outcome(NamedTuple):
    """What phase exclude made of events: place -> reason, what is written for later days, and counts."""

    out: dict[int, str]
    later: set[tuple[str, str]]
    results: Results


def excluded(
    files: list[list[Json]],
    folder: Path,
    recipe: Recipe,
    unit_bytes: int,
    *,
    format: str = "bluesky",
) -> Outcome:
    """Runs clean and exclude alone over files of records; places count over all files."""
    for number, records in enumerate(files):
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{number}.jsonl").write_text(lines)
    section = msgspec.structs.replace(
        recipe.input, files=(str(folder / "*.jsonl"),), unit_bytes=unit_bytes, format=format
    )
    job = make_job(msgspec.structs.replace(recipe, input=section), out=str(folder / "out"))
    results = Results()
    with Workers(1) as workers:
        for name in ("clean", "exclude"):
            plan = run_order.plan(job, results, name)
            results.add(run_plan(plan, InlineEngine(workers))[0])
    starts = [sum(map(len, files[:number])) for number in range(len(files))]
    rows = [row for row in reject_rows(folder / "out") if row["phase"] == "exclude"]
    out = {
        starts[int(row["source_file"].split(".")[0])] + row["source_row"]: row["reason"]
        for row in rows
    }
    written = pq.ParquetDataset(folder / "out" / "deletions").read().to_pylist()
    later = {("id", r["id"]) if r["id"] else ("author_id", r["author_id"]) for r in written}
    assert len(later) == len(written)
    return Outcome(out, later, results)


@pytest.fixture(autouse=True)
def small_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few posts are many partitions."""
    monkeypatch.setattr(exclude, "POSTS_IN_PARTITION", 3)


@settings(deadline=None, max_examples=60)
@given(
    events=streams(),
    cuts=st.lists(st.integers(0, 30), max_size=2),
    unit_bytes=st.integers(150, 2000),
    cap=st.sampled_from([None, 1, 2]),
    heeds=st.booleans(),
)
def test_any_order_gives_what_the_reference_says(
    events: list[Event], cuts: list[int], unit_bytes: int, cap: int | None, heeds: bool
) -> None:
    """Posts, edits, deletes and accounts in any order, over files and units, as a few lines say."""
    ends = [*sorted(cuts), len(events)]
    files = [events[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    files = [part for part in files if part]
    plain = Recipe(name="exclude", filters=(NoConsent(),) if heeds else ())
    recipe = Recipe.load(plain, overrides={"authors.max_posts_per_day": cap})
    with tempfile.TemporaryDirectory() as folder:
        records = [[event.record() for event in part] for part in files]
        found = excluded(records, Path(folder), recipe, unit_bytes)
    assert (found.out, found.later) == expected(events, cap, heeds=heeds)
    counts = found.results.phases
    assert counts.exclude is not None
    assert counts.included.posts == counts.clean.clean.kept.posts - len(found.out)
    assert sum(counts.exclude.drop.policy.values()) == len(found.out)
    assert counts.exclude.deletions.rows == len(found.later)
    acting = ("delete", *(STATES if heeds else STATES[:2]))
    num_notices = sum(event.kind in acting for event in events)
    assert counts.exclude.match.notices == num_notices


def of_records(folder: Path, *files: list[Json], **overrides: Any) -> Outcome:
    """Runs clean and exclude over files of records, each as large as a unit."""
    recipe = Recipe.load(Recipe(name="exclude"), overrides=overrides)
    return excluded(list(files), folder, recipe, 1 << 20, format="auto")


def tweet(number: int, history: list[int], **more: Any) -> Json:
    """Returns a version of a post as X's API v2 sends it."""
    names = [str(each) for each in history]
    post = {"id": str(number), "text": f"post {number}", "edit_history_tweet_ids": names}
    return {"data": {**post, **more}}


def status(server: str, number: int, **more: Any) -> Json:
    """Returns a status of a server of Mastodon."""
    account = {"id": "3", "acct": "b", "uri": f"https://{server}/users/b"}
    uri = f"https://{server}/users/b/statuses/{number + 1}"
    content = {"content": f"<p>post {number}</p>", "visibility": "public"}
    return {"uri": uri, "id": str(number), **content, "account": account, **more}


def test_the_last_version_stays_where_each_has_an_id_of_its_own(tmp_path: Path) -> None:
    """Of X's versions the one with the highest number stays, with a time or without."""
    later = tweet(12, [10, 12])
    first = tweet(10, [10, 12], created_at="2023-01-01T00:00:00Z")
    middle = tweet(11, [10, 11], created_at="2023-01-01T00:10:00Z")
    found = of_records(tmp_path, [later, tweet(9, [9])], [first, middle])
    assert found.out == {2: "superseded", 3: "superseded"}


def test_a_delete_of_the_first_version_takes_all(tmp_path: Path) -> None:
    """X names a post that was edited by its first version."""
    delete = {"data": {"delete": {"tweet": {"id": "10", "author_id": "1"}}}}
    found = of_records(tmp_path, [tweet(12, [10, 12]), tweet(10, [10, 12]), delete])
    assert found.out == {0: "deleted", 1: "deleted"}
    assert found.later == set()


def test_a_delete_by_the_number_of_the_server(tmp_path: Path) -> None:
    """Mastodon's streams name a status by the number that their server gave it."""
    events = [{"event": "delete", "payload": number} for number in ("7", "8")]
    found = of_records(tmp_path, [status("a.test", 5), events[0], status("a.test", 7), events[1]])
    assert found.out == {2: "deleted"}
    assert found.later == {("id", "8")}


def test_a_number_of_two_servers(tmp_path: Path) -> None:
    """An edited status is no later version of one that has its number on another server."""
    edited = status("a.test", 5, edited_at="2023-01-02T00:00:00Z")
    found = of_records(tmp_path, [status("b.test", 5), edited, status("a.test", 5)])
    assert found.out == {2: "superseded"}


def test_a_repost_goes_with_what_it_repeats(tmp_path: Path) -> None:
    """It has the text of the deleted post; the notice is for later days still, which may have the post."""
    repost = tweet(20, [20], referenced_tweets=[{"type": "retweeted", "id": "10"}])
    delete = {"data": {"delete": {"tweet": {"id": "10"}}}}
    found = of_records(tmp_path, [repost, tweet(21, [21]), delete])
    assert found.out == {0: "deleted"}
    assert found.later == {("id", "10")}


def test_ids_of_another_platform_are_other_ids(tmp_path: Path) -> None:
    """The delete of an item of Hacker News takes no post of X, but a row of any platform."""
    item = {"type": "comment", "id": 10, "deleted": True, "time": 1, "by": "b"}
    row = {"id": "10", "text": "some row"}
    found = of_records(tmp_path, [tweet(10, [10])], [item], [row])
    assert found.out == {2: "deleted"}


def test_rows_have_no_versions_here(tmp_path: Path) -> None:
    """Rows of one id stay for dedup, which knows whether they are one post; notices act on rows."""
    rows = [
        {"id": "1", "text": "before", "author_id": "8"},
        {"id": "1", "text": "after", "edited_at": "2023-01-01"},
        {"id": "2", "text": "another", "author_id": "9"},
    ]
    notice = {"user_suspend": {"id": 9}}
    found = of_records(tmp_path, rows, [notice])
    assert found.out == {2: "deleted"}
    assert found.later == {("author_id", "9")}


def test_deletions_of_earlier_days(tmp_path: Path) -> None:
    """What earlier runs wrote takes out rows and authors of a later day, and is not written again."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    notices = [{"delete": {"status": {"id": 1}}}, {"user_delete": {"id": 8}}]
    assert of_records(first, [tweet(10, [10])], notices).later == {("id", "1"), ("author_id", "8")}
    rows = [{"id": str(i), "text": f"row {i}", "author_id": str(i + 6)} for i in range(4)]
    files = str(first / "out" / "deletions" / "*.parquet")
    found = of_records(second, rows, **{"input.deletions": [files]})
    assert found.out == {1: "deleted", 2: "deleted"}
    assert found.later == set()
    counts = found.results.phases.exclude
    assert counts is not None
    assert (counts.match.earlier, counts.match.notices) == (2, 0)


def test_a_cap_counts_posts_once(tmp_path: Path) -> None:
    """Deliveries of one post have one place; posts without an author or a time pass, and are counted."""
    day = "2023-01-01T0{}:00:00Z"

    def row(number: int, hour: int | None, author: str | None = "a") -> Json:
        time = None if hour is None else day.format(hour)
        return {"id": str(number), "text": f"row {number}", "created_at": time, "author_id": author}

    rows = [row(5, 3), row(1, 1), row(1, 1), row(4, 2), row(3, 2), row(6, None), row(7, 9, None)]
    found = of_records(tmp_path, rows, **{"authors.max_posts_per_day": 2})
    assert found.out == {0: "too_many_of_author", 3: "too_many_of_author"}
    places = {r["post_id"]: r["score"] for r in reject_rows(tmp_path / "out")}
    assert places == {"5": 4.0, "4": 3.0}
    assert found.results.phases.exclude is not None
    assert found.results.phases.exclude.send.without_author_or_time == 2


BAD_FILES = {
    "neither a column id nor author_id": {"post": ["1"]},
    "cannot be read as deletions": {"id": ["1"], "time": ["soon"]},
}


@pytest.mark.parametrize("message", BAD_FILES)
def test_files_that_are_no_deletions(tmp_path: Path, message: str) -> None:
    """A file without ids, or with a column of another type, is refused with its name and what is wanted."""
    path = tmp_path / "earlier.parquet"
    pq.write_table(pa.table(BAD_FILES[message]), path)
    with pytest.raises(SluiceError, match=f"earlier.parquet: .*{message}.*input.deletions"):
        of_records(tmp_path, [tweet(10, [10])], **{"input.deletions": [str(path)]})


def test_tidy_rows_have_no_such_phase(tmp_path: Path) -> None:
    """Rows without deletions or a cap have the phases that they had."""
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "1", "text": "a row"}) + "\n")
    recipe = Recipe.load(
        Recipe(name="rows"), overrides={"input.files": [str(tmp_path / "*.jsonl")]}
    )
    job = make_job(recipe, out=str(tmp_path / "out"))
    assert list(run_order.fingerprints(job)) == ["clean", "dedup", "vocabulary", "tokens"]


@pytest.mark.real
def test_a_recorded_post_that_was_edited(data: Path, tmp_path: Path) -> None:
    """Pages of X that hold both versions of a post: the first, sent three times, is replaced."""
    lines = (data / "payloads" / "x_v2.jsonl").read_bytes().splitlines()
    found = of_records(tmp_path, [json.loads(line) for line in lines])
    rows = [row for row in reject_rows(tmp_path / "out") if row["phase"] == "exclude"]
    assert [(row["post_id"], row["reason"]) for row in rows] == [
        ("1576994746135764992", "superseded")
    ] * 3
    counts = found.results.phases
    assert counts.included.posts == counts.clean.clean.kept.posts - 3
