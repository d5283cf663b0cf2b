"""What people wrote stays in the data: logs, errors and reports never carry it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from sluice.filters.rules.hashtag_ratio import HashtagRatio
from sluice.pipeline import cli
from sluice.pipeline.phases.clean import batches as clean
from sluice.pipeline.phases.clean.stage import CleanStage

CANARY = "canarykzqxv"
RECIPE = """
name = "private"
[limits]
max_malformed_ratio = 1.0
max_error_ratio = 1.0
[[filters]]
filter = "hashtag_ratio"
[[filters]]
filter = "spam"
[training]
sequence_length = 64
"""
BROKEN = [
    '{"id": "b1", "text": "%s',
    '{"id": "b2", "text": ["%s"]}',
    '{"id": "b3", "text": "x", "created_at": "%s"}',
    '{"id": {"%s": 1}, "text": "x"}',
    '%s {"id": "b5", "text": "x"}',
    '{"id": "b6", "text": "\\ud800 %s"}',
    '{"id": "b7", "text": "%s"} {"id": "b8", "text": "x"}',
]


def write_posts(path: Path) -> None:
    texts = [f"{CANARY} this is post number {n} about the weather" for n in range(200)]
    lines = [json.dumps({"id": f"p{n}", "text": t}) for n, t in enumerate([*texts, *texts[:20]])]
    lines += [line % CANARY for line in BROKEN]
    path.write_bytes(
        "\n".join(lines).encode() + b'\n{"id": "u", "text": "\xff' + CANARY.encode() + b'"}\n'
    )


def carriers(output: Path) -> list[str]:
    """Returns the files that hold the canary, but for posts between phases and the vocabulary."""
    data = re.compile(r"work/.*\.(arrow|tokens|words|npy)|tokenizer/")
    return [
        str(path.relative_to(output))
        for path in sorted(output.rglob("*"))
        if path.is_file()
        and not data.match(str(path.relative_to(output)))
        and CANARY.encode() in path.read_bytes()
    ]


def failing(*_: object) -> pa.Array:
    """A scorer whose error quotes the post, as those of libraries do."""
    raise ValueError(f"cannot handle {CANARY}")


@pytest.fixture(autouse=True)
def _fresh_machines() -> Iterator[None]:
    clean.load_machines.cache_clear()
    yield
    clean.load_machines.cache_clear()


@pytest.fixture
def start(tmp_path: Path) -> list[str]:
    """The arguments of a run over posts that all hold the canary."""
    write_posts(tmp_path / "posts.jsonl")
    (tmp_path / "private.toml").write_text(RECIPE)
    recipe, posts = str(tmp_path / "private.toml"), str(tmp_path / "posts.jsonl")
    return ["run", recipe, "--input", posts, "--output", str(tmp_path / "out")]


@pytest.mark.parametrize("fails", [False, True], ids=["works", "fails"])
def test_no_text_leaves_the_data(
    start: list[str],
    tmp_path: Path,
    fails: bool,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Neither broken rows nor a filter whose error quotes a post bring a text to a log, report or reject."""
    if fails:
        monkeypatch.setattr(HashtagRatio, "build", lambda self: failing)
    assert cli.main(start) == 0
    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    assert (report["posts"]["errors"] > 0) is fails
    assert report["posts"]["malformed"] > len(BROKEN) // 2
    assert carriers(tmp_path / "out") == []
    for command, *more in (["verify"], ["report", "--json"], *[["inspect", "p1"]] * (not fails)):
        assert cli.main([command, str(tmp_path / "out"), *more]) == 0
    shown = capfd.readouterr()
    assert CANARY not in shown.out + shown.err


def test_no_text_leaves_a_unit_that_breaks(
    start: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """An unexpected error that quotes a post ends the run without the quote."""
    monkeypatch.setattr(CleanStage, "do", failing)
    assert cli.main(start) == 1
    shown = capfd.readouterr()
    assert "ValueError" in shown.err
    assert CANARY not in shown.out + shown.err
    assert carriers(tmp_path / "out") == []


def test_the_canary_is_seen(tmp_path: Path) -> None:
    """A file that holds it is found."""
    (tmp_path / "rejects").mkdir()
    (tmp_path / "rejects" / "a.parquet").write_text(CANARY)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "x.json").write_text(f'"{CANARY}"')
    assert carriers(tmp_path) == ["rejects/a.parquet", "work/x.json"]
