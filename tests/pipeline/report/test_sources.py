"""Notes on licences and terms: what they are about, where they are written, and what has none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluice.pipeline.phases.job import make_job
from sluice.pipeline.recipes.loader import load
from sluice.pipeline.recipes.schema import Recipe
from sluice.schemas.errors import RecipeError


def job_of(folder: Path, *notes: dict[str, Any]) -> None:
    """Makes a job on two files of rows with notes."""
    for name in ("a", "b"):
        (folder / f"{name}.jsonl").write_text('{"id": "1", "text": "one post"}\n')
    files = {"input.files": [str(folder / "*.jsonl")], "sources": list(notes)}
    make_job(load(Recipe(name="x"), overrides=files), out=str(folder / "out"))


@pytest.mark.parametrize(
    ("note", "fault"),
    [
        (
            {"files": ["a.json"]},
            r"sources\.n\.files: 'a\.json' is about none of 2 input files.*'a\.jsonl'",
        ),
        ({"platforms": ["x"]}, r"sources\.n\.platforms: no input file is of 'x'; known: rows"),
        ({}, "needs one of files, platforms and values"),
        ({"files": ["a*"], "values": ["x"]}, "needs one of files, platforms and values"),
        ({"files": ["a*"], "licence": " "}, "must not be empty"),
        ({"file": ["a*"]}, "did you mean 'files'"),
    ],
)
def test_a_note_about_nothing_is_refused(tmp_path: Path, note: dict[str, Any], fault: str) -> None:
    """A note that no file is of, or that is not whole, stops the job with the closest that there is."""
    with pytest.raises(RecipeError, match=fault):
        job_of(tmp_path, {"name": "n", "licence": "CC0-1.0", **note})


def test_notes_of_two_sorts_are_refused(tmp_path: Path) -> None:
    """Notes by values and by files would give a post two, and two of one name cannot be told apart."""
    one = {"name": "n", "licence": "CC0-1.0", "files": ["a*"]}
    with pytest.raises(RecipeError, match="a post would have two"):
        job_of(tmp_path, one, {"name": "m", "licence": "CC0-1.0", "values": ["x"]})
    with pytest.raises(RecipeError, match=r"\$\.sources\[1\]\.name: 'n' is there twice"):
        job_of(tmp_path, one, one)
    job_of(tmp_path, one, {**one, "name": "m", "files": ["b*"]})


def written(output: Path) -> tuple[dict[str, Any], str]:
    """Returns the sources of the report, which are those of the manifest, and the card."""
    report = json.loads((output / "report" / "report.json").read_text("utf-8"))
    manifest = json.loads((output / "manifest.json").read_text("utf-8"))
    assert report["sources"] == manifest["sources"]
    assert all(phase["units_reused"] == -1 for phase in report["phases"])
    return report, (output / "report" / "DATACARD.md").read_text("utf-8")


def test_notes_by_file(rerun: Callable[..., Path]) -> None:
    """The first note of a file counts; files without one are named; no phase is done again."""
    notes = (
        '[{name="first", licence="CC0-1.0", files=["posts-00*", "posts-01*"]}, '
        '{name="second", licence="a | b", terms="https://x.example/", files=["posts-0[12]*"]}]'
    )
    report, card = written(rerun("--set", f"sources={notes}"))
    sources = report["sources"]
    first, second = sources["notes"]
    assert (first["files"], second["files"]) == (2, 1)
    assert sources["without"] == ["posts-03.jsonl.gz"]
    assert 0 < first["read"] + second["read"] < report["posts"]["read"]
    assert f"| second | a \\| b | https://x.example/ | {second['read']:,} read |" in card
    assert "Without a note: 1 input files: `posts-03.jsonl.gz`." in card
    assert "sources: 1 input files have no note: posts-03.jsonl.gz" in report["warnings"]


def test_notes_by_value(rerun: Callable[..., Path]) -> None:
    """Values of the column source are counted where they were kept; one that is not there is a warning."""
    notes = '[{name="phones", licence="own", values=["mobile", "mobil"]}]'
    report, card = written(rerun("--set", f"sources={notes}"))
    assert report["sources"]["notes"][0]["read"] is None
    assert "mobile" not in report["sources"]["without"]
    assert report["sources"]["num_without"] == len(report["posts"]["by_source"]) - 1
    assert f"| phones | own | - | {report['posts']['by_source']['mobile']:,} kept |" in card
    told = "sources.phones.values: no kept post has the source 'mobil'; did you mean 'mobile'?"
    assert told in report["warnings"]
