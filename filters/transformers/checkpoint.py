"""Reads a transformer's files into a model: pickles without running them, and no weight left to chance."""

import pickle
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from sluice.schemas.errors import InputError

PUBLIC_NAMES = {
    "toxic": "toxicity",
    "identity_hate": "identity_attack",
    "severe_toxic": "severe_toxicity",
}
"""What detoxify's `predict` calls the classes of its oldest model."""


class DetoxifyHeader(msgspec.Struct, frozen=True):
    """What a detoxify checkpoint says of itself.

    Attributes:
        base: the model whose configuration and tokenizer it needs, a name of the hub or a folder.
        model_class: of transformers.
        tokenizer_class: of transformers.
        num_outputs: of the model; the labels are the first of them.
        labels: as detoxify's `predict` names them.
    """

    base: str
    model_class: str
    tokenizer_class: str
    num_outputs: int
    labels: tuple[str, ...]


class _ArchArgs(msgspec.Struct):
    model_type: str
    model_name: str
    tokenizer_name: str
    num_classes: int


class _Arch(msgspec.Struct):
    args: _ArchArgs


class _DatasetArgs(msgspec.Struct):
    classes: list[str]


class _Dataset(msgspec.Struct):
    args: _DatasetArgs


class _Training(msgspec.Struct):
    """The entry `config` of a checkpoint, as far as it is read."""

    arch: _Arch
    dataset: _Dataset


def read_header(path: Path, *, trust: bool) -> DetoxifyHeader:
    """Returns what a detoxify checkpoint says of itself.

    Args:
        path: the file.
        trust: see `read_pickle`.

    Raises:
        InputError: the file cannot be read, is refused, is no detoxify checkpoint, or wants classes that
            transformers does not have.

    Source: detoxify 0.5.4, `load_checkpoint` (Apache-2.0).
    """
    entries = read_pickle(path, trust=trust)
    if not isinstance(entries, dict) or not {"config", "state_dict"} <= entries.keys():
        raise InputError(f"{path}: no detoxify checkpoint: it must have `config` and `state_dict`")
    try:
        training = msgspec.convert(entries["config"], _Training)
    except msgspec.ValidationError as fault:
        raise InputError(f"{path}: no detoxify checkpoint: config: {fault}") from None
    arch, classes = training.arch.args, training.dataset.args.classes
    if not 0 < len(classes) <= arch.num_classes:
        raise InputError(
            f"{path}: names {len(classes)} classes, but has {arch.num_classes} outputs"
        )
    _check_classes(path, arch)
    return DetoxifyHeader(
        base=arch.model_type,
        model_class=arch.model_name,
        tokenizer_class=arch.tokenizer_name,
        num_outputs=arch.num_classes,
        labels=tuple(PUBLIC_NAMES.get(name, name) for name in classes),
    )


def _check_classes(path: Path, arch: _ArchArgs) -> None:
    """Raises InputError unless a checkpoint names classes of transformers, and no other code."""
    import transformers
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    for name, base in (
        (arch.model_name, PreTrainedModel),
        (arch.tokenizer_name, PreTrainedTokenizerBase),
    ):
        kind = getattr(transformers, name, None)
        if not (isinstance(kind, type) and issubclass(kind, base)):
            release = transformers.__version__
            raise InputError(f"{path}: transformers {release} has no {base.__name__} {name!r}")


def read_pickle(path: Path, *, trust: bool) -> Any:
    """Returns what `torch.save` wrote, with tensors mapped from the file.

    A pickle can run any code when it is read. Torch's reader for plain data is tried first, always.

    Args:
        path: the file.
        trust: run the code of a file that this reader refuses.

    Raises:
        InputError: the file is damaged, or is refused and not trusted.
    """
    try:
        return _torch_load(path, weights_only=True)
    except pickle.UnpicklingError as refused:
        reason = _reason(refused)
    except (OSError, EOFError, RuntimeError) as damage:
        raise InputError(f"{path}: the checkpoint is damaged: {_reason(damage)}") from damage
    if not trust:
        raise InputError(
            f"{path}: torch does not read it as plain weights: {reason}. It may be damaged, or hold code, "
            f"which would run: if you know where it comes from, `trust = true` allows that"
        )
    try:
        return _torch_load(path, weights_only=False)
    except Exception as damage:  # a trusted pickle can raise anything
        raise InputError(f"{path}: the checkpoint cannot be read: {_reason(damage)}") from damage


def _torch_load(path: Path, *, weights_only: bool) -> Any:
    import torch

    mmap = zipfile.is_zipfile(path)  # torch before 1.6 wrote another format
    return torch.load(path, map_location="cpu", weights_only=weights_only, mmap=mmap)


def _reason(failure: Exception) -> str:
    """Returns the line of torch's long explanations that says what was wrong."""
    lines = [line for line in str(failure).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("Check the doc", "Please file"))]
    return said[-1].strip().rstrip(".") if said else type(failure).__name__


def read_config(folder: Path, *, header: DetoxifyHeader | None) -> Any:
    """Returns the configuration of a model of transformers.

    Args:
        folder: has config.json.
        header: of a detoxify checkpoint, which says the class and the number of outputs.

    Raises:
        InputError: transformers cannot read it, or has no such model without running code of the folder.
    """
    import transformers

    with _failures_of(folder), quiet():
        if header is None:
            config = transformers.AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        else:
            kind = getattr(transformers, header.model_class).config_class
            config = kind.from_pretrained(
                folder, num_labels=header.num_outputs, local_files_only=True
            )
        config._attn_implementation = None  # a file does not choose the code of attention
        return config


def read_tokenizer(folder: Path, *, header: DetoxifyHeader | None) -> Any:
    """Returns the tokenizer of a folder; raises InputError where transformers cannot read it."""
    import transformers

    with _failures_of(folder), quiet():
        name = "AutoTokenizer" if header is None else header.tokenizer_class
        return getattr(transformers, name).from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )


def read_model(
    config: Any, weights: list[Path], *, header: DetoxifyHeader | None, trust: bool, dtype: str
) -> Any:
    """Returns a sequence classifier of transformers on the CPU, in evaluation mode.

    Args:
        config: from `read_config`.
        weights: safetensors or pickles; of a detoxify checkpoint its one file.
        header: of a detoxify checkpoint.
        trust: see `read_pickle`.
        dtype: "float32" or "bfloat16".

    Raises:
        InputError: the weights are not those of a classifier of this configuration.
    """
    import torch

    where = weights[0]
    with _failures_of(where), quiet():
        kind = _classifier(config, header)
        state = {}
        for path in weights:
            state.update(_state_dict(path, trust=trust))
        if header is not None:
            state = state["state_dict"]
        model, report = kind.from_pretrained(
            None,
            config=config,
            state_dict=state,
            dtype=getattr(torch, dtype),
            output_loading_info=True,
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise InputError(
            f"{where}: no weights of a {kind.__name__}: lacks {', '.join(missing[:3])}"
        )
    return model.eval()


def _state_dict(path: Path, *, trust: bool) -> Any:
    if path.suffix != ".safetensors":
        return read_pickle(path, trust=trust)
    from safetensors.torch import load_file

    return load_file(path)


def _classifier(config: Any, header: DetoxifyHeader | None) -> Any:
    """Returns the class of transformers that a checkpoint names, or that fits a configuration."""
    import transformers

    if header is not None:
        return getattr(transformers, header.model_class)
    known = transformers.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
    if type(config) not in known:
        raise ValueError(f"transformers has no sequence classifier of type {config.model_type!r}")
    return known[type(config)]


@contextmanager
def _failures_of(where: Path) -> Iterator[None]:
    """Turns what transformers and safetensors raise on bad files into InputError that names the file."""
    try:
        yield
    except InputError:
        raise
    except Exception as failure:  # their errors have no base of their own
        raise InputError(f"{where}: {_reason(failure)}") from failure


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps transformers from printing reports and progress bars: errors here say what is wrong."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
