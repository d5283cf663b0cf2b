"""Which pieces of the base's vocabulary the encoder keeps: those that posts of all languages use.

A text whose piece is left out is cut into shorter pieces, or single characters, that are kept.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import wordfreq
from tokenizers import Tokenizer

from sluice.filters.models.training.encoder.posts import LONGEST, in_pieces, read
from sluice.filters.models.training.encoder.sources import SOURCES
from sluice.filters.models.training.encoder.teach import UNLABELLED
from sluice.schemas.arrays import Array

NUM_PIECES: Final = 56_000
SPECIAL: Final = ("<s>", "<pad>", "</s>", "<unk>", "▁")
MASK: Final = "<mask>"
WORDS: Final = 6_000
"""The most frequent ones of each language of wordfreq, so that languages without posts keep their pieces."""
SHARES: Final = {"posts": 0.5, "collections": 0.35, "words": 0.15}
"""What a piece's shares of all posts, of each collection and of each language's words count for."""
LEAST: Final = 3
"""A character that is used so often is kept, whatever its share."""


def kept_pieces(data: Path, tokenizer: Tokenizer) -> Array:
    """Returns (NUM_PIECES,) int64, ascending: which pieces of the base's vocabulary are kept."""
    size = tokenizer.get_vocab_size()
    collections_CV = np.array([_counts(texts, tokenizer, size) for texts in _collections(data)])
    words_WV = np.array([_counts(texts, tokenizer, size) for texts in _words()])
    posts_V = collections_CV.sum(axis=0)
    score_V = SHARES["posts"] * posts_V / posts_V.sum()
    score_V += SHARES["collections"] * _mean_share(collections_CV)
    score_V += SHARES["words"] * _mean_share(words_WV)
    used_V = posts_V + words_WV.sum(axis=0)
    pieces = [str(tokenizer.id_to_token(i)) for i in range(size)]
    score_V += [
        piece in SPECIAL or (len(piece) == 1 and used >= LEAST)
        for piece, used in zip(pieces, used_V.tolist(), strict=True)
    ]
    return np.sort(np.argsort(-score_V, kind="stable")[:NUM_PIECES])


def _mean_share(counts_CV: Array) -> Array:
    return np.asarray(
        (counts_CV / np.maximum(counts_CV.sum(axis=1, keepdims=True), 1)).mean(axis=0)
    )


def _counts(texts: pa.StringArray, tokenizer: Tokenizer, size: int) -> Array:
    return np.bincount(in_pieces(texts, tokenizer, np.int32).ids_T, minlength=size)


def _collections(data: Path) -> Iterator[pa.StringArray]:
    """Yields the texts of each collection, those of the firehose by its sources."""
    for patterns in (UNLABELLED, *(head.files for head in SOURCES.values())):
        posts = read(data, patterns)
        for source in pc.unique(posts["source"]).to_pylist():
            yield posts.filter(pc.equal(posts["source"], source))["text"].combine_chunks()


def _words() -> Iterator[pa.StringArray]:
    for language in sorted(wordfreq.available_languages("small")):
        yield pa.array(wordfreq.top_n_list(language, WORDS, "small"), pa.string())


def pruned(tokenizer: dict[str, Any], kept_V: Array) -> dict[str, Any]:
    """Returns a tokenizer.json with the pieces that are kept alone, numbered from 0, and without a mask."""
    pieces = tokenizer["model"]["vocab"]
    model = tokenizer["model"] | {"vocab": [pieces[i] for i in kept_V.tolist()]}
    added = [token for token in tokenizer["added_tokens"] if token["content"] != MASK]
    return tokenizer | {"model": model, "added_tokens": added}


def begun(path: Path) -> Tokenizer:
    """Returns the tokenizer of a file, which cuts texts at LONGEST pieces."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(LONGEST)
    return tokenizer


def write(data: Path, base: Path, folder: Path) -> tuple[Path, Array]:
    """Returns the pruned tokenizer.json and the pieces that it keeps; makes them where they are not there."""
    path, kept = folder / "tokenizer.json", folder / "kept.npy"
    if not kept.is_file():
        kept_V = kept_pieces(data, begun(base))
        found = pruned(json.loads(base.read_bytes()), kept_V)
        path.write_text(json.dumps(found, ensure_ascii=False, separators=(",", ":")))
        np.save(kept, kept_V)
    return path, np.load(kept)
