"""Writes a model card from measured figures; no number of a card is typed by hand."""

from collections.abc import Iterable, Sequence
from typing import Any

from sluice.filters.models.training.screen_linear import MAX_ITERATIONS
from sluice.filters.models.training.screen_ngrams import LONGEST, SHORTEST, WORDY
from sluice.filters.models.training.screen_sources import Recipe
from sluice.filters.screens.screen import Calibration

_WHAT = {
    "spam": "Names advertising, scams, gambling adverts, giveaways and follow-for-follow in short posts.",
    "toxicity": "Names insults, threats, hate and offensive language in short posts.",
}

_FAILURES = {
    "spam": """\
- Sources disagree on what spam is: gambling adverts alone in `judol-youtube`, self-promotion in
  `uci-youtube`, SMS fraud in `uci-sms`, crypto promotion in `janitr-x`. A source unlike all of them is
  ranked worse, and Thai SMS, which nothing else is like, no better than by chance (see the first table).
- Most of what it knows of an unknown language is the shape of the post: links, digits, length, capitals. So
  news and ordinary posts with links are rejected more often than talk.
- How often an author posts, and how many copies of a post there are, it does not see.
- A post that is nothing but a link and handles scores 0.
- Honest adverts of shops, prices and news of shares look like spam, and share its vocabulary.
- Templates that differ in a word lie on both sides of the split of `judol-youtube`, which flatters it.""",
    "toxicity": """\
- It knows words, not intent: quoting an insult, speaking against one, and reclaimed words (among
  friends, in African American English, in queer speech) score high; `davidson2017`, its English source,
  was picked by such words and is known to mark dialect as offensive.
- Polite hate, irony and allusions have no words to see and score low.
- In a language without a labelled source it knows the words of `screen_seeds.toml` alone: it ranks better
  than chance, not well (see the first table). Do not use it as the only screen there.
- One threshold serves all languages, and false alarms and recall differ widely between them: see the table
  of ordinary posts, and set a threshold by language where that matters.
- Words disguised by signs, digits or drawn-out letters are known only by the n-grams left whole.
- Sources mean different things by toxic; where annotators disagree (`mlma-fr`, `mlma-ar`) so does it.""",
}

_MADE = {
    "spam": "Posts made of common words (`screen_seeds.toml`) stand for the ordinary ones of languages that "
    "have none.",
    "toxicity": "Posts made of ordinary ones and of hostile words (`screen_seeds.toml`, written for this "
    "model) stand for languages without labelled posts, and such of common words for those without ordinary "
    "ones.",
}

_CHOSEN = (
    "Settings were chosen by the mean AUC on training posts of sources left out of training, the sources not "
    "trained on among them; the weight of ordinary posts also by the share rejected of the ordinary posts "
    "above, which flatters that table. That short n-grams help in Chinese was first seen on test posts, then "
    "found on posts held out."
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
_UNSEEN_COLUMNS = {
    "source": "source",
    "lang": "language",
    "posts": "posts",
    "auc": "AUC, source not seen",
    "auc_language_unseen": "AUC, language not seen",
}
_ORDINARY_COLUMNS = {
    "source": "source",
    "lang": "language",
    "posts": "posts",
    "rejected": "rejected",
    "even": "threshold for 1%",
}
_THRESHOLD_COLUMNS = {
    "wanted": "at least",
    "max_score": "threshold",
    "precision": "precision",
    "recall": "recall",
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
    figures = found.figures
    left_out = "; ".join(f"`{name}` ({why})" for name, why in sorted(recipe.left_out.items()))
    parts = [
        f"# {recipe.name}",
        f"{_WHAT[recipe.name]} A linear model of {figures['rows']:,} n-grams in fastText's format, "
        f"{figures['bytes']:,} bytes (`{recipe.name}.ftz`, sha256 `{found.sha256}`)"
        f"{_shape(found)}. The score is a calibrated probability in [0, 1], higher is worse.",
        "Written by `make models`: every figure is measured by it.",
        "## Sources never seen",
        _unseen(figures["unseen"]),
        table(figures["unseen"], _UNSEEN_COLUMNS),
        "## Default threshold",
        _threshold(recipe, found),
        _calibration(recipe, found),
        "On all test posts of the sources trained on, whose share of positives is far above that of a "
        "firehose, these thresholds have at least:",
        table(figures["thresholds"], _THRESHOLD_COLUMNS),
        "## Test posts",
        "The shipped model, by source, since definitions differ. Precision, recall and F1 at the default "
        "threshold; false alarms are good posts rejected. Sources not trained on are left out for their "
        "licence or have no training split.",
        table(figures["test"], _TEST_COLUMNS),
        "## Ordinary posts by language and dialect",
        "Posts collected for another purpose than this model's: the share rejected at the default threshold, "
        "and the threshold that would reject 1%. Among them are a few that deserve it.",
        table(figures["ordinary"], _ORDINARY_COLUMNS),
        "## Data and licences",
        table(_sources(recipe, figures["trained_on"]), _SOURCE_COLUMNS),
        f"Left out: {left_out}. Sources marked clean are ordinary posts collected for another purpose and "
        f"taken as {recipe.negative} unread (a few are not): without them a language is taken for a sign. "
        f"Posts whose letters are those of a test post are left out of training. {_MADE[recipe.name]}",
        "## Training",
        _training(recipe),
        "## Known failures",
        _FAILURES[recipe.name],
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _shape(found: Calibration) -> str:
    if not found.shape:
        return ""
    return (
        f" and of {len(found.shape)} counts of links, digits and the like (the `.json` beside it)"
    )


def _unseen(rows: Sequence[dict[str, Any]]) -> str:
    near = [row["auc"] for row in rows if row["language_seen"]]
    far = [
        row["auc"] if row["auc_language_unseen"] is None else row["auc_language_unseen"]
        for row in rows
        if row["lang"] != "mul"
        and (row["auc_language_unseen"] is not None or not row["language_seen"])
    ]
    return (
        f"The AUC on the test posts of each source of a model that was trained without it, and without its "
        f"language: what to expect of posts from elsewhere. The mean over {len(rows)} sources never seen is "
        f"{_mean([row['auc'] for row in rows])}; over the {len(near)} of them whose language other sources "
        f"cover (or that mix languages) {_mean(near)}; over {len(far)} sources in a language never seen "
        f"{_mean(far)}. Made posts of the language, where there are any, stay in training."
    )


def _mean(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.3f}" if values else "-"


def _threshold(recipe: Recipe, found: Calibration) -> str:
    rule = (
        f"`max_{recipe.name} = {found.max_score}`: the smallest hundredth at which at most 1% of the good "
        f"posts of labelled sources, and 1% of the ordinary ones, in the held-out slice are rejected."
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
    penalty = f"; {recipe.l2_shape:g} on shape features" if recipe.shape else ""
    hostile = f", posts with hostile words {recipe.seeds_weight:g}" if recipe.seeds_weight else ""
    return (
        f"`make models`. Logistic regression on the mean of hashed character n-grams ({SHORTEST} to "
        f"{LONGEST} characters; of fewer than {WORDY}, only in scripts of wide characters) that "
        f"{recipe.min_posts} or more training posts have, by L-BFGS, {MAX_ITERATIONS} iterations, L2 penalty "
        f"{recipe.l2:g}{penalty}. A source's posts of one label, at most {recipe.most:,}, weigh 1 together, "
        f"all ordinary posts {recipe.clean_weight:g}{hostile}. Weights are quantised to 256 values. The text "
        f"is normalised, then made `sluice.filters.text.views.classifier_text`. {_CHOSEN}"
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


def table(rows: Iterable[dict[str, Any]], columns: dict[str, str]) -> str:
    """Returns a Markdown table: a line a row, the columns by their titles, numbers as people write them."""
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
