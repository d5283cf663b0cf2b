"""One batch of tokens through a transformer: to the device, through the model, scores out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from sluice.filters.batch import Scores
from sluice.filters.transformers.batches import PAD_MULTIPLE
from sluice.schemas.arrays import Array

if TYPE_CHECKING:
    import torch

Activation = Literal["sigmoid", "softmax", "none"]


class Forward(Protocol):
    """A model on its device, called with batches.

    Attributes:
        device: "cpu" or "cuda".
        dtype: what it computes with.
        multiple: widths of batches with padding are multiples of it; None where no batch may be padded.
    """

    device: str
    dtype: str
    multiple: int | None

    def __call__(self, ids_BW: Array, lengths_B: Array) -> Any:
        """Returns (B, L) scores, perhaps still in the making.

        Args:
            ids_BW: (B, W) int64 tokens, padded on the right.
            lengths_B: (B,) tokens of each row that are not padding.
        """
        ...

    def gathered(self, batches: Sequence[Any]) -> Scores:
        """Returns (N, L) float32, what calls gave, one behind the other; waits for the device."""
        ...


class TensorForward(ABC):
    """A model of torch on its device.

    Attributes:
        device: "cpu" or "cuda".
        dtype: "float32" or "bfloat16".
        multiple: see `Forward`.
    """

    device: str
    dtype: str
    multiple: int | None

    @abstractmethod
    def scores(self, ids_BW: Array, lengths_B: Array) -> "torch.Tensor":
        """Returns (B, L) float32 scores, on the device and perhaps still in the making there."""

    def __call__(self, ids_BW: Array, lengths_B: Array) -> "torch.Tensor":
        """Returns (B, L) float32 scores, on the device and perhaps still in the making there.

        Where CUDA has no memory for the batch, its halves go one after the other.

        Args:
            ids_BW: (B, W) int64 tokens, padded on the right.
            lengths_B: (B,) tokens of each row that are not padding.
        """
        import torch

        try:
            with torch.inference_mode():
                return self.scores(ids_BW, lengths_B)
        except torch.OutOfMemoryError:
            if len(ids_BW) == 1:
                raise
        # Outside of `except`: the exception holds the tensors of the failed batch.
        torch.cuda.empty_cache()
        half = len(ids_BW) // 2
        return torch.cat(
            [self(ids_BW[:half], lengths_B[:half]), self(ids_BW[half:], lengths_B[half:])]
        )

    def gathered(self, batches: "Sequence[torch.Tensor]") -> Scores:
        """Returns (N, L) float32, what calls gave, one behind the other: the one wait for the device."""
        import torch

        found_NL: Scores = torch.cat(list(batches)).cpu().numpy()
        return found_NL

    def to_device(self, array: Array) -> "torch.Tensor":
        """Returns an array on the device, perhaps still on its way."""
        import torch

        tensor = torch.from_numpy(array)
        if self.device == "cuda":
            # From pinned memory the copy runs beside the kernels of the batch before.
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor


class ClassifierForward(TensorForward):
    """A sequence classifier of transformers on its device, called with padded batches.

    Args:
        model: in evaluation mode, on its device.
        num_labels: L; outputs beyond it are left out, after the activation.
        activation: what makes scores of the outputs.

    Attributes:
        model: as given.
    """

    def __init__(self, model: Any, *, num_labels: int, activation: Activation):
        self.device = str(model.device.type)
        self.dtype = str(model.dtype).removeprefix("torch.")
        self.multiple = PAD_MULTIPLE if self.device == "cuda" else 1
        self.model = model
        self._num_labels = num_labels
        self._activation = activation

    def scores(self, ids_BW: Array, lengths_B: Array) -> "torch.Tensor":
        """Returns (B, L) float32 scores, on the device and perhaps still in the making there."""
        width = ids_BW.shape[1]
        mask = None
        if (lengths_B < width).any():
            real_BW = np.arange(width) < lengths_B[:, None]
            mask = self.to_device(real_BW.astype(np.int64))
        # No padding, no mask: the models of transformers then take the fastest attention they have.
        return self.activated(
            self.model(input_ids=self.to_device(ids_BW), attention_mask=mask).logits
        )

    def activated(self, outputs: "torch.Tensor") -> "torch.Tensor":
        """Returns (B, L) float32 scores of the model's outputs."""
        scores = outputs.float()
        if self._activation == "sigmoid":
            scores = scores.sigmoid()
        elif self._activation == "softmax":
            scores = scores.softmax(dim=-1)
        return scores[:, : self._num_labels]
