"""Writes the card of the shipped language model from measured figures; no number of it is typed by hand."""

from collections.abc import Iterable, Sequence
from typing import Any

from sluice.filters.language.pool import GROUPS, LanguagePool
from sluice.filters.models.training.card import table
from sluice.filters.models.training.language_sources import (
    CUTOFF,
    EXTRAS,
    FIT,
    LEFT_OUT,
    LID_LICENCE,
    MODEL_LICENCE,
    POSTS,
    UDHR,
    WORDFREQ,
)

_SOURCES = {s.name: s for s in (*POSTS, UDHR, WORDFREQ, *(extra.source for extra in EXTRAS))}
_NAMES = {"lid": "lid.176 alone", "own": "shipped model alone", "combined": "combined"}

_FAILURES = """\
- Short posts: see the row under 20 characters. A name, a borrowed word or laughter has no language.
- Languages without a clean source are learnt from word lists and one declaration, or are lid.176's: see
  their recall below.
- Indonesian and Malay tweets are taken for each other, and so are the Norwegian varieties; Arabic
  dialects are taken for standard Arabic where a post mixes them.
- The `no` of the test is dialect. Here `no` says that Bokmål and Nynorsk are undecided, which dialect
  often is and careful Bokmål sometimes.
- Test posts and training posts are largely of the same collections, so posts from elsewhere do worse:
  see English posts from elsewhere.
- A language that neither model knows gets the name of a neighbour. Romanised text is known for Urdu alone.
- Languages that lid.176 alone knows lose to relatives that both know: Bashkir to Tatar.
- One post has one language: a code-mixed post gets the language that its subwords are most like."""


def card(pool: LanguagePool) -> str:
    """Returns the model card as Markdown."""
    figures = pool.figures
    test = figures["test"]
    sections = [
        "# Language",
        f"Names the language of a post: lid.176 and a fastText model of {figures['bytes']:,} bytes "
        f"(`language.ftz`, sha256 `{pool.sha256}`), combined by the rule of `language_pool.py`. "
        "Written by `make models`: every figure is measured by it.",
        "## Test posts",
        f"{test['posts']:,} posts in {test['languages']} languages. Labels are those of "
        "the collection a post comes from. The posts were measured five times while the model was made: "
        "after the first, quotes around posts and a collection of mixed Arabic were taken out of training; "
        "everything else was chosen on held-out texts.",
        table(_overall(test), {"name": "", **_OVERALL}),
        "With dialects counted as their language, `arq` and `ary` are `ar`, and `nb`, `nn` and `no` (dialect "
        "in the test) are one language. Expected "
        f"calibration error of the combined confidence: {test['calibration_error']:.4f}.",
        "## By length",
        "Characters of the text without links and handles. Macro-F1 over the languages that a class has.",
        table(test["by_length"], _pairs("characters", "posts", ("accuracy", "macro_f1"))),
        "## Coverage against accuracy",
        "By the least confidence that is kept, on the test posts, then on the posts of the sources left out "
        "of training, where the default of the filter is chosen.",
        table(test["by_threshold"], _THRESHOLD),
        table(figures["held_out_by_threshold"], _THRESHOLD),
        "## By language",
        table(test["by_language"], _LANGUAGE),
        "## Languages outside of the test posts",
        _others(figures["others"]),
        _hidden(figures["hidden"]),
        "## English posts",
        "The share that is named English, of posts held out of training; of `btc` and `uci-youtube` none are "
        "trained on (a few of `btc` are not English).",
        table(figures["english"], {"source": "source", "posts": "posts", **_two("lid", "combined")}),
        "## Time",
        "CPU microseconds a post of the firehose, on one core: "
        + ", ".join(f"{_NAMES[name]} {usec:.1f}" for name, usec in figures["usec_a_post"].items())
        + ".",
        "## The pool",
        table(_pool(pool), _POOL),
        f"`nb` is `no` where Bokmål has less than {pool.bokmal_share} of what it and Nynorsk have.",
        "## Data and licences",
        f"lid.176: {LID_LICENCE}; from Wikipedia, Tatoeba and SETimes. The shipped model: {MODEL_LICENCE}, "
        "since some of its sources are; none whose licence forbids commercial use, or is not stated, is in.",
        table(_sources(figures["trained_on"]), _SOURCE),
        "Left out: " + "; ".join(f"`{name}` ({why})" for name, why in LEFT_OUT.items()) + ". "
        "Their posts are read for choices and figures alone.",
        "## Training",
        "`make models`. fastText " + ", ".join(f"{k} {v}" for k, v in FIT.items()) + f", one thread, seed 0; "
        f"quantised with norms, {CUTOFF:,} rows kept, retrained 5 epochs.",
        "## Known failures",
        _FAILURES,
    ]  # fmt: skip
    return "\n\n".join(sections) + "\n"


_OVERALL = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "accuracy_groups": "accuracy, dialects counted as their language",
    "macro_f1_groups": "macro-F1, dialects counted as their language",
}
_THRESHOLD = {
    "min_confidence": "min_confidence", "coverage": "kept", "accuracy": "accuracy of the kept",
    "right_kept": "kept of the right", "wrong_kept": "kept of the wrong",
}  # fmt: skip
_LANGUAGE = {
    "language": "language", "posts": "posts", "precision": "precision", "recall": "recall",
    "combined_f1": "F1", "lid_f1": "F1 of lid.176 alone", "own_f1": "F1 of the shipped model alone",
    "taken_for": "most often taken for",
}  # fmt: skip
_POOL = {
    "group": "group", "own": "own", "lid": "lid", "offset": "offset", "candidates": "candidates"
}  # fmt: skip
_SOURCE = {
    "source": "source", "licence": "licence", "where": "where", "texts": "texts", "languages": "languages"
}  # fmt: skip


def _two(first: str, second: str) -> dict[str, str]:
    return {name: _NAMES[name] for name in (first, second)}


def _pairs(characters: str, posts: str, kinds: tuple[str, str]) -> dict[str, str]:
    columns = {characters: characters, posts: posts}
    for kind in kinds:
        for name, title in _NAMES.items():
            columns[f"{name}_{kind}"] = f"{_OVERALL[kind]}, {title}"
    return columns


def _overall(test: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": title, **{k: test[k][name] for k in _OVERALL}} for name, title in _NAMES.items()
    ]


def _others(rows: Sequence[dict[str, Any]]) -> str:
    """Returns what the languages outside of the test posts gain and lose."""
    columns = {"language": "language"}
    means = []
    for source, what in (("udhr", "declaration"), ("wordfreq", "word lists")):
        columns |= {
            f"{source}_texts": f"texts, {what}",
            f"{source}_lid": f"{what}, lid.176 alone",
            f"{source}_combined": f"{what}, combined",
        }
        known = [row for row in rows if row[f"{source}_texts"]]
        lid, combined = (
            sum(row[f"{source}_{name}"] for row in known) / len(known)
            for name in ("lid", "combined")
        )
        means.append(
            f"{len(known)} languages, {what}: {lid:.3f} of lid.176 alone, {combined:.3f} combined"
        )
    return (
        "Accuracy on generated texts of articles and words held out of training. Mean of "
        + "; ".join(means)
        + ".\n\nWhat this is worth: the declaration is one text in the language of law, whose articles "
        "repeat each other's phrases, so the gain on it is of that genre and says little of posts; texts "
        "of word lists have the words of posts but no grammar, and lid.176 knows all of those words. What "
        "the test does show is whether the shipped model steals from these languages. Languages of lid.176 "
        "without either (mostly small Wikipedias) are not tested.\n\n" + table(rows, columns)
    )


def _hidden(figures: dict[str, Any]) -> str:
    return (
        "For languages that only lid.176 knows at all (group `lid`) there are no texts. "
        f"{len(figures['languages'])} languages stand in for them: with a model trained without "
        f"those, on their articles held out, accuracy is {figures['lid']:.3f} of lid.176 alone and "
        f"{figures['combined']:.3f} combined "
        f"({figures['texts']:,} texts; {' '.join(figures['languages'])})."
    )


def _pool(pool: LanguagePool) -> list[dict[str, Any]]:
    return [
        {
            "group": group,
            "own": pool.weights[group].own,
            "lid": pool.weights[group].lid,
            "offset": pool.weights[group].offset,
            "candidates": " ".join(pool.groups[group]),
        }
        for group in GROUPS
    ]


def _sources(counts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**row, "licence": _SOURCES[row["source"]].licence, "where": _SOURCES[row["source"]].where}
        for row in counts
    ]
