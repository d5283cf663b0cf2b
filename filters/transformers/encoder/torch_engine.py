"""The encoder with torch: on a GPU, and on the CPU where a recipe names a dtype.

Source: Devlin et al. 2019, "BERT", arXiv:1810.04805, section 3; Wang et al. 2024,
arXiv:2402.05672, for the mean over pieces.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sluice.filters.transformers.batches import PAD_MULTIPLE
from sluice.filters.transformers.encoder.weights import (
    EPSILON,
    MATRICES,
    EncoderShape,
    read_header,
    read_tensors,
    unpacked,
)
from sluice.filters.transformers.forward import TensorForward
from sluice.schemas.arrays import Array

if TYPE_CHECKING:
    import torch


class EncoderForward(TensorForward):
    """The encoder on a device of torch, called with padded batches.

    Args:
        weights: encoder.safetensors.
        device: "cpu" or "cuda".
        dtype: "float32" or "bfloat16".

    Attributes:
        multiple: widths of batches with padding are multiples of it; None where no batch is padded.

    Raises:
        InputError: the file cannot be read.
    """

    def __init__(self, weights: Path, *, device: str, dtype: str):
        self.device, self.dtype = device, dtype
        self.multiple = PAD_MULTIPLE if device == "cuda" else None
        self._shape = read_header(weights).shape
        self._weights = _on_device(read_tensors(weights), self._shape, device=device, dtype=dtype)

    def scores(self, ids_BW: Array, lengths_B: Array) -> "torch.Tensor":
        """Returns (B, L) float32 scores, perhaps still in the making."""
        from torch.nn import functional

        weights, W = self._weights, ids_BW.shape[1]
        real_BW1 = self.to_device((np.arange(W) < lengths_B[:, None])[..., None])
        mask_B11W = None if (lengths_B == W).all() else real_BW1[:, None, None, :, 0]
        x_BWH = functional.embedding(self.to_device(ids_BW), weights["pieces.weight"])
        x_BWH = self._normed(x_BWH + weights["position.weight"][:W], "norm")
        for i in range(self._shape.layers):
            x_BWH = self._layer(x_BWH, f"layers.{i}", mask_B11W)
        mean_BH = (x_BWH.float() * real_BW1).sum(1) / self.to_device(lengths_B)[:, None]
        logits_BL = functional.linear(mean_BH, weights["heads.weight"], weights["heads.bias"])
        return (logits_BL * weights["heads.slope"] + weights["heads.intercept"]).sigmoid()

    def _layer(
        self, x_BWH: "torch.Tensor", at: str, mask_B11W: "torch.Tensor | None"
    ) -> "torch.Tensor":
        from torch.nn import functional

        qkv_BWN = self._linear(x_BWH, f"{at}.qkv").unflatten(-1, (3, self._shape.attention, -1))
        q, k, v = qkv_BWN.permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask_B11W)
        found_BWH = self._linear(found.transpose(1, 2).flatten(2), f"{at}.out")
        x_BWH = self._normed(x_BWH + found_BWH, f"{at}.norm_out")
        inner_BWI = functional.gelu(self._linear(x_BWH, f"{at}.up"))
        return self._normed(x_BWH + self._linear(inner_BWI, f"{at}.down"), f"{at}.norm_down")

    def _linear(self, x_BWH: "torch.Tensor", at: str) -> "torch.Tensor":
        from torch.nn import functional

        return functional.linear(x_BWH, self._weights[f"{at}.weight"], self._weights[f"{at}.bias"])

    def _normed(self, x_BWH: "torch.Tensor", at: str) -> "torch.Tensor":
        from torch.nn import functional

        weight, bias = self._weights[f"{at}.weight"], self._weights[f"{at}.bias"]
        return functional.layer_norm(x_BWH, x_BWH.shape[-1:], weight, bias, EPSILON)


def _on_device(
    tensors: dict[str, Array], shape: EncoderShape, *, device: str, dtype: str
) -> "dict[str, torch.Tensor]":
    """Returns what the layers multiply by, in a dtype; the heads are float32."""
    import torch

    dense = {name: array for name, array in tensors.items() if array.dtype == np.float32}
    dense["pieces.weight"] = unpacked(tensors["pieces.pairs"], tensors["pieces.scales"])
    for at in (f"layers.{i}.{name}" for i in range(shape.layers) for name in MATRICES):
        columns_IO = tensors[f"{at}.weight"].astype(np.float32) * tensors[f"{at}.scale"]
        dense[f"{at}.weight"] = columns_IO.T
    kinds = {n: torch.float32 if n.startswith("heads.") else getattr(torch, dtype) for n in dense}
    return {
        name: torch.tensor(np.ascontiguousarray(array), dtype=kinds[name], device=device)
        for name, array in dense.items()
    }
