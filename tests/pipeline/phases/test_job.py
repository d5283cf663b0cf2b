"""A job reads its input once to cut it, and fetches what it needs before it runs."""

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from sluice.pipeline.inputs import inventory
from sluice.pipeline.phases.job import UNITS, Job, kept_columns, make_job
from sluice.pipeline.phases.tokens import phase as tokens
from sluice.pipeline.recipes import loader
from sluice.pipeline.storage import files as storage
from sluice.schemas.post import KEPT_COLUMNS
from tests.pipeline import runs
from tests.pipeline.runs import copy_plain, run


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each input file is read to be cut."""
    counts: Counter[str] = Counter()
    cut_json = inventory._cut_json

    def counted(unit: inventory.InputUnit, path: str, unit_bytes: int):
        counts[unit.path] += 1
        return cut_json(unit, path, unit_bytes)

    monkeypatch.setattr(inventory, "_cut_json", counted)
    return counts


def test_plain_input_is_cut_once(job: runs.Job, tmp_path: Path, cuts: Counter[str]) -> None:
    """A run cuts each file once; one that resumes cuts none, unless the units or their record changed."""
    posts, out = copy_plain(job, tmp_path / "posts"), tmp_path / "out"
    once = dict.fromkeys((path.name for path in posts.iterdir()), 1)
    frozen = ("--set", f"vocabulary.tokenizer={job.tokenizer}", "--set", "input.unit_bytes=150000")
    larger = ("--set", "dedup.threshold=0.7")
    smaller = ("--set", "input.unit_bytes=100000")

    def cut_by(*sets: str) -> dict[str, int]:
        cuts.clear()
        assert run(job, out, *frozen, *sets, inputs=str(posts)) == 0
        return dict(cuts)

    assert cut_by() == once
    assert cut_by() == {}
    assert cut_by(*larger) == {}
    assert cut_by(*larger, *smaller) == once
    units = out / UNITS
    units.write_bytes(units.read_bytes()[:-9])
    assert cut_by(*larger, *smaller) == once
    assert cut_by(*larger, *smaller) == {}


def test_a_plan_writes_nothing(job: runs.Job, tmp_path: Path, cuts: Counter[str]) -> None:
    """`--plan` cuts the input to count its units, and keeps none of them."""
    posts = copy_plain(job, tmp_path / "posts")
    small = ("--set", "input.unit_bytes=100000")
    assert run(job, tmp_path / "out", "--plan", *small, inputs=str(posts)) == 0
    assert sum(cuts.values()) == len(list(posts.iterdir()))
    assert not (tmp_path / "out").exists()


def job_with(job: runs.Job, *sets: str) -> Job:
    recipe = loader.load(str(job.recipe), sets=sets)
    files = msgspec.structs.replace(recipe.input, files=(str(job.sample / "posts-00.jsonl.gz"),))
    return make_job(msgspec.structs.replace(recipe, input=files), out=str(job.output))


def test_a_remote_tokenizer_is_checked_by_whoever_asks(job: runs.Job) -> None:
    """A caller of the library has opened no scope for copies of remote files: none is left open either."""
    path = "memory://test-job/tokenizer.json"
    storage.write_bytes(path, job.tokenizer.read_bytes())
    tokens.check_tokenizer(job_with(job, f"vocabulary.tokenizer={path}"))


def test_ids_that_link_posts_pass_clean_where_the_input_has_them(job: runs.Job) -> None:
    """Rows keep what they kept; payloads, and rows whose mapping names it, keep what a post quotes."""

    def kept(*sets: str) -> tuple[str, ...]:
        made = job_with(job, *sets)
        return kept_columns(made.recipe, made.inventory)[len(KEPT_COLUMNS) :]

    assert kept() == kept("tokens.documents=conversations") == ()
    assert kept("input.columns.quoted_id=quote") == ("quoted_id",)
    assert kept("input.format=mastodon") == ("platform", "quoted_id", "reposted_id", "alias_id")
    assert kept("input.format=mastodon", "tokens.provenance=['platform']") == (
        *("platform", "quoted_id", "reposted_id", "alias_id"),
    )
