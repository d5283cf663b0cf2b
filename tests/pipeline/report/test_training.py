"""The report of the training run: figures, words, warnings, and what they depend on."""

import json
import re
from typing import Any

import msgspec
import pytest

from sluice.pipeline import cli
from sluice.pipeline.phases.job import Job as PipelineJob
from sluice.pipeline.phases.job import make_job
from sluice.pipeline.phases.results import Results, read_result
from sluice.pipeline.phases.run_order import fingerprints
from sluice.pipeline.phases.tokens.deal import shards_for
from sluice.pipeline.recipes.loader import decode, load
from sluice.pipeline.recipes.schema import TrainingSection
from sluice.pipeline.report import training
from sluice.pipeline.report.figures import digits, large
from sluice.pipeline.report.render import render
from sluice.pipeline.report.text import funnel, training_lines
from sluice.pipeline.report.training import budget_of, training_report, training_warnings
from sluice.schemas.errors import RecipeError
from sluice.schemas.report import MixtureReport, Report, TrainingReport
from tests.pipeline.runs import Job

ABOUT: dict[str, Any] = {
    "total_steps": 1_000,
    "tokens_per_step": 8_388_608,
    "tokens": 8_388_608_000,
    "epochs": 5.0,
    "wanted_tokens": 8_388_000_000,
    "worth_tokens": 7_700_000_000,
    "flops": 4.329e21,
    "model": {
        "name": "Grok-1",
        "total_parameters": 314e9,
        "active_parameters": 86e9,
        "experts": 8,
        "active_experts": 2,
        "vocabulary": 131_072,
    },
    "optimal": {
        "active": {"tokens": 1.72e12, "share": 0.004877, "days": 1025.0, "posts": 5.125e11},
        "total": {"tokens": 6.28e12, "share": 0.001336, "days": 3743.0, "posts": 1.872e12},
    },
    "next_day": {
        "tokens": 1_678_000_000,
        "sequences": 204_800,
        "steps": 200,
        "steps_with_leftover": 201,
        "earlier_runs": 3,
        "seen_before": 0.0312,
    },
}


RUN = {
    "sequence_length": 256,
    "global_batch_sequences": 8,
    "data_parallel_ranks": 2,
    "target_shard_bytes": 262_144,
}
"""The sizes of the fixture's recipe."""


def made_job(job: Job, *sets: str) -> PipelineJob:
    """The fixture's job, with some settings."""
    loaded = load(str(job.recipe), sets=sets)
    files = (str(job.sample / "posts-*.jsonl.gz"),)
    inputs = msgspec.structs.replace(loaded.input, files=files)
    return make_job(msgspec.structs.replace(loaded, input=inputs), out=str(job.output))


def finished_phases(made: PipelineJob) -> Results:
    """What the fixture's run did, as a job sees it whose phases are done."""
    results = Results()
    for phase, fingerprint in fingerprints(made).items():
        result = read_result(made, phase, fingerprint)
        assert result is not None
        results.add(result)
    return results


def fingerprints_of(job: Job, *sets: str) -> dict[str, str]:
    """The fingerprints of the job with some settings."""
    return fingerprints(made_job(job, *sets))


@pytest.mark.parametrize(
    ("setting", "redone"),
    [
        ("training.epochs=3", set()),
        ("training.model.active_parameters=8e9", set()),
        ("training.tokens=5000", {"tokens"}),
        ("training.workers_per_rank=2", {"tokens"}),
        ("mixture.language.temperature=2", {"tokens"}),
        ("mixture.max_repeats=2", set()),
    ],
)
def test_only_what_shards_depend_on_is_done_again(job: Job, setting: str, redone: set[str]) -> None:
    """Epochs and the model are for the report; sizes and the mixture are for the tokens phase alone."""
    before, after = fingerprints_of(job), fingerprints_of(job, setting)
    assert {phase for phase in before if before[phase] != after[phase]} == redone


def test_the_report_adds_up(job: Job) -> None:
    """Steps, tokens, FLOPs and shares are those of the sequences in the shards."""
    report = job.report()
    about, sequences = report["training"], report["sequences"]
    assert about["tokens_per_step"] == 8 * 256
    assert about["epoch_tokens"] == 256 * sequences["in_shards"]
    assert about["total_steps"] == about["steps"] == sequences["in_shards"] // 8
    assert about["tokens"] == about["worth_tokens"] == about["steps"] * 2048
    assert about["flops"] == pytest.approx(6 * 86e9 * about["tokens"], rel=1e-3)
    day = 256 * (sequences["in_shards"] + sequences["leftover"])
    assert about["next_day"]["tokens"] == day
    assert about["next_day"]["seen_before"] is None
    assert about["model"]["vocabulary"] == 131_072
    for which, parameters in (("active", 86e9), ("total", 314e9)):
        optimal = about["optimal"][which]
        assert optimal["tokens"] == 20 * parameters
        assert optimal["share"] == pytest.approx(about["tokens"] / (20 * parameters), rel=1e-3)
        assert optimal["days"] == pytest.approx(20 * parameters / day, rel=1e-3)
        assert optimal["posts"] == pytest.approx(optimal["days"] * 5000, rel=1e-3)


def test_many_epochs_make_a_warning(job: Job) -> None:
    """Five epochs of the same shards are worth less than five, and warned of."""
    made = made_job(job, "training.epochs=5")
    results = finished_phases(made)
    report = training_report(made, results)
    assert report.epochs == 5.0
    assert report.total_steps == 5 * job.report()["sequences"]["in_shards"] // 8
    assert report.tokens is not None
    assert 4 * report.epoch_tokens < report.worth_tokens < report.tokens
    assert [
        w for w in training_warnings(made, results) if "is 5 epochs of the shards: up to 4" in w
    ]
    assert not [w for w in job.report()["warnings"] if "epochs" in w]


def test_more_tokens_than_there_are_take_epochs(job: Job) -> None:
    """A million tokens of some 108,000 are nine epochs and more; the shards hold all that there is."""
    made = made_job(job, "training.tokens=1_000_000")
    in_shards = job.report()["sequences"]["in_shards"]
    budget = budget_of(made.recipe.training, in_shards)
    planned = shards_for(made.recipe.training, in_shards)
    assert planned == shards_for(TrainingSection(**RUN), in_shards)
    assert 1_000_000 <= budget.tokens < 1_000_000 + budget.tokens_per_step
    assert budget.epochs == pytest.approx(budget.tokens / (256 * in_shards))


@pytest.mark.parametrize(
    ("runs", "earlier", "share"),
    [(0, {}, None), (2, {}, 0.0), (2, {"redelivered": 5, "exact": 10, "near": 25}, None)],
)
def test_the_history_says_what_another_day_shares(
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
    runs: int,
    earlier: dict[str, int],
    share: float | None,
) -> None:
    """The share is of the posts that would be kept without the history; unknown where nothing was read."""
    made, kept = made_job(job), job.report()["posts"]["kept"]
    results = finished_phases(made)
    results.phases.dedup.drop.earlier = earlier
    monkeypatch.setattr(training, "history_read", lambda _: ("segment",) * runs)
    expected = 40 / (40 + kept) if earlier else share
    day = training_report(made, results).next_day
    assert day.earlier_runs == runs
    assert day.seen_before == (None if expected is None else pytest.approx(expected, rel=1e-3))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"epochs": 2, "tokens": 9}, r"\$\.training: epochs and tokens both say"),
        ({"epochs": 0}, r"\$\.training\.epochs: .* >= 1"),
        ({"workers_per_rank": 0}, r"\$\.training\.workers_per_rank: .* >= 1"),
        ({"model": {"active_parameters": 4e11}}, r"\$\.training\.model: active_parameters must be"),
        ({"model": {"experts": 1}}, r"\$\.training\.model: active_experts must be at most experts"),
        ({"model": {"parameters": 1}}, r"\$\.training\.model\.parameters: unknown key"),
    ],
)
def test_a_training_that_cannot_be_is_refused(table: dict[str, Any], message: str) -> None:
    """The message names the key and what is wrong with it."""
    with pytest.raises(RecipeError, match=message):
        decode({"name": "small", "training": table}, where="small.toml")


def test_every_key_of_the_training_reaches_the_plan() -> None:
    """Ranks, workers, size, batch and wanted tokens each change the shards."""
    changes: list[dict[str, Any]] = [
        {"data_parallel_ranks": 5},
        {"workers_per_rank": 3},
        {"target_shard_bytes": 1 << 22},
        {"tokens": 1_000_000},
        {"sequence_length": 64},
        {"global_batch_sequences": 7},
    ]
    plans = [shards_for(TrainingSection(**change), 10_007) for change in [{}, *changes]]
    assert len(set(plans)) == len(plans)


def test_the_page_has_the_training() -> None:
    """Steps, tokens, epochs, FLOPs, both optimal counts, and what the history knows."""
    page = render(Report(training=msgspec.convert(ABOUT, TrainingReport)))
    for words in (
        "1,000 steps of 8.39 million tokens: 8.39 billion tokens, 5 epochs",
        "as much as 7.7 billion tokens that are all new",
        "Grok-1: 314 billion parameters, 86 billion active, 2 of 8 experts, 131,072 entries",
        "4.33e+21 FLOPs",
        "1.72 trillion tokens: this training has 0.488 %, 1,025 such days have as many, "
        "of 512 billion posts read",
        "1.68 billion distinct tokens, 204,800 sequences, 200 steps; 201 with what is left over here",
        "3.1 % of the posts, by 3 earlier runs",
    ):
        assert words in page
    assert 'id="mixture"' not in page


@pytest.mark.parametrize("gone", [*ABOUT, *(f"next_day.{k}" for k in ABOUT["next_day"])])
def test_missing_figures_leave_the_others(gone: str) -> None:
    """A report that lacks a figure, as one of an earlier version may, still has the others."""
    training = json.loads(json.dumps(ABOUT))
    table, _, key = gone.rpartition(".")
    del (training[table] if table else training)[key]
    page = render(Report(training=msgspec.convert(training, TrainingReport)))
    section = re.search('<section id="training">.*?</section>', page, re.S)
    assert section is None if gone == "tokens" else section and section[0].count("<dt>") >= 6


def test_the_page_has_the_mixture_with_the_largest_groups_first() -> None:
    """One row per group: shares before, aimed at and after, and counts."""
    row = {"share": 0.9, "target": 0.6, "rate": 0.6667, "share_after": 0.61}
    counts = {"posts": 900, "left_out": 300, "documents": 600}
    about = {
        "max_repeats": 4.0,
        "left_out": 300,
        "repeated": 210,
        "by_lang": {"de": {"share": 0.1}, "en": row | counts},
        "by_source": {},
    }
    page = render(Report(mixture=msgspec.convert(about, MixtureReport)))
    assert "300 posts were left out and 210 repeats were put in" in page
    assert page.index(">en</th>") < page.index(">de</th>")
    for cell in ("90.0 %", "60.0 %", "0.667", "61.0 %", "900", "300", "600"):
        assert f">{cell}</td>" in page


def test_the_terminal_has_two_lines(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    """What the training is and how far it goes stand under the funnel."""
    lines = training_lines(msgspec.convert(ABOUT, TrainingReport))
    assert lines[0].startswith("training           1,000   steps of 8.39 million tokens, 5 epochs")
    assert lines[1].startswith("optimal          0.488 %   of 1.72 trillion tokens")
    report = msgspec.convert(job.report(), Report)
    assert set(training_lines(report.training)) <= set(funnel(report))
    assert cli.main(["report", str(job.output)]) == 0
    assert "steps of 2,048 tokens, 1 epoch, " in capsys.readouterr().out


def test_large_numbers_are_written_for_people() -> None:
    """Three digits and a name from a million on; powers above trillions; a dash for no number."""
    assert [large(n) for n in (999_999, 1e6, 999.4e6, 999.6e6, 1.72e12, 5e15, None, True)] == [
        *("999,999", "1 million", "999 million", "1 billion", "1.72 trillion", "5e+15", "–", "–"),
    ]
    assert [digits(n) for n in (0.000612, 200, 5.41e18, None)] == [
        "0.000612",
        "200",
        "5.41e+18",
        "–",
    ]
