"""`sluice sample`: labels say the truth about every line, and a seed gives the same bytes.

The comparison text and the Jaccard index are written here once more, from their definition.
"""

import gzip
import html
import json
import os
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sluice.pipeline.sample.write
from sluice.filters.text.views import dedup_text
from sluice.pipeline.sample.block import SHARES
from sluice.pipeline.sample.broken import BREAKAGES
from sluice.pipeline.sample.draws import Draws, cumulative, shares
from sluice.pipeline.sample.scene import Scene
from sluice.pipeline.sample.templates import BOTS, SPAM, filled
from sluice.pipeline.sample.words import LANGUAGE_WEIGHTS, joined, lexicon, sentence_list
from sluice.pipeline.sample.write import LABELS, SampleSummary, write_sample
from sluice.schemas.errors import OutputError, SluiceError
from tests.repository import ROOT

NUM_POSTS = 6_000
HANDLE = set("abcdefghijklmnopqrstuvwxyz0123456789_")


class Line(NamedTuple):
    """A line that is not blank, its label and, where it is a post, the row."""

    raw: bytes
    label: dict[str, Any]
    row: dict[str, Any] | None


class Sample(NamedTuple):
    folder: Path
    summary: SampleSummary
    lines: list[Line]

    def posts(self, *labels: str) -> list[Line]:
        """The lines with one of the labels, in the order of files and rows."""
        return [line for line in self.lines if line.label["label"] in labels]

    def originals(self) -> dict[str, Line]:
        """Post id -> the first line that has it."""
        whole = [line for line in self.lines if line.row is not None]
        return {line.label["post_id"]: line for line in reversed(whole)}


def read_sample(folder: Path, summary: SampleSummary) -> Sample:
    records = {name: records_of(folder / name) for name in summary.files}
    lines = []
    for label in pq.read_table(folder / "labels.parquet").to_pylist():
        raw = records[label["source_file"]][label["source_row"]]
        lines.append(Line(raw, label, None if broken(raw) else json.loads(raw)))
    return Sample(folder, summary, sorted(lines, key=place))


def lines_of(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).split(b"\n")[:-1]


def records_of(path: Path) -> list[bytes]:
    """Returns the lines of a file that are not blank."""
    return [line for line in lines_of(path) if line.strip()]


def place(line: Line) -> tuple[str, int]:
    return line.label["source_file"], line.label["source_row"]


def broken(raw: bytes) -> bool:
    """Whether a strict reader must refuse the line."""
    try:
        pairs = json.loads(raw.decode("utf-8"), object_pairs_hook=list)
        row = dict(pairs)
        good = isinstance(row["text"], str) and isinstance(row["id"], str)
        row["text"].encode("utf-8")
    except (ValueError, TypeError, KeyError, AttributeError):
        return True
    return not good or len(row) != len(pairs)


def comparison_text(text: str) -> str:
    """The text that duplicates are compared by, word by word and letter by letter."""
    text = html.unescape(unicodedata.normalize("NFC", text)).replace("İ", "i")
    words = "".join(c.lower() for c in text).split()
    while words and words[0] == "rt":
        words = words[1:]
        if words and words[0].startswith("@"):
            words = [without_handles(words[0]).lstrip(": "), *words[1:]]
        words = " ".join(words).split()
    words = [w for w in words if not w.startswith(("http://", "https://"))]
    return " ".join(without_handles(" ".join(words)).split())


def without_handles(text: str) -> str:
    kept, inside = [], False
    for c in text:
        inside = c == "@" or (inside and c in HANDLE)
        kept.append(" " if inside else c)
    return "".join(kept)


def jaccard(text: str, other: str) -> float:
    grams, others = (
        {s[k : k + 5] for k in range(len(s) - 4)} for s in map(comparison_text, (text, other))
    )
    return len(grams & others) / len(grams | others)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    folder = tmp_path_factory.mktemp("sample")
    return read_sample(folder, write_sample(folder, num_posts=NUM_POSTS, seed=11))


@pytest.fixture(scope="module", params=[1_500, 250_000], ids=["four blocks", "one block"])
def any_sample(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sample: Sample
) -> Sample:
    """A sample of one block, and one of several: the promises are the same."""
    if request.param > NUM_POSTS:
        return sample
    folder = tmp_path_factory.mktemp("blocks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sluice.pipeline.sample.write, "BLOCK_POSTS", request.param)
        return read_sample(folder, write_sample(folder, num_posts=NUM_POSTS, seed=2))


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    """The seed decides every byte, whatever order hashing gives to sets and dicts."""
    code = (
        "import sys; from pathlib import Path; from sluice.pipeline.sample.write import write_sample;"
        "write_sample(Path(sys.argv[1]), num_posts=1500, seed=3, files=2)"
    )
    write_sample(tmp_path / "here", num_posts=1500, seed=3, files=2)
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "there")],
        env=os.environ | {"PYTHONHASHSEED": "2026"},
        cwd=ROOT,
        check=True,
    )
    here, there = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("here", "there")
    )
    assert len(here) == 4
    assert here == there


def test_another_seed_writes_other_posts(tmp_path: Path, sample: Sample) -> None:
    """No clean text of one seed stands in the sample of another."""
    other = read_sample(tmp_path, write_sample(tmp_path, num_posts=1500, seed=12))
    texts = [{li.row["text"] for li in s.posts("clean") if li.row} for s in (sample, other)]
    assert not texts[0] & texts[1]


def test_every_line_has_one_label(any_sample: Sample) -> None:
    """Labels and non-blank lines match one to one, and every count adds up to the posts."""
    summary = any_sample.summary
    non_blank = [
        (name, row)
        for name in summary.files
        for row in range(len(records_of(any_sample.folder / name)))
    ]
    assert sorted(non_blank) == [place(line) for line in any_sample.lines]
    assert len(non_blank) == summary.posts == NUM_POSTS
    for counts in (summary.by_label, summary.by_language):
        assert sum(counts.values()) == NUM_POSTS
    assert summary.by_label == dict(Counter(line.label["label"] for line in any_sample.lines))
    assert pq.read_schema(any_sample.folder / "labels.parquet") == LABELS


def test_the_summary_on_disk_is_the_one_returned(sample: Sample) -> None:
    """sample.json holds the summary and the versions, and says how many blank lines there are."""
    written = json.loads((sample.folder / "sample.json").read_text())
    assert set(written.pop("versions")) == {"sample", "sluice", "wordfreq"}
    assert written == sample.summary.__dict__ | {"files": list(sample.summary.files)}
    num_lines = sum(len(lines_of(sample.folder / name)) for name in sample.summary.files)
    assert num_lines - NUM_POSTS == written["blank_lines"] > 0


def test_labels_have_their_shares(sample: Sample) -> None:
    """Every label has the share that SHARES states, to a fifth of a percent of the posts."""
    for label, share in SHARES.items():
        assert sample.summary.by_label[label] == pytest.approx(share * NUM_POSTS, abs=12)
    assert sum(SHARES.values()) == pytest.approx(1)


def test_broken_rows_are_broken_and_no_others(any_sample: Sample) -> None:
    """A strict reader refuses every malformed line and takes every other."""
    for line in any_sample.lines:
        assert broken(line.raw) == (line.label["label"] == "malformed"), line.label


def test_each_way_to_break_a_row_breaks_it() -> None:
    """Each breakage makes a line that fails, and holds the row's id if it says so."""
    row = {"id": "17", "text": "a few words", "created_at": None}
    assert not broken(json.dumps(row).encode())
    for kind, how in BREAKAGES.items():
        assert broken(how.line(row)), kind
        assert (
            how.has_id == (b'"17"' in how.line(row) or b"'17'" in how.line(row)) or not how.has_id
        )
        assert b"\n" not in how.line(row)


def test_broken_rows_lie_in_bursts(sample: Sample) -> None:
    """The malformed lines of a file lie within a tenth of it."""
    for name in sample.summary.files:
        rows = [
            line.label["source_row"]
            for line in sample.posts("malformed")
            if line.label["source_file"] == name
        ]
        assert max(rows) - min(rows) < NUM_POSTS / len(sample.summary.files) / 10


def test_ids_are_unique_but_for_redeliveries(any_sample: Sample) -> None:
    """Only a redelivered post has an id that stood before, and a name and time with it."""
    seen: dict[str, dict[str, Any]] = {}
    for line in any_sample.lines:
        if line.row is None:
            continue
        assert (line.row["id"] in seen) == (line.label["label"] == "redelivered")
        first = seen.setdefault(line.row["id"], line.row)
        changed = {key for key in first if first[key] != line.row[key]}
        edit = {"text", "edited_at"} if line.label["detail"] == "edited" else set()
        assert changed == edit
    assert {li.label["detail"] for li in any_sample.posts("redelivered")} == {"edited", "same_text"}


def test_exact_duplicates_have_the_comparison_text_of_their_original(any_sample: Sample) -> None:
    """A disguise changes bytes, not the text that duplicates are compared by."""
    originals = any_sample.originals()
    kinds = Counter[str]()
    for line in any_sample.posts("exact_duplicate"):
        original = originals[line.label["duplicate_of"]]
        assert line.row
        assert original.row
        text, other = line.row["text"], original.row["text"]
        assert comparison_text(text) == comparison_text(other), line.label
        assert (text == other) == (line.label["detail"] in ("verbatim", "edit_undone"))
        kinds[line.label["detail"]] += 1
    assert len(kinds) >= 9


def test_the_filters_agree_that_exact_duplicates_are_equal(sample: Sample) -> None:
    """The pipeline's own comparison text, on normalised text, is equal for the planted copies."""
    originals = sample.originals()
    copies = sample.posts("exact_duplicate")
    pairs = [(line, originals[line.label["duplicate_of"]]) for line in copies]
    views = [
        dedup_text(
            pc.utf8_normalize(pa.array([html.unescape(li.row["text"]) for li in side]), "NFC")
        )
        for side in zip(*pairs, strict=True)
    ]
    wrong = pc.not_equal(*views).to_numpy(zero_copy_only=False)
    assert [pairs[k][0].label for k in np.flatnonzero(wrong)] == []


def test_near_duplicates_are_as_alike_as_recorded(any_sample: Sample) -> None:
    """The recorded Jaccard index is the one of the definition, and every band is there."""
    originals = any_sample.originals()
    bands = Counter[str]()
    for line in any_sample.posts("near_duplicate", "template"):
        if line.label["duplicate_of"] is None:
            assert line.label["label"] == "template"
            continue
        original = originals[line.label["duplicate_of"]]
        assert line.row
        assert original.row
        exact = jaccard(line.row["text"], original.row["text"])
        assert line.label["similarity"] == pytest.approx(exact, abs=1e-12)
        assert line.label["detail"] == band(exact)
        bands[line.label["detail"]] += line.label["label"] == "near_duplicate"
    assert min(bands[b] for b in ("J>=0.9", "0.8<=J<0.9", "0.6<=J<0.8")) > 20


def band(value: float) -> str:
    names = ["J<0.6", "0.6<=J<0.8", "0.8<=J<0.9", "J>=0.9"]
    return names[int(np.searchsorted([0.6, 0.8, 0.9], value, side="right"))]


def test_no_clean_post_repeats_another(any_sample: Sample) -> None:
    """Clean posts differ in comparison text, so that a copy is never called clean."""
    texts = [comparison_text(line.row["text"]) for line in any_sample.posts("clean") if line.row]
    assert len(set(texts)) == len(texts)


def test_an_original_stands_before_its_copies_and_they_lie_across_files(any_sample: Sample) -> None:
    """A cluster starts, by file and row, with its original; most copies are in other files."""
    originals = any_sample.originals()
    elsewhere = []
    for line in any_sample.lines:
        if line.label["duplicate_of"] is not None:
            original = originals[line.label["duplicate_of"]]
            assert original.label["label"] in ("clean", "template")
            assert original.label["duplicate_of"] is None
            assert place(original) < place(line)
            elsewhere.append(place(original)[0] != place(line)[0])
    assert 0.5 < np.mean(elsewhere) < 0.95


def test_replies_answer_posts_that_exist_and_are_older(any_sample: Sample) -> None:
    """in_reply_to_id names a post of the sample; but for late arrivals it was sent before."""
    originals = any_sample.originals()
    replies = [line.row for line in any_sample.lines if line.row and line.row["in_reply_to_id"]]
    assert len(replies) > NUM_POSTS / 10
    for row in replies:
        answered = originals[row["in_reply_to_id"]].row
        assert answered is not None
        assert answered["created_at"][:16] <= row["created_at"][:16]
    days = {line.row["created_at"][:10] for line in any_sample.lines if line.row}
    assert len(days) >= 6


def test_few_authors_write_much(sample: Sample) -> None:
    """The busiest tenth of authors wrote a third of the posts or more."""
    counts = sorted(Counter(line.row["author_id"] for line in sample.lines if line.row).values())
    assert sum(counts[-len(counts) // 10 :]) > sum(counts) / 3


def test_languages_are_skewed_and_many(sample: Sample) -> None:
    """English leads with about a third; forty languages are there."""
    clean = Counter(line.label["language"] for line in sample.posts("clean"))
    assert clean["en"] / clean.total() == pytest.approx(0.34, abs=0.02)
    assert set(clean) == set(LANGUAGE_WEIGHTS)
    assert len(clean) > 40


@pytest.mark.parametrize("language", ["ja", "zh"])
def test_unspaced_languages_are_written_without_blanks(language: str) -> None:
    """Between the words of Japanese and Chinese sentences there is hardly a blank."""
    text = joined(sentence_list(lexicon(language), size=200, draws=Draws(1)))
    blanks = sum(t.count(" ") for t in text.to_pylist())
    assert blanks < 0.03 * sum(map(len, text.to_pylist()))


def test_noise_is_what_its_kind_says(sample: Sample) -> None:
    """Empty texts are blank, shouts have no lower case, emoji no letters, repeats one word."""
    kinds = {line.label["detail"] for line in sample.posts("noise")}
    for line in sample.posts("noise"):
        assert line.row
        text = line.row["text"]
        match line.label["detail"]:
            case "empty_text":
                assert not text.strip()
            case "shouting":
                assert text == text.upper()
            case "only_emoji":
                assert not any(c.isalnum() for c in text)
            case "repeated_words":
                assert len(set(text.split())) == 1
            case "huge_text":
                assert len(text.encode()) > 65_536
            case "one_word" | "bare_links":
                assert len(text.replace("😂", "").split()) <= 3
    assert len(kinds) >= 12


def test_templates_use_known_slots() -> None:
    """Every template can be filled, and filling leaves no slot open."""
    handles = pa.array(["one", "two"])
    for templates in (SPAM, BOTS):
        for language, texts in templates.items():
            for template in texts:
                text = filled(template, Scene(lexicon(language), handles, 3, Draws(5)))
                assert not pc.any(pc.match_substring_regex(text, "[{}]")).as_py()


@pytest.mark.parametrize("num_posts", [1, 2, 7, 40])
def test_the_smallest_samples_are_whole(tmp_path: Path, num_posts: int) -> None:
    """A sample may be smaller than its number of kinds, languages and files."""
    small = read_sample(tmp_path, write_sample(tmp_path, num_posts=num_posts, seed=0))
    assert len(small.lines) == num_posts


def test_a_sample_replaces_a_sample_and_nothing_else(tmp_path: Path) -> None:
    """Files of an earlier, larger sample go; a folder with anything else in it is refused."""
    write_sample(tmp_path, num_posts=50, seed=1, files=3)
    write_sample(tmp_path, num_posts=50, seed=1, files=1, compress=False)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"posts-00.jsonl", "labels.parquet", "sample.json"}
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"got 'thesis\.txt'"):
        write_sample(tmp_path, num_posts=50, seed=1)
    assert (tmp_path / "sample.json").exists()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"num_posts": 0, "seed": 1}, "num_posts must be from 1"),
        ({"num_posts": 1, "seed": -1}, "seed must be from 0"),
        ({"num_posts": 1, "seed": 1, "files": 101}, "files must be from 1 to 99, got 101"),
    ],
)
def test_numbers_out_of_range_are_named(
    tmp_path: Path, numbers: dict[str, Any], message: str
) -> None:
    """A number out of range is refused before anything is written."""
    with pytest.raises(SluiceError, match=message):
        write_sample(tmp_path / "new", **numbers)
    assert not (tmp_path / "new").exists()


def test_missing_word_lists_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without wordfreq the error names the extra, and the folder is left alone."""
    monkeypatch.setitem(sys.modules, "wordfreq", None)
    with pytest.raises(SluiceError, match=r"pip install 'sluice\[sample\]'"):
        write_sample(tmp_path / "new", num_posts=1, seed=1)
    assert not (tmp_path / "new").exists()


def test_draws_are_the_raw_bits_of_pcg64() -> None:
    """The first draws of a stream never change: a new NumPy must not make a new sample."""
    assert Draws(1, 2).below(1000, size=5).tolist() == FIRST_DRAWS
    assert Draws(1, 3).below(1000, size=5).tolist() != FIRST_DRAWS


FIRST_DRAWS = [448, 430, 419, 277, 821]


@given(st.integers(0, 10_000), st.dictionaries(st.text(), st.floats(0.01, 1e6), min_size=1))
def test_shares_add_up(total: int, weights: dict[str, float]) -> None:
    """Parts add up to the total and are within one of their exact share."""
    parts = shares(total, weights)
    assert sum(parts.values()) == total
    whole = sum(weights.values())
    assert all(abs(parts[k] - total * w / whole) < 1 + 1e-6 for k, w in weights.items())


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=50).filter(any), st.integers(0, 99))
def test_table_draws_follow_their_weights(weights: list[float], seed: int) -> None:
    """Outcomes stay in range and come as often as weighted, to six standard deviations."""
    drawn_N = Draws(seed).index(cumulative(weights), size=2_000)
    counts_V = np.bincount(drawn_N, minlength=len(weights))
    expected_V = np.array(weights) / np.sum(weights) * 2_000
    assert len(counts_V) == len(weights)
    assert (np.abs(counts_V - expected_V) < 6 * np.sqrt(expected_V + 1)).all()


@given(st.integers(1, 2**32 - 1), st.integers(0, 99))
def test_draws_stay_below_their_bound(bound: int, seed: int) -> None:
    """A draw is in [0, bound), and an order holds every row once."""
    drawn_N = Draws(seed).below(bound, size=200)
    assert drawn_N.min() >= 0
    assert drawn_N.max() < bound
    assert sorted(Draws(seed).order(50)) == list(range(50))
