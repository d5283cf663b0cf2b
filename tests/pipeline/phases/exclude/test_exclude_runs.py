"""Whole runs with notices: what dedup sees, which phases run again, and what commands say of the output."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import sluice
from sluice.pipeline import cli
from tests.pipeline.runs import Job, contract_bytes, reject_rows

Json = dict[str, Any]
RECIPE = 'name = "notices"\n[dedup]\nthreshold = 0.7\n[training]\nsequence_length = 256\n'
WORDS = ("lighthouse", "keeper", "boats", "breakfast", "bread", "rises", "slowly", "cold", "rain")
CONTRACT = ("tokens", "provenance", "leftover", "rejects", "deletions")


def text_of(seed: int) -> str:
    """Returns an invented text."""
    draw = random.Random(seed)
    return " ".join(f"{draw.choice(WORDS)} {draw.randrange(100)}" for _ in range(12))


def tweet(number: int, text: str, author: int) -> Json:
    """Returns a tweet; lower numbers are earlier."""
    created = f"Sat Mar 10 14:{number // 60:02}:{number % 60:02} +0000 2018"
    user = {"id_str": str(author)}
    return {"id_str": str(number), "text": text, "created_at": created, "user": user}


def delete(number: int) -> Json:
    """Returns the notice that a tweet was deleted."""
    return {"delete": {"status": {"id_str": str(number)}, "timestamp_ms": "1520690595000"}}


DELETED = (*range(0, 30, 3), 40, 45)


def records() -> list[Json]:
    """Returns tweets, of which many are copies or near copies of earlier ones, and notices."""
    made = []
    for number in range(80):
        text = text_of(number % 25)
        made.append(tweet(number, text + " again" * (number // 25 % 2), author=number % 7))
    notices = [delete(number) for number in DELETED] + [{"user_protect": {"id": 6}}, delete(999)]
    draw = random.Random(5)
    for notice in notices:
        made.insert(draw.randrange(len(made)), notice)
    return made


def without_posts(rows: list[Json]) -> list[Json]:
    """Returns the same records with notices that do nothing in the place of posts that go."""
    gone = {str(number) for number in DELETED}

    def goes(row: Json) -> bool:
        return row.get("id_str") in gone or row.get("user", {}).get("id_str") == "6"

    return [{"limit": {"track": 1}} if goes(row) else row for row in rows]


def write(folder: Path, rows: list[Json]) -> Path:
    """Writes records to files of forty lines."""
    folder.mkdir()
    for start in range(0, len(rows), 40):
        lines = "".join(json.dumps(row) + "\n" for row in rows[start : start + 40])
        (folder / f"{start:03}.jsonl").write_text(lines)
    return folder


def run(job: Job, folder: Path, inputs: Path, *more: str, output: str = "out") -> Path:
    """Runs a recipe over a folder of files, with the tokenizer of the job; returns the output."""
    recipe = folder / "notices.toml"
    recipe.write_text(RECIPE)
    command = ["run", str(recipe), "--input", str(inputs / "*.jsonl")]
    command += ["--output", str(folder / output)]
    command += ["--set", f"vocabulary.tokenizer={job.tokenizer}", *more]
    assert cli.main(command) == 0
    return folder / output


def worked(output: Path) -> dict[str, int]:
    """Returns for each phase when its work was concluded."""
    done = (output / "work").glob("*/phase.json")
    return {path.parent.name.split("-")[0]: path.stat().st_mtime_ns for path in done}


@pytest.fixture(scope="module")
def finished(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with notices."""
    folder = tmp_path_factory.mktemp("notices")
    return run(job, folder, write(folder / "in", records()))


@pytest.fixture
def output(finished: Path, tmp_path: Path) -> Path:
    """A copy of the run."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


def test_dedup_sees_no_post_that_is_out(job: Job, finished: Path, tmp_path: Path) -> None:
    """The tokens are those of a run that never had the posts: of each cluster another copy stays."""
    never = run(job, tmp_path, write(tmp_path / "in", without_posts(records())))
    names = ("tokens", "provenance", "leftover")
    assert contract_bytes(finished, *names) == contract_bytes(never, *names)
    out = {row["post_id"] for row in reject_rows(finished) if row["reason"] == "deleted"}
    assert out == {str(n) for n in range(80) if n in DELETED or n % 7 == 6}
    copies = [row for row in reject_rows(finished) if row["kind"] == "duplicate"]
    assert copies == [row for row in reject_rows(never) if row["kind"] == "duplicate"]
    assert {row["duplicate_of"] for row in copies}.isdisjoint(out)


def test_the_output_says_what_notices_did(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """report.json, the terminal, verify, inspect and the file for later days."""
    report = json.loads((finished / "report" / "report.json").read_text())
    num_out = report["posts"]["rejected"]["deleted"]
    told = {"notices": 14, "met": 13, "earlier": 0, "written": 2, "without_author_or_time": None}
    assert report["exclude"] == told
    assert [phase["name"] for phase in report["phases"]][:3] == ["clean", "exclude", "dedup"]
    assert report["phases"][2]["posts"] == 80 - num_out
    rows = sluice.open_output(finished).deletions.to_table().to_pylist()
    assert {(row["platform"], row["id"], row["author_id"]) for row in rows} == {
        ("x", "999", None),
        ("x", None, "6"),
    }
    assert cli.main(["verify", str(finished)]) == 0
    assert cli.main(["report", str(finished)]) == 0
    assert "14 notices of this run" in (finished / "report" / "report.html").read_text()
    assert cli.main(["inspect", str(finished), "40"]) == 0
    said = capsys.readouterr().out
    assert (
        "14   of this run about posts and authors; 13 met a post that clean kept, 2 went to" in said
    )
    assert "policy  exclude/deleted: deleted" in said


def test_the_plan_has_the_phase(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--plan` names the phase where the input has payloads or a key asks for it, and else not."""
    rows = write(tmp_path / "rows", [{"id": "1", "text": "a row"}])
    tweets = write(tmp_path / "in", records())
    planned = []
    for inputs, more in ((rows, ()), (rows, ("authors.max_posts_per_day=3",)), (tweets, ())):
        run(job, tmp_path, inputs, "--plan", *(word for key in more for word in ("--set", key)))
        planned.append("exclude     run" in capsys.readouterr().out)
    assert planned == [False, True, True]


def test_verify_counts_deletions(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of deletions with a row less, or other columns, is not what the ledger says."""
    (path,) = (output / "deletions").iterdir()
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    assert cli.main(["verify", str(output)]) == 1
    assert "deletions hold 1 rows, the ledger says 2" in capsys.readouterr().err
    pq.write_table(table.drop_columns(["time"]), path)
    assert cli.main(["verify", str(output)]) == 1
    assert "its columns are not those of deletions" in capsys.readouterr().err


def test_a_cap_runs_nothing_before_it_again(job: Job, output: Path) -> None:
    """A changed cap runs exclude and what follows, and not clean; without it the output is as before."""
    before, files = worked(output), contract_bytes(output, *CONTRACT)
    folder = output.parent
    inputs = write(folder / "in", records())
    run(job, folder, inputs, "--set", "authors.max_posts_per_day=3")
    after = worked(output)
    assert after["clean"] == before["clean"]
    assert after["exclude"] > before["exclude"]
    reasons = [row["reason"] for row in reject_rows(output)]
    assert reasons.count("too_many_of_author") > 0
    run(job, folder, inputs)
    assert contract_bytes(output, *CONTRACT) == files


def test_units_that_are_lost_are_done_again(job: Job, output: Path) -> None:
    """Without a part of the phase's work the same command gives the same bytes."""
    files = contract_bytes(output, *CONTRACT)
    inputs = write(output.parent / "in", records())
    (folder,) = (output / "work").glob("exclude-*")
    for lost in ("match", "drop", "deletions"):
        shutil.rmtree(folder / lost)
        (folder / "phase.json").unlink(missing_ok=True)
        run(job, output.parent, inputs)
        assert contract_bytes(output, *CONTRACT) == files


def exchanges() -> list[Json]:
    """Returns tweets that answer and quote one another, each with an address and a handle in its text."""
    made = []
    for number in range(100, 160):
        text = f"{text_of(number)} write to ann{number}@example.org or @bob{number % 9}"
        links = {"in_reply_to_status_id_str": str(number - 1)} if number % 6 else {}
        if number % 10 == 9:
            links["quoted_status_id_str"] = str(number - 7)
        made.append(tweet(number, text, author=number % 7) | links)
    return made


@pytest.mark.slow
def test_both_engines_write_the_same_bytes(job: Job, tmp_path: Path) -> None:
    """Two processes and Beam: a cap, deletions of an earlier day, conversations, masks and keyed hashes."""
    inputs = write(tmp_path / "in", records() + exchanges())
    (tmp_path / "key").write_bytes(bytes(range(32)))
    settings = ["authors.max_posts_per_day=12", f"privacy.key_file={tmp_path / 'key'}"]
    settings += ['privacy.mask=["email"]', "privacy.handle=pseudonym", "privacy.author_id=hash"]
    settings += [
        "privacy.author_key=true",
        "tokens.documents=conversations",
        "tokens.quotes=joined",
    ]
    more = [part for setting in settings for part in ("--set", setting)]
    earlier = run(job, tmp_path, inputs, *more, "--workers", "2", output="earlier")
    more += ["--set", f'input.deletions=["{earlier}/deletions/*.parquet"]']
    inline = run(job, tmp_path, inputs, *more, "--workers", "2", output="inline")
    beam = run(job, tmp_path, inputs, *more, "--engine", "beam", output="beam")
    assert contract_bytes(inline, *CONTRACT) == contract_bytes(beam, *CONTRACT)
    manifest = json.loads((inline / "manifest.json").read_text())
    assert manifest["recipe"]["input"]["deletions"] == ["*.parquet"]
    report = json.loads((beam / "report" / "report.json").read_text())
    assert report["posts"]["rejected"]["too_many_of_author"] > 0
    assert report["conversations"]["documents"] > 0
    assert report["conversations"]["by_quotes"] > 0
    assert report["privacy"]["by_kind"]["email"] > 0
