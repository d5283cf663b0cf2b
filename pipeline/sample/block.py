"""A block of the sample: what its posts say, and the truth about each.

A block is drawn whole, so that memory does not grow with the sample.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.sample.broken import BREAKAGES
from sluice.pipeline.sample.draws import Draws, cumulative, shares
from sluice.pipeline.sample.duplicates import bucket, comparison_text, disguised, edited, similarity
from sluice.pipeline.sample.noise import KINDS, LANGUAGES, WORDLESS
from sluice.pipeline.sample.scene import Scene, around
from sluice.pipeline.sample.templates import BOTS, SPAM, filled
from sluice.pipeline.sample.words import LANGUAGE_WEIGHTS, joined, lexicon, sentence_list, together
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

EDITED = "edited"
NFD_RATIO, EDITED_RATIO = 0.015, 0.05
"""Clean posts in decomposed form; redelivered posts whose text was edited in between."""

POSTS = pa.schema(
    dict.fromkeys(("text", "language", "label", "detail"), pa.string())
    | {"original": pa.int64(), "similarity": pa.float64()}
)
"""A post before it has a place in a file. `original` is the row of this table that it copies, or null."""


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
    parts += _templates(counts[TEMPLATE], handles, base=base, draws=draws)
    parts += _spam(counts[PROMOTION], handles, draws=draws)
    parts += _noise(counts[NOISE], handles, draws=draws)
    parts.append(_malformed(counts[MALFORMED], draws=draws))
    return _with_truth(pa.concat_tables(parts).combine_chunks())


def _posts(text: pa.StringArray, **columns: Any) -> pa.Table:
    """Returns rows of POSTS; a scalar is the value of every row, a missing column is null."""
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
    scene = Scene(lexicon(language), handles, size, draws)
    sentences = scene.sentences()
    lead, trail = around(scene)
    text = together(lead, joined(sentences), trail)
    decomposed = pa.array(draws.chance(NFD_RATIO, size=size))
    text = pc.if_else(decomposed, pc.utf8_normalize(text, "NFD"), text)
    row_M = _near_rows(sentences, num_near, draws)
    rows = pa.array(row_M)
    copies = edited(sentences.take(rows), scene.words, draws=draws)
    near = together(lead.take(rows), joined(copies), trail.take(rows))
    return [
        _posts(text, language=language, label=CLEAN),
        _posts(near, language=language, label=NEAR, original=row_M + base),
    ]


def _near_rows(sentences: pa.ListArray, size: int, draws: Draws) -> Int64s:
    """Returns (size,) int64: sentences to copy, half of them twice as long as needed."""
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
    texts, kinds = disguised(_taken(posts, "text", row_M), handles, draws=draws)
    columns = {"language": _taken(posts, "language", row_M), "detail": kinds, "original": row_M}
    return _posts(texts, label=EXACT, similarity=1.0, **columns)


def _redelivered(posts: pa.Table, clean_C: Int64s, size: int, *, draws: Draws) -> pa.Table:
    """Clean posts again, which later get the same id; some have one more word."""
    row_M = clean_C[draws.below(len(clean_C), size=size)]
    texts = _taken(posts, "text", row_M)
    more = draws.pick(lexicon("en").forms.slice(0, 1000), size=size)
    edit = pa.array(draws.chance(EDITED_RATIO, size=size))
    return _posts(
        pc.if_else(edit, pc.binary_join_element_wise(texts, more, " "), texts),
        language=_taken(posts, "language", row_M),
        label=REDELIVERED,
        detail=pc.if_else(edit, EDITED, "same_text"),
        original=row_M,
    )


def _taken(posts: pa.Table, column: str, row_M: Int64s) -> pa.StringArray:
    return posts[column].combine_chunks().take(pa.array(row_M))


def _templates(
    size: int, handles: pa.StringArray, *, base: int, draws: Draws
) -> Iterator[pa.Table]:
    """Yields posts of automatic accounts; the first of a template is what the others repeat."""
    for language, text in _filled(size, BOTS, handles, draws):
        original_N = pa.array([None] + [base] * (len(text) - 1), pa.int64())
        yield _posts(text, language=language, label=TEMPLATE, original=original_N)
        base += len(text)


def _spam(size: int, handles: pa.StringArray, *, draws: Draws) -> Iterator[pa.Table]:
    for k, (language, text) in enumerate(_filled(size, SPAM, handles, draws)):
        yield _posts(text, language=language, label=PROMOTION, detail=f"template_{k:02d}")


def _filled(
    size: int, templates: dict[str, list[str]], handles: pa.StringArray, draws: Draws
) -> Iterator[tuple[str, pa.StringArray]]:
    """Yields (language, texts) of each template: languages by weight, their templates evenly."""
    languages = shares(size, {name: LANGUAGE_WEIGHTS[name] for name in templates})
    for language, count in languages.items():
        for template, n in shares(count, dict.fromkeys(templates[language], 1.0)).items():
            if n:
                yield language, filled(template, Scene(lexicon(language), handles, n, draws))


def _noise(size: int, handles: pa.StringArray, *, draws: Draws) -> Iterator[pa.Table]:
    for kind, count in shares(size, {kind: weight for kind, (weight, _) in KINDS.items()}).items():
        for language, n in shares(count, LANGUAGES).items():
            text = KINDS[kind][1](Scene(lexicon(language), handles, n, draws))
            named = None if kind in WORDLESS else language
            yield _posts(text, language=named, label=NOISE, detail=kind)


def _malformed(size: int, *, draws: Draws) -> pa.Table:
    """English sentences whose rows are to be broken in the way that `detail` names."""
    text = joined(sentence_list(lexicon("en"), size=size, draws=draws))
    weights = {kind: breakage.weight for kind, breakage in BREAKAGES.items()}
    kinds = draws.pick_weighted(weights, size=size)
    return _posts(text, language="en", label=MALFORMED, detail=kinds)


def _with_truth(posts: pa.Table) -> pa.Table:
    """Fills in how alike edited copies are, and calls those exact whose edit changed nothing."""
    pending_N = pc.and_(pc.is_valid(posts["original"]), pc.is_null(posts["similarity"])).to_numpy()
    row_M = np.flatnonzero(pending_N)
    columns = [posts[name].take(row_M) for name in ("label", "detail", "text")]
    columns.append(posts["text"].take(posts["original"].take(row_M)))
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    truth_M3 = [_truth(*row) for row in rows]
    for k, name in enumerate(("label", "detail", "similarity")):
        column = posts[name].combine_chunks()
        values = pa.array([truth[k] for truth in truth_M3], column.type)
        column = pc.replace_with_mask(column, pa.array(pending_N), values)
        posts = posts.set_column(posts.schema.get_field_index(name), name, column)
    return posts


def _truth(label: str, detail: str | None, text: str, original: str) -> tuple[Any, ...]:
    """Returns (label, detail, similarity) of a copy."""
    text, original = comparison_text(text), comparison_text(original)
    alike = similarity(text, original)
    if label == NEAR and text == original:
        return EXACT, "edit_undone", alike
    return label, detail if label == REDELIVERED else bucket(alike), alike
