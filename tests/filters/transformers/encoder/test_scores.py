"""The encoder's scores: ONNX Runtime, torch and the network of training agree; company does not matter."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from tokenizers import Tokenizer

import sluice.filters.transformers.scorer
from sluice.filters.base import SCORE_GRID
from sluice.filters.text.views import encoder_text
from sluice.filters.transformers.encoder import onnx_engine
from sluice.filters.transformers.load import Transformer, TransformerScorer, load, locate
from sluice.schemas.arrays import Array
from sluice.schemas.errors import InputError
from tests.filters.transformers.encoder import tiny_encoder
from tests.filters.transformers.encoder.tiny_encoder import CALIBRATION, POSITIONS, TinyEncoder

TEXTS = [
    "You are the kind!",
    "",
    "free words! " * 3,
    "é日本 @bob #x \u0301 \x00 😂 https://www.example.com/a?b=1",
    "the text " * 60,
    "a",
    "qq <pad> <s> </s> zz",
    " ",
    *(f"{'text ' * n}of {'a' * n}" for n in range(1, 25)),
]
LIKE_TRAINING = 2e-5
WHOLE_BOUND, WHOLE_MEAN = 0.05, 0.01
"""Of int8 against float32, on the tiny encoder; docs/transformers.md has those of the shipped one."""


def machine(tiny: TinyEncoder, *, threads: int = 1, **spec: Any) -> TransformerScorer:
    made = Transformer(model="sluice/encoder", checkpoint=str(tiny.folder), **spec)
    return load(made, locate(made), threads=threads)


def column(rows: list[str | None]) -> pa.StringArray:
    return pa.array(rows, pa.string())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyEncoder:
    return tiny_encoder.write(tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture(scope="module")
def whole(tiny: TinyEncoder) -> TransformerScorer:
    """The encoder on ONNX Runtime."""
    return machine(tiny)


@pytest.fixture(scope="module")
def alone_NL(whole: TransformerScorer) -> Array:
    """The scores of the texts, each alone."""
    return np.concatenate([whole.score(column([text])).scores_NL for text in TEXTS])


def trained(tiny: TinyEncoder, texts: list[str]) -> Array:
    """Returns (N, L), the scores of the training's network, a text at a time."""
    pieces = Tokenizer.from_file(str(tiny.folder / "tokenizer.json"))
    pieces.enable_truncation(POSITIONS)
    slopes, intercepts = map(torch.tensor, zip(*CALIBRATION, strict=True))
    rows = []
    for text in encoder_text(column(list(texts))).to_pylist():
        ids = torch.tensor([pieces.encode(text).ids])
        with torch.inference_mode():
            logits = tiny.network(ids, torch.tensor([ids.shape[1]]))
        rows.append((logits * slopes + intercepts).sigmoid().numpy())
    return np.concatenate(rows)


def test_float32_is_the_network_of_the_training(tiny: TinyEncoder) -> None:
    """Torch in float32, in batches, against the network that was trained, a text at a time."""
    scored = machine(tiny, dtype="float32").score(column(list(TEXTS)))
    wanted_NL = trained(tiny, TEXTS)
    assert wanted_NL.std(axis=0).min() > 0.02  # the tiny encoder tells these texts apart
    assert np.abs(scored.scores_NL - wanted_NL).max() < LIKE_TRAINING
    assert (scored.scores_NL % SCORE_GRID == 0).all()


def test_whole_numbers_stay_within_their_bound(tiny: TinyEncoder, alone_NL: Array) -> None:
    """ONNX Runtime's scores against those of torch in float32; equal ones would mean that float32 ran."""
    exact_NL = machine(tiny, dtype="float32").score(column(list(TEXTS))).scores_NL
    far_NL = np.abs(alone_NL - exact_NL)
    assert 1e-4 < far_NL.max() < WHOLE_BOUND
    assert far_NL.mean() < WHOLE_MEAN


def test_bfloat16_stays_within_its_bound(tiny: TinyEncoder) -> None:
    """Torch in bfloat16 against float32, as on a GPU."""
    exact_NL, rough_NL = (
        machine(tiny, dtype=dtype).score(column(list(TEXTS))).scores_NL
        for dtype in ("float32", "bfloat16")
    )
    assert 1e-4 < np.abs(exact_NL - rough_NL).max() < WHOLE_BOUND


@given(st.permutations(range(len(TEXTS))), st.integers(0, len(TEXTS)), st.integers(24, 900))
@settings(max_examples=25, deadline=None)
def test_company_does_not_move_a_bit(
    tiny: TinyEncoder, alone_NL: Array, order: list[int], kept: int, batch_tokens: int
) -> None:
    """Any part of the texts in any order and any batch size: the same scores as alone."""
    rows = order[:kept]
    scorer = machine(tiny, max_tokens=POSITIONS, batch_tokens=batch_tokens)
    found = scorer.score(column([TEXTS[row] for row in rows]))
    assert found.scores_NL.tolist() == alone_NL[rows].tolist()


def test_chunks_and_threads_do_not_move_a_bit(
    tiny: TinyEncoder, alone_NL: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts that are tokenised while others are scored, by three threads, come out in their order."""
    monkeypatch.setattr(sluice.filters.transformers.scorer, "CHUNK", 5)
    scores_NL = machine(tiny, threads=3).score(column(list(TEXTS))).scores_NL
    assert scores_NL.tolist() == alone_NL.tolist()


def test_processors_without_vnni_have_the_same_scores(
    tiny: TinyEncoder, alone_NL: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products that cannot overflow 16 bits, as older processors need them, are the same whole numbers."""
    monkeypatch.setattr(onnx_engine, "overflows", lambda: True)
    assert machine(tiny).score(column(list(TEXTS))).scores_NL.tolist() == alone_NL.tolist()


@pytest.mark.parametrize(
    ("machine_name", "flags", "wanted"),
    [
        ("x86_64", "fpu avx2 avx512f", True),
        ("x86_64", "fpu avx2 avx_vnni", False),
        ("x86_64", "fpu avx512_vnni", False),
        ("x86_64", None, True),
        ("aarch64", None, False),
    ],
    ids=["avx2", "avx_vnni", "avx512_vnni", "unknown x86", "arm"],
)
def test_older_processors_are_known(
    machine_name: str,
    flags: str | None,
    wanted: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By their flags; x86 that does not say what it has counts as old."""
    path = tmp_path / "cpuinfo"
    if flags is not None:
        path.write_text(f"flags\t: {flags}\n")
    monkeypatch.setattr(onnx_engine, "CPU", path)
    monkeypatch.setattr(onnx_engine.platform, "machine", lambda: machine_name)
    assert onnx_engine.overflows() is wanted


def test_long_texts_are_cut_and_counted(whole: TransformerScorer) -> None:
    """The encoder reads as many pieces as it has positions; what is behind them has no effect."""
    scored = whole.score(column(["the text " * 60, "the text " * 61, "a"]))
    assert scored.tokens_N.tolist() == [POSITIONS, POSITIONS, 4]
    assert scored.truncated_N.tolist() == [True, True, False]
    assert scored.scores_NL[0].tolist() == scored.scores_NL[1].tolist()


def test_texts_are_read_by_the_encoders_view(whole: TransformerScorer) -> None:
    """Whose handle it is and what follows a host do not count; nulls are empty texts."""
    pairs = [
        ("@ann hi", "@bob hi"),
        ("see https://x.org/a", "see https://www.x.org/b?c"),
        (None, ""),
    ]
    for first, second in pairs:
        scores_NL = whole.score(column([first, second])).scores_NL
        assert scores_NL[0].tolist() == scores_NL[1].tolist()


def test_no_texts_no_scores(whole: TransformerScorer) -> None:
    assert whole.score(column([])).scores_NL.shape == (0, 3)


def test_torch_is_not_imported_on_the_cpu(tiny: TinyEncoder) -> None:
    """A process that scores on the CPU needs neither torch nor transformers."""
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "import pyarrow as pa\n"
        "from sluice.filters.transformers.load import Transformer, load, locate\n"
        f"spec = Transformer(model='sluice/encoder', checkpoint={str(tiny.folder)!r}, device='cpu')\n"
        "found = load(spec, locate(spec), threads=1).score(pa.array(['the text']))\n"
        "assert sys.modules['torch'] is None and 'safetensors' not in sys.modules\n"
        "print(found.scores_NL.shape)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False
    )
    assert (ended.stdout.strip(), ended.returncode) == ("(1, 3)", 0), ended.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told(tiny: TinyEncoder) -> None:
    with pytest.raises(InputError, match=r'device = "cuda", but torch .* sees no GPU'):
        machine(tiny, device="cuda")


def test_a_damaged_graph_is_told(tmp_path: Path) -> None:
    """The error names the file."""
    tiny = tiny_encoder.write(tmp_path / "tiny")
    (tiny.folder / "encoder.onnx").write_bytes(b"no graph")
    with pytest.raises(InputError, match=r"encoder\.onnx: ONNX Runtime cannot read it"):
        machine(tiny)
