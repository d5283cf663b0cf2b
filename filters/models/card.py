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
- English, Indonesian, Thai and Russian are all that it has seen spam in. In other languages it knows
  spam by numbers, prices and borrowed words alone.
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
- Sources mean different things by toxic, and `mlma-fr` and `mlma-ar` are noisy: no model does well there.
- Posts of the clean sources are taken as clean unread; a few are not.""",
}


def card(recipe: Recipe, found: Calibration) -> str:
    """Returns the model card, Markdown."""
    figures = found.figures
    held_out, firehose = figures["held_out"], figures["firehose"]
    base_rate = held_out["positives"] / held_out["posts"]
    return "\n".join(
        [
            f"# {recipe.name}",
            "",
            f"{_WHAT[recipe.name]} A fastText classifier of {figures['bytes']:,} bytes "
            f"(`{recipe.name}.ftz`, sha256 `{found.sha256}`), read by `filters/fasttext_kernel.py`. "
            f"The score is a calibrated probability in [0, 1], higher is worse.",
            "",
            "Written by `make models`; every figure is measured, none is typed by hand.",
            "",
            "## Default threshold",
            "",
            f"`max_{recipe.name} = {found.max_score}`: the smallest hundredth at which at most 1% of the good "
            f"posts of the held-out slice are rejected. "
            + (
                f"It rejects {_percent(firehose['rejected'])} of {firehose['posts']:,} unlabelled posts of "
                f"many sources: " + _shares(firehose["by_source"]) + "."
                if firehose
                else ""
            ),
            "",
            f"Calibration: Platt's logistic curve, slope {found.slope}, intercept {found.intercept}, fitted on "
            f"{held_out['posts']:,} posts held out of training, {_percent(base_rate)} of them "
            f"{recipe.positive}; AUC there {held_out['auc']}, expected calibration error "
            f"{held_out['calibration_error']}. Where {recipe.positive} posts are rarer than that, the score is "
            f"too high by the ratio of the odds.",
            "",
            "## Test posts",
            "",
            "By source, since definitions differ. Precision, recall and F1 at the default threshold; false "
            "alarms are good posts rejected. Sources not trained on are left out for their licence, or have "
            "no training split: they show what to expect of posts from elsewhere.",
            "",
            *_table(figures["test"], _TEST_COLUMNS),
            "",
            *_left_one_out(figures["left_one_out"]),
            "## Data and licences",
            "",
            *_table(_sources(recipe, figures["trained_on"]), _SOURCE_COLUMNS),
            "",
            "Left out: "
            + "; ".join(f"`{name}` ({why})" for name, why in sorted(recipe.left_out.items()))
            + ". Sources marked clean are ordinary posts collected for another purpose and taken as "
            + f"{recipe.negative} unread: without them a model takes a language for a sign.",
            "",
            "## Training",
            "",
            f"`make models`. fastText {_options(recipe)}, one thread, seed 0; quantised with norms, "
            f"{recipe.cutoff:,} rows kept, retrained 5 epochs. At most {recipe.most:,} posts a source and "
            f"label, and {recipe.ratio} {recipe.positive} posts a {recipe.negative} one. The text is normalised, then "
            f"`filters.text_views.classifier_text`. The settings were chosen on held-out training posts.",
            "",
            "## Known failures",
            "",
            _FAILURES[recipe.name],
            "",
        ]
    )


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


def _left_one_out(rows: Sequence[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    intro = "AUC on the test posts of a source of a model that was trained on all the others:"
    return [intro, "", *_table(rows, {"source": "source", "auc": "AUC"}), ""]


def _table(rows: Iterable[dict[str, Any]], columns: dict[str, str]) -> list[str]:
    lines = ["| " + " | ".join(columns.values()) + " |", "|" + "---|" * len(columns)]
    return lines + ["| " + " | ".join(_cell(row[name]) for name in columns) + " |" for row in rows]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _shares(by_source: dict[str, float]) -> str:
    falling = sorted(by_source.items(), key=lambda item: -item[1])
    return ", ".join(f"{_percent(share)} of `{name}`" for name, share in falling)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _options(recipe: Recipe) -> str:
    return ", ".join(f"{key} {value:,}" for key, value in recipe.fit.items())
