"""The scale benchmark: its posts are what it says, its runs have figures, its page keeps its neighbours."""

import gzip
import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import scale_tables
from benchmarks.dedup_scale import Bench, measure, prepare
from benchmarks.process import CommandError, Usage
from benchmarks.scale_corpora import FILLERS, Corpus, make, part_of, template_texts
from benchmarks.scale_run import DedupWork, ScaleRun
from benchmarks.watch import Memory, PhasePeak, descendants, memory_of, phase_peaks
from benchmarks.whole import Outcome, Phase, WholeRun

WORDS = (
    "rain fell over quiet towns while trains ran late and nobody minded because bakers had opened "
    "early with warm bread for all who waited near that old station under grey morning clouds"
)
NUM_REAL = 300


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A folder with a frozen tokenizer."""
    bench = Bench(tmp_path_factory.mktemp("scale"))
    prepare(bench, num_posts=1000)
    return bench


@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose firehose is NUM_REAL invented posts in two files, some of them twice."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "firehose").mkdir()
    draw = random.Random(3)
    texts = [
        " ".join(draw.choices(WORDS.split(), k=draw.randint(12, 20))) for _ in range(NUM_REAL - 60)
    ]
    texts += texts[:60]
    lines = [json.dumps({"id": str(i), "text": t, "lang": "en"}) for i, t in enumerate(texts)]
    for name, part in (("a", lines[::2]), ("b", lines[1::2])):
        with gzip.open(folder / "firehose" / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.write("\n".join(part) + "\n")
    return folder


def num_lines(files: tuple[Path, ...]) -> int:
    """Returns the posts in files; blank lines are none."""
    total = 0
    for path in files:
        with gzip.open(path) as lines:
            total += sum(1 for line in lines if line.strip())
    return total


def check_nested(corpus: Corpus) -> None:
    """Asserts that each size begins the next one, and has as many posts as were asked for."""
    for prefix in corpus.prefixes:
        assert num_lines(prefix.files) >= prefix.posts
    for small, large in zip(corpus.prefixes, corpus.prefixes[1:], strict=False):
        assert small.posts < large.posts
        assert small.files == large.files[: len(small.files)]
        assert len(small.files) < len(large.files)


def check_figures(run: ScaleRun) -> None:
    """Asserts that a run has all its figures, and that they agree."""
    whole, dedup = run.whole, run.dedup
    assert [p.name for p in whole.phases] == [p.name for p in run.peaks]
    assert 0 < whole.phase("dedup").posts <= whole.outcome.read
    assert sum(whole.duplicates.values()) == whole.outcome.duplicates
    assert 0 < dedup.largest_component <= dedup.counts["candidates"]
    assert dedup.components <= dedup.counts["candidates"] // 2
    assert dedup.counts["edges"] > 0
    assert min(dedup.file_bytes[edge] for edge in ("keys", "candidates")) > 0
    assert list(dedup.stages)[:2] == ["buckets", "join"]
    assert all(seconds >= 0 for seconds in dedup.stages.values())
    most = max(peak.anonymous_bytes for peak in run.peaks)
    assert 50 << 20 < most < run.high_water_bytes
    assert run.input_bytes < run.output_bytes


@pytest.mark.slow
def test_synthetic_posts(bench: Bench) -> None:
    """The smaller size begins the larger, and a run has its figures."""
    [corpus] = make("sample", sizes=[2000, 1000], work=bench.work, data=None)
    check_nested(corpus)
    assert num_lines(corpus.prefixes[1].files) == 2000
    run = measure(bench, corpus, corpus.prefixes[1])
    check_figures(run)
    assert run.whole.outcome.read == 2000
    assert not (bench.work / "out").exists()


@pytest.mark.slow
def test_real_posts(bench: Bench, invented: Path) -> None:
    """A size is whole copies, each with other words: all copies have as many duplicates."""
    sizes = [NUM_REAL // 2, NUM_REAL, NUM_REAL + 1]
    [corpus] = make("real", sizes=sizes, work=bench.work, data=invented)
    check_nested(corpus)
    assert [prefix.posts for prefix in corpus.prefixes] == [NUM_REAL, NUM_REAL + 1]
    assert [len(prefix.files) for prefix in corpus.prefixes] == [2, 4]
    recipe = bench.work / "every.toml"
    recipe.write_text('name = "every"\n')  # words at random may be of no language
    run = measure(bench, corpus._replace(recipe=str(recipe)), corpus.prefixes[1])
    check_figures(run)
    assert run.whole.outcome.read == 2 * NUM_REAL
    assert run.whole.duplicates["exact"] == 2 * 60


@pytest.mark.slow
def test_template_posts(bench: Bench) -> None:
    """All posts of a template are one component: with short fillers few stay, with long ones all."""
    for corpus in make("template", sizes=[1000, 2000], work=bench.work, data=None):
        check_nested(corpus)
        run = measure(bench, corpus, corpus.prefixes[1])
        check_figures(run)
        assert run.dedup.components == 1
        assert run.dedup.largest_component >= 0.98 * 2000
        kept = run.whole.outcome.kept
        assert kept < 20 if corpus.name == "template-short" else kept == 2000


def test_real_posts_are_asked_for(tmp_path: Path) -> None:
    """Without real posts the message says how to name them."""
    with pytest.raises(ValueError, match="SLUICE_DATA"):
        make("real", sizes=[10], work=tmp_path, data=tmp_path)


@pytest.mark.parametrize("name", FILLERS)
def test_templates_are_as_alike_as_stated(name: str) -> None:
    """The Jaccard index of two posts is what the module says; texts are the same in every process."""
    texts = template_texts(name, number=1, posts=60)
    assert texts == template_texts(name, number=1, posts=60)
    assert not set(texts) & set(template_texts(name, number=2, posts=60))
    grams = [{text[i : i + 5] for i in range(len(text) - 4)} for text in texts]
    found = [len(a & b) / len(a | b) for i, a in enumerate(grams) for b in grams[:i]]
    least, most = (0.8, 0.92) if name == "template-short" else (0.5, 0.7)
    assert least <= min(found) <= max(found) <= most


@given(st.lists(st.integers(1, 200), min_size=1), st.integers(1, 50))
def test_parts_go_into_every_size(factors: list[int], most: int) -> None:
    """A part is the largest number up to `most` that divides all sizes."""
    sizes = [12 * factor for factor in factors]
    common = math.gcd(*sizes)
    best = max(n for n in range(1, most + 1) if common % n == 0)
    assert part_of(sizes, most=most) == best


def test_memory_is_that_of_all_descendants() -> None:
    """A grandchild's memory counts, as anonymous and as resident, until it has ended."""
    grandchild = "x = b'x' * (60 << 20); print(flush=True); input()"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    command = [sys.executable, "-c", child]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = descendants(os.getpid())
        memory = memory_of(found)
        process.communicate(b"\n")
    assert process.pid in found
    assert len(found) >= 2
    assert 60 << 20 <= memory.anonymous <= memory.resident <= memory.high_water
    assert memory_of(found)[1:] == (0, 0, 0)


def test_peaks_belong_to_the_phase_that_ran() -> None:
    """A look counts for the phase that ends next; the times of phases are those of their files."""
    seen = [Memory(at, held, held + 1, 9) for at, held in ((1.0, 5), (2.0, 7), (3.0, 4), (9.0, 8))]
    peaks = phase_peaks(seen, {"clean": 2.5, "dedup": 4.0, "tokens": 4.5})
    assert peaks == (PhasePeak("clean", 7, 8), PhasePeak("dedup", 4, 5), PhasePeak("tokens", 0, 0))


def test_a_run_over_the_limit_is_killed(bench: Bench) -> None:
    """A run that holds more than the limit ends at once, and the message has both numbers."""
    corpus = make("template", sizes=[1000, 2000], work=bench.work, data=None)[0]
    with pytest.raises(CommandError, match=r"bytes of memory; the limit was 20,971,520"):
        measure(bench._replace(limit_bytes=20 << 20), corpus, corpus.prefixes[0])
    assert not descendants(os.getpid())


def figures(*, posts: int, cpu_seconds: float, peak: int) -> ScaleRun:
    """Returns figures of round numbers."""
    phases = (Phase("clean", 1.0, 1.0, peak, posts), Phase("dedup", 1.0, cpu_seconds, peak, posts))
    usage, outcome = Usage(2.0, 2.0, 0.1), Outcome(posts, posts, 0, 9)
    peaks = (PhasePeak("clean", peak // 2, peak), PhasePeak("dedup", peak // 2, peak))
    whole = WholeRun(2, usage, phases, 0.0, outcome, {"near": 1})
    work = DedupWork({"edges": 5, "slices": 3}, 1, posts, {"keys": 12}, {"join": 0.5})
    return ScaleRun("sample", posts, whole, peaks, peak, 1, 1, work)


def test_aims_are_met_or_not() -> None:
    """Memory is judged at the largest size, time by the growth of CPU time per post."""
    small = figures(posts=1000, cpu_seconds=2.0, peak=1 << 30)
    large = figures(posts=10_000, cpu_seconds=22.0, peak=3 << 30)
    rows = [(a.measured, a.met) for a in scale_tables.aims([small, large])]
    assert rows == [("3,072 MiB", False), ("3,072 MiB (clean)", False), ("1.10 times", True)]
    slow = figures(posts=10_000, cpu_seconds=25.0, peak=1 << 30)
    rows = [(a.measured, a.met) for a in scale_tables.aims([small, slow])]
    assert rows == [("1,024 MiB", True), ("1,024 MiB (clean)", True), ("1.25 times", False)]
    assert len(scale_tables.aims([small])) == 2


def test_the_page_has_a_column_for_each_size() -> None:
    """Rows are of all sizes; what a size does not have is 0, and the first has no smaller one."""
    sizes = ((1000, 1.0), (4000, 1.3))
    runs = [figures(posts=n, cpu_seconds=s, peak=1 << 30) for n, s in sizes]
    more = runs[1].dedup._replace(counts={"edges": 7, "keys": 1234})
    text = scale_tables.markdown([runs[0], runs[1]._replace(dedup=more)], about="it")
    assert "| 4,000 | dedup | 4,000 | 1.0 | 1.3 |" in text
    assert "| us per post more than the size before |  | 100.00 |" in text
    for row in ("edges | 5 | 7", "slices | 3 | 0", "keys | 0 | 1,234", "MB of keys | 0.0 | 0.0"):
        assert f"| {row} |" in text
