"""Generated texts, and a small vocabulary trained on them once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import ipc

from sluice.tokenizer.training.train import train
from tests.built_once import built_once

VOCABULARY_SIZE = 2000
ALPHABETS = ("abcdefghijklmno", "абвгдежзий", "กขคงจฉชซ", "あいうえおかき", "ابتثجحخد", "😀😂👍🏽❤️")


def generated_texts(num_texts: int, *, seed: int) -> list[str]:
    """Returns texts of invented words in several scripts; words repeat, as in a language."""
    random = np.random.default_rng(seed)
    lexicon = [
        "".join(random.choice(list(alphabet), size=random.integers(1, 9)))
        for alphabet in ALPHABETS
        for _ in range(400)
    ]
    rank = np.minimum(random.zipf(1.3, size=(num_texts, 12)), len(lexicon)) - 1
    shuffled = random.permutation(len(lexicon))
    return [" ".join(lexicon[shuffled[k]] for k in row[: random.integers(1, 13)]) for row in rank]


def write_texts(path: Path, texts: list[str | None]) -> Path:
    """Writes an Arrow IPC file with a `text` column in batches of 500."""
    column = pa.array(texts, pa.string())
    schema = pa.schema([("other", pa.int64()), ("text", pa.string())])
    with ipc.new_file(path, schema) as file:
        for start in range(0, len(texts), 500):
            rows = column.slice(start, 500)
            file.write_batch(pa.record_batch([pa.nulls(len(rows), pa.int64()), rows], schema))
    return path


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files of generated texts."""

    def write(folder: Path) -> None:
        for seed in (1, 2):
            write_texts(folder / f"{seed}.arrow", list(generated_texts(2000, seed=seed)))

    return sorted(built_once(tmp_path_factory, "corpus", write).iterdir())


@pytest.fixture(scope="session")
def vocabulary(corpus: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a vocabulary of VOCABULARY_SIZE entries."""
    return built_once(
        tmp_path_factory,
        "vocabulary",
        lambda folder: train(corpus, output=folder, vocabulary_size=VOCABULARY_SIZE),
    )


@pytest.fixture(scope="session")
def tokenizer_json(vocabulary: Path) -> Path:
    """Its tokenizer.json."""
    return vocabulary / "tokenizer.json"


@pytest.fixture(scope="session")
def texts_of() -> Callable[..., list[str]]:
    """The generator of texts."""
    return generated_texts
