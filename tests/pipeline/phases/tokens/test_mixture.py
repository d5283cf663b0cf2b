"""The mixture: shares, rates, draws and copies; and a run with one, whose books balance."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.text.hashing import hash_texts
from sluice.pipeline import cli
from sluice.pipeline.outputs.verify import verify
from sluice.pipeline.phases.tokens.mixture import (
    RepeatRates,
    copies,
    quality_of,
    quality_steps,
    repeat_rates,
    sum_of_ids,
    target_shares,
)
from sluice.pipeline.phases.vocabulary.sampling import fill
from sluice.pipeline.recipes import loader
from sluice.pipeline.recipes.schema import Shares
from sluice.schemas.errors import RecipeError
from tests.docs.pages import quoted, table
from tests.docs.report_keys import leaves, pattern
from tests.pipeline.runs import Job, contract_bytes, copy_plain, linked_output, reject_rows, run

AMOUNTS = st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 1 << 40), min_size=1)
SHARES = st.builds(
    Shares,
    temperature=st.floats(0.5, 100),
    weights=st.dictionaries(st.text("abc", min_size=1, max_size=1), st.floats(0, 0.3), max_size=3),
    max_share=st.floats(0.3, 1.0),
)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(1e-6, 1)), min_size=1, max_size=30),
    st.floats(1e-3, 5),
)
def test_fill_is_the_level_that_bisection_finds(
    groups: list[tuple[float, float]], total: float
) -> None:
    """min(c * weight, limit) with the c that makes the sum right, or all limits of groups with weight."""
    weight_G, limit_G = np.array(groups).T
    weight_G = np.where(weight_G < 1e-6, 0.0, weight_G)
    found_G = fill(weight_G, limit_G, total=total)
    low, high = 0.0, 1e8
    for _ in range(200):
        middle = (low + high) / 2
        below = np.minimum(middle * weight_G, limit_G).sum() < total
        low, high = (middle, high) if below else (low, middle)
    np.testing.assert_allclose(found_G, np.minimum(high * weight_G, limit_G), rtol=1e-9, atol=1e-12)


@given(AMOUNTS, SHARES)
def test_targets_are_shares(amounts: dict[str, int], shares: Shares) -> None:
    """They sum to 1, weights are met, and no other group is above the largest share unless all must be."""
    targets = target_shares(amounts, shares)
    rest = [name for name in amounts if name not in shares.weights]
    if not rest and not sum(shares.weights.get(name, 0.0) for name in amounts):
        assert targets == {}
        return
    assert sum(targets.values()) == pytest.approx(1.0)
    if rest:
        free = 1 - sum(shares.weights.get(name, 0.0) for name in amounts)
        limit = max(shares.max_share, free / len(rest))
        assert all(targets[name] <= limit * (1 + 1e-9) for name in rest)
        assert all(targets[name] == shares.weights[name] for name in set(amounts) - set(rest))


@given(AMOUNTS, SHARES, st.floats(1, 8))
def test_rates_keep_to_every_limit(
    amounts: dict[str, int], shares: Shares, max_repeats: float
) -> None:
    """No rate is above `max_repeats`, no group above its share of what there is, the total never grows."""
    rates = repeat_rates(amounts, shares, max_repeats=max_repeats)
    total, targets = sum(amounts.values()), target_shares(amounts, shares)
    after = {name: rates[name] * amounts[name] / total for name in amounts}
    slack = 1e-9
    assert all(0 <= rate <= max_repeats + slack for rate in rates.values())
    assert sum(after.values()) <= 1 + slack
    for name, share in after.items():
        assert share <= max(shares.max_share, targets.get(name, 0.0)) + slack
    if shares.max_share == 1.0 and min(targets.values(), default=0.0) > 0:
        assert sum(after.values()) == pytest.approx(1.0)


@given(AMOUNTS, st.floats(1, 8))
def test_temperature_one_leaves_every_post_once(
    amounts: dict[str, int], max_repeats: float
) -> None:
    """The defaults are the identity."""
    rates = repeat_rates(amounts, Shares(), max_repeats=max_repeats)
    assert all(rate == pytest.approx(1.0) for rate in rates.values())


def test_shares_by_hand() -> None:
    """90 and 10 at temperature 2 are 3 to 1; a weight and a cap take what they say."""
    amounts = {"en": 90, "sw": 10}
    assert target_shares(amounts, Shares(temperature=2)) == pytest.approx({"en": 0.75, "sw": 0.25})
    assert target_shares(amounts, Shares(weights={"sw": 0.4})) == {"en": 0.6, "sw": 0.4}
    more = {"en": 80, "de": 15, "sw": 5}
    found = target_shares(more, Shares(max_share=0.5))
    assert found == pytest.approx({"en": 0.5, "de": 0.375, "sw": 0.125})
    rates = repeat_rates(more, Shares(max_share=0.5), max_repeats=2)
    assert rates == pytest.approx({"en": 0.625, "de": 2.0, "sw": 2.0})
    assert repeat_rates(amounts, Shares(weights={"sw": 0.9}), max_repeats=4) == pytest.approx(
        {"en": 0.6 / 0.9, "sw": 4.0}
    )


def batch(languages: list[str | None], sources: list[str | None]) -> pa.RecordBatch:
    columns = [pa.array(languages, pa.string()), pa.array(sources, pa.string())]
    return pa.RecordBatch.from_arrays(columns, ["language", "source"])


def mixture(rate: float, *, source_rate: float = 1.0, max_repeats: float = 4.0) -> RepeatRates:
    languages = (("en", rate), ("unknown", 1.0))
    sources = (("unknown", 1.0), ("web", source_rate))
    return RepeatRates(languages, sources, (), max_repeats, seed=3, output="", files=())


@given(st.floats(0, 4), st.integers(0, 2**32 - 1))
def test_repeats_are_exact_in_expectation(rate: float, seed: int) -> None:
    """Every post stands floor(rate) times or once more, and the mean is within six standard errors."""
    posts = 20_000
    made = RepeatRates((("en", rate),), (("web", 1.0),), (), 4.0, seed=seed, output="", files=())
    order_N = np.random.default_rng(seed).integers(0, 1 << 64, posts, np.uint64)
    repeats_N = made.repeats(batch(["en"] * posts, ["web"] * posts), order_N)
    assert set((repeats_N - int(rate)).tolist()) <= {0, 1}
    fraction = rate - int(rate)
    error = np.sqrt(fraction * (1 - fraction) / posts) + 1 / posts
    assert abs(repeats_N.mean() - rate) <= 6 * error


@given(st.floats(0, 4), st.floats(0, 4), st.integers(0, 50))
def test_batches_and_rates_do_not_disturb_the_draw(low: float, high: float, cut: int) -> None:
    """A post's draw is its own: parts of a batch draw alike, and a higher rate never takes a copy away."""
    low, high = sorted((low, high))
    order_N = hash_texts(pa.array([f"post {i}" for i in range(50)]))
    posts = batch(["en", None] * 25, ["web", None] * 25)
    made = mixture(low)
    whole_N = made.repeats(posts, order_N)
    parts = [(posts.slice(0, cut), order_N[:cut]), (posts.slice(cut), order_N[cut:])]
    np.testing.assert_array_equal(whole_N, np.concatenate([made.repeats(*p) for p in parts]))
    assert (whole_N[1::2] == 1).all()
    assert (mixture(high).repeats(posts, order_N) >= whole_N).all()


def test_posts_of_a_document_are_drawn_together() -> None:
    """Posts with one document's hash and one rate stand equally often."""
    order_N = np.repeat(hash_texts(pa.array([f"talk {i}" for i in range(500)])), 4)
    repeats_N = mixture(1.5).repeats(batch(["en"] * 2000, ["web"] * 2000), order_N)
    assert (repeats_N.reshape(500, 4) == repeats_N[::4, None]).all()
    assert set(repeats_N.tolist()) == {1, 2}


def test_rates_multiply_up_to_the_limit() -> None:
    """Language and source both count; the product is at most `max_repeats`; null is `unknown`."""
    posts = batch(["en", "en", None], ["web", None, "web"])
    rates_N = mixture(1.5, source_rate=2.0, max_repeats=2.5).rates(posts)
    assert rates_N.tolist() == [2.5, 1.5, 2.0]


@given(st.lists(st.integers(0, 6), max_size=40))
def test_copies_have_places_of_their_own(repeats: list[int]) -> None:
    """Each post has as many rows as it repeats, the first with its hash, the others with other hashes."""
    order_N = hash_texts(pa.array([f"post {i}" for i in range(len(repeats))], pa.string()))
    made = copies(order_N, np.array(repeats, np.int64))
    assert np.bincount(made.row_M, minlength=len(repeats)).tolist() == repeats
    first = [i for i, n in enumerate(repeats) if n]
    assert made.row_M[made.first_M].tolist() == first
    np.testing.assert_array_equal(made.order_M[made.first_M], order_N[first])
    assert len(set(made.order_M.tolist())) == len(made.order_M)


def test_copies_mix() -> None:
    """Second copies lie as far from the first as chance has it, and in no order of theirs."""
    order_N = hash_texts(pa.array([f"post {i}" for i in range(4000)]))
    made = copies(order_N, np.full(4000, 2))
    places = made.order_M.reshape(4000, 2).astype(np.float64)
    assert abs(np.corrcoef(places.T)[0, 1]) < 0.06
    assert 0.3 < (np.abs(places[:, 1] - places[:, 0]).mean() / 2.0**64) < 0.37


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("language.weights={en=0.7,de=0.4}", r"\$\.mixture\.language: .* at most 1, it is 1\.1"),
        ("language={weights={en=0.7},max_share=0.5}", r"'en' is above max_share = 0\.5"),
        ("language.temperature=0", r"\$\.mixture\.language\.temperature: .* > 0"),
        ("source.max_shares=0.5", r"unknown key; did you mean 'max_share'\?"),
        ("max_repeats=0.5", r"\$\.mixture\.max_repeats: .* >= 1"),
        ("source.weights={web=1.5}", r"\$\.mixture\.source\.weights.*<= 1"),
        (
            "quality=[{min_quality=0.5, rate=1}, {min_quality=0.5, rate=2}]",
            r"quality: min_quality must rise from one to the next, 0\.5 is behind 0\.5",
        ),
        ("quality=[{min_quality=0.5, rates=1}]", r"rates.*did you mean 'rate'"),
        (
            "quality=[{min_quality=0.5, rate=inf}]",
            r"quality: a rate must be at most max_repeats = 4, got inf",
        ),
        ("quality=[{min_quality=0.5, rate=-1}]", r"\$\.mixture\.quality\[0\]\.rate.*>= 0"),
    ],
)
def test_a_mixture_that_cannot_be_is_refused(setting: str, message: str) -> None:
    """The message names the key and what is wrong with it."""
    with pytest.raises(RecipeError, match=message):
        loader.load("default", sets=(f"mixture.{setting}",))


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 8), st.floats(0, 5)),
        min_size=1,
        max_size=6,
        unique_by=lambda s: s[0],
    ),
    scores=st.lists(st.integers(0, 16), max_size=20),
)
def test_steps_of_quality_are_those_that_a_score_reaches(
    steps: list[tuple[int, float]], scores: list[int]
) -> None:
    """As counted one by one."""
    rising = sorted((least / 8, rate) for least, rate in steps)
    found_N = quality_steps(rising, np.array(scores, np.float32) / 16)
    assert found_N.tolist() == [sum(least <= score / 16 for least, _ in rising) for score in scores]


def test_rates_by_quality_are_those_of_the_shipped_screen() -> None:
    """A row's rate is that of its language times that of its score, and `max_repeats` at most."""
    texts = [
        "lol",
        "The river rose two metres overnight and the bridge at Kilmore is closed, police said.",
    ]
    rows = {"language": ["en"] * 2, "source": ["web"] * 2, "text": texts}
    batch = pa.RecordBatch.from_pydict(rows)
    low, high = sorted(quality_of(batch.column("text")).tolist())
    assert low < high
    middle = (low + high) / 2
    rates = (("en", 2.0),), (("web", 1.0),), ((0.0, 0.5), (middle, 3.0))
    made = RepeatRates(*rates, 4.0, seed=1, output="", files=())
    assert sorted(made.rates(batch).tolist()) == [1.0, 4.0]


# --- a run ------------------------------------------------------------------------------------

SETS = (
    *(
        "--set",
        "mixture.language.temperature=3",
        "--set",
        "mixture.source.weights={web=0.1,ham=0.1}",
    ),
    *("--set", "mixture.max_repeats=3", "--set", "training.tokens=20000"),
)


@pytest.fixture(scope="module")
def mixed(job: Job, frozen: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The main job with a mixture, and with fewer tokens wanted than there are."""
    output = linked_output(frozen.output, tmp_path_factory.mktemp("mixed") / "out")
    assert run(job, output, "--set", f"vocabulary.tokenizer={job.tokenizer}", *SETS) == 0
    return output


def read(output: Path, name: str) -> dict[str, Any]:
    return json.loads((output / name).read_text("utf-8"))


def times(output: Path) -> Counter[str]:
    """How often each post stands in the shards and the leftover."""
    found: Counter[str] = Counter()
    for folder in ("provenance", "leftover"):
        for path in (output / folder).glob("*.parquet"):
            rows = pq.read_table(path, filters=[("piece", "==", 0)])
            found.update(rows["post_id"].to_pylist())
    return found


def test_a_mixture_loses_nothing(job: Job, mixed: Path) -> None:
    """What was kept without it stands in sequences, or is a reject row; and the run verifies."""
    stand, before = times(mixed), set(times(job.output))
    out = [r for r in reject_rows(mixed) if r["reason"] == "mixture"]
    assert {r["post_id"] for r in out} | set(stand) == before
    assert len(out) + len(stand) == len(before)
    assert {(r["kind"], r["phase"], r["stage"]) for r in out} == {("policy", "tokens", "mixture")}
    assert all(0 <= r["score"] < 1 for r in out)
    rows = {(r["source_file"], r["source_row"]) for r in reject_rows(mixed)}
    assert len(rows) == read(mixed, "report/report.json")["posts"]["read"] - len(stand)
    assert verify(str(mixed), say=lambda _: None) == []


def test_the_report_has_what_stands_where(mixed: Path) -> None:
    """Counts and shares are those of provenance, and shares move to where they are aimed."""
    report, stand = read(mixed, "report/report.json"), times(mixed)
    about, posts = report["mixture"], report["posts"]
    assert about["left_out"] == posts["rejected"]["mixture"] > 0
    assert posts["kept"] == len(stand)
    assert about["repeated"] == sum(stand.values()) - len(stand) > 0
    assert max(stand.values()) == 3
    assert report["tokens"]["distinct"] < report["tokens"]["encoded"]
    for by in ("by_lang", "by_source"):
        groups = about[by].values()
        assert sum(g["documents"] for g in groups) == sum(stand.values())
        assert sum(g["left_out"] for g in groups) == about["left_out"]
        assert sum(g["share_after"] for g in groups) == pytest.approx(1, abs=0.01)
    english, german = about["by_lang"]["en"], about["by_lang"]["de"]
    assert english["target"] < english["share_after"] < english["share"]
    assert german["share"] < german["share_after"]
    assert report["warnings"][-1] == "mixture.source.weights: no post is of ham"


def test_the_rows_of_the_report_are_documented(mixed: Path, weighed: Path) -> None:
    """The page has every key of the report's mixture, and no other."""
    about = read(mixed, "report/report.json")["mixture"]
    about["by_quality"] = read(weighed, "report/report.json")["mixture"]["by_quality"]
    documented = [pattern(key) for row in table("mixture") for key in quoted(row[0])]
    found = list(leaves(about))
    assert [path for path in found if not any(p.fullmatch(path) for p in documented)] == []
    assert [p.pattern for p in documented if not any(p.fullmatch(path) for path in found)] == []


def test_wanted_tokens_are_in_the_shards(mixed: Path) -> None:
    """20,000 tokens are 10 steps of 2,048: 80 sequences of 256 in two shards; the rest is left over."""
    report = read(mixed, "report/report.json")
    assert (report["shards"]["count"], report["shards"]["sequences_each"]) == (2, 40)
    training = report["training"]
    assert (training["total_steps"], training["tokens"], training["epochs"]) == (10, 20_480, 1.0)
    assert report["sequences"]["leftover"] > 300
    leftover = pq.read_table(mixed / "leftover" / "provenance.parquet")["sequence"].to_numpy()
    assert sorted(set(leftover.tolist())) == list(range(report["sequences"]["leftover"]))


def test_units_do_not_show_in_a_mixture(job: Job, mixed: Path, tmp_path: Path, rerun: Any) -> None:
    """Plain files cut into many units give the same shards and leave the same posts out."""
    plain = copy_plain(job, tmp_path / "plain")
    output = rerun("--set", "input.unit_bytes=65536", *SETS, inputs=str(plain / "*.jsonl"))
    folders = ("tokens", "provenance", "leftover")
    assert contract_bytes(output, *folders) == contract_bytes(mixed, *folders)


@pytest.fixture(scope="module")
def weighed(job: Job, frozen: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The main job with a mixture by quality."""
    output = linked_output(frozen.output, tmp_path_factory.mktemp("weighed") / "out")
    steps = "mixture.quality=[{min_quality=0, rate=0.5}, {min_quality=0.5, rate=2}]"
    sets = ("--set", f"vocabulary.tokenizer={job.tokenizer}", "--set", steps)
    assert run(job, output, *sets) == 0
    return output


def test_a_mixture_by_quality_loses_nothing(job: Job, weighed: Path) -> None:
    """Posts of low scores are left out or stand once, those of high ones stand twice; the run verifies."""
    output = weighed
    stand, before = times(output), set(times(job.output))
    out = {r["post_id"]: r["score"] for r in reject_rows(output) if r["reason"] == "mixture"}
    assert set(out) | set(stand) == before
    assert not set(out) & set(stand)
    assert set(out.values()) == {0.5}
    assert set(stand.values()) == {1, 2}
    steps = read(output, "report/report.json")["mixture"]["by_quality"]
    told = [(step["min_quality"], step["rate"]) for step in steps]
    assert told == [(None, 1.0), (0.0, 0.5), (0.5, 2.0)]
    assert [step["left_out"] for step in steps] == [0, len(out), 0]
    assert steps[2]["documents"] == 2 * steps[2]["posts"]
    assert sum(step["documents"] for step in steps) == sum(stand.values())
    assert sum(step["posts"] for step in steps) == len(before)
    assert verify(str(output), say=lambda _: None) == []


def test_inspect_says_what_the_mixture_did(mixed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A post that stands three times has three places; one that was left out has its rate."""
    thrice = next(post for post, n in times(mixed).items() if n == 3)
    assert cli.main(["inspect", str(mixed), thrice]) == 0
    said = capsys.readouterr().out
    assert said.count("offset") >= 3
    assert "3 times" in said
    row = next(r for r in reject_rows(mixed) if r["reason"] == "mixture")
    assert cli.main(["inspect", str(mixed), row["post_id"]]) == 0
    said = capsys.readouterr().out
    assert f"policy  tokens/mixture: mixture  score {row['score']:.4g}" in said
    assert "language" in said


@pytest.mark.parametrize("change", ["lost", "swapped"])
def test_verify_finds_a_copy_that_is_lost_or_swapped(
    mixed: Path, tmp_path: Path, change: str
) -> None:
    """A missing copy, or one in the place of another post's, is not as the mixture says."""
    output = tmp_path / "out"
    output.mkdir()
    for path in mixed.iterdir():
        if path.name != "leftover":
            (output / path.name).symlink_to(path)
    (output / "leftover").mkdir()
    (output / "leftover" / "tokens.arrow").symlink_to(mixed / "leftover" / "tokens.arrow")
    rows = pq.read_table(mixed / "leftover" / "provenance.parquet")
    stand, ids = times(mixed), rows["post_id"].to_pylist()
    thrice = next(i for i, post in enumerate(ids) if stand[post] == 3)
    if change == "swapped":
        ids[thrice] = next(post for post in ids if stand[post] == 1)
        rows = rows.set_column(rows.column_names.index("post_id"), "post_id", pa.array(ids))
    else:
        rows = rows.take(np.delete(np.arange(len(ids)), thrice))
    pq.write_table(rows, output / "leftover" / "provenance.parquet")
    problems = "\n".join(verify(str(output), say=lambda _: None))
    expected = {"lost": "posts, repeats counted, the ledger says", "swapped": "more often than the"}
    assert expected[change] in problems


def test_sums_of_ids_tell_lists_apart() -> None:
    """The sum does not overflow where all hashes are the largest, and differs for one other post."""
    largest = np.full(1 << 12, (1 << 64) - 1, np.uint64)
    assert sum_of_ids(largest) == (1 << 12) * ((1 << 32) - 1)
    one, other = (hash_texts(pa.array(["a", "b", last])) for last in ("b", "c"))
    assert sum_of_ids(one) != sum_of_ids(other)
