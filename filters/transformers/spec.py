"""What a recipe says of a transformer, and what was found of it on disk: plain values."""

import hashlib
import re
from pathlib import Path
from typing import Literal

import msgspec

from sluice.filters.transformers.batches import padded
from sluice.filters.transformers.checkpoint import DetoxifyHeader
from sluice.filters.transformers.files import DETOXIFY_URLS, IdentifiedFile
from sluice.filters.transformers.forward import Activation
from sluice.schemas.errors import did_you_mean

TRANSFORMER_VERSION = 1
"""Raised whenever the same files give other scores."""
DETOXIFY = "detoxify/"
ENCODER = "sluice/encoder"


class Transformer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A transformer of the recipe.

    Attributes:
        model: "sluice/encoder", "detoxify/original", "detoxify/unbiased", "detoxify/multilingual" (or one of
            their `-small` sisters), a folder, or a name of the Hugging Face hub.
        name: what its columns begin with, `<name>.<label>`; by default the last part of `model`.
        checkpoint: of detoxify, a file in place of the published one; of the encoder, a folder of one
            that you trained.
        base: of detoxify, the folder with config.json and tokenizer of the model it was made from.
        sha256: the weights must have; for weights in one file.
        revision: of the repository on the hub: a commit, tag or branch.
        trust: read pickles that torch refuses as plain weights. They can run any code.
        device: where to run; "auto" is CUDA where torch sees it.
        dtype: what to compute with; "auto" is bfloat16 on CUDA; on the CPU it is float32,
            and int8 for the encoder.
        max_tokens: longer texts are cut; never more than the model can read.
        batch_tokens: tokens in a batch, padding counted; None for what suits the device.
    """

    model: str
    name: str = ""
    checkpoint: str | None = None
    base: str | None = None
    sha256: str | None = None
    revision: str | None = None
    trust: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    max_tokens: int = 512
    batch_tokens: int | None = None

    def __post_init__(self) -> None:
        known = [DETOXIFY + name for name in DETOXIFY_URLS]
        if not self.prefix:
            raise ValueError(f"model {self.model!r} has no last part to name its columns by")
        if not re.fullmatch(r"\w[\w.+-]*", self.prefix):
            raise ValueError(
                f"name must be letters, digits, `_`, `.`, `+` and `-`, as files and columns are named by it, "
                f"got {self.prefix!r}"
            )
        if self.is_detoxify and self.checkpoint is None and self.model not in known:
            raise ValueError(
                f"detoxify publishes no {self.model!r}{did_you_mean(self.model, known)}"
            )
        self._check_keys()
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError("sha256 must be 64 digits of lower-case hexadecimal")
        if self.max_tokens < 8:
            raise ValueError(f"max_tokens must be at least 8, got {self.max_tokens}")
        if self.batch_tokens is not None and self.batch_tokens < padded(self.max_tokens):
            raise ValueError(
                f"batch_tokens must be at least {padded(self.max_tokens)}, one text of max_tokens = "
                f"{self.max_tokens}, got {self.batch_tokens}"
            )

    def _check_keys(self) -> None:
        """Raises ValueError where a key has no effect on a model of this kind."""
        for key in ("checkpoint", "base"):
            takes = self.is_detoxify or (key == "checkpoint" and self.is_encoder)
            if getattr(self, key) is not None and not takes:
                raise ValueError(
                    f"{key} is for models that begin with {DETOXIFY!r}, not {self.model!r}"
                )
        for key in ("revision", "trust"):
            if getattr(self, key) and self.is_encoder:
                raise ValueError(
                    f"{key} has no effect on {ENCODER!r}, which is no repository or pickle"
                )

    @property
    def is_encoder(self) -> bool:
        """Whether it is the encoder of the package `sluice-encoder`, or one of its layout."""
        return self.model == ENCODER

    @property
    def prefix(self) -> str:
        """What the names of its columns begin with."""
        return self.name or Path(self.model).name

    @property
    def is_detoxify(self) -> bool:
        """Whether the weights are a checkpoint in detoxify's format."""
        return self.model.startswith(DETOXIFY)


class Located(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a transformer, found and identified.

    Attributes:
        folder: has configuration and tokenizer.
        configs: files of the folder that count.
        weights: one file, or an index and its shards.
        labels: L labels, of the columns of its scores, in order.
        activation: what makes scores of the model's outputs.
        header: of a detoxify checkpoint.
    """

    folder: str
    configs: tuple[IdentifiedFile, ...]
    weights: tuple[IdentifiedFile, ...]
    labels: tuple[str, ...]
    activation: Activation
    header: DetoxifyHeader | None

    @property
    def files(self) -> tuple[IdentifiedFile, ...]:
        """All files that scores depend on."""
        return (*self.weights, *self.configs)

    @property
    def fingerprint(self) -> str:
        """A sha256 of all that scores depend on beside the spec; paths are no part of it."""
        names = [[file.name, file.sha256] for file in self.files]
        parts = [TRANSFORMER_VERSION, names, self.labels, self.activation]
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
