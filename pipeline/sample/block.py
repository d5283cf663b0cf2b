"""A block of the sample: what its posts say, and the truth about each.

A block is drawn whole, so that memory does not grow with the sample.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.sample.broken import BREAKAGES
from sluice.pipeline.sample.draws import Draws, cumulative, shares
from sluice.pipeline.sample.duplicates import bucket, comparison_text, disguised, edited, similarity
from sluice.pipeline.sample.marks import around
from sluice.pipeline.sample.noise import KINDS, LANGUAGES, WORDLESS, Scene
from sluice.pipeline.sample.templates import BOTS, SPAM, filled
from sluice.pipeline.sample.words import LANGUAGE_WEIGHTS, joined, lexicon, sentence_list
from sluice.schemas.arrays import Int64s

CLEAN, EXACT, NEAR, REDELIVERED = "clean", "exact_duplicate", "near_duplicate", "redelivered"
TEMPLATE, PROMOTION, NOISE, MALFORMED = "template", "spam", "noise", "malformed"

SHARES: dict[str, float] = {
    CLEAN: 0.63,
    EXACT: 0.055,
    NEAR: 0.04,
    REDELIVERED: 0.02,
    TEMPLATE: 0.015,
    PROMOTION: 0.09,
    NOISE: 0.14,
    MALFORMED: 0.01,
}
"""Label -> share of the posts. Of a real firehose more than 80% is not worth training on; a sample
like that would leave little to look at."""

NEAR_WORDS = 14
"""Near duplicates are made of sentences this long: in a short one, a word is most of the grams."""

NFD_RATIO, EDITED_RATIO = 0.015, 0.05
"""Clean posts in decomposed form; redelivered posts whose text was edited in between."""

POSTS = pa.schema(
    [
        ("text", pa.string()),
        ("language", pa.string()),
        ("label", pa.string()),
        ("detail", pa.string()),
        ("original", pa.int64()),
        ("similarity", pa.float64()),
    ]
)
"""A post before it has a place. `original` is the row of this table that it copies, or null."""


def block_posts(num_posts: int, handles: pa.StringArray, *, draws: Draws) -> pa.Table:
    """Returns (num_posts,) rows of POSTS, in an order that means nothing."""
    counts = shares(num_posts, SHARES)
    posts = _clean_and_near(counts, handles, draws=draws)
    clean_C = np.flatnonzero(pc.equal(posts["label"], CLEAN).to_numpy())
    parts = [
        posts,
        _exact(posts, clean_C, counts[EXACT], handles, draws=draws),
        _redelivered(posts, clean_C, counts[REDELIVERED], draws=draws),
    ]
    base = sum(map(len, parts))
    parts += [
        _templates(counts[TEMPLATE], handles, base=base, draws=draws),
        _spam(counts[PROMOTION], handles, draws=draws),
        _noise(counts[NOISE], handles, draws=draws),
        _malformed(counts[MALFORMED], draws=draws),
    ]
    return _with_truth(pa.concat_tables(parts).combine_chunks())


def _posts(text: pa.StringArray, **columns: Any) -> pa.Table:
    """Returns rows of POSTS; a scalar stands for every row, a missing column is null."""
    columns["text"] = text
    arrays = []
    for field in POSTS:
        value = columns.get(field.name)
        if isinstance(value, pa.Array | np.ndarray):
            arrays.append(pa.array(value, field.type))
        else:
            arrays.append(pa.repeat(pa.scalar(value, field.type), len(text)))
    return pa.table(arrays, schema=POSTS)


def _clean_and_near(counts: dict[str, int], handles: pa.StringArray, *, draws: Draws) -> pa.Table:
    clean = {k: n for k, n in shares(counts[CLEAN], LANGUAGE_WEIGHTS).items() if n}
    near = shares(counts[NEAR], clean)
    parts: list[pa.Table] = []
    for language, size in clean.items():
        base = sum(map(len, parts))
        parts += _of_language(language, size, near[language], handles, base=base, draws=draws)
    return pa.concat_tables(parts).combine_chunks()


def _of_language(
    language: str, size: int, num_near: int, handles: pa.StringArray, *, base: int, draws: Draws
) -> list[pa.Table]:
    """Returns the clean posts of a language, at rows `base` and on, and their near duplicates."""
    words = lexicon(language)
    sentences = sentence_list(words, size=size, draws=draws)
    frame = around(words, handles, size=size, draws=draws)
    text = frame.wrap(joined(sentences))
    decomposed = pa.array(draws.chance(NFD_RATIO, size=size))
    text = pc.if_else(decomposed, pc.utf8_normalize(text, "NFD"), text)
    row_M = _near_rows(sentences, num_near, draws)
    copies = edited(sentences.take(pa.array(row_M)), words, draws=draws)
    return [
        _posts(text, language=language, label=CLEAN),
        _posts(
            frame.take(row_M).wrap(joined(copies)),
            language=language,
            label=NEAR,
            original=row_M + base,
        ),
    ]


def _near_rows(sentences: pa.ListArray, size: int, draws: Draws) -> Int64s:
    """Returns (size,) int64: sentences to copy, half of them twice as long as they must be."""
    words_N = pc.list_value_length(sentences).to_numpy()
    every_N = np.arange(len(sentences))
    long = np.flatnonzero(words_N >= NEAR_WORDS)
    longer = np.flatnonzero(words_N >= 2 * NEAR_WORDS)
    long = long if len(long) else every_N
    longer = longer if len(longer) else long
    first = long[draws.below(len(long), size=size - size // 2)]
    return np.concatenate([first, longer[draws.below(len(longer), size=size // 2)]])


def _exact(
    posts: pa.Table, clean_C: Int64s, size: int, handles: pa.StringArray, *, draws: Draws
) -> pa.Table:
    """Copies of clean posts in disguise; a few posts are copied very often."""
    popular = cumulative(1 / (np.arange(len(clean_C)) + 10.0))
    rank_M = draws.index(popular, size=size)
    row_M = clean_C[draws.order(len(clean_C))][rank_M]
    texts, kinds = disguised(_texts(posts, row_M), handles, draws=draws)
    language = posts["language"].combine_chunks().take(pa.array(row_M))
    return _posts(
        texts, language=language, label=EXACT, detail=kinds, original=row_M, similarity=1.0
    )


def _redelivered(posts: pa.Table, clean_C: Int64s, size: int, *, draws: Draws) -> pa.Table:
    """Clean posts again, which later get the same id; some have one more word."""
    row_M = clean_C[draws.below(len(clean_C), size=size)]
    texts = _texts(posts, row_M)
    more = draws.pick(lexicon("en").forms.slice(0, 1000), size=size)
    edit = pa.array(draws.chance(EDITED_RATIO, size=size))
    return _posts(
        pc.if_else(edit, pc.binary_join_element_wise(texts, more, " "), texts),
        language=posts["language"].combine_chunks().take(pa.array(row_M)),
        label=REDELIVERED,
        detail=pc.if_else(edit, "edited", "same_text"),
        original=row_M,
    )


def _texts(posts: pa.Table, row_M: Int64s) -> pa.StringArray:
    return posts["text"].combine_chunks().take(pa.array(row_M))


def _templates(size: int, handles: pa.StringArray, *, base: int, draws: Draws) -> pa.Table:
    """Posts of automatic accounts; the first of a template is what the others repeat."""
    parts = []
    for language, template, count in _dealt(size, BOTS):
        original_N = pa.array([None] + [base] * (count - 1), pa.int64())
        text = filled(template, handles, language=language, size=count, draws=draws)
        parts.append(_posts(text, language=language, label=TEMPLATE, original=original_N))
        base += count
    return pa.concat_tables([POSTS.empty_table(), *parts])


def _spam(size: int, handles: pa.StringArray, *, draws: Draws) -> pa.Table:
    parts = []
    for k, (language, template, count) in enumerate(_dealt(size, SPAM)):
        text = filled(template, handles, language=language, size=count, draws=draws)
        parts.append(_posts(text, language=language, label=PROMOTION, detail=f"template_{k:02d}"))
    return pa.concat_tables([POSTS.empty_table(), *parts])


def _dealt(size: int, templates: dict[str, tuple[str, ...]]) -> list[tuple[str, str, int]]:
    """Returns (language, template, count): languages by weight, their templates evenly."""
    dealt = []
    languages = shares(size, {name: LANGUAGE_WEIGHTS[name] for name in templates})
    for language, count in languages.items():
        evenly = shares(count, dict.fromkeys(templates[language], 1.0))
        dealt += [(language, template, n) for template, n in evenly.items() if n]
    return dealt


def _noise(size: int, handles: pa.StringArray, *, draws: Draws) -> pa.Table:
    parts = []
    for kind, count in shares(size, {kind: weight for kind, (weight, _) in KINDS.items()}).items():
        for language, n in shares(count, LANGUAGES).items():
            text = KINDS[kind][1](Scene(lexicon(language), handles, n, draws))
            named = None if kind in WORDLESS else language
            parts.append(_posts(text, language=named, label=NOISE, detail=kind))
    return pa.concat_tables(parts)


def _malformed(size: int, *, draws: Draws) -> pa.Table:
    """English sentences whose rows are to be broken in the way that `detail` names."""
    text = joined(sentence_list(lexicon("en"), size=size, draws=draws))
    weights = {kind: breakage.weight for kind, breakage in BREAKAGES.items()}
    kinds = draws.pick_weighted(weights, size=size)
    return _posts(text, language="en", label=MALFORMED, detail=kinds)


def _with_truth(posts: pa.Table) -> pa.Table:
    """Fills in how alike edited copies are, and calls those exact whose edit changed nothing."""
    pending_N = pc.and_(pc.is_valid(posts["original"]), pc.is_null(posts["similarity"]))
    row_M = np.flatnonzero(pending_N.to_numpy())
    labels = posts["label"].take(row_M).to_pylist()
    details = posts["detail"].take(row_M).to_pylist()
    originals = posts["original"].take(row_M)
    alike = []
    pairs = zip(posts["text"].take(row_M), posts["text"].take(originals), strict=True)
    for k, (copy, original) in enumerate(pairs):
        text, other = comparison_text(copy.as_py()), comparison_text(original.as_py())
        alike.append(similarity(text, other))
        if labels[k] == NEAR and text == other:
            labels[k], details[k] = EXACT, "edit_undone"
        elif labels[k] != REDELIVERED:
            details[k] = bucket(alike[k])
    mask = pa.array(pending_N.to_numpy())
    for name, values in (("label", labels), ("detail", details), ("similarity", alike)):
        column = posts[name].combine_chunks()
        at = posts.schema.get_field_index(name)
        values = pa.array(values, column.type)
        posts = posts.set_column(at, name, pc.replace_with_mask(column, mask, values))
    return posts
