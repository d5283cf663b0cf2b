"""Both engines run the same steps, and the bytes of all phases are the same."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sluice.pipeline import cli
from sluice.pipeline.sample.write import write_sample
from tests.pipeline.runs import RECIPE, contract_bytes

CONTRACT = ("tokens", "provenance", "leftover", "rejects", "tokenizer")
LISTS = """
[[lists]]
name = "links"
kind = "domain"
files = ["lists/*.txt"]
"""
HISTORY = '[dedup]\nhistory = "history"\n'


def run_days(sample: Path, folder: Path, *more: str) -> None:
    """Runs two days that share a history in a folder; the second has the posts of the first, too."""
    folder.mkdir()
    (folder / "trial.toml").write_text(RECIPE + HISTORY + LISTS)
    (folder / "lists").mkdir()
    (folder / "lists" / "domains.txt").write_text("t.example\n")
    days = [str(sample / "posts-00*")], [str(sample / "posts-00*"), str(sample / "posts-01*")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # so that paths in manifests are the same
        for number, files in enumerate(days):
            out = f"day-{number}"
            sets = ["--set", f"dedup.history_day=2026-01-0{number + 1}"]
            assert (
                cli.main(["run", "trial.toml", "--input", *files, "--output", out, *sets, *more])
                == 0
            )


def files_of(folder: Path) -> dict[str, bytes]:
    """Returns what two days and their history have in common between engines: all but times."""
    days = contract_bytes(folder, *(f"day-{n}/{name}" for n in (0, 1) for name in CONTRACT))
    others = [*folder.glob("day-*/manifest.json"), *(folder / "history").rglob("*")]
    return days | {str(p.relative_to(folder)): p.read_bytes() for p in others if p.is_file()}


@pytest.mark.slow
def test_both_engines_write_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clean with a list, dedup, a trained vocabulary, tokens, and the history that two days leave."""
    write_sample(tmp_path / "sample", num_posts=600, seed=3)
    run_days(tmp_path / "sample", tmp_path / "inline", "--workers", "2")
    assert "engine inline: 2 processes of " in capsys.readouterr().err
    run_days(tmp_path / "sample", tmp_path / "beam", "--engine", "beam", "--workers", "1")
    assert "engine beam (FnApiRunner): 1 process of " in capsys.readouterr().err
    inline, beam = files_of(tmp_path / "inline"), files_of(tmp_path / "beam")
    assert inline.keys() == beam.keys()
    assert [name for name in inline if inline[name] != beam[name]] == []
    rejects = pq.ParquetDataset(tmp_path / "beam" / "day-0" / "rejects").read()
    assert "blocked_domain" in rejects["reason"].to_pylist()


def test_flags_are_beams(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the engine is named and is not Beam, its flags are refused: they would do nothing."""
    (tmp_path / "posts.jsonl").write_text('{"id": "1", "text": "one post"}\n')
    arguments = ["run", "default", "--input", str(tmp_path / "posts.jsonl"), "--output"]
    flags = ["--engine", "inline", "--", "--runner=SparkRunner"]
    assert cli.main([*arguments, str(tmp_path / "out"), *flags]) == 2
    assert "--runner=SparkRunner: what follows -- is for Beam" in capsys.readouterr().err
