"""Inputs that people really have, each through the whole command: what comes out, and what is said of it."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sluice import open_output
from sluice.pipeline import cli
from tests.pipeline.runs import Job

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif("SLUICE_DATA" not in os.environ, reason="needs SLUICE_DATA"),
]


class Wanted(NamedTuple):
    """What a run on a folder must say.

    Attributes:
        posts: that come out of the reader.
        said: a part of a note, a warning or the error.
        input: other counts of report.json's `input` that are not 0.
        conflicts: posts of an id that an unlike text has, too.
        dated: whether each post that is kept has a day.
        sets: settings of the recipe.
        code: exit status.
    """

    posts: int = 0
    said: str = ""
    input: dict[str, Any] = {}
    conflicts: int = 0
    dated: bool = True
    sets: tuple[str, ...] = ()
    code: int = 0


CASES = {
    "pandas": Wanted(60),
    "utc_ns": Wanted(60),
    "ns_arrow": Wanted(60),
    "twitter_time": Wanted(50),
    "epoch": Wanted(50),
    "source_object": Wanted(50, "'source' for source must be", {"nulled": {"source": 50}}),
    "media_list": Wanted(50, "'media' for media must be", {"nulled": {"media": 50}}),
    "float_reply_ids": Wanted(50, input={"nulled": {"in_reply_to_id": 25}}),
    "float_ids": Wanted(said="'id' for post_id is a float of 2**53 or more", code=2),
    "empty_gz_among": Wanted(50, "1 file without a record: b.jsonl.gz"),
    "only_empty": Wanted(said="no posts in the input", code=2),
    "small_cut": Wanted(215, input={"dead_letters": 1}, conflicts=15),
    "hf_saved": Wanted(60, "2 files left out, as no data", dated=False),
    "csv": Wanted(50),
    "array": Wanted(50),
    "array_lines": Wanted(50),
    "firehose_concat": Wanted(50),
    "gz_is_plain": Wanted(50, "named as json.gz, read as json by the first bytes"),
    "utf16": Wanted(50),
    "lone_surrogates": Wanted(60, input={"replaced": {"text": 4}}),
    "folder": Wanted(50, "2 files left out, as no data: README.md, SHA256SUMS"),
    "pushshift": Wanted(60, "decompressing it takes up to 2 GiB of memory more"),
    "x_stream": Wanted(60, input={"notices": {"delete": 12}}),
    "x_stream_gz": Wanted(60, input={"notices": {"delete": 12}}),
    "ids_per_file": Wanted(150, 'set input.ids = "per_file"', conflicts=100, dated=False),
    "no_id": Wanted(said='make ids with input.ids = "file_row" or "content"', code=2),
    "long_story": Wanted(61, dated=False),  # the story has no time
    "note_tweet": Wanted(40),
    "conv": Wanted(60),
}
SETTINGS = {
    "ids_per_file": Wanted(150, dated=False, sets=('input.ids="per_file"',)),
    "no_id": Wanted(50, dated=False, sets=('input.ids="content"',)),
    "float_ids": Wanted(50, sets=('input.ids="file_row"',)),
    "conv": Wanted(
        said="did you mean 'user_id'?", sets=('input.columns={author_id="userid"}',), code=2
    ),
    "x_stream": Wanted(
        60,
        input={"notices": {"delete": 12}},
        sets=('input.columns={author_id="user.screen_name"}',),
    ),
}
QUIET = {"nulled": {}, "replaced": {}, "notices": {}, "left_out": {}, "dead_letters": 0}


def test_every_case_is_wanted(data: Path) -> None:
    """No folder of cases is forgotten."""
    assert {path.name for path in (data / "cases").iterdir() if path.is_dir()} == CASES.keys()


@pytest.mark.parametrize(
    ("case", "wanted"),
    [*CASES.items(), *SETTINGS.items()],
    ids=[*CASES, *(f"{case}, with settings" for case in SETTINGS)],
)
def test_case(
    case: str,
    wanted: Wanted,
    data: Path,
    job: Job,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every post comes out and is kept, what is odd is said once, and nothing is counted without a reason."""
    settings = [f"vocabulary.tokenizer={job.tokenizer}", *wanted.sets]
    words = ["--input", str(data / "cases" / case), "--output", str(tmp_path)]
    code = cli.main(["run", "default", *words, *(w for s in settings for w in ("--set", s))])
    said = "".join(capsys.readouterr())
    assert code == wanted.code, said
    assert said.count(wanted.said) == 1 or not wanted.said
    if wanted.code:
        return
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    counts, posts = report["input"], report["posts"]
    assert counts["posts"] == wanted.posts
    assert {name: counts[name] for name in QUIET} == QUIET | wanted.input
    assert posts["kept"] == wanted.posts - posts["rejected"].get("empty_text", 0)  # [deleted]
    assert posts["id_conflicts"] == wanted.conflicts
    assert ("unknown" in report["tokens"]["by_day"]) != wanted.dated


def test_the_whole_text_is_used(data: Path, job: Job, tmp_path: Path) -> None:
    """Where a platform cuts `text` and has the whole one in a field of its own, the tokens are its."""
    (file,) = (data / "cases" / "note_tweet").iterdir()
    settings = ("--set", f"vocabulary.tokenizer={job.tokenizer}")
    words = ("--input", str(file), "--output", str(tmp_path))
    assert cli.main(["run", "default", *words, *settings]) == 0
    output = open_output(tmp_path)
    posts = [json.loads(line) for line in file.read_text().splitlines()]
    whole = {post["id"]: post.get("note_tweet", post)["text"].strip() for post in posts}
    assert len(whole) == 40
    assert {post_id: output.text(post_id) for post_id in whole} == whole
