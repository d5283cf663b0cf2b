import gzip
import json
import re
import unicodedata
from collections import Counter
from dataclasses import asdict, fields
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sluice.filters.text import kernels as k
from sluice.filters.text.char_classes import PICTOGRAPHS, char_classes
from sluice.filters.text.features import TextFeatures, text_features
from tests.strategies import WORDS, sliced_texts, text_arrays, texts

regex = pytest.importorskip("regex")


def category_of(c: str) -> str:
    """The general category; planes 2 and 3 are ideographs, assigned by this Unicode version or not."""
    return "Lo" if 0x20000 <= ord(c) <= 0x3FFFD else unicodedata.category(c)


def is_letter(c: str) -> bool:
    on_emoji = c in "\u034f\u20e3" or 0xFE00 <= ord(c) <= 0xFE0F or 0xE0100 <= ord(c) <= 0xE01EF
    return category_of(c)[0] in "LM" and not on_emoji


def is_emoji(c: str) -> bool:
    return any(first <= ord(c) <= last for first, last in PICTOGRAPHS)


def kind_of(c: str) -> int:
    """The class of a character by another road: `str` methods and block ranges written by hand."""
    cp, category = ord(c), category_of(c)
    if c.isspace():
        return k.SPACE
    if is_emoji(c):
        return k.EMOJI
    if 0x1F1E6 <= cp <= 0x1F1FF:
        return k.REGIONAL
    if is_letter(c):
        if category in ("Lu", "Lt"):
            return k.UPPER
        return k.LOWER if category == "Ll" else int(char_classes()[cp])
    if category == "Nd":
        return k.DIGIT
    return {"N": k.NUMBER, "P": k.PUNCT, "S": k.PUNCT}.get(category[0], k.OTHER)


def url_at(text: str, i: int) -> int:
    """The end of the URL that begins at character i, or i."""
    head = re.compile(r"https?://|(?<![A-Za-z0-9_])www\.(?=[A-Za-z0-9])", re.I | re.A).match(
        text, i
    )
    if not head:
        return i
    j = head.end()
    while j < len(text):
        c = text[j]
        if ord(c) < 128 and (ord(c) <= 32 or c in '"<>\x7f'):
            break
        if ord(c) >= 128 and kind_of(c) not in (k.UPPER, k.LOWER, k.LETTER, k.DIGIT, k.NUMBER):
            break
        j += 1
    return j


def split_marks(text: str) -> tuple[str, list[str], list[str], bool]:
    """Returns (own text, URLs, handles, begins with RT and a handle), character by character."""
    handles, own, urls, i = [], [], [], 0
    shell = re.compile(r"\s*rt(?=[\s:@]|\Z)[\s:]*(?:(@[A-Za-z0-9_]+)[\s:]*)?", re.I)
    retweet = False
    while found := shell.match(text):
        handles += [found[1]] if found[1] else []
        retweet = retweet or bool(found[1])
        text = text[found.end() :]
        shell = re.compile(r"rt(?=[\s:@]|\Z)[\s:]*(?:(@[A-Za-z0-9_]+)[\s:]*)?", re.I)
    handle = re.compile(r"(?<![A-Za-z0-9_])@[A-Za-z0-9_]+")
    while i < len(text):
        if (end := url_at(text, i)) > i:
            urls.append(text[i:end])
        elif found := handle.match(text, i):
            handles.append(found[0])
            end = found.end()
        else:
            own.append(text[i])
            i += 1
            continue
        own.append(" ")
        i = end
    return "".join(own), urls, handles, retweet


def hashtags_of(word: str) -> list[tuple[int, int]]:
    spans = []
    for i, c in enumerate(word):
        before = word[i - 1] if i else " "
        if c not in "#＃" or k.UPPER <= kind_of(before) <= k.NUMBER or before == "_":
            continue
        j = i + 1
        while j < len(word) and (k.UPPER <= kind_of(word[j]) <= k.NUMBER or word[j] == "_"):
            j += 1
        spans.append((i, j))
    return spans


def num_words(word: str) -> int:
    joined = re.sub(
        "(?<=\u200d).", lambda m: "\u200d" if is_emoji(m[0]) else m[0], word, flags=re.S
    )
    kinds = [kind_of(c) for c in joined]
    if not any(k.UPPER <= kind <= k.REGIONAL for kind in kinds):
        return 0
    tags = hashtags_of(word)
    real = [t for t in tags if any(k.UPPER <= kinds[i] <= k.UNSPACED for i in range(*t))]
    inside = {i for t in tags for i in range(*t)}
    rest = [kind for i, kind in enumerate(kinds) if i not in inside]
    spaced = any(k.UPPER <= r <= k.REGIONAL and r not in (k.CJK, k.UNSPACED) for r in rest)
    quarters = 2 * rest.count(k.CJK) + rest.count(k.UNSPACED)
    return max(1, len(real) + spaced + quarters // 4)


def key_of(word: str) -> str:
    kept = [
        c
        for i, c in enumerate(word)
        if k.UPPER <= kind_of(c) <= k.REGIONAL
        and not (is_emoji(c) and i > 0 and word[i - 1] == "\u200d")
    ]
    return "".join(c.lower() if c.isascii() else c for c in kept)


def num_repeated(known: list[str]) -> int:
    """Words that stood before in their hundred, or end eight words that stood in the text before."""
    phrases = [tuple(known[i - 7 : i + 1]) for i in range(7, len(known))]
    ends = {i + 7 for i in range(len(phrases)) if phrases[i] in phrases[:i]}
    return sum(
        word in known[i // 100 * 100 : i] or (len(known) > 100 and i in ends)
        for i, word in enumerate(known)
    )


def plain_features(text: str) -> dict[str, int]:
    """Every counter of one post, with string methods and regular expressions."""
    own, urls, handles, retweet = split_marks(text)
    words = own.split()
    kinds = Counter(kind_of(c) for c in own)
    joined = len([c for w in words for a, c in pairwise(w) if a == "\u200d" and is_emoji(c)])
    flags = sum((len(run) + 1) // 2 for run in re.findall("[\U0001f1e6-\U0001f1ff]+", own))
    letters = sum(kinds[x] for x in range(k.UPPER, k.UNSPACED + 1))
    emoji = kinds[k.EMOJI] - joined + flags
    keys = [key_of(w) for w in words]
    known = [key for key in keys if key]
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    runs = [len(m[0]) for m in re.finditer(r"(\S)\1*", own)]
    return {
        "num_bytes": len(text.encode()),
        "num_chars": len(text),
        "num_urls": len(urls),
        "num_url_chars": sum(map(len, urls)),
        "num_mentions": len(handles),
        "num_retweets": int(retweet),
        "num_visible": sum(map(len, words)),
        "num_letters": letters,
        "num_cased": kinds[k.UPPER] + kinds[k.LOWER],
        "num_upper": kinds[k.UPPER],
        "num_digits": kinds[k.DIGIT],
        "num_punctuation": kinds[k.PUNCT] - own.count("#"),
        "num_emoji": emoji,
        "num_symbols": own.count("#") + own.count("…") + own.count("..."),
        "num_hashtags": sum(
            any(k.UPPER <= kind_of(w[i]) <= k.UNSPACED for i in range(*t))
            for w in words
            for t in hashtags_of(w)
        ),
        "num_said": letters + kinds[k.DIGIT] + kinds[k.NUMBER] + emoji,
        "longest_run": max(runs, default=0),
        "num_tokens": len(words),
        "num_words": sum(map(num_words, words)),
        "num_known_tokens": len(known),
        "num_alphabetic_tokens": sum(any(map(is_letter, w)) for w in words),
        "num_repeated_tokens": num_repeated(known),
        "num_lines": len(lines),
        "num_duplicate_lines": len(lines) - len(set(lines)),
        "num_line_chars": sum(map(len, lines)),
        "num_duplicate_line_chars": sum(map(len, lines)) - sum(map(len, set(lines))),
        "num_bullet_lines": sum(line[0] in "-*–·•‣▪●◦" for line in lines),
        "num_ellipsis_lines": sum(line.endswith(("…", "...")) for line in lines),
        "num_truncated": int(own.rstrip().endswith(("…", "..."))),
    }


def rows_of(features: TextFeatures) -> list[dict[str, int]]:
    columns = {name: column.tolist() for name, column in asdict(features).items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@settings(max_examples=250)
@given(texts(max_words=16))
@example("RT @a: RT @b: x #y… http://t.co/a…")
@example("看http://t.cn/ab很好 #话题#内容 ３。")
def test_every_counter_equals_the_plain_reference(text: str) -> None:
    """One pass over the bytes counts what string methods and regular expressions count."""
    (row,) = rows_of(text_features(pa.array([text])))
    assert row == plain_features(text)


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), min_size=90, max_size=230),
    st.integers(2, 26),
)
def test_repeated_words_of_long_texts_equal_the_reference(letters: list[str], kinds: int) -> None:
    """Across hundreds of words, repeats in a hundred and repeated runs of eight are found, each once."""
    words = [chr(97 + ord(c) % kinds) * 2 for c in letters]
    rows = [" ".join(words), " ".join(words + words), "short"]
    counted = text_features(pa.array(rows)).num_repeated_tokens.tolist()
    assert counted == [num_repeated(row.split()) for row in rows]


@pytest.mark.parametrize("word", WORDS)
def test_every_counter_of_a_single_word(word: str) -> None:
    """Each awkward word alone, doubled, and twice in a line, is counted as the reference counts it."""
    rows = [word, word + word, f"{word} {word}\n{word}"]
    assert rows_of(text_features(pa.array(rows))) == [plain_features(row) for row in rows]


@given(text_arrays())
def test_rows_do_not_touch_each_other(column: pa.StringArray) -> None:
    """A text has the same counters alone, in a batch, and in a slice of a longer buffer."""
    alone = [rows_of(text_features(pa.array([text])))[0] for text in column.to_pylist()]
    assert rows_of(text_features(column)) == alone


def test_long_text_is_counted_exactly() -> None:
    """A text of more than 64 KiB with many distinct words overflows no counter and no set."""
    text = " ".join(f"w{i}" for i in range(30_000)) + " w7 W8"
    (row,) = rows_of(text_features(pa.array(["a", text])))[1:]
    assert (row["num_words"], row["num_repeated_tokens"]) == (30_002, 0)
    (again,) = rows_of(text_features(pa.array([f"{text} {text}"])))
    assert again["num_repeated_tokens"] == 30_002 - 7


def test_columns_are_int32_and_filtered_together() -> None:
    """Every counter is (N,) int32, `filter` keeps the rows of the mask, and `len` is their number."""
    features = text_features(sliced_texts(["one", "two words", ""]))
    kept = features.filter(np.array([False, True, True]))
    assert len(features) == 3
    assert len(kept) == 2
    assert kept.num_words.tolist() == [2, 0]
    assert all(getattr(kept, f.name).dtype == np.int32 for f in fields(kept))


@pytest.mark.real
def test_real_posts_are_counted_as_the_reference_counts_them(data: Path) -> None:
    """Every counter of some thousand real posts equals the plain reference."""
    for part in ("part-03", "weibo-ced"):
        with gzip.open(data / "firehose" / f"{part}.jsonl.gz") as lines:
            rows = [json.loads(line)["text"] for line in islice(lines, 0, 40_000, 20)]
        wrong = [
            i
            for i, row in enumerate(rows_of(text_features(pa.array(rows))))
            if row != plain_features(rows[i])
        ]
        assert wrong == []


def test_nothing_gives_nothing() -> None:
    """No rows give no counters, and an empty text has none above 0."""
    assert len(text_features(pa.array([], pa.string()))) == 0
    assert set(rows_of(text_features(pa.array([""])))[0].values()) == {0}


def test_unspaced_scripts_are_not_one_word() -> None:
    """A Chinese, Japanese or Thai sentence counts several words by the stated rule."""
    rows = ["今天天气很好", "東京タワーに行った", "สวัสดีครับทุกคน", "iPhoneを買った"]
    assert text_features(pa.array(rows)).num_words.tolist() == [3, 4, 3, 3]


def test_pictographs_are_those_of_unicode() -> None:
    """The stated ranges hold every Extended_Pictographic that the regex package knows, and symbols.

    (Unicode 17 took symbols such as chess pieces out of the property; 14.0, which is stated, had them.)
    """
    pattern = regex.compile(r"\p{Extended_Pictographic}")
    text_marks = {0xA9, 0xAE, 0x2122}
    expected = {cp for cp in range(0x80, 0x20000) if pattern.match(chr(cp))} - text_marks
    stated = {cp for first, last in PICTOGRAPHS for cp in range(first, last + 1)}
    assert expected <= stated
    assert all(unicodedata.category(chr(cp)) in ("So", "Sm", "Cn") for cp in stated - expected)


def test_class_table_agrees_with_unicodedata() -> None:
    """Letters, digits, white space and punctuation of all assigned code points are as `str` says."""
    classes = char_classes()
    for cp in (*range(0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE0200)):
        c = chr(cp)
        if unicodedata.category(c) != "Cn":
            assert classes[cp] == kind_of(c), hex(cp)
            if is_letter(c) and not (c.isupper() or c.islower() or c.istitle()):
                assert k.UPPER <= classes[cp] <= k.UNSPACED, hex(cp)
