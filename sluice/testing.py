"""What holds a filter to the rules that all filters follow, for the tests of whoever writes one.

    def test_prices() -> None:
        check_filter(PriceCount(max_prices=2))

`check_filter` raises an AssertionError that names the rule which a filter breaks. Sluice's own filters are
held to the same rules by the same functions, on posts that Hypothesis draws.
"""

import json
import pickle
import sys
import tomllib
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from sluice.filters.base import SCORE_GRID, Filter, Scorer, on_grid
from sluice.filters.batch import Batch, Languages, Scores, Views
from sluice.filters.contract import accepted, details, wrong_scores
from sluice.filters.fasttext.views import NOTHING_READ, Hiddens
from sluice.filters.language.identify import build_identifier
from sluice.filters.language.views import LanguageIdentifier, model_views
from sluice.filters.plugins import union_of, wrong_kind, wrong_spec
from sluice.schemas.errors import FilterError
from sluice.schemas.post import POST

__all__ = ["check_filter", "check_scores", "check_spec", "hostile_posts", "posts_of"]

ALONE: Final = 16
"""So many posts of a batch are also scored one by one."""


def check_filter(
    spec: Filter, posts: pa.RecordBatch | None = None, *, views: Views | None = None
) -> None:
    """Holds a filter to the contract of `sluice.filters.base`.

    Of the spec: it is a value, which goes through a recipe, a pickle and a hash; it is documented; its
    threshold is inclusive. Of its scores: one finite float32 per post, on the grid; the same whenever,
    wherever and beside whichever posts a post is scored; of the declared columns alone. Of its verdicts: a
    stricter threshold keeps no post more.

    Args:
        spec: a filter with its settings.
        posts: a POST batch that its scorer is tried on; by default `hostile_posts()`.
        views: views of a batch that models make; by default those of the shipped language models.

    Raises:
        AssertionError: a rule is broken; the message says which.
    """
    check_spec(spec)
    tried, score = hostile_posts() if posts is None else posts, spec.build()
    views = model_views(_shipped_languages, score) if views is None else views
    _check_survives(spec, score, tried, views)
    check_scores(spec, score, tried, views=views)
    scores_N = score(Batch(tried, views))
    again = pickle.loads(pickle.dumps(spec)).build()
    _hold(spec, _equal(again(Batch(tried, views)), scores_N), "build() twice gives other scores")


def _hold(spec: Filter, holds: bool, rule: str) -> None:
    if not holds:
        raise AssertionError(f"{spec.name}: {rule}")


# --- the spec --------------------------------------------------------------------------------


def check_spec(spec: Filter) -> None:
    """Raises an AssertionError unless a spec is a value, documented, with a bound that is inclusive."""
    kind = type(spec)
    wrong = wrong_kind(kind, str(kind.__struct_config__.tag)) or wrong_spec(spec)
    _hold(spec, wrong is None, wrong or "")
    _check_value(spec)
    _check_recipe(spec)
    _check_documented(spec)
    _check_bound(spec)


def _check_value(spec: Filter) -> None:
    try:
        copy = pickle.loads(pickle.dumps(spec))
    except Exception as error:
        raise AssertionError(f"{spec.name}: cannot be pickled: {error}") from error
    _hold(spec, copy == spec, "is not equal after pickling")
    _hold(spec, hash(copy) == hash(spec), "hashes differently after pickling")
    for field in msgspec.structs.fields(type(spec)):
        try:
            setattr(spec, field.name, getattr(spec, field.name))
        except AttributeError:
            continue
        _hold(spec, False, f"{field.name} can be changed: the class must be frozen")


def _check_recipe(spec: Filter) -> None:
    """Raises an AssertionError unless a spec can be written in a recipe, and read again."""
    kind = type(spec)
    table = {k: v for k, v in msgspec.to_builtins(spec).items() if v is not None}
    try:
        read = tomllib.loads(f"filters = [{_toml(table)}]")["filters"][0]
        same = msgspec.convert(read, union_of([kind])) == spec
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, TypeError) as error:
        raise AssertionError(f"{spec.name}: cannot be written in a recipe: {error}") from error
    _hold(spec, same, "is not equal after it went through a recipe")
    try:
        msgspec.convert({**table, "no_such_key": 1}, kind)
    except msgspec.ValidationError:
        return
    _hold(spec, False, "takes an unknown key: the class must forbid unknown fields")


def _toml(value: Any) -> str:
    """Returns a value as TOML has it."""
    match value:
        case dict():
            pairs = (f"{json.dumps(str(k))} = {_toml(v)}" for k, v in value.items())
            return "{" + ", ".join(pairs) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case str() | bool():
            return json.dumps(value)
        case int() | float():
            return repr(value)
    raise TypeError(f"TOML has no {type(value).__name__}")


def _check_documented(spec: Filter) -> None:
    kind = type(spec)
    _hold(
        spec, "Score:" in str(kind.__doc__), "the docstring must say what is scored: `Score: ...`"
    )
    _hold(spec, bool(sys.modules[kind.__module__].__doc__), "its module has no docstring")
    for field in msgspec.structs.fields(kind):
        _hold(spec, f"{field.name}:" in str(kind.__doc__), f"{field.name} is not in the docstring")


def _check_bound(spec: Filter) -> None:
    step = max(SCORE_GRID, float(np.spacing(np.float32(spec.threshold))))
    beyond = step if spec.bound.startswith("max_") else -step
    scores = on_grid([spec.threshold, spec.threshold + beyond, spec.threshold - beyond])
    _hold(
        spec,
        _accepted(spec, scores) == [True, False, True],
        "a score at the threshold must be accepted, and one beyond it rejected",
    )


def _accepted(spec: Filter, scores_N: Scores) -> list[bool]:
    try:
        return [bool(verdict) for verdict in accepted(spec, scores_N)]
    except FilterError as error:
        raise AssertionError(str(error)) from error


# --- its scores ------------------------------------------------------------------------------


def check_scores(
    spec: Filter, score: Scorer, posts: pa.RecordBatch, *, views: Views | None = None
) -> None:
    """Raises an AssertionError unless scores are finite, on the grid, and those of each post alone.

    Args:
        spec: of the filter.
        score: what its `build` returned.
        posts: a POST batch of N rows.
        views: views of a batch that models make.
    """
    batch = Batch(posts, views)
    given, scores_N = (
        pa.RecordBatch.from_pylist(posts.to_pylist(), schema=posts.schema),
        score(batch),
    )
    wrong = wrong_scores(scores_N, posts.num_rows)
    _hold(spec, wrong is None, wrong or "")
    _hold(spec, bool((scores_N == on_grid(scores_N)).all()), "scores must be rounded by `on_grid`")
    if spec.screen:
        within = bool(((scores_N >= 0) & (scores_N <= 1)).all())
        _hold(spec, within, "scores of a screen must be in [0, 1]")
    first_N = scores_N.copy()
    for rule, part, order in _views_of(spec, posts):
        _hold(spec, _equal(score(Batch(part, views)), first_N[order]), f"scores depend on {rule}")
    odd_N = np.arange(posts.num_rows) % 2 == 1
    _hold(
        spec,
        _equal(score(batch.filter(odd_N)), first_N[odd_N]),
        "scores depend on the other posts of a batch",
    )
    _hold(spec, _equal(scores_N, first_N), "scores that were returned change later")
    _hold(spec, _equal(score(batch), first_N), "scores of one batch differ when it is scored again")
    _hold(spec, posts.equals(given), "the scorer changes the posts that it is given")
    _check_verdicts(spec, first_N)
    _check_detail(spec, batch)


def _equal(scores_N: Any, expected_N: Scores) -> bool:
    return wrong_scores(scores_N, len(expected_N)) is None and bool((scores_N == expected_N).all())


def _views_of(spec: Filter, posts: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch, Any]]:
    """Yields (what must not matter, posts, which of the whole they are, in their order)."""
    n = posts.num_rows
    every_N = np.arange(n)
    cuts = "how posts are cut into batches"
    for part in (every_N[:0], every_N[: n // 2], every_N[n // 2 :]):
        yield cuts, posts.slice(part[0] if len(part) else 0, len(part)), part
    for i in every_N[:: max(1, n // ALONE)]:
        yield cuts, posts.slice(i, 1), [i]
    yield "the order of posts", posts.take(pa.array(every_N[::-1].copy())), every_N[::-1]
    twice_M = np.repeat(every_N, 2)
    yield "the other posts of a batch", posts.take(pa.array(twice_M)), twice_M
    padded = pa.concat_batches([posts.slice(0, 1), posts]).slice(min(1, n))
    yield "where the posts are in memory", padded, every_N
    declared = ", ".join(spec.columns)
    yield f"a column that is not declared (columns: {declared})", _others(spec, posts), every_N


def _others(spec: Filter, posts: pa.RecordBatch) -> pa.RecordBatch:
    """Returns the posts with other values in the columns that a filter does not declare."""
    columns = []
    for field in posts.schema:
        column = posts.column(field.name)
        if field.name not in spec.columns:
            values = [None] * len(column) if field.nullable else column.to_pylist()[::-1]
            column = pa.array(values, field.type)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=posts.schema)


def _check_verdicts(spec: Filter, scores_N: Scores) -> None:
    """Raises an AssertionError unless better scores, and thresholds that are less strict, keep more."""
    sorted_N = np.unique(scores_N)
    upward = 1 if spec.bound.startswith("min_") else -1
    kept_N = np.array(_accepted(spec, sorted_N), np.int8)[::upward]
    _hold(spec, bool((np.diff(kept_N) >= 0).all()), "a better score is rejected, a worse one kept")
    before: set[int] = set()
    for other in _with_thresholds(spec, sorted_N[:: -upward * max(1, len(sorted_N) // 8)]):
        kept = {i for i, keeps in enumerate(_accepted(other, sorted_N)) if keeps}
        _hold(spec, before <= kept, f"{spec.bound} that is less strict keeps fewer posts")
        before = kept


def _with_thresholds(spec: Filter, thresholds: Scores) -> Iterator[Filter]:
    """Yields the spec with each of the thresholds that it takes."""
    if spec.bound not in type(spec).__struct_fields__:
        return
    for threshold in thresholds.tolist():
        value = int(threshold) if threshold.is_integer() else threshold
        try:
            yield msgspec.convert({**msgspec.to_builtins(spec), spec.bound: value}, type(spec))
        except msgspec.ValidationError:
            continue


def _check_detail(spec: Filter, batch: Batch) -> None:
    try:
        said = details(spec, batch)
    except FilterError as error:
        raise AssertionError(str(error)) from error
    for text, detail in zip(batch.text.to_pylist(), said or (), strict=False):
        shown = len(text) >= 12 and text in str(detail)
        _hold(spec, not shown, "detail() shows the text of a post")


def _check_survives(spec: Filter, score: Scorer, posts: pa.RecordBatch, views: Views) -> None:
    """Raises an AssertionError that names the first post which makes the scorer raise."""
    try:
        score(Batch(posts, views))
        return
    except Exception as error:
        whole = f"{spec.name}: raises {type(error).__name__}: {error}"
    for i in range(posts.num_rows):
        post = posts.slice(i, 1)
        try:
            score(Batch(post, views))
        except Exception as error:
            which = post.column("post_id")[0].as_py()
            raise AssertionError(
                f"{spec.name}: raises {type(error).__name__} for the post with the id {which!r}: {error}"
            ) from error
    raise AssertionError(whole)


@cache
def _identifier() -> LanguageIdentifier:
    return build_identifier()


def _shipped_languages(texts: pa.StringArray, hidden: Hiddens = NOTHING_READ, /) -> Languages:
    """Returns the languages that the shipped models name; they are loaded when they are first asked."""
    return _identifier()(texts, hidden)


# --- posts -----------------------------------------------------------------------------------

_HUGE = 1 << 16
"""Bytes of the longest text that the default recipe reads."""
HOSTILE: Final = {
    "empty": "",
    "blank": " ",
    "blanks": " \t\n\u3000\u00a0\u2028",
    "one letter": "a",
    "a mark alone": "\u0301",
    "marks alone": "\u0301\u0489\u064b\u093e\u0e34" * 4,
    "many marks on a letter": "Z" + "\u0335\u0301\u0489" * 400,
    "a joiner alone": "\u200d",
    "invisible": "\u200b\u2060\ufeff\u00ad",
    "turned around": "\u202eabc\u202c \u2066def\u2069",
    "controls": "\x00\x07\x1b[31m\x7f\x85",
    "no character": "\ufffe\uffff\U0010ffff\ufdd0",
    "private": "\ue000\U000f0000",
    "replaced": "\ufffd\ufffd",
    "one emoji": "\U0001f602",
    "a family": "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "flags": "\U0001f1f1\U0001f1fb\U0001f1ea",
    "half a flag": "\U0001f1f1",
    "a keycap": "1\ufe0f\u20e3",
    "four bytes each": "\U0001d54f\U00020000" * 50,
    "digits of many kinds": "1\u0661\u0967\uff11\u00bd\u2167",
    "punctuation": "?!.,;:\u2026\u3002\u061f",
    "letters that grow": "\u0130\u00df\ufb03\u1e9e",
    "two ways to write one": "\u00e9 e\u0301 \uac00 \u1100\u1161",
    "a link": "https://example.org/a?b=c#d",
    "links": "http://a.org " * 40,
    "a broken link": "http:// www. https://",
    "handles": "@ann @bob: .@cat",
    "hashtags": "#one #two ##three #",
    "a repost": "RT @ann: some words that were cut off\u2026",
    "markup": "<b>&amp;lt;</b> &#0; &notit;",
    "lines": "- one\r\n- two\n\n\u2022 three\r",
    "repeated words": "free money " * 200,
    "capitals": "BUY NOW " * 20,
    "no blanks": "\u6771\u4eac\u30bf\u30ef\u30fc\u306b\u884c\u304d\u307e\u3057\u305f" * 20,
    "one word, huge": "a" * _HUGE,
    "words, huge": "word " * (_HUGE // 5),
    "many lines": "\n" * 8191 + "a",
    "emoji, huge": "\U0001f602" * (_HUGE // 4),
    "marks, huge": "\u0301" * (_HUGE // 2),
}
"""What a text is -> the text."""


def posts_of(texts: Sequence[str], **columns: Sequence[Any]) -> pa.RecordBatch:
    """Returns a POST batch of some texts, with ids from "0" on.

    Args:
        texts: N of them.
        columns: values of other columns of POST, by name; optional ones are null where they are not given.

    >>> posts_of(["one", "two"], declared_lang=["en", None]).column("declared_lang").to_pylist()
    ['en', None]
    """
    n = len(texts)
    unknown = columns.keys() - set(POST.names)
    if unknown:
        raise TypeError(f"POST has no column {min(unknown)!r}; it has {', '.join(POST.names)}")
    given: dict[str, Sequence[Any]] = {
        "post_id": [str(i) for i in range(n)],
        "text": texts,
        "source_file": ["posts.jsonl"] * n,
        "source_row": range(n),
        "row_key": range(n),
        **columns,
    }
    arrays = [pa.array(given.get(field.name, [None] * n), field.type) for field in POST]
    return pa.RecordBatch.from_arrays(arrays, schema=POST)


@cache
def hostile_posts() -> pa.RecordBatch:
    """Returns posts that break what is careless: a POST batch whose ids say what each text is.

    Among them are empty and huge texts, marks and joiners alone, and a text of each script that Unicode
    names. Optional columns have values in some rows and are null in others.
    """
    texts = {**HOSTILE, **{f"script {name}": text for name, text in _scripts().items()}}
    n = len(texts)
    columns: dict[str, list[Any]] = {
        "post_id": list(texts),
        "created_at": [i * 10**12 for i in range(n)],
        "media": [[{"kind": "photo", "key": f"{i}", "alt_text": None}] for i in range(n)],
        "declared_lang": [("en", "und", "", "zh-Hant")[i % 4] for i in range(n)],
        "consent": [("", "protected", "no_training withheld", "no")[i % 4] for i in range(n)],
        "author_created_at": [i * 10**12 - (i % 5 - 1) * 10**11 for i in range(n)],
        "author_automated": [i % 2 == 1 for i in range(n)],
    }
    filled = {
        f.name: _column(f, columns.get(f.name) or list(range(n))) for f in POST if f.name != "text"
    }
    return posts_of(list(texts.values()), **filled)


def _column(field: pa.Field, values: list[Any]) -> list[Any]:
    """Returns the values of a field: as text where it holds text, and every third null where it may be."""
    texts = [str(v) if pa.types.is_string(field.type) else v for v in values]
    return [None if field.nullable and i % 3 == 2 else v for i, v in enumerate(texts)]


def _scripts() -> dict[str, str]:
    """Returns letters of each script by the first word of their Unicode names, in words of five."""
    letters: dict[str, list[str]] = defaultdict(list)
    for character in map(chr, range(0x80, 0x20000)):
        if unicodedata.category(character)[0] in "LM":
            script = unicodedata.name(character, "unnamed").partition(" ")[0].lower()
            if len(letters[script]) < 30:
                letters[script].append(character)
    words = {
        s: ["".join(found[i : i + 5]) for i in range(0, len(found), 5)]
        for s, found in letters.items()
    }
    return {script: " ".join(found) for script, found in words.items()}
