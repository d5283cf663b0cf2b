"""Finds the encoder, and makes the machine that scores with it: its engine, and how it reads texts."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import pyarrow as pa

from sluice.filters.text.views import encoder_text
from sluice.filters.transformers.encoder import package
from sluice.filters.transformers.encoder.onnx_engine import OnnxForward
from sluice.filters.transformers.encoder.torch_engine import EncoderForward
from sluice.filters.transformers.encoder.weights import read_header
from sluice.filters.transformers.forward import Forward
from sluice.filters.transformers.scorer import TransformerScorer
from sluice.filters.transformers.spec import Located, Transformer
from sluice.filters.transformers.tokens import ColumnTokenizer, ColumnTokens
from sluice.schemas.errors import InputError

GPUS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""What there is where a GPU of NVIDIA has a driver, on Linux and on Windows' own Linux."""
PAD = "<pad>"


def locate(spec: Transformer) -> Located:
    """Finds the files of the encoder, and what runs it.

    Raises:
        InputError: the package or an engine is not installed, or a file is not the one that is pinned.
    """
    found = package.find(spec.checkpoint, sha256=spec.sha256)
    _require("torch" if needs_torch(spec) else "onnxruntime", spec)
    return Located(
        folder=str(Path(found.weights.path).parent),
        configs=(found.graph, found.tokenizer),
        weights=(found.weights,),
        labels=read_header(Path(found.weights.path)).shape.labels,
        activation="sigmoid",
        header=None,
    )


def load(spec: Transformer, located: Located, *, threads: int | None) -> TransformerScorer:
    """Returns the machine. Torch is imported only where it runs the encoder.

    Args:
        spec: of the recipe.
        located: what `locate` found, unchanged since.
        threads: of the CPU; None for `OMP_NUM_THREADS`, or all cores.

    Raises:
        InputError: there is no such device, or the engine cannot read the files.
    """
    folder = Path(located.folder)
    positions = read_header(folder / package.WEIGHTS).shape.positions
    return TransformerScorer(
        _forward(spec, folder, threads=threads),
        EncoderTokenizer(folder / package.TOKENIZER, max_tokens=min(spec.max_tokens, positions)),
        labels=located.labels,
        batch_tokens=spec.batch_tokens,
    )


class EncoderTokenizer:
    """Texts to the pieces of the encoder, by way of the view that it was trained on.

    Args:
        path: tokenizer.json.
        max_tokens: longer texts are cut.

    Attributes:
        pad_id: what fills rows of a batch.
        max_tokens: as given.

    Raises:
        InputError: the file is no tokenizer.
    """

    def __init__(self, path: Path, *, max_tokens: int):
        from tokenizers import Tokenizer

        try:
            backend: Any = Tokenizer.from_file(str(path))
        except Exception as failure:  # tokenizers raises nothing narrower
            raise InputError(f"{path}: is no tokenizer: {failure}") from failure
        self.pad_id, self.max_tokens = backend.token_to_id(PAD) or 0, max_tokens
        self._columns = ColumnTokenizer(backend, pad_id=self.pad_id, max_tokens=max_tokens)

    def encode(self, texts: pa.StringArray) -> ColumnTokens:
        """Returns the pieces of (N,) string, normalised; a null reads as an empty text."""
        return self._columns.encode(encoder_text(texts))


def needs_torch(spec: Transformer) -> bool:
    """Returns whether torch runs the encoder: on a GPU, or because a dtype is named."""
    return spec.dtype != "auto" or on_cuda(spec)


def on_cuda(spec: Transformer) -> bool:
    """Returns whether the encoder runs on a GPU; torch is imported only where there is a driver of one."""
    if spec.device != "auto":
        return spec.device == "cuda"
    if importlib.util.find_spec("torch") is None or not any(path.exists() for path in GPUS):
        return False
    import torch

    return bool(torch.cuda.is_available())


def _forward(spec: Transformer, folder: Path, *, threads: int | None) -> Forward:
    if not needs_torch(spec):
        return OnnxForward(folder / package.GRAPH, threads=threads)
    import torch

    device = "cuda" if on_cuda(spec) else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            f'{spec.model}: device = "cuda", but torch {torch.__version__} sees no GPU'
        )
    if threads is not None:
        torch.set_num_threads(threads)
    usual = "bfloat16" if device == "cuda" else "float32"
    dtype = usual if spec.dtype == "auto" else spec.dtype
    return EncoderForward(folder / package.WEIGHTS, device=device, dtype=dtype)


def _require(library: str, spec: Transformer) -> None:
    try:
        importlib.import_module(library)
    except (ImportError, OSError) as failure:  # OSError: a shared library is missing
        extra = "train" if library == "torch" else "encoder"
        raise InputError(
            f"{spec.model}: {library} runs it here: pip install 'sluice[{extra}]' ({failure})"
        ) from failure
