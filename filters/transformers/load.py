"""Transformers that score posts: the encoder, detoxify, and any sequence classifier of Hugging Face.

A `Transformer` is a value of the recipe. `locate` finds and checks its files before any data is read,
`load` makes the machine that scores. Torch and transformers are imported inside of functions, so that a
recipe without a transformer needs neither.

Source: detoxify 0.5.4 (Hanu and Unitary team 2020, https://github.com/unitaryai/detoxify, Apache-2.0).
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sluice.filters.batch import Scores
from sluice.filters.transformers import checkpoint, files
from sluice.filters.transformers.encoder import load as encoder
from sluice.filters.transformers.first_token import shorten_last_layer
from sluice.filters.transformers.forward import Activation, ClassifierForward
from sluice.filters.transformers.scorer import Scored, TransformerScorer
from sluice.filters.transformers.spec import DETOXIFY, Located, Transformer
from sluice.filters.transformers.tokens import check_tokenizer, column_tokenizer
from sluice.schemas.errors import InputError

__all__ = ["Located", "Scored", "Transformer", "TransformerScorer", "load", "locate", "on_cuda"]

LIBRARIES = ("torch", "transformers")
PROBES = (
    "a",
    "Two words.",
    "A text that is longer than the others: 1, 2, 3, and so on to the end.",
)
MAX_FLAW = {"float32": 1e-3, "bfloat16": 0.1}
"""How far scores may be from those of a plain call before a model is refused, by dtype."""


def locate(spec: Transformer) -> Located:
    """Finds the files of a transformer: where the spec says, in the caches, on the network.

    Raises:
        InputError: a library is not installed, a file is missing, damaged, or not the one that is pinned, a
            pickle is refused, or the model is of a kind that cannot be run. The message says what to do.
    """
    if spec.is_encoder:
        return encoder.locate(spec)
    _require_libraries(spec)
    return _locate_detoxify(spec) if spec.is_detoxify else _locate_classifier(spec)


def load(spec: Transformer, located: Located, *, threads: int | None = None) -> TransformerScorer:
    """Returns the machine: a copy of the model on its device.

    Args:
        spec: of the recipe.
        located: what `locate` found for it; the files are read again and must not have changed.
        threads: that torch may use for one operation on the CPU, in the whole process; None leaves
            it as it is (`OMP_NUM_THREADS`, by default all cores).

    Raises:
        InputError: a library is not installed, a file has changed, the weights are not those of the
            model, there is no such device, or the model scores a text otherwise in batches than alone.
    """
    if spec.is_encoder:
        files.check_unchanged(located.files)
        return encoder.load(spec, located, threads=threads)
    _require_libraries(spec)
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    files.check_unchanged(located.files)
    device = _device(spec)
    model, tokenizer = _model_and_tokenizer(spec, located, device=device)
    forward = ClassifierForward(
        model, num_labels=len(located.labels), activation=located.activation
    )
    most = min(spec.max_tokens, tokenizer.model_max_length, _positions(model))
    plain_PL = _plain_scores(forward, tokenizer, max_tokens=most)
    shorten_last_layer(model)
    tokens = column_tokenizer(tokenizer, max_tokens=most)
    scorer = TransformerScorer(
        forward, tokens, labels=located.labels, batch_tokens=spec.batch_tokens
    )
    flaw = np.abs(scorer.score(pa.array(PROBES, pa.string())).scores_NL - plain_PL).max()
    if not flaw <= MAX_FLAW[scorer.dtype]:
        raise InputError(
            f"{spec.model}: scores a text in a batch otherwise than alone, by {flaw:.3g}: the model "
            f"needs more than tokens and a mask, and cannot be used"
        )
    return scorer


def on_cuda(spec: Transformer) -> bool:
    """Returns whether a transformer runs on a GPU."""
    if spec.is_encoder:
        return encoder.on_cuda(spec)
    import torch

    return spec.device == "cuda" or (spec.device == "auto" and torch.cuda.is_available())


def _require_libraries(spec: Transformer) -> None:
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except (ImportError, OSError) as failure:  # OSError: a shared library of torch is missing
            raise InputError(
                f"{spec.model}: a transformer needs {' and '.join(LIBRARIES)}: pip install "
                f"'sluice[transformers]' ({failure})"
            ) from failure


def _locate_detoxify(spec: Transformer) -> Located:
    if spec.checkpoint is None:
        weights = files.detoxify_checkpoint(spec.model.removeprefix(DETOXIFY))
    else:
        weights = files.identify(Path(spec.checkpoint).absolute())
    files.check_pin(weights, spec.sha256)
    header = checkpoint.read_header(Path(weights.path), trust=spec.trust)
    _check_labels(spec, header.labels)
    folder = _base_folder(spec, header)
    _check_kind(folder.path, header)
    return Located(
        folder=str(folder.path),
        configs=folder.configs,
        weights=(weights,),
        labels=header.labels,
        activation="sigmoid",
        header=header,
    )


def _base_folder(spec: Transformer, header: checkpoint.DetoxifyHeader) -> files.ModelFolder:
    """Returns configuration and tokenizer of the model that a checkpoint was made from."""
    if spec.base is not None:
        return files.read_folder(Path(spec.base).absolute(), weights=False)
    if Path(header.base).is_dir():
        return files.read_folder(Path(header.base).absolute(), weights=False)
    return files.hub_folder(header.base, revision=spec.revision, weights=False)


def _locate_classifier(spec: Transformer) -> Located:
    path = Path(spec.model)
    if path.is_dir():
        folder = files.read_folder(path.absolute(), weights=True)
    else:
        folder = files.hub_folder(spec.model, revision=spec.revision, weights=True)
    if spec.sha256 is not None and len(folder.weights) > 1:
        raise InputError(f"{spec.model}: sha256 pins one file, but the weights are in several")
    files.check_pin(folder.weights[0], spec.sha256)
    for file in folder.weights:
        if file.path.endswith(".bin"):
            checkpoint.read_pickle(Path(file.path), trust=spec.trust)
    config = _check_kind(folder.path, None)
    labels = tuple(str(config.id2label[place]) for place in range(config.num_labels))
    _check_labels(spec, labels)
    return Located(
        folder=str(folder.path),
        configs=folder.configs,
        weights=folder.weights,
        labels=labels,
        activation=_activation(config),
        header=None,
    )


def _check_labels(spec: Transformer, labels: tuple[str, ...]) -> None:
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise InputError(f"{spec.model}: two outputs have the label {twice[0]!r}")


def _check_kind(folder: Path, header: checkpoint.DetoxifyHeader | None) -> Any:
    """Returns the configuration; raises InputError where it or the tokenizer cannot be used."""
    config = checkpoint.read_config(folder, header=header)
    check_tokenizer(checkpoint.read_tokenizer(folder, header=header))
    return config


def _activation(config: Any) -> Activation:
    """Returns what makes scores of outputs, as `pipeline("text-classification")` of transformers has it."""
    if config.problem_type == "regression":
        return "none"
    if config.problem_type == "multi_label_classification" or config.num_labels == 1:
        return "sigmoid"
    return "softmax"


def _device(spec: Transformer) -> str:
    import torch

    if spec.device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            f'{spec.model}: device = "cuda", but torch {torch.__version__} sees no GPU'
        )
    if spec.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return spec.device


def _model_and_tokenizer(spec: Transformer, located: Located, *, device: str) -> tuple[Any, Any]:
    folder, header = Path(located.folder), located.header
    config = checkpoint.read_config(folder, header=header)
    tokenizer = checkpoint.read_tokenizer(folder, header=header)
    if config.pad_token_id is None:  # decoders look for the last token that is no padding
        config.pad_token_id = tokenizer.pad_token_id
    usual = "bfloat16" if device == "cuda" else "float32"
    model = checkpoint.read_model(
        config,
        [Path(file.path) for file in located.weights if not file.path.endswith(".json")],
        header=header,
        trust=spec.trust,
        dtype=usual if spec.dtype == "auto" else spec.dtype,
    )
    return model.to(device), tokenizer


def _plain_scores(forward: ClassifierForward, tokenizer: Any, *, max_tokens: int) -> Scores:
    """Returns (P, L) scores of the probes, a text at a time, with all that the tokenizer gives."""
    import torch

    def score(text: str) -> "torch.Tensor":
        read = tokenizer(text, truncation=True, max_length=max_tokens, return_tensors="pt")
        return forward.activated(forward.model(**read.to(forward.model.device)).logits)

    with torch.inference_mode():
        scores_PL: Scores = torch.cat([score(text) for text in PROBES]).cpu().numpy()
    return scores_PL


def _positions(model: Any) -> int:
    """Returns the most tokens that a model has positions for."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and hasattr(module, "num_embeddings"):
            # RoBERTa counts from the place after its padding.
            before = 0 if module.padding_idx is None else module.padding_idx + 1
            return int(module.num_embeddings) - before
    return int(getattr(model.config, "max_position_embeddings", 1 << 30))
