"""`--json`: one line with the keys that docs/operations.md lists, whatever the command; errors too."""

import json
import math
import shutil
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from sluice.pipeline import cli
from sluice.pipeline.answers import ANSWERS, json_line
from sluice.pipeline.preflight import RunPlan
from sluice.pipeline.sample.write import write_sample
from tests.docs.pages import quoted, table
from tests.pipeline.runs import Job, linked_output

KINDS = {**ANSWERS, "run --plan": RunPlan}
Capture = pytest.CaptureFixture[str]


def answer(capsys: Capture, *words: str, code: int = 0) -> Any:
    """Returns what a command answers, on one line of stdout; its messages are in stderr."""
    capsys.readouterr()
    assert cli.main([*words, "--json"]) == code
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert out.isascii()
    return json.loads(out)


def keys_of(command: str) -> set[str]:
    return set(get_type_hints(KINDS[command]))


def test_the_page_lists_the_keys() -> None:
    """docs/operations.md has a row for each command, and in it each key and no other."""
    rows = {row[0].strip("`").removeprefix("sluice "): row[1] for row in table("json results")}
    assert {name: set(quoted(keys)) for name, keys in rows.items()} == {
        name: keys_of(name) for name in KINDS
    }


def test_a_run(job: Job, frozen: Job, tmp_path: Path, capsys: Capture) -> None:
    """The answer of a run has the figures of its report, and says which phases were reused."""
    output = linked_output(frozen.output, tmp_path / "out")
    files = str(job.sample / "posts-*.jsonl.gz")
    words = ["run", str(job.recipe), "--input", files, "--output", str(output)]
    words += ["--set", f"vocabulary.tokenizer={job.tokenizer}"]
    found = answer(capsys, *words)
    report = json.loads((output / "report" / "report.json").read_text())
    assert set(found) == keys_of("run")
    assert found["output"] == str(output)
    assert found["report"] == str(output / "report" / "report.json")
    assert found["phases_reused"] == ["clean", "dedup", "vocabulary", "tokens"]
    assert found["tokens"] == report["tokens"]["total"]
    assert found["seconds"] == report["run"]["seconds"]
    posts = found["posts"]
    assert posts["read"] == 5000
    assert posts["read"] == sum(n for key, n in posts.items() if key != "read")
    assert posts["rejected"] == sum(report["posts"]["rejected"].values())
    plan = answer(capsys, *words, "--plan")
    assert set(plan) == keys_of("run --plan")
    assert [(phase["name"], phase["action"]) for phase in plan["phases"]] == [
        (name, "reuse") for name in ("clean", "dedup", "vocabulary", "tokens")
    ]
    assert plan["seconds"] == 0.0
    plan = answer(capsys, *words[:5], str(tmp_path / "new"), "--plan")
    assert plan["phases"][0] == {"name": "clean", "action": "run", "units": 4, "units_done": 0}
    assert plan["seconds"] > 0.0
    assert plan["training_bytes"] > 3e8


def test_commands_on_an_output(job: Job, tmp_path: Path, capsys: Capture) -> None:
    """verify, report, inspect and export answer with what they print and return."""
    output = str(job.output)
    valid = answer(capsys, "verify", output)
    assert valid == {"output": output, "valid": True, "problems": []}
    assert answer(capsys, "report", output) == job.report()
    exported = answer(capsys, "export", output, "mds", str(tmp_path / "mds"))
    assert set(exported) == keys_of("export")
    assert exported["num_items"] * 256 == exported["tokens"] + exported["padding"]
    post_id = rejected_post(job)
    found = answer(capsys, "inspect", output, post_id)
    assert set(found) == keys_of("inspect")
    assert found["outcome"] == "rejected"
    assert found["rejections"][0]["reason"] == found["reason"]


def rejected_post(job: Job) -> str:
    """Returns the id of a post that a rule rejected."""
    import pyarrow.dataset as ds

    rows = ds.dataset(job.output / "rejects").to_table(filter=ds.field("kind") == "policy")
    return str(rows["post_id"][0].as_py())


def test_a_damaged_output(job: Job, tmp_path: Path, capsys: Capture) -> None:
    """What is wrong is listed, and the exit code is 1."""
    output = linked_output(job.output, tmp_path / "out")
    (output / "COMPLETED").unlink()
    found = answer(capsys, "verify", str(output), code=1)
    assert (found["valid"], len(found["problems"])) == (False, 1)
    assert "COMPLETED is missing" in found["problems"][0]


def test_sample_score_and_filters(tmp_path: Path, capsys: Capture) -> None:
    """They answer with counts, distributions, and all that is known of the filters."""
    posts = tmp_path / "posts"
    sample = answer(capsys, "sample", str(posts), "--posts", "200")
    assert set(sample) == keys_of("sample")
    assert sum(sample["by_label"].values()) == sample["posts"] == 200
    scores = ["score", "sample", "--input", str(posts / "*.gz"), "--output", str(tmp_path / "out")]
    found = answer(capsys, *scores)
    assert set(found) == keys_of("score")
    assert (found["read"], found["scores"]) == (200, str(tmp_path / "out" / "scores"))
    row = next(row for row in found["filters"] if row["name"] == "min_words")
    assert list(row["quantiles"]) == ["1%", "50%", "90%", "99%"]
    assert 0 <= row["rejected"] <= 1
    names = [info["name"] for info in answer(capsys, "filters")]
    assert "min_words" in names


def test_errors(tmp_path: Path, capsys: Capture) -> None:
    """An error is a line of JSON too, with the class, the message and the exit code that it had before."""
    found = answer(capsys, "verify", str(tmp_path / "none"), code=2)
    assert set(found) == keys_of("an error")
    assert found["error"]["type"] == "OutputError"
    assert found["error"]["exit_code"] == 2
    assert "there is no such folder" in found["error"]["message"]
    shutil.rmtree(tmp_path)
    write_sample(tmp_path / "posts", num_posts=10, seed=1)
    words = ["run", "sample", "--input", str(tmp_path / "posts" / "*.gz"), "--output"]
    found = answer(capsys, *words, str(tmp_path / "posts"), code=2)
    assert found["error"]["type"] == "OutputError"
    assert capsys.readouterr().out == ""


def test_an_error_is_in_stderr_too(tmp_path: Path, capsys: Capture) -> None:
    """With `--json` the user still reads what is wrong; with `--log-json` that is an object as well."""
    assert cli.main(["report", str(tmp_path / "none"), "--json", "--quiet"]) == 2
    assert capsys.readouterr().err.startswith("sluice: ")
    assert cli.main(["report", str(tmp_path / "none"), "--log-json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err)["level"] == "error"


def test_wrong_words(capsys: Capture) -> None:
    """Wrong arguments are an answer as well, beside the usage; without `--json` stdout stays empty."""
    for words in (["run", "--json"], ["run", "x", "--json", "--nonsense"]):
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        out, err = capsys.readouterr()
        assert end.value.code == 2
        told = json.loads(out)["error"]
        assert (told["type"], told["exit_code"]) == ("UsageError", 2)
        assert told["message"] in err
        assert "usage: sluice" in err
    with pytest.raises(SystemExit):
        cli.main(["run"])
    assert capsys.readouterr().out == ""
    with pytest.raises(SystemExit):
        cli.main(["run", "--log-json"])
    assert "required: recipe" in json.loads(capsys.readouterr().err)["message"]


def test_quiet_leaves_the_result(job: Job, capsys: Capture) -> None:
    """With `--quiet` the result is all that is printed."""
    assert cli.main(["verify", str(job.output), "--quiet"]) == 0
    assert capsys.readouterr() == (f"{job.output}: as its manifest says\n", "")
    assert cli.main(["verify", str(job.output)]) == 0
    assert capsys.readouterr().out.startswith("ok   files: ")


def test_a_line_is_json_for_everybody() -> None:
    """What is no number is null, and every letter is ASCII."""
    assert json_line({"a": math.nan, "b": "é\n\u2028"}) == '{"a": null, "b": "\\u00e9\\n\\u2028"}'
