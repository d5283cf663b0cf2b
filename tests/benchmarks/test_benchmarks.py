"""The benchmark runs, its figures agree with each other, and its multiple of the posts is what it says."""

import gzip
import json
import random
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.command import Steps
from benchmarks.composed import PHASE_OF_STEP, ComposedRun, compose
from benchmarks.dedup_history import busiest
from benchmarks.multiple import PIECE, write_multiple
from benchmarks.peer import PeerRun, write_sample
from benchmarks.peer_datatrove import CodePoints
from benchmarks.process import ROOT, CommandError, Usage, run_measured
from benchmarks.real_posts import Size, posts_of, size_of
from benchmarks.results import Comparison, MainJob
from benchmarks.whole import Outcome, Phase, WholeRun, run_whole
from sluice.pipeline.recipes.loader import load
from tests.pipeline.runs import RECIPE

WORDS = (
    "we saw the river rise again today near our old school and people came with food for children "
    "who had lost their homes while music played all night under bright lights until morning when "
    "buses took them north over hills where snow fell early this year on quiet farms"
)


@pytest.fixture(scope="module")
def posts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 invented posts in two files of a firehose, with duplicates and broken rows among them."""
    folder = tmp_path_factory.mktemp("bench") / "firehose"
    folder.mkdir()
    draw = random.Random(5)
    texts = [" ".join(draw.choices(WORDS.split(), k=draw.randint(1, 30))) for _ in range(300)]
    texts += draw.choices(texts, k=80)
    lines = [json.dumps({"id": str(i), "text": t, "lang": "en"}) for i, t in enumerate(texts)]
    lines += ['{"id": "cut', '{"id": "x", "text": null}', '{"id": "y", "text": "\\ud83d"}', "7"] * 5
    for name, part in (("a", lines[::2]), ("b", lines[1::2])):
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.write("\n".join(part) + "\n")
    return folder.parent


def read(path: Path) -> list[dict[str, str]]:
    with gzip.open(path) as lines:
        return [json.loads(line) for line in lines]


def written(folder: Path, *texts: str) -> Path:
    """Returns a firehose of posts of these texts, all in one language."""
    folder /= "firehose"
    folder.mkdir(parents=True)
    rows = [{"id": str(i), "text": t, "lang": "en"} for i, t in enumerate(texts)]
    with gzip.open(folder / "posts.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return folder.parent


def test_pieces_hold_the_whole_text() -> None:
    """A text is its pieces, and links, handles and references are one piece each."""
    text = "RT @bob: naïve &amp; 3 cats, http://t.co/Ab1 #tag 日本語だ สวัสดี"
    pieces = PIECE.findall(text)
    assert "".join(pieces) == text
    assert {"RT", "@bob", "&amp;", "http://t.co/Ab1", "naïve", "日本", "語だ"} <= set(pieces)


def test_copies_have_other_words_and_the_same_duplicates(tmp_path: Path) -> None:
    """A copy has new ids, keeps links and handles, maps equal texts alike, and repeats no original."""
    one = "the cat sat on that mat @bob http://t.co/Ab1"
    source = written(tmp_path / "posts", one, "dogs bark at cars by night", one)
    files = write_multiple(posts_of(source), tmp_path / "more", times=3)
    originals, *copies = [read(path) for path in files]
    assert [row["text"] for row in originals] == [one, "dogs bark at cars by night", one]
    for number, rows in enumerate(copies, 1):
        assert [row["id"] for row in rows] == [f"{i}-{number}" for i in range(3)]
        assert rows[0]["text"] == rows[2]["text"] != rows[1]["text"]
        assert rows[0]["text"].endswith("@bob http://t.co/Ab1")
        assert not any(map(str.__eq__, rows[0]["text"].split()[:6], one.split()[:6]))
    assert len({rows[1]["text"] for rows in (originals, *copies)}) == 3


def test_a_multiple_is_deterministic(posts: Path, tmp_path: Path) -> None:
    """The same posts give the same bytes, K times as many."""
    made = [write_multiple(posts_of(posts), tmp_path / name, times=3) for name in "ab"]
    assert [p.read_bytes() for p in made[0]] == [p.read_bytes() for p in made[1]]
    originals = [p for p in made[0] if p.name.startswith("copy00")]
    copies = [p for p in made[0] if not p.name.startswith("copy00")]
    assert (size_of(originals).posts, size_of(copies).posts) == (400, 2 * 380)


def test_the_pipeline_and_its_kernels_do_the_same_job(posts: Path, tmp_path: Path) -> None:
    """(a) and (b) agree on every post and token, and their figures make a table and a file."""
    recipe = tmp_path / "bench.toml"
    recipe.write_text(RECIPE)
    files = posts_of(posts)
    output = tmp_path / "out"
    whole = run_whole(str(recipe), files=files, output=output, workers=1)
    tokenizer, shards = output / "tokenizer" / "tokenizer.json", tmp_path / "shards"
    shards.mkdir()
    composed = compose(load(str(recipe)), files=files, tokenizer=tokenizer, shards=shards)
    assert whole.outcome == composed.outcome
    assert whole.outcome.kept > 100
    assert whole.outcome.tokens > 1000
    assert 0 < composed.cpu_seconds < whole.cpu_seconds < whole.usage.cpu_seconds
    assert 0.5 < whole.counted_ratio <= 1
    assert list(composed.steps) == list(PHASE_OF_STEP)
    assert len(list(shards.glob("*.arrow"))) > 1
    compared = Comparison(size_of(files), (whole,), (composed,))
    results.check_outcomes(compared)
    assert len(results.aims(job_of(compared, compared))) == 10


def job_of(once: Comparison, many: Comparison, peer: PeerRun | None = None) -> MainJob:
    return MainJob("bench, today", once, many, peer)


def invented(*, posts: int, seconds: float, workers: int, peak: int = 1 << 30) -> Comparison:
    """Returns figures of round numbers: (b) takes half of (a)'s time, four phases a quarter each."""
    names = ("clean", "dedup", "vocabulary", "tokens")
    phases = tuple(Phase(n, seconds / workers, seconds / 4, peak, posts) for n in names)
    outcome = Outcome(posts, posts // 2, posts // 4, posts * 10)
    usage = Usage(seconds, seconds, 0.1)
    composed = ComposedRun(dict.fromkeys(PHASE_OF_STEP, seconds / 2 / len(PHASE_OF_STEP)), outcome)
    whole = WholeRun(workers, usage, phases, 0.0, outcome, {"near": posts // 4})
    return Comparison(Size(posts, posts * 250), (whole,), (composed,))


def test_aims_are_met_or_not() -> None:
    """Every aim is computed from the figures: some of these are met and some are not."""
    once = invented(posts=600_000, seconds=6.0, workers=2)
    many = invented(posts=6_000_000, seconds=240.0, workers=2, peak=3 << 30)
    one = invented(posts=6_000_000, seconds=240.0, workers=1)
    many = many._replace(whole=(*many.whole, *one.whole))
    peer = PeerRun("0", 1000, 500, 9000, 900, {"all": 0.4}, Usage(1.0, 1.0, 0.1))
    aims = {aim.what: (aim.measured, aim.met) for aim in results.aims(job_of(once, many, peer))}
    assert list(aims.values()) == [
        ("100,000", True),
        ("0.50", False),
        ("25,000", False),
        ("0.50", False),
        ("40", False),
        ("2.00", True),
        ("2.00", True),
        ("1,024 MiB (clean)", True),
        ("3,072 MiB (clean)", False),
        ("3.00 times (clean)", False),
        ("1.00", True),
    ]


def test_runs_that_differ_are_refused() -> None:
    """Figures of runs that did not do the same job are an error, not a table."""
    a, b = (invented(posts=n, seconds=1.0, workers=1) for n in (100, 200))
    with pytest.raises(ValueError, match="same job"):
        results.check_outcomes(Comparison(a.size, a.whole, b.composed))


def test_the_page_has_rates_and_what_a_run_costs_anyway() -> None:
    """Posts per CPU-second are of the phase; two sizes give the cost of a run and that of a post."""
    once, many = (invented(posts=n, seconds=1 + n / 1e5, workers=2) for n in (600_000, 6_000_000))
    text = results.markdown(job_of(once, many))
    assert "| clean | 1.75 | 342,857 |" in text
    assert "costs 1.0 CPU s whatever it reads, and 10.0 us per post" in text


def test_steps_are_exclusive() -> None:
    """CPU time inside an inner step is not the outer one's."""
    steps = Steps()
    with steps("outer"), steps("inner"):
        begun = time.process_time()
        while time.process_time() - begun < 0.1:
            pass
    assert steps.seconds["inner"] >= 0.1
    assert steps.seconds["outer"] < 0.05


def test_usage_counts_children(tmp_path: Path) -> None:
    """The CPU time of a command is that of its children too; a failure shows what was said."""
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    usage = run_measured([sys.executable, "-c", code], log=tmp_path / "log")
    assert usage.cpu_seconds >= 0.3
    with pytest.raises(CommandError, match="so be it"):
        run_measured([sys.executable, "-c", "raise SystemExit('so be it')"], log=tmp_path / "log")


def test_the_peer_gets_posts_from_all_over(posts: Path, tmp_path: Path) -> None:
    """The sample is every k-th line, and its script needs no datatrove to be asked for help."""
    files = posts_of(posts)
    total = size_of(files).posts
    path = tmp_path / "sample.jsonl.gz"
    assert write_sample(files, path, num_posts=40, total=total) == 40
    with gzip.open(path) as taken, gzip.open(files[0]) as first:
        lines, source = list(taken), list(first)
    step = total // 40
    assert lines[: len(source) // step] == source[::step][: len(source) // step]
    script = [sys.executable, str(ROOT / "benchmarks" / "peer_datatrove.py"), "--help"]
    assert b"--language-model" in subprocess.run(script, capture_output=True, check=True).stdout
    assert CodePoints().word_tokenize("a 語") == ["a", " ", "語"]


def test_the_busiest_days_follow_each_other() -> None:
    """A day without posts is in no span, however many its neighbours have."""
    first = date(2026, 3, 1)
    sizes = {first + timedelta(days=i): n for i, n in enumerate([5, 1, 4, 4]) if n}
    sizes[first + timedelta(days=9)] = 100
    assert busiest(sizes, 2) == [first + timedelta(days=2), first + timedelta(days=3)]
