"""Scores for the screens to learn: those of the encoder as it runs, in parts that are made once."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluice.filters.models.training.encoder import teach
from sluice.filters.models.training.encoder.fit import logits
from sluice.filters.models.training.encoder.network import EncoderNetwork
from sluice.filters.models.training.encoder.posts import in_pieces
from sluice.filters.models.training.encoder.sources import HEADS
from sluice.filters.models.training.encoder.vocabulary import begun
from sluice.schemas.arrays import Array
from tests.filters.transformers.encoder import tiny_encoder

TEXTS = ["you are free", "the text", "words of 2 kinds!", "text: free words"]
TABLE = pa.table({"text": TEXTS, "lang": ["en"] * 4, "source": ["web"] * 4})


def test_the_teacher_says_what_the_network_says(tmp_path: Path) -> None:
    """Log odds that are not calibrated, within what whole numbers cost."""
    network: EncoderNetwork = tiny_encoder.write(tmp_path / "tiny").network
    tokenizer = tmp_path / "tiny.json"
    log_odds = teach.teacher(network, tokenizer=tokenizer, folder=tmp_path / "run", threads=1)
    found_NH = log_odds(pa.array(TEXTS))
    plain_NH = logits(network, in_pieces(pa.array(TEXTS), begun(tokenizer)))
    as_scores = [1 / (1 + np.exp(-odds_NH)) for odds_NH in (found_NH, plain_NH)]
    assert np.abs(as_scores[0] - as_scores[1]).max() < 0.1
    assert np.isfinite(found_NH).all()


def test_parts_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each text is in one part; a part that is there is not made again."""
    monkeypatch.setattr(teach, "PART", 2)
    asked = []

    def log_odds(texts: pa.StringArray) -> Array:
        asked.extend(texts.to_pylist())
        return np.array([[len(text), 0, 1] for text in texts.to_pylist()], np.float32)

    to = {"folder": tmp_path / "scores", "name": "part"}
    first = next(teach.teach(log_odds, TABLE.slice(0, 3), **to))
    paths = [path.name for path in teach.teach(log_odds, TABLE.slice(0, 3), **to)]
    assert paths == [first.name, "part-0001.parquet"]
    assert asked == TEXTS[:3]
    table = pq.read_table(tmp_path / "scores")
    assert table.column_names == ["text", "lang", "source", *HEADS]
    assert table["text"].to_pylist() == TEXTS[:3]
    assert table[HEADS[0]].to_pylist() == [len(text) for text in TEXTS[:3]]


def test_texts_with_hostile_words_are_found() -> None:
    """Whole pieces alone, in any case."""
    found = teach.holds_words(pa.array(["You IDIOT!", "an idiot", "idiotproof", "", "vilken skit"]))
    assert found.to_pylist() == [False, True, False, False, True]
