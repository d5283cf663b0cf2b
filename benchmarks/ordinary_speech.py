"""Ordinary speech that must not be taken for toxic or spam, and what is rejected of it.

    python -m benchmarks.ordinary_speech [--filter toxicity | --model MODEL --label LABEL] [--page PAGE]

The posts are in `ordinary_speech.toml`, by kind of speech: swearing among friends, rap, reclaimed words,
dialects. Nothing is trained on them.
"""

from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from benchmarks.command import add_page, parser_of
from benchmarks.page import publish
from benchmarks.page import table as markdown_table
from benchmarks.scorers import Scorer, add_scorer, add_version, scorer_of

FILE = Path(__file__).with_suffix(".toml")


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of speech: its language, `mul` where they are several, and posts."""

    lang: str
    posts: tuple[str, ...]


@cache
def kinds() -> dict[str, Kind]:
    """Returns name -> kind, in the order of the file."""
    return msgspec.toml.decode(FILE.read_bytes(), type=dict[str, Kind])


def table(names: list[str]) -> pa.Table:
    """Returns the posts of some kinds: columns `text`, `lang`, `source` (the kind)."""
    rows = [(text, kinds()[name].lang, name) for name in names for text in kinds()[name].posts]
    return pa.table(list(zip(*rows, strict=True)), names=["text", "lang", "source"])


def rows(scorer: Scorer) -> list[tuple[object, ...]]:
    """Returns for each kind its posts, how many are rejected, and the highest score."""
    posts = table(list(kinds()))
    kind_N, scores_N = (
        np.array(posts["source"].to_pylist()),
        scorer.score(posts["text"].combine_chunks()),
    )
    return [
        (
            name,
            len(kind.posts),
            int((scores_N[kind_N == name] > scorer.max_score).sum()),
            f"{scores_N[kind_N == name].max():.2f}",
        )
        for name, kind in kinds().items()
    ]


def main() -> None:
    """Prints what is rejected of each kind of speech."""
    parser = parser_of("ordinary_speech", __doc__)
    add_scorer(parser, "toxicity")
    add_version(parser)
    add_page(parser, "--page")
    arguments = parser.parse_args()
    scorer = scorer_of(arguments)
    name = " ".join(filter(None, (scorer.name, arguments.version)))
    lines = markdown_table(("kind", "posts", "rejected", "highest score"), rows(scorer))
    text = f"`{scorer.name}`, threshold {scorer.max_score:.4g}.\n\n" + "\n".join(lines)
    title = f"Ordinary speech: {name}"
    publish(text, arguments.page, name=f"ordinary_speech {name}", title=title)


if __name__ == "__main__":
    main()
