"""Columns of posts before their texts in the tokens."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from tokenizers import Tokenizer

import sluice
from sluice.filters.privacy.masking import Masking
from sluice.pipeline import cli
from sluice.pipeline.phases.tokens.header import with_headers
from sluice.pipeline.recipes.template import fields_of
from sluice.schemas.errors import RecipeError
from tests.pipeline.runs import Job

RECIPE = """
name = "headers"
[training]
sequence_length = 64
global_batch_sequences = 1
data_parallel_ranks = 1
target_shard_bytes = 65536
[tokens]
header = "[{platform} {{{created_at:%Y-%m}}} {like_count}] "
"""


def test_headers_in_the_tokens(tmp_path: Path, job: Job) -> None:
    """Each post begins with the template, filled in with its values; what it has not is left out."""
    posts = [
        {"id": "a", "text": "the first post of all", "created_at": "2026-03-04", "n": 7, "p": "x"},
        {"id": "b", "text": "another one, unlike it", "p": "y"},
    ]
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts))
    (tmp_path / "headers.toml").write_text(RECIPE)
    command = ["run", str(tmp_path / "headers.toml"), "--input", str(tmp_path / "posts.jsonl")]
    command += ["--output", str(tmp_path / "out"), "--set", "input.columns.like_count=n"]
    command += [
        "--set",
        f"vocabulary.tokenizer={job.tokenizer}",
        "--set",
        "input.columns.platform=p",
    ]
    assert cli.main(command) == 0
    assert cli.main(["verify", str(tmp_path / "out")]) == 0
    output = sluice.open_output(str(tmp_path / "out"))
    tokenizer = Tokenizer.from_file(str(job.tokenizer))
    found = {name: tokenizer.decode(output.tokens(name).tolist()) for name in ("a", "b")}
    assert found["a"] == "[x {2026-03} 7] the first post of all"
    assert found["b"] == "[y {} ] another one, unlike it"


def test_values_are_masked_as_texts_are() -> None:
    """What a header takes from columns is masked, and holds no placeholder of its own."""
    names = ["ann@example.com", "plain\ufdd3\ufdd0", None]
    rows = pa.RecordBatch.from_pylist([{"text": "Hello", "source": name} for name in names])
    template = fields_of("{source}: ", ["source"])
    masked = with_headers(rows, template, Masking(("email",))).column("text").to_pylist()
    assert masked == ["\ufdd3: Hello", "plain  : Hello", ": Hello"]
    plain = with_headers(rows, template).column("text").to_pylist()
    assert plain == ["ann@example.com: Hello", "plain  : Hello", ": Hello"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{plattform}", "did you mean 'platform'"),
        ("{text}", "no column 'text' can be named"),
        ("{platform:%Y}", "only a time has a format"),
        ("{platform", "a brace that stands for itself is doubled"),
        ("{platform!r}", "no column 'platform' can be named"),
        ("{}", "no column '' can be named"),
    ],
)
def test_templates_that_are_refused(header: str, message: str) -> None:
    """A template that cannot be filled in is an error of the recipe, which names the key."""
    with pytest.raises(RecipeError, match=message) as failure:
        sluice.Recipe.load("default", overrides={"tokens.header": header})
    assert "header" in str(failure.value)
