"""Transformers: scores against detoxify's own `predict` and transformers' own pipeline, on tiny models."""

import pickle
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import detoxify
import hypothesis.strategies as st
import msgspec
import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers
from hypothesis import given, settings
from tokenizers.processors import ByteLevel

import sluice.filters.transformers.scorer
from sluice.filters.base import SCORE_GRID
from sluice.filters.transformers.first_token import shorten_last_layer
from sluice.filters.transformers.forward import ClassifierForward
from sluice.filters.transformers.load import Located, Transformer, TransformerScorer, load, locate
from sluice.filters.transformers.scorer import Scored
from sluice.filters.transformers.tokens import column_tokenizer
from sluice.schemas.errors import InputError
from tests.filters.transformers.tiny_checkpoints import (
    CLASSES,
    KINDS,
    POSITIONS,
    Tiny,
    classifier,
    detoxify_checkpoint,
    hub_folder,
    tokenizer,
)

TEXTS = [
    "You are the kind!",
    "",
    "free words! " * 3,
    "é日本 @bob #x \u0301 \x00 😂",
    "the text " * 60,
    "a",
    "qq <pad> [PAD] </s> [SEP] zz",
    " ",
    *(f"{'text ' * n}of {'a' * n}" for n in range(1, 30)),
]
LIKE_THEIRS = 1e-4
BFLOAT16_BOUND, BFLOAT16_MEAN = 0.1, 0.01
STEPS = 2 * SCORE_GRID
LABELS = ("bad", "good", "neither")


def machine(tiny: Tiny, **spec: Any) -> TransformerScorer:
    """Loads a tiny detoxify checkpoint."""
    made = Transformer(
        model="detoxify/original", checkpoint=str(tiny.checkpoint), base=str(tiny.base), **spec
    )
    return load(made, locate(made), threads=1)


def column(rows: list[str | None]) -> pa.StringArray:
    return pa.array(rows, pa.string())


@pytest.fixture(scope="module")
def tinies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tiny]:
    """A detoxify checkpoint of every kind."""
    folder = tmp_path_factory.mktemp("tiny")
    return {kind: detoxify_checkpoint(folder, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def bert(tinies: dict[str, Tiny]) -> TransformerScorer:
    """The tiny BERT, loaded."""
    return machine(tinies["bert"])


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_detoxify(kind: str, tinies: dict[str, Tiny]) -> None:
    """Names and scores of `predict` on the same file, for texts long, short, empty and odd."""
    tiny = tinies[kind]
    theirs = detoxify.Detoxify(
        checkpoint=str(tiny.checkpoint), huggingface_config_path=str(tiny.base)
    ).predict(TEXTS)
    scorer = machine(tiny)
    scored = scorer.score(column(TEXTS))
    assert scorer.labels == tuple(theirs)
    wanted_NL = np.array(list(theirs.values())).T
    assert wanted_NL.std(axis=0).min() > 0.05  # the tiny model tells these texts apart
    assert np.abs(scored.scores_NL - wanted_NL).max() < LIKE_THEIRS
    assert scored.scores_NL.dtype == np.float32
    assert (scored.scores_NL % SCORE_GRID == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_stays_within_its_bound(kind: str, tinies: dict[str, Tiny]) -> None:
    """Against float32 scores of the same model; equal ones would mean that float32 ran."""
    exact, rough = (
        machine(tinies[kind], dtype=dtype).score(column(TEXTS)).scores_NL
        for dtype in ("float32", "bfloat16")
    )
    far_NL = np.abs(exact - rough)
    assert 1e-4 < far_NL.max() < BFLOAT16_BOUND
    assert far_NL.mean() < BFLOAT16_MEAN


@pytest.mark.parametrize(
    ("labels", "config"),
    [
        (LABELS, {}),
        (LABELS, {"problem_type": "multi_label_classification"}),
        (("toxic",), {}),
        (("quality",), {"problem_type": "regression"}),
    ],
    ids=["softmax", "sigmoid", "one label", "regression"],
)
def test_scores_are_those_of_transformers_pipeline(
    labels: tuple[str, ...], config: dict[str, Any], tmp_path: Path
) -> None:
    """Any classifier of Hugging Face, with the function that transformers itself applies to its outputs."""
    hub_folder(tmp_path, "roberta", labels=labels, **config)
    theirs = transformers.pipeline(
        "text-classification", str(tmp_path), top_k=None, truncation=True, device="cpu"
    )(TEXTS)
    wanted = [{score["label"]: score["score"] for score in row} for row in theirs]
    spec = Transformer(model=str(tmp_path))
    scorer = load(spec, locate(spec), threads=1)
    scores_NL = scorer.score(column(TEXTS)).scores_NL
    assert scorer.labels == labels
    assert np.abs(scores_NL - [[row[name] for name in labels] for row in wanted]).max() < 1e-4
    assert scores_NL.std() > 0.05


@given(st.permutations(range(len(TEXTS))), st.integers(0, len(TEXTS)), st.integers(64, 900))
@settings(max_examples=20)
def test_company_order_and_batches_do_not_matter(
    bert_scores: tuple[Tiny, Scored], order: list[int], kept: int, batch_tokens: int
) -> None:
    """Any part of the texts in any order and any batch size: the same scores within two steps of the grid."""
    tiny, alone = bert_scores
    rows = order[:kept]
    scorer = machine(tiny, max_tokens=POSITIONS, batch_tokens=batch_tokens)
    found = scorer.score(column([TEXTS[row] for row in rows]))
    assert found.scores_NL.shape == (kept, len(CLASSES))
    assert np.abs(found.scores_NL - alone.scores_NL[rows]).max(initial=0) <= STEPS
    assert found.tokens_N.tolist() == alone.tokens_N[rows].tolist()
    assert found.truncated_N.tolist() == alone.truncated_N[rows].tolist()


@pytest.fixture(scope="module")
def bert_scores(tinies: dict[str, Tiny], bert: TransformerScorer) -> tuple[Tiny, Scored]:
    """The scores of the texts, each alone."""
    rows = [bert.score(column([text])) for text in TEXTS]
    *columns, _ = zip(*rows, strict=True)
    return tinies["bert"], Scored(*map(np.concatenate, columns), 0.0)


def test_chunks_do_not_matter(bert: TransformerScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts that are tokenised while others are scored come out in their order."""
    whole = bert.score(column(TEXTS))
    monkeypatch.setattr(sluice.filters.transformers.scorer, "CHUNK", 5)
    parts = bert.score(column(TEXTS))
    assert np.abs(parts.scores_NL - whole.scores_NL).max() <= STEPS
    assert parts.tokens_N.tolist() == whole.tokens_N.tolist()


def test_the_same_call_gives_the_same_bits(bert: TransformerScorer) -> None:
    first, second = (bert.score(column(TEXTS)).scores_NL for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_threads_may_share_a_scorer(bert: TransformerScorer) -> None:
    """Four threads at a time get what one gets."""
    wanted = bert.score(column(TEXTS)).scores_NL
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: bert.score(column(TEXTS)).scores_NL, range(8)))
    assert all(scores.tobytes() == wanted.tobytes() for scores in found)


def test_null_reads_as_empty_and_slices_count(bert: TransformerScorer) -> None:
    """A null scores as the empty text; an array that does not begin at its buffer's start is read right."""
    scored = bert.score(column(["x", None, "", "a"]).slice(1))
    assert scored.scores_NL[0].tolist() == scored.scores_NL[1].tolist()
    assert np.abs(scored.scores_NL[2] - bert.score(column(["a"])).scores_NL[0]).max() < LIKE_THEIRS
    assert scored.tokens_N.tolist() == [2, 2, 3]


def test_no_texts_no_scores(bert: TransformerScorer) -> None:
    scored = bert.score(column([]))
    assert scored.scores_NL.shape == (0, len(CLASSES))
    assert len(scored.tokens_N) == len(scored.truncated_N) == 0


def test_cuts_are_counted(tinies: dict[str, Tiny]) -> None:
    """Tokens read and cuts, against the tokenizer's own call; a text that just fits is not cut."""
    texts = [*TEXTS, *("a " * n for n in range(15, 21))]
    full = [len(ids) for ids in tokenizer("bert")(texts)["input_ids"]]
    scored = machine(tinies["bert"], max_tokens=20).score(column(texts))
    assert scored.tokens_N.tolist() == [min(n, 20) for n in full]
    assert scored.truncated_N.tolist() == [n > 20 for n in full]
    assert {19, 20, 21} <= set(full)


def test_the_tokenizer_says_which_end_is_cut() -> None:
    """As in its own call; nearly all keep the beginning."""
    made = tokenizer("bert")
    made.truncation_side = "left"
    wanted = made("you are the kind of text", truncation=True, max_length=4)["input_ids"]
    found = column_tokenizer(made, max_tokens=4).encode(column(["you are the kind of text"]))
    assert found.ids_T.tolist() == wanted
    assert found.truncated_N.tolist() == [True]


def test_a_text_without_tokens_reads_as_padding() -> None:
    """A tokenizer without special tokens gives nothing for an empty text; a model must get something."""
    made = tokenizer("roberta")
    made.backend_tokenizer.post_processor = ByteLevel()
    found = column_tokenizer(made, max_tokens=8).encode(column(["", "the", None]))
    assert found.lengths_N.tolist() == [1, 1, 1]
    assert found.ids_T[[0, 2]].tolist() == [made.pad_token_id] * 2
    assert not found.truncated_N.any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_never_given_more_than_it_has_positions_for(
    kind: str, tinies: dict[str, Tiny], tmp_path: Path
) -> None:
    """The table of positions is a limit of its own; the first two places of RoBERTa's are not used."""
    base = shutil.copytree(tinies[kind].base, tmp_path / "base")
    config = base / "tokenizer_config.json"
    config.write_text(config.read_text().replace(f'"model_max_length": {POSITIONS}', '"x": 1'))
    scorer = machine(tinies[kind]._replace(base=base))
    assert scorer._encoder.max_tokens == POSITIONS
    assert scorer.score(column(["a " * 200])).tokens_N.tolist() == [POSITIONS]


class Crowded(torch.nn.Module):
    """A model that runs out of memory where CUDA would: with more than `most` rows."""

    def __init__(self, model: Any, *, most: int):
        super().__init__()
        self.inner, self.most, self.sizes = model, most, list[int]()
        self.device, self.dtype = model.device, model.dtype

    def forward(self, **inputs: Any) -> Any:
        self.sizes.append(len(inputs["input_ids"]))
        if self.sizes[-1] > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.inner(**inputs)


def test_a_batch_that_does_not_fit_into_memory_is_halved() -> None:
    """Scores are the same; a single text that does not fit is an error."""
    model = classifier("bert", num_labels=2)
    encoder = column_tokenizer(tokenizer("bert"), max_tokens=POSITIONS)

    def scored(kind: Any) -> np.ndarray:
        forward = ClassifierForward(kind, num_labels=2, activation="softmax")
        scorer = TransformerScorer(forward, encoder, labels=("a", "b"), batch_tokens=2048)
        return scorer.score(column(TEXTS)).scores_NL

    crowded = Crowded(model, most=3)
    assert np.abs(scored(crowded) - scored(model)).max() <= STEPS
    assert max(crowded.sizes) > 3
    with pytest.raises(torch.OutOfMemoryError):
        scored(Crowded(model, most=0))


def test_scores_that_are_no_numbers_are_an_error(tmp_path: Path) -> None:
    """Damaged weights are found when the model is loaded."""
    tiny = hub_folder(tmp_path, "bert", labels=LABELS)
    tiny.model.classifier.bias.data[1] = float("nan")
    tiny.model.save_pretrained(tmp_path)
    spec = Transformer(model=str(tmp_path))
    with pytest.raises(InputError, match="no numbers in float32"):
        load(spec, locate(spec))


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta"])
def test_the_last_layer_computes_the_first_token_alone(kind: str) -> None:
    """The same outputs with and without padding, from a feed-forward network that sees one token a text."""
    model = classifier(kind, num_labels=5)
    ids_BW = torch.randint(5, 60, (4, 9), generator=torch.Generator().manual_seed(1))
    mask_BW = (torch.arange(9) < torch.tensor([[9], [7], [2], [1]])).long()
    widths = []
    last = model.base_model.encoder.layer[-1]
    last.output.register_forward_hook(lambda _, inputs, __: widths.append(inputs[0].shape[1]))
    with torch.inference_mode():
        inputs = [{"input_ids": ids_BW}, {"input_ids": ids_BW, "attention_mask": mask_BW}]
        whole = [model(**each).logits for each in inputs]
        assert shorten_last_layer(model)
        short = [model(**each).logits for each in inputs]
    assert widths == [9, 9, 1, 1]
    assert all((a - b).abs().max() < 1e-5 for a, b in zip(whole, short, strict=True))
    assert (whole[0] - whole[1]).abs().max() > 1e-2  # the mask is at work


def test_other_models_keep_their_last_layer() -> None:
    """ALBERT's one layer is all of its layers; a decoder reads its last token."""
    assert not shorten_last_layer(classifier("albert", num_labels=2))
    assert not shorten_last_layer(classifier("bert", num_labels=2, is_decoder=True))
    eager = classifier("bert", num_labels=2)
    eager.set_attn_implementation("eager")
    assert not shorten_last_layer(eager)


def test_a_decoder_is_scored_as_well(tmp_path: Path) -> None:
    """A causal model reads its score from the last token that is no padding."""
    config = transformers.GPT2Config(
        vocab_size=400,
        n_positions=POSITIONS,
        n_embd=16,
        n_layer=2,
        n_head=2,
        num_labels=3,
        initializer_range=0.4,
        bos_token_id=0,
        eos_token_id=2,
    )
    torch.manual_seed(1)
    model = transformers.GPT2ForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path)
    made = tokenizer("roberta")
    made.save_pretrained(tmp_path)
    spec = Transformer(model=str(tmp_path))
    scored = load(spec, locate(spec), threads=1).score(column(TEXTS))
    with torch.inference_mode():
        rows = [model(**made(t, return_tensors="pt", truncation=True)).logits for t in TEXTS]
    wanted_NL = torch.cat(rows).softmax(-1).numpy()
    assert np.abs(scored.scores_NL - wanted_NL).max() < LIKE_THEIRS
    assert wanted_NL.std() > 0.05


def test_what_was_located_travels_and_has_a_fingerprint(
    tinies: dict[str, Tiny], tmp_path: Path
) -> None:
    """It survives pickling and JSON; other paths keep the fingerprint, other bytes change it."""
    here = Transformer(
        model="detoxify/x", checkpoint=str(tinies["bert"].checkpoint), base=str(tinies["bert"].base)
    )
    found = locate(here)
    assert pickle.loads(pickle.dumps(found)) == found
    assert msgspec.json.decode(msgspec.json.encode(found), type=Located) == found
    assert len({found}) == 1
    base = shutil.copytree(tinies["bert"].base, tmp_path / "base")
    there = msgspec.structs.replace(here, base=str(base))
    assert locate(there).fingerprint == found.fingerprint
    (base / "tokenizer_config.json").write_text("{}")
    assert locate(there).fingerprint != found.fingerprint


def test_filters_need_no_torch_until_a_model_is_located() -> None:
    """Importing the module and making a spec imports neither library."""
    code = (
        "import sys; from sluice.filters.transformers.load import Transformer;"
        "Transformer(model='detoxify/original');"
        "assert not {'torch', 'transformers', 'detoxify'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_scores_do_not_depend_on_the_order_of_equal_lengths(bert: TransformerScorer) -> None:
    """Many texts of one length fill batches without padding; each keeps its own score."""
    words = ["".join(random.Random(n).choices("abcdefgh", k=6)) for n in range(400)]
    scored = bert.score(column(words))
    assert len(set(scored.tokens_N.tolist())) == 1
    alone = bert.score(column(words[137:138])).scores_NL[0]
    assert np.abs(scored.scores_NL[137] - alone).max() <= STEPS
