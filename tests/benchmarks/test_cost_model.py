"""The cost model: its simulation against closed forms, its bytes against a run of another size."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import cost_model
from benchmarks.cost_measure import Measured, StageCost, measure, run_timed
from benchmarks.cost_scale import Assumptions, edge_bytes, layout, stage_cpu
from benchmarks.makespan import Steps, makespan, spread, stage_seconds
from tests.pipeline.runs import Job
from tests.repository import ROOT

PLAIN = Assumptions()
TOLERANCE = 0.15
"""All files of the larger run are within this of what is said from the smaller; on bytes, not on times."""


# --- the simulation ----------------------------------------------------------------------------


@given(units=st.integers(1, 200), workers=st.integers(1, 50), seconds=st.floats(0.1, 100))
def test_equal_units(units: int, workers: int, seconds: float) -> None:
    """Equal units take as many rounds as it takes."""
    found = stage_seconds(np.full(units, seconds), workers)
    assert found == pytest.approx(math.ceil(units / workers) * seconds)


@given(units=st.lists(st.floats(0.01, 100), min_size=1, max_size=100), workers=st.integers(1, 20))
def test_any_units(units: list[float], workers: int) -> None:
    """No schedule is shorter than the work divided or the longest unit; this one is within Graham's bound."""
    total, longest = sum(units), max(units)
    found = stage_seconds(np.array(units), workers)
    assert max(total / workers, longest) <= found * (1 + 1e-9)
    assert found <= total / workers + longest * (1 - 1 / workers) + 1e-9


def test_one_worker_and_many() -> None:
    """One worker takes the sum of all; as many as units take the longest; serial time is not divided."""
    units = np.array([3.0, 1.0, 2.0])
    job = Steps([("a", units), ("b", units)], serial=10.0, start=5.0)
    assert makespan([job], 1) == 15 + 12
    assert makespan([job], 3) == 15 + 6
    assert makespan([job, job], 1_000) == 2 * (15 + 6)
    assert stage_seconds(np.empty(0), 4) == 0


@given(units=st.integers(1, 500), mean=st.floats(0.1, 10), seed=st.integers(0, 9))
def test_spread(units: int, mean: float, seed: int) -> None:
    """Drawn units have the mean that was asked for, and the spread of the sample; slow ones are added."""
    sample = np.array([1.0, 2.0, 3.0])
    drawn = spread(sample, units, mean, seed=seed, straggler=(0.0, 1.0))
    assert drawn.mean() == pytest.approx(mean)
    assert drawn.max() / drawn.min() <= 3 + 1e-9
    slow = spread(sample, units, mean, seed=seed, straggler=(1.0, 4.0))
    assert slow == pytest.approx(4 * drawn)


# --- what a run says ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(job: Job) -> Measured:
    return measure(job.output)


@pytest.fixture(scope="module")
def half(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """A timed run over two of the sample's four files, with the tokenizer of the whole."""
    output = tmp_path_factory.mktemp("half") / "out"
    files = [str(path) for path in sorted(job.sample.glob("*.gz"))[:2]]
    frozen = ["--set", f"vocabulary.tokenizer={job.tokenizer}"]
    assert run_timed([str(job.recipe), "--input", *files, *frozen], output=output) == 0
    return measure(output)


def test_a_run_is_measured(job: Job, whole: Measured) -> None:
    """Posts, bytes and units are those of the report and of the files themselves."""
    report = job.report()
    assert (whole.posts, whole.survivors) == (report["posts"]["read"], report["posts"]["kept"])
    assert whole.bytes_of("clean.keys") == sum(
        path.stat().st_size for path in job.output.glob("work/clean-*/clean/*.keys.arrow")
    )
    written = [*job.output.glob("tokens/*.arrow"), *job.output.glob("leftover/tokens.arrow")]
    assert whole.bytes_of("shard.shard") == sum(path.stat().st_size for path in written)
    assert whole.stage("clean").units == len(list(job.sample.glob("*.gz")))
    assert whole.stage("clean").cpu == ()


def test_units_are_timed(half: Measured) -> None:
    """A timed run has the seconds of every unit of every stage."""
    assert all(len(s.cpu) == s.units and min(s.cpu) > 0 for s in half.stages)


def test_opening_is_what_the_first_unit_took_more() -> None:
    """Models are opened in a worker's first unit; the others say what a unit's work is."""
    stage = StageCost("clean", "clean", 3, (5.0, 2.0, 2.0), 0)
    assert (stage.opening, stage.working) == (3.0, 6.0)
    assert StageCost("dedup", "join", 1, (2.0,), 0).working == 2.0


def test_bytes_of_the_larger_run(half: Measured, whole: Measured) -> None:
    """What the model says of twice the posts is what the run wrote, within the tolerance."""
    found = cost_model.predicted(half, whole, PLAIN)
    for name in ("all files", "clean.kept", "clean.keys", "encode.documents", "shard.shard"):
        said, wrote = found[name]
        assert said == pytest.approx(wrote, rel=TOLERANCE), name


def test_the_run_itself_is_what_the_model_says_of_it(whole: Measured) -> None:
    """At the measured size the model gives the measured bytes."""
    said = edge_bytes(whole, whole.posts, cost_model._cut_of(whole), PLAIN)
    wrote = {f"{e.stage}.{e.name}": e.bytes for e in whole.edges}
    assert set(said) == set(wrote)
    assert sum(said.values()) == pytest.approx(sum(wrote.values()), rel=0.02)


@given(posts=st.integers(10**6, 10**11), factor=st.integers(2, 50))
def test_more_posts_cost_more(half: Measured, posts: int, factor: int) -> None:
    """Units, ranges, CPU seconds and bytes never fall with the posts, and CPU grows about as they do."""
    few, many = (cost_model.estimate(half, n, PLAIN) for n in (posts, posts * factor))
    assert few.cut.units <= many.cut.units
    assert sum(few.cut.ranges().values()) < sum(many.cut.ranges().values())
    assert few.cpu < many.cpu
    assert few.written < many.written
    assert few.gets < many.gets


def test_fewer_ranges_wait_less(half: Measured) -> None:
    """Longer runs have fewer ranges, and requests one after the other wait longer, by their number."""
    day = cost_model.DAY
    shorter = msgspec.structs.replace(PLAIN, max_run_bytes=16 << 20)
    assert layout(half, day, PLAIN).runs < layout(half, day, shorter).runs

    def wait(assumed: Assumptions) -> float:
        cut = layout(half, day, assumed)
        return sum(s.wait for s in stage_cpu(half, day, cut, assumed))

    one = msgspec.structs.replace(PLAIN, requests_at_once=1)
    assert wait(PLAIN) < wait(shorter)
    assert wait(one) == pytest.approx(wait(PLAIN) * PLAIN.requests_at_once)


def test_the_page(half: Measured, whole: Measured) -> None:
    """All tables are written, and a changed assumption changes them."""
    lines = list(cost_model.page(half, PLAIN, whole))
    assert sum(line.startswith("### ") for line in lines) == 11
    assert "| `request_seconds` | 0.03 |" in lines
    dear = msgspec.structs.replace(PLAIN, vcpu_hour=1.0)
    assert list(cost_model.page(half, dear, whole)) != lines


def test_the_page_in_docs_has_the_tables() -> None:
    """docs/scale.md has the tables between the marks that the command writes."""
    page = (ROOT / "docs" / "scale.md").read_text("utf-8")
    _, _, rest = page.partition("<!-- figures: written by benchmarks.cost_model -->")
    figures, end, _ = rest.partition("<!-- end of figures: cost_model -->")
    assert end
    assert figures.count("### ") == 11
