"""What tempering the vocabulary by language costs and gains: bytes per token of a holdout.

    python -m benchmarks.vocabulary_tempering OUTPUT

OUTPUT is a finished run without transformers. A tenth of its posts, by a hash of the id, is the holdout;
vocabularies are trained on the words of the others with several exponents. Prints a Markdown table: bytes
per token of the whole holdout, and the mean over languages by their share of the text.
"""

import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import ipc

from benchmarks.command import add_output, parser_of
from benchmarks.kept_posts import kept_posts
from benchmarks.page import table
from sluice.filters.text.hashing import hash_texts
from sluice.pipeline.phases.vocabulary import sampling
from sluice.schemas.counts import UNKNOWN
from sluice.tokenizer.encode import Encoder
from sluice.tokenizer.training.train import train
from sluice.tokenizer.training.words import WordCounter
from sluice.tokenizer.training.words_files import COUNTED

SETTINGS = ((1.0, 1.0), (0.85, 8.0), (0.7, 8.0), (0.7, 32.0), (0.5, 8.0))
"""language_exponent, max_weight."""
SHARES = (0.01, 0.001, 0.0)
"""Languages with at least such a share of the text, and less than the one before, make a column."""
HOLDOUT = 10


class Posts(NamedTuple):
    """Posts and their languages."""

    texts: pa.StringArray
    languages: pa.StringArray

    def bytes_by_language(self) -> dict[str, int]:
        """Returns the text of each language, in bytes."""
        table = pa.table({"language": self.languages, "size": pc.binary_length(self.texts)})
        summed = table.group_by("language").aggregate([("size", "sum")])
        return dict(
            zip(summed["language"].to_pylist(), summed["size_sum"].to_pylist(), strict=True)
        )


def split(output: Path) -> tuple[Posts, Posts]:
    """Returns the posts of a run to train on, and the holdout."""
    kept = pa.Table.from_batches(kept_posts(output, ("post_id", "language", "text")))
    ids, languages, texts = (column.combine_chunks() for column in kept.columns)
    languages = pc.fill_null(languages, UNKNOWN)
    held_N = hash_texts(ids, seed=99) % np.uint64(HOLDOUT) == 0
    masks = (pa.array(~held_N), pa.array(held_N))
    parts = [Posts(texts.filter(mask), languages.filter(mask)) for mask in masks]
    return parts[0], parts[1]


def encoder(posts: Posts, folder: Path, *, exponent: float, max_weight: float) -> Encoder:
    """Returns an encoder with the vocabulary that a setting gives."""
    sizes = posts.bytes_by_language()
    rates = dict.fromkeys(sizes, 1.0)
    weights = sampling.language_weights(sizes, rates, exponent=exponent, max_weight=max_weight)
    counter = WordCounter()
    counter.add_texts(posts.texts, sampling.weights_of(posts.languages, weights))
    words = sampling.once_at_most_one(counter.counts())
    columns = [words.words, pa.array(words.count_W), pa.array(words.weight_W)]
    with ipc.new_file(folder / "words.arrow", COUNTED) as file:
        file.write_table(pa.Table.from_arrays(columns, schema=COUNTED))
    train([folder / "words.arrow"], output=folder)
    return Encoder(folder / "tokenizer.json")


def bytes_per_token(posts: Posts, encoded: Encoder) -> tuple[float, dict[str, float]]:
    """Returns the bytes per token of all posts and of each language."""
    lengths_N = np.diff(encoded.encode(posts.texts).offsets_N1)
    bytes_N = np.asarray(pc.binary_length(posts.texts))
    language_N: Any = np.asarray(posts.languages.to_pylist())
    found = {}
    for language in sorted(set(language_N.tolist())):
        mask_N = language_N == language
        found[language] = float(bytes_N[mask_N].sum() / lengths_N[mask_N].sum())
    return float(bytes_N.sum() / lengths_N.sum()), found


def rows(output: Path) -> Iterator[list[object]]:
    """Yields the rows of the table."""
    training, held = split(output)
    sizes = training.bytes_by_language()
    shares = {language: size / sum(sizes.values()) for language, size in sizes.items()}
    for exponent, max_weight in SETTINGS:
        with tempfile.TemporaryDirectory() as folder:
            made = encoder(training, Path(folder), exponent=exponent, max_weight=max_weight)
        overall, found = bytes_per_token(held, made)
        means = []
        for above, least in pairwise((2.0, *SHARES)):
            column = [n for lang, n in found.items() if least <= shares.get(lang, 0.0) < above]
            means.append(f"{np.mean(column):.3f} ({len(column)})")
        yield [exponent, f"{max_weight:g}", f"{overall:.3f}", *means]


def main() -> None:
    """Measures and prints the table."""
    parser = parser_of("vocabulary_tempering", __doc__)
    add_output(parser)
    head = ("language_exponent", "max_weight", "overall", "above 1%", "above 0.1%", "others")
    print("\n".join(table(head, list(rows(parser.parse_args().output)))))


if __name__ == "__main__":
    main()
