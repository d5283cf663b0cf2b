"""An output, a history and a recipe of version 0.1 are read by this version.

tests/golden/release-0.1/README.md says how they were made.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import sluice
from sluice.pipeline import cli
from sluice.pipeline.recipes import loader
from sluice.tokenizer.shards import ShardReader
from tests.repository import ROOT

RELEASE = ROOT / "tests" / "golden" / "release-0.1"
RECIPE = RELEASE / "recipe.toml"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A folder with `out` and `history` as version 0.1 left them, and the posts of two days."""
    for name in ("out", "history"):
        shutil.unpack_archive(RELEASE / f"{name}.tar.xz", tmp_path, filter="data")
    for day in ("day1", "day2"):
        shutil.copytree(RELEASE / day, tmp_path / day)
    return tmp_path


def rows(output: Path, folder: str) -> list[dict[str, Any]]:
    """Returns the rows of the provenance or the rejects of an output."""
    return pq.ParquetDataset(output / folder).read().to_pylist()


def holds(today: Any, before: Any) -> bool:
    """Returns whether a value has all that an earlier one has; keys may have been added."""
    if isinstance(before, dict):
        return all(key in today and holds(today[key], value) for key, value in before.items())
    if isinstance(before, list):
        return len(today) == len(before) and all(map(holds, today, before))
    return bool(today == before)


def test_an_output_is_verified(release: Path) -> None:
    """Files, counts, shards and provenance are what the manifest of 0.1 says."""
    assert sluice.verify(str(release / "out")) == []


@pytest.mark.parametrize(
    "command", [["verify"], ["inspect", "1"], ["export", "mds", "exported"]], ids=lambda c: c[0]
)
def test_an_output_that_cannot_be_read_is_refused(
    tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The manifest of the first 0.1.0 lacks what is needed: the message says who wrote it and what to do."""
    out = tmp_path / "out"
    out.mkdir()
    text = (RELEASE / "first-manifest.json").read_text()
    (out / "manifest.json").write_text(text.replace('"sluice": "0.1.0"', '"sluice": "0.1.0.dev0"'))
    assert cli.main([command[0], str(out), *command[1:]]) == 2
    said = capsys.readouterr().err
    assert "was written by sluice 0.1.0.dev0" in said
    assert "run the inputs again into another --output" in said


def test_damage_of_an_output_is_found(release: Path) -> None:
    """A file that was cut is named, as in an output of today."""
    shard = next((release / "out" / "tokens").glob("*.arrow"))
    shard.write_bytes(shard.read_bytes()[:-8])
    assert any(shard.name in problem for problem in sluice.verify(str(release / "out")))


def test_a_report_is_printed_again(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The funnel and `--json` have the counts of 0.1; the page is written again, report.json is not."""
    out = release / "out"
    text = (out / "report" / "report.json").read_text()
    before = json.loads(text)
    (out / "report" / "report.html").unlink()
    assert cli.main(["report", str(out)]) == 0
    assert f"{before['posts']['read']} read = {before['posts']['kept']} kept" in (
        capsys.readouterr().out.replace(",", "")
    )
    assert (out / "report" / "report.html").exists()
    assert (out / "report" / "report.json").read_text() == text
    assert cli.main(["report", str(out), "--json"]) == 0
    assert holds(json.loads(capsys.readouterr().out), before)


def test_a_post_is_inspected(release: Path) -> None:
    """A kept post is found in its shard, a rejected one with its reason."""
    out = release / "out"
    kept = rows(out, "provenance")[0]
    rejected = next(row for row in rows(out, "rejects") if row["kind"] == "policy")
    assert sluice.inspect(str(out), kept["post_id"]).placements[0].shard == kept["shard"]
    assert sluice.inspect(str(out), rejected["post_id"]).reason == rejected["reason"]


@pytest.mark.parametrize("form", ["megatron", "mds"])
def test_an_output_is_exported(release: Path, form: str) -> None:
    """All tokens of its shards go into the formats of other trainers."""
    out, target = release / "out", release / form
    assert cli.main(["export", str(out), form, str(target)]) == 0
    exported = json.loads((target / "export.json").read_text())
    shards = json.loads((out / "manifest.json").read_text())["shards"]
    assert exported["counts"]["tokens"] == sum(shard["tokens"] for shard in shards) > 0


def test_shards_are_read(release: Path) -> None:
    """A shard has the format that its manifest says."""
    form = json.loads((release / "out" / "manifest.json").read_text())["format"]
    shard = ShardReader(str(next((release / "out" / "tokens").glob("*.arrow"))))
    assert shard.format.sequence_length == form["sequence_length"]
    assert shard.format.vocabulary_size == form["vocabulary_size"]


def test_the_recipe_loads() -> None:
    """No key of a recipe of 0.1 was renamed or removed."""
    assert loader.load(str(RECIPE)).name == "release"


def test_a_run_reads_history_and_tokenizer(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next day drops what 0.1 kept, takes its tokenizer, and adds a version to its history."""
    monkeypatch.chdir(release)
    frozen = "vocabulary.tokenizer=out/tokenizer/tokenizer.json"
    arguments = ["run", str(RECIPE), "--input", "day2/*.jsonl", "--output", "next", "--set", frozen]
    assert cli.main(arguments) == 0
    details = {row["detail"] for row in rows(release / "next", "rejects")}
    assert any(detail and detail.startswith("history ") for detail in details)
    assert (release / "history" / "version-00000002.json").exists()
    assert sluice.verify("next") == []


def test_a_run_into_its_folder(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same posts are known by their contents: phases are done again, and no post is its own duplicate."""
    monkeypatch.chdir(release)
    before = json.loads(Path("out", "report", "report.json").read_text())
    arguments = ["run", str(RECIPE), "--output", "out", "--input"]
    assert cli.main([*arguments, "day1/*.jsonl"]) == 0
    report = json.loads(Path("out", "report", "report.json").read_text())
    assert report["posts"]["read"] == before["posts"]["read"]
    assert report["posts"]["duplicates"] == before["posts"]["duplicates"]
    assert report["dedup"]["history"]["read"]["segments"] == 0
    assert sluice.verify("out") == []


def test_a_run_of_other_posts_into_its_folder(
    release: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A finished run of 0.1 is not overwritten by one over other posts."""
    monkeypatch.chdir(release)
    assert cli.main(["run", str(RECIPE), "--output", "out", "--input", "day2/*.jsonl"]) == 2
    assert "other input files; choose another --output" in capsys.readouterr().err
