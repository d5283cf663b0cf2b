"""Personal data through whole runs: what is masked, counted, made again and refused."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

import sluice
from sluice.filters.privacy.keyed_ids import IdKey
from sluice.filters.privacy.kinds import MASKED
from sluice.pipeline import cli
from sluice.schemas.errors import RecipeError
from tests.pipeline.runs import Job, reject_rows

KEY = bytes(range(32))
RECIPE = f"""
name = "masked"
[privacy]
mask = {list(MASKED)}
[[filters]]
filter = "min_words"
[[filters]]
filter = "language_confidence"
min_confidence = 0.0
[training]
sequence_length = 64
global_batch_sequences = 1
data_parallel_ranks = 1
target_shard_bytes = 65536
"""
OUTPUT = ("tokens", "provenance", "leftover", "rejects")


def post(number: int, text: str, **more: Any) -> dict[str, Any]:
    """Returns a post like no other, of one of two authors."""
    return {"id": f"p{number}", "text": text, "author_id": f"author{number % 2}", **more}


POSTS = [
    post(0, "Please write to ann@example.com about the boats of the harbour"),
    post(1, "Please write to bob@example.org about the boats of the harbour"),
    post(2, "Two servers at 93.184.216.34 and 93.184.216.35 were slow this morning"),
    post(3, "Nobody knows why the old lighthouse was painted green in winter"),
    post(4, "true"),
    post(5, "@ann and @Ann met @bob near the lighthouse on a calm summer day"),
    post(6, "See https://ann:pass@example.com/a?token=abcdef&page=2 for the boats and nets"),
]


class Runs:
    """A folder of posts, and runs over them with the tokenizer of the shared job."""

    def __init__(self, folder: Path, job: Job):
        self.folder, self._job = folder, job
        (folder / "key").write_bytes(KEY)
        (folder / "masked.toml").write_text(RECIPE)
        self.write("posts", POSTS)

    def write(self, name: str, posts: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(each) + "\n" for each in posts)
        (self.folder / f"{name}.jsonl").write_text(lines)

    def run(self, *settings: str, out: str = "out", posts: str = "posts", more: Any = ()) -> Path:
        command = ["run", str(self.folder / "masked.toml"), "--output", str(self.folder / out)]
        command += ["--input", str(self.folder / f"{posts}.jsonl")]
        for setting in (f"vocabulary.tokenizer={self._job.tokenizer}", *settings):
            command += ["--set", setting]
        assert cli.main([*command, *more]) == 0
        assert cli.main(["verify", str(self.folder / out)]) == 0
        return self.folder / out

    def keyed(self, *settings: str, **more: Any) -> Path:
        return self.run(f"privacy.key_file={self.folder / 'key'}", *settings, **more)


@pytest.fixture
def runs(tmp_path: Path, job: Job) -> Runs:
    """A folder with posts and a recipe."""
    return Runs(tmp_path, job)


def report_of(output: Path) -> dict[str, Any]:
    return json.loads((output / "report" / "report.json").read_text())


def texts_of(output: Path) -> dict[str, str]:
    """Returns each post's text, decoded from its tokens."""
    tokenizer = Tokenizer.from_file(str(output / "tokenizer" / "tokenizer.json"))
    found = {}
    for tokens in [*(output / "tokens").glob("*.arrow"), output / "leftover" / "tokens.arrow"]:
        if not tokens.exists():
            continue
        leftover = output / "leftover" / "provenance.parquet"
        of_shard = output / "provenance" / f"{tokens.stem}.parquet"
        sequences = pa.ipc.open_file(tokens).read_all()["tokens"].to_pylist()
        for row in pq.read_table(
            leftover if tokens.parent.name == "leftover" else of_shard
        ).to_pylist():
            piece = sequences[row["sequence"]][row["offset"] : row["offset"] + row["length"]]
            found[row["post_id"]] = tokenizer.decode(piece, skip_special_tokens=False)
    return found


def work_of(output: Path, phase: str) -> dict[str, int]:
    """Returns when the work of each phase was done."""
    return {
        p.parent.name: p.stat().st_mtime_ns for p in (output / "work").glob(f"{phase}-*/phase.json")
    }


def test_values_become_special_tokens(runs: Runs) -> None:
    """Texts have special tokens, the report counts them, and posts that differ by a value are duplicates."""
    output = runs.run()
    texts = texts_of(output)
    assert texts["p0"] == "Please write to <|email|> about the boats of the harbour<|eod|>"
    assert texts["p2"] == "Two servers at <|ip|> and <|ip|> were slow this morning<|eod|>"
    assert texts["p3"] == f"{POSTS[3]['text']}<|eod|>"
    assert texts["p5"] == f"{POSTS[5]['text']}<|eod|>"
    link = "https://<|url_secret|>@example.com/a?token=<|url_secret|>&page=2"
    assert texts["p6"] == f"See {link} for the boats and nets<|eod|>"
    reasons = {r["post_id"]: r["reason"] for r in reject_rows(output)}
    assert reasons == {"p4": "too_few_words", "p1": "exact"}
    found = report_of(output)["privacy"]
    assert found["posts"] == 4
    assert found["values"] == sum(found["by_kind"].values()) == 6
    assert {k: n for k, n in found["by_kind"].items() if n} == {
        "url_secret": 2,
        "email": 2,
        "ip": 2,
    }
    assert set(found["by_kind"]) == set(MASKED)
    by_kind = {kind: sum(t.get(kind, 0) for t in found["by_lang"].values()) for kind in MASKED}
    assert by_kind == found["by_kind"]
    card = (output / "report" / "DATACARD.md").read_text()
    assert "6 values were masked, in 4 posts" in card
    assert "| email | 2 | en 2 |" in card
    assert 'id="privacy"' in (output / "report" / "report.html").read_text()


def test_filters_read_texts_as_they_came(runs: Runs) -> None:
    """What filters decide, and the scores of kept posts, do not depend on what is masked."""
    plain, masked = (
        sluice.filter_table(
            pa.Table.from_pylist(POSTS), str(runs.folder / "masked.toml"), overrides=overrides
        )
        for overrides in ({"privacy.mask": []}, {})
    )
    assert plain.rejected == masked.rejected
    assert plain.scores == masked.scores
    assert plain.kept.drop_columns("text") == masked.kept.drop_columns("text")
    changed = [a != b for a, b in zip(plain.kept["text"], masked.kept["text"], strict=True)]
    assert changed == [True, True, True, False, False, True]


def test_handles(runs: Runs) -> None:
    """Handles become a special token, or one pseudonym for each person within a key."""
    masked = texts_of(runs.run('privacy.handle="mask"'))["p5"]
    assert masked.startswith("<|handle|> and <|handle|> met <|handle|> near")
    named = runs.keyed('privacy.handle="pseudonym"', out="named")
    ann, _, other, _, bob = texts_of(named)["p5"].split()[:5]
    key = IdKey(KEY)
    assert (ann, other, bob) == (f"@user_{key.handle('@ann')}", ann, f"@user_{key.handle('@bob')}")
    assert report_of(named)["privacy"]["by_kind"]["handle"] == 3


def test_authors_are_hashed_or_dropped(runs: Runs) -> None:
    """Hashed ids are equal for equal authors, and the cap of authors goes on; dropped ones are null."""
    columns = 'tokens.provenance=["author_id"]'
    output = runs.keyed('privacy.author_id="hash"', columns)
    tables = [*output.glob("provenance/*"), *output.glob("leftover/provenance.parquet")]
    rows = [row for path in tables for row in pq.read_table(path).to_pylist()]
    hashes = {r["post_id"]: r["author_id"] for r in rows}
    assert hashes["p0"] == hashes["p2"] == IdKey(KEY).author(None, "author0") != hashes["p3"]
    dated = [{**each, "created_at": "2026-03-01T12:00:00Z"} for each in POSTS]
    runs.write("dated", dated)
    capped = "authors.max_posts_per_day=1"
    plain, keyed = (
        reject_rows(runs.keyed(f'privacy.author_id="{how}"', capped, out=how, posts="dated"))
        for how in ("keep", "hash")
    )
    assert [r["reason"] for r in plain].count("too_many_of_author") == 4
    assert plain == keyed
    dropped = runs.run('privacy.author_id="drop"', out="dropped")
    assert report_of(dropped)["authors"]["read"] is None


def test_what_is_done_again(runs: Runs) -> None:
    """Other kinds or another key do clean and what follows again; their order and the key's path do not."""
    output = runs.keyed('privacy.handle="pseudonym"')
    before = work_of(output, "*")
    (runs.folder / "copy").write_bytes(KEY)
    backwards = f"privacy.mask={json.dumps(MASKED[::-1])}"
    copied = f"privacy.key_file={runs.folder / 'copy'}"
    assert runs.run(copied, 'privacy.handle="pseudonym"', backwards) == output
    assert work_of(output, "*") == before
    runs.run('privacy.handle="keep"')
    after = work_of(output, "*")
    made = {name.rpartition("-")[0] for name, time in after.items() if before.get(name) != time}
    assert made == {"clean", "dedup", "tokens"}
    (runs.folder / "other").write_bytes(KEY[::-1])
    other = f"privacy.key_file={runs.folder / 'other'}"
    again = runs.run(other, 'privacy.handle="pseudonym"')
    assert texts_of(again)["p5"].split()[0] == f"@user_{IdKey(KEY[::-1]).handle('@ann')}"


def test_a_key_that_nothing_needs_does_nothing_again(runs: Runs) -> None:
    """With masks alone, a key file changes nothing."""
    output = runs.run()
    before = work_of(output, "clean")
    assert work_of(runs.keyed(), "clean") == before


def test_a_later_day_meets_masked_texts(runs: Runs) -> None:
    """A post of the next day that differs by its value alone is a duplicate of what the history has."""
    history = f"dedup.history={runs.folder / 'history'}"
    runs.run(history, 'dedup.history_day="2026-03-01"', out="day1")
    other = "Please write to carol@example.net about the boats of the harbour"
    runs.write("next", [post(9, other), post(10, "A quiet day without any boats at all in spring")])
    second = runs.run(history, 'dedup.history_day="2026-03-02"', out="day2", posts="next")
    assert [(r["post_id"], r["duplicate_of"]) for r in reject_rows(second)] == [("p9", "p0")]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"privacy.mask": ["emial"]},
            r"no kind 'emial', did you mean 'email'\?|no kind 'emial'.*email",
        ),
        ({"privacy.mask": ["handle"]}, 'handles have a key of their own: handle = "mask"'),
        ({"privacy.mask": ["ip", "ip"]}, "names a kind twice"),
        ({"privacy.handle": "hide"}, "privacy.handle"),
        ({"privacy.handle": "pseudonym"}, r"needs key_file, a secret: make one with `head -c 32"),
        ({"privacy.author_id": "hash"}, r"needs key_file, a secret: make one with `head -c 32"),
        (
            {"privacy.author_id": "drop", "authors.max_posts_per_day": 1},
            r"leaves authors.max_posts_per_day without authors: take \"hash\"",
        ),
        (
            {"privacy.author_id": "drop", "tokens.header": "{author_id}: "},
            r"leaves tokens.header without authors",
        ),
    ],
)
def test_settings_that_are_refused(overrides: dict[str, Any], message: str) -> None:
    """A wrong name, a missing key and settings that contradict each other are refused with the remedy."""
    with pytest.raises(RecipeError, match=message):
        sluice.Recipe.load("gopher", overrides=overrides)


def test_a_tokenizer_without_the_tokens_is_refused(runs: Runs, job: Job, tmp_path: Path) -> None:
    """The error names the tokens that are missing; kinds that need none of them are no reason."""
    spec = job.tokenizer.read_text().replace("<|wallet|>", "<|purse|>")
    (tmp_path / "tokenizer.json").write_text(spec)
    frozen = f"vocabulary.tokenizer={tmp_path / 'tokenizer.json'}"
    with pytest.raises(RecipeError, match=r"privacy: needs the special tokens <\|wallet\|>, which"):
        sluice.run(
            str(runs.folder / "masked.toml"),
            inputs=[str(runs.folder / "posts.jsonl")],
            output=str(tmp_path / "out"),
            overrides={"vocabulary.tokenizer": str(tmp_path / "tokenizer.json")},
        )
    runs.run(frozen, 'privacy.mask=["email"]')


def test_notices_find_hashed_authors_and_refuse_dropped_ones(runs: Runs) -> None:
    """Deletions name authors by their own ids; without ids of authors they are refused."""
    gone = pa.table({"author_id": ["author0"]})
    pq.write_table(gone, runs.folder / "gone.parquet")
    deletions = f'input.deletions=["{runs.folder / "gone.parquet"}"]'
    output = runs.keyed('privacy.author_id="hash"', deletions)
    out = {r["post_id"] for r in reject_rows(output) if r["reason"] == "deleted"}
    assert out == {"p0", "p2", "p6"}
    with pytest.raises(RecipeError, match=r'privacy.author_id = "drop": the input has notices'):
        sluice.run(
            str(runs.folder / "masked.toml"),
            inputs=[str(runs.folder / "posts.jsonl")],
            output=str(runs.folder / "none"),
            overrides={
                "privacy.author_id": "drop",
                "input.deletions": [str(runs.folder / "gone.parquet")],
            },
        )
