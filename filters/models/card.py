"""Writes a model card from measured figures; no number of a card is typed by hand."""

from collections.abc import Iterable, Sequence
from typing import Any

from filters.models.screen import Calibration
from filters.models.sources import Recipe

_WHAT = {
    "spam": "Names advertising, scams, gambling adverts, giveaways and follow-for-follow in short posts.",
    "toxicity": "Names insults, threats, hate and offensive language in short posts.",
}

_FAILURES = {
    "spam": """\
- Sources disagree on what spam is: gambling adverts alone in `judol-youtube`, self-promotion in
  `uci-youtube`, SMS fraud in `uci-sms`. A source unlike all of them is ranked far worse: see the table
  of sources left out of training.
- English, Indonesian, Thai and Russian are nearly all that it has seen spam in. In other languages it
  knows spam by numbers, prices and borrowed words alone.
- Links and handles are blanks in the text that it reads, so a post that is only a link scores 0.
- Honest adverts of shops, prices and news of shares look like spam, and share its vocabulary.
- Templates that differ in a word lie on both sides of the split of `judol-youtube`, which flatters it.""",
    "toxicity": """\
- It knows words, not intent: quoting an insult, speaking against one, and reclaimed words (among
  friends, in African American English, in queer speech) score high; `davidson2017`, its English source,
  was picked by such words and is known to mark dialect as offensive.
- Polite hate, irony and allusions have no words to see and score low.
- In a language without a source (the rows not trained on) it is near to guessing: do not use it as the
  only screen there.
- One threshold serves all languages, and false alarms and recall differ widely between them.
- Sources mean different things by toxic; where annotators disagree (`mlma-fr`, `mlma-ar`) so does it.""",
}

_CHOSEN = {
    "spam": "Settings were chosen by the AUC on training posts held out (the first two of them had been "
    "compared on the test posts, to no difference), the clean posts by the share of the firehose rejected.",
    "toxicity": "Settings were chosen by the AUC on training posts held out, the clean posts by the share "
    "of the firehose rejected.",
}

_TEST_COLUMNS = {
    "source": "source",
    "lang": "language",
    "trained_on": "trained on",
    "posts": "posts",
    "positives": "positive",
    "auc": "AUC",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "false_alarms": "false alarms",
}
_SOURCE_COLUMNS = {
    "source": "source",
    "licence": "licence",
    "where": "repository",
    "posts": "posts",
    "positives": "positive",
    "role": "role",
}


def card(recipe: Recipe, found: Calibration) -> str:
    """Returns the model card, Markdown."""
    left_out = "; ".join(f"`{name}` ({why})" for name, why in sorted(recipe.left_out.items()))
    parts = [
        f"# {recipe.name}",
        f"{_WHAT[recipe.name]} A fastText classifier of {found.figures['bytes']:,} bytes "
        f"(`{recipe.name}.ftz`, sha256 `{found.sha256}`), read by `filters/fasttext_kernel.py`. "
        f"The score is a calibrated probability in [0, 1], higher is worse.",
        "Written by `make models`: every figure is measured by it.",
        "## Default threshold",
        _threshold(recipe, found),
        _calibration(recipe, found),
        "## Test posts",
        "By source, since definitions differ. Precision, recall and F1 at the default threshold; false "
        "alarms are good posts rejected. Sources not trained on are left out for their licence or have no "
        "training split: they show what to expect of posts from elsewhere.",
        _table(found.figures["test"], _TEST_COLUMNS),
        _left_one_out(found.figures["left_one_out"]),
        "## Data and licences",
        _table(_sources(recipe, found.figures["trained_on"]), _SOURCE_COLUMNS),
        f"Left out: {left_out}. Sources marked clean are ordinary posts collected for another purpose and "
        f"taken as {recipe.negative} unread (a few are not): without them a language is taken for a sign.",
        "## Training",
        _training(recipe),
        "## Known failures",
        _FAILURES[recipe.name],
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _threshold(recipe: Recipe, found: Calibration) -> str:
    rule = (
        f"`max_{recipe.name} = {found.max_score}`: the smallest hundredth at which at most 1% of the good "
        f"posts of the held-out slice are rejected."
    )
    firehose = found.figures["firehose"]
    if not firehose:
        return rule
    falling = sorted(firehose["by_source"].items(), key=lambda item: -item[1])
    shares = ", ".join(f"{_percent(share)} of `{name}`" for name, share in falling)
    return (
        f"{rule} It rejects {_percent(firehose['rejected'])} of {firehose['posts']:,} unlabelled posts: "
        f"{shares}. (Those of a source marked clean below come from where it was trained.)"
    )


def _calibration(recipe: Recipe, found: Calibration) -> str:
    held_out = found.figures["held_out"]
    bad = held_out["positives"] / held_out["posts"]
    return (
        f"Calibration: Platt's logistic curve, slope {found.slope}, intercept {found.intercept}, fitted on "
        f"{held_out['posts']:,} posts held out of training, {_percent(bad)} "
        f"of them {recipe.positive}; there the AUC is {held_out['auc']} and the expected calibration error "
        f"{held_out['calibration_error']} (fitted and measured on the same posts). Where {recipe.positive} "
        f"posts are rarer, the score is too high by the ratio of the odds."
    )


def _training(recipe: Recipe) -> str:
    options = ", ".join(f"{key} {value:,}" for key, value in recipe.fit.items())
    return (
        f"`make models`. fastText {options}, one thread, seed 0; quantised with norms, {recipe.cutoff:,} "
        f"rows kept, retrained 5 epochs. At most {recipe.most:,} posts a source and label, and "
        f"{recipe.ratio} {recipe.positive} posts a {recipe.negative} one. The text is normalised, then made "
        f"`filters.text_views.classifier_text`. {_CHOSEN[recipe.name]}"
    )


def _sources(recipe: Recipe, counts: dict[str, dict[str, int]]) -> list[dict[str, Any]]:
    return [
        {
            "source": source.name,
            "licence": source.licence,
            "where": source.where,
            "role": "clean" if source.as_clean else "labelled",
            **counts[source.name],
        }
        for source in recipe.sources
    ]


def _left_one_out(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return ""
    intro = "AUC on the test posts of a source, of a model that was trained on all the others:\n\n"
    return intro + _table(rows, {"source": "source", "auc": "AUC"})


def _table(rows: Iterable[dict[str, Any]], columns: dict[str, str]) -> str:
    lines = ["| " + " | ".join(columns.values()) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row[name]) for name in columns) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
