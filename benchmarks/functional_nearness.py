"""How near functional tests are to the posts that were written for training, and AUC where they are far.

    python -m benchmarks.functional_nearness [--filter toxicity | --model MODEL --label LABEL] [--page PAGE]

Both are written, with the same functionalities in mind. The nearness of a case is the largest Jaccard index
of its n-grams of characters (5; 3 in Chinese) with those of a made post of its language
(`encoder/contrasts.py`), names of groups and all.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from benchmarks.command import add_page, parser_of
from benchmarks.functional_cases import languages, table
from benchmarks.functional_tests import by_language, mean_auc
from benchmarks.page import publish
from benchmarks.page import table as markdown_table
from benchmarks.scorers import Scorer, add_scorer, add_version, scorer_of
from sluice.filters.models.training.encoder.contrasts import contrast_posts
from sluice.filters.models.training.encoder.made import MOST_MADE
from sluice.filters.models.training.encoder.train import SEED
from sluice.schemas.arrays import Array

NGRAM, WIDE_NGRAM = 5, 3
WIDE = ("zh",)
LIMITS = (1.0, 0.3, 0.2, 0.1)
"""The AUC is told of cases whose nearness is at most so much."""


def grams(text: str, lang: str) -> frozenset[str]:
    """Returns the n-grams of a text, in lower case, all but letters and digits read as one blank.

    >>> sorted(grams("Oh, no!", "en"))
    ['oh no']
    """
    size = WIDE_NGRAM if lang in WIDE else NGRAM
    plain = re.sub(r"\W+", " ", text.lower()).strip()
    return frozenset(plain[i : i + size] for i in range(max(1, len(plain) - size + 1)))


def nearness(texts: Sequence[str], others: Sequence[str], lang: str) -> Array:
    """Returns (N,) the largest Jaccard index of each text's n-grams with those of another one; 0 of none."""
    known = [grams(other, lang) for other in others]
    holds: dict[str, list[int]] = defaultdict(list)
    for place, found in enumerate(known):
        for gram in found:
            holds[gram].append(place)
    best = []
    for own in (grams(text, lang) for text in texts):
        shared = Counter(place for gram in own for place in holds.get(gram, ()))
        best.append(
            max((n / (len(own) + len(known[at]) - n) for at, n in shared.items()), default=0.0)
        )
    return np.array(best)


def near_training(cases: pa.Table) -> Array:
    """Returns (N,) the nearness of each case to the posts that are made for the encoder's training."""
    made = contrast_posts(SEED, MOST_MADE)
    made_lang_M = np.array(made["lang"].to_pylist())
    lang_N, near_N = np.array(cases["lang"].to_pylist()), np.zeros(len(cases))
    for lang in np.unique(lang_N).tolist():
        own_N = lang_N == lang
        texts, others = (
            found.filter(pa.array(mask))["text"].to_pylist()
            for found, mask in ((cases, own_N), (made, made_lang_M == lang))
        )
        near_N[own_N] = nearness(texts, others, lang)
    return near_N


def markdown(scorer: Scorer, cases: pa.Table, near_N: Array) -> list[str]:
    """Returns the table: the AUC of cases that are so near at most."""
    scores_N = scorer.score(cases["text"].combine_chunks())
    rows = []
    for limit in LIMITS:
        kept_N = near_N <= limit
        own = by_language(cases.filter(pa.array(kept_N)), scores_N[kept_N], scorer.max_score)
        rows.append((f"{limit:g}", int(kept_N.sum()), f"{mean_auc(own):.3f}"))
    middle, most = np.quantile(near_N, (0.5, 0.95))
    return [
        f"`{scorer.name}`. Half of the cases have a nearness below {middle:.2f}, 95% below {most:.2f}.",
        "",
        *markdown_table(("nearness at most", "cases", "AUC, mean of languages"), rows),
    ]


def main() -> None:
    """Prints the AUC of cases by how near they are to training."""
    parser = parser_of("functional_nearness", __doc__)
    add_scorer(parser, "toxicity")
    add_version(parser)
    add_page(parser, "--page")
    given = parser.parse_args()
    scorer, cases = scorer_of(given), table(languages())
    name = " ".join(filter(None, (scorer.name, given.version)))
    publish(
        "\n".join(markdown(scorer, cases, near_training(cases))),
        given.page,
        name=f"functional_nearness {name}",
        title=f"Functional tests far from training: {name}",
    )


if __name__ == "__main__":
    main()
