"""Judges a score on sources that its model never saw, and on ordinary posts.

    SLUICE_DATA=DIR python -m benchmarks.judgement [--head toxicity] [--page PAGE] [--read FILE]

By default the filter of the head's name, as the default recipe has it; `--model MODEL --label LABEL` is a
transformer's (of quality with `--low-is-bad`: labels and scores are turned around, so that high is bad).
Sources that the encoder and the shipped screens are trained on (`encoder/sources.toml`) are left out.
`--read` writes posts on which the model and their label disagree, with their texts: to a file outside of the
project.
"""

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from benchmarks.command import add_data, add_page, parser_of, say, timed
from benchmarks.page import publish
from benchmarks.scorers import Scorer, add_scorer, add_version, scorer_of
from sluice.filters.models.training import judgement, judgement_posts
from sluice.filters.models.training.encoder.sources import SOURCES
from sluice.filters.models.training.judgement import Judged
from sluice.filters.models.training.judgement_card import section
from sluice.filters.models.training.screen_sources import ORDINARY

QUALITY = "quality"


def turned_labels(posts: pa.Table) -> pa.Table:
    """Returns posts with 1 less their labels: of quality, a high label is good."""
    at = posts.schema.get_field_index("label")
    return posts.set_column(at, "label", pc.subtract(1.0, posts["label"]))


def seen(head: str) -> set[str]:
    """Returns the sources whose labels the encoder and the screen of a head are trained on."""
    return {source.name for source in SOURCES[head].sources}


def not_ordinary(head: str) -> set[str]:
    """Returns the sources whose posts were gathered for a model of this kind."""
    if head not in ORDINARY:
        return set()
    return seen(head) | {*SOURCES[head].held, *ORDINARY[head].not_ordinary}


def judged(scorer: Scorer, posts: pa.Table) -> Judged:
    """Returns posts with the scores of them."""
    scores_N, seconds = timed(lambda: scorer.score(posts["text"].combine_chunks()))
    say(f"{len(posts):,} posts scored, {seconds / max(len(posts), 1) * 1e6:.0f} us each")
    return Judged(posts, scores_N)


def main() -> None:
    """Measures a score and prints its tables."""
    parser = parser_of("judgement", __doc__)
    add_data(parser)
    parser.add_argument(
        "--head", choices=sorted(judgement_posts.FILES), default="toxicity", help="what it judges"
    )
    add_scorer(parser, "")
    add_version(parser)
    add_page(parser, "--page")
    parser.add_argument("--most", type=int, default=judgement_posts.MOST, help="posts of a source")
    parser.add_argument("--read", type=Path, help="where posts to read are written, CSV")
    arguments: argparse.Namespace = parser.parse_args()
    arguments.filter = arguments.filter or arguments.head
    scorer = scorer_of(arguments)
    posts = judgement_posts.unseen(
        arguments.data, arguments.head, seen=seen(arguments.head), most=arguments.most
    )
    posts = turned_labels(posts) if arguments.head == QUALITY else posts
    unseen = judged(scorer, posts)
    ordinary = judgement_posts.ordinary(arguments.data, left_out=not_ordinary(arguments.head))
    found = judgement.figures(unseen, judged(scorer, ordinary), max_score=scorer.max_score)
    name = " ".join(filter(None, (scorer.name, arguments.version)))
    text = section(name, found).replace("\n## ", "\n### ").removeprefix("## ")
    publish(
        text.partition("\n")[2].strip(),
        arguments.page,
        name=f"judgement {name}",
        title=f"Sources never seen: {name}",
    )
    if arguments.read:
        pa_csv.write_csv(
            judgement.disagreements(unseen, max_score=scorer.max_score), arguments.read
        )


if __name__ == "__main__":
    main()
