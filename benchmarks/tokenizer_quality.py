"""Compares a run's vocabulary with those of OpenAI, on posts that it was not trained on.

    npm pack js-tiktoken@1.0.21 --pack-destination .venv-models
    sluice run default --input 'FIREHOSE/*.jsonl.gz' --output OUT --set vocabulary.held_back=0.1
    python -m benchmarks.tokenizer_quality OUT --references .venv-models/js-tiktoken-1.0.21.tgz [--trials]

The references are the ranks and patterns in the npm package js-tiktoken, in tiktoken. With `--trials`
vocabularies of other patterns, and with merges across words, are trained on the same posts (half an hour).

What is counted: bytes of text per token; tokens per word, where a word stands between white space
(fertility: Rust et al. 2021, "How Good is Your Tokenizer?", section 3.1); entries that the posts use;
entries that training would hardly see (Land and Bartolo 2024, "Fishing for Magikarp", arXiv:2405.05417).
"""

import base64
import hashlib
import json
import tarfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tiktoken

from benchmarks import tokenizer_trials
from benchmarks.command import parser_of
from benchmarks.kept_posts import kept_posts
from benchmarks.page import publish, table
from benchmarks.process import this_machine
from sluice.pipeline.phases.vocabulary.holdout import holdout_mask
from sluice.schemas.arrays import Array
from sluice.tokenizer.encode import Encoder

JS_TIKTOKEN_SHA256 = "3b1f24b185565ca9a8d8f51466dfc4f99d67f1f05bc009258710ddb7a8d810fa"
REFERENCES = ("o200k_base", "cl100k_base")
FEW = 10
"""An entry that occurs less often than this in all posts is hardly trained."""
MIN_SHARE = 0.01
UNSEEN = (("goemotions", "crisislext26", "ltec"), ("reddit-top", "afrisenti"))
PAGE = Path(__file__).with_name("TOKENIZER.md")

Encode = Callable[[pa.StringArray], tuple[Array, Array]]


class Vocabulary(NamedTuple):
    """A vocabulary.

    Attributes:
        name: what it is called in the tables.
        size: entries.
        encode: (N,) texts -> all ids, and how many each text has.
    """

    name: str
    size: int
    encode: Encode


class Use(NamedTuple):
    """What a vocabulary makes of posts.

    Attributes:
        tokens_N: (N,) ids of each holdout post.
        held_V: (V,) how often each id occurs in them.
        all_V: (V,) how often in all posts.
    """

    tokens_N: Array
    held_V: Array
    all_V: Array


def read_posts(run: Path) -> tuple[pa.Table, pa.Table]:
    """Returns the kept posts of a run: those it trained on, and its holdout."""
    recipe = json.loads((run / "manifest.json").read_text())["recipe"]
    batches = list(kept_posts(run, ("post_id", "language", "source", "text")))
    share, seed = recipe["vocabulary"]["held_back"], recipe["seed"]
    held = [holdout_mask(batch, share=share, seed=seed) for batch in batches]
    posts, held_N = pa.Table.from_batches(batches), pa.array(np.concatenate(held))
    return posts.filter(pc.invert(held_N)), posts.filter(held_N)


def ours(run: Path) -> Vocabulary:
    """Returns the vocabulary of a run."""
    encoder = Encoder(run / "tokenizer" / "tokenizer.json")

    def encode(texts: pa.StringArray) -> tuple[Array, Array]:
        encoded = encoder.encode(texts)
        return encoded.tokens_T, np.diff(encoded.offsets_N1)

    return Vocabulary("Sluice", 131_072, encode)


def references(tarball: Path) -> list[Vocabulary]:
    """Returns the vocabularies of the npm package.

    Raises:
        ValueError: the file is not the one that the figures are of.
    """
    found = hashlib.sha256(tarball.read_bytes()).hexdigest()
    if found != JS_TIKTOKEN_SHA256:
        raise ValueError(f"{tarball}: must have the sha256 {JS_TIKTOKEN_SHA256}, got {found}")
    return [_reference(tarball, name) for name in REFERENCES]


def _reference(tarball: Path, name: str) -> Vocabulary:
    with tarfile.open(tarball) as package:
        member = package.extractfile(f"package/dist/ranks/{name}.js")
        assert member is not None
        script = member.read().decode()
    spec = json.loads(script[script.index("{") : script.rindex("}") + 1])
    ranks: dict[bytes, int] = {}
    for line in spec["bpe_ranks"].split("\n"):
        _, first, *entries = line.split(" ") if line else ("", "0")
        for rank, entry in enumerate(entries, int(first)):
            ranks[base64.b64decode(entry)] = rank
    made = tiktoken.Encoding(
        name, pat_str=spec["pat_str"], mergeable_ranks=ranks, special_tokens={}
    )
    return Vocabulary(name, len(ranks), partial(_encode_reference, made))


def _encode_reference(encoding: tiktoken.Encoding, texts: pa.StringArray) -> tuple[Array, Array]:
    rows = encoding.encode_ordinary_batch(texts.to_pylist(), num_threads=1)
    lengths_N = np.array([len(row) for row in rows], np.int64)
    return np.fromiter((i for row in rows for i in row), np.int32, lengths_N.sum()), lengths_N


def use_of(vocabulary: Vocabulary, trained: pa.Table, held: pa.Table) -> Use:
    """Encodes the holdout and the other posts with a vocabulary."""
    tokens, held_V = [], np.zeros(vocabulary.size + 64, np.int64)
    for chunk in held["text"].chunks:
        ids_T, lengths_N = vocabulary.encode(chunk)
        tokens.append(lengths_N)
        held_V += np.bincount(ids_T, minlength=len(held_V))
    all_V = held_V.copy()
    for chunk in trained["text"].chunks:
        all_V += np.bincount(vocabulary.encode(chunk)[0], minlength=len(held_V))
    return Use(np.concatenate(tokens), held_V, all_V)


def summary(vocabularies: Sequence[Vocabulary], uses: Sequence[Use], held: pa.Table) -> list[str]:
    """Returns the table of all posts together."""
    text_bytes = tokenizer_trials.num_bytes(held["text"])
    words = pc.sum(pc.count_substring_regex(held["text"], r"\S+")).as_py()
    rows = []
    for vocabulary, use in zip(vocabularies, uses, strict=True):
        tokens, size = int(use.tokens_N.sum()), vocabulary.size
        per = (text_bytes / tokens, tokens / held.num_rows, tokens / words)
        used = np.count_nonzero(use.held_V) / size
        unused = int(size - np.count_nonzero(use.all_V))
        few = int(np.count_nonzero((use.all_V > 0) & (use.all_V < FEW)))
        shown = (f"{per[0]:.3f}", f"{per[1]:.1f}", f"{per[2]:.2f}", f"{used:.1%}")
        rows.append([vocabulary.name, size, tokens, *shown, unused, few])
    head = ["vocabulary", "entries", "tokens", "bytes per token", "a post", "a word"]
    head += ["used by them", "used by no post of all", f"used less than {FEW} times"]
    return table(head, rows)


def by_language(
    vocabularies: Sequence[Vocabulary], uses: Sequence[Use], held: pa.Table
) -> list[str]:
    """Returns bytes per token of every language that has at least `MIN_SHARE` of the text."""
    bytes_N = np.asarray(pc.binary_length(held["text"]))
    language_N = np.asarray(held["language"].to_pylist())
    rows = []
    for language in np.unique(language_N):
        of_N = language_N == language
        share = bytes_N[of_N].sum() / bytes_N.sum()
        if share >= MIN_SHARE / 4:
            tokens = [int(use.tokens_N[of_N].sum()) for use in uses]
            per = [f"{bytes_N[of_N].sum() / n:.2f}" for n in tokens]
            name = f"**{language}**" if share >= MIN_SHARE else str(language)
            fewer = f"{1 - tokens[0] / tokens[1]:.0%}"
            rows.append([share, name, f"{share:.1%}", int(of_N.sum()), *per, fewer])
    rows.sort(key=lambda row: -row[0])
    head = ["language", "of the text", "posts", *(v.name for v in vocabularies)]
    return table([*head, "fewer tokens than o200k"], [row[1:] for row in rows])


def tried(trained: pa.Table, held: pa.Table) -> list[str]:
    """Returns the table of the trials, and that of merges across words on sources never seen."""
    texts, text_bytes = held["text"].to_pylist(), tokenizer_trials.num_bytes(held["text"])
    rows = []
    first = 0
    for trial in tokenizer_trials.trials(trained["text"]):
        tokens = sum(trial.count(texts))
        first = first or tokens
        rows.append([trial.name, f"{text_bytes / tokens:.3f}", f"{tokens / first - 1:+.1%}"])
        print(rows[-1], flush=True)
    lines = table(["131,072 entries", "bytes per token", "tokens"], rows)
    rows = []
    for sources in UNSEEN:
        without = trained.filter(pc.invert(pc.is_in(trained["source"], pa.array(sources))))
        of_sources = held.filter(pc.is_in(held["source"], pa.array(sources)))
        texts = of_sources["text"].to_pylist()
        words, across = (
            sum(trial.count(texts)) for trial in tokenizer_trials.unseen_sources(without["text"])
        )
        rows.append([", ".join(sources), words, across, f"{across / words - 1:+.1%}"])
        print(rows[-1], flush=True)
    head = ["trained without, counted on", "tokens, words", "tokens, across words", ""]
    return [*lines, "", *table(head, rows)]


def main() -> None:
    """Runs the command line above and writes the page."""
    parser = parser_of("tokenizer_quality", __doc__)
    parser.add_argument("run", type=Path, help="OUTPUT of a run with vocabulary.held_back")
    parser.add_argument("--references", type=Path, required=True, metavar="TARBALL")
    parser.add_argument("--trials", action="store_true")
    options = parser.parse_args()
    trained, held = read_posts(options.run)
    vocabularies = [ours(options.run), *references(options.references)]
    uses = [use_of(vocabulary, trained, held) for vocabulary in vocabularies]
    figures = [
        f"A holdout of {held.num_rows:,} of {held.num_rows + trained.num_rows:,} posts. "
        f"Machine: {this_machine('tiktoken')}.",
        "",
        *summary(vocabularies, uses, held),
        "",
        *by_language(vocabularies, uses, held),
    ]
    name = "tokenizer_quality"
    publish("\n".join(figures), PAGE, name=name, title="Against references")
    if options.trials:
        figures = tried(trained, held)
        publish("\n".join(figures), PAGE, name=f"{name} --trials", title="Trials")


if __name__ == "__main__":
    main()
