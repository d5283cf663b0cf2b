"""Posts whose use is refused, or whose author is new, are rejected by phase clean of a run."""

import json
from pathlib import Path
from typing import Any

from sluice.filters.base import Filter
from sluice.filters.rules.min_author_age_days import MinAuthorAgeDays
from sluice.filters.rules.no_consent import NoConsent
from sluice.pipeline.engine.inline import InlineEngine
from sluice.pipeline.engine.run import run_plan
from sluice.pipeline.engine.workers import Workers
from sluice.pipeline.phases import run_order
from sluice.pipeline.phases.job import Job, kept_columns, make_job, optional_columns
from sluice.pipeline.phases.results import Results
from sluice.pipeline.recipes.loader import load
from sluice.pipeline.recipes.schema import Recipe
from tests.pipeline.inputs.test_payloads import tweet
from tests.pipeline.runs import reject_rows

Row = dict[str, Any]


def job_of(folder: Path, rows: list[Row], filters: tuple[Filter, ...]) -> Job:
    """Returns a job on lines of JSON."""
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = load(Recipe(name="x", filters=filters), overrides={"input.files": [str(folder / "*")]})
    return make_job(recipe, out=str(folder / "out"))


def rejected(job: Job) -> list[tuple[str, str, float, str | None]]:
    """Returns id, reason, score and detail of what phase clean of a run rejects."""
    with Workers(1) as workers:
        run_plan(run_order.plan(job, Results(), "clean"), InlineEngine(workers))
    rows = reject_rows(Path(job.output))
    return [(row["post_id"], row["reason"], row["score"], row["detail"]) for row in rows]


def test_posts_of_payloads(tmp_path: Path) -> None:
    """The reject row has the rule's reason, and says all that refuses the use of the post."""
    user = {"id_str": "7", "created_at": "Fri Mar 09 14:03:15 +0000 2018"}
    tweets = [
        tweet(1, "one", user=user),
        tweet(2, "two", user={**user, "protected": True}, withheld_in_countries=["DE"]),
        tweet(3, "three", user={"id_str": "8", "protected": False}),
    ]
    job = job_of(tmp_path, tweets, (NoConsent(), MinAuthorAgeDays(min_days=7)))
    assert rejected(job) == [
        ("1", "new_author", 1.0, None),
        ("2", "no_consent", 2.0, "protected withheld"),
    ]
    assert {"consent", "author_created_at"} <= set(optional_columns(job.recipe, job.inventory))
    assert not {"consent", "author_created_at"} & set(kept_columns(job.recipe, job.inventory))


def test_rows_of_tables(tmp_path: Path) -> None:
    """Rows have no consent and no age, and pass, unless the recipe maps a column."""
    rows = [{"id": str(i), "text": f"post {i}", "optout": "no_training"} for i in range(3)]
    job = job_of(tmp_path, rows, (NoConsent(), MinAuthorAgeDays()))
    assert rejected(job) == []
    mapped = load(job.recipe, overrides={"input.columns": {"consent": "optout"}})
    found = rejected(make_job(mapped, out=str(tmp_path / "mapped")))
    assert {row[1:] for row in found} == {("no_consent", 1.0, "no_training")}
