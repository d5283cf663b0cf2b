"""Duplicates against brute force: the truth itself, what is removed by it, and independent oracles."""

from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import datasketch
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import dedup_short, dedup_templates
from benchmarks.dedup_resolve import resolve
from benchmarks.dedup_systems import Corpus, by_datasketch, candidate_pairs
from benchmarks.dedup_truth import (
    FLOOR,
    Pairs,
    Posts,
    distinct,
    draw,
    judge,
    read_posts,
    removed_by_truth,
    shingles,
    true_pairs,
)
from sluice.filters.dedup.clusters import EXACT_CODE, NEAR_CODE
from sluice.filters.dedup.kernels import NO_KEY
from sluice.filters.dedup.minhash import MinHashSpec, text_band_keys
from sluice.filters.text.normalize import normalize
from sluice.filters.text.views import dedup_text
from sluice.pipeline.sample.write import write_sample

SPEC = MinHashSpec()
THRESHOLD = 0.8
LITTLE = st.lists(st.text("ab ", min_size=1, max_size=14), min_size=2, max_size=12, unique=True)


def corpus_of(texts: list[str]) -> Corpus:
    array = pa.array([text for text in texts if text], pa.string())
    listed, text_N = distinct(array)
    return Corpus(array, listed, text_N, true_pairs(listed.to_pylist()))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """About 3,000 synthetic posts of `sluice sample` with the truth about them."""
    folder = tmp_path_factory.mktemp("truth")
    write_sample(folder, num_posts=3000, seed=4, compress=False)
    return corpus_of([row["text"] for row in dedup_templates.read_labelled(folder)])


@pytest.fixture(scope="module")
def real(data: Path) -> Corpus:
    """5,000 real posts that follow each other in time, with the truth about them."""
    texts = read_posts(data).text.to_pylist()
    middle = len(texts) // 2
    return corpus_of(texts[middle : middle + 5000])


class Brute(NamedTuple):
    """All pairs by sets of strings: (left, right) -> Jaccard index, and pairs by tenth of it."""

    index: dict[tuple[int, int], float]
    sharing_10: list[int]


def by_sets(texts: list[str]) -> Brute:
    """The definition, pair by pair."""
    sets = [shingles(text) for text in texts]
    index, sharing = {}, [0] * 10
    for (i, a), (j, b) in combinations(enumerate(sets), 2):
        if shared := len(a & b):
            jaccard = shared / (len(a) + len(b) - shared)
            sharing[min(9, int(jaccard * 10))] += 1
            if jaccard >= FLOOR:
                index[i, j] = jaccard
    return Brute(index, sharing)


def as_dict(pairs: Pairs) -> dict[tuple[int, int], float]:
    columns = (column.tolist() for column in pairs[:3])
    return {(i, j): jaccard for i, j, jaccard in zip(*columns, strict=True)}


# --- the truth -------------------------------------------------------------------------------


def test_the_truth_is_all_pairs_that_share_a_shingle(sample: Corpus) -> None:
    """On 800 texts the join has the pairs, indices and counts of sets compared pair by pair."""
    texts = sample.distinct.to_pylist()[::3][:800]
    got, expected = true_pairs(texts), by_sets(texts)
    assert as_dict(got) == expected.index
    assert got.sharing_10.tolist() == expected.sharing_10
    assert len(expected.index) > 10
    assert sum(expected.sharing_10) > 10_000


@given(LITTLE)
def test_the_truth_of_any_texts(texts: list[str]) -> None:
    """Texts that repeat themselves and share most shingles are no exception."""
    got, expected = true_pairs(texts), by_sets(texts)
    assert as_dict(got) == expected.index
    assert got.sharing_10.tolist() == expected.sharing_10


def test_the_truth_spans_blocks(monkeypatch: pytest.MonkeyPatch, sample: Corpus) -> None:
    """How texts are cut into blocks for the threads changes nothing."""
    texts = sample.distinct.to_pylist()[:500]
    whole = true_pairs(texts)
    monkeypatch.setattr("benchmarks.dedup_truth.BLOCK_TEXTS", 7)
    parts = true_pairs(texts)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)


@given(LITTLE, st.lists(st.tuples(st.integers(0, 11), st.booleans()), max_size=20))
def test_the_judge(texts: list[str], rows: list[tuple[int, bool]]) -> None:
    """What is wrong, due and left over is what the rules say, counted post by post."""
    drawn = [(texts[i % len(texts)], gone) for i, gone in rows] + [(texts[0], False)]
    listed, text_N = distinct(pa.array([text for text, _ in drawn]))
    pairs = true_pairs(listed.to_pylist()).at_least(0.6)
    got = judge(np.array([gone for _, gone in drawn]), text_N, pairs)

    def alike(a: str, b: str) -> bool:
        return len(shingles(a) & shingles(b)) / len(shingles(a) | shingles(b)) >= 0.6

    def must_go(posts: list[str]) -> int:
        leaders: list[str] = []
        for text in posts:
            leaders += [] if any(alike(text, leader) for leader in leaders) else [text]
        return len(posts) - len(leaders)

    kept = [text for text, gone in drawn if not gone]
    removed = [text for text, gone in drawn if gone]
    assert got.removed == len(removed)
    assert got.wrong == sum(not any(alike(text, k) for k in kept) for text in removed)
    assert got.due == must_go([text for text, _ in drawn])
    assert got.left == must_go(kept)
    partners = [sum(alike(text, k) for k in kept) - 1 for text in kept]
    assert got.with_partner == sum(map(bool, partners))


def test_nothing_removed_is_recall_0_and_all_removed_is_wrong() -> None:
    """The judge gives the two bad ends what they deserve."""
    corpus = corpus_of(["one text of many", "one text of many", "another that stands alone"])
    nothing = judge(np.zeros(3, np.bool_), corpus.text_N, corpus.pairs)
    assert (nothing.recall, nothing.precision, nothing.with_partner) == (0.0, 1.0, 2)
    everything = judge(np.ones(3, np.bool_), corpus.text_N, corpus.pairs)
    assert (everything.precision, everything.wrong) == (0.0, 3)


# --- what Sluice removes ---------------------------------------------------------------------


def check_removal(corpus: Corpus) -> None:
    """Recall and precision at 0.8: candidates, what goes, and each near duplicate with its leader."""
    pairs = corpus.pairs.at_least(THRESHOLD)
    key_TK = text_band_keys(corpus.distinct, SPEC)
    met_M = (key_TK[pairs.left_M] == key_TK[pairs.right_M]).any(axis=1)
    assert met_M.mean() >= 0.98
    resolved = resolve(corpus.texts, SPEC, threshold=THRESHOLD)
    judged = judge(resolved.reason_N != 0, corpus.text_N, pairs)
    assert judged.wrong == 0
    assert judged.recall >= 0.98
    texts = corpus.texts.to_pylist()
    for row in np.flatnonzero(resolved.reason_N == NEAR_CODE).tolist():
        leader = int(resolved.leader_N[row])
        assert resolved.reason_N[leader] == 0
        a, b = shingles(texts[row]), shingles(texts[leader])
        jaccard = len(a & b) / len(a | b)
        assert jaccard >= THRESHOLD
        assert resolved.similarity_N[row] == np.float32(jaccard)
    for row in np.flatnonzero(resolved.reason_N == EXACT_CODE).tolist():
        assert texts[row] == texts[int(resolved.leader_N[row])]


def test_the_sample_is_cleared_of_duplicates(sample: Corpus) -> None:
    """On synthetic posts: recall at least 0.98, precision 1, by brute force."""
    assert len(sample.pairs.at_least(THRESHOLD).left_M) > 50
    check_removal(sample)


@pytest.mark.slow
@pytest.mark.real
def test_real_posts_are_cleared_of_duplicates(real: Corpus) -> None:
    """On 5,000 real posts: recall at least 0.98, precision 1, by brute force."""
    assert len(real.pairs.at_least(THRESHOLD).left_M) > 50
    check_removal(real)


@pytest.mark.slow
@pytest.mark.real
def test_peers_remove_what_is_no_duplicate(real: Corpus) -> None:
    """The peer with the same bands has a precision below ours, with and without its estimate."""
    near = real.pairs.at_least(THRESHOLD)
    loose, estimated = (by_datasketch(real, SPEC, threshold=t) for t in (None, THRESHOLD))
    assert judge(loose.removed_N, real.text_N, near).precision < 1
    assert judge(estimated.removed_N, real.text_N, near).recall < 1


def hash_32(shingle: str) -> int:
    """The 32-bit hash of a shingle that `sluice.filters.dedup.minhash` documents."""
    x = 0
    for c in shingle:
        x = (x * 0x9E3779B97F4A7C15 + ord(c) + 1) % 2**64
    return ((x ^ (x >> 32)) * 0xD6E8FEB86659FD93 % 2**64) >> 32


@pytest.mark.parametrize(("bands", "rows"), [(20, 5), (14, 8)])
def test_candidates_are_those_of_datasketch(sample: Corpus, bands: int, rows: int) -> None:
    """MinHashLSH of datasketch, given the same shingle hash, answers with the very pairs that meet."""
    spec = MinHashSpec(bands=bands, rows=rows)
    texts = sample.distinct.to_pylist()
    index = datasketch.MinHashLSH(num_perm=spec.num_permutations, params=(bands, rows))
    sketches = datasketch.MinHash.generator(
        map(shingles, texts), num_perm=spec.num_permutations, seed=spec.seed, hashfunc=hash_32
    )
    expected = set()
    for row, sketch in enumerate(sketches):
        expected |= {(other, row) for other in index.query(sketch)}
        index.insert(row, sketch)
    left_M, right_M = candidate_pairs(text_band_keys(sample.distinct, spec))
    assert set(zip(left_M.tolist(), right_M.tolist(), strict=True)) == expected
    assert len(expected) > 100


def test_a_leader_stays_where_a_chain_would_take_it() -> None:
    """A post that is like a removed one, but like none that stays, stays."""
    stem = "the river rose again today near our old school and the bridge is closed until sunday"
    chain = [stem[k:] + " we will be back in the morning"[: 2 * k] for k in (0, 6, 12)]
    pairs = as_dict(true_pairs(chain))
    assert pairs[0, 1] >= 0.75
    assert pairs[1, 2] >= 0.75
    assert pairs[0, 2] < 0.75
    resolved = resolve(pa.array(chain), SPEC, threshold=0.75)
    assert resolved.reason_N.tolist() == [0, NEAR_CODE, 0]
    removed = removed_by_truth(true_pairs(chain).at_least(0.75), 3)
    assert removed.tolist() == [False, True, False]


# --- scripts and short posts -----------------------------------------------------------------


def texts_of(*posts: str) -> pa.StringArray:
    return dedup_text(normalize(pa.array(posts, pa.string())))


NEAR_POSTS = {
    "Japanese": (
        "今日は朝から雨が降っていて電車がとても混んでいたので会社に着くまでに一時間以上もかかりました本当に疲れた",
        "今日は朝から雨が降っていて電車がとても混んでいたので会社に着くまでに一時間以上もかかりました本当に疲れたよ",
    ),
    "Chinese": (
        "昨天晚上我们在河边看到很多人放烟花孩子们都很高兴后来下雨了大家就慢慢地回家去了真是难忘的一天啊",
        "昨天晚上我们在河边看到很多人放烟花孩子们都很高兴后来下雨了大家就慢慢地回家去了真是难忘的一天",
    ),
    "Thai": (
        "วันนี้ฝนตกหนักมากรถติดตั้งแต่เช้ากว่าจะถึงที่ทำงานก็สายไปเกือบชั่วโมงแล้ว",
        "วันนี้ฝนตกหนักมากรถติดตั้งแต่เช้ากว่าจะถึงที่ทำงานก็สายไปเกือบชั่วโมงแล้วนะ",
    ),
    "Khmer": (
        "ថ្ងៃនេះភ្លៀងធ្លាក់ខ្លាំងណាស់ហើយផ្លូវក៏ស្ទះតាំងពីព្រឹករហូតដល់ល្ងាច",
        "ថ្ងៃនេះភ្លៀងធ្លាក់ខ្លាំងណាស់ហើយផ្លូវក៏ស្ទះតាំងពីព្រឹករហូតដល់ល្ងាច។",
    ),
}


@pytest.mark.parametrize("name", NEAR_POSTS)
def test_scripts_without_spaces(name: str) -> None:
    """A post without a single space and a copy of it with another end are near duplicates."""
    texts = texts_of(*NEAR_POSTS[name])
    assert not any(" " in text for text in texts.to_pylist())
    resolved = resolve(texts, SPEC, threshold=THRESHOLD)
    assert resolved.reason_N.tolist() == [0, NEAR_CODE]


SAME = [
    ("Look at this http://t.co/Ab1", "look at this https://example.com/x?y=1"),
    ("Look at this", "Look at this http://t.co/Ab1"),
    ("@anna good morning", "good morning @bert"),
    ("RT @anna: Good morning all", "good morning all"),
    ("RT @anna: RT @bert: good morning all", "rt good morning all"),
    ("GOOD MORNING 😂", "good   morning\n😂"),
    ("ΚΑΛΗΜΕΡΑ ΦΙΛΟΙ", "καλημερα φιλοι"),
    ("ДОБРОЕ УТРО", "доброе утро"),
    ("Tom &amp; Jerry", "tom & jerry"),
    ("caf\u00e9 au lait", "cafe\u0301 au lait"),
    ("good\u200bmorn\u00ading", "goodmorning"),
    ("看这里http://t.co/Ab1真好", "看这里 真好"),
    ("\uff52\uff54 说话", "\uff32\uff34 说话"),
]


@pytest.mark.parametrize(("post", "other"), SAME)
def test_what_does_not_make_a_post_new(post: str, other: str) -> None:
    """Case, links, handles, RT, entities, white space and composition leave the same text."""
    texts = texts_of(post, other)
    assert texts[0].as_py() == texts[1].as_py() != ""
    assert resolve(texts, SPEC, threshold=THRESHOLD).reason_N.tolist() == [0, EXACT_CODE]


OTHER = [
    ("so good 😂", "so good 😭"),
    ("we won 3-1", "we won 3-2"),
    ("good morning #monday", "good morning #sunday"),
    ("ok", "ok!"),
    ("good", "goods"),
    ("你好", "你好吗"),
]


@pytest.mark.parametrize(("post", "other"), OTHER)
def test_what_does(post: str, other: str) -> None:
    """Emoji, digits, hashtags and punctuation count, and tell short posts apart."""
    texts = texts_of(post, other)
    assert resolve(texts, SPEC, threshold=THRESHOLD).reason_N.tolist() == [0, 0]


def test_the_price_of_short_posts() -> None:
    """From 13 code points on, another last one is a near duplicate, whatever it says."""
    texts = texts_of("we won again 3-1", "we won again 3-2", "good morning 😂", "good morning 😭")
    resolved = resolve(texts, SPEC, threshold=THRESHOLD)
    assert resolved.reason_N.tolist() == [0, NEAR_CODE] * 2


def test_short_posts_by_arithmetic() -> None:
    """The least lengths at which one code point more, or another one, reaches 0.8."""

    def jaccard(a: str, b: str) -> float:
        return len(shingles(a) & shingles(b)) / len(shingles(a) | shingles(b))

    alphabet = "".join(map(chr, range(0x4E00, 0x4E00 + 60)))

    def least(change: str) -> int:
        for n in range(1, 60):
            text = alphabet[:n]
            middle = n // 2
            other = {
                "end replaced": text[:-1] + "x",
                "end added": text + "x",
                "middle replaced": text[:middle] + "x" + text[middle + 1 :],
                "middle added": text[:middle] + "x" + text[middle:],
            }[change]
            if jaccard(text, other) >= THRESHOLD:
                return n
        raise AssertionError(change)

    assert least("end added") == 8
    assert least("end replaced") == 13
    assert least("middle added") == 44
    assert least("middle replaced") == 49


@pytest.mark.parametrize("num_codes", range(1, 6))
def test_texts_of_one_shingle_are_equal_or_different(num_codes: int) -> None:
    """Up to five code points a text is its one shingle: a copy goes, everything else stays."""
    texts = ["abcdefgh"[k : k + num_codes] for k in range(3)]
    resolved = resolve(pa.array([*texts, *texts]), SPEC, threshold=THRESHOLD)
    assert resolved.reason_N.tolist() == [0, 0, 0, EXACT_CODE, EXACT_CODE, EXACT_CODE]


def test_laughter_of_other_length_is_a_near_duplicate() -> None:
    """Repeating oneself adds no shingle: the index is 1, though the texts differ."""
    texts = texts_of("哈" * 8, "哈" * 30, "hahahaha", "hahahahahaha", "😂" * 6, "😂" * 5)
    resolved = resolve(texts, SPEC, threshold=THRESHOLD)
    assert resolved.reason_N.tolist() == [0, NEAR_CODE] * 3
    assert (resolved.similarity_N == 1).all()


def test_a_text_of_links_alone_has_no_key() -> None:
    """What has no text to compare is never a near duplicate."""
    assert (text_band_keys(texts_of("@anna http://t.co/Ab1"), SPEC) == NO_KEY).all()


# --- the figures of the page -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "leader"),
    [
        ("marks", "good morning!", "good morning ☀"),
        ("hashtags", "the news today #one", "#two the news today"),
        ("digits", "4 killed in the quake", "93 killed in the quake"),
        ("more words", "oh the news today", "the news today"),
        ("other words", "tuesday morning forecast", "wednesday morning forecast"),
    ],
)
def test_kinds_of_difference(kind: str, text: str, leader: str) -> None:
    """Each kind is told from the others, whichever text is the leader's."""
    assert dedup_short.kind_of(text, leader, similarity=0.8) == kind
    assert dedup_short.kind_of(leader, text, similarity=0.8) == kind
    assert dedup_short.kind_of(text, leader, similarity=1.0) == "repeats"


def test_scripts() -> None:
    """A text is of the script that most of its letters are of."""
    texts = [
        "Good day",
        "добрый день ok",
        "صباح الخير",
        "สวัสดี",
        "おはよう rt",
        "안녕",
        "ሰላም",
        "123 😂",
    ]
    names = ("Latin", "Cyrillic", "Arabic", "Thai", "CJK", "CJK", "other", "no letters")
    got = [dedup_short.SCRIPTS[k] for k in dedup_short.scripts_of(texts)]
    assert got == list(names)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("full case folding (sharp s, final sigma, ligatures)", "straße", "strasse"),
        ("skin tones", "👍🏽", "👍"),
        ("all emoji", "so 😂🇮🇪❤\ufe0f good", "so good"),
        ("runs of one character cut to three", "soooooo", "sooo"),
        ("whole hashtags", "a #b c", "a c"),
        ("hashtags at either end, if 20 code points are left", "#a " + "b" * 20 + " #c", "b" * 20),
        ("hashtags at either end, if 20 code points are left", "#a short #c", "#a short #c"),
        ('a leading "name:", a handle that lost its @', "anna: hello", "hello"),
        ("a link cut short at the end", "look htt…", "look"),
        ("a link cut short at the end", "look http://t.c", "look"),
        ("RT anywhere", "#a rt anna: hello", "#a hello"),
    ],
)
def test_foldings(name: str, text: str, expected: str) -> None:
    """Each folding does what its name says."""
    assert " ".join(dedup_short.FOLDS[name](text).split()) == expected


@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("each", [1, 4, 9])
def test_the_index_of_two_fillings(slots: int, each: int) -> None:
    """The formula is the index of two fillings that share no code point in their slots."""
    frame = "".join(map(chr, range(0x4E00, 0x4E00 + 120)))
    texts = []
    for filler in ("a", "b"):
        text = frame
        for k in range(slots):
            at = 10 + 30 * k
            text = text[:at] + filler * each + text[at + each :]
        texts.append(text)
    expected = dedup_templates.expected_jaccard(120, slots=slots, filler=each * slots)
    if each == 1:
        assert dedup_templates.jaccard(*texts) == pytest.approx(expected)
    else:  # a filler that repeats itself has fewer shingles than it has code points
        assert dedup_templates.jaccard(*texts) >= expected


def posts_of(groups: dict[tuple[str, str], int]) -> Posts:
    rows = [key for key, n in groups.items() for _ in range(n)]
    columns = (pa.array([row[k] for row in rows], pa.string()) for k in range(2))
    texts = pa.array([f"text {k}" for k in range(len(rows))], pa.string())
    return Posts(texts, texts, *columns, 0)


def test_whole_weeks_are_drawn() -> None:
    """A week is drawn whole or not at all, every source is in, and a share of all gives all."""
    weeks = {("a", f"2014-01-{k:02d}"): 10 + k for k in range(1, 29)}
    posts = posts_of({**weeks, ("b", "th"): 40})
    drawn = draw(posts, 100)
    counts = dict(zip(*np.unique(drawn.group.to_pylist(), return_counts=True), strict=True))
    assert all(n == 40 if g == "th" else n == weeks["a", g] for g, n in counts.items())
    assert 1 < len(counts) < len(weeks)
    assert draw(posts, 10**6) == posts
