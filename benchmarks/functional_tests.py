"""Scores functional tests of toxicity: AUC by language and by functionality, and what a threshold gets right.

    python -m benchmarks.functional_tests [--filter toxicity | --model MODEL --label LABEL] [--page PAGE]

The cases are ours, in eleven languages (`functional_cases.py`), and, where `--data` has it, HatemojiCheck.
Of a functionality the AUC is that of its cases against all cases of the other label in the same language;
right is a hateful case above the threshold, or a harmless one that is not. Nothing is trained on any of it.
"""

import argparse
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.command import add_page, parser_of, say
from benchmarks.functional_cases import Functionality, functionalities, languages, table
from benchmarks.page import publish
from benchmarks.page import table as markdown_table
from benchmarks.scorers import Scorer, add_scorer, add_version, scorer_of
from sluice.filters.models.training.encoder.posts import read
from sluice.filters.models.training.measure import auc
from sluice.schemas.arrays import Array

HATEMOJI = "toxicity_more/hatemoji-check.jsonl.gz"
ALL = "all, mean of languages"


class Figures(NamedTuple):
    """What was measured of some cases.

    Attributes:
        name: of the language, or of the functionality.
        cases: how many.
        hateful: how many of them are.
        auc: of the cases against those of the other label; None where there are none.
        right: share that the threshold decides rightly, of hateful cases and of harmless ones.
    """

    name: str
    cases: int
    hateful: int
    auc: float | None
    right: tuple[float | None, float | None]


def figures(name: str, labels_N: Array, scores_N: Array, max_score: float) -> Figures:
    """Returns the figures of some cases by themselves."""
    hits_N, bad_N = scores_N > max_score, labels_N == 1
    right = (
        float(hits_N[bad_N].mean()) if bad_N.any() else None,
        float((~hits_N[~bad_N]).mean()) if not bad_N.all() else None,
    )
    return Figures(name, len(labels_N), int(bad_N.sum()), auc(labels_N, scores_N), right)


def by_language(cases: pa.Table, scores_N: Array, max_score: float) -> list[Figures]:
    """Returns the figures of each language."""
    lang_N, labels_N = np.array(cases["lang"].to_pylist()), cases["label"].to_numpy()
    return [
        figures(lang, labels_N[lang_N == lang], scores_N[lang_N == lang], max_score)
        for lang in sorted(set(lang_N.tolist()))
    ]


def by_functionality(cases: pa.Table, scores_N: Array, max_score: float) -> list[Figures]:
    """Returns the figures of each functionality; its AUC is the mean over the languages that have it."""
    lang_N, labels_N = np.array(cases["lang"].to_pylist()), cases["label"].to_numpy()
    name_N = np.array(cases["functionality"].to_pylist())
    found = []
    for name, known in functionalities().items():
        own_N = name_N == name
        aucs = []
        for lang in sorted(set(lang_N[own_N].tolist())):
            beside_N = (lang_N == lang) & (own_N | (labels_N != known.label))
            aucs.append(auc(labels_N[beside_N], scores_N[beside_N]))
        alone = figures(name, labels_N[own_N], scores_N[own_N], max_score)
        known_aucs = [value for value in aucs if value is not None]
        found.append(alone._replace(auc=float(np.mean(known_aucs)) if known_aucs else None))
    return found


class GroupFigures(NamedTuple):
    """How one group fares in a language.

    Attributes:
        group: as the cases name it.
        own: AUC of the hateful cases that name it against the harmless ones that do.
        suspected: AUC of the hateful cases of the other groups against the harmless ones that name it: low
            where its name alone looks hateful.
    """

    group: str
    own: float
    suspected: float


def by_group(cases: pa.Table, scores_N: Array, lang: str) -> list[GroupFigures]:
    """Returns each group of a language.

    Source: Borkan et al. 2019, arXiv:1903.04561, section 3: subgroup AUC, and BPSN AUC.
    """
    labels_N, group_N = cases["label"].to_numpy(), np.array(cases["group"].to_pylist(), np.str_)
    named_N = (np.array(cases["lang"].to_pylist(), np.str_) == lang) & (group_N != "")
    found = []
    for group in dict.fromkeys(group_N[named_N].tolist()):
        own_N = named_N & (group_N == group)
        beside_N = named_N & np.where(labels_N == 1, group_N != group, group_N == group)
        pair = [auc(labels_N[rows_N], scores_N[rows_N]) for rows_N in (own_N, beside_N)]
        found.append(GroupFigures(group, *(0.5 if value is None else value for value in pair)))
    return found


def group_rows(cases: pa.Table, scores_N: Array) -> list[tuple[object, ...]]:
    """Returns for each language the group that is told apart worst, and those most and least suspected."""
    rows = []
    for lang in sorted(set(cases["lang"].to_pylist())):
        found = by_group(cases, scores_N, lang)
        worst = min(found, key=lambda row: row.own)
        most, least = (pick(found, key=lambda row: row.suspected) for pick in (min, max))
        shown = [f"{most.group} {most.suspected:.3f}", f"{least.group} {least.suspected:.3f}"]
        rows.append((lang, f"{worst.group} {worst.own:.3f}", *shown))
    return rows


def mean_auc(rows: list[Figures]) -> float:
    """Returns the mean AUC of the rows that have one."""
    return float(np.mean([row.auc for row in rows if row.auc is not None]))


def markdown(scorer: Scorer, cases: pa.Table, scores_N: Array) -> list[str]:
    """Returns the tables of our cases."""
    langs = by_language(cases, scores_N, scorer.max_score)
    hateful = sum(row.hateful for row in langs)
    whole = Figures(ALL, len(cases), hateful, mean_auc(langs), _mean_right(langs))
    rows = [_cells(row) for row in [*langs, whole]]
    named = [
        (known, row)
        for known, row in zip(
            functionalities().values(),
            by_functionality(cases, scores_N, scorer.max_score),
            strict=True,
        )
    ]
    return [
        f"`{scorer.name}`, threshold {scorer.max_score:.4g}.",
        "",
        *markdown_table(
            ("language", "cases", "hateful", "AUC", "hateful ones right", "harmless ones right"),
            rows,
        ),
        "",
        *markdown_table(
            ("functionality", "HateCheck", "what it is", "label", "cases", "AUC", "right"),
            [_functionality_cells(known, row) for known, row in named],
        ),
        "",
        "By group: the AUC within the cases that name it, where it is least; and of others' hateful cases",
        "against its harmless ones, which is low where a group's name alone looks hateful.",
        "",
        *markdown_table(
            ("language", "told apart worst", "most suspected", "least suspected"),
            group_rows(cases, scores_N),
        ),
    ]


def _mean_right(rows: list[Figures]) -> tuple[float, float]:
    rights = np.array([row.right for row in rows], np.float64)
    hateful, harmless = rights.mean(axis=0)
    return float(hateful), float(harmless)


def _cells(row: Figures) -> tuple[object, ...]:
    return (row.name, row.cases, row.hateful, _share(row.auc), *map(_share, row.right))


def _functionality_cells(known: Functionality, row: Figures) -> tuple[object, ...]:
    right = row.right[0] if known.label else row.right[1]
    label = "hateful" if known.label else "harmless"
    return (row.name, known.number, known.what, label, row.cases, _share(row.auc), _share(right))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def hatemoji(scorer: Scorer, data: Path) -> list[str]:
    """Returns what is measured on HatemojiCheck (Kirk et al. 2022, arXiv:2108.05921)."""
    posts = read(data, (HATEMOJI,))
    scores_N = scorer.score(posts["text"].combine_chunks())
    found = figures("HatemojiCheck, en", posts["label"].to_numpy(), scores_N, scorer.max_score)
    head = ("tests", "cases", "hateful", "AUC", "hateful ones right", "harmless ones right")
    return ["", *markdown_table(head, [_cells(found)])]


def main() -> None:
    """Scores the cases and prints the tables."""
    parser = parser_of("functional_tests", __doc__)
    add_scorer(parser, "toxicity")
    data = os.environ.get("SLUICE_DATA")
    parser.add_argument("--data", type=Path, default=data, help="has HatemojiCheck; may be missing")
    parser.add_argument("--lang", action="append", choices=languages(), help="these alone")
    add_page(parser, "--page")
    add_version(parser)
    arguments: argparse.Namespace = parser.parse_args()
    scorer = scorer_of(arguments)
    cases = table(arguments.lang or languages())
    say(f"{len(cases):,} cases are scored by {scorer.name}")
    lines = markdown(scorer, cases, scorer.score(pc.cast(cases["text"].combine_chunks(), "string")))
    if arguments.data is not None and (arguments.data / HATEMOJI).is_file():
        lines += hatemoji(scorer, arguments.data)
    name = " ".join(filter(None, (scorer.name, arguments.version)))
    title = f"Functional tests: {name}"
    publish("\n".join(lines), arguments.page, name=f"functional_tests {name}", title=title)


if __name__ == "__main__":
    main()
